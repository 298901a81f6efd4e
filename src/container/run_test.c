/* Whole runs: what a process in a container sees, and how it ends. */
#include "fixture.h"

#include <sys/prctl.h>

TEST(exit_code_is_the_process_exit_code)
{
	struct fixture f;

	fixture_init(&f);
	is_int(run_exit(&f), 0);
	ARGS(&f, "false");
	is_int(run_exit(&f), 1);
	ARGS(&f, "sh", "-c", "exit 42");
	is_int(run_exit(&f), 42);
	fixture_done(&f);
}

TEST(first_process_is_pid_1_in_a_pid_namespace_of_its_own)
{
	struct fixture f;

	fixture_init(&f);
	is_str(sh(&f, "echo $$"), "1\n");
	is_str(sh(&f, "set -- /proc/[0-9]*; echo $#"), "1\n");
	fixture_done(&f);
}

TEST(a_signal_ends_it_and_is_reported)
{
	struct fixture f;
	struct container *c;
	int status;
	bool oom;

	fixture_init(&f);
	ARGS(&f, "sleep", "100");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	ok(container_pid(c) > 1);
	is_int(container_kill(c, SIGKILL, &f.err), 0);
	is_int(container_reap(c, &status, &oom, &f.err), 0);
	is_int(status_to_exit(status), 128 + SIGKILL);
	ok(!oom);
	is_int(container_kill(c, SIGTERM, &f.err), -ESRCH);
	container_destroy(c);
	fixture_done(&f);
}

TEST(nothing_of_the_users_runs_before_start)
{
	struct fixture f;
	struct container *c;
	struct stat st;
	char path[128];

	fixture_init(&f);
	ARGS(&f, "touch", "/tmp/ran");
	snprintf(path, sizeof(path), "%s/tmp/ran", f.dir);
	is_int(container_create(&f.args, &c, &f.err), 0);
	usleep(20000);
	ok(stat(path, &st) < 0);
	container_destroy(c);
	ok(stat(path, &st) < 0);
	fixture_done(&f);
}

TEST(destroy_of_a_created_container_leaves_no_process)
{
	struct fixture f;
	struct container *c;
	pid_t pid;

	fixture_init(&f);
	is_int(container_create(&f.args, &c, &f.err), 0);
	pid = container_pid(c);
	ok(kill(pid, 0) == 0);
	container_destroy(c);
	ok(kill(pid, 0) < 0 && errno == ESRCH);
	fixture_done(&f);
}

TEST(start_twice_is_refused)
{
	struct fixture f;
	struct container *c;

	fixture_init(&f);
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	is_int(container_start(c, &f.err), -EINVAL);
	container_destroy(c);
	fixture_done(&f);
}

TEST(a_command_that_is_not_there_is_127)
{
	struct fixture f;

	fixture_init(&f);
	ARGS(&f, "no-such-program");
	has_str(refused(&f), "no-such-program");
	is_int(f.err.exit, 127);
	ARGS(&f, "/no/such/program");
	has_str(refused(&f), "not found");
	is_int(f.err.exit, 127);
	fixture_file(&f, "/tmp/script", "#!/no/interpreter\n");
	sh(&f, "true");
	{
		char path[128];
		snprintf(path, sizeof(path), "%s/tmp/script", f.dir);
		ok(chmod(path, 0755) == 0);
	}
	ARGS(&f, "/tmp/script");
	has_str(refused(&f), "interpreter");
	is_int(f.err.exit, 127);
	fixture_done(&f);
}

TEST(a_command_that_can_not_be_run_is_126)
{
	struct fixture f;

	fixture_init(&f);
	ARGS(&f, "/etc/passwd");
	has_str(refused(&f), "/etc/passwd");
	is_int(f.err.exit, 126);
	ARGS(&f, "/etc");
	refused(&f);
	is_int(f.err.exit, 126);
	fixture_file(&f, "/bin/garbage", "\x7f\x7f\x7fgarbage");
	{
		char path[128];
		snprintf(path, sizeof(path), "%s/bin/garbage", f.dir);
		ok(chmod(path, 0755) == 0);
	}
	ARGS(&f, "garbage");
	has_str(refused(&f), "not a program");
	is_int(f.err.exit, 126);
	fixture_done(&f);
}

TEST(host_and_domain_name_are_its_own)
{
	struct fixture f;
	char before[65], after[65];

	fixture_init(&f);
	ok(gethostname(before, sizeof(before)) == 0);
	f.spec.hostname = strdup("inside");
	f.spec.domainname = strdup("nis.example");
	is_str(sh(&f, "hostname; cat /proc/sys/kernel/domainname"), "inside\nnis.example\n");
	ok(gethostname(after, sizeof(after)) == 0);
	is_str(after, before);
	fixture_done(&f);
}

TEST(a_host_name_without_a_uts_namespace_is_refused)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.hostname = strdup("inside");
	f.spec.ns.wanted[NS_UTS] = false;
	has_str(refused(&f), "uts namespace");
	fixture_done(&f);
}

TEST(no_descriptor_of_the_runtime_reaches_the_program)
{
	struct fixture f;

	fixture_init(&f);
	needs_probe(&f);
	/* Not close-on-exec, as a careless caller's might be. */
	for (int fd = 50; fd < 60; fd++)
		ok(dup2(0, fd) == fd);
	ARGS(&f, "probe", "fds");
	is_int(run_exit(&f), 0);
	is_str(f.out, "0 1 2 \n");
	fixture_done(&f);
}

