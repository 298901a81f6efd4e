#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "clock.h"
#include "fd.h"
#include "spawn.h"
#include "str.h"
#include "tap.h"

#define str_fmt(...) ((char *)tap_keep(str_fmt(__VA_ARGS__)))

static char *out_of(const char *script)
{
	char *argv[] = { (char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)script, NULL };
	char *out = NULL;
	struct err e = { 0 };

	if (spawn_output(argv, 1 << 20, &out, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return tap_keep(out);
}

static int run(const struct spawn *s)
{
	struct err e = { 0 };
	int status;
	pid_t pid;

	if (spawn_start(s, &pid, NULL, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_int(spawn_wait(pid, &status), 0);
	return status_to_exit(status);
}

#define SH(script) \
	(char *const[]) { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)script, NULL }

TEST(the_child_has_only_the_descriptors_it_was_given)
{
	int null = open("/dev/null", O_RDWR);
	for (int fd = 40; fd < 60; fd++)
		ok(dup2(null, fd) == fd); /* not close-on-exec */
	ok(dup2(null, 300) == 300);
	int p[2];
	is_int(pipe2(p, O_CLOEXEC), 0);
	const int fds[][2] = { { p[1], 1 }, { null, 7 }, { null, 50 } };
	const struct spawn s = { .path = "/bin/sh", .argv = SH("cd /proc/self/fd && echo *"), .fds = fds, .n_fds = 3 };
	is_int(run(&s), 0);
	close(p[1]);
	static char *text;
	is_int(fd_read_all(p[0], 1000, &text, NULL), 0);
	/* The shell opens one more, the first free one, to read the folder. */
	is_str(text, "0 1 2 3 50 7\n");
}

TEST(unlisted_standard_descriptors_are_dev_null)
{
	int p[2];
	is_int(pipe2(p, O_CLOEXEC), 0);
	const int fds[][2] = { { p[1], 5 } };
	const struct spawn s = {
		.path = "/bin/sh",
		.argv = SH(
			"a=$(readlink /proc/$$/fd/0) b=$(readlink /proc/$$/fd/1) c=$(readlink /proc/$$/fd/2); echo $a $b $c >&5"),
		.fds = fds,
		.n_fds = 1
	};
	is_int(run(&s), 0);
	close(p[1]);
	static char *text;
	is_int(fd_read_all(p[0], 1000, &text, NULL), 0);
	is_str(text, "/dev/null /dev/null /dev/null\n");
}

TEST(descriptors_may_trade_places)
{
	int a[2], b[2];
	is_int(pipe(a), 0);
	is_int(pipe(b), 0);
	ok(dup2(a[1], 7) == 7 && dup2(b[1], 8) == 8);
	const int swap[][2] = { { 7, 8 }, { 8, 7 } };
	const struct spawn t = { .path = "/bin/sh", .argv = SH("echo to-a >&8; echo to-b >&7"), .fds = swap, .n_fds = 2 };
	is_int(run(&t), 0);
	char got[6] = "";
	is_int(fd_read_full(a[0], got, 5), 5);
	is_str(got, "to-a\n");
	is_int(fd_read_full(b[0], got, 5), 5);
	is_str(got, "to-b\n");
}

TEST(the_error_of_exec_is_returned_and_names_the_program)
{
	struct err e = { 0 };
	pid_t pid = 77;
	const struct spawn none = { .path = "/no/such/program", .argv = SH("") };
	const struct spawn data = { .path = "/etc/passwd", .argv = SH("") };
	const struct spawn relative = { .path = "sh", .argv = SH("") };

	is_int(spawn_start(&none, &pid, NULL, &e), -ENOENT);
	has_str(e.msg, "/no/such/program");
	is_int(spawn_start(&data, &pid, NULL, &e), -EACCES);
	is_int(spawn_start(&relative, &pid, NULL, &e), -EINVAL);
	is_int(pid, 77);
	is_int(waitpid(-1, NULL, WNOHANG), -1); /* no zombie stays */
	is_int(errno, ECHILD);
}

TEST(signals_are_unblocked_and_default_in_the_child)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	char *text = out_of("grep -E '^Sig(Blk|Ign)' /proc/self/status");
	is_str(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	sigset_t now;
	sigprocmask(SIG_SETMASK, NULL, &now);
	ok(sigismember(&now, SIGTERM) == 1); /* and the parent's are as they were */
}

TEST(a_pidfd_tells_the_end)
{
	const struct spawn s = { .path = "/bin/sh", .argv = SH("sleep 100") };
	struct err e;
	pid_t pid;
	int pidfd, status;

	is_int(spawn_start(&s, &pid, &pidfd, &e), 0);
	is_int(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	is_int(pidfd_kill(pidfd, SIGTERM), 0);
	is_int(spawn_wait(pid, &status), 0);
	is_int(status_to_exit(status), 128 + SIGTERM);
	is_int(pidfd_kill(pidfd, SIGTERM), -ESRCH);
}

TEST(new_session_and_working_directory)
{
	int p[2], dir = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	is_int(pipe2(p, O_CLOEXEC), 0);
	const int fds[][2] = { { p[1], 1 } };
	const struct spawn s = { .path = "/bin/sh",
				 .argv = SH("pwd; set -- $(cat /proc/$$/stat); [ $1 = $6 ]"),
				 .fds = fds,
				 .n_fds = 1,
				 .new_session = true,
				 .cwd_fd = dir };
	is_int(run(&s), 0);
	close(p[1]);
	static char *text;
	is_int(fd_read_all(p[0], 100, &text, NULL), 0);
	is_str(text, "/proc\n");
}

TEST(die_with_parent_kills_the_child)
{
	int p[2];

	is_int(pipe(p), 0);
	pid_t mid = fork();
	if (mid == 0) {
		const int fds[][2] = { { p[1], 1 } };
		const struct spawn s = { .path = "/bin/sleep",
					 .argv = (char *const[]){ (char *)(uintptr_t) "sleep", (char *)(uintptr_t) "1000", NULL },
					 .fds = fds,
					 .n_fds = 1,
					 .die_with_parent = true };
		pid_t pid;
		_exit(spawn_start(&s, &pid, NULL, NULL) == 0 ? 0 : 1);
	}
	close(p[1]);
	int status;
	is_int(spawn_wait(mid, &status), 0);
	is_int(status, 0);
	char c;
	is_int(read(p[0], &c, 1), 0); /* the sleeper's end closes long before a thousand seconds */
}

/* This very program, run sealed by the test below. */
TEST(a_sealed_program_can_not_be_opened_for_writing)
{
	if (geteuid() != 0)
		skip("needs root for open_tree");
	char dir[] = "/tmp/berth-seal-XXXXXX", exe[64];
	ok(mkdtemp(dir));
	char *copy = str_fmt("cp /bin/sleep %s/prog", dir);
	is_int(system(copy), 0);
	char *path = str_fmt("%s/prog", dir);
	for (int sealed = 0; sealed < 2; sealed++) {
		const struct spawn s = { .path = path,
					 .argv = (char *const[]){ (char *)(uintptr_t) "prog", (char *)(uintptr_t) "1000", NULL },
					 .sealed = sealed };
		struct err e = { 0 };
		pid_t pid;
		int status;
		if (spawn_start(&s, &pid, NULL, &e) < 0)
			TAP_FAIL("%s", e.msg);
		snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)pid);
		int readable = open(exe, O_RDONLY | O_CLOEXEC);
		int handle = open(exe, O_PATH | O_CLOEXEC);
		ok(readable >= 0 && handle >= 0);
		char name[32] = "", comm[64];
		snprintf(comm, sizeof(comm), "/proc/%d/comm", (int)pid);
		int c = open(comm, O_RDONLY);
		ok(read(c, name, sizeof(name) - 1) > 0);
		is_str(name, "prog\n");
		kill(pid, SIGKILL);
		is_int(spawn_wait(pid, &status), 0);
		/* While it runs, ETXTBSY protects every program; the attack writes after its end, through a handle kept. */
		char via[FD_PATH_LEN];
		int w = open(fd_path(handle, via), O_WRONLY | O_CLOEXEC);
		if (sealed) {
			ok(w < 0);
			is_int(errno, EROFS);
		} else {
			ok(w >= 0); /* the control: without the seal the attack works */
		}
		fd_close(w);
	}
	is_int(rm_rf(AT_FDCWD, dir), 0);
}

TEST(output_is_collected_and_limited)
{
	char *out = NULL;
	struct err e = { 0 };
	char *const big[] = { (char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t) "yes", NULL };
	char *const bad[] = { (char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c",
			      (char *)(uintptr_t) "echo no luck >&2; exit 3", NULL };

	is_str(out_of("printf 'a b'; head -c 200000 /dev/zero >&2"), "a b");
	is_int(spawn_output(big, 1000, &out, &e), -EFBIG);
	is_int(spawn_output(bad, 1000, &out, &e), -EIO);
	has_str(e.msg, "status 3: no luck");
	ok(out == NULL);
}

TEST(programs_are_found_on_the_fixed_path_only)
{
	setenv("PATH", "/tmp", 1);
	char *sh = tap_keep(spawn_find("sh"));
	ok(sh);
	ok(str_ends(sh, "/bin/sh"));
	ok(!spawn_find("no-such-program-here"));
	ok(!spawn_find("../bin/sh"));
	ok(!spawn_find("/bin/sh"));
	ok(!spawn_find(""));
}

TEST(start_times_differ_between_processes_and_are_stable)
{
	uint64_t a, b;

	is_int(pid_start_time(getpid(), &a), 0);
	prctl(PR_SET_NAME, "a) R 1 (b"); /* a name made to confuse the parser */
	is_int(pid_start_time(getpid(), &b), 0);
	ok(a == b && a > 0);
	is_int(pid_start_time(0, &a), -EINVAL);
	is_int(pid_start_time(1 << 30, &a), -ESRCH);
}

TEST(whether_a_program_was_executed_is_known_of_the_ended_too)
{
	pid_t forked = fork(), executed;
	siginfo_t si;

	if (forked == 0)
		_exit(0);
	executed = fork();
	if (executed == 0) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	is_int(waitid(P_PID, (id_t)forked, &si, WEXITED | WNOWAIT), 0);
	is_int(waitid(P_PID, (id_t)executed, &si, WEXITED | WNOWAIT), 0);
	is_int(pid_has_execed(forked), 0);
	is_int(pid_has_execed(executed), 1);
	waitpid(forked, NULL, 0);
	waitpid(executed, NULL, 0);
	is_int(pid_has_execed(executed), -ESRCH);
}

static void on_signal(int sig) { (void)sig; }

/* The first process of a new pid namespace, once it has done what it is to do: spin, or wait for ever. */
static pid_t first_process(void (*prepare)(void), bool spins)
{
	int pipe_fds[2];
	char c;

	is_int(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		if (prepare)
			prepare();
		close(pipe_fds[1]);
		for (;;)
			if (!spins)
				pause();
	}
	close(pipe_fds[1]);
	if (pid > 0)
		is_int(read(pipe_fds[0], &c, 1), 0);
	close(pipe_fds[0]);
	return pid;
}

static void catches(void) { signal(SIGTERM, on_signal); }
static void ignores(void) { signal(SIGTERM, SIG_IGN); }
static void blocks(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGTERM);
	sigprocmask(SIG_BLOCK, &s, NULL);
}

TEST(a_first_process_is_deaf_to_what_it_neither_catches_ignores_nor_blocks_while_it_works)
{
	static const struct {
		void (*prepare)(void);
		bool spins, at_work, deaf;
	} rows[] = {
		{ NULL, true, true, true },    { catches, true, true, false }, { ignores, true, true, false },
		{ blocks, true, true, false }, { NULL, false, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t pid = first_process(rows[i].prepare, rows[i].spins);

		if (pid < 0)
			skip("a pid namespace can't be made here");
		for (int n = 0; n < 1000 && pid_is_at_work(pid) != rows[i].at_work; n++)
			usleep(1000);
		is_int(pid_is_at_work(pid), rows[i].at_work);
		is_int(pid_is_deaf_at_work(pid, SIGTERM), rows[i].deaf);
		for (int n = 0; rows[i].spins && n < 10000 && !pid_cpu_ms(pid); n++)
			usleep(1000);
		ok(!rows[i].spins || pid_cpu_ms(pid) > 0);
		ok(!pid_is_deaf_at_work(pid, SIGKILL));
		ok(!pid_is_deaf_at_work(pid, 0));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		ok(!pid_is_at_work(pid));
		ok(!pid_is_deaf_at_work(pid, SIGTERM));
		is_int((long)pid_cpu_ms(pid), 0);
	}
	ok(!pid_is_deaf_at_work(getpid(), SIGUSR1)); /* it is the first of none */
}

TEST(signals_by_name_and_number)
{
	static const struct {
		const char *s;
		int sig;
	} rows[] = {
		{ "SIGTERM", 15 },
		{ "TERM", 15 },
		{ "term", 15 },
		{ "15", 15 },
		{ "sigkill", 9 },
		{ "RTMIN", 34 },
		{ "RTMIN+3", 37 },
		{ "SIGRTMAX", 64 },
		{ "RTMAX-2", 62 },
		{ "64", 64 },
		{ "IOT", 6 },
		{ "POLL", 29 },
		{ "0", -EINVAL },
		{ "65", -EINVAL },
		{ "", -EINVAL },
		{ "SIG", -EINVAL },
		{ "TERMX", -EINVAL },
		{ "-9", -EINVAL },
		{ "RTMIN-1", -EINVAL },
		{ "RTMIN+31", -EINVAL },
		{ "RTMIN+", -EINVAL },
		{ "SIGSIGTERM", -EINVAL },
		{ "AVERYLONGSIGNALNAMEINDEED", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (signal_parse(rows[i].s) != rows[i].sig)
			TAP_FAIL("%s gives %d", rows[i].s, signal_parse(rows[i].s));
	for (int sig = 1; sig < 32; sig++) {
		ok(signal_name(sig));
		is_int(signal_parse(signal_name(sig)), sig);
	}
	ok(!signal_name(0) && !signal_name(32) && !signal_name(-1));
}

TAP_MAIN()
