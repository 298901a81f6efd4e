/* vsock: the socket device (virtio 1.2, 5.10): packets between the guest's queues and connections (vsock_conn.c). See vsock.h.
 *
 * Nothing that the guest sends makes us keep more than the tables in struct vsock hold: an answer to a packet of a known connection
 * is a bit in it, answers to all others have VSOCK_RESETS places, and when these are taken the guest's output waits.
 *
 * Connections don't survive a snapshot: their other ends are not in it. A guest that wakes from one is told so by the event
 * TRANSPORT_RESET (5.10.6.7.1), drops its connections and reads its CID again, which is the plan's. */
#include <sys/socket.h>

#include "vsock.h"

#define BATCH 64u /* packets a turn */

static struct vsock *vsock_of(struct virtio_device *d) { return container_of(d, struct vsock, d); }

/* ---- to the guest ---- */

/* 1: a buffer for a packet; -ENOBUFS; -EBADMSG. */
static int take_buffer(struct vsock *v, struct vq_chain *c)
{
	struct virtqueue *q = &v->d.queues[VSOCK_RX];
	int r;

	*c = (struct vq_chain){ .iov = v->iov, .iov_max = VSOCK_QUEUE_SIZE };
	r = vq_pop(q, c);
	if (r == 0 && vq_wait(q))
		r = vq_pop(q, c);
	if (r > 0 && (c->n_out > 0 || c->in_bytes < VSOCK_HEADER))
		r = -EBADMSG;
	v->is_starved = r == 0;
	if (r < 0)
		virtio_queue_broken(&v->d, q);
	return r == 0 ? -ENOBUFS : r;
}

static int send_packet(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	struct vq_chain c;
	int r = take_buffer(v, &c);

	if (r < 0)
		return r;
	(void)vq_write(&c, 0, h, sizeof(*h));
	return vq_push(&v->d.queues[VSOCK_RX], &c, sizeof(*h));
}

static struct virtio_vsock_hdr header(struct vsock_conn *c, uint16_t op)
{
	c->told_fwd = c->forwarded;
	return (struct virtio_vsock_hdr){ .src_cid = VSOCK_HOST_CID,
					  .dst_cid = c->v->guest_cid,
					  .src_port = c->host_port,
					  .dst_port = c->guest_port,
					  .type = VIRTIO_VSOCK_TYPE_STREAM,
					  .op = op,
					  .buf_alloc = VSOCK_BUFFER,
					  .fwd_cnt = c->forwarded };
}

ssize_t vsock_send_data(struct vsock_conn *c, size_t n)
{
	struct vsock *v = c->v;
	struct virtqueue *q = &v->d.queues[VSOCK_RX];
	struct virtio_vsock_hdr h;
	struct vq_chain chain;
	struct msghdr msg = { .msg_iov = v->part };
	ssize_t got;
	int r = take_buffer(v, &chain);

	if (r < 0)
		return r;
	msg.msg_iovlen = vq_in(&chain, VSOCK_HEADER, n, v->part);
	if (msg.msg_iovlen == 0) { /* room for a header alone: nothing could ever be received */
		virtio_queue_broken(&v->d, q);
		return -EBADMSG;
	}
	do
		got = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got <= 0) {
		int no = errno;

		vq_unpop(q, 1);
		return got < 0 ? -no : 0;
	}
	h = header(c, VIRTIO_VSOCK_OP_RW);
	h.len = (uint32_t)got;
	(void)vq_write(&chain, 0, &h, sizeof(h));
	r = vq_push(q, &chain, sizeof(h) + (uint64_t)got);
	return r < 0 ? r : got;
}

static int send_resets(struct vsock *v)
{
	unsigned sent = 0;
	int r = 0;

	while (sent < v->n_resets && r >= 0) {
		r = send_packet(v, &v->resets[sent]);
		sent += r >= 0;
	}
	v->n_resets -= sent;
	memmove(v->resets, v->resets + sent, v->n_resets * sizeof(v->resets[0]));
	return r;
}

static int send_words(struct vsock_conn *c)
{
	while (c->state != VSOCK_FREE && c->pending) {
		uint16_t op = (uint16_t)__builtin_ctz(c->pending);
		struct virtio_vsock_hdr h = header(c, op);
		int r;

		if (op == VIRTIO_VSOCK_OP_SHUTDOWN)
			h.flags = vsock_conn_flags(c);
		r = send_packet(c->v, &h);
		if (r < 0)
			return r;
		vsock_conn_told(c, op);
	}
	return 0;
}

void vsock_send_pending(struct vsock *v)
{
	struct virtqueue *q = &v->d.queues[VSOCK_RX];
	int r = q->s.is_broken ? -EBADMSG : send_resets(v);

	for (unsigned i = 0; r >= 0 && v->n_pending > 0 && i < VSOCK_CONNS; i++)
		r = send_words(&v->conns[i]);
	vq_flush(q);
}

