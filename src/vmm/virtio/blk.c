/* blk: a disk (virtio 1.2, 5.2): a raw image, or a block device of the host.
 *
 * One worker owns all queues. It sleeps in poll on their kicks, on the ring of io_uring that carries out the I/O, and on
 * wake_fd, by which the vmm thread has it end: at a reset what is in flight is waited for (it reads and writes guest RAM) and
 * forgotten, before a snapshot it is waited for and answered. What the worker has not taken stays in the guest's rings, so
 * the device has no state but what must not differ where a snapshot is restored: the disk itself.
 *
 * The image is read and written through the host's page cache; FLUSH is fdatasync. */
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "../image.h"
#include "../vmm_impl.h"
#include "blk.h"

static struct blk *blk_of(struct virtio_device *d) { return container_of(d, struct blk, d); }

/* ---- the worker ---- */

static void sleep_until(struct blk *b, int64_t wait_ns)
{
	struct pollfd fds[VMM_BLK_QUEUES_MAX + 2];
	/* Rounded up; what a limit would have given meanwhile is not lost, it has a burst. */
	int64_t wait_ms = MIN((wait_ns + 999999) / 1000000, (int64_t)INT32_MAX);
	unsigned n = 0;
	eventfd_t count;

	fds[n++] = (struct pollfd){ .fd = b->wake_fd, .events = POLLIN };
	fds[n++] = (struct pollfd){ .fd = ring_fd(b->ring), .events = POLLIN }; /* -1: ignored */
	for (unsigned i = 0; i < b->d.n_queues; i++) {
		const struct virtqueue *q = &b->d.queues[i];

		/* While the limit holds, kicks change nothing. */
		if (q->desc && !q->s.is_broken && wait_ns <= 0)
			fds[n++] = (struct pollfd){ .fd = q->kick_fd, .events = POLLIN };
	}
	if (poll(fds, n, wait_ns >= 0 ? (int)wait_ms : -1) <= 0)
		return;
	for (unsigned i = 0; i < n; i++)
		if (i != 1 && fds[i].revents)
			(void)!eventfd_read(fds[i].fd, &count);
}

static void tell_broken(struct blk *b)
{
	for (unsigned i = 0; b->broken; i++, b->broken >>= 1)
		if (b->broken & 1)
			virtio_queue_broken(&b->d, &b->d.queues[i]);
}

static void work(void *arg)
{
	struct blk *b = arg;

	for (;;) {
		enum blk_order order = (enum blk_order)atomic_load(&b->order);
		int64_t wait = blk_turn(b, order);

		tell_broken(b);
		if (order != BLK_RUN && b->n_busy == 0)
			return;
		sleep_until(b, wait);
	}
}

static void run(struct blk *b)
{
	atomic_store(&b->order, BLK_RUN);
	vmm_worker_start(b->d.workers[0], work, b);
}

static void stop(struct blk *b, enum blk_order order)
{
	atomic_store(&b->order, order);
	(void)!eventfd_write(b->wake_fd, 1);
	vmm_worker_wait(b->d.workers[0]);
}

/* ---- the device ---- */

static int activate(struct virtio_device *d, struct err *e)
{
	struct blk *b = blk_of(d);

	(void)e;
	b->is_writeback = virtio_has(d, VIRTIO_BLK_F_FLUSH);
	run(b);
	return 0;
}

static void reset(struct virtio_device *d) { stop(blk_of(d), BLK_DROP); }

static void quiesce(struct virtio_device *d)
{
	if (d->is_active)
		stop(blk_of(d), BLK_DRAIN);
}

static void resume(struct virtio_device *d)
{
	if (d->is_active)
		run(blk_of(d));
}

static struct image_state state_of(struct virtio_device *d)
{
	const struct blk *b = blk_of(d);

	return (struct image_state){ .size = b->sectors, .flag = b->is_read_only };
}

static int save(struct virtio_device *d, void *to, struct err *e)
{
	const struct image_state s = state_of(d);

	(void)e;
	memcpy(to, &s, sizeof(s));
	return 0;
}

static int load(struct virtio_device *d, const void *from, struct err *e)
{
	static const struct image_words words = { "a disk", "sectors", "read-only" };

	return image_state_check(from, state_of(d), &words, e);
}

