/* agent: the guest's end of the stream, see guest.h. One loop; a channel is one process with its three flows.
 *
 *   HELLO -> START -> [ FRAME_STARTED ] -> running: data, EXEC, SIGNAL, RESIZE, STATS
 *   a process ends -> its output is passed on to the end -> FRAME_EXIT, the channel is free again
 *   QUIESCE -> frozen, silent -> RELEASE: as before; or RELEASE never comes, since this is a copy, and RESTORE does
 *   SHUTDOWN -> agent_run returns
 *
 * Children are reaped here and nowhere else: each SIGCHLD peeks (WNOWAIT) at every zombie, hands known ones to ops->reap and
 * takes the rest, which a guest's PID 1 has adopted. */
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "guest.h"
#include "link.h"

/* More processes than anybody execs into one guest; a bound, since the host names channels with 16 bits. */
#define CHANNELS_MAX 512

#define SLOT(channel)    ((unsigned)(channel) >> GUEST_SLOT_SHIFT)
#define IS_MAIN(channel) (((channel)&GUEST_SLOT_MASK) == 0)
_Static_assert(GUEST_SLOTS <= 32, "a bit of has_start each");

struct agent;
struct channel {
	struct agent *agent;
	struct channel *next;
	uint16_t id;
	struct agent_process p; /* fds moved into the flows; tty_fd is for the window size */
	int tty_fd;
	struct inflow in;
	struct outflow out, err;
	struct patience patience; /* of the first process: signals that it is not ready for */
	bool has_ended, is_oom;
	int wait_status;
};

struct agent {
	struct loop *loop;
	struct link link;
	const struct agent_ops *ops;
	void *arg;
	struct channel *channels;
	size_t n_channels;
	bool has_hello, is_pod;
	uint32_t has_start; /* a bit a slot */
	struct err broken;
};

static void channel_free(struct channel *c)
{
	struct channel **at = &c->agent->channels;

	while (*at && *at != c)
		at = &(*at)->next;
	if (*at) {
		*at = c->next;
		c->agent->n_channels--;
	}
	patience_end(&c->patience);
	inflow_done(&c->in);
	outflow_done(&c->out);
	outflow_done(&c->err);
	fd_close(c->tty_fd);
	free(c);
}

static struct channel *channel_find(struct agent *a, unsigned id)
{
	for (struct channel *c = a->channels; c; c = c->next)
		if (c->id == id)
			return c;
	return NULL;
}

static void channel_check_end(struct channel *c)
{
	struct agent *a = c->agent;

	if (!c->has_ended || c->out.fd >= 0 || c->err.fd >= 0)
		return;
	frame_put_exit(&a->link.out, c->id, (uint32_t)status_to_exit(c->wait_status),
		       WIFSIGNALED(c->wait_status) ? (uint32_t)WTERMSIG(c->wait_status) : 0, c->is_oom);
	link_flush(&a->link);
	channel_free(c);
}

static void on_output_end(struct outflow *f _unused_, void *arg) { channel_check_end(arg); }

static void send_signal(void *arg, int sig)
{
	struct channel *c = arg;
	struct err e = { 0 };

	if (c->agent->ops->kill(c->agent->arg, SLOT(c->id), c->p.pid, IS_MAIN(c->id), sig, &e) < 0)
		log_warn("agent", "signal %d: %s", sig, e.msg);
}

/* Owns p's fds from here on. */
static int channel_new(struct agent *a, uint16_t id, const struct agent_process *p, struct err *e)
{
	struct channel *c = calloc(1, sizeof(*c));
	int in = p->in, r = 0;

	if (!c) {
		fd_close(p->in);
		if (p->out != p->in)
			fd_close(p->out);
		fd_close(p->err);
		return err_set(e, ENOMEM, "out of memory");
	}
	*c = (struct channel){
		.agent = a, .id = id, .p = *p, .tty_fd = -1, .in.fd = -1, .out.fd = -1, .err.fd = -1, .next = a->channels
	};
	c->patience = (struct patience){ .loop = a->loop, .pid = p->pid, .send = send_signal, .arg = c };
	a->channels = c;
	a->n_channels++;
	if (p->has_tty) { /* epoll wants one descriptor a registration */
		in = fcntl(p->out, F_DUPFD_CLOEXEC, 3);
		c->tty_fd = fcntl(p->out, F_DUPFD_CLOEXEC, 3);
		c->in.is_tty = true;
		if (in < 0 || c->tty_fd < 0)
			r = -errno;
	}
	if (in >= 0 && inflow_init(&c->in, &a->link, id, FRAME_STDIN, in) < 0)
		r = -ENOMEM;
	if (outflow_init(&c->out, &a->link, id, FRAME_STDOUT, p->out) < 0)
		r = -ENOMEM;
	if (p->err >= 0 && outflow_init(&c->err, &a->link, id, FRAME_STDERR, p->err) < 0)
		r = -ENOMEM;
	c->out.on_end = c->err.on_end = on_output_end;
	c->out.arg = c->err.arg = c;
	if (r < 0) {
		channel_free(c);
		return err_set(e, -r, "streams of a process: %s", strerror(-r));
	}
	return 0;
}

