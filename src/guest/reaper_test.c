#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include "guest.h"
#include "tap.h"

/* reaper_run in a child that orphans come to, as they do to PID 1. */
static pid_t spawn_reaper(const char *script)
{
	pid_t pid = fork();

	if (pid == 0) {
		char sh[] = "/bin/sh", c[] = "-c", *argv[] = { sh, c, strdup(script), NULL };

		prctl(PR_SET_CHILD_SUBREAPER, 1);
		_exit(reaper_run(argv));
	}
	return pid;
}

static int end_of(pid_t pid)
{
	int st = -1;

	is_int(waitpid(pid, &st, 0), pid);
	ok(WIFEXITED(st));
	return WEXITSTATUS(st);
}

TEST(the_exit_status_is_the_childs)
{
	is_int(end_of(spawn_reaper("exit 42")), 42);
	is_int(end_of(spawn_reaper("kill -9 $$")), 137);
}

TEST(a_program_that_is_missing_is_127_and_one_that_cant_run_126)
{
	char no[] = "/nowhere/x", tmp[] = "/tmp", *missing[] = { no, NULL }, *dir[] = { tmp, NULL };
	pid_t a = fork(), b;

	if (a == 0)
		_exit(reaper_run(missing));
	is_int(end_of(a), 127);
	b = fork();
	if (b == 0)
		_exit(reaper_run(dir));
	is_int(end_of(b), 126);
}

TEST(signals_are_handed_on_to_the_child)
{
	pid_t pid;
	int p[2];
	char c;

	is_int(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		char sh[] = "/bin/sh", opt[] = "-c", script[] = "trap 'exit 9' TERM; echo; while :; do sleep 0.05; done";
		char *argv[] = { sh, opt, script, NULL };

		dup2(p[1], 1);
		_exit(reaper_run(argv));
	}
	is_int(read(p[0], &c, 1), 1);
	kill(pid, SIGTERM);
	is_int(end_of(pid), 9);
}

TEST(orphans_are_reaped_while_the_child_runs)
{
	/* The subshell's background child is orphaned, ends, and must not remain as a zombie of the reaper ($PPID). */
	pid_t pid = spawn_reaper("(true & ) ; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.05; "
				 "n=$(cat /proc/$PPID/task/$PPID/children | wc -w); [ $n = 1 ] && exit 0; done; exit 1");

	is_int(end_of(pid), 0);
}

TAP_MAIN()
