/* start: the word on the start socket, then the record, then the poststart hooks. */
#include <poll.h>
#include <unistd.h>

#include "make.h"
#include "notify.h"

enum { END_MS = 5000 };

const struct opt start_options[] = { { NULL } };

static int check_startable(const struct held *h, const struct host *host, bool has_process, struct err *e)
{
	enum status st = record_status(h, host);

	if (st == STATUS_CREATED && !has_process)
		return err_set(e, EINVAL, "config.json: .process is missing: %s has nothing to start", h->rec.id);
	if (st == STATUS_CREATED)
		return 0;
	if (st == STATUS_STOPPED)
		return err_set(e, ESRCH, "cannot start a container that has stopped: %s", h->rec.id);
	if (st == STATUS_RUNNING)
		return err_set(e, EBUSY, "cannot start an already running container: %s", h->rec.id);
	return err_set(e, EBUSY, "cannot start a container in the %s state: %s", status_names[st], h->rec.id);
}

static int note_running(struct held *h, struct err *e)
{
	free(h->rec.written);
	h->rec.written = strdup(status_names[STATUS_RUNNING]);
	return h->rec.written ? record_save(h, e) : err_set(e, ENOMEM, "out of memory");
}

/* OCI 1.2 runtime, "Lifecycle": a poststart hook that fails is warned about, and nothing else changes. */
static void run_poststart(const struct held *h, struct bundle *b)
{
	struct err e = { 0 };

	if (hooks_run(&b->args, HOOK_POSTSTART, "running", (pid_t)h->rec.pid, &e) < 0)
		log_warn("start", "%s", e.msg);
}

/* Engines ask for the container's end at once, and theirs is the process to reap: so it has ended when the error is told. */
static void wait_end(const struct container *c)
{
	struct pollfd p = { .fd = container_pidfd(c), .events = POLLIN };
	int r;

	do
		r = poll(&p, 1, END_MS);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		log_warn("start", "process %d has failed and does not end", (int)container_pid(c));
}

/* What is waited for once the record is let go: others may stop or delete the container meanwhile. */
struct awaited {
	int notify, pidfd;
	pid_t pid;
};

/* A container that can't say that it is ready is started all the same. */
static int await(const struct held *h, const struct container *c, struct awaited *w, struct err *e)
{
	struct err why = { 0 };
	int r;

	if (!notify_is_wanted())
		return 0;
	r = notify_listen(h, &w->notify, &why);
	if (r < 0) {
		log_warn("start", "%s", why.msg);
		return 0;
	}
	w->pid = container_pid(c);
	w->pidfd = fcntl(container_pidfd(c), F_DUPFD_CLOEXEC, 3);
	return w->pidfd < 0 ? err_set(e, errno, "pidfd: %s", strerror(errno)) : 0;
}

static int start(struct held *h, struct bundle *b, struct awaited *w, struct err *e)
{
	_cleanup_(container_free_ptr) struct container *c = NULL;
	int r = check_startable(h, &b->host, b->spec.process.cwd, e), sock;

	if (r < 0)
		return r;
	sock = container_start_connect(h->dirfd, "start.sock");
	if (sock < 0)
		return err_set(e, -sock, "start.sock of %s: %s", h->rec.id, strerror(-sock));
	r = bundle_adopt(h, b, sock, &c, e);
	if (r == 0)
		r = await(h, c, w, e);
	if (r == 0 && (r = container_start(c, e)) < 0)
		wait_end(c);
	if (r == 0)
		r = note_running(h, e);
	if (r == 0)
		run_poststart(h, b);
	return r;
}

int verb_start(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	struct awaited w = { .notify = -1, .pidfd = -1 };
	struct held h = HELD_NONE;
	struct bundle b = { 0 };
	int r = record_open(rt, rt->operands[0], LOCKED, &h, e);

	(void)opts;
	if (r < 0)
		return r;
	r = bundle_load(h.dirfd, &b, e);
	if (r == 0)
		r = start(&h, &b, &w, e);
	bundle_done(&b);
	held_done(&h);
	if (r == 0 && w.notify >= 0)
		r = notify_wait(w.notify, w.pidfd, w.pid, e);
	fd_close(w.notify);
	fd_close(w.pidfd);
	return r;
}
