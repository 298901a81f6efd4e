/* blk: the parts of the disk as its files see them. blk.c is the device (plan, config, life, worker), blk_serve.c the way of a
 * request: taken from a queue, judged, carried out by the ring in one or more steps, answered.
 *
 * While the worker runs, all but `order` and `wake_fd` is its own. */
#pragma once

#include <linux/virtio_blk.h>

#include "../limit.h"
#include "../ring.h"
#include "virtio.h"

#define SECTOR 512u
enum {
	BLK_QUEUE_SIZE = 256,
	BLK_REQUESTS = 128,            /* in hand at once, of all queues; what is beyond waits in the guest's rings (V20) */
	BLK_SEGMENTS = 126,            /* of data in a request */
	BLK_IOVS = BLK_SEGMENTS + 2,   /* and header and status */
	BLK_SEGMENT_BYTES = 256 << 10, /* told to the driver as size_max */
	BLK_REQUEST_BYTES = 32 << 20,  /* BLK_SEGMENTS * BLK_SEGMENT_BYTES and a little: one request keeps nobody waiting long */
	BLK_RANGES = 16,               /* of a discard or write-zeroes request */
	BLK_RANGE_SECTORS = 1 << 22,   /* of each: 2 GiB */
	BLK_BATCH = 32,                /* requests of one queue before the next has its turn */
};

/* What a request comes to. */
enum blk_kind { BLK_READ, BLK_WRITE, BLK_SYNC, BLK_ZERO };
struct blk_range {
	uint64_t offset, bytes; /* within the disk */
	int mode;               /* of fallocate(2) */
};
struct blk_request {
	struct vq_chain chain; /* its iov is `iov` */
	unsigned queue;
	enum blk_kind kind;
	uint64_t offset, bytes, done; /* read, write */
	struct blk_range ranges[BLK_RANGES];
	unsigned n_ranges, range; /* zero: the one at work */
	bool is_syncing;          /* in the last step */
	struct blk_request *next; /* free */
	struct iovec iov[BLK_IOVS], part[BLK_IOVS];
};

enum blk_order {
	BLK_RUN,
	BLK_DRAIN, /* takes no more, ends what it has */
	BLK_DROP,  /* the same, but the guest does not hear of it */
};

struct blk {
	struct virtio_device d;
	int fd; /* the plan's */
	bool is_read_only, is_device, holes_are_hints;
	bool is_writeback; /* the driver took FLUSH; else each write is on the disk before it is answered (5.2.6.2) */
	uint64_t sectors;
	char serial[VIRTIO_BLK_ID_BYTES]; /* no NUL at the end if it is full */
	struct vmm_limit bytes, ops;
	struct ring *ring;
	struct blk_request *requests, *free;
	unsigned n_touched;     /* requests that were ever in hand: the memory of the others is zero and was never the host's */
	unsigned n_busy, first; /* requests in hand; the queue whose turn it is */
	uint64_t errors;        /* of the host */
	uint32_t broken;        /* bit n: queue n broke the rules, not told yet */
	_Atomic(int) order;
	int wake_fd;
};

/* One turn: answers what has ended, takes and starts what is there if it may, and answers again. Returns for how many
 * nanoseconds there is nothing to do unless a queue is kicked or the ring has something: 0: go on at once, -1: for ever.
 * Only b->broken tells of queues that broke the rules. */
int64_t blk_turn(struct blk *b, enum blk_order order);
