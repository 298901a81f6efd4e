/* net: the network card (virtio 1.2, 5.1) before one or several queues of a tap. Queues 2i and 2i+1 are pair i's; the control
 * queue is behind all pairs, or is queue 2 where the driver knows of one pair only (5.1.2).
 *
 * Here, on the vmm thread: building, what was negotiated, the control queue, starting and stopping of workers. A worker runs
 * for each pair that the driver uses, and for no other; so the number of pairs changes while none of those concerned runs. */
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "net.h"

#define CONTROL_IOVS 64u
#define CONTROL_MAX  16u /* requests a turn */
#define BIT(f)       (1ull << (f))
#define OFFLOADS \
	(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN))
/* No UFO: Linux has had no hardware or driver for it since 4.14, and cutting UDP anew is the kernel's least trodden path. No STATUS:
 * the link is always up, and a driver that may ask finds it down at first, which a second card's users see for a second
 * (net/core/link_watch.c). */
#define FEATURES                                                                                                        \
	(OFFLOADS | BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |                \
	 BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CTRL_VQ) | \
	 BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))

static struct net *net_of(struct virtio_device *d) { return container_of(d, struct net, d); }

/* ---- the tap ---- */

/* What the guest takes unfinished from us, as the tap's flags. GUEST_CSUM is what all others need (5.1.3.1). */
static unsigned tun_flags(uint64_t offloads)
{
	static const struct {
		uint64_t feature;
		unsigned flag;
	} rows[] = {
		{ BIT(VIRTIO_NET_F_GUEST_CSUM), TUN_F_CSUM },
		{ BIT(VIRTIO_NET_F_GUEST_TSO4), TUN_F_TSO4 },
		{ BIT(VIRTIO_NET_F_GUEST_TSO6), TUN_F_TSO6 },
		{ BIT(VIRTIO_NET_F_GUEST_ECN), TUN_F_TSO_ECN },
	};
	unsigned flags = 0;

	if (!(offloads & BIT(VIRTIO_NET_F_GUEST_CSUM)))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		flags |= (offloads & rows[i].feature) ? rows[i].flag : 0;
	if (!(flags & (TUN_F_TSO4 | TUN_F_TSO6))) /* the kernel refuses ECN alone */
		flags &= ~(unsigned)TUN_F_TSO_ECN;
	return flags;
}

static int set_offloads(struct net *n, uint64_t offloads)
{
	return n->is_tap && ioctl(n->pairs[0].fd, TUNSETOFFLOAD, (unsigned long)tun_flags(offloads)) < 0 ? -errno : 0;
}

