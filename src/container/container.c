/* container: the life of one, from its spec to its last process. The public functions of container.h; what is actually done
 * is in steps.c. Invariant: whatever fails, container_destroy leaves no process, mount or cgroup of it behind; the mounts go
 * with the mount namespace, that with its last process. */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "setup.h"

enum { KILL_WAIT_MS = 500, KILL_GIVE_UP_MS = 10000 };

/* ---- create ---- */

static int died_early(struct container *c, struct err *e)
{
	int status = child_kill_and_reap(c->pid, c->pidfd);

	c->wait_status = status;
	c->state = STATE_ENDED;
	if (status >= 0 && WIFSIGNALED(status))
		return err_set(e, ECHILD, "the container's first process was killed by SIG%s while it was set up%s",
			       signal_name(WTERMSIG(status)) ? signal_name(WTERMSIG(status)) : "?",
			       WTERMSIG(status) == SIGKILL ? " (is its memory limit too small?)" : "");
	return err_set(e, ECHILD, "the container's first process ended with status %d while it was set up",
		       status < 0 ? 125 : status_to_exit(status));
}

/* Reads the child's reports until READY; serves its request for hooks. */
static int wait_ready(struct setup *s, struct err *e)
{
	struct container *c = s->c;
	struct sync_report rep;

	for (;;) {
		int fd, r = sync_next(s->sock, &rep, &fd, e);

		if (r < 0)
			return r;
		if (r == 0)
			return died_early(c, e);
		if (rep.kind == SYNC_READY) {
			c->console = fd;
			steps_trace(s, &rep, STEP_CHILD);
			return 0;
		}
		fd_close(fd);
		if (rep.kind == SYNC_FAILED) {
			if (e)
				*e = rep.err;
			return -(rep.err.no > 0 ? rep.err.no : EIO);
		}
		if (rep.kind != SYNC_HOOKS)
			return err_set(e, EPROTO, "report %u of the new process was not expected", rep.kind);
		r = hooks_run_runtime(s, e);
		if (r == 0)
			r = sync_send(s->sock, SYNC_HOOKED);
		if (r < 0)
			return e && e->no ? r : err_set(e, -r, "the new process is gone");
	}
}

/* What the parent can't do to the child may be so because that has failed already: then its word is the better one. */
static int prefer_childs_word(struct setup *s, int r, struct err *e)
{
	struct pollfd p = { .fd = s->sock, .events = POLLIN };
	struct sync_report rep;
	int fd;

	if (poll(&p, 1, 0) <= 0 || sync_next(s->sock, &rep, &fd, NULL) <= 0)
		return r;
	fd_close(fd);
	if (rep.kind != SYNC_FAILED)
		return r;
	if (e)
		*e = rep.err;
	return -(rep.err.no > 0 ? rep.err.no : EIO);
}

/* Before it has said READY: it will find the word when it comes to wait for it. */
static int start_early(struct setup *s, struct err *e)
{
	int r = sync_send(s->sock, SYNC_START);

	/* Gone: what it reported, if anything, is the better error, and read next. */
	return r == 0 || r == -EPIPE || r == -ECONNRESET ? 0 : err_set(e, -r, "start: %s", strerror(-r));
}

static void close_spent(struct container *c)
{
	if (c->args.spent_fd > 0)
		fd_close(c->args.spent_fd);
	c->args.spent_fd = 0;
}

static int create(struct setup *s, struct err *e)
{
	struct container *c = s->c;
	int r = steps_run(s, STEP_BEFORE, e);

	if (r == 0)
		r = child_clone(s, &c->pid, &c->pidfd, e);
	if (r < 0)
		return r;
	c->state = STATE_CREATED;
	steps_trace_stage(c, "clone");
	r = steps_run(s, STEP_BESIDE, e);
	if (r == 0 && s->args->meanwhile)
		r = s->args->meanwhile(s->args->meanwhile_arg, e);
	if (r == 0 && s->args->starts_at_once)
		r = start_early(s, e);
	close_spent(c);
	r = r < 0 ? prefer_childs_word(s, r, e) : wait_ready(s, e);
	if (r == 0)
		c->sock = TAKE_FD(s->sock);
	return r;
}

