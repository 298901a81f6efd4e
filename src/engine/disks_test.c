/* --disk: what it becomes, and what is refused. */
#include "engine_impl.h"

#include <unistd.h>

#include "tap_dir.h"

static void fresh(void)
{
	tap_dir_enter();
	for (const char *const *name = (const char *const[]){ "a", "b", NULL }; *name; name++) {
		_cleanup_fd_ int fd = open(*name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		ok(fd >= 0 && ftruncate(fd, 1 << 20) == 0);
	}
	ok(symlink("a", "link") == 0);
	ok(link("a", "hard") == 0);
}

static int given(struct launch *l, struct err *e, const char *one, const char *two)
{
	char *options[] = { (char *)(uintptr_t)one, (char *)(uintptr_t)two, NULL };

	*l = (struct launch){ 0 };
	*e = (struct err){ 0 };
	return guest_given_disks(options, l, e);
}

TEST(a_disk_is_raw_and_writable_where_nothing_is_said)
{
	struct launch l;
	struct err e;

	fresh();
	if (given(&l, &e, "link", "b,format=raw,readonly,iops=500,bps=20m") < 0)
		TAP_FAIL("%s", e.msg);
	is_int(l.n_disks, 2);
	is_str(l.disks[0].path, tap_keep(str_fmt("%s/a", tap_dir)));
	is_str(l.disks[0].format, "raw");
	ok(!l.disks[0].is_readonly && !l.disks[0].iops && !l.disks[0].bps);
	ok(l.disks[1].is_readonly && l.disks[1].iops == 500 && l.disks[1].bps == 20 << 20);
	launch_done(&l);
	tap_dir_leave();
}

TEST(what_can_not_be_a_disk_is_named)
{
	static const struct {
		const char *one, *two, *why;
	} rows[] = {
		{ "", NULL, "is not FILE[,OPTION...]" },
		{ ",readonly", NULL, "is not FILE[,OPTION...]" },
		{ "gone", NULL, "does not exist; truncate" },
		{ "a,", NULL, "unknown option \"\"" },
		{ "a,rw", NULL, "unknown option \"rw\"" },
		{ "a,format=vmdk", NULL, "raw and qcow2 are" },
		{ "a,format=qcow2", NULL, "no qcow2 image" },
		{ "a,iops=0", NULL, "such as 500" },
		{ "a,iops=many", NULL, "such as 500" },
		{ "a,bps=-1", NULL, "such as 20m" },
		{ "a,bps=16e", NULL, "such as 20m" },
		{ "/dev/null", NULL, "neither a regular file nor a block device" },
		{ ".", NULL, "neither a regular file nor a block device" },
		{ "a", "hard", "given twice" },
		{ "a,readonly", "link", "given twice" },
	};

	fresh();
	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		struct launch l;
		struct err e;

		if (given(&l, &e, rows[k].one, rows[k].two) >= 0)
			TAP_FAIL("%s was taken", rows[k].one);
		has_str(e.msg, "--disk");
		has_str(e.msg, rows[k].why);
		launch_done(&l);
	}
	tap_dir_leave();
}

TEST(one_disk_may_be_read_twice_and_there_is_an_end_to_their_number)
{
	struct launch l;
	struct err e;
	char *many[VM_GIVEN_MAX + 2] = { NULL }, one[] = "a,readonly";

	fresh();
	is_int(given(&l, &e, "a,ro", "a,readonly"), 0);
	launch_done(&l);
	l = (struct launch){ 0 };
	for (size_t k = 0; k <= VM_GIVEN_MAX; k++)
		many[k] = one;
	is_int(guest_given_disks(many, &l, &e), -E2BIG);
	has_str(e.msg, "at most 16");
	launch_done(&l);
	tap_dir_leave();
}

TAP_MAIN()
