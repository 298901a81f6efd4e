/* child: the birth of a process, directly or through a stage, and the first things that it does to itself. See setup.h for the
 * whole play. Called by container.c and exec.c. */
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "setup.h"

#define BIT(cap) (UINT64_C(1) << (cap))

void setup_init(struct setup *s, struct container *c)
{
	*s = (struct setup){
		.c = c,
		.args = &c->args,
		.spec = c->args.spec,
		.process = &c->args.spec->process,
		.sock = -1,
		.peer = -1,
		.birth = -1,
		.rootfd = -1,
		.procfd = -1,
		.devfd = -1,
		.initfd = -1,
		.console_master = -1,
		.console_slave = -1,
		.in_foreign_userns = !c->args.spec->ns.wanted[NS_USER] && in_user_namespace(),
		.is_privileged = caps_are_effective(BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_SYS_ADMIN)),
	};
	for (int n = 0; n < NS_COUNT; n++)
		s->ns_fd[n] = -1;
}

void setup_done(struct setup *s)
{
	fd_close(s->sock);
	fd_close(s->peer);
	fd_close(s->birth);
	fd_close(s->initfd);
	for (int n = 0; n < NS_COUNT; n++)
		fd_close(s->ns_fd[n]);
	for (size_t i = 0; s->bind_fd && i < s->spec->n_mounts; i++)
		fd_close(s->bind_fd[i]);
	free_ptr(&s->bind_fd);
}

static int wait_start(struct setup *s, struct err *e)
{
	/* Where the maker goes, its end of the terminal must not be held by anybody but whom it was sent to. */
	s->console_master = fd_close(s->console_master);
	return s->args->start_fd > 0 ? sync_wait_start(s, e) : sync_wait(s, SYNC_START, e);
}

/* The child's life: everything up to READY, then at the caller's word the exec. Never returns. */
_noreturn_ static void child_main(struct setup *s)
{
	struct err e = { 0 };
	int r;

	s->birth = fd_close(s->birth);
	if (s->args->spent_fd > 0)
		fd_close(s->args->spent_fd);
	r = steps_run(s, STEP_CHILD, &e);
	if (r == 0 && !s->is_exec)
		r = sync_report(s, s->sock, SYNC_READY, 0, NULL, s->console_master) < 0 ? -EPIPE : wait_start(s, &e);
	else if (r == 0 && s->console_master >= 0)
		r = sync_report(s, s->sock, SYNC_READY, 0, NULL, s->console_master);
	if (r == 0) {
		s->console_master = fd_close(s->console_master);
		r = steps_run(s, STEP_START, &e);
	}
	if (e.no == 0)
		err_set(&e, r < 0 ? -r : EIO, "the new process could not report");
	sync_report(s, s->sock, SYNC_FAILED, 0, &e, -1);
	_exit(e.exit ? e.exit : 125);
}

/* Right after birth, this is the other side. */
static void swap_ends(struct setup *s)
{
	fd_close(s->sock);
	s->sock = TAKE_FD(s->peer);
}

/* A fork with flags; like fork, the child runs on a copy of this stack. */
static pid_t clone_process(uint64_t flags, int *pidfd, int cgroupfd)
{
	struct clone_args a = {
		.flags = flags | (cgroupfd >= 0 ? CLONE_INTO_CGROUP : 0) | (pidfd ? CLONE_PIDFD : 0),
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		/* With CLONE_PARENT the kernel takes the stage's own, which is SIGCHLD too. */
		.exit_signal = (flags & CLONE_PARENT) ? 0 : SIGCHLD,
		.cgroup = cgroupfd >= 0 ? (uint64_t)cgroupfd : 0,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));

	return pid < 0 ? -errno : pid;
}

/* The stage enters what has to be entered before birth, and clones the child as its own sibling. It reports by a socket of its
 * own: the child may have reported READY before the stage comes to say that there is one. */