/* ---- children ---- */

static void channel_ended(struct channel *c)
{
	struct agent *a = c->agent;
	struct err e = { 0 };
	uint16_t id = c->id;

	if (a->ops->reap(a->arg, SLOT(id), c->p.pid, IS_MAIN(id), &c->wait_status, &c->is_oom, &e) < 0) {
		log_warn("agent", "reap: %s", e.msg);
		c->wait_status = W_EXITCODE(255, 0);
	}
	c->has_ended = true;
	patience_end(&c->patience);
	inflow_done(&c->in);
	outflow_finish(&c->out);
	c = channel_find(a, id); /* gone when that was its last open stream */
	if (c)
		outflow_finish(&c->err);
	c = channel_find(a, id);
	if (c)
		channel_check_end(c);
}

static void on_signal(struct loop *l _unused_, int sig _unused_, void *arg)
{
	struct agent *a = arg;

	for (;;) {
		siginfo_t si = { .si_pid = 0 };
		struct channel *c = a->channels;

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0)
			return;
		while (c && (c->p.pid != si.si_pid || c->has_ended))
			c = c->next;
		if (c)
			channel_ended(c);
		else if (waitpid(si.si_pid, NULL, WNOHANG) < 0)
			return;
	}
}

/* ---- requests ---- */

static void answer_error(struct agent *a, uint16_t channel, const struct err *e)
{
	frame_put_error(&a->link.out, channel, e);
	link_flush(&a->link);
}

static void answer_started(struct agent *a, uint16_t channel, const struct agent_process *p)
{
	struct err e = { 0 };
	pid_t pid = p->pid;

	frame_put_u32(&a->link.out, FRAME_STARTED, channel, (uint32_t)pid);
	if (channel_new(a, channel, p, &e) < 0) {
		if (a->ops->kill(a->arg, SLOT(channel), pid, IS_MAIN(channel), SIGKILL, &e) < 0)
			log_warn("agent", "%s", e.msg);
		answer_error(a, channel, &e);
	}
	link_flush(&a->link);
	/* It may have ended before it was known here, and that SIGCHLD has come already. */
	on_signal(a->loop, SIGCHLD, a);
}

static int on_start(struct agent *a, const struct frame *f, struct err *e)
{
	struct agent_process p = { .in = -1, .out = -1, .err = -1 };
	struct guest_start s;
	struct err se = { 0 };

	if (!IS_MAIN(f->channel) || SLOT(f->channel) >= GUEST_SLOTS)
		return err_set(e, EPROTO, "a start on channel %u", f->channel);
	if (channel_find(a, f->channel) || (a->has_start >> SLOT(f->channel) & 1 && SLOT(f->channel) == 0 && !a->is_pod))
		return err_set(e, EPROTO, "a second start");
	a->has_start |= 1u << SLOT(f->channel);
	if (guest_start_parse((const char *)f->payload, f->len, &s, &se) < 0) {
		answer_error(a, f->channel, &se);
		return 0;
	}
	a->is_pod |= s.is_pod;
	if (a->ops->start(a->arg, SLOT(f->channel), &s, &p, &se) < 0)
		answer_error(a, f->channel, &se);
	else
		answer_started(a, f->channel, &p);
	return 0;
}

static int exec_process(struct agent *a, const struct frame *f, struct agent_process *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct spec_process sp;
	int r;

	if (a->n_channels >= CHANNELS_MAX)
		return err_set(e, EAGAIN, "too many processes were exec'd at once (%d)", CHANNELS_MAX);
	r = json_parse((const char *)f->payload, f->len, "exec", &o, e);
	if (r < 0)
		return r;
	spec_process_init(&sp);
	r = spec_process_parse(o, &sp, e);
	if (r >= 0)
		r = a->ops->exec(a->arg, SLOT(f->channel), &sp, ret, e);
	spec_process_done(&sp);
	return r;
}

static int on_exec(struct agent *a, const struct frame *f, struct err *e)
{
	struct agent_process p = { .in = -1, .out = -1, .err = -1 };
	struct err xe = { 0 };

	if (SLOT(f->channel) >= GUEST_SLOTS || !(a->has_start >> SLOT(f->channel) & 1) || IS_MAIN(f->channel) ||
	    channel_find(a, f->channel))
		return err_set(e, EPROTO, "exec on channel %u, which is in use", f->channel);
	if (exec_process(a, f, &p, &xe) < 0)
		answer_error(a, f->channel, &xe);
	else
		answer_started(a, f->channel, &p);
	return 0;
}

