/* link: the connection itself; see link.h. flow.c holds the flows. */
#include "link.h"

#include <poll.h>
#include <unistd.h>

#define READ_AT_ONCE (64u << 10)
/* Credit bounds data; this bounds everything else that is sent to an end that doesn't read. */
#define OUT_MAX (16u << 20)

static void link_break(struct link *l, const struct err *e)
{
	if (l->is_broken)
		return;
	l->is_broken = true;
	loop_del(l->src);
	l->src = NULL;
	l->on_broken(l, e);
}

static void link_fail(struct link *l, int no, const char *what)
{
	struct err e = { 0 };

	err_set(&e, no, "%s", what);
	link_break(l, &e);
}

static size_t sendable(const struct link *l) { return l->is_held ? MIN(l->pass_bytes, l->out.len) : l->out.len; }

/* 0, or -errno: the link is to be broken by the caller (which may be deep inside a flow). */
static int link_send(struct link *l)
{
	if (l->out.failed)
		return -ENOMEM;
	while (sendable(l)) {
		ssize_t n = write(l->fd, l->out.data, sendable(l));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -errno;
		buf_consume(&l->out, (size_t)n);
		l->pass_bytes -= l->is_held ? (size_t)n : 0;
	}
	if (l->out.len > OUT_MAX)
		return -ENOBUFS;
	return loop_mod(l->src, sendable(l) ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void on_broken_later(struct loop *loop _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct link *l = arg;

	l->src = NULL; /* a timer deletes itself */
	link_fail(l, EPIPE, "the connection between host and guest is gone");
}

void link_flush(struct link *l)
{
	if (l->is_broken || link_send(l) == 0)
		return;
	/* Told from the loop, so that no caller finds its own objects freed under it. */
	loop_del(l->src);
	l->src = NULL;
	if (loop_timer(l->loop, 0, on_broken_later, l, &l->src) < 0)
		link_fail(l, ENOMEM, "out of memory");
}

void link_hold(struct link *l)
{
	l->is_held = true;
	l->pass_bytes = l->out.len;
	link_flush(l);
}

void link_release(struct link *l)
{
	l->is_held = false;
	link_flush(l);
}

void link_restart(struct link *l)
{
	buf_consume(&l->out, l->out.len);
	l->is_held = false;
}

int link_drain(struct link *l, int timeout_ms)
{
	while (!l->is_broken && sendable(l)) {
		struct pollfd p = { .fd = l->fd, .events = POLLOUT };
		int r = poll(&p, 1, timeout_ms);

		if (r <= 0)
			return r < 0 ? -errno : -ETIMEDOUT;
		r = link_send(l);
		if (r < 0)
			return r;
	}
	return 0;
}

static void take_frames(struct link *l)
{
	struct frame f;
	int r = 0;

	while (!l->is_broken && (r = frame_peek(&l->in, &f)) == 1) {
		struct err e = { 0 };
		size_t whole = FRAME_HDR + (size_t)f.len;

		r = l->on_frame(l, &f, &e);
		if (r < 0) {
			err_push(&e, r, "%s", frame_type_name(f.type));
			link_break(l, &e);
			return;
		}
		if (l->is_broken)
			return;
		buf_consume(&l->in, whole);
	}
	if (r < 0)
		link_fail(l, EPROTO, "the other end of the guest's connection sent what is no frame");
}

/* One read; true = there may be more. */
static bool link_read(struct link *l)
{
	_cleanup_free_ char *chunk = malloc(READ_AT_ONCE);
	ssize_t n = chunk ? read(l->fd, chunk, READ_AT_ONCE) : -1;

	if (!chunk) {
		link_fail(l, ENOMEM, "out of memory");
		return false;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	if (n <= 0) {
		link_fail(l, EPIPE, "the connection between host and guest was closed");
		return false;
	}
	buf_add(&l->in, chunk, (size_t)n);
	if (l->in.failed)
		link_fail(l, ENOMEM, "out of memory");
	else
		take_frames(l);
	return true;
}

void link_take(struct link *l)
{
	while (!l->is_broken && link_read(l))
		;
}

static void on_ready(struct loop *loop _unused_, int fd _unused_, uint32_t events, void *arg)
{
	struct link *l = arg;

	if (events & EPOLLOUT && link_send(l) < 0)
		link_fail(l, EPIPE, "the connection between host and guest was closed");
	else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		link_read(l);
}

int link_init(struct link *l, struct loop *loop, int fd)
{
	int r = fd_nonblock(fd, true);

	if (r < 0)
		return r;
	l->loop = loop;
	l->fd = fd;
	return loop_add(loop, fd, EPOLLIN, on_ready, l, &l->src);
}

void link_done(struct link *l)
{
	loop_del(l->src);
	l->src = NULL;
	l->is_broken = true;
	buf_done(&l->in);
	buf_done(&l->out);
}
