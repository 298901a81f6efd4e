/* A connection to the monitor: bytes in, frames out. What the frames ask for is in requests.c.
 *
 * A client is never freed while a callback may still hold it: client_drop marks it, clients_reap frees the marked ones at the
 * end of the callbacks that can drop any. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor_impl.h"

#define READ_MAX (64u << 10)

static void on_client(struct loop *loop, int fd, uint32_t events, void *arg);

static void say_hello(struct client *c)
{
	_cleanup_buf_ struct buf hello = { 0 };
	const uint8_t version[4] = { FRAME_VERSION };

	buf_add(&hello, version, sizeof(version));
	buf_str(&hello, build_id());
	if (hello.failed)
		c->out.failed = true;
	else
		frame_put(&c->out, FRAME_HELLO, 0, hello.data, (uint32_t)hello.len);
}

int client_add(struct monitor *m, int fd, struct client **ret, struct err *e)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, ENOMEM, "new connection: out of memory");
	*c = (struct client){ .m = m, .next = m->clients, .fd = fd };
	int r = loop_add(m->loop, fd, EPOLLIN, on_client, c, &c->src);
	if (r < 0) {
		free(c);
		return err_set(e, -r, "new connection: %s", strerror(-r));
	}
	m->clients = c;
	m->n_clients++;
	say_hello(c);
	if (ret)
		*ret = c;
	return 0;
}

/* Leaves its processes. A process's input ends with the last client that it could come from, but for a terminal's and for the
 * main process's without StdinOnce (docker's rule): somebody may attach again. */
static void leave_procs(struct client *c)
{
	while (c->links) {
		struct link *l = c->links;
		struct proc *p = l->proc;
		bool was_last = l->wants_in;
		link_free(l);
		for (const struct link *other = p->links; other; other = other->next_of_proc)
			was_last &= !other->wants_in;
		if (was_last && p->in_fd < 0) /* where there is no input yet, it ends when it begins */
			p->is_without_client = true;
		if (was_last && !p->task.has_tty && !p->keep_stdin && p->in_fd >= 0) {
			loop_del(p->in_src);
			p->in_src = NULL;
			if (p->is_started)
				p->m->ops->close_stdin(p->m->instance, &p->task, NULL);
			p->in_fd = fd_close(p->in_fd);
		}
		proc_resume_output(p);
	}
}

static void client_gone(struct client *c)
{
	if (c->is_dead)
		return;
	c->is_dead = c->is_closing = true;
	loop_del(c->src);
	c->src = NULL;
	c->fd = fd_close(c->fd);
	copy_client_gone(c);
	leave_procs(c);
	if (c == c->m->starter)
		starter_gone(c->m);
}

void client_drop(struct client *c, const char *why)
{
	if (c->is_closing)
		return;
	if (why) {
		struct err e;
		err_set(&e, EPIPE, "%s", why);
		client_refuse(c, 0, &e, true);
	} else {
		client_gone(c);
	}
}

void client_refuse(struct client *c, uint16_t channel, const struct err *e, bool close_after)
{
	if (c->is_closing)
		return;
	frame_put_error(&c->out, channel, e);
	if (close_after) {
		c->is_closing = true;
		leave_procs(c);
	}
	client_flush(c);
}

void client_flush(struct client *c)
{
	while (!c->is_dead && c->out.len > 0 && !c->out.failed) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			client_gone(c);
			return;
		}
		buf_consume(&c->out, (size_t)n);
	}
	if (c->is_dead)
		return;
	if (c->out.failed || c->out.len > CLIENT_QUEUE_MAX || (c->is_closing && c->out.len == 0)) {
		client_gone(c);
		return;
	}
	uint32_t events = (c->is_closing ? 0 : EPOLLIN) | (c->out.len ? EPOLLOUT : 0);
	if (loop_mod(c->src, events) < 0)
		client_gone(c);
}

/* Takes one read's worth; false = the connection is gone. */
static bool client_read(struct client *c)
{
	char data[READ_MAX];
	ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		client_gone(c);
		return false;
	}
	buf_add(&c->in, data, (size_t)n);
	return true;
}

static void client_handle(struct client *c)
{
	struct frame f;
	struct err e = { 0 };
	int r;

	while (!c->is_closing && (r = frame_peek(&c->in, &f)) != 0) {
		size_t size = FRAME_HDR;
		if (r > 0) {
			size += f.len;
			r = client_request(c, &f, &e);
		} else {
			err_set(&e, EPROTO, "this connection does not speak Berth's protocol");
		}
		if (r < 0) {
			client_refuse(c, 0, &e, true);
			return;
		}
		buf_consume(&c->in, size);
	}
	if (c->in.failed)
		client_gone(c);
}

static void on_client(struct loop *loop _unused_, int fd _unused_, uint32_t events, void *arg)
{
	struct client *c = arg;
	struct monitor *m = c->m;

	if (c->is_closing) {
		if (events & (EPOLLHUP | EPOLLERR))
			client_gone(c);
	} else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		if (client_read(c))
			client_handle(c);
	}
	if (!c->is_dead)
		client_flush(c);
	clients_reap(m);
	monitor_maybe_leave(m);
}

void clients_reap(struct monitor *m)
{
	for (struct client **at = &m->clients; *at;) {
		struct client *c = *at;
		if (!c->is_dead || c->n_pending) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		m->n_clients--;
		buf_done(&c->in);
		buf_done(&c->out);
		free(c);
	}
}

void clients_free(struct monitor *m)
{
	for (struct client *c = m->clients; c; c = c->next) {
		client_gone(c);
		c->n_pending = 0;
	}
	clients_reap(m);
}
