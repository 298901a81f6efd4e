/* rng: the host's random numbers (virtio 1.2, 5.4): one queue of buffers to be filled from getrandom(2). A clone of a snapshot
 * asks anew, so what it gets is its own. */
#include <sys/random.h>

#include "../vmm_impl.h"

#define QUEUE_SIZE  64u
#define REQUEST_MAX 65536u /* of a request that asks for more, the rest is left unfilled, as 5.4.6.2 allows */
#define BATCH       16u    /* requests a turn: the loop has others to serve (V20) */

struct rng {
	struct virtio_device d;
	uint32_t rate;     /* bytes a second; 0: no limit */
	uint64_t until_us; /* of the second that is being counted */
	uint64_t used;
	struct loop_src *timer;
};

static struct rng *rng_of(struct virtio_device *d) { return container_of(d, struct rng, d); }

static void serve(struct rng *r);

static void on_timer(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct rng *r = arg;

	(void)l;
	(void)fd;
	(void)events;
	r->timer = NULL;
	serve(r);
}

/* Bytes that may be given now; 0: a timer comes back for the rest. */
static uint64_t budget(struct rng *r)
{
	uint64_t now = clock_mono_us();

	if (!r->rate)
		return REQUEST_MAX;
	if (now >= r->until_us) {
		r->until_us = now + 1000000;
		r->used = 0;
	}
	if (r->used < r->rate)
		return MIN(r->rate - r->used, (uint64_t)REQUEST_MAX);
	if (!r->timer && loop_timer(r->d.vm->loop, (r->until_us - now) / 1000 + 1, on_timer, r, &r->timer) < 0)
		return 1; /* no timer: slowly, rather than never */
	return 0;
}

static int fill(const struct vq_chain *c, uint64_t max, uint64_t *ret_n)
{
	struct iovec iov[QUEUE_SIZE];
	unsigned n = vq_in(c, 0, max, iov);

	*ret_n = 0;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = iov[i].iov_base;

		for (size_t done = 0; done < iov[i].iov_len;) {
			ssize_t got = getrandom(p + done, iov[i].iov_len - done, 0);

			if (got < 0 && errno != EINTR)
				return -errno;
			done += got > 0 ? (size_t)got : 0;
		}
		*ret_n += iov[i].iov_len;
	}
	return 0;
}

static void serve(struct rng *r)
{
	struct virtqueue *q = &r->d.queues[0];
	struct iovec iov[QUEUE_SIZE];
	struct vq_chain c = { .iov = iov, .iov_max = QUEUE_SIZE };
	unsigned served = 0;
	int got = 0;

	do {
		while (served < BATCH) {
			uint64_t max = budget(r), n = 0;

			got = max ? vq_pop(q, &c) : 0;
			if (got <= 0)
				break;
			if (fill(&c, max, &n) < 0)
				log_warn("rng", "no random numbers from the host: %s", strerror(errno));
			r->used += n;
			got = vq_push(q, &c, n);
			if (got < 0)
				break;
			served++;
		}
	} while (got == 0 && served < BATCH && !r->timer && vq_wait(q));
	vq_flush(q);
	if (got < 0)
		virtio_queue_broken(&r->d, q);
	else if (served == BATCH)
		virtio_kick_self(q);
}

static int activate(struct virtio_device *d, struct err *e)
{
	(void)e;
	rng_of(d)->until_us = 0;
	return 0;
}

static void reset(struct virtio_device *d)
{
	struct rng *r = rng_of(d);

	loop_del(r->timer);
	r->timer = NULL;
}

static void kick(struct virtio_device *d, unsigned queue)
{
	(void)queue;
	serve(rng_of(d));
}

static void rng_free(struct virtio_device *d) { free(rng_of(d)); }

static const struct virtio_device_ops ops = {
	.name = "rng", .id = VIRTIO_ID_RNG, .activate = activate, .reset = reset, .kick = kick, .free = rng_free
};

int virtio_rng_new(const struct vmm_rng_plan *plan, struct virtio_device **ret, struct err *e)
{
	struct rng *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(e, ENOMEM, "out of memory");
	r->rate = plan->bytes_per_second;
	r->d.ops = &ops;
	r->d.n_queues = 1;
	r->d.queues[0].size_max = QUEUE_SIZE;
	*ret = &r->d;
	return 0;
}
