/* flow: bytes between a local fd and the link, with credit; see link.h. */
#include <unistd.h>

#include "link.h"

/* Granting in halves of the window keeps CREDIT frames rare and the sender never idle. */
#define GRANT_AT (FRAME_WINDOW / 2)

/* ---- fd -> frames ---- */

static void on_source(struct loop *l, int fd, uint32_t events, void *arg);

static void outflow_end(struct outflow *f)
{
	loop_del(f->src);
	f->src = NULL;
	f->fd = fd_close(f->fd);
	frame_put(&f->link->out, f->type, f->channel, NULL, 0);
	link_flush(f->link);
	if (f->on_end)
		f->on_end(f, f->arg);
}

/* A source without credit is taken out of the loop: a hang-up would be reported again and again. */
static void outflow_watch(struct outflow *f)
{
	if (f->fd < 0 || f->window == 0) {
		loop_del(f->src);
		f->src = NULL;
	} else if (!f->src && loop_add(f->link->loop, f->fd, EPOLLIN, on_source, f, &f->src) < 0) {
		outflow_end(f);
	}
}

/* One read; true = call again. */
static bool outflow_pump(struct outflow *f)
{
	char chunk[FRAME_DATA_MAX];
	ssize_t n;

	if (f->fd < 0 || f->window == 0)
		return false;
	n = read(f->fd, chunk, MIN(sizeof(chunk), f->window));
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN && !f->is_last_round)
		return false;
	if (n <= 0) { /* EOF; EIO is the end of a pty whose last user left */
		outflow_end(f);
		return false;
	}
	f->window -= (uint32_t)n;
	frame_put(&f->link->out, f->type, f->channel, chunk, (uint32_t)n);
	return true;
}

static void on_source(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct outflow *f = arg;

	if (outflow_pump(f)) {
		link_flush(f->link);
		outflow_watch(f);
	}
}

int outflow_init(struct outflow *f, struct link *l, uint16_t channel, enum frame_type type, int fd)
{
	int r = fd_nonblock(fd, true);

	f->link = l;
	f->channel = channel;
	f->type = type;
	f->fd = fd;
	f->window = FRAME_WINDOW;
	if (r >= 0)
		r = loop_add(l->loop, fd, EPOLLIN, on_source, f, &f->src);
	if (r < 0)
		f->fd = fd_close(fd);
	return r;
}

int outflow_credit(struct outflow *f, uint32_t bytes)
{
	if (bytes > FRAME_WINDOW - f->window)
		return -EPROTO;
	f->window += bytes;
	if (f->is_last_round)
		outflow_finish(f);
	else
		outflow_watch(f);
	return 0;
}

void outflow_finish(struct outflow *f)
{
	f->is_last_round = true;
	/* At most a window's worth, then until the next credit; the last call may have freed f. */
	for (uint32_t left = f->window; f->fd >= 0 && left > 0;) {
		uint32_t before = f->window;

		if (!outflow_pump(f))
			return;
		left -= before - f->window;
	}
	if (f->fd >= 0) {
		link_flush(f->link);
		outflow_watch(f);
	}
}

void outflow_done(struct outflow *f)
{
	loop_del(f->src);
	f->src = NULL;
	f->fd = fd_close(f->fd);
}

void outflow_restart(struct outflow *f)
{
	f->window = FRAME_WINDOW;
	if (f->is_last_round)
		outflow_finish(f);
	else
		outflow_watch(f);
}

/* ---- frames -> fd ---- */

static void inflow_grant(struct inflow *f, size_t n)
{
	f->ungranted += (uint32_t)n;
	if (f->ungranted < GRANT_AT && f->held.len)
		return;
	frame_put_credit(&f->link->out, f->channel, f->type, f->ungranted);
	f->ungranted = 0;
	link_flush(f->link);
}

static void inflow_close(struct inflow *f)
{
	loop_del(f->src);
	f->src = NULL;
	f->fd = fd_close(f->fd);
	buf_done(&f->held);
	f->held = (struct buf){ 0 };
	if (f->on_end)
		f->on_end(f, f->arg);
}

static void on_sink(struct loop *l, int fd, uint32_t events, void *arg);

static int inflow_pump(struct inflow *f)
{
	size_t done = 0;
	int r = 0;

	while (done < f->held.len) {
		ssize_t n = write(f->fd, f->held.data + done, f->held.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) /* nobody reads any more (EPIPE; EIO on a pty): the rest goes nowhere, and is granted */
			n = (ssize_t)(f->held.len - done);
		done += (size_t)n;
	}
	if (done) {
		buf_consume(&f->held, done);
		inflow_grant(f, done);
	}
	if (!f->held.len && f->is_ending && f->is_tty) /* VEOF, as the line discipline reads it; not counted as credit */
		f->is_ending = write(f->fd, "\004", 1) < 0 && errno == EAGAIN;
	if (f->held.len || (f->is_ending && f->is_tty)) {
		if (!f->src)
			r = loop_add(f->link->loop, f->fd, EPOLLOUT, on_sink, f, &f->src);
		return r;
	}
	loop_del(f->src);
	f->src = NULL;
	if (f->is_ending)
		inflow_close(f);
	return 0;
}

static void on_sink(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg) { inflow_pump(arg); }

int inflow_init(struct inflow *f, struct link *l, uint16_t channel, enum frame_type type, int fd)
{
	int r = fd_nonblock(fd, true);

	f->link = l;
	f->channel = channel;
	f->type = type;
	f->fd = fd;
	if (r < 0)
		f->fd = fd_close(fd);
	return r;
}

int inflow_put(struct inflow *f, const void *p, size_t n)
{
	if (n > FRAME_WINDOW - f->held.len - f->ungranted)
		return -EPROTO;
	if ((f->is_ending && !f->is_tty) || f->fd < 0) {
		if (n)
			inflow_grant(f, n);
		return 0;
	}
	if (n)
		buf_add(&f->held, p, n);
	else
		f->is_ending = true;
	return f->held.failed ? -ENOMEM : inflow_pump(f);
}

void inflow_done(struct inflow *f)
{
	loop_del(f->src);
	f->src = NULL;
	f->fd = fd_close(f->fd);
	buf_done(&f->held);
	f->held = (struct buf){ 0 };
}

void inflow_restart(struct inflow *f)
{
	loop_del(f->src);
	f->src = NULL;
	buf_consume(&f->held, f->held.len);
	f->ungranted = 0;
	f->is_ending = false;
}
