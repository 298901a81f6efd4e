/* net_worker: frames between a pair of queues and a tap queue; one worker a pair, which owns both queues.
 *
 * To the guest: one readv fills the guest's own buffers; enough of them are kept in hand for the longest frame that may come,
 * and with MRG_RXBUF a frame takes as many as it needs, published all at once (5.1.6.4). A frame that comes while there is too
 * little room stays in the tap. From the guest: the header is copied and checked (net_header.c), of a frame to be cut its
 * headers too; all else goes to writev as it lies in the guest's memory. */
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "net.h"

#define RATE_MS 1000u
#define BATCH   64u  /* frames a turn and direction */
#define GONE_MS 250u /* how often we look whether a tap that fails is back */

static struct virtqueue *receive_queue(struct net_pair *p) { return &p->net->d.queues[2 * p->index]; }
static struct virtqueue *transmit_queue(struct net_pair *p) { return &p->net->d.queues[2 * p->index + 1]; }

static void wait_at_most(struct net_pair *p, unsigned ms)
{
	if (ms && (!p->wait_ms || ms < p->wait_ms))
		p->wait_ms = ms;
}

/* Milliseconds until something may pass, after which it is asked again; 0: now. */
static unsigned rate_wait_ms(struct net_rate *r)
{
	int64_t ns;

	if (!r->limit.per_second)
		return 0;
	pthread_mutex_lock(&r->lock);
	ns = limit_wait(&r->limit, limit_now());
	pthread_mutex_unlock(&r->lock);
	return ns ? (unsigned)MIN(ns / 1000000 + 1, (int64_t)RATE_MS) : 0;
}

static void rate_take(struct net_rate *r, uint64_t bytes)
{
	if (!r->limit.per_second)
		return;
	pthread_mutex_lock(&r->lock);
	limit_take(&r->limit, bytes, limit_now());
	pthread_mutex_unlock(&r->lock);
}

/* ---- to the guest ---- */

static struct vq_chain *chain(struct net_pair *p, unsigned i) { return &p->chains[p->first + i]; }

/* Moves what is in hand to the front. */
static void compact(struct net_pair *p)
{
	struct iovec *from = &p->iov[p->first_iov];

	memmove(p->iov, from, p->n_iov * sizeof(p->iov[0]));
	memmove(p->chains, chain(p, 0), p->n * sizeof(p->chains[0]));
	for (unsigned i = 0; i < p->n; i++)
		p->chains[i].iov -= p->first_iov;
	p->first = p->first_iov = 0;
}

/* May one more chain, of any length, be taken in hand? */
static bool has_place(struct net_pair *p)
{
	if (p->first + p->n == NET_CHAINS || p->first_iov + p->n_iov + NET_QUEUE_SIZE > NET_IOVS)
		compact(p);
	return p->n < NET_CHAINS && p->n_iov + NET_QUEUE_SIZE <= NET_IOVS;
}

/* 1: one more is in hand; 0: the guest has none; -EBADMSG. */
static int take_buffer(struct net_pair *p)
{
	struct virtqueue *q = receive_queue(p);
	struct vq_chain *c = chain(p, p->n);
	int r;

	*c = (struct vq_chain){ .iov = &p->iov[p->first_iov + p->n_iov], .iov_max = NET_QUEUE_SIZE };
	r = vq_pop(q, c);
	if (r <= 0)
		return r;
	if (c->n_out > 0 || c->in_bytes < NET_HEADER)
		return -EBADMSG;
	p->n++;
	p->n_iov += c->n_in;
	p->room += c->in_bytes;
	return 1;
}

/* Enough buffers for any frame: 1; 0: the guest will say when it has more. */
static int take_buffers(struct net_pair *p)
{
	bool merges = virtio_has(&p->net->d, VIRTIO_NET_F_MRG_RXBUF);
	struct virtqueue *q = receive_queue(p);

	/* Without merging a frame is in one buffer, and its size is the driver's business (5.1.6.3.1). */
	while (merges ? p->room < p->net->receive_need : p->n == 0) {
		int r = has_place(p) ? take_buffer(p) : 1;

		if (r < 0)
			return r;
		if (r > 0 && (p->room >= p->net->receive_need || has_place(p)))
			continue;
		if (r > 0 || p->n == q->s.size) /* more than this we or the guest won't ever have */
			return p->n > 0;
		if (!vq_wait(q))
			return 0;
	}
	return 1;
}

/* Hands the first k chains back, filled with len bytes together. */
static int publish(struct net_pair *p, uint64_t len)
{
	uint64_t written[NET_CHAINS];
	uint16_t k = 0;
	unsigned n_iov = 0;
	int r;

	while (len > 0) {
		const struct vq_chain *c = chain(p, k);

		written[k++] = MIN(len, c->in_bytes);
		len -= written[k - 1];
		n_iov += c->n_in;
		p->room -= c->in_bytes;
	}
	(void)vq_write(chain(p, 0), offsetof(struct virtio_net_hdr_v1, num_buffers), &k, sizeof(k));
	r = vq_push_many(receive_queue(p), chain(p, 0), written, k);
	p->first += k;
	p->n -= k;
	p->first_iov += n_iov;
	p->n_iov -= n_iov;
	return r;
}

