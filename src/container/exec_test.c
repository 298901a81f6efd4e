/* Further processes in a running container, and terminals of both kinds. */
#include "fixture.h"

#include <sys/ioctl.h>

struct running {
	struct fixture f;
	struct container *c;
	struct spec_process p;
	char out[4096];
};

static void up(struct running *r)
{
	ARGS(&r->f, "sleep", "100");
	if (container_create(&r->f.args, &r->c, &r->f.err) < 0 || container_start(r->c, &r->f.err) < 0)
		TAP_FAIL("%s", r->f.err.msg);
	spec_process_init(&r->p);
	r->p.cwd = strdup("/");
	ok(strv_push(&r->p.env, "PATH=/bin") == 0);
}

static void down(struct running *r)
{
	spec_process_done(&r->p);
	container_destroy(r->c);
	fixture_done(&r->f);
}

static void exec_args(struct running *r, const char *const *argv)
{
	strv_free(r->p.args);
	r->p.args = NULL;
	for (; *argv; argv++)
		ok(strv_push(&r->p.args, *argv) == 0);
}
#define EXEC(r, ...) (exec_args(r, (const char *const[]){ __VA_ARGS__, NULL }), do_exec(r))

/* Its exit code, or -errno; output in r->out. */
static int do_exec(struct running *r)
{
	struct container_exec_args a = { .process = &r->p, .stdio = { 0, 1, 2 } };
	int fds[2], pidfd, console, status, n;
	size_t have = 0;
	pid_t pid;

	r->f.err = (struct err){ 0 };
	ok(pipe2(fds, O_CLOEXEC) == 0);
	a.stdio[1] = a.stdio[2] = fds[1];
	n = container_exec(r->c, &a, &pid, &pidfd, &console, &r->f.err);
	close(fds[1]);
	if (n < 0) {
		close(fds[0]);
		return n;
	}
	for (ssize_t k; have + 1 < sizeof(r->out) && (k = read(fds[0], r->out + have, sizeof(r->out) - 1 - have)) > 0;)
		have += (size_t)k;
	r->out[have] = 0;
	ok(waitpid(pid, &status, 0) == pid);
	is_int(console, -1);
	close(fds[0]);
	close(pidfd);
	return status_to_exit(status);
}

static long count_mounts(void)
{
	_cleanup_free_ char *text = NULL;
	long n = 0;

	is_int(file_read(AT_FDCWD, "/proc/self/mountinfo", 1u << 20, &text, NULL), 0);
	for (const char *p = text; *p; p++)
		n += *p == '\n';
	return n;
}

/* Makes dir show all of the host's tree, and goes there. */
static void enter_chroot(const char *dir)
{
	ok(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0);
	ok(mount("/", dir, NULL, MS_BIND | MS_REC, NULL) == 0 && chroot(dir) == 0 && chdir("/") == 0);
}

static const char *const parts[] = { "bin", "dev", "etc", "lib", "lib64", "proc", "sys", "tmp", "usr" };

/* The same for a folder that is no mount, as PID 1 of a PID namespace, whose root is then nobody's measure. Below the root's own
 * mount: only the folder itself then tells the two apart. */
static void enter_plain_chroot(const char *dir)
{
	char path[64], top[16];
	int status;
	pid_t pid;

	ok(unshare(CLONE_NEWNS | CLONE_NEWPID) == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, parts[i]);
		snprintf(top, sizeof(top), "/%s", parts[i]);
		ok(mkdir(path, 0755) == 0 && mount(top, path, NULL, MS_BIND | MS_REC, NULL) == 0);
	}
	pid = fork();
	if (pid != 0) {
		ok(waitpid(pid, &status, 0) == pid);
		_exit(status_to_exit(status));
	}
	unsetenv("PROBE"); /* is elsewhere */
	ok(chroot(dir) == 0 && chdir("/") == 0 && mount("proc", "/proc", "proc", 0, NULL) == 0);
}

static void check_exec_in_chroot(void (*enter)(const char *dir))
{
	struct running r = { .c = NULL };
	char dir[] = "/tmp/berth-chroot.XXXXXX", path[64];
	long mounts = count_mounts();
	int status;
	pid_t pid;

	fixture_init(&r.f); /* skips where this can't be done */
	fixture_done(&r.f);
	ok(mkdtemp(dir) != NULL);
	pid = fork();
	if (pid == 0) {
		enter(dir);
		fixture_init(&r.f);
		up(&r);
		is_int(EXEC(&r, "sh", "-c", "ls -A / | wc -l; ls -A /.. | wc -l; cd /; ls -A .. | wc -l"), 0);
		is_str(r.out, "6\n6\n6\n");
		/* Nothing of the host's tree is left in the namespace. */
		is_int(EXEC(&r, "sh", "-c",
			    "cd /proc/self; grep -c '^[0-9]* [0-9]* [0-9:]* [^ ]* / ' mountinfo; grep -c /berth-chroot "
			    "mountinfo"),
		       1);
		is_str(r.out, "1\n0\n");
		down(&r);
		_exit(0);
	}
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	is_int(count_mounts(), mounts);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, parts[i]);
		ok(rmdir(path) == 0 || errno == ENOENT);
	}
	is_int(rmdir(dir), 0);
}

