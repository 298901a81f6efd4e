/* vm_task: the host's ends of one guest process's streams. The monitor has the other ends of two pipes and a third for
 * errors, or with a terminal of one socketpair; frames lie between those and the process. */
#include <sys/socket.h>
#include <unistd.h>

#include "vm_impl.h"

struct vm_task {
	struct instance *i;
	struct vm_task *next;
	struct task *t; /* NULL once on_exit was called: the monitor may free it */
	uint16_t channel;
	int stdin_fd; /* until the process runs: input waits in the pipe while the guest boots */
	struct outflow in;
	struct inflow out, err;
	bool is_pending;                                         /* neither STARTED nor ERROR has come */
	void (*on_started)(struct task *t, const struct err *e); /* NULL for the main process: vm_main_started */
};

uint16_t vm_task_channel(const struct vm_task *vt) { return vt->channel; }

struct vm_task *vm_task_find(struct instance *i, uint16_t channel)
{
	for (struct vm_task *vt = i->tasks; vt; vt = vt->next)
		if (vt->channel == channel)
			return vt;
	return NULL;
}

void vm_task_free(struct vm_task *vt)
{
	struct vm_task **at = &vt->i->tasks;

	while (*at && *at != vt)
		at = &(*at)->next;
	if (*at)
		*at = vt->next;
	fd_close(vt->stdin_fd);
	outflow_done(&vt->in);
	inflow_done(&vt->out);
	inflow_done(&vt->err);
	free(vt);
}

/* Lives until the process has ended and the monitor has taken all output. */
static void on_output_end(struct inflow *f _unused_, void *arg)
{
	struct vm_task *vt = arg;

	if (!vt->t && vt->out.fd < 0 && vt->err.fd < 0)
		vm_task_free(vt);
}

/* ret[0]: the monitor's ends in, out, err; the flows get the others. */
static int make_pipes(struct vm_task *vt, struct task *t, bool has_input, int mine[3])
{
	int p[2];

	if (t->has_tty) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p) < 0)
			return -errno;
		t->in = t->out = p[0];
		mine[0] = p[1];
		mine[1] = fcntl(p[1], F_DUPFD_CLOEXEC, 3);
		vt->err.fd = -1;
		return mine[1] < 0 ? -errno : 0;
	}
	int *theirs[3] = { &t->in, &t->out, &t->err };
	for (int k = has_input ? 0 : 1; k < 3; k++) {
		if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
			return -errno;
		mine[k] = p[k == 0 ? 0 : 1];
		*theirs[k] = p[k == 0 ? 1 : 0];
	}
	return 0;
}

int vm_task_new(struct instance *i, uint16_t channel, struct task *t, void (*on_started)(struct task *t, const struct err *e),
		struct err *e)
{
	struct vm_task *vt = calloc(1, sizeof(*vt));
	int mine[3] = { -1, -1, -1 }, r;

	if (!vt)
		return err_set(e, ENOMEM, "out of memory");
	*vt = (struct vm_task){ .i = i,
				.t = t,
				.channel = channel,
				.stdin_fd = -1,
				.is_pending = true,
				.on_started = on_started,
				.in.fd = -1,
				.out.fd = -1,
				.err.fd = -1 };
	t->in = t->out = t->err = -1;
	t->impl = vt;
	vt->next = i->tasks;
	i->tasks = vt;
	/* As on a host: without -i the main process finds the end of its input at once, and the monitor has no end of it. */
	r = make_pipes(vt, t, channel != 0 || i->cfg.launch->open_stdin, mine);
	/* Each takes its fd, also on failure. */
	vt->stdin_fd = mine[0];
	if (mine[1] >= 0 && inflow_init(&vt->out, &i->link, channel, FRAME_STDOUT, mine[1]) < 0)
		r = -ENOMEM;
	if (mine[2] >= 0 && inflow_init(&vt->err, &i->link, channel, FRAME_STDERR, mine[2]) < 0)
		r = -ENOMEM;
	vt->out.on_end = vt->err.on_end = on_output_end;
	vt->out.arg = vt->err.arg = vt;
	if (r < 0) {
		fd_close(t->in);
		if (t->out != t->in)
			fd_close(t->out);
		fd_close(t->err);
		t->in = t->out = t->err = -1;
		vm_task_free(vt);
		return err_set(e, -r, "streams of a process in the guest: %s", strerror(-r));
	}
	return 0;
}