/* Takes a tap queue out of the host's choice, or puts it back. */
static int set_attached(struct net_pair *p, bool is_attached)
{
	struct ifreq ifr = { .ifr_flags = is_attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	if (!p->net->is_tap || p->is_attached == is_attached)
		return 0;
	if (ioctl(p->fd, TUNSETQUEUE, &ifr) < 0)
		return -errno;
	p->is_attached = is_attached;
	return 0;
}

static int open_tap(struct net_pair *p, char first[IFNAMSIZ], struct err *e)
{
	struct net *n = p->net;
	const int size = NET_HEADER;
	struct ifreq ifr = { 0 };

	if (ioctl(p->fd, TUNGETIFF, &ifr) < 0)
		return err_set(e, EINVAL, "descriptor %d is not a tap with a device", p->fd);
	/* IFF_NO_PI can't be asked for: the kernel answers IFF_NOFILTER in the same bit. */
	if ((ifr.ifr_flags & (IFF_TAP | IFF_VNET_HDR)) != (IFF_TAP | IFF_VNET_HDR))
		return err_set(e, EINVAL, "%.15s: not made with IFF_TAP and IFF_VNET_HDR", ifr.ifr_name);
	if (n->n_pairs > 1 && !(ifr.ifr_flags & IFF_MULTI_QUEUE))
		return err_set(e, EINVAL, "%.15s: several queues, and not made with IFF_MULTI_QUEUE", ifr.ifr_name);
	if (p->index == 0)
		memcpy(first, ifr.ifr_name, IFNAMSIZ);
	else if (strncmp(first, ifr.ifr_name, IFNAMSIZ) != 0)
		return err_set(e, EINVAL, "%.15s and %.15s are not queues of one device", first, ifr.ifr_name);
	if (ioctl(p->fd, TUNSETVNETHDRSZ, &size) < 0)
		return err_set(e, errno, "%.15s: header size: %s", ifr.ifr_name, strerror(errno));
	p->is_attached = !(ifr.ifr_flags & IFF_DETACH_QUEUE);
	return 0;
}

static int open_taps(struct net *n, struct err *e)
{
	char first[IFNAMSIZ] = "";
	int type = 0, r = 0;
	socklen_t len = sizeof(type);

	n->is_tap = getsockopt(n->pairs[0].fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0;
	for (unsigned i = 0; r >= 0 && i < n->n_pairs; i++) {
		struct net_pair *p = &n->pairs[i];

		if (n->is_tap)
			r = open_tap(p, first, e);
		else if (getsockopt(p->fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
			 (type != SOCK_DGRAM && type != SOCK_SEQPACKET))
			r = err_set(e, EINVAL, "descriptor %d is neither a tap nor a socket that keeps messages apart", p->fd);
		if (r >= 0) {
			r = fd_nonblock(p->fd, true);
			if (r < 0)
				err_set(e, -r, "descriptor %d: %s", p->fd, strerror(-r));
		}
	}
	return r;
}

/* ---- workers ---- */

static void start_pair(struct net_pair *p)
{
	if (p->is_running || !p->net->d.workers[p->index])
		return;
	p->is_running = true;
	vmm_worker_start(p->net->d.workers[p->index], net_worker, p);
}

static void stop_pair(struct net_pair *p)
{
	eventfd_t n;

	if (!p->is_running)
		return;
	(void)!eventfd_write(p->wake_fd, 1);
	vmm_worker_wait(p->net->d.workers[p->index]);
	(void)!eventfd_read(p->wake_fd, &n);
	p->is_running = false;
}

static void stop(struct virtio_device *d)
{
	struct net *n = net_of(d);

	for (unsigned i = 0; i < n->n_pairs; i++)
		stop_pair(&n->pairs[i]);
}

static void start_pairs(struct net *n)
{
	for (unsigned i = 0; i < n->s.pairs; i++)
		start_pair(&n->pairs[i]);
}

/* No worker runs. */
static void start(struct virtio_device *d)
{
	struct net *n = net_of(d);
	bool cuts = n->s.offloads & (BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6));
	uint16_t mtu;

	memcpy(&mtu, d->config + offsetof(struct virtio_net_config, mtu), sizeof(mtu));
	n->receive_need = NET_HEADER + (cuts ? NET_FRAME_MAX : NET_ETH + 4u + MAX(mtu, (uint16_t)1500)); /* 4: a VLAN tag */
	start_pairs(n);
}

static void resume(struct virtio_device *d)
{
	if (d->is_active)
		start(d);
}

static int set_pairs(struct net *n, unsigned pairs)
{
	int r = 0;

	for (unsigned i = pairs; i < n->n_pairs; i++)
		stop_pair(&n->pairs[i]);
	for (unsigned i = 0; i < n->n_pairs; i++) {
		int failed = set_attached(&n->pairs[i], i < pairs);

		r = r < 0 ? r : failed;
	}
	n->s.pairs = pairs;
	return r;
}

/* ---- control queue: 5.1.6.5 ---- */

static unsigned control_index(const struct net *n) { return virtio_has(&n->d, VIRTIO_NET_F_MQ) ? 2 * n->n_pairs : 2; }

static bool change_pairs(struct net *n, const struct vq_chain *c)
{
	uint16_t pairs = 0;

	if (vq_read(c, 2, &pairs, sizeof(pairs)) != sizeof(pairs) || pairs < 1 || pairs > n->n_pairs ||
	    !virtio_has(&n->d, VIRTIO_NET_F_MQ))
		return false;
	if (set_pairs(n, pairs) < 0)
		return false;
	start_pairs(n); /* the others go on meanwhile */
	return true;
}

static bool change_offloads(struct net *n, const struct vq_chain *c)
{
	uint64_t offloads = 0;

	if (vq_read(c, 2, &offloads, sizeof(offloads)) != sizeof(offloads) || offloads & ~(n->d.features_acked & OFFLOADS) ||
	    !virtio_has(&n->d, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
		return false;
	stop(&n->d); /* for receive_need */
	if (set_offloads(n, offloads) == 0)
		n->s.offloads = offloads;
	start(&n->d);
	return n->s.offloads == offloads;
}

static bool obey(struct net *n, const struct vq_chain *c)
{
	struct virtio_net_ctrl_hdr h = { 0xff, 0xff };

	(void)vq_read(c, 0, &h, sizeof(h));
	if (h.class == VIRTIO_NET_CTRL_MQ && h.cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
		return change_pairs(n, c);
	if (h.class == VIRTIO_NET_CTRL_GUEST_OFFLOADS && h.cmd == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET)
		return change_offloads(n, c);
	return false;
}

static void serve_control(struct net *n)
{
	struct virtqueue *q = &n->d.queues[control_index(n)];
	struct iovec iov[CONTROL_IOVS];
	struct vq_chain c = { .iov = iov, .iov_max = CONTROL_IOVS };
	unsigned done = 0;
	int r = 0;

	for (; done < CONTROL_MAX; done++) {
		uint8_t ack;

		r = vq_pop(q, &c);
		if (r == 0 && vq_wait(q))
			r = vq_pop(q, &c);
		if (r <= 0)
			break;
		ack = obey(n, &c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
		r = vq_push(q, &c, vq_write(&c, 0, &ack, sizeof(ack)));
		if (r < 0)
			break;
	}
	vq_flush(q);
	if (r < 0)
		virtio_queue_broken(&n->d, q);
	else if (done == CONTROL_MAX)
		virtio_kick_self(q);
}

static void on_control(struct loop *l, int fd, uint32_t events, void *arg)
{
	eventfd_t n;

	(void)l;
	(void)events;
	(void)!eventfd_read(fd, &n);
	serve_control(arg);
}

/* ---- the device ---- */

static int activate(struct virtio_device *d, struct err *e)
{
	struct net *n = net_of(d);
	struct virtqueue *control = &d->queues[control_index(n)];
	int r;

	if (!n->s.has_offloads)
		n->s.offloads = d->features_acked & OFFLOADS;
	n->s.has_offloads = 1;
	r = set_offloads(n, n->s.offloads);
	if (r < 0)
		return err_set(e, -r, "the tap's offloads: %s", strerror(-r));
	r = set_pairs(n, n->s.pairs);
	if (r < 0)
		return err_set(e, -r, "the tap's queues: %s", strerror(-r));
	if (control->desc) {
		r = loop_add(d->vm->loop, control->kick_fd, EPOLLIN, on_control, n, &n->control);
		if (r < 0)
			return err_set(e, -r, "event loop: %s", strerror(-r));
	}
	start(d);
	if (control->desc)
		virtio_kick_self(control); /* for what came before we listened */
	return 0;
}

static void reset(struct virtio_device *d)
{
	struct net *n = net_of(d);

	loop_del(n->control);
	n->control = NULL;
	stop(d);
	int r = set_pairs(n, 1);
	if (r < 0)
		log_warn("net", "the tap's queues: %s", strerror(-r));
	n->s = (struct net_state){ .pairs = 1 };
}

static int save(struct virtio_device *d, void *to, struct err *e)
{
	(void)e;
	memcpy(to, &net_of(d)->s, sizeof(struct net_state));
	return 0;
}

static int load(struct virtio_device *d, const void *from, struct err *e)
{
	struct net *n = net_of(d);
	struct net_state s;

	memcpy(&s, from, sizeof(s));
	if (s.pairs < 1 || s.pairs > n->n_pairs)
		return err_set(e, EBADMSG, "saved state: %u pairs of queues, and the plan has %u taps", s.pairs, n->n_pairs);
	if (s.has_offloads > 1 || s.offloads & ~(d->features_acked & OFFLOADS))
		return err_set(e, EBADMSG, "saved state: offloads %#llx", (unsigned long long)s.offloads);
	n->s = s;
	memcpy(d->config, n->mac, sizeof(n->mac)); /* the plan's, for whoever asks again: two clones are not one station (V13) */
	return 0;
}

static void net_free(struct virtio_device *d)
{
	struct net *n = net_of(d);

	for (unsigned i = 0; i < n->n_pairs; i++)
		fd_close(n->pairs[i].wake_fd);
	pthread_mutex_destroy(&n->to_guest.lock);
	pthread_mutex_destroy(&n->from_guest.lock);
	free(n);
}

static const struct virtio_device_ops ops = { .name = "net",
					      .id = VIRTIO_ID_NET,
					      .activate = activate,
					      .reset = reset,
					      .owns_kicks = true,
					      .worker_class = VMM_THREAD_NET,
					      .quiesce = stop,
					      .resume = resume,
					      .state_version = 1,
					      .state_bytes = sizeof(struct net_state),
					      .save = save,
					      .load = load,
					      .free = net_free };

static void rate_init(struct net_rate *r, const struct vmm_limit_plan *plan)
{
	pthread_mutex_init(&r->lock, NULL);
	limit_init(&r->limit, plan, limit_now());
}

static void fill_config(struct net *n, const struct vmm_net_plan *plan)
{
	struct virtio_net_config config = { .max_virtqueue_pairs = (uint16_t)n->n_pairs, .mtu = (uint16_t)plan->mtu };

	memcpy(config.mac, plan->mac, sizeof(config.mac));
	memcpy(n->mac, plan->mac, sizeof(n->mac));
	memcpy(n->d.config, &config, sizeof(config));
	n->d.config_bytes = offsetof(struct virtio_net_config, speed);
	n->d.features = FEATURES | (plan->mtu ? BIT(VIRTIO_NET_F_MTU) : 0) | (n->n_pairs > 1 ? BIT(VIRTIO_NET_F_MQ) : 0);
}

int virtio_net_new(const struct vmm_net_plan *plan, struct virtio_device **ret, struct err *e)
{
	struct net *n = calloc(1, sizeof(*n));
	int r = 0;

	if (!n)
		return err_set(e, ENOMEM, "out of memory");
	n->d.ops = &ops;
	n->s.pairs = 1;
	n->n_pairs = (unsigned)plan->n_taps;
	n->d.n_queues = 2 * n->n_pairs + 1;
	n->d.n_workers = n->n_pairs;
	for (unsigned i = 0; i < n->d.n_queues; i++)
		n->d.queues[i].size_max = i == n->d.n_queues - 1 ? CONTROL_IOVS : NET_QUEUE_SIZE;
	rate_init(&n->to_guest, &plan->to_guest);
	rate_init(&n->from_guest, &plan->from_guest);
	for (unsigned i = 0; i < n->n_pairs; i++) {
		struct net_pair *p = &n->pairs[i];

		*p = (struct net_pair){ .net = n, .index = i, .fd = plan->taps[i].fd };
		p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (p->wake_fd < 0 && r >= 0)
			r = err_set(e, errno, "eventfd: %s", strerror(errno));
	}
	fill_config(n, plan);
	if (r >= 0)
		r = open_taps(n, e);
	if (r < 0) {
		net_free(&n->d);
		return r;
	}
	*ret = &n->d;
	return 0;
}
