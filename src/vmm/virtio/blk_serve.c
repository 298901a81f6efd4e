/* blk_serve: see blk.h. Section numbers are those of virtio 1.2. */
#include <inttypes.h>
#include <sys/uio.h>

#include "../vmm_impl.h"
#include "blk.h"

enum { AGAIN = -1 }; /* no status yet: a step is under way */

/* ---- answers ---- */

/* One that is not in hand: one that was before, or the next that never was. It stays free until it is started. NULL: all are in hand. */
static struct blk_request *next_free(struct blk *b)
{
	if (!b->free && b->n_touched < BLK_REQUESTS)
		b->free = &b->requests[b->n_touched++];
	return b->free;
}

static void put_back(struct blk *b, struct blk_request *r)
{
	r->next = b->free;
	b->free = r;
	b->n_busy--;
}

static void answer(struct blk *b, struct blk_request *r, uint8_t status)
{
	struct virtqueue *q = &b->d.queues[r->queue];

	(void)vq_write(&r->chain, r->chain.in_bytes - 1, &status, 1);
	/* All of it counts as written, as the status is at its end: what it tells the dirty log must cover that. */
	if (vq_push(q, &r->chain, r->chain.in_bytes) < 0)
		b->broken |= 1u << r->queue;
	put_back(b, r);
}

/* ---- steps ---- */

static void put(struct blk *b, const struct blk_request *r, struct io_uring_sqe op)
{
	op.user_data = (uint64_t)(r - b->requests);
	ring_put(b->ring, &op);
}

static int transfer(struct blk *b, struct blk_request *r)
{
	uint64_t left = r->bytes - r->done;
	bool is_read = r->kind == BLK_READ;
	unsigned n = is_read ? vq_in(&r->chain, r->done, left, r->part)
			     : vq_out(&r->chain, sizeof(struct virtio_blk_outhdr) + r->done, left, r->part);

	put(b, r,
	    (struct io_uring_sqe){ .opcode = is_read ? IORING_OP_READV : IORING_OP_WRITEV,
				   .off = r->offset + r->done,
				   .addr = (uintptr_t)r->part,
				   .len = n });
	return AGAIN;
}

static int sync_disk(struct blk *b, struct blk_request *r)
{
	r->is_syncing = true;
	put(b, r, (struct io_uring_sqe){ .opcode = IORING_OP_FSYNC, .fsync_flags = IORING_FSYNC_DATASYNC });
	return AGAIN;
}

static int zero(struct blk *b, const struct blk_request *r)
{
	const struct blk_range *z = &r->ranges[r->range];

	/* fallocate's length is in addr, its mode in len: io_uring_enter(2) */
	put(b, r,
	    (struct io_uring_sqe){ .opcode = IORING_OP_FALLOCATE, .off = z->offset, .addr = z->bytes, .len = (uint32_t)z->mode });
	return AGAIN;
}

/* What is to be done next: AGAIN, or the status where nothing is. */
static int step(struct blk *b, struct blk_request *r)
{
	if (r->is_syncing)
		return VIRTIO_BLK_S_OK;
	if (r->kind == BLK_SYNC)
		return sync_disk(b, r);
	if (r->kind == BLK_ZERO && r->range < r->n_ranges)
		return zero(b, r);
	if (r->kind != BLK_ZERO && r->done < r->bytes)
		return transfer(b, r);
	return r->kind == BLK_READ || b->is_writeback ? VIRTIO_BLK_S_OK : sync_disk(b, r);
}

/* One line for the first, second, fourth, eighth ... : a disk that is full fails each write. */
static uint8_t host_error(struct blk *b, const struct blk_request *r, const char *why)
{
	static const char *const words[] = { "read", "write", "flush", "zeroes" };
	uint64_t n = ++b->errors;

	if ((n & (n - 1)) == 0)
		log_error("blk", "disk \"%.*s\": %s at byte %" PRIu64 ": %s (error %" PRIu64 ")", (int)sizeof(b->serial),
			  b->serial, words[r->kind], r->offset + r->done, why, n);
	return VIRTIO_BLK_S_IOERR;
}

