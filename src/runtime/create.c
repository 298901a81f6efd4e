/* create: from a bundle to a container that waits on its start socket.
 *
 * Order, so that one killed at any point leaves nothing that `delete --force` can't find: the directory; the process, which ends
 * with its maker until it has been told that its pid is recorded, or to start; the record with the cgroup's path ("creating", for
 * one that starts at once with the pid); only then the cgroup. */
#include "job.h"
#include "notify.h"

#include <unistd.h>

#define OPT(m) offsetof(union verb_opts, create.m)
const struct opt create_options[] = {
	{ "bundle", 'b', OPT_STRING, OPT(bundle), "DIR", "where config.json is (default: the working directory)" },
	{ "console-socket", 0, OPT_STRING, OPT(console_socket), "PATH", "unix socket that is sent the terminal's master" },
	{ "pidfd-socket", 0, OPT_STRING, OPT(pidfd_socket), "PATH", "unix socket that is sent the first process's pidfd" },
	{ "pid-file", 0, OPT_STRING, OPT(pid_file), "PATH", "write the first process's pid there" },
	{ "no-pivot", 0, OPT_FLAG, OPT(no_pivot), NULL, "enter the root by chroot, for hosts that run from an initramfs" },
	{ "no-new-keyring", 0, OPT_FLAG, OPT(no_new_keyring), NULL, "keep this process's session keyring" },
	{ "preserve-fds", 0, OPT_I64, OPT(preserve_fds), "N", "pass descriptors 3 to 3+N-1 on to the process" },
	{ "trace-startup", 0, OPT_FLAG, OPT(traces), NULL, "print how long each step of the start took" },
	{ NULL },
};

/* The socket only where the process starts at once: else `start` listens. */
static int make_notify(struct job *j, struct made *m, struct err *e)
{
	bool passed = false;
	int r = notify_prepare(j->rt, &j->held, &j->bundle, &passed, e);

	return r == 0 && passed && j->starts ? notify_listen(&j->held, &m->notify, e) : r;
}

/* container/'s args.record: beside the new process, which has more to do than this one. */
static int note(pid_t pid, void *arg, struct err *e)
{
	struct job *j = arg;
	bool has_pid = pid > 0 && j->bundle.args.starts_at_once;
	int r = 0;

	if (j->is_noted && !has_pid)
		return 0;
	if (!j->is_noted)
		r = job_fill(j, e);
	if (r == 0 && has_pid)
		r = record_set_process(&j->held.rec, pid, e);
	if (r == 0)
		r = record_save(&j->held, e);
	j->is_noted = r == 0;
	if (r == 0)
		trace_mark(&j->rt->trace, "recorded");
	return r;
}

/* Need not wait to be told where nobody has to be told first of it: no hook, no holder of its terminal or pidfd, no reader of its pid. */
static bool may_start_at_once(const struct job *j)
{
	const struct spec *s = &j->bundle.spec;

	for (int k = 0; k < HOOK_COUNT; k++)
		if (s->hooks.n[k] > 0)
			return false;
	return j->starts && !s->process.terminal && !j->console_socket && !j->pidfd_socket && !j->pid_file;
}

static int make(struct job *j, struct made *m, struct err *e)
{
	_cleanup_fd_ int sock = -1;
	struct container_args *a = &j->bundle.args;
	int r = job_choose_cgroup(j, e);

	if (r == 0)
		r = make_notify(j, m, e);
	if (r < 0)
		return r;
	a->id = j->held.rec.id;
	a->record = note;
	a->record_arg = j;
	a->starts_at_once = may_start_at_once(j);
	if (j->rt->spent > 0)
		a->spent_fd = TAKE_FD(j->rt->spent);
	if (!j->starts) {
		sock = container_start_listen(j->held.dirfd, "start.sock");
		if (sock < 0)
			return err_set(e, -sock, "start.sock: %s", strerror(-sock));
		a->start_fd = sock;
	}
	trace_steps(&j->rt->trace, a);
	a->network = &j->network;
	r = container_create(a, &j->container, e);
	a->network = NULL;
	return r;
}

