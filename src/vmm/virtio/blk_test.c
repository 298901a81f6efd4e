/* The disk against a driver of this test's own, whose rings are in memory that no VM has. Every test of requests runs twice: with
 * io_uring where there is one, and without. */
#include "blk.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

enum {
	QUEUE_BYTES = 0x8000,
	RINGS = 0x100000, /* queue i at RINGS + i * QUEUE_BYTES: descriptors, avail at 0x4000, used at 0x5000 */
	HEADERS = 0x200000,
	STATUS = 0x210000,
	DATA = 0x400000,
	SECTORS = 2048,
	UNSET = 0x77,
};
#define RAM (64ull << 20)

struct rig {
	struct vmm_blk_plan plan;
	struct vmm_mem *mem;
	struct virtio_device *d;
	struct blk *b;
	unsigned n; /* requests offered so far, of all queues */
};

static int image(uint64_t bytes)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	ok(fd >= 0);
	is_int(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static void *guest(struct rig *r, uint64_t gpa, uint64_t n)
{
	void *p = vmm_mem_at_write(r->mem, gpa, n);

	ok(p);
	return p;
}

static struct vring_desc *descs(struct rig *r, unsigned q) { return guest(r, RINGS + q * QUEUE_BYTES, 0x4000); }
static struct vring_avail *avail(struct rig *r, unsigned q) { return guest(r, RINGS + q * QUEUE_BYTES + 0x4000, 0x1000); }
static struct vring_used *used(struct rig *r, unsigned q) { return guest(r, RINGS + q * QUEUE_BYTES + 0x5000, 0x1000); }

static void rig_init(struct rig *r, bool is_plain)
{
	const struct vmm_mem_config c = { .bytes = RAM, .file_fd = -1 };
	struct err e = { 0 };

	is_int(vmm_mem_new(&c, &r->mem, NULL), 0);
	if (!r->plan.fd)
		r->plan.fd = image(SECTORS * SECTOR);
	if (virtio_blk_new(&r->plan, r->plan.queues, &r->d, &e) < 0)
		TAP_FAIL("%s", e.msg);
	r->b = container_of(r->d, struct blk, d);
	if (is_plain) {
		const struct ring_config plain = { .fd = r->plan.fd, .depth = BLK_REQUESTS, .is_plain = true };

		ring_free(r->b->ring);
		is_int(ring_new(&plain, &r->b->ring), 0);
		is_int(ring_fd(r->b->ring), -1);
	}
	r->d->features_acked = r->d->features;
	r->b->is_writeback = true;
	for (unsigned i = 0; i < r->d->n_queues; i++) {
		struct virtqueue *q = &r->d->queues[i];

		q->mem = r->mem;
		vq_reset(q);
		q->s.desc = RINGS + i * QUEUE_BYTES;
		q->s.avail = q->s.desc + 0x4000;
		q->s.used = q->s.desc + 0x5000;
		q->has_indirect = true;
		is_int(vq_enable(q), 0);
	}
}

static void rig_done(struct rig *r)
{
	is_int(r->b->n_busy, 0);
	r->d->ops->free(r->d);
	vmm_mem_free(r->mem);
	close(r->plan.fd);
	*r = (struct rig){ .plan = r->plan };
	r->plan.fd = 0;
}

/* Offers header, data and status as descriptors at[0..3). data NULL: none. The number of the request, whose status is status(). */
static unsigned offer(struct rig *r, unsigned queue, uint32_t type, uint64_t sector, uint64_t gpa, uint32_t n, bool is_in)
{
	const struct virtio_blk_outhdr h = { .type = type, .sector = sector };
	struct vring_avail *a = avail(r, queue);
	struct vring_desc *d = descs(r, queue);
	unsigned i = r->n++;
	uint16_t at = (uint16_t)(3 * (a->idx % 80));

	memcpy(guest(r, HEADERS + 16ull * i, sizeof(h)), &h, sizeof(h));
	*(uint8_t *)guest(r, STATUS + i, 1) = UNSET;
	d[at] = (struct vring_desc){ HEADERS + 16ull * i, sizeof(h), VRING_DESC_F_NEXT, (uint16_t)(at + (n ? 1 : 2)) };
	d[at + 1] = (struct vring_desc){ gpa, n, (uint16_t)(VRING_DESC_F_NEXT | (is_in ? VRING_DESC_F_WRITE : 0)),
					 (uint16_t)(at + 2) };
	d[at + 2] = (struct vring_desc){ STATUS + i, 1, VRING_DESC_F_WRITE, 0 };
	a->ring[a->idx % BLK_QUEUE_SIZE] = at;
	a->idx++;
	return i;
}

static uint8_t status(struct rig *r, unsigned i) { return *(uint8_t *)guest(r, STATUS + i, 1); }

/* Turns until nothing is left to do but by a kick. */
static void settle(struct rig *r, enum blk_order order)
{
	struct pollfd p = { .fd = ring_fd(r->b->ring), .events = POLLIN };

	for (;;) {
		int64_t wait = blk_turn(r->b, order);

		if (wait < 0 && r->b->n_busy == 0)
			return;
		if (wait != 0)
			ok(poll(&p, 1, wait > 0 ? 1 : 10000) > 0 || wait > 0);
	}
}

static uint8_t ask(struct rig *r, uint32_t type, uint64_t sector, uint64_t gpa, uint32_t n, bool is_in)
{
	unsigned i = offer(r, 0, type, sector, gpa, n, is_in);

	settle(r, BLK_RUN);
	return status(r, i);
}

TEST(what_is_written_is_in_the_file_and_read_back)
{
	for (int plain = 0; plain < 2; plain++) {
		struct rig r = { .plan.queues = 1 };
		char back[1024];

		rig_init(&r, plain);
		memset(guest(&r, DATA, 1024), 'w', 1024);
		is_int(ask(&r, VIRTIO_BLK_T_OUT, 7, DATA, 1024, false), VIRTIO_BLK_S_OK);
		is_int(used(&r, 0)->ring[0].len, 1);
		is_int(pread(r.plan.fd, back, 1024, 7 * SECTOR), 1024);
		ok(back[0] == 'w' && back[1023] == 'w');
		is_int(ask(&r, VIRTIO_BLK_T_IN, 7, DATA + 0x10000, 1024, true), VIRTIO_BLK_S_OK);
		is_int(used(&r, 0)->ring[1].len, 1025);
		ok(memcmp(guest(&r, DATA + 0x10000, 1024), back, 1024) == 0);
		is_int(ask(&r, VIRTIO_BLK_T_IN, SECTORS - 1, DATA, 512, true), VIRTIO_BLK_S_OK);
		is_int(ask(&r, VIRTIO_BLK_T_FLUSH, 0, 0, 0, false), VIRTIO_BLK_S_OK);
		rig_done(&r);
	}
}

/* Requests that are well formed and can not be. */
static const struct row {
	const char *what;
	uint32_t type;
	uint64_t sector;
	uint32_t bytes;
	bool is_in;
	uint8_t status;
} rows[] = {
	{ "read beyond the end", VIRTIO_BLK_T_IN, SECTORS, 512, true, VIRTIO_BLK_S_IOERR },
	{ "read across the end", VIRTIO_BLK_T_IN, SECTORS - 1, 1024, true, VIRTIO_BLK_S_IOERR },
	{ "read at a sector that wraps", VIRTIO_BLK_T_IN, UINT64_MAX, 512, true, VIRTIO_BLK_S_IOERR },
	{ "read at a byte that wraps", VIRTIO_BLK_T_IN, UINT64_MAX / 512 + 1, 512, true, VIRTIO_BLK_S_IOERR },
	{ "read of half a sector", VIRTIO_BLK_T_IN, 0, 256, true, VIRTIO_BLK_S_IOERR },
	{ "write beyond the end", VIRTIO_BLK_T_OUT, SECTORS, 512, false, VIRTIO_BLK_S_IOERR },
	{ "write of a byte more", VIRTIO_BLK_T_OUT, 0, 513, false, VIRTIO_BLK_S_IOERR },
	{ "write of 33 MiB", VIRTIO_BLK_T_OUT, 0, 33 << 20, false, VIRTIO_BLK_S_IOERR },
	{ "unknown", 99, 0, 512, true, VIRTIO_BLK_S_UNSUPP },
	{ "SCSI", VIRTIO_BLK_T_SCSI_CMD, 0, 512, false, VIRTIO_BLK_S_UNSUPP },
	{ "discard of nothing", VIRTIO_BLK_T_DISCARD, 0, 0, false, VIRTIO_BLK_S_IOERR },
	{ "discard of half a range", VIRTIO_BLK_T_DISCARD, 0, 24, false, VIRTIO_BLK_S_IOERR },
	{ "discard of 17 ranges", VIRTIO_BLK_T_DISCARD, 0, 17 * 16, false, VIRTIO_BLK_S_IOERR },
	{ "erase", VIRTIO_BLK_T_SECURE_ERASE, 0, 16, false, VIRTIO_BLK_S_UNSUPP },
};

TEST(requests_that_can_not_be_are_errors_and_change_nothing)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig r = { .plan.queues = 1 };
		struct stat st;

		rig_init(&r, false);
		memset(guest(&r, DATA, 64 << 10), 'x', 64 << 10);
		if (ask(&r, rows[i].type, rows[i].sector, DATA, rows[i].bytes, rows[i].is_in) != rows[i].status)
			TAP_FAIL("%s", rows[i].what);
		is_int(fstat(r.plan.fd, &st), 0);
		is_int(st.st_blocks, 0);
		is_int(st.st_size, SECTORS * SECTOR);
		is_int(used(&r, 0)->idx, 1);
		is_int(r.b->broken, 0);
		rig_done(&r);
	}
}