int container_create(const struct container_args *a, struct container **ret, struct err *e)
{
	_cleanup_(container_destroy_ptr) struct container *c = calloc(1, sizeof(*c));
	struct setup s;
	int r;

	if (!c)
		return err_set(e, ENOMEM, "container: out of memory");
	*c = (struct container){ .args = *a, .pidfd = -1, .sock = -1, .console = -1, .in_userns = a->spec->ns.wanted[NS_USER] };
	c->began_us = clock_mono_us();
	c->id = strdup(a->id);
	if (!c->id)
		return err_set(e, ENOMEM, "container: out of memory");
	setup_init(&s, c);
	s.table = create_steps;
	s.seccomp = a->seccomp;
	s.stdio = a->stdio;
	s.n_preserve_fds = a->n_preserve_fds;
	s.no_new_keyring = a->no_new_keyring;
	r = create(&s, e);
	close_spent(c);
	setup_done(&s);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

/* ---- from one process to another ---- */

int container_release(struct container *c, struct err *e)
{
	struct sync_report rep;
	int fd, r = sync_send(c->sock, SYNC_KEPT);

	if (r < 0)
		return died_early(c, e);
	/* It may have died since it was ready: only its answer tells that it waits to be started. */
	r = sync_next(c->sock, &rep, &fd, e);
	if (r == 0)
		return died_early(c, e);
	if (r < 0)
		return r;
	fd_close(fd);
	if (rep.kind != SYNC_WAITS)
		return err_set(e, EPROTO, "report %u of the new process was not expected", rep.kind);
	container_free(c);
	return 0;
}

/* The pid's own start time is asked for once its pidfd is held: from then on it can't become another's. */
static int open_recorded(const struct container_handle *rec, const char *id, struct err *e)
{
	_cleanup_fd_ int fd = pidfd_open_(rec->pid);
	uint64_t start;
	int r = fd < 0 ? fd : pid_start_time(rec->pid, &start);

	if (r == 0 && start != rec->start_time)
		r = -ESRCH;
	return r < 0 ? err_set(e, -r, "container %s: %s", id, r == -ESRCH ? "its process has ended" : strerror(-r)) : TAKE_FD(fd);
}

int container_adopt(const struct container_args *a, const struct container_handle *rec, struct container **ret, struct err *e)
{
	_cleanup_(container_free_ptr) struct container *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		fd_close(rec->start_fd);
		return err_set(e, ENOMEM, "container: out of memory");
	}
	*c = (struct container){ .args = *a, .sock = rec->start_fd, .pidfd = -1, .console = -1, .is_adopted = true };
	c->pid = rec->pid;
	c->state = rec->start_fd >= 0 ? STATE_CREATED : STATE_RUNNING;
	c->in_userns = a->spec->ns.wanted[NS_USER];
	c->began_us = clock_mono_us();
	c->id = strdup(a->id);
	if (!c->id)
		return err_set(e, ENOMEM, "container: out of memory");
	c->pidfd = open_recorded(rec, c->id, e);
	if (c->pidfd < 0)
		return c->pidfd;
	if (rec->cgroup_path && *rec->cgroup_path) {
		r = cgroup_open(a->host, rec->cgroup_path, &c->cgroup, e);
		if (r < 0)
			return r;
	}
	c->args.no_cgroup = !c->cgroup; /* else an exec would wait to be told of one */
	*ret = TAKE_PTR(c);
	return 0;
}

/* ---- start ---- */

static int died_waiting(struct container *c, struct err *e)
{
	return c->is_adopted ? err_set(e, ESRCH,
				       "container %s: its first process ended, or could not read the order, before it executed "
				       "the program",
				       c->id)
			     : died_early(c, e);
}

/* End of file means that exec has closed the child's end, or else that the child is no more. Of one that somebody has collected
 * already, nothing can be told: a program that ends at once is by far the likelier. */
static int wait_exec(struct container *c, struct err *e)
{
	struct setup s = { .c = c, .args = &c->args, .table = create_steps };
	struct sync_report rep;
	int fd, r;

	while ((r = sync_next(c->sock, &rep, &fd, e)) > 0) {
		if (rep.kind == SYNC_SECCOMP)
			r = seccomp_listener_pass(c, c->pid, c->sock, fd, e);
		fd_close(fd);
		if (r < 0)
			return r;
		if (rep.kind == SYNC_FAILED) {
			if (e)
				*e = rep.err;
			return -(rep.err.no > 0 ? rep.err.no : EIO);
		}
		steps_trace(&s, &rep, STEP_START);
	}
	return r < 0 || pid_has_execed(c->pid) != 0 ? r : died_waiting(c, e);
}