TEST(standard_streams_may_come_in_any_order)
{
	struct fixture f;
	struct container *c;
	int fds[2], status;
	char out[16] = "";
	bool oom;

	fixture_init(&f);
	ok(pipe2(fds, O_CLOEXEC) == 0);
	ARGS(&f, "echo", "hello");
	/* Descriptors 0 to 2 of this process are in the way of each other. */
	ok(dup2(fds[1], 0) == 0);
	f.args.stdio[0] = 1;
	f.args.stdio[1] = 0;
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	is_int(container_reap(c, &status, &oom, &f.err), 0);
	is_int(status, 0);
	is_int(read(fds[0], out, sizeof(out) - 1), 6);
	is_str(out, "hello\n");
	container_destroy(c);
	fixture_done(&f);
}

TEST(loopback_is_up_and_ping_needs_no_privilege)
{
	struct fixture f;

	fixture_init(&f);
	is_str(sh(&f, "cat /sys/class/net/lo/flags; cat /proc/sys/net/ipv4/ping_group_range"), "0x9\n0\t2147483647\n");
	f.args.allows_ping = false; /* a config.json that does not ask for it */
	is_str(sh(&f, "cat /proc/sys/net/ipv4/ping_group_range"), "1\t0\n");
	fixture_done(&f);
}

TEST(home_comes_from_passwd_unless_given)
{
	struct fixture f;

	fixture_init(&f);
	is_str(sh(&f, "echo $HOME"), "/root\n");
	f.spec.process.user.username = strdup("alice");
	is_str(sh(&f, "echo $HOME"), "/home/alice\n");
	ok(strv_push(&f.spec.process.env, "HOME=/elsewhere") == 0);
	is_str(sh(&f, "echo $HOME"), "/elsewhere\n");
	fixture_done(&f);
}

TEST(init_runs_from_a_mount_that_nobody_can_write_to)
{
	struct fixture f;

	fixture_init(&f);
	needs_probe(&f);
	f.args.init_path = getenv("PROBE");
	ARGS(&f, "true", "with", "words");
	is_int(run_exit(&f), 0);
	is_str(f.out, "init 1: -- true with words\nexe: ETXTBSY\nmount: read-only\n");
	ARGS(&f, "no-such-program");
	refused(&f);
	is_int(f.err.exit, 127);
	fixture_done(&f);
}

/* The parent makes a container, tells its pid, and dies. */
static void parent_that_dies(struct fixture *f, int out)
{
	struct container *c;
	pid_t pid;

	ARGS(f, "sleep", "100");
	if (container_create(&f->args, &c, &f->err) < 0 || container_start(c, &f->err) < 0)
		_exit(1);
	pid = container_pid(c);
	_exit(write(out, &pid, sizeof(pid)) != sizeof(pid));
}

TEST(it_dies_with_its_parent)
{
	struct fixture f;
	int fds[2], pidfd, status;
	struct pollfd p;
	pid_t maker, pid = 0;

	fixture_init(&f);
	f.spec.process.user.uid = 1000; /* the change of user clears the death signal */
	ok(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	ok(pipe2(fds, O_CLOEXEC) == 0);
	maker = fork();
	if (maker == 0)
		parent_that_dies(&f, fds[1]);
	ok(waitpid(maker, &status, 0) == maker && status == 0);
	is_int(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
	pidfd = pidfd_open_(pid);
	if (pidfd >= 0) {
		p = (struct pollfd){ .fd = pidfd, .events = POLLIN };
		is_int(poll(&p, 1, 30000), 1);
	}
	fixture_done(&f);
}

struct seen {
	int n, pivot, exec, started;
	uint64_t last;
};

static void on_step(const char *step, uint64_t ns, void *arg)
{
	struct seen *s = arg;

	s->n++;
	s->pivot += streq(step, "pivot");
	s->exec += streq(step, "program");
	s->started += streq(step, "started");
	s->last = ns;
}

TEST(a_trace_names_each_step_once)
{
	struct fixture f;
	struct seen seen = { 0 };

	fixture_init(&f);
	f.args.trace = on_step;
	f.args.trace_arg = &seen;
	is_int(run_exit(&f), 0);
	is_int(seen.pivot, 1);
	is_int(seen.exec, 1);
	is_int(seen.started, 1);
	ok(seen.n > 30 && seen.last > 0);
	fixture_done(&f);
}

TEST(preserved_descriptors_reach_the_process_and_no_others)
{
	struct fixture f;
	int a, b;

	fixture_init(&f);
	for (int fd = 3; fd < 10; fd++)
		close(fd);
	a = open("/dev/zero", O_RDONLY);
	b = open("/dev/null", O_RDONLY);
	is_int(a, 3);
	is_int(b, 4);
	f.args.n_preserve_fds = 1;
	is_str(sh(&f, "readlink /proc/self/fd/3; ls /proc/self/fd"), "/dev/zero\n0\n1\n2\n3\n4\n"); /* 4: ls's own */
	fixture_done(&f);
}

TEST(without_pivot_the_root_is_entered_by_chroot)
{
	struct fixture f;

	fixture_init(&f);
	f.args.no_pivot = true;
	is_str(sh(&f, "cd /.. && pwd && ls -d /bin/busybox"), "/\n/bin/busybox\n");
	fixture_done(&f);
}

static int refuse(void *arg _unused_, struct err *e) { return err_set(e, EIO, "not today"); }

TEST(what_fails_meanwhile_ends_the_start)
{
	struct fixture f;
	struct container *c;

	fixture_init(&f);
	f.args.meanwhile = refuse;
	f.args.starts_at_once = true;
	ARGS(&f, "touch", "/tmp/ran");
	is_int(container_create(&f.args, &c, &f.err), -EIO);
	is_str(f.err.msg, "not today");
	f.args.meanwhile = NULL;
	f.args.starts_at_once = false;
	is_str(sh(&f, "ls /tmp"), "");
	fixture_done(&f);
}

TAP_MAIN()