static int on_data(struct channel *c, const struct frame *f, struct err *e)
{
	enum frame_type stream;
	uint32_t bytes, sig;
	struct winsize ws = { 0 };
	int r;

	switch (f->type) {
	case FRAME_STDIN:
		r = inflow_put(&c->in, f->payload, f->len);
		return r < 0 ? err_set(e, -r, "more input than was granted") : 0;
	case FRAME_CREDIT:
		r = frame_get_credit(f, &stream, &bytes);
		if (r >= 0)
			r = outflow_credit(stream == FRAME_STDERR ? &c->err : &c->out, bytes);
		return r < 0 ? err_set(e, -r, "a false credit") : 0;
	case FRAME_SIGNAL:
		r = frame_get_u32(f, &sig);
		if (r < 0)
			return err_set(e, -r, "a signal without a number");
		if (!c->has_ended && !patience_holds(&c->patience, (int)MIN(sig, INT_MAX)))
			send_signal(c, (int)sig);
		return 0;
	case FRAME_RESIZE:
		r = frame_get_resize(f, &ws.ws_row, &ws.ws_col);
		if (r < 0)
			return err_set(e, -r, "a false window size");
		if (c->tty_fd >= 0 && ioctl(c->tty_fd, TIOCSWINSZ, &ws) < 0)
			log_debug("agent", "window size: %s", strerror(errno));
		return 0;
	default: return err_set(e, EPROTO, "not for a guest");
	}
}

static int on_stats(struct agent *a, const struct frame *f)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct err se = { 0 };
	const char *text;

	if ((SLOT(f->channel) >= GUEST_SLOTS ? err_set(&se, ESRCH, "there is no such container")
					     : a->ops->stats(a->arg, SLOT(f->channel), &o, &se)) < 0) {
		answer_error(a, f->channel, &se);
		return 0;
	}
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	frame_put(&a->link.out, FRAME_OK, f->channel, text, (uint32_t)strlen(text));
	link_flush(&a->link);
	return 0;
}

static int update(struct agent *a, const struct frame *f, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct json_object *given = NULL, *cpus = NULL;
	struct spec_resources res;
	int r = json_parse((const char *)f->payload, f->len, "update", &o, e);

	if (r < 0)
		return r;
	if (SLOT(f->channel) >= GUEST_SLOTS)
		return err_set(e, ESRCH, "there is no such container");
	if (!json_object_object_get_ex(o, "resources", &given))
		return err_set(e, EINVAL, "update: .resources: missing");
	if (json_object_object_get_ex(o, "cpus", &cpus) &&
	    (!json_object_is_type(cpus, json_type_int) || json_object_get_int64(cpus) < 0 ||
	     json_object_get_int64(cpus) > UINT16_MAX))
		return err_set(e, EINVAL, "update: .cpus: not a number of processors");
	r = spec_resources_parse(given, &res, e);
	if (r < 0)
		return r;
	r = a->ops->update(a->arg, SLOT(f->channel), &res, cpus ? (unsigned)json_object_get_int64(cpus) : 0, e);
	spec_resources_done(&res);
	return r;
}

static int on_update(struct agent *a, const struct frame *f)
{
	struct err ue = { 0 };

	if (update(a, f, &ue) < 0)
		frame_put_error(&a->link.out, f->channel, &ue);
	else
		frame_put(&a->link.out, FRAME_OK, f->channel, NULL, 0);
	link_flush(&a->link);
	return 0;
}

static int on_quiesce(struct agent *a)
{
	struct err qe = { 0 };

	/* Of a pod's guest nobody asks it (isolation/vm_hold.c). */
	if ((a->is_pod ? err_set(&qe, EOPNOTSUPP, "it holds several containers") : a->ops->freeze(a->arg, 0, true, &qe)) < 0) {
		if (!a->is_pod)
			(void)a->ops->freeze(a->arg, 0, false, NULL); /* some may stand still already */
		frame_put(&a->link.out, FRAME_QUIESCE, 0, qe.msg, (uint32_t)strlen(qe.msg));
		link_flush(&a->link);
		return 0;
	}
	frame_put(&a->link.out, FRAME_QUIESCE, 0, NULL, 0);
	link_hold(&a->link);
	return 0;
}

static int on_release(struct agent *a)
{
	struct err re = { 0 };

	if (a->link.is_held && a->ops->freeze(a->arg, 0, false, &re) < 0)
		log_warn("agent", "%s", re.msg);
	link_release(&a->link);
	return 0;
}