TEST(exec_enters_the_container_also_where_its_maker_is_in_a_chroot) { check_exec_in_chroot(enter_chroot); }

TEST(exec_enters_the_container_also_where_pid_1_is_in_the_same_chroot) { check_exec_in_chroot(enter_plain_chroot); }

TEST(exec_runs_in_the_containers_namespaces)
{
	struct running r = { .c = NULL };

	fixture_init(&r.f);
	r.f.spec.hostname = strdup("inside");
	up(&r);
	is_int(EXEC(&r, "sh", "-c", "hostname; cat /proc/1/comm; set -- /proc/[0-9]*; echo $#; ls -A / | wc -l"), 0);
	is_str(r.out, "inside\nsleep\n2\n6\n");
	/* In every namespace of PID 1. */
	is_int(EXEC(&r, "sh", "-c",
		    "for n in mnt pid net ipc uts cgroup; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || "
		    "echo $n; done"),
	       0);
	is_str(r.out, "");
	down(&r);
}

TEST(exec_reports_exit_codes_and_failures)
{
	struct running r = { .c = NULL };

	fixture_init(&r.f);
	up(&r);
	is_int(EXEC(&r, "sh", "-c", "exit 3"), 3);
	ok(EXEC(&r, "no-such-program") < 0);
	is_int(r.f.err.exit, 127);
	ok(EXEC(&r, "/etc/passwd") < 0);
	is_int(r.f.err.exit, 126);
	r.p.user.username = strdup("mallory");
	ok(EXEC(&r, "true") < 0);
	has_str(r.f.err.msg, "mallory");
	down(&r);
}

TEST(exec_has_the_containers_capabilities_unless_told)
{
	struct running r = { .c = NULL };

	fixture_init(&r.f);
	up(&r);
	is_int(EXEC(&r, "grep", "Cap", "/proc/self/status"), 0);
	has_str(r.out,
		"CapInh:\t0000000000000000\nCapPrm:\t00000000800405fb\nCapEff:\t00000000800405fb\nCapBnd:\t00000000800405fb\n");
	r.p.has_caps = true;
	is_int(EXEC(&r, "grep", "CapEff", "/proc/self/status"), 0);
	is_str(r.out, "CapEff:\t0000000000000000\n");
	down(&r);
}

TEST(exec_takes_user_home_directory_and_environment)
{
	struct running r = { .c = NULL };

	fixture_init(&r.f);
	up(&r);
	r.p.user.username = strdup("alice");
	free(r.p.cwd);
	r.p.cwd = strdup("/tmp");
	ok(strv_push(&r.p.env, "COLOR=blue") == 0);
	is_int(EXEC(&r, "sh", "-c", "id -u; id -G; pwd; echo $HOME $COLOR"), 0);
	is_str(r.out, "1000\n1001 50\n/tmp\n/home/alice blue\n");
	down(&r);
}

TEST(R05_exec_with_a_magic_working_directory_is_refused)
{
	struct running r = { .c = NULL };
	int host = open("/", O_PATH | O_DIRECTORY);

	fixture_init(&r.f);
	up(&r);
	for (int fd = 20; fd < 40; fd++)
		ok(dup2(host, fd) == fd);
	for (int fd = 0; fd < 40; fd++) {
		free(r.p.cwd);
		r.p.cwd = str_fmt("/proc/self/fd/%d", fd);
		ok(EXEC(&r, "pwd") < 0);
	}
	down(&r);
}

TEST(exec_leaks_no_descriptor)
{
	struct running r = { .c = NULL };

	fixture_init(&r.f);
	needs_probe(&r.f);
	for (int fd = 50; fd < 60; fd++)
		ok(dup2(0, fd) == fd);
	up(&r);
	is_int(EXEC(&r, "probe", "fds"), 0);
	is_str(r.out, "0 1 2 \n");
	down(&r);
}

