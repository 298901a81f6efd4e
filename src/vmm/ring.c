/* ring: see ring.h. */
#include "ring.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define TRIES 100u

struct ring {
	int fd; /* the file's */
	unsigned depth;
	bool is_refused; /* no entry is given to the kernel any more */

	int ring_fd; /* -1: no io_uring */
	uint8_t *area;
	size_t area_bytes;
	struct io_uring_sqe *sqes;
	size_t sqes_bytes;
	const unsigned *sq_head, *cq_tail; /* written by the kernel */
	unsigned *sq_tail, *cq_head;
	unsigned sq_mask, cq_mask, tail;
	const struct io_uring_cqe *cqes;

	/* Carried out here: a queue of depth places. */
	struct ring_done *here;
	unsigned n_here, first_here;
};

static unsigned load(const unsigned *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static void store(unsigned *p, unsigned v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

/* ---- making it ---- */

static long enter(const struct ring *r, unsigned n) { return syscall(SYS_io_uring_enter, r->ring_fd, n, 0, 0, NULL, 0); }

static int restrict_and_enable(struct ring *r, const struct ring_config *c)
{
	struct io_uring_restriction rows[RING_OPS_MAX + 1] = { { .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
								 .sqe_flags = IOSQE_FIXED_FILE } };
	unsigned n = 1;

	for (unsigned i = 0; i < c->n_ops && i < RING_OPS_MAX; i++)
		rows[n++] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = c->ops[i] };
	if (syscall(SYS_io_uring_register, r->ring_fd, IORING_REGISTER_FILES, &c->fd, 1) < 0 ||
	    syscall(SYS_io_uring_register, r->ring_fd, IORING_REGISTER_RESTRICTIONS, rows, n) < 0 ||
	    syscall(SYS_io_uring_register, r->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
		return -errno;
	return 0;
}

static int map(struct ring *r, const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(unsigned);
	size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	unsigned *array;
	void *area, *sqes;

	r->area_bytes = MAX(sq, cq);
	r->sqes_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
	area = mmap(NULL, r->area_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->ring_fd, IORING_OFF_SQ_RING);
	if (area == MAP_FAILED)
		return -errno;
	r->area = area;
	sqes = mmap(NULL, r->sqes_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->ring_fd, IORING_OFF_SQES);
	if (sqes == MAP_FAILED)
		return -errno;
	r->sqes = sqes;
	r->sq_head = (void *)(r->area + p->sq_off.head);
	r->sq_tail = (void *)(r->area + p->sq_off.tail);
	r->cq_head = (void *)(r->area + p->cq_off.head);
	r->cq_tail = (void *)(r->area + p->cq_off.tail);
	r->cqes = (void *)(r->area + p->cq_off.cqes);
	r->sq_mask = p->sq_entries - 1;
	r->cq_mask = p->cq_entries - 1;
	array = (void *)(r->area + p->sq_off.array);
	for (unsigned i = 0; i < p->sq_entries; i++)
		array[i] = i;
	return 0;
}

static void drop(struct ring *r)
{
	if (r->sqes)
		munmap(r->sqes, r->sqes_bytes);
	if (r->area)
		munmap(r->area, r->area_bytes);
	r->sqes = NULL;
	r->area = NULL;
	r->ring_fd = fd_close(r->ring_fd);
}

/* SUBMIT_STABLE: vectors may change once they are submitted (5.5). NODROP: no completion is ever lost. */
static void set_up(struct ring *r, const struct ring_config *c)
{
	const unsigned needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED };

	r->ring_fd = (int)syscall(SYS_io_uring_setup, c->depth, &p);
	if (r->ring_fd < 0)
		return;
	if ((p.features & needed) != needed || map(r, &p) < 0 || restrict_and_enable(r, c) < 0)
		drop(r);
}

int ring_new(const struct ring_config *c, struct ring **ret)
{
	struct ring *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->ring_fd = -1;
	r->fd = c->fd;
	r->depth = c->depth;
	r->here = calloc(c->depth, sizeof(*r->here));
	if (!r->here) {
		free(r);
		return -ENOMEM;
	}
	if (!c->is_plain)
		set_up(r, c);
	r->is_refused = r->ring_fd < 0;
	*ret = r;
	return 0;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	drop(r);
	free(r->here);
	free(r);
}

int ring_fd(const struct ring *r) { return r->ring_fd; }

/* ---- by system calls ---- */

static int carry_out(int fd, const struct io_uring_sqe *op)
{
	const struct iovec *iov = (const struct iovec *)(uintptr_t)op->addr;
	ssize_t n;

	do
		switch (op->opcode) {
		case IORING_OP_READV: n = preadv(fd, iov, (int)op->len, (off_t)op->off); break;
		case IORING_OP_WRITEV: n = pwritev(fd, iov, (int)op->len, (off_t)op->off); break;
		case IORING_OP_FSYNC: n = (op->fsync_flags & IORING_FSYNC_DATASYNC) ? fdatasync(fd) : fsync(fd); break;
		case IORING_OP_FALLOCATE: n = fallocate(fd, (int)op->len, (off_t)op->off, (off_t)op->addr); break;
		default: return -EINVAL;
		}
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

static void end_here(struct ring *r, const struct io_uring_sqe *op)
{
	r->here[(r->first_here + r->n_here++) % r->depth] = (struct ring_done){ op->user_data, carry_out(r->fd, op) };
}

/* ---- entries ---- */

void ring_put(struct ring *r, const struct io_uring_sqe *op)
{
	struct io_uring_sqe *e;

	if (r->is_refused) {
		end_here(r, op);
		return;
	}
	e = &r->sqes[r->tail++ & r->sq_mask];
	*e = *op;
	e->fd = 0; /* the first and only registered file */
	e->flags = IOSQE_FIXED_FILE;
}

/* The kernel takes no more: what it has not taken is done here. What it took comes back by the ring all the same. */
static void take_back(struct ring *r, int no)
{
	log_warn("ring", "io_uring is refused: %s; reads and writes one by one from now on", strerror(no));
	r->is_refused = true;
	for (unsigned head = load(r->sq_head); head != r->tail; head++)
		end_here(r, &r->sqes[head & r->sq_mask]);
	r->tail = load(r->sq_head);
	store(r->sq_tail, r->tail);
}

static void submit(struct ring *r)
{
	store(r->sq_tail, r->tail);
	for (unsigned tries = 0; load(r->sq_head) != r->tail; tries++) {
		if (enter(r, r->tail - load(r->sq_head)) >= 0 || errno == EINTR)
			continue;
		/* Out of memory for a moment; for longer, it is a refusal like others. */
		if ((errno == EAGAIN || errno == EBUSY) && tries < TRIES)
			continue;
		take_back(r, errno);
		return;
	}
}

bool ring_submit(struct ring *r)
{
	if (!r->is_refused)
		submit(r);
	return r->n_here > 0;
}

bool ring_reap(struct ring *r, struct ring_done *ret)
{
	if (r->n_here > 0) {
		*ret = r->here[r->first_here];
		r->first_here = (r->first_here + 1) % r->depth;
		r->n_here--;
		return true;
	}
	if (r->ring_fd < 0 || *r->cq_head == load(r->cq_tail))
		return false;
	const struct io_uring_cqe *e = &r->cqes[*r->cq_head & r->cq_mask];
	*ret = (struct ring_done){ e->user_data, e->res };
	store(r->cq_head, *r->cq_head + 1);
	return true;
}
