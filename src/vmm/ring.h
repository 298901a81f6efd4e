/* ring: io_uring for one open file, by the kernel's own interface (io_uring(7), linux/io_uring.h).
 *
 * The ring can do nothing but what it was made for: it is made disabled, given its one file and a list of operations
 * (IORING_REGISTER_RESTRICTIONS, Linux 5.10), and only then enabled. System call filters don't see what goes through a ring; so
 * this is what holds whoever takes over its owner.
 *
 * Where the kernel has no io_uring, or refuses it, or stops taking entries later on (a filter), the operations are carried out
 * at once by ring_put, with the system calls that they stand for: the caller sees no difference but that nothing runs meanwhile.
 *
 * One thread at a time; made by one, used by another. */
#pragma once

#include <linux/io_uring.h>

#include "base.h"

#define RING_OPS_MAX 8u

struct ring;
struct ring_config {
	int fd;                    /* the file; not owned, dup'ed by the kernel */
	unsigned depth;            /* operations in flight at most; the caller keeps to it */
	uint8_t ops[RING_OPS_MAX]; /* IORING_OP_x allowed: READV, WRITEV, FSYNC, FALLOCATE */
	unsigned n_ops;
	bool is_plain; /* no io_uring even where there is one */
};
struct ring_done {
	uint64_t user_data;
	int32_t result; /* or -errno */
};

/* 0, also where there is no io_uring; -ENOMEM. */
int ring_new(const struct ring_config *c, struct ring **ret);
void ring_free(struct ring *r); /* nothing in flight; NULL is fine */
DEFINE_CLEANUP(struct ring *, ring_free)
/* Queues an operation; what it points to stays as it is until ring_submit. fd and flags are filled in here. */
void ring_put(struct ring *r, const struct io_uring_sqe *op);
/* Gives the kernel what was put. true: something has ended that ring_fd does not tell of; reap. */
bool ring_submit(struct ring *r);
/* The next that has ended: true. */
bool ring_reap(struct ring *r, struct ring_done *ret);
/* To be polled for EPOLLIN: something has ended. -1: nothing ever ends but in ring_put. */
int ring_fd(const struct ring *r);