/* The last of it: whoever starts it may come, or it starts now. */
static int let_go(struct job *j, struct err *e)
{
	int r = j->starts ? container_start(j->container, e) : container_release(j->container, e);

	if (r < 0)
		return r;
	trace_mark(&j->rt->trace, j->starts ? "started" : "waits to be started");
	if (j->starts)
		container_free(j->container);
	j->container = NULL;
	return 0;
}

/* The process is there: say so, hand over its terminal, and let it live on. */
static int publish(struct job *j, struct made *m, struct err *e)
{
	int r = job_record_process(j, container_pid(j->container), j->starts ? STATUS_RUNNING : STATUS_CREATED, e);

	m->pid = container_pid(j->container);
	m->console = r == 0 ? container_take_console(j->container) : -1;
	m->pidfd = r == 0 ? fcntl(container_pidfd(j->container), F_DUPFD_CLOEXEC, 3) : -1;
	if (r == 0 && m->pidfd < 0)
		r = err_set(e, errno, "pidfd: %s", strerror(errno));
	if (r == 0 && j->console_socket)
		r = console_send(j->console_socket, TAKE_FD(m->console), e);
	if (r == 0)
		r = pidfd_send(j->pidfd_socket, m->pidfd, "standard", e);
	if (r == 0)
		r = pid_file_write(j->pid_file, m->pid, e);
	if (r < 0)
		return r;
	trace_mark(&j->rt->trace, "process recorded");
	return let_go(j, e);
}

static int make_and_publish(struct job *j, const char *id, struct made *m, struct err *e)
{
	int r = job_claim(j, id, e);

	if (r < 0)
		return r;
	r = make(j, m, e);
	if (r == 0)
		r = publish(j, m, e);
	if (r == 0) {
		/* Where it fails the error is the one line. */
		if (j->bundle.args.no_cgroup && j->bundle.host.cgroup != CGROUP_NONE)
			log_warn(j->rt->verb->name, "%s runs without a cgroup: none is delegated to this user", id);
		return 0;
	}
	container_destroy(TAKE_PTR(j->container));
	made_done(m);
	job_undo(j);
	return r;
}

void made_done(struct made *m)
{
	fd_close(m->pidfd);
	fd_close(m->notify);
	fd_close(m->console);
	held_done(&m->held);
	host_done(&m->host);
	*m = MADE_NONE;
}

int job_keep_record(struct job *j, struct made *m, struct err *e)
{
	int r = record_unlock(&j->held, e);

	if (r < 0)
		return r;
	m->held = j->held;
	j->held = HELD_NONE;
	m->host = j->bundle.host;
	j->bundle.host = (struct host){ 0 };
	return 0;
}

int container_make(struct runtime *rt, const char *id, const struct create_opts *o, enum make how, struct made *ret,
		   struct err *e)
{
	struct job j = { .rt = rt,
			 .o = o,
			 .is_detached = how != MAKE_ATTACHED,
			 .starts = how != MAKE_CREATED,
			 .held = HELD_NONE,
			 .makes_process = true };
	struct made m = MADE_NONE;
	int r = id_check(id, e);

	rt->trace.is_wanted = o->traces;
	j.bundle.trace = &rt->trace;
	spec_init(&j.bundle.spec);
	if (r == 0)
		r = job_read_bundle(&j, e);
	if (r == 0)
		r = make_and_publish(&j, id, &m, e);
	if (r == 0 && how == MAKE_ATTACHED)
		r = job_keep_record(&j, &m, e);
	job_done(&j);
	if (r == 0)
		*ret = m;
	return r;
}

int verb_create(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	struct made m = MADE_NONE;
	int r = container_make(rt, rt->operands[0], &opts->create, MAKE_CREATED, &m, e);

	if (r < 0)
		return r;
	made_done(&m);
	return 0;
}
