/* The log that is kept in a file. stderr is the other place, and where TAP's reader looks: it is left alone here. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "log.h"
#include "str.h"
#include "tap.h"

#define MAX_BYTES 400

static char dir[] = "/tmp/berth-log-test-XXXXXX";

static const char *begin(void)
{
	char *path;

	ok(mkdtemp(dir) != NULL);
	path = tap_keep(str_fmt("%s/kept.log", dir));
	log_setup("log-test", LOG_INFO_, false);
	log_keep(path, MAX_BYTES);
	return path;
}

static void end(void)
{
	log_keep(NULL, 0);
	is_int(rm_rf(AT_FDCWD, dir), 0);
}

static const char *text_of(const char *path)
{
	char *text = NULL;

	return file_read(AT_FDCWD, path, 1 << 20, &text, NULL) < 0 ? NULL : tap_keep(text);
}

TEST(a_file_is_made_with_the_first_warning_and_only_its_owner_reads_it)
{
	const char *path = begin();
	uint64_t when;
	struct stat st;

	log_info("test", "no warning");
	is_int(access(path, F_OK), -1);
	log_warn("test", "the disk is\nfull");
	is_int(stat(path, &st), 0);
	is_int(st.st_mode & 07777, 0600);
	const char *text = text_of(path);
	has_str(text, "Z warning: test: the disk is?full\n");
	const char *stamp = tap_keep(strndup(text ? text : "", strcspn(text ? text : "", " ")));
	is_int(clock_parse(stamp, &when), 0);
	end();
}

TEST(what_is_kept_is_bounded_and_the_latest_is_there)
{
	const char *path = begin(), *older = tap_keep(str_fmt("%s.1", path));
	struct stat a, b;

	for (int i = 0; i < 30; i++)
		log_error("test", "message %d", i);
	is_int(stat(path, &a), 0);
	is_int(stat(older, &b), 0);
	ok(a.st_size <= MAX_BYTES && b.st_size <= MAX_BYTES);
	const char *text = text_of(path), *before = text_of(older);
	has_str(text, "error: test: message 29\n");
	has_str(before, "error: test: message ");
	end();
}

TEST(a_link_in_its_place_is_not_written_through)
{
	const char *path = begin(), *target = tap_keep(str_fmt("%s/target", dir));

	is_int(symlink(target, path), 0);
	log_error("test", "message");
	is_int(access(target, F_OK), -1);
	end();
}

TAP_MAIN()
