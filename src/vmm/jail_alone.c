/* jail_alone: the namespaces of a VM's process.
 *
 * A pid namespace begins with a child, and a process of several threads can't have one (clone(2)), so:
 *
 *   starter ── berth-vmm, stands by ── berth-vmm, process 1 of its namespace, the VM
 *
 * The one that stands by has given up all that the VM gives up but the view of the host's names. Who starts berth-vmm as the first
 * process of a pid namespace spares it. */
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail_impl.h"

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

static bool is_capable(unsigned cap)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return syscall(SYS_capget, &head, data) == 0 && data[cap / 32].effective >> cap % 32 & 1;
}

/* Who is in a new user namespace is who he was; user_namespaces(7): without CAP_SETGID groups must be given up first. */
static int keep_user(uid_t uid, gid_t gid, struct err *e)
{
	char line[64];

	if (file_write(AT_FDCWD, "/proc/self/setgroups", "deny") < 0)
		return jail_failed(e, "/proc/self/setgroups");
	snprintf(line, sizeof(line), "%u %u 1\n", uid, uid);
	if (file_write(AT_FDCWD, "/proc/self/uid_map", line) < 0)
		return jail_failed(e, "/proc/self/uid_map");
	snprintf(line, sizeof(line), "%u %u 1\n", gid, gid);
	return file_write(AT_FDCWD, "/proc/self/gid_map", line) < 0 ? jail_failed(e, "/proc/self/gid_map") : 0;
}

/* ---- the one that stands by ---- */

static void tell_death(int sig)
{
	const char *why = sig == SIGSYS
				  ? "; a thread made a system call that its class has not: the kernel's log (type=1326) tells "
				    "which, and berth-vmm --trap does"
				  : "";

	fprintf(stderr, "berth-vmm: killed by SIG%s%s\n", signal_name(sig) ?: "?", why);
}

static _noreturn_ void stand_by(pid_t pid, int lifeline, uid_t uid, const sigset_t *mine)
{
	const int32_t kept[] = { lifeline };
	int status, sig, death = 0;
	pid_t parent = getppid();
	struct err e = { 0 };

	(void)prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
	if (jail_keep_fds(kept, 1, &e) < 0 || jail_drop(uid, &e) < 0 || jail_deny(true, &e) < 0) {
		(void)kill(pid, SIGKILL);
		fprintf(stderr, "berth-vmm: %s\n", e.msg);
		_exit(1);
	}
	/* A starter that wants us to end with it has said so before, and the change of user has cleared it. */
	if (death && (prctl(PR_SET_PDEATHSIG, death, 0, 0, 0) < 0 || getppid() != parent))
		_exit(1); /* closes the lifeline; the child is killed for our end */
	for (;;) {
		if (sigwait(mine, &sig) != 0)
			continue;
		if (sig != SIGCHLD)
			(void)kill(pid, sig);
		else if (waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	if (WIFSIGNALED(status))
		tell_death(WTERMSIG(status));
	_exit(status_to_exit(status));
}

/* ---- both ---- */

static int split(unsigned long flags, uid_t uid, int *ret_lifeline, const sigset_t *mine, struct err *e)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return jail_failed(e, "pipe");
	/* No CLONE_VM and no stack: a fork, into namespaces. */
	pid = (pid_t)syscall(SYS_clone, flags | CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0);
	if (pid < 0) {
		fd_close(p[0]);
		fd_close(p[1]);
		return jail_failed(e, "namespaces");
	}
	if (pid > 0) {
		fd_close(p[0]);
		stand_by(pid, p[1], uid, mine);
	}
	fd_close(p[1]);
	*ret_lifeline = p[0];
	return 0;
}

int jail_be_first(uid_t uid, int *ret_lifeline, struct err *e)
{
	unsigned long user = is_capable(CAP_SYS_ADMIN) ? 0 : CLONE_NEWUSER;
	uid_t own_uid = geteuid();
	gid_t own_gid = getegid();
	sigset_t mine, stop;
	int r = 0;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	mine = stop;
	sigaddset(&mine, SIGCHLD);
	/* Blocked also in the child until it listens: the first process of a namespace would never hear them otherwise. */
	sigprocmask(SIG_BLOCK, &mine, NULL);
	*ret_lifeline = -1;
	if (getpid() != 1)
		r = split(user, uid, ret_lifeline, &mine, e);
	else if (user && unshare((int)user) < 0)
		r = jail_failed(e, "user namespace");
	sigdelset(&mine, SIGTERM);
	sigdelset(&mine, SIGINT);
	sigprocmask(SIG_UNBLOCK, &mine, NULL);
	if (r >= 0 && user)
		r = keep_user(own_uid, own_gid, e);
	return r;
}

int jail_be_alone(struct err *e) { return unshare(NAMESPACES) < 0 ? jail_failed(e, "namespaces") : 0; }