TEST(a_read_only_disk_refuses_writes_discards_and_zeroes)
{
	for (int plain = 0; plain < 2; plain++) {
		struct rig r = { .plan = { .queues = 1, .is_read_only = true } };
		struct virtio_blk_discard_write_zeroes z = { 0, 8, 0 };
		char back[512];

		rig_init(&r, plain);
		ok(r.d->features & 1ull << VIRTIO_BLK_F_RO);
		is_int(pwrite(r.plan.fd, "kept", 4, 0), 4);
		is_int(ask(&r, VIRTIO_BLK_T_OUT, 0, DATA, 512, false), VIRTIO_BLK_S_IOERR);
		memcpy(guest(&r, DATA, sizeof(z)), &z, sizeof(z));
		is_int(ask(&r, VIRTIO_BLK_T_DISCARD, 0, DATA, sizeof(z), false), VIRTIO_BLK_S_UNSUPP);
		r.d->features_acked |= 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES; /* a liar */
		is_int(ask(&r, VIRTIO_BLK_T_DISCARD, 0, DATA, sizeof(z), false), VIRTIO_BLK_S_IOERR);
		is_int(ask(&r, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, sizeof(z), false), VIRTIO_BLK_S_IOERR);
		is_int(ask(&r, VIRTIO_BLK_T_IN, 0, DATA, 512, true), VIRTIO_BLK_S_OK);
		is_int(pread(r.plan.fd, back, 512, 0), 512);
		is_str(back, "kept");
		rig_done(&r);
	}
}

TAP_MAIN()