/* The range at work can't be zeroed in the way that was asked for: another, or the status. */
static int zero_otherwise(struct blk *b, struct blk_request *r)
{
	struct blk_range *z = &r->ranges[r->range];

	if (!(z->mode & FALLOC_FL_ZERO_RANGE) || b->holes_are_hints)
		return VIRTIO_BLK_S_UNSUPP;
	z->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	return zero(b, r);
}

/* A step has ended. */
static int judge_result(struct blk *b, struct blk_request *r, int32_t result)
{
	bool is_transfer = !r->is_syncing && (r->kind == BLK_READ || r->kind == BLK_WRITE);

	if (result == -EOPNOTSUPP && r->kind == BLK_ZERO && !r->is_syncing)
		return zero_otherwise(b, r);
	if (result < 0)
		return host_error(b, r, strerror(-result));
	if (is_transfer && result == 0)
		return host_error(b, r, "the file has become shorter");
	if (is_transfer)
		r->done += (uint64_t)result;
	else if (!r->is_syncing)
		r->range++;
	return step(b, r);
}

static void reap(struct blk *b, enum blk_order order)
{
	struct ring_done done;

	while (ring_reap(b->ring, &done)) {
		struct blk_request *r = &b->requests[done.user_data];
		int status;

		if (order == BLK_DROP) {
			put_back(b, r);
			continue;
		}
		status = judge_result(b, r, done.result);
		if (status >= 0)
			answer(b, r, (uint8_t)status);
	}
}

/* ---- judging a request: 5.2.6 ---- */

static bool is_within(const struct blk *b, uint64_t sector, uint64_t bytes)
{
	return bytes % SECTOR == 0 && sector <= b->sectors && bytes / SECTOR <= b->sectors - sector;
}

static int judge_transfer(struct blk *b, struct blk_request *r, uint64_t sector, uint64_t bytes)
{
	if (!is_within(b, sector, bytes) || bytes > BLK_REQUEST_BYTES || (r->kind == BLK_WRITE && b->is_read_only))
		return VIRTIO_BLK_S_IOERR;
	r->offset = sector * SECTOR;
	r->bytes = bytes;
	return step(b, r);
}

static int judge_id(const struct blk *b, const struct blk_request *r)
{
	(void)vq_write(&r->chain, 0, b->serial, MIN(r->chain.in_bytes - 1, sizeof(b->serial)));
	return VIRTIO_BLK_S_OK;
}

static int judge_zero(struct blk *b, struct blk_request *r, bool is_discard)
{
	const uint64_t each = sizeof(struct virtio_blk_discard_write_zeroes);
	uint64_t bytes = r->chain.out_bytes - sizeof(struct virtio_blk_outhdr);

	if (!virtio_has(&b->d, is_discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES))
		return VIRTIO_BLK_S_UNSUPP;
	if (b->is_read_only || bytes == 0 || bytes % each || bytes / each > BLK_RANGES)
		return VIRTIO_BLK_S_IOERR;
	r->n_ranges = (unsigned)(bytes / each);
	for (unsigned i = 0; i < r->n_ranges; i++) {
		struct virtio_blk_discard_write_zeroes z;
		bool may_unmap;

		(void)vq_read(&r->chain, sizeof(struct virtio_blk_outhdr) + i * each, &z, sizeof(z));
		may_unmap = z.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
		if (z.flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP || (is_discard && may_unmap))
			return VIRTIO_BLK_S_UNSUPP;
		/* Nothing is no range: fallocate refuses it. */
		if (z.num_sectors == 0 || z.num_sectors > BLK_RANGE_SECTORS ||
		    !is_within(b, z.sector, (uint64_t)z.num_sectors * SECTOR))
			return VIRTIO_BLK_S_IOERR;
		r->ranges[i] = (struct blk_range){ z.sector * SECTOR, (uint64_t)z.num_sectors * SECTOR,
						   FALLOC_FL_KEEP_SIZE | (is_discard || (may_unmap && !b->holes_are_hints)
										  ? FALLOC_FL_PUNCH_HOLE
										  : FALLOC_FL_ZERO_RANGE) };
	}
	return step(b, r);
}