/* The streams of exec'd processes led to somebody who is not here. They are closed as if he had hung up. */
static void forget_execs(struct agent *a)
{
	for (struct channel *c = a->channels, *after; c; c = after) {
		after = c->next;
		if (c->id != 0)
			channel_free(c);
	}
}

static int restore(struct agent *a, const struct frame *f, struct err *e)
{
	struct guest_identity id;
	int r = guest_identity_parse((const char *)f->payload, f->len, &id, e);

	if (r < 0)
		return r;
	r = a->ops->restore(a->arg, 0, &id, e);
	guest_identity_done(&id);
	return r < 0 ? r : a->ops->freeze(a->arg, 0, false, e);
}

static int on_restore(struct agent *a, const struct frame *f, struct err *e)
{
	struct channel *c = channel_find(a, 0);
	struct err re = { 0 };

	if (!a->link.is_held)
		return err_set(e, EPROTO, "a restore of a guest that was not brought to rest before");
	link_restart(&a->link);
	forget_execs(a);
	if (!c)
		err_set(&re, ESRCH, "its process had ended when the copy was made");
	if (!c || restore(a, f, &re) < 0) {
		answer_error(a, 0, &re);
		return 0;
	}
	frame_put_u32(&a->link.out, FRAME_STARTED, 0, (uint32_t)c->p.pid);
	inflow_restart(&c->in);
	outflow_restart(&c->out);
	c = channel_find(a, 0); /* gone when it had ended and that was its last output */
	if (c)
		outflow_restart(&c->err);
	link_flush(&a->link);
	return 0;
}

static int on_frame(struct link *l, const struct frame *f, struct err *e)
{
	struct agent *a = l->arg;
	struct channel *c;
	uint32_t version;

	if (!a->has_hello) {
		if (f->type != FRAME_HELLO || f->len < 4)
			return err_set(e, EPROTO, "the host did not greet");
		version = (uint32_t)f->payload[0] | (uint32_t)f->payload[1] << 8 | (uint32_t)f->payload[2] << 16 |
			  (uint32_t)f->payload[3] << 24;
		if (version != FRAME_VERSION)
			return err_set(e, EPROTO, "the host speaks version %u, this guest %d", version, FRAME_VERSION);
		a->has_hello = true;
		return 0;
	}
	switch (f->type) {
	case FRAME_START: return on_start(a, f, e);
	case FRAME_EXEC: return on_exec(a, f, e);
	case FRAME_STATS: return on_stats(a, f);
	case FRAME_UPDATE: return on_update(a, f);
	case FRAME_QUIESCE: return on_quiesce(a);
	case FRAME_RELEASE: return on_release(a);
	case FRAME_RESTORE: return on_restore(a, f, e);
	case FRAME_SHUTDOWN: loop_stop(a->loop, 0); return 0;
	default:
		c = channel_find(a, f->channel);
		/* What was sent while the process ended crosses its FRAME_EXIT: no fault of anybody. */
		return c ? on_data(c, f, e) : 0;
	}
}

static void on_broken(struct link *l, const struct err *e)
{
	struct agent *a = l->arg;

	a->broken = *e;
	loop_stop(a->loop, -EPIPE);
}

static void put_hello(struct buf *b)
{
	_cleanup_buf_ struct buf hello = { 0 };
	static const uint8_t version[4] = { FRAME_VERSION };

	buf_add(&hello, version, sizeof(version));
	buf_str(&hello, build_id());
	frame_put(b, FRAME_HELLO, 0, hello.data, (uint32_t)hello.len);
}

int agent_run(int fd, const struct agent_ops *ops, void *arg, struct err *e)
{
	struct agent a = { .ops = ops, .arg = arg };
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	r = loop_new(&a.loop);
	if (r < 0)
		return err_set(e, -r, "event loop: %s", strerror(-r));
	a.link = (struct link){ .on_frame = on_frame, .on_broken = on_broken, .arg = &a };
	r = loop_signals(a.loop, &set, on_signal, &a);
	if (r >= 0)
		r = link_init(&a.link, a.loop, fd);
	if (r < 0) {
		err_set(e, -r, "event loop: %s", strerror(-r));
	} else {
		put_hello(&a.link.out);
		link_flush(&a.link);
		r = loop_run(a.loop);
		if (r < 0)
			err_set(e, a.broken.no ? a.broken.no : -r, "%s", a.broken.no ? a.broken.msg : strerror(-r));
	}
	while (a.channels)
		channel_free(a.channels);
	link_done(&a.link);
	loop_free(a.loop);
	return r;
}
