#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "spawn.h"
#include "tap.h"

static void *spin(void *arg)
{
	volatile unsigned long *n = arg;

	for (;;)
		++*n;
	return NULL;
}

/* Two threads, one of them at work; once it is so. */
static pid_t busy(int *ret_pidfd)
{
	int p[2];
	char c;
	pid_t pid;

	ok(pipe(p) == 0);
	pid = fork();
	if (pid == 0) {
		unsigned long n = 0;
		pthread_t t;

		if (pthread_create(&t, NULL, spin, &n) != 0 || write(p[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ok(pid > 0 && read(p[0], &c, 1) == 1);
	*ret_pidfd = pidfd_open_(pid);
	ok(*ret_pidfd >= 0);
	return pid;
}

static void end(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	is_int(waitpid(pid, &status, 0), pid);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(all_threads_stand_still_when_it_returns_and_go_on_by_SIGCONT)
{
	int pidfd;
	pid_t pid = busy(&pidfd);

	ok(!pid_is_stopped(pid));
	is_int(pid_stop(pid, pidfd), 0);
	ok(pid_is_stopped(pid));
	uint64_t before = pid_cpu_ms(pid);
	usleep(50000);
	is_int(pid_cpu_ms(pid), before);
	is_int(pid_stop(pid, pidfd), 0); /* again is no error */
	is_int(pidfd_kill(pidfd, SIGCONT), 0);
	for (int i = 0; i < 1000 && pid_is_stopped(pid); i++)
		usleep(10000);
	ok(!pid_is_stopped(pid));
	end(pid);
}

TEST(who_has_ended_can_not_be_stopped_and_is_not)
{
	int pidfd;
	pid_t pid = busy(&pidfd);

	end(pid);
	is_int(pid_stop(pid, pidfd), -ESRCH);
	ok(!pid_is_stopped(pid));
}

static pid_t seen[8];
static int n_seen;

static int see(pid_t pid, int pidfd, void *arg)
{
	ok(pidfd >= 0 && n_seen < 8);
	seen[n_seen++] = pid;
	return n_seen == *(int *)arg ? -EINTR : 0;
}

TEST(children_are_found_until_somebody_has_had_enough)
{
	int a_fd, b_fd, all = 8, one = 1;
	pid_t a = busy(&a_fd), b = busy(&b_fd);

	is_int(pid_each_child(getpid(), see, &all), 0);
	is_int(n_seen, 2);
	ok((seen[0] == a && seen[1] == b) || (seen[0] == b && seen[1] == a));
	n_seen = 0;
	is_int(pid_each_child(getpid(), see, &one), -EINTR);
	is_int(n_seen, 1);
	end(b);
	n_seen = 0;
	is_int(pid_each_child(a, see, &all), 0);
	is_int(n_seen, 0);
	end(a);
	is_int(pid_each_child(a, see, &all), -ESRCH);
}

TAP_MAIN()
