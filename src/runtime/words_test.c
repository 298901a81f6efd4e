/* What Docker and Podman read of our errors. */
#include "words.h"
#include "tap.h"

static const char *words(int exit, const char *msg, char buf[WORDS_LEN])
{
	struct err e = { 0 };

	err_set_exit(&e, exit, EIO, "%s", msg);
	words_for_engines(&e, buf);
	return buf;
}

TEST(a_missing_program_is_said_in_the_words_that_engines_look_for)
{
	char buf[WORDS_LEN];

	is_str(words(127, "exec \"x\": not found in $PATH", buf), "exec \"x\": executable file not found in $PATH");
	is_str(words(127, "exec \"/x\": not found in the container", buf),
	       "exec \"/x\": no such file or directory in the container");
	is_str(words(127, "exec \"/x\": the interpreter is missing", buf),
	       "exec \"/x\": the interpreter is missing: no such file or directory");
}

TEST(a_program_that_may_not_run_is_said_in_the_words_that_engines_look_for)
{
	char buf[WORDS_LEN];

	is_str(words(126, "exec \"/x\": Permission denied", buf), "exec \"/x\": permission denied");
	is_str(words(126, "exec \"/x\": Is a directory", buf), "exec \"/x\": Is a directory: permission denied");
}

TEST(other_errors_stay_as_they_are_and_names_are_never_rewritten)
{
	char buf[WORDS_LEN];

	is_str(words(125, "mount /a: Permission denied", buf), "mount /a: Permission denied");
	is_str(words(126, "working directory /x: is not a directory", buf), "working directory /x: is not a directory");
	is_str(words(0, "mount /a: not found in $PATH", buf), "mount /a: not found in $PATH");
	is_str(words(127, "exec \"not found in $PATH\": not found in $PATH", buf),
	       "exec \"not found in $PATH\": executable file not found in $PATH");
}

TAP_MAIN()
