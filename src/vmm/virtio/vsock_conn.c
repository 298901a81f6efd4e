/* vsock_conn: one connection: what it waits for, credit, the ends of its two directions. See vsock.h for its life.
 *
 * Credit (5.10.6.3): the guest may have sent VSOCK_BUFFER bytes more than we have handed on (received - forwarded), and is told of
 * `forwarded` in every packet, and by a CREDIT_UPDATE when by what it knows half of its room is gone. We send no more than the
 * guest says that it has room for. All counts are modulo 2^32, as in the packets. */
#include <poll.h>
#include <sys/socket.h>

#include "vsock.h"

#define BATCH 16u /* packets a turn and connection */

static void note_pending(struct vsock_conn *c, uint32_t pending)
{
	c->v->n_pending += !c->pending && pending;
	c->v->n_pending -= c->pending && !pending;
	c->pending = pending;
}

struct vsock_conn *vsock_conn_new(struct vsock *v, int fd, bool owns_fd, bool is_guests)
{
	if (v->n_used == VSOCK_CONNS || (is_guests && v->n_guests == VSOCK_CONNS_GUEST))
		return NULL;
	for (unsigned i = 0; i < VSOCK_CONNS; i++) {
		struct vsock_conn *c = &v->conns[i];

		if (c->state != VSOCK_FREE)
			continue;
		*c = (struct vsock_conn){ .v = v, .state = VSOCK_GREETED, .is_guests = is_guests, .owns_fd = owns_fd, .fd = fd };
		v->n_used++;
		v->n_guests += is_guests;
		return c;
	}
	return NULL;
}

void vsock_conn_free(struct vsock_conn *c)
{
	struct vsock *v = c->v;

	loop_del(c->src);
	if (c->owns_fd)
		fd_close(c->fd);
	else
		(void)shutdown(c->fd, SHUT_RDWR);
	note_pending(c, 0);
	buf_done(&c->out);
	v->n_used--;
	v->n_guests -= c->is_guests;
	*c = (struct vsock_conn){ .state = VSOCK_FREE, .fd = -1 };
	if (v->d.is_active && vsock_host_listen(v) < 0)
		log_warn("vsock", "the listening socket can't be watched: nobody on the host can connect");
}

struct vsock_conn *vsock_conn_find(struct vsock *v, uint32_t host_port, uint32_t guest_port)
{
	for (unsigned i = 0, seen = 0; i < VSOCK_CONNS && seen < v->n_used; i++) {
		struct vsock_conn *c = &v->conns[i];
		/* One that only drains is no more, unless the guest has not been told. */
		bool is_known = c->state == VSOCK_ASKED || c->state == VSOCK_OPEN || (c->state == VSOCK_DRAINING && c->pending);

		seen += c->state != VSOCK_FREE;
		if (is_known && c->host_port == host_port && c->guest_port == guest_port)
			return c;
	}
	return NULL;
}

/* ---- words for the guest ---- */

void vsock_conn_tell(struct vsock_conn *c, enum virtio_vsock_op op) { note_pending(c, c->pending | 1u << op); }

void vsock_conn_abort(struct vsock_conn *c)
{
	if (c->state == VSOCK_GREETED) { /* of which the guest knows nothing */
		vsock_conn_free(c);
		return;
	}
	c->state = VSOCK_DRAINING;
	c->deadline_us = 0;
	buf_done(&c->out);
	note_pending(c, 1u << VIRTIO_VSOCK_OP_RST);
	(void)shutdown(c->fd, SHUT_RDWR);
	vsock_conn_watch(c);
}

uint32_t vsock_conn_flags(const struct vsock_conn *c)
{
	return (c->host_takes_no_more ? VIRTIO_VSOCK_SHUTDOWN_RCV : 0u) |
	       (c->host_sends_no_more ? VIRTIO_VSOCK_SHUTDOWN_SEND : 0u);
}

