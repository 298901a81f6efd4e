/* resctrl groups against a directory that looks like one. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rdt.h"
#include "tap.h"

static struct err E;

static char *fake(const char *const *files)
{
	char *root = tap_keep(strdup("/tmp/berth-test.XXXXXX"));

	ok(mkdtemp(root));
	is_int(mkdir_p(AT_FDCWD, tap_keep(str_fmt("%s/info", root)), 0755), 0);
	is_int(mkdir_p(AT_FDCWD, tap_keep(str_fmt("%s/c1", root)), 0755), 0);
	for (; *files; files++) {
		int fd = open(tap_keep(str_fmt("%s/%s", root, *files)), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		ok(fd >= 0);
		close(fd);
	}
	return root;
}

static void holds(const char *root, const char *file, const char *want)
{
	char *text;

	is_int(file_read(AT_FDCWD, tap_keep(str_fmt("%s/%s", root, file)), 4096, &text, NULL), 0);
	is_str(tap_keep(text), want);
}

TEST(a_schema_goes_into_the_containers_group_with_its_threads)
{
	static const char *const files[] = { "info/L3", "info/MB", "c1/tasks", "c1/schemata", NULL };
	char *root = fake(files);

	if (rdt_group_update(root, "c1", getpid(), "L3:0=f;1=f", NULL, &E) < 0)
		TAP_FAIL("%s", E.msg);
	holds(root, "c1/schemata", "L3:0=f;1=f\n");
	holds(root, "c1/tasks", tap_keep(str_fmt("%d", (int)getpid())));
	is_int(rdt_group_update(root, "c1", getpid(), "", "MB:0=20;1=70", &E), 0);
	holds(root, "c1/schemata", "MB:0=20;1=70\n");
	is_int(rm_rf(AT_FDCWD, root), 0);
}

TEST(what_the_cpu_lacks_is_named_and_no_group_is_made)
{
	static const char *const files[] = { "info/L3CODE", NULL };
	char *root = fake(files);

	is_int(rdt_group_update(root, "c2", getpid(), "L3CODE:0=f", "MB:0=20", &E), -ENOTSUP);
	has_str(E.msg, "--mem-bw-schema: ");
	has_str(E.msg, "info/MB is missing");
	ok(access(tap_keep(str_fmt("%s/c2", root)), F_OK) < 0);
	is_int(rm_rf(AT_FDCWD, root), 0);
	is_int(rdt_group_update("/nowhere", "c2", getpid(), "L3:0=f", NULL, &E), -ENOTSUP);
	has_str(E.msg, "--l3-cache-schema: /nowhere/info/L3 is missing");
}

TEST(a_group_is_removed_once)
{
	static const char *const files[] = { NULL };
	char *root = fake(files);

	is_int(rdt_group_remove(root, "c1", &E), 0);
	ok(access(tap_keep(str_fmt("%s/c1", root)), F_OK) < 0);
	is_int(rdt_group_remove(root, "c1", &E), 0);
	is_int(rm_rf(AT_FDCWD, root), 0);
}

TEST(a_process_that_is_gone_is_an_error)
{
	static const char *const files[] = { "info/L3", "c1/tasks", "c1/schemata", NULL };
	char *root = fake(files);

	is_int(rdt_group_update(root, "c1", 0x3fffff, "L3:0=f", NULL, &E), -ENOENT);
	is_int(rm_rf(AT_FDCWD, root), 0);
}

TAP_MAIN()