TEST(exec_into_an_ended_container_is_refused)
{
	struct running r = { .c = NULL };
	int status;
	bool oom;

	fixture_init(&r.f);
	up(&r);
	is_int(container_kill(r.c, SIGKILL, &r.f.err), 0);
	ok(poll(&(struct pollfd){ .fd = container_pidfd(r.c), .events = POLLIN }, 1, 5000) == 1);
	ok(EXEC(&r, "true") < 0);
	has_str(r.f.err.msg, "not running");
	is_int(container_reap(r.c, &status, &oom, &r.f.err), 0);
	ok(EXEC(&r, "true") < 0);
	has_str(r.f.err.msg, "not running");
	down(&r);
}

TEST(a_hundred_failed_execs_leave_nothing_behind)
{
	struct running r = { .c = NULL };
	int fds = 0;

	fixture_init(&r.f);
	up(&r);
	for (int i = 0; i < 100; i++) {
		ok(EXEC(&r, "no-such-program") < 0);
		if (i == 5)
			fds = count_fds();
	}
	is_int(count_fds(), fds);
	is_int(EXEC(&r, "sh", "-c", "set -- /proc/[0-9]*; echo $#"), 0);
	is_str(r.out, "2\n");
	down(&r);
}

/* What comes out of a pty until it is hung up. */
static void read_console(int fd, char *out, size_t size)
{
	size_t n = 0;

	for (ssize_t k; n + 1 < size && (k = read(fd, out + n, size - 1 - n)) > 0;)
		n += (size_t)k;
	out[n] = 0;
	close(fd);
}

TEST(a_terminal_has_its_size_and_is_the_controlling_one)
{
	struct fixture f;
	struct container *c;
	int console, status;
	bool oom;

	fixture_init(&f);
	f.spec.process.terminal = true;
	f.spec.process.console_rows = 33;
	f.spec.process.console_cols = 101;
	ARGS(&f, "sh", "-c", "stty size; tty; echo tty > /dev/tty; echo console > /dev/console; stat -c %t /dev/console");
	is_int(container_create(&f.args, &c, &f.err), 0);
	console = container_take_console(c);
	ok(console >= 0 && container_take_console(c) == -1);
	is_int(container_start(c, &f.err), 0);
	read_console(console, f.out, sizeof(f.out));
	is_str(f.out, "33 101\r\n/dev/pts/0\r\ntty\r\nconsole\r\n88\r\n");
	is_int(container_reap(c, &status, &oom, &f.err), 0);
	is_int(status, 0);
	container_destroy(c);
	fixture_done(&f);
}

TEST(a_terminal_belongs_to_the_user)
{
	struct fixture f;
	struct container *c;
	int console, status;
	bool oom;

	fixture_init(&f);
	f.spec.process.terminal = true;
	f.spec.process.user.username = strdup("alice");
	ARGS(&f, "sh", "-c", "stat -c '%u %g %a' /dev/pts/0; echo out > /dev/stdout");
	is_int(container_create(&f.args, &c, &f.err), 0);
	console = container_take_console(c);
	is_int(container_start(c, &f.err), 0);
	read_console(console, f.out, sizeof(f.out));
	is_str(f.out, "1000 5 620\r\nout\r\n");
	is_int(container_reap(c, &status, &oom, &f.err), 0);
	container_destroy(c);
	fixture_done(&f);
}

TEST(pipes_can_be_opened_again_by_the_user)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.process.user.username = strdup("alice");
	is_str(sh(&f, "echo out > /dev/stdout"), "out\n");
	fixture_done(&f);
}

TEST(R08_a_terminal_comes_from_the_containers_devpts_only)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.process.terminal = true;
	drop_mount(&f, "/dev/pts");
	has_str(refused(&f), "/dev/pts");
	/* A mount that puts something else there. */
	add_mount(&f, "tmpfs", "tmpfs", "/dev/pts", "nosuid");
	has_str(refused(&f), "devpts");
	fixture_done(&f);
}

TEST(exec_has_a_terminal_of_its_own)
{
	struct running r = { .c = NULL };
	struct container_exec_args a;
	int pidfd, console, status;
	pid_t pid;

	fixture_init(&r.f);
	up(&r);
	exec_args(&r, (const char *const[]){ "sh", "-c", "tty; stty size; echo x > /dev/tty", NULL });
	r.p.terminal = true;
	r.p.console_rows = 10;
	r.p.console_cols = 20;
	a = (struct container_exec_args){ .process = &r.p, .stdio = { -1, -1, -1 } };
	if (container_exec(r.c, &a, &pid, &pidfd, &console, &r.f.err) < 0)
		TAP_FAIL("%s", r.f.err.msg);
	ok(console >= 0);
	read_console(console, r.out, sizeof(r.out));
	is_str(r.out, "/dev/pts/0\r\n10 20\r\nx\r\n");
	ok(waitpid(pid, &status, 0) == pid && status == 0);
	close(pidfd);
	down(&r);
}

TAP_MAIN()
