/* Containers in cgroups: what they have and see of them, and that none is left. What a cgroup is by itself: cgroup_test.c. */
#include "fixture.h"

static bool with_cgroup(struct fixture *f, const char *id)
{
	f->args.no_cgroup = false;
	f->args.id = id;
	f->spec.cgroups_path = str_fmt("/berth-test-%d/%s", (int)getpid(), id);
	return f->host.cgroup != CGROUP_NONE;
}

/* Directories of that name anywhere below the hierarchies. */
static int count_cgroups(const struct fixture *f)
{
	char path[512];
	int n = 0;

	for (int c = 0; c <= CG_CTRL_COUNT; c++) {
		const char *mount = c < CG_CTRL_COUNT ? f->host.cgroup_v1[c] : f->host.cgroup_v2;

		snprintf(path, sizeof(path), "%s%s", mount ? mount : "/nowhere", f->spec.cgroups_path);
		n += access(path, F_OK) == 0;
	}
	return n;
}

static void remove_parents(const struct fixture *f)
{
	char path[512];

	for (int c = 0; c <= CG_CTRL_COUNT; c++) {
		const char *mount = c < CG_CTRL_COUNT ? f->host.cgroup_v1[c] : f->host.cgroup_v2;

		snprintf(path, sizeof(path), "%s/berth-test-%d", mount ? mount : "/nowhere", (int)getpid());
		rmdir(path);
	}
}

TEST(it_lives_in_its_cgroups_and_sees_nothing_else_of_them)
{
	struct fixture f;

	fixture_init(&f);
	if (!with_cgroup(&f, "own"))
		skip("no cgroups here");
	f.spec.resources.memory_limit = 64 << 20;
	f.spec.resources.pids_limit = 50;
	sh(&f, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true");
	is_str(f.out, "67108864\n");
	/* The host's tree would have this test's own directory in it. */
	is_str(sh(&f, "ls -d /sys/fs/cgroup/*/berth-test-* /sys/fs/cgroup/berth-test-* 2>/dev/null | wc -l"), "0\n");
	sh(&f, "mkdir /sys/fs/cgroup/memory/x 2>/dev/null || mkdir /sys/fs/cgroup/x 2>/dev/null || echo refused");
	is_str(f.out, "refused\n");
	is_int(count_cgroups(&f), 0);
	remove_parents(&f);
	fixture_done(&f);
}

TEST(an_out_of_memory_kill_is_reported_as_one)
{
	struct fixture f;
	struct container *c;
	int status;
	bool oom = false;

	fixture_init(&f);
	if (!with_cgroup(&f, "oom"))
		skip("no cgroups here");
	f.spec.resources.memory_limit = 16 << 20;
	/* tail keeps all of an endless line. */
	ARGS(&f, "sh", "-c", "x=xxxxxxxxxxxxxxxx; while true; do x=$x$x; done");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	is_int(container_reap(c, &status, &oom, &f.err), 0);
	is_int(status_to_exit(status), 137);
	ok(oom);
	container_destroy(c);
	is_int(count_cgroups(&f), 0);
	remove_parents(&f);
	fixture_done(&f);
}

TEST(a_failure_in_any_step_leaves_no_cgroup)
{
	struct fixture f;
	int status;

	fixture_init(&f);
	if (!with_cgroup(&f, "fail"))
		skip("no cgroups here");
	add_mount(&f, "tmpfs", "tmpfs", "/x", "size=lots");
	ok(fixture_run(&f, &status) < 0);
	is_int(count_cgroups(&f), 0);
	drop_mount(&f, "/x");
	ARGS(&f, "no-such-program");
	ok(fixture_run(&f, &status) < 0);
	is_int(f.err.exit, 127);
	is_int(count_cgroups(&f), 0);
	remove_parents(&f);
	fixture_done(&f);
}

TEST(exec_is_in_the_containers_cgroups)
{
	struct fixture f;
	struct container *c;
	struct spec_process p;
	struct container_exec_args a = { .process = &p, .stdio = { 0, 1, 2 } };
	int pidfd, console, status;
	pid_t pid;

	fixture_init(&f);
	if (!with_cgroup(&f, "exec"))
		skip("no cgroups here");
	f.spec.resources.pids_limit = 50;
	ARGS(&f, "sleep", "100");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	spec_process_init(&p);
	for (const char *const *w =
		     (const char *const[]){
			     "sh", "-c", "grep -q 'pids:/$\\|^0::/$' /proc/self/cgroup && ! grep -q berth-test /proc/self/cgroup",
			     NULL };
	     *w; w++)
		ok(strv_push(&p.args, *w) == 0);
	if (container_exec(c, &a, &pid, &pidfd, &console, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	spec_process_done(&p);
	container_destroy(c);
	is_int(count_cgroups(&f), 0);
	remove_parents(&f);
	fixture_done(&f);
}

TAP_MAIN()