_noreturn_ static void stage_main(struct setup *s, uint64_t flags)
{
	struct err e = { 0 };
	pid_t pid;
	int r;

	r = oom_score_own(s, &e);
	/* From inside a joined pid or user namespace nobody may trace this, still the runtime's process. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (r == 0)
		r = s->is_exec ? exec_join(s, &e) : ns_join_for_children(s, &e);
	if (r == 0 && !s->is_exec)
		r = ns_time_offsets(s, &e);
	if (r == 0) {
		pid = clone_process(flags | CLONE_PARENT, NULL, -1);
		if (pid == 0)
			child_main(s);
		if (pid > 0)
			_exit(sync_report(s, s->birth, SYNC_BORN, pid, NULL, -1) < 0);
		err_set(&e, -pid, "new process: clone3: %s", strerror(-pid));
	}
	sync_report(s, s->birth, SYNC_FAILED, 0, &e, -1);
	_exit(1);
}

static int clone_error(struct err *e, int r, uint64_t flags)
{
	const char *hint = "";

	if (r == -ENOSPC || r == -EUSERS)
		hint = " (too many namespaces: see /proc/sys/user/max_*_namespaces)";
	else if (r == -EPERM && (flags & CLONE_NEWUSER) == 0)
		hint = " (new namespaces need root, or a user namespace)";
	else if (r == -EPERM)
		hint = " (are user namespaces off for users without root's rights? See the sysctls "
		       "kernel.unprivileged_userns_clone "
		       "and kernel.apparmor_restrict_unprivileged_userns)";
	else if (r == -EAGAIN)
		hint = " (process limit reached)";
	return err_set(e, -r, "new process: clone3: %s%s", strerror(-r), hint);
}

/* The stage's answer, its end, and the child's pidfd: the child is ours and not yet reaped, so its pid can't be reused. */
static int stage_finish(pid_t stage, int birth, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	struct sync_report rep;
	int fd, r, status;
	pid_t pid;

	r = sync_next(birth, &rep, &fd, e);
	while (waitpid(stage, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(e, ECHILD, "the process that enters the namespaces ended with status %d", status_to_exit(status));
	fd_close(fd);
	if (rep.kind == SYNC_FAILED) {
		if (e)
			*e = rep.err;
		return -(rep.err.no ? rep.err.no : EIO);
	}
	if (rep.kind != SYNC_BORN || rep.pid <= 0)
		return err_set(e, EPROTO, "the process that enters the namespaces sent message %u", rep.kind);
	pid = rep.pid;
	r = pidfd_open_(pid);
	if (r < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return err_set(e, -r, "pidfd of the new process: %s", strerror(-r));
	}
	*ret_pid = pid;
	*ret_pidfd = r;
	return 0;
}

static int clone_staged(struct setup *s, int cgroupfd, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	uint64_t flags = s->is_exec ? 0 : ns_clone_flags(s->spec);
	_cleanup_fd_ int birth = -1;
	int fds[2];
	pid_t pid;
	int r = sync_pair(fds, e);

	if (r < 0)
		return r;
	birth = fds[0];
	s->birth = fds[1];
	pid = clone_process(0, NULL, cgroupfd);
	if (pid == 0) {
		birth = fd_close(birth);
		swap_ends(s);
		stage_main(s, flags);
	}
	s->birth = fd_close(s->birth);
	s->peer = fd_close(s->peer);
	return pid < 0 ? clone_error(e, pid, 0) : stage_finish(pid, birth, ret_pid, ret_pidfd, e);
}

int child_clone(struct setup *s, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	uint64_t flags = ns_clone_flags(s->spec);
	struct placement placement = { 0 };
	/* v2: born inside its cgroup, which costs nothing, where a later move waits for an RCU grace period. */
	int cgroupfd = s->c->cgroup ? cgroup_clone_fd(s->c->cgroup) : -1;
	int fds[2], pidfd = -1;
	pid_t pid;
	int r = sync_pair(fds, e);

	if (r < 0)
		return r;
	s->sock = fds[0];
	s->peer = fds[1];
	if (s->is_exec || ns_needs_stage(s))
		return clone_staged(s, cgroupfd, ret_pid, ret_pidfd, e);
	if (!net_ahead_is_begun(s->args->network)) /* else it soon waits for that, and is moved then */
		placement_plan(&placement);
	pid = clone_process(flags, &pidfd, cgroupfd);
	if (pid == 0) {
		swap_ends(s);
		child_main(s);
	}
	r = pid < 0 ? clone_error(e, pid, flags) : placement_apply(&placement, pid, e);
	s->peer = fd_close(s->peer);
	if (r < 0) {
		if (pid > 0)
			child_kill_and_reap(pid, pidfd);
		fd_close(pidfd);
		return r;
	}
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}

int child_kill_and_reap(pid_t pid, int pidfd)
{
	int status;

	pidfd_kill(pidfd, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}

int child_session(struct setup *s, struct err *e)
{
	sigset_t none;

	/* Not traceable, and /proc/PID/exe out of reach, until the exec of the user's program (CVE-2016-9962, CVE-2019-5736). */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(e, errno, "PR_SET_DUMPABLE: %s", strerror(errno));
	if (s->args->die_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_set(e, errno, "PR_SET_PDEATHSIG: %s", strerror(errno));
	/* An ignored signal would stay ignored through exec. SIGKILL, SIGSTOP and glibc's own two answer EINVAL: fine. */
	for (int sig = 1; sig < NSIG; sig++)
		if (signal(sig, SIG_DFL) == SIG_ERR && errno != EINVAL)
			return err_set(e, errno, "signal %d: %s", sig, strerror(errno));
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return err_set(e, errno, "unblock signals: %s", strerror(errno));
	if (setsid() < 0)
		return err_set(e, errno, "setsid: %s", strerror(errno));
	umask(0);
	return 0;
}