static void send_event(struct vsock *v)
{
	static const struct virtio_vsock_event transport_reset = { VIRTIO_VSOCK_EVENT_TRANSPORT_RESET };
	struct virtqueue *q = &v->d.queues[VSOCK_EVENT];
	struct vq_chain c = { .iov = v->iov, .iov_max = VSOCK_QUEUE_SIZE };
	int r;

	if (!v->wants_reset_event)
		return;
	r = vq_pop(q, &c);
	if (r == 0 && vq_wait(q))
		r = vq_pop(q, &c);
	if (r > 0) {
		r = vq_push(q, &c, vq_write(&c, 0, &transport_reset, sizeof(transport_reset)));
		v->wants_reset_event = false;
	}
	vq_flush(q);
	if (r < 0)
		virtio_queue_broken(&v->d, q);
}

/* ---- from the guest ---- */

/* An answer to what is of no connection. It goes to the guest, whoever the packet says it is from. */
static void refuse(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	if (h->op == VIRTIO_VSOCK_OP_RST || v->n_resets == VSOCK_RESETS)
		return;
	v->resets[v->n_resets++] = (struct virtio_vsock_hdr){ .src_cid = h->dst_cid,
							      .dst_cid = v->guest_cid,
							      .src_port = h->dst_port,
							      .dst_port = h->src_port,
							      .type = h->type,
							      .op = VIRTIO_VSOCK_OP_RST };
}

static void accept_guest(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	bool is_owned = false;
	struct vsock_conn *c;
	int fd = -EBUSY;

	if (v->n_used < VSOCK_CONNS && v->n_guests < VSOCK_CONNS_GUEST)
		fd = vsock_host_connect(v, h->dst_port, &is_owned);
	c = fd >= 0 ? vsock_conn_new(v, fd, is_owned, true) : NULL;
	if (!c) {
		refuse(v, h);
		return;
	}
	c->host_port = h->dst_port;
	c->guest_port = h->src_port;
	vsock_conn_credit(c, h);
	vsock_conn_tell(c, VIRTIO_VSOCK_OP_RESPONSE);
	vsock_conn_open(c);
}

/* A packet of a connection. */
static void serve(struct vsock_conn *c, const struct virtio_vsock_hdr *h, const struct vq_chain *chain)
{
	if (c->state == VSOCK_DRAINING) /* its RST is on the way */
		return;
	vsock_conn_credit(c, h);
	switch (h->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		if (c->state == VSOCK_ASKED)
			vsock_host_answer(c);
		else
			vsock_conn_abort(c);
		break;
	case VIRTIO_VSOCK_OP_RST: vsock_conn_reset(c); return;
	case VIRTIO_VSOCK_OP_SHUTDOWN: vsock_conn_shutdown(c, h->flags); return;
	case VIRTIO_VSOCK_OP_RW: vsock_conn_data(c, chain, h->len); return;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE: vsock_conn_watch(c); break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST: vsock_conn_tell(c, VIRTIO_VSOCK_OP_CREDIT_UPDATE); break;
	default: vsock_conn_abort(c); break;
	}
}

static void take_packet(struct vsock *v, const struct vq_chain *chain)
{
	struct virtio_vsock_hdr h;
	struct vsock_conn *c;

	if (vq_read(chain, 0, &h, sizeof(h)) != sizeof(h))
		return;
	if (h.src_cid != v->guest_cid || h.dst_cid != VSOCK_HOST_CID || h.type != VIRTIO_VSOCK_TYPE_STREAM ||
	    h.len > chain->out_bytes - sizeof(h)) {
		refuse(v, &h);
		return;
	}
	c = vsock_conn_find(v, h.dst_port, h.src_port);
	if (c)
		serve(c, &h, chain);
	else if (h.op == VIRTIO_VSOCK_OP_REQUEST)
		accept_guest(v, &h);
	else
		refuse(v, &h);
}

static void take_packets(struct vsock *v)
{
	struct virtqueue *q = &v->d.queues[VSOCK_TX];
	struct vq_chain c = { .iov = v->iov, .iov_max = VSOCK_QUEUE_SIZE };
	unsigned n = 0;
	int r = 0;

	while (n < BATCH && v->n_resets < VSOCK_RESETS) {
		r = vq_pop(q, &c);
		if (r == 0 && vq_wait(q))
			r = vq_pop(q, &c);
		if (r <= 0)
			break;
		take_packet(v, &c);
		r = vq_push(q, &c, 0);
		if (r < 0)
			break;
		n++;
	}
	vq_flush(q);
	if (r < 0)
		virtio_queue_broken(&v->d, q);
	vsock_send_pending(v);
	/* Not where the answers wait: the guest's next receive buffers come back here. */
	if (r > 0 && v->n_resets < VSOCK_RESETS)
		virtio_kick_self(q);
}

/* ---- time ---- */

static void on_time(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct vsock *v = arg;
	uint64_t now = clock_mono_us();

	(void)l;
	(void)fd;
	(void)events;
	v->timer = NULL;
	for (unsigned i = 0; i < VSOCK_CONNS; i++)
		if (v->conns[i].state != VSOCK_FREE && v->conns[i].deadline_us && v->conns[i].deadline_us <= now)
			vsock_conn_abort(&v->conns[i]);
	vsock_arm(v);
	vsock_send_pending(v);
}