/* AGAIN, a status, or -EBADMSG: this is no request. */
static int judge(struct blk *b, struct blk_request *r)
{
	const struct vq_chain *c = &r->chain;
	struct virtio_blk_outhdr h;

	if (vq_read(c, 0, &h, sizeof(h)) < sizeof(h) || c->in_bytes == 0)
		return -EBADMSG;
	switch (h.type) {
	case VIRTIO_BLK_T_IN: r->kind = BLK_READ; return judge_transfer(b, r, h.sector, c->in_bytes - 1);
	case VIRTIO_BLK_T_OUT: r->kind = BLK_WRITE; return judge_transfer(b, r, h.sector, c->out_bytes - sizeof(h));
	case VIRTIO_BLK_T_FLUSH: r->kind = BLK_SYNC; return step(b, r);
	case VIRTIO_BLK_T_GET_ID: return judge_id(b, r);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES: r->kind = BLK_ZERO; return judge_zero(b, r, h.type == VIRTIO_BLK_T_DISCARD);
	default: return VIRTIO_BLK_S_UNSUPP;
	}
}

/* ---- taking requests ---- */

static void start(struct blk *b, unsigned queue, struct blk_request *r, int64_t now)
{
	int status;

	b->free = r->next;
	b->n_busy++;
	r->queue = queue;
	r->kind = BLK_SYNC;
	r->offset = r->bytes = r->done = 0;
	r->n_ranges = r->range = 0;
	r->is_syncing = false;
	status = judge(b, r);
	limit_take(&b->ops, 1, now);
	limit_take(&b->bytes, r->bytes, now);
	if (status == -EBADMSG) {
		b->d.queues[queue].s.is_broken = 1;
		b->broken |= 1u << queue;
		put_back(b, r);
	} else if (status >= 0) {
		answer(b, r, (uint8_t)status);
	}
}

/* Up to a batch of one queue. true: there may be more. */
static bool take(struct blk *b, unsigned queue, int64_t now, int64_t *ret_wait)
{
	struct virtqueue *q = &b->d.queues[queue];

	if (!q->desc || q->s.is_broken)
		return false;
	for (unsigned n = 0; n < BLK_BATCH; n++) {
		struct blk_request *r = next_free(b);
		int got;

		*ret_wait = MAX(limit_wait(&b->ops, now), limit_wait(&b->bytes, now));
		if (*ret_wait > 0 || !r)
			return true;
		r->chain = (struct vq_chain){ .iov = r->iov, .iov_max = BLK_IOVS };
		got = vq_pop(q, &r->chain);
		if (got == 0 && vq_wait(q))
			got = vq_pop(q, &r->chain);
		if (got < 0)
			b->broken |= 1u << queue;
		if (got <= 0)
			return false;
		start(b, queue, r, now);
	}
	return true;
}

int64_t blk_turn(struct blk *b, enum blk_order order)
{
	int64_t wait = 0, now = b->ops.per_second || b->bytes.per_second ? limit_now() : 0;
	bool has_more = false;

	reap(b, order);
	for (unsigned i = 0; order == BLK_RUN && i < b->d.n_queues; i++)
		has_more |= take(b, (b->first + i) % b->d.n_queues, now, &wait);
	if (++b->first >= b->d.n_queues)
		b->first = 0;
	(void)ring_submit(b->ring);
	reap(b, order);
	while (ring_submit(b->ring)) /* second steps */
		reap(b, order);
	for (unsigned i = 0; order != BLK_DROP && i < b->d.n_queues; i++)
		vq_flush(&b->d.queues[i]);
	if (wait > 0)
		return wait;
	/* With nothing free, what ends makes the next turn. */
	return has_more && next_free(b) ? 0 : -1;
}
