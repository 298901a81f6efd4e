/* Starting programs. vfork-like (clone CLONE_VM|CLONE_VFORK) so that the cost does not grow with the parent. */
#pragma once

#include "err.h"
#include "util.h"

struct spawn {
	const char *path; /* absolute */
	char *const *argv;
	char *const *env; /* NULL = environ */
	/* {ours, theirs}: dup2'd in the child, where all others are closed (close_range); 0, 1 and 2 when not among theirs
	 * are /dev/null. At most 64. */
	const int (*fds)[2];
	size_t n_fds;
	bool new_session;     /* setsid */
	bool die_with_parent; /* PR_SET_PDEATHSIG SIGKILL */
	/* Executes from a read-only detached clone of the binary's mount (open_tree + mount_setattr, Linux 5.12), so that
	 * /proc/PID/exe can never be opened for writing from inside a container (CVE-2019-5736). Needs CAP_SYS_ADMIN. The
	 * program's own /proc/self/exe then reads "/NAME": give it BERTH_LIBEXECDIR where it looks for siblings. */
	bool sealed;
	int cwd_fd; /* -1 or 0 = inherit */
};

/* *ret_pid and *ret_pidfd may be NULL. Signals are unblocked and reset to default in the child. The exec's error is returned. */
int spawn_start(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *e);
/* Waits for pid; *ret_status as from waitpid. */
int spawn_wait(pid_t pid, int *ret_status);
/* Start, collect stdout (at most max bytes; stderr likewise into the error's text), wait. Non-zero exit = -EIO. */
int spawn_output(char *const *argv, size_t max, char **ret_out, struct err *e);
/* Searches the fixed path /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin and /usr/lib/qemu, /usr/libexec;
 * never $PATH. NULL when absent; caller frees. */
char *spawn_find(const char *program);
/* Exit status by the shell's convention: exit code, or 128 + signal. */
int status_to_exit(int wait_status);

int pidfd_open_(pid_t pid);         /* pidfd or -errno */
int pidfd_kill(int pidfd, int sig); /* 0 or -errno */
/* Of a process that holds a record lock (fcntl F_SETLK) on fd's file, on its first len bytes (0: on any), and where that begins (ret_start may
 * be NULL): the pidfd, or -errno; -ESRCH: nobody holds one, or somebody whose pid namespace is not ours. */
int pidfd_of_lock(int fd, off_t len, off_t *ret_start);
/* Start time of pid in clock ticks since boot (/proc/PID/stat field 22): guards against pid reuse. -ESRCH also for a
 * zombie. */
int pid_start_time(pid_t pid, uint64_t *ret_ticks);
/* Whether it has executed a program since it was forked: 1 or 0, also of one that has ended and is not yet collected. -ESRCH: gone. */
int pid_has_execed(pid_t pid);
/* The processor time that it has had so far, in ms, as exact as clock ticks are. 0 also where there is no such process. */
uint64_t pid_cpu_ms(pid_t pid);
/* Whether it is at work: on a CPU, waiting for one, or for a disk; neither has it ended nor does it wait for anything else. */
bool pid_is_at_work(pid_t pid);
/* At work, and the signal would be thrown away: the first process of a pid namespace gets only what it has a handler for, or
 * blocks, but for SIGKILL and SIGSTOP (pid_namespaces(7)). One that merely has not come to set its handler looks so too. */
bool pid_is_deaf_at_work(pid_t pid, int sig);
/* stop.c: SIGSTOP, and the wait until all of its threads stand still, five seconds at most: then it goes on, -ETIMEDOUT. -ESRCH: it has ended.
 * pidfd: its own. */
int pid_stop(pid_t pid, int pidfd);
/* Do all of its threads stand still? */
bool pid_is_stopped(pid_t pid);
/* Each child that the parent's first thread has started, until fn returns less than 0, which is returned. -ESRCH: there is no such parent. */
int pid_each_child(pid_t parent, int (*fn)(pid_t pid, int pidfd, void *arg), void *arg);
/* This process is in a user namespace that somebody has made: its root is not the host's. */
bool in_user_namespace(void);
/* "SIGTERM", "TERM", "15", "RTMIN+3" -> number, or -EINVAL. name: "TERM" without SIG, or NULL. */
int signal_parse(const char *s);
const char *signal_name(int sig);