void vsock_conn_told(struct vsock_conn *c, enum virtio_vsock_op op)
{
	note_pending(c, c->pending & ~(1u << op));
	if (op == VIRTIO_VSOCK_OP_RST && c->out.len == 0) {
		vsock_conn_free(c);
		return;
	}
	if (op == VIRTIO_VSOCK_OP_SHUTDOWN && c->host_takes_no_more && c->host_sends_no_more && !c->deadline_us) {
		c->deadline_us = clock_mono_us() + 1000ull * VSOCK_CLOSE_MS;
		vsock_arm(c->v);
	}
	vsock_conn_watch(c);
}

/* ---- what it waits for ---- */

static uint32_t credit(const struct vsock_conn *c)
{
	uint32_t flying = c->sent - c->peer_fwd;

	return flying < c->peer_alloc ? c->peer_alloc - flying : 0;
}

static bool reads(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN && !c->host_sends_no_more && !c->guest_takes_no_more;
}

static uint32_t wanted(const struct vsock_conn *c)
{
	uint32_t events = c->out.len > 0 ? EPOLLOUT : 0;

	if (c->state == VSOCK_GREETED || (reads(c) && !c->pending && !c->v->is_starved && credit(c) > 0))
		events |= EPOLLIN;
	return events;
}

/* Is the end of the host's end alone (EPOLLHUP) news? Else it would be told again and again. */
static bool awaits_end(const struct vsock_conn *c)
{
	return c->state == VSOCK_ASKED || (c->state == VSOCK_OPEN && !reads(c) && !c->host_takes_no_more);
}

void vsock_conn_watch(struct vsock_conn *c)
{
	uint32_t events = wanted(c);
	int r = 0;

	if (c->state == VSOCK_FREE)
		return;
	if (events == 0 && !awaits_end(c)) {
		loop_del(c->src);
		c->src = NULL;
	} else if (c->src) {
		r = loop_mod(c->src, events);
	} else {
		r = loop_add(c->v->d.vm->loop, c->fd, events, vsock_conn_on_fd, c, &c->src);
	}
	if (r < 0)
		log_warn("vsock", "port %u: %s", c->host_port, strerror(-r));
}

void vsock_conn_open(struct vsock_conn *c)
{
	c->state = VSOCK_OPEN;
	c->deadline_us = 0;
	vsock_conn_watch(c);
}

void vsock_conn_credit(struct vsock_conn *c, const struct virtio_vsock_hdr *h)
{
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
}

/* ---- guest to host ---- */

/* The host's end reads no more; the guest hears it, and what it still sends goes nowhere. */
static void end_host_reading(struct vsock_conn *c)
{
	c->forwarded += (uint32_t)c->out.len;
	buf_done(&c->out);
	if (c->host_takes_no_more)
		return;
	c->host_takes_no_more = true;
	if (c->state == VSOCK_OPEN)
		vsock_conn_tell(c, VIRTIO_VSOCK_OP_SHUTDOWN);
}

static void tell_credit(struct vsock_conn *c)
{
	if (c->state == VSOCK_OPEN && c->forwarded != c->told_fwd && c->received - c->told_fwd >= VSOCK_BUFFER / 2)
		vsock_conn_tell(c, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
}

/* Bytes that the host's end took; it may have ended. */
static size_t hand_on(struct vsock_conn *c, struct iovec *iov, unsigned n_iov)
{
	const struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n_iov };
	ssize_t n;

	do
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		end_host_reading(c);
	return n > 0 ? (size_t)n : 0;
}

/* Nothing is left to be written: what was to happen then. May free c. */
static void written_out(struct vsock_conn *c)
{
	buf_done(&c->out);
	if (c->state == VSOCK_DRAINING && !c->pending)
		vsock_conn_free(c);
	else if (c->guest_sends_no_more)
		(void)shutdown(c->fd, SHUT_WR);
}

static void flush(struct vsock_conn *c)
{
	while (c->out.len > 0) {
		struct iovec iov = { c->out.data, c->out.len };
		size_t n = hand_on(c, &iov, 1);

		if (n == 0 && c->out.len > 0)
			break;
		c->forwarded += (uint32_t)n;
		buf_consume(&c->out, n);
	}
	tell_credit(c);
	if (c->out.len == 0)
		written_out(c);
}

