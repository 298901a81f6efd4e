/* balloon: memory that the guest gives back (virtio 1.2, 5.5). Three ways, all on the vmm thread:
 *
 *   reporting   the guest names free pages, some 2 MiB each, by itself; it waits for the answer before it may use them again, and
 *               then finds them zero. This is what keeps a VM as small as what runs in it.
 *   balloon     config's num_pages asks the guest to set so much aside: the pages that it then names are the host's until it names
 *               them again or, since DEFLATE_ON_OOM is offered, just takes them rather than kill a process.
 *   statistics  one buffer, which we keep until somebody wants to know; handed back, it comes again with new numbers.
 *
 * Queues are numbered as Linux does, without gaps: deflate is 1, and the queue of a feature that was not taken is left out.
 *
 * The guest may name what it likes: each range is judged by the gate to its RAM, work of a turn is bounded, and what is given back
 * twice is given back once. No account of pages is kept: whoever uses a page that it gave away finds a zero page or, in a restored
 * VM, an old one of its own. */
#include <endian.h>
#include <linux/virtio_balloon.h>

#include "balloon.h"

enum {
	INFLATE,
	DEFLATE,
	OPTIONAL, /* statistics, reporting */
	QUEUES = 4,
	QUEUE_SIZE = 128,
	BUFFERS = 64,    /* of a request: 32 is what Linux reports at once */
	PFNS_MAX = 4096, /* of a request and of a turn; Linux names 256 at once */
	PFNS_PIECE = 256,
	REPORTS = 8,       /* requests a turn */
	STATS_BYTES = 640, /* more than 64 statistics are not looked at */
	PFN_SHIFT = VIRTIO_BALLOON_PFN_SHIFT,
};
_Static_assert(BALLOON_STATS == VIRTIO_BALLOON_S_NR, "every statistic has its place");

const char *const balloon_stat_names[BALLOON_STATS] = {
	[VIRTIO_BALLOON_S_SWAP_IN] = "swap_in_bytes",       [VIRTIO_BALLOON_S_SWAP_OUT] = "swap_out_bytes",
	[VIRTIO_BALLOON_S_MAJFLT] = "major_faults",         [VIRTIO_BALLOON_S_MINFLT] = "minor_faults",
	[VIRTIO_BALLOON_S_MEMFREE] = "free_bytes",          [VIRTIO_BALLOON_S_MEMTOT] = "total_bytes",
	[VIRTIO_BALLOON_S_AVAIL] = "available_bytes",       [VIRTIO_BALLOON_S_CACHES] = "caches_bytes",
	[VIRTIO_BALLOON_S_HTLB_PGALLOC] = "huge_allocated", [VIRTIO_BALLOON_S_HTLB_PGFAIL] = "huge_failed",
};

/* In a snapshot. The driver's part of the config is the transport's to keep. */
struct balloon_state {
	uint64_t target_bytes;
};

struct balloon {
	struct virtio_device d;
	uint64_t target_bytes, returned_bytes;
	uint64_t stats[BALLOON_STATS], stats_at_us;
	bool has_stats_buffer, has_warned;
	struct vq_chain stats_buffer; /* in hand; of it only the head is looked at */
};

static struct balloon *balloon_of(struct virtio_device *d) { return container_of(d, struct balloon, d); }

/* Which queue, or -1. */
static int stats_queue(const struct virtio_device *d) { return virtio_has(d, VIRTIO_BALLOON_F_STATS_VQ) ? OPTIONAL : -1; }
static int reporting_queue(const struct virtio_device *d)
{
	return virtio_has(d, VIRTIO_BALLOON_F_REPORTING) ? OPTIONAL + virtio_has(d, VIRTIO_BALLOON_F_STATS_VQ) : -1;
}

/* A field of the config that the driver writes, on another thread. */
static uint32_t driver_field(const struct virtio_device *d, size_t offset)
{
	return le32toh(__atomic_load_n((const uint32_t *)(const void *)(d->config + offset), __ATOMIC_RELAXED));
}

/* ---- giving back ---- */

