/* exec: a further process in a running container. A stage process enters all of the container's namespaces in one setns on its
 * pidfd, so that a container that ends meanwhile is an error and never another one's namespaces, then clones the process as
 * the caller's child: only a child is born in the pid namespace. The same steps as for the first process follow. */
#include <sched.h>
#include <unistd.h>

#include "setup.h"

static int open_root(pid_t pid, struct err *e)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set(e, errno, "%s: %s", path, strerror(errno)) : fd;
}

/* Stage. It is not dumpable since its first instruction, so nobody inside can trace it or read its memory on the way in. */
int exec_join(struct setup *s, struct err *e)
{
	_cleanup_fd_ int root = -1;
	int flags = 0, r = affinity_initial(s, e);

	if (r < 0)
		return r;
	r = cgroup_join(s, e);

	if (r < 0)
		return err_push(e, r, "cgroup join");
	for (int n = 0; n < NS_COUNT; n++)
		if (s->spec->ns.wanted[n])
			flags |= (int)ns_table[n].clone_flag;
	root = ns_mount_is_anothers(s) ? open_root(s->c->pid, e) : -1;
	if (ns_mount_is_anothers(s) && root < 0)
		return root;
	/* Without a namespace of its own there is none to enter, only a process to be there. */
	r = flags == 0 ? pidfd_kill(s->c->pidfd, 0) : setns(s->c->pidfd, flags) < 0 ? -errno : 0;
	if (r < 0)
		return err_set(e, -r, "enter container %s: %s", s->c->id, r == -ESRCH ? "it is not running" : strerror(-r));
	/* A mount namespace is entered at its own root, which is not the container's where that is another's. */
	if (root >= 0 && (fchdir(root) < 0 || chroot(".") < 0))
		return err_set(e, errno, "enter the root of container %s: %s", s->c->id, strerror(errno));
	return 0;
}

/* Needed for the attributes of security modules only. */
int exec_procfs(struct setup *s, struct err *e)
{
	const struct spec_process *p = s->process;

	return (p->apparmor_profile && *p->apparmor_profile) || (p->selinux_label && *p->selinux_label) ? procfs_open(s, e) : 0;
}

/* Console, failure, or end of file (= exec'd). */
static int wait_exec(struct setup *s, int *ret_console, struct err *e)
{
	struct sync_report rep;
	int fd, r;

	while ((r = sync_next(s->sock, &rep, &fd, e)) > 0) {
		if (rep.kind == SYNC_READY && *ret_console < 0) {
			*ret_console = fd;
			continue;
		}
		/* All of the process's times: it reports READY only with a terminal to hand over. */
		if (rep.kind == SYNC_EXEC) {
			steps_trace(s, &rep, STEP_CHILD);
			steps_trace(s, &rep, STEP_START);
		}
		if (rep.kind == SYNC_SECCOMP)
			r = seccomp_listener_pass(s->c, s->exec_pid, s->sock, fd, e);
		fd_close(fd);
		if (r < 0)
			return r;
		if (rep.kind == SYNC_FAILED) {
			if (e)
				*e = rep.err;
			return -(rep.err.no > 0 ? rep.err.no : EIO);
		}
	}
	/* The end of file may also be the child's: see container.c. */
	if (r == 0 && pid_has_execed(s->exec_pid) == 0)
		r = err_set(e, ECHILD, "exec: the new process was killed before it could execute the program");
	return r;
}

static int check_exec(const struct container *c, const struct container_exec_args *a, struct err *e)
{
	if (c->state != STATE_RUNNING)
		return err_set(e, ESRCH, "container %s is not running", c->id);
	if (!a->process->args || !a->process->args[0])
		return err_set(e, EINVAL, "exec: no command given");
	for (int i = 0; i < 3 && !a->process->terminal; i++)
		if (a->stdio[i] < 0)
			return err_set(e, EBADF, "exec: descriptor %d for the process is missing", i);
	return 0;
}

int container_exec(struct container *c, const struct container_exec_args *a, pid_t *ret_pid, int *ret_pidfd, int *ret_console,
		   struct err *e)
{
	_cleanup_fd_ int pidfd = -1, console = -1;
	struct setup s;
	pid_t pid = 0;
	int r = check_exec(c, a, e);

	if (r < 0)
		return r;
	setup_init(&s, c);
	s.table = exec_steps;
	s.process = a->process;
	s.seccomp = a->seccomp;
	s.stdio = a->stdio;
	s.is_exec = true;
	s.n_preserve_fds = a->n_preserve_fds;
	s.no_new_keyring = a->no_new_keyring;
	r = steps_run(&s, STEP_BEFORE, e);
	if (r == 0)
		r = child_clone(&s, &pid, &pidfd, e);
	if (r == 0) {
		s.exec_pid = pid;
		steps_trace_stage(c, "clone");
		r = steps_run(&s, STEP_BESIDE, e);
		if (r == 0)
			r = wait_exec(&s, &console, e);
		if (r < 0)
			child_kill_and_reap(pid, pidfd);
	}
	setup_done(&s);
	if (r < 0)
		return r;
	*ret_pid = pid;
	*ret_pidfd = TAKE_FD(pidfd);
	*ret_console = TAKE_FD(console);
	return 0;
}
