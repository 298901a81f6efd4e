/* reaper: the small PID 1 of a container started with --init. Every signal that may be sent to it is handed on to the one
 * child; every orphan is reaped; the end is the child's. */
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

/* execvp's reasons by the shell's convention. */
static int exec_status(int no) { return no == ENOENT || no == ENOTDIR ? 127 : 126; }

static pid_t start_child(char *const *argv, const sigset_t *mask)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	sigprocmask(SIG_SETMASK, mask, NULL);
	/* A group of its own, in the foreground of the terminal if there is one, so that ^C comes to the child and is not
	 * doubled by the handing on. */
	if (setpgid(0, 0) == 0 && isatty(STDIN_FILENO)) {
		pid_t group = getpid();

		signal(SIGTTOU, SIG_IGN);
		ioctl(STDIN_FILENO, TIOCSPGRP, &group);
		signal(SIGTTOU, SIG_DFL);
	}
	execvp(argv[0], argv);
	int no = errno;
	dprintf(STDERR_FILENO, "init: %s: %s\n", argv[0], strerror(no));
	_exit(exec_status(no));
}

/* true when the child itself has ended. */
static bool reap_all(pid_t child, int *ret_status)
{
	bool ended = false;
	pid_t pid;
	int st;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0)
		if (pid == child) {
			*ret_status = st;
			ended = true;
		}
	return ended;
}

int reaper_run(char *const *argv)
{
	/* Raised by the kernel for a fault of our own: blocking those would hide it. */
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS };
	sigset_t all, before;
	pid_t child;
	int st = 0;

	sigfillset(&all);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		sigdelset(&all, own[i]);
	sigprocmask(SIG_BLOCK, &all, &before);
	child = start_child(argv, &before);
	if (child < 0) {
		dprintf(STDERR_FILENO, "init: fork: %s\n", strerror(errno));
		return 126;
	}
	for (;;) {
		siginfo_t si;
		int sig = sigwaitinfo(&all, &si);

		if (sig == SIGCHLD) {
			if (reap_all(child, &st))
				return status_to_exit(st);
		} else if (sig == SIGTTIN || sig == SIGTTOU) {
			continue; /* ours, for not being in the foreground */
		} else if (sig > 0) {
			kill(child, sig);
		}
	}
}