/* One frame: 1; 0: not now; -EBADMSG: the queue is broken. */
static int receive_frame(struct net_pair *p)
{
	uint8_t spill; /* is reached by frames that don't fit alone */
	ssize_t n;
	int r;

	wait_at_most(p, rate_wait_ms(&p->net->to_guest));
	if (p->wait_ms)
		return 0;
	r = take_buffers(p);
	if (r <= 0)
		return r;
	p->iov[p->first_iov + p->n_iov] = (struct iovec){ &spill, 1 };
	do
		n = readv(p->fd, &p->iov[p->first_iov], (int)p->n_iov + 1);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		p->wants_in = true;
		return 0;
	}
	if (n <= 0) { /* taken away, or its other end has gone */
		p->is_gone = true;
		return 0;
	}
	if (n < NET_HEADER + NET_ETH || (uint64_t)n > p->room) {
		p->dropped_rx++;
		return 1;
	}
	rate_take(&p->net->to_guest, (uint64_t)n - NET_HEADER);
	r = publish(p, (uint64_t)n);
	return r < 0 ? r : 1;
}

bool net_receive(struct net_pair *p)
{
	struct virtqueue *q = receive_queue(p);
	unsigned n = 0;
	int r = 1;

	p->wants_in = false;
	p->wait_ms = 0;
	if (q->s.is_broken || p->is_gone)
		return false;
	while (r > 0 && n < BATCH) {
		r = receive_frame(p);
		n += r > 0;
	}
	vq_flush(q);
	if (r < 0)
		virtio_queue_broken(&p->net->d, q);
	return n == BATCH;
}

void net_give_back(struct net_pair *p)
{
	vq_unpop(receive_queue(p), p->n);
	p->first = p->n = p->first_iov = p->n_iov = 0;
	p->room = 0;
}

/* ---- from the guest ---- */

/* Writes a frame, or drops it: true; false: the tap takes no more now. */
static bool send_frame(struct net_pair *p, const struct vq_chain *c)
{
	uint64_t len = c->out_bytes - NET_HEADER;
	struct iovec iov[NET_QUEUE_SIZE + 2];
	struct virtio_net_hdr_v1 h;
	uint8_t head[NET_HEAD];
	size_t head_len = 0;
	unsigned n = 1;
	ssize_t sent;

	if (c->out_bytes < NET_HEADER + NET_ETH || len > NET_FRAME_MAX) {
		p->dropped_tx++;
		return true;
	}
	(void)vq_read(c, 0, &h, sizeof(h));
	if (net_header_cuts(&h))
		head_len = vq_read(c, NET_HEADER, head, sizeof(head));
	if (net_header_check(&h, head, head_len, len, p->net->d.features_acked) < 0) {
		p->dropped_tx++;
		return true;
	}
	iov[0] = (struct iovec){ &h, sizeof(h) };
	if (head_len > 0)
		iov[n++] = (struct iovec){ head, head_len };
	n += vq_out(c, NET_HEADER + head_len, UINT32_MAX, &iov[n]);
	do
		sent = writev(p->fd, iov, (int)n);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN)
		return false;
	if (sent < 0) /* down, taken away, or a frame that the kernel knows better about */
		p->dropped_tx++;
	rate_take(&p->net->from_guest, len);
	return true;
}

bool net_transmit(struct net_pair *p)
{
	struct virtqueue *q = transmit_queue(p);
	struct iovec iov[NET_QUEUE_SIZE];
	struct vq_chain c = { .iov = iov, .iov_max = NET_QUEUE_SIZE };
	unsigned n = 0;
	int r = 0;

	p->wants_out = false;
	p->wait_ms = 0;
	if (q->s.is_broken)
		return false;
	while (n < BATCH) {
		wait_at_most(p, rate_wait_ms(&p->net->from_guest));
		if (p->wait_ms)
			break;
		r = vq_pop(q, &c);
		if (r == 0 && vq_wait(q))
			r = vq_pop(q, &c);
		if (r <= 0)
			break;
		if (!send_frame(p, &c)) {
			vq_unpop(q, 1);
			p->wants_out = true;
			break;
		}
		r = vq_push(q, &c, 0);
		if (r < 0)
			break;
		n++;
	}
	vq_flush(q);
	if (r < 0)
		virtio_queue_broken(&p->net->d, q);
	return n == BATCH;
}

/* ---- the worker ---- */

enum { WAKE, KICK_IN, KICK_OUT, TAP, POLLED };

static void prepare(struct net_pair *p, struct pollfd fds[POLLED])
{
	short events = (short)((p->wants_in ? POLLIN : 0) | (p->wants_out ? POLLOUT : 0));

	fds[WAKE] = (struct pollfd){ .fd = p->wake_fd, .events = POLLIN };
	fds[KICK_IN] = (struct pollfd){ .fd = receive_queue(p)->kick_fd, .events = POLLIN };
	fds[KICK_OUT] = (struct pollfd){ .fd = transmit_queue(p)->kick_fd, .events = POLLIN };
	fds[TAP] = (struct pollfd){ .fd = events ? p->fd : -1, .events = events };
}

static void forget_kicks(const struct pollfd fds[POLLED])
{
	eventfd_t n;

	for (unsigned i = KICK_IN; i <= KICK_OUT; i++)
		if (fds[i].revents)
			(void)!eventfd_read(fds[i].fd, &n);
}

void net_worker(void *arg)
{
	struct net_pair *p = arg;
	struct pollfd fds[POLLED];

	p->is_gone = false;
	for (;;) {
		bool has_more = net_transmit(p);
		unsigned wait_ms = p->wait_ms;

		has_more |= net_receive(p);
		wait_at_most(p, wait_ms);
		wait_at_most(p, p->is_gone ? GONE_MS : 0);
		prepare(p, fds);
		if (poll(fds, POLLED, has_more ? 0 : p->wait_ms ? (int)p->wait_ms : -1) < 0 && errno != EINTR)
			break;
		if (fds[WAKE].revents)
			break;
		forget_kicks(fds);
		/* An error that neither reading nor writing would tell: not to be polled again and again. */
		p->is_gone = fds[TAP].revents && !(fds[TAP].revents & (POLLIN | POLLOUT));
	}
	net_give_back(p);
}