static void blk_free(struct virtio_device *d)
{
	struct blk *b = blk_of(d);

	ring_free(b->ring);
	fd_close(b->wake_fd);
	free(b->requests);
	free(b);
}

static const struct virtio_device_ops ops = { .name = "blk",
					      .id = VIRTIO_ID_BLOCK,
					      .activate = activate,
					      .reset = reset,
					      .owns_kicks = true,
					      .worker_class = VMM_THREAD_FILE,
					      .quiesce = quiesce,
					      .resume = resume,
					      .state_version = 1,
					      .state_bytes = sizeof(struct image_state),
					      .save = save,
					      .load = load,
					      .free = blk_free };

/* ---- making it ---- */

/* Asked beyond the end of the file, where it changes nothing. A block device says what it can't do when it is asked to. */
static bool can_fallocate(const struct blk *b, int mode)
{
	return b->is_device || fallocate(b->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)(b->sectors * SECTOR), SECTOR) == 0;
}

static void offer(struct blk *b, unsigned queues, uint32_t block)
{
	struct virtio_blk_config c = { .capacity = b->sectors,
				       .size_max = BLK_SEGMENT_BYTES,
				       .seg_max = BLK_SEGMENTS,
				       .blk_size = block,
				       .num_queues = (uint16_t)queues };
	struct virtio_device *d = &b->d;

	d->features = 1ull << VIRTIO_BLK_F_SIZE_MAX | 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
		      1ull << VIRTIO_BLK_F_FLUSH;
	if (b->is_read_only)
		d->features |= 1ull << VIRTIO_BLK_F_RO;
	if (queues > 1)
		d->features |= 1ull << VIRTIO_BLK_F_MQ;
	if (!b->is_read_only && can_fallocate(b, FALLOC_FL_PUNCH_HOLE)) {
		d->features |= 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
		c.max_discard_sectors = c.max_write_zeroes_sectors = BLK_RANGE_SECTORS;
		c.max_discard_seg = c.max_write_zeroes_seg = BLK_RANGES;
		c.discard_sector_alignment = block / SECTOR;
		c.write_zeroes_may_unmap = 1;
	}
	d->ops = &ops;
	d->n_workers = 1;
	d->n_queues = queues;
	for (unsigned i = 0; i < queues; i++)
		d->queues[i].size_max = BLK_QUEUE_SIZE;
	d->config_bytes = sizeof(c);
	memcpy(d->config, &c, sizeof(c));
}

static int make_room(struct blk *b, struct err *e)
{
	const struct ring_config read_only = { b->fd, BLK_REQUESTS, { IORING_OP_READV, IORING_OP_FSYNC }, 2, false };
	const struct ring_config all = {
		b->fd, BLK_REQUESTS, { IORING_OP_READV, IORING_OP_FSYNC, IORING_OP_WRITEV, IORING_OP_FALLOCATE }, 4, false
	};

	b->requests = calloc(BLK_REQUESTS, sizeof(*b->requests));
	b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!b->requests || b->wake_fd < 0 || ring_new(b->is_read_only ? &read_only : &all, &b->ring) < 0)
		return err_set(e, ENOMEM, "disk: out of memory or descriptors");
	return 0;
}

int virtio_blk_new(const struct vmm_blk_plan *plan, unsigned cpus, struct virtio_device **ret, struct err *e)
{
	struct blk *b = calloc(1, sizeof(*b));
	struct image image;
	int r;

	if (!b)
		return err_set(e, ENOMEM, "out of memory");
	b->fd = plan->fd;
	b->wake_fd = -1;
	b->is_read_only = plan->is_read_only;
	b->holes_are_hints = plan->holes_are_hints;
	if (plan->serial)
		memcpy(b->serial, plan->serial, MIN(strlen(plan->serial), sizeof(b->serial)));
	limit_init(&b->bytes, &plan->bytes, limit_now());
	limit_init(&b->ops, &plan->ops, limit_now());
	r = image_open(b->fd, b->is_read_only, "disk", &image, e);
	if (r >= 0)
		r = make_room(b, e);
	if (r < 0) {
		blk_free(&b->d);
		return r;
	}
	b->sectors = image.bytes / SECTOR;
	b->is_device = image.is_device;
	offer(b, plan->queues ? plan->queues : MIN(cpus, VMM_BLK_QUEUES_MAX), image.block);
	*ret = &b->d;
	return 0;
}