void vsock_conn_data(struct vsock_conn *c, const struct vq_chain *chain, uint32_t len)
{
	struct vsock *v = c->v;
	size_t n = 0;

	if (c->state != VSOCK_OPEN || c->guest_sends_no_more || len > VSOCK_BUFFER - (c->received - c->forwarded)) {
		vsock_conn_abort(c); /* more than it has credit for, or when it may not (V09) */
		return;
	}
	c->received += len;
	if (c->out.len == 0 && !c->host_takes_no_more && len > 0)
		n = hand_on(c, v->part, vq_out(chain, VSOCK_HEADER, len, v->part));
	if (c->host_takes_no_more)
		n = len;
	c->forwarded += (uint32_t)n;
	if (n < len) {
		unsigned k = vq_out(chain, VSOCK_HEADER + n, len - n, v->part);

		for (unsigned i = 0; i < k; i++)
			buf_add(&c->out, v->part[i].iov_base, v->part[i].iov_len);
		if (c->out.failed) {
			vsock_conn_abort(c);
			return;
		}
	}
	tell_credit(c);
	vsock_conn_watch(c);
}

void vsock_conn_shutdown(struct vsock_conn *c, uint32_t flags)
{
	if (c->state != VSOCK_OPEN) {
		vsock_conn_abort(c);
		return;
	}
	c->guest_sends_no_more |= !!(flags & VIRTIO_VSOCK_SHUTDOWN_SEND);
	c->guest_takes_no_more |= !!(flags & VIRTIO_VSOCK_SHUTDOWN_RCV);
	if (c->guest_takes_no_more)
		(void)shutdown(c->fd, SHUT_RD);
	if (c->guest_takes_no_more &&
	    c->guest_sends_no_more) { /* 5.10.6.5: then RST is the answer, and all is over for the guest */
		c->state = VSOCK_DRAINING;
		c->deadline_us = 0;
		note_pending(c, 1u << VIRTIO_VSOCK_OP_RST);
	}
	if (c->out.len == 0)
		written_out(c);
	vsock_conn_watch(c);
}

void vsock_conn_reset(struct vsock_conn *c)
{
	c->state = VSOCK_DRAINING;
	c->deadline_us = 0;
	note_pending(c, 0);
	(void)shutdown(c->fd, SHUT_RD);
	if (c->out.len == 0)
		vsock_conn_free(c);
	else
		vsock_conn_watch(c);
}

/* ---- host to guest ---- */

static void end_host_writing(struct vsock_conn *c)
{
	if (c->host_sends_no_more)
		return;
	c->host_sends_no_more = true;
	vsock_conn_tell(c, VIRTIO_VSOCK_OP_SHUTDOWN);
}

/* Closed, not just shut down in one direction? */
static bool is_hung_up(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static void read_for_guest(struct vsock_conn *c)
{
	for (unsigned i = 0; i < BATCH && reads(c) && !c->pending; i++) {
		uint32_t room = credit(c);
		ssize_t n;

		if (room == 0) {
			vsock_conn_tell(c, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
			return;
		}
		n = vsock_send_data(c, MIN(room, (uint32_t)VSOCK_PACKET));
		if (n > 0) {
			c->sent += (uint32_t)n;
			continue;
		}
		if (n == -EAGAIN || n == -ENOBUFS || n == -EBADMSG)
			return;
		end_host_writing(c); /* an error is an end as well: the other side closed without having read all */
	}
}

void vsock_conn_on_fd(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct vsock_conn *c = arg;
	struct vsock *v = c->v;

	(void)l;
	if (c->state == VSOCK_GREETED) {
		vsock_host_greeting(c);
		return;
	}
	if (c->state == VSOCK_ASKED) { /* EPOLLHUP */
		vsock_conn_abort(c);
		vsock_send_pending(v);
		return;
	}
	if (c->out.len > 0)
		flush(c);
	if (c->state == VSOCK_OPEN) {
		read_for_guest(c);
		if (events & (EPOLLHUP | EPOLLERR) && !reads(c) && is_hung_up(fd)) {
			end_host_writing(c);
			end_host_reading(c);
		}
	}
	vsock_conn_watch(c);
	vsock_send_pending(v);
}