/* The process is gone; its output may still be on the way to the monitor. */
static void task_exit(struct vm_task *vt, const struct exit_status *st)
{
	struct task *t = TAKE_PTR(vt->t);

	outflow_done(&vt->in);
	if (t->impl == vt)
		t->impl = NULL;
	if (vt->out.fd < 0 && vt->err.fd < 0)
		vm_task_free(vt);
	t->on_exit(t, st);
}

void vm_tasks_lost(struct instance *i, const struct err *why)
{
	/* As a process that was killed: nobody knows better. */
	const struct exit_status killed = { .code = 137, .signal = 9, .oom = i->is_host_oom };

	while (i->tasks) {
		struct vm_task *vt = i->tasks;
		struct task *t = vt->t;
		bool is_main = vt->channel == 0, was_pending = vt->is_pending;
		void (*on_started)(struct task *, const struct err *) = vt->on_started;

		vt->t = NULL;
		vm_task_free(vt); /* closes: the monitor sees the end of the output behind what had come */
		if (!t)
			continue;
		t->impl = NULL;
		if (!was_pending) {
			t->lost = *why;
			t->on_exit(t, &killed);
		} else if (is_main) {
			vm_main_started(i, why);
		} else {
			on_started(t, why);
		}
	}
}

static int on_exit_frame(struct vm_task *vt, const struct frame *f, struct err *e)
{
	struct instance *i = vt->i;
	struct exit_status st = { 0 };
	uint32_t code, sig;
	int r = frame_get_exit(f, &code, &sig, &st.oom);

	if (r < 0 || code > 255 || sig > 64)
		return err_set(e, EPROTO, "the guest sent a false exit status");
	if (!vt->t || vt->is_pending)
		return err_set(e, EPROTO, "the guest ended a process that does not run");
	st.code = (int)code;
	st.signal = (int)sig;
	if (vt->channel == 0) {
		i->phase = VM_ENDED;
		vm_trace(i, "exit");
	}
	task_exit(vt, &st);
	return 0;
}

static void on_outcome(struct vm_task *vt, const struct err *se)
{
	void (*cb)(struct task * t, const struct err *e) = vt->on_started;
	struct instance *i = vt->i;
	struct task *t = vt->t;
	bool is_main = vt->channel == 0;

	vt->is_pending = false;
	if (!se && (vt->stdin_fd < 0 || outflow_init(&vt->in, &i->link, vt->channel, FRAME_STDIN, TAKE_FD(vt->stdin_fd)) < 0)) {
		frame_put(&i->link.out, FRAME_STDIN, vt->channel, NULL, 0);
		link_flush(&i->link);
	}
	if (se) {
		vt->t = NULL;
		t->impl = NULL;
		vm_task_free(vt);
	}
	if (is_main)
		vm_main_started(i, se);
	else
		cb(t, se);
}

int vm_task_frame(struct instance *i, const struct frame *f, struct err *e)
{
	struct vm_task *vt = vm_task_find(i, f->channel);
	enum frame_type stream;
	struct err se = { 0 };
	uint32_t bytes;
	int r = 0;

	if (!vt) /* of a process that is gone: frames cross */
		return f->type == FRAME_CREDIT ? 0 : err_set(e, EPROTO, "the guest speaks of a process that does not exist");
	switch (f->type) {
	case FRAME_STDOUT: r = inflow_put(&vt->out, f->payload, f->len); break;
	case FRAME_STDERR: r = vt->t && vt->t->has_tty ? -EPROTO : inflow_put(&vt->err, f->payload, f->len); break;
	case FRAME_CREDIT:
		r = frame_get_credit(f, &stream, &bytes);
		if (r >= 0 && vt->in.fd >= 0)
			r = outflow_credit(&vt->in, bytes);
		break;
	case FRAME_EXIT: return on_exit_frame(vt, f, e);
	case FRAME_STARTED:
	case FRAME_ERROR:
		if (!vt->is_pending || (f->type == FRAME_ERROR && frame_get_error(f, &se) < 0))
			r = -EPROTO;
		else
			on_outcome(vt, f->type == FRAME_ERROR ? &se : NULL);
		break;
	default: r = -EPROTO;
	}
	return r < 0 ? err_set(e, -r, "the guest broke the protocol") : 0;
}
