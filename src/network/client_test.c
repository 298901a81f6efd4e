#include "client.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static char dir[64];

/* What the caller hears where berth-net is this script. */
static int call(const char *script, struct err *e)
{
	_cleanup_free_ char *path = NULL;
	struct paths p = { .libexec = dir };
	const struct net_plan plan = { .version = 1, .id = (char[]){ "c" } };
	_cleanup_fd_ int fd = -1;

	snprintf(dir, sizeof(dir), "/tmp/berth-client-XXXXXX");
	ok(mkdtemp(dir) != NULL);
	path = str_fmt("%s/berth-net", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	is_int(dprintf(fd, "#!/bin/sh\n%s\n", script), strlen(script) + 11);
	fd = fd_close(fd);
	*e = (struct err){ 0 };
	const int r = net_call(&p, "detach", &plan, e);
	unlink(path);
	rmdir(dir);
	return r;
}

TEST(a_network_program_that_was_killed_may_be_asked_again)
{
	static const char *const scripts[] = {
		"kill -9 $$",
		/* The process that was started ends well, and its child, which holds the conversation, does not. */
		"sh -c 'kill -9 $$' & exit 0",
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		is_int(call(scripts[i], &e), -EAGAIN);
		is_str(e.msg, "berth-net was killed before it had answered: try again");
	}
}

TEST(what_a_network_program_says_or_fails_with_is_told)
{
	static const struct {
		const char *script;
		int error;
		const char *message;
	} rows[] = {
		{ "cat <&3 >/dev/null; printf '{\"error\":0}' >&3", 0, "" },
		{ "cat <&3 >/dev/null; printf '{\"error\":17,\"message\":\"it is there\"}' >&3", -EEXIST, "it is there" },
		{ "cat <&3 >/dev/null; printf '{\"error\":5}' >&3", -EIO, "berth-net failed without a message" },
		{ "exit 2", -EIO, "berth-net ended with status 2 and said nothing" },
		{ "kill -SEGV $$", -EIO, "berth-net ended by signal 11" },
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		is_int(call(rows[i].script, &e), rows[i].error);
		is_str(e.msg, rows[i].message);
	}
}

TAP_MAIN()
