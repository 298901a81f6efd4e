/* Probes that answer well, badly and not at all, as a shell plays them. */
#include "audit.h"
#include "tap.h"

#define TIMEOUT_MS 20000

static int start(const char *script, struct audit_probe *p)
{
	char sh[] = "/bin/sh", c[] = "-c";
	char *const argv[] = { sh, c, strdup(script), NULL };
	int r = audit_start(argv, p, NULL);

	tap_keep(argv[2]);
	return r;
}

TEST(the_line_comes_while_the_probe_stays_until_it_is_let_go)
{
	struct audit_probe p = AUDIT_PROBE_NONE;
	char *line = NULL;

	is_int(start("echo first; cat >/dev/null; exit 7", &p), 0);
	is_int(audit_read(&p, 100, TIMEOUT_MS, &line, NULL), 0);
	is_str(line, "first");
	is_int(kill(p.pid, 0), 0);
	is_int(audit_end(&p, TIMEOUT_MS), 7);
	is_int(p.pid, 0);
	is_int(p.in, -1);
	free(line);
}

TEST(a_line_that_is_too_long_is_not_read_on)
{
	struct audit_probe p = AUDIT_PROBE_NONE;
	struct err e = { 0 };
	char *line;

	is_int(start("while :; do printf 0123456789; done", &p), 0);
	is_int(audit_read(&p, 50000, TIMEOUT_MS, &line, &e), -EFBIG);
	has_str(e.msg, "50000");
	ok(audit_end(&p, TIMEOUT_MS) != 0);
}

TEST(a_probe_that_says_nothing_is_not_waited_for)
{
	struct audit_probe p = AUDIT_PROBE_NONE;
	struct err e = { 0 };
	char *line;

	is_int(start("trap '' HUP; printf half; exec sleep 1000", &p), 0);
	is_int(audit_read(&p, 100, 50, &line, &e), -ETIMEDOUT);
	is_int(audit_end(&p, 10), 128 + SIGTERM);
}

TEST(a_probe_that_ends_without_a_line_is_told_apart)
{
	struct audit_probe p = AUDIT_PROBE_NONE;
	char *line;

	is_int(start("printf half; exit 125", &p), 0);
	is_int(audit_read(&p, 100, TIMEOUT_MS, &line, NULL), -ENODATA);
	is_int(audit_end(&p, TIMEOUT_MS), 125);
	is_int(audit_end(&p, TIMEOUT_MS), 0);
}

TEST(what_is_no_program_is_an_error)
{
	char path[] = "/nowhere/berth";
	char *const argv[] = { path, NULL };
	struct audit_probe p = AUDIT_PROBE_NONE;
	struct err e = { 0 };

	is_int(audit_start(argv, &p, &e), -ENOENT);
	has_str(e.msg, "/nowhere/berth");
	is_int(p.pid, 0);
}

TAP_MAIN()