/* 0; -EBADMSG: it named what is not its memory. The host's failure is no fault of the driver's: the page stays where it is. */
static int give_back(struct balloon *b, uint64_t gpa, uint64_t len, int (*discard)(struct vmm_mem *, uint64_t, uint64_t))
{
	int r = discard(b->d.mem, gpa, len);

	if (r == -EFAULT || r == -EINVAL)
		return -EBADMSG;
	if (r >= 0)
		b->returned_bytes += len;
	else if (r != -EOPNOTSUPP && !b->has_warned)
		log_warn("balloon", "memory can't be given back to the host: %s", strerror(-r));
	b->has_warned |= r < 0;
	return 0;
}

/* Few, and often in order or the other way round. (qsort(3) may ask the kernel how much memory there is.) */
static void sort(uint32_t *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		uint32_t x = v[i];
		size_t k = i;

		for (; k > 0 && v[k - 1] > x; k--)
			v[k] = v[k - 1];
		v[k] = x;
	}
}

/* Neighbours are given back as one, since each time costs the guest its translations. */
static int give_pages(struct balloon *b, uint32_t *pages, size_t n)
{
	int r = 0;

	sort(pages, n);
	for (size_t i = 0, next; r >= 0 && i < n; i = next) {
		for (next = i + 1; next < n && pages[next] - pages[next - 1] <= 1; next++)
			;
		r = give_back(b, (uint64_t)pages[i] << PFN_SHIFT, (uint64_t)(pages[next - 1] - pages[i] + 1) << PFN_SHIFT,
			      vmm_mem_discard);
	}
	return r;
}

/* A request of page numbers: each is a page of RAM. Those of the deflate queue are only looked at. */
static int take_pages(struct balloon *b, const struct vq_chain *c, bool inflates)
{
	uint32_t pfns[PFNS_PIECE];
	uint64_t at = 0;
	size_t n;
	int r = 0;

	if (c->out_bytes == 0 || c->out_bytes % sizeof(*pfns) || c->out_bytes > PFNS_MAX * sizeof(*pfns) || c->n_in)
		return -EBADMSG;
	while (r >= 0 && (n = vq_read(c, at, pfns, sizeof(pfns))) > 0) {
		for (size_t i = 0; i < n / sizeof(*pfns); i++) {
			pfns[i] = le32toh(pfns[i]);
			if (!vmm_mem_is_ram(b->d.mem, (uint64_t)pfns[i] << PFN_SHIFT, 1 << PFN_SHIFT))
				return -EBADMSG;
		}
		if (inflates)
			r = give_pages(b, pfns, n / sizeof(*pfns));
		at += n;
	}
	return r;
}

static int take_report(struct balloon *b, const struct vq_chain *c)
{
	bool is_poisoned = virtio_has(&b->d, VIRTIO_BALLOON_F_PAGE_POISON) &&
			   driver_field(&b->d, offsetof(struct virtio_balloon_config, poison_val)) != 0;

	if (c->n_out || c->n_in == 0)
		return -EBADMSG;
	for (unsigned i = 0; i < c->n_in; i++) {
		const uint64_t gpa = c->gpa[i], len = c->iov[i].iov_len;

		if (gpa % (1 << PFN_SHIFT) || len % (1 << PFN_SHIFT) || !vmm_mem_is_ram(b->d.mem, gpa, len))
			return -EBADMSG;
		/* 5.5.6.7.2: what the driver fills free pages with must be found in them, and we make zeroes only. */
		if (!is_poisoned && give_back(b, gpa, len, vmm_mem_discard_to_zero) < 0)
			return -EBADMSG;
	}
	return 0;
}

/* ---- statistics ---- */