int container_start(struct container *c, struct err *e)
{
	struct err why = { 0 };
	int r;

	if (c->state != STATE_CREATED)
		return err_set(e, EINVAL, "container %s is not waiting to be started", c->id);
	r = c->args.starts_at_once && !c->is_adopted ? 0 : sync_send(c->sock, SYNC_START);
	if (r == 0)
		r = wait_exec(c, e);
	else if (c->is_adopted && (r == -EPIPE || r == -ECONNRESET))
		r = err_set(e, ESRCH, "container %s: its process has ended", c->id);
	else if (r == -EPIPE || r == -ECONNRESET)
		r = died_early(c, e);
	else
		err_set(e, -r, "start: %s", strerror(-r));
	c->sock = fd_close(c->sock);
	if (r < 0)
		return r;
	steps_trace_stage(c, "started");
	c->state = STATE_RUNNING;
	/* OCI 1.2 runtime, "Lifecycle": a poststart hook that fails is warned about, and nothing else changes. */
	if (!c->is_adopted && hooks_run(&c->args, HOOK_POSTSTART, "running", c->pid, &why) < 0)
		log_warn("start", "%s", why.msg);
	return 0;
}

/* ---- a running one ---- */

pid_t container_pid(const struct container *c) { return c->pid; }
int container_pidfd(const struct container *c) { return c->pidfd; }
int container_take_console(struct container *c) { return TAKE_FD(c->console); }
struct cgroup *container_cgroup(struct container *c) { return c->cgroup; }

int container_kill(struct container *c, int sig, struct err *e)
{
	int r;

	if (c->state == STATE_NEW || c->state == STATE_ENDED)
		return err_set(e, ESRCH, "container %s is not running", c->id);
	r = pidfd_kill(c->pidfd, sig);
	return r < 0 ? err_set(e, -r, "signal %d to container %s: %s", sig, c->id, r == -ESRCH ? "it has ended" : strerror(-r))
		     : 0;
}

/* Whether the OOM killer struck. Asked only of a container that failed: it costs several reads. */
static bool was_oom_killed(struct container *c, int status)
{
	struct cgroup_stats st = { 0 };

	if (status == 0 || !c->cgroup || cgroup_stats(c->cgroup, &st, NULL) < 0)
		return false;
	return st.oom_kills > 0;
}

int container_reap(struct container *c, int *ret_wait_status, bool *ret_oom, struct err *e)
{
	if (c->state == STATE_NEW)
		return err_set(e, ECHILD, "container %s has no process", c->id);
	while (c->state != STATE_ENDED) {
		if (waitpid(c->pid, &c->wait_status, 0) == c->pid)
			c->state = STATE_ENDED;
		else if (errno != EINTR)
			return err_set(e, errno, "wait for container %s: %s", c->id, strerror(errno));
	}
	*ret_wait_status = c->wait_status;
	*ret_oom = was_oom_killed(c, c->wait_status);
	return 0;
}

/* ---- end ---- */

static bool has_ended(struct container *c, int wait_ms)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };
	int r;

	do
		r = poll(&p, 1, wait_ms);
	while (r < 0 && errno == EINTR);
	return r > 0;
}

/* SIGKILL reaches a task frozen by the v1 freezer only once it is thawed. A task stuck in the kernel is not waited for
 * without end: it stays this process's zombie-to-be. */
static void end_process(struct container *c)
{
	int status;

	if (c->state == STATE_NEW || c->state == STATE_ENDED)
		return;
	pidfd_kill(c->pidfd, SIGKILL);
	if (!has_ended(c, KILL_WAIT_MS) && c->cgroup)
		cgroup_freeze(c->cgroup, false, NULL);
	if (!has_ended(c, KILL_GIVE_UP_MS)) {
		log_debug("container", "%s: process %d does not end", c->id, (int)c->pid);
		return;
	}
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	c->state = STATE_ENDED;
}

void container_free(struct container *c)
{
	if (!c)
		return;
	fd_close(c->sock);
	fd_close(c->pidfd);
	fd_close(c->console);
	cgroup_free(c->cgroup);
	free(c->cgroup_path);
	free(c->id);
	free(c);
}

void container_destroy(struct container *c)
{
	struct err e = { 0 };
	bool has_lived;

	if (!c)
		return;
	has_lived = c->state != STATE_NEW;
	end_process(c);
	if (c->cgroup && cgroup_remove(TAKE_PTR(c->cgroup), &e) < 0)
		log_debug("container", "%s: %s", c->id, e.msg);
	if (has_lived && container_rdt_remove(c->args.spec, c->id, &e) < 0)
		log_debug("container", "%s: resctrl: %s", c->id, e.msg);
	if (has_lived && hooks_run(&c->args, HOOK_POSTSTOP, "stopped", 0, &e) < 0)
		log_debug("container", "%s: %s", c->id, e.msg);
	container_free(c);
}