void vsock_arm(struct vsock *v)
{
	uint64_t first = UINT64_MAX, now = clock_mono_us();

	for (unsigned i = 0; i < VSOCK_CONNS; i++)
		if (v->conns[i].state != VSOCK_FREE && v->conns[i].deadline_us)
			first = MIN(first, v->conns[i].deadline_us);
	if (first == UINT64_MAX || (v->timer && v->timer_us <= first))
		return;
	loop_del(v->timer);
	v->timer = NULL;
	v->timer_us = first;
	if (loop_timer(v->d.vm->loop, first > now ? (first - now) / 1000 + 1 : 0, on_time, v, &v->timer) < 0)
		log_warn("vsock", "no timer: connections that nobody answers stay");
}

/* ---- the device ---- */

static void kick(struct virtio_device *d, unsigned queue)
{
	struct vsock *v = vsock_of(d);

	if (queue == VSOCK_EVENT) {
		send_event(v);
	} else if (queue == VSOCK_TX) {
		take_packets(v);
	} else {
		bool was_full = v->n_resets == VSOCK_RESETS;

		v->is_starved = false;
		vsock_send_pending(v);
		for (unsigned i = 0; i < VSOCK_CONNS; i++)
			vsock_conn_watch(&v->conns[i]);
		if (was_full) /* then the guest's output waited for this */
			virtio_kick_self(&d->queues[VSOCK_TX]);
	}
}

static int activate(struct virtio_device *d, struct err *e)
{
	int r = vsock_host_listen(vsock_of(d));

	return r < 0 ? err_set(e, -r, "the listening socket: %s", strerror(-r)) : 0;
}

static void reset(struct virtio_device *d)
{
	struct vsock *v = vsock_of(d);

	d->is_active = false; /* so that no connection's end makes us listen again */
	vsock_host_unlisten(v);
	for (unsigned i = 0; i < VSOCK_CONNS; i++)
		if (v->conns[i].state != VSOCK_FREE)
			vsock_conn_free(&v->conns[i]);
	loop_del(v->timer);
	v->timer = NULL;
	v->n_resets = 0;
	v->is_starved = v->wants_reset_event = false;
}

static int save(struct virtio_device *d, void *to, struct err *e)
{
	const struct vsock_saved s = { vsock_of(d)->guest_cid };

	(void)e;
	memcpy(to, &s, sizeof(s));
	return 0;
}

static int load(struct virtio_device *d, const void *from, struct err *e)
{
	struct vsock *v = vsock_of(d);
	struct vsock_saved s;

	memcpy(&s, from, sizeof(s));
	if (s.guest_cid < VMM_CID_MIN || s.guest_cid >= UINT32_MAX)
		return err_set(e, EBADMSG, "saved state: a guest with CID %llu", (unsigned long long)s.guest_cid);
	v->wants_reset_event = true;
	memcpy(d->config, &v->guest_cid, sizeof(v->guest_cid));
	return 0;
}

static void vsock_free(struct virtio_device *d) { free(vsock_of(d)); }

static const struct virtio_device_ops ops = { .name = "vsock",
					      .id = VIRTIO_ID_VSOCK,
					      .activate = activate,
					      .reset = reset,
					      .kick = kick,
					      .state_version = 1,
					      .state_bytes = sizeof(struct vsock_saved),
					      .save = save,
					      .load = load,
					      .free = vsock_free };

static int check_stream(int fd, bool listens, struct err *e)
{
	int type = 0, accepts = 0, r;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) < 0 || !accepts != !listens)
		return err_set(e, EINVAL, "descriptor %d is not a %s stream socket", fd, listens ? "listening" : "connected");
	r = fd_nonblock(fd, true);
	return r < 0 ? err_set(e, -r, "descriptor %d: %s", fd, strerror(-r)) : 0;
}

int virtio_vsock_new(const struct vmm_vsock_plan *plan, struct virtio_device **ret, struct err *e)
{
	struct vsock *v;
	int r = plan->listen_fd >= 0 ? check_stream(plan->listen_fd, true, e) : 0;

	for (size_t i = 0; r >= 0 && i < plan->n_streams; i++)
		r = check_stream(plan->streams[i].fd, false, e);
	if (r < 0)
		return r;
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(e, ENOMEM, "out of memory");
	v->plan = plan;
	v->guest_cid = plan->guest_cid;
	v->d.ops = &ops;
	v->d.n_queues = VSOCK_QUEUES;
	for (unsigned i = 0; i < VSOCK_QUEUES; i++)
		v->d.queues[i].size_max = VSOCK_QUEUE_SIZE;
	v->d.config_bytes = sizeof(struct virtio_vsock_config);
	memcpy(v->d.config, &v->guest_cid, sizeof(v->guest_cid));
	*ret = &v->d;
	return 0;
}