struct stat_entry {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

static void take_stats(struct balloon *b, const struct vq_chain *c)
{
	struct stat_entry s[STATS_BYTES / sizeof(struct stat_entry)];
	size_t n = vq_read(c, 0, s, sizeof(s)) / sizeof(*s);

	for (size_t i = 0; i < n; i++)
		if (le16toh(s[i].tag) < BALLOON_STATS)
			b->stats[le16toh(s[i].tag)] = le64toh(s[i].value);
	if (n)
		b->stats_at_us = clock_mono_us();
}

/* The buffer back to the driver, which fills it again. */
static int ask_stats(struct balloon *b)
{
	int at = stats_queue(&b->d), r;

	if (at < 0 || !b->d.is_active || !b->has_stats_buffer)
		return 0;
	b->has_stats_buffer = false;
	r = vq_push(&b->d.queues[at], &b->stats_buffer, 0);
	vq_flush(&b->d.queues[at]);
	return r;
}

/* ---- queues ---- */

/* -EBADMSG, or how much of PFNS_MAX a turn it was. */
static int serve_one(struct balloon *b, int queue, const struct vq_chain *c)
{
	int r;

	if (queue == reporting_queue(&b->d))
		r = take_report(b, c);
	else
		r = take_pages(b, c, queue == INFLATE);
	if (r >= 0)
		r = vq_push(&b->d.queues[queue], c, 0);
	return r < 0 ? r : queue == reporting_queue(&b->d) ? PFNS_MAX / REPORTS : (int)MAX(c->out_bytes / 4, 16u);
}

/* Takes the newest buffer; one that is still in hand goes back as it is, since the driver has only one. */
static int serve_stats(struct balloon *b, struct virtqueue *q)
{
	struct iovec iov[BUFFERS];
	struct vq_chain c = { .iov = iov, .iov_max = BUFFERS };
	int r;

	do {
		for (unsigned i = 0; i < QUEUE_SIZE && (r = vq_pop(q, &c)) > 0; i++) {
			if (b->has_stats_buffer && (r = ask_stats(b)) < 0)
				break;
			take_stats(b, &c);
			b->stats_buffer = (struct vq_chain){ .head = c.head };
			b->has_stats_buffer = true;
		}
	} while (r == 0 && vq_wait(q));
	if (r > 0)
		virtio_kick_self(q);
	return r;
}

static int serve(struct balloon *b, int queue)
{
	struct virtqueue *q = &b->d.queues[queue];
	struct iovec iov[BUFFERS];
	uint64_t gpa[BUFFERS];
	struct vq_chain c = { .iov = iov, .gpa = gpa, .iov_max = BUFFERS };
	int done = 0, r = 0;

	do {
		while (done < PFNS_MAX && (r = vq_pop(q, &c)) > 0 && (r = serve_one(b, queue, &c)) >= 0)
			done += r;
	} while (r == 0 && done < PFNS_MAX && vq_wait(q));
	vq_flush(q);
	if (r >= 0 && done >= PFNS_MAX)
		virtio_kick_self(q);
	return r;
}

static void kick(struct virtio_device *d, unsigned queue)
{
	struct balloon *b = balloon_of(d);
	int r = 0;

	if ((int)queue == stats_queue(d))
		r = serve_stats(b, &d->queues[queue]);
	else if (queue < OPTIONAL || (int)queue == reporting_queue(d))
		r = serve(b, (int)queue);
	if (r < 0)
		virtio_queue_broken(d, &d->queues[queue]);
}

/* ---- life ---- */

static void forget_stats(struct balloon *b)
{
	for (unsigned i = 0; i < BALLOON_STATS; i++)
		b->stats[i] = BALLOON_UNTOLD;
	b->stats_at_us = 0;
	b->has_stats_buffer = false;
}

static int activate(struct virtio_device *d, struct err *e)
{
	(void)e;
	forget_stats(balloon_of(d));
	return 0;
}

static void reset(struct virtio_device *d)
{
	static const struct virtio_balloon_config blank;
	uint8_t *from = d->config + d->config_rw;

	forget_stats(balloon_of(d));
	/* A new driver begins with an empty balloon. */
	virtio_set_config(d, d->config_rw, (const uint8_t *)&blank + (from - d->config), d->config_rw_end - d->config_rw);
}

/* The buffer in hand is in the queue of the state that is saved, and is taken again by whoever goes on. */
static void quiesce(struct virtio_device *d)
{
	struct balloon *b = balloon_of(d);

	if (d->is_active && b->has_stats_buffer && !d->queues[stats_queue(d)].s.is_broken) {
		vq_unpop(&d->queues[stats_queue(d)], 1);
		b->has_stats_buffer = false;
	}
}

static void resume(struct virtio_device *d)
{
	if (d->is_active && stats_queue(d) >= 0 && !balloon_of(d)->has_stats_buffer)
		virtio_kick_self(&d->queues[stats_queue(d)]);
}

/* The driver's words are only kept. */
static void config_write(struct virtio_device *d, unsigned offset, unsigned n)
{
	(void)d;
	(void)offset;
	(void)n;
}

static void show_target(struct balloon *b)
{
	uint32_t pages = htole32((uint32_t)(b->target_bytes >> PFN_SHIFT));

	virtio_set_config(&b->d, offsetof(struct virtio_balloon_config, num_pages), &pages, sizeof(pages));
}

static int save(struct virtio_device *d, void *state, struct err *e)
{
	(void)e;
	*(struct balloon_state *)state = (struct balloon_state){ balloon_of(d)->target_bytes };
	return 0;
}

static int load(struct virtio_device *d, const void *state, struct err *e)
{
	const struct balloon_state *s = state;

	if (s->target_bytes % (1 << PFN_SHIFT) || s->target_bytes > vmm_mem_boot_bytes(d->mem))
		return err_set(e, EBADMSG, "a balloon larger than the memory");
	balloon_of(d)->target_bytes = s->target_bytes;
	show_target(balloon_of(d));
	return 0;
}

static void balloon_free(struct virtio_device *d) { free(balloon_of(d)); }

static const struct virtio_device_ops ops = { .name = "balloon",
					      .id = VIRTIO_ID_BALLOON,
					      .activate = activate,
					      .reset = reset,
					      .kick = kick,
					      .config_write = config_write,
					      .quiesce = quiesce,
					      .resume = resume,
					      .state_version = 1,
					      .state_bytes = sizeof(struct balloon_state),
					      .save = save,
					      .load = load,
					      .free = balloon_free };

int virtio_balloon_new(const struct vmm_balloon_plan *plan, struct virtio_device **ret, struct err *e)
{
	struct balloon *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, ENOMEM, "out of memory");
	b->d.ops = &ops;
	b->d.features = 1ull << VIRTIO_BALLOON_F_STATS_VQ | 1ull << VIRTIO_BALLOON_F_PAGE_POISON;
	if (plan->reports)
		b->d.features |= 1ull << VIRTIO_BALLOON_F_REPORTING;
	if (plan->deflates_on_oom)
		b->d.features |= 1ull << VIRTIO_BALLOON_F_DEFLATE_ON_OOM;
	b->d.n_queues = QUEUES;
	for (unsigned i = 0; i < QUEUES; i++)
		b->d.queues[i].size_max = QUEUE_SIZE;
	b->d.config_bytes = sizeof(struct virtio_balloon_config);
	b->d.config_rw = offsetof(struct virtio_balloon_config, actual);
	b->d.config_rw_end = sizeof(struct virtio_balloon_config);
	forget_stats(b);
	*ret = &b->d;
	return 0;
}

/* ---- what is asked of it ---- */

struct virtio_device *balloon_find(struct vmm *vm)
{
	for (unsigned i = 0; i < vm->n_devices; i++)
		if (vm->devices[i]->ops == &ops)
			return vm->devices[i];
	return NULL;
}

void balloon_set_target(struct virtio_device *d, uint64_t bytes)
{
	struct balloon *b = balloon_of(d);

	b->target_bytes = MIN(bytes, vmm_mem_boot_bytes(d->mem)) >> PFN_SHIFT << PFN_SHIFT;
	show_target(b);
}

void balloon_report(struct virtio_device *d, struct balloon_report *ret)
{
	struct balloon *b = balloon_of(d);
	int at = stats_queue(d);

	*ret = (struct balloon_report){
		.target_bytes = b->target_bytes,
		.actual_bytes = (uint64_t)driver_field(d, offsetof(struct virtio_balloon_config, actual)) << PFN_SHIFT,
		.returned_bytes = b->returned_bytes,
		.stats_at_us = b->stats_at_us,
	};
	memcpy(ret->stats, b->stats, sizeof(ret->stats));
	if (ask_stats(b) < 0)
		virtio_queue_broken(d, &d->queues[at]);
}
