/* The split ring against a driver of this test's own, honest first, then every way of breaking the rules. */
#include "queue.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tap.h"

enum { SIZE = 8, DESC = 0x1000, AVAIL = 0x2000, USED = 0x3000, DATA = 0x10000, TABLE = 0x8000 };
#define RAM (32ull << 20)

struct rig {
	struct vmm_mem *mem;
	struct virtqueue q;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct iovec iov[16];
	struct vq_chain c;
};

static void rig_init(struct rig *r)
{
	const struct vmm_mem_config c = { .bytes = RAM, .file_fd = -1 };

	memset(r, 0, sizeof(*r));
	is_int(vmm_mem_new(&c, &r->mem, NULL), 0);
	r->q.mem = r->mem;
	r->q.size_max = SIZE;
	vq_reset(&r->q);
	r->q.s.desc = DESC;
	r->q.s.avail = AVAIL;
	r->q.s.used = USED;
	is_int(vq_enable(&r->q), 0);
	r->q.has_indirect = true;
	r->desc = vmm_mem_at_write(r->mem, DESC, 4096);
	r->avail = vmm_mem_at_write(r->mem, AVAIL, 4096);
	r->used = vmm_mem_at_write(r->mem, USED, 4096);
	r->c.iov = r->iov;
	r->c.iov_max = ARRAY_SIZE(r->iov);
}

static void put(struct rig *r, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	r->desc[i] = (struct vring_desc){ addr, len, flags, next };
}

static void offer(struct rig *r, uint16_t head)
{
	r->avail->ring[r->avail->idx % SIZE] = head;
	r->avail->idx++;
}

TEST(a_request_is_popped_filled_and_pushed)
{
	struct rig r;
	char text[16] = "";

	rig_init(&r);
	is_int(vmm_mem_write(r.mem, DATA, "question", 8), 0);
	put(&r, 3, DATA, 4, VRING_DESC_F_NEXT, 5);
	put(&r, 5, DATA + 4, 4, VRING_DESC_F_NEXT, 1);
	put(&r, 1, DATA + 0x1000, 3, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 0);
	put(&r, 0, DATA + 0x2000, 100, VRING_DESC_F_WRITE, 0);
	is_int(vq_pop(&r.q, &r.c), 0);
	offer(&r, 3);
	is_int(vq_pop(&r.q, &r.c), 1);
	is_int(r.c.n_out, 2);
	is_int(r.c.n_in, 2);
	is_int(r.c.out_bytes, 8);
	is_int(r.c.in_bytes, 103);
	is_int(vq_read(&r.c, 2, text, sizeof(text)), 6);
	is_str(text, "estion");
	is_int(vq_write(&r.c, 1, "answer", 6), 6);
	is_str(vmm_mem_at(r.mem, DATA + 0x2000, 8), "swer");
	is_int(vq_push(&r.q, &r.c, 7), 0);
	is_int(r.used->idx, 1);
	is_int(r.used->ring[0].id, 3);
	is_int(r.used->ring[0].len, 7);
	is_int(vq_pop(&r.q, &r.c), 0);
	vmm_mem_free(r.mem);
}

TEST(indices_run_over_the_end_of_16_bits)
{
	struct rig r;

	rig_init(&r);
	put(&r, 0, DATA, 1, 0, 0);
	for (unsigned i = 0; i < 70000; i++) {
		offer(&r, 0);
		is_int(vq_pop(&r.q, &r.c), 1);
		is_int(vq_push(&r.q, &r.c, 0), 0);
	}
	is_int(r.used->idx, 70000 & 0xffff);
	vmm_mem_free(r.mem);
}

TEST(an_indirect_table_is_one_request)
{
	struct rig r;
	struct vring_desc *t;

	rig_init(&r);
	t = vmm_mem_at_write(r.mem, TABLE + 4, 64); /* nothing says that it must be aligned */
	struct vring_desc rows[2] = { { DATA, 16, VRING_DESC_F_NEXT, 1 }, { DATA + 64, 32, VRING_DESC_F_WRITE, 0 } };
	memcpy(t, rows, sizeof(rows));
	put(&r, 2, TABLE + 4, 32, VRING_DESC_F_INDIRECT, 0);
	offer(&r, 2);
	is_int(vq_pop(&r.q, &r.c), 1);
	is_int(r.c.head, 2);
	is_int(r.c.out_bytes, 16);
	is_int(r.c.in_bytes, 32);
	vmm_mem_free(r.mem);
}

/* One row: the descriptors at the head 0, and whether it is a request. */
static const struct bad {
	const char *what;
	struct vring_desc d[3], table[3];
	bool no_indirect, is_good;
} bads[] = {
	{ "plain", { { DATA, 1, 0, 0 } }, .is_good = true },
	{ "V01 a loop", { { DATA, 1, VRING_DESC_F_NEXT, 1 }, { DATA, 1, VRING_DESC_F_NEXT, 0 } } },
	{ "V01 a loop to itself", { { DATA, 1, VRING_DESC_F_NEXT, 0 } } },
	{ "V01 next out of the table", { { DATA, 1, VRING_DESC_F_NEXT, SIZE } } },
	{ "V01 next far out of the table", { { DATA, 1, VRING_DESC_F_NEXT, 0xffff } } },
	{ "V01 indirect in indirect", { { TABLE, 16, VRING_DESC_F_INDIRECT, 0 } }, { { TABLE, 16, VRING_DESC_F_INDIRECT, 0 } } },
	{ "V01 a loop in the table", { { TABLE, 16, VRING_DESC_F_INDIRECT, 0 } }, { { DATA, 1, VRING_DESC_F_NEXT, 0 } } },
	{ "V01 next out of the indirect table",
	  { { TABLE, 16, VRING_DESC_F_INDIRECT, 0 } },
	  { { DATA, 1, VRING_DESC_F_NEXT, 1 }, { DATA, 1, 0, 0 } } },
	{ "indirect with a next", { { TABLE, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1 } }, { { DATA, 1, 0, 0 } } },
	{ "indirect of half a descriptor", { { TABLE, 24, VRING_DESC_F_INDIRECT, 0 } }, { { DATA, 1, 0, 0 } } },
	{ "indirect of nothing", { { TABLE, 0, VRING_DESC_F_INDIRECT, 0 } }, { { DATA, 1, 0, 0 } } },
	{ "indirect outside of RAM", { { RAM, 16, VRING_DESC_F_INDIRECT, 0 } } },
	{ "indirect as long as RAM", { { 0, 0xfffffff0, VRING_DESC_F_INDIRECT, 0 } } },
	{ "indirect where it was not offered",
	  { { TABLE, 16, VRING_DESC_F_INDIRECT, 0 } },
	  { { DATA, 1, 0, 0 } },
	  .no_indirect = true },
	{ "V03 a length of 32 ones", { { DATA, 0xffffffff, 0, 0 } } },
	{ "V03 an address near 2^64", { { UINT64_MAX, 2, 0, 0 } } },
	{ "V03 an address that wraps", { { UINT64_MAX - 4095, 8192, 0, 0 } } },
	{ "V03 across the end of RAM", { { RAM - 1, 2, 0, 0 } } },
	{ "V03 in the hole", { { 0xd0000000, 1, 0, 0 } } },
	{ "the last byte of RAM", { { RAM - 1, 1, 0, 0 } }, .is_good = true },
	{ "no bytes", { { DATA, 0, 0, 0 } } },
	{ "read after write", { { DATA, 1, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1 }, { DATA, 1, 0, 0 } } },
};

TEST(V01_V03_whatever_breaks_the_rules_stops_the_queue)
{
	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		struct rig r;
		void *t;

		rig_init(&r);
		memcpy(r.desc, bads[i].d, sizeof(bads[i].d));
		t = vmm_mem_at_write(r.mem, TABLE, sizeof(bads[i].table));
		memcpy(t, bads[i].table, sizeof(bads[i].table));
		r.q.has_indirect = !bads[i].no_indirect;
		offer(&r, 0);
		if (vq_pop(&r.q, &r.c) != (bads[i].is_good ? 1 : -EBADMSG))
			TAP_FAIL("%s", bads[i].what);
		is_int(r.q.s.is_broken, !bads[i].is_good);
		if (!bads[i].is_good) { /* for good */
			put(&r, 0, DATA, 1, 0, 0);
			is_int(vq_pop(&r.q, &r.c), -EBADMSG);
			is_int(vq_push(&r.q, &r.c, 0), -EBADMSG);
			ok(!vq_wait(&r.q));
		}
		vmm_mem_free(r.mem);
	}
}

TEST(V02_an_index_that_jumps_further_than_the_ring_stops_the_queue)
{
	struct rig r;

	rig_init(&r);
	put(&r, 0, DATA, 1, 0, 0);
	r.avail->idx = SIZE + 1;
	is_int(vq_pop(&r.q, &r.c), -EBADMSG);
	vmm_mem_free(r.mem);
	rig_init(&r);
	r.avail->idx = (uint16_t)-1;
	is_int(vq_pop(&r.q, &r.c), -EBADMSG);
	vmm_mem_free(r.mem);
	rig_init(&r);
	offer(&r, SIZE); /* a head that is no descriptor */
	is_int(vq_pop(&r.q, &r.c), -EBADMSG);
	vmm_mem_free(r.mem);
}

TEST(a_chain_longer_than_the_room_for_it_stops_the_queue)
{
	struct rig r;

	rig_init(&r);
	r.c.iov_max = 2;
	for (uint16_t i = 0; i < 3; i++)
		put(&r, i, DATA, 1, i < 2 ? VRING_DESC_F_NEXT : 0, (uint16_t)(i + 1));
	offer(&r, 0);
	is_int(vq_pop(&r.q, &r.c), -EBADMSG);
	vmm_mem_free(r.mem);
}

TEST(V04_lengths_that_sum_to_more_than_32_bits_stop_the_queue)
{
	const struct vmm_mem_config c = { .bytes = 3ull << 30, .file_fd = -1 };
	struct rig r;

	rig_init(&r);
	vmm_mem_free(r.mem);
	is_int(vmm_mem_new(&c, &r.mem, NULL), 0);
	r.q.mem = r.mem;
	is_int(vq_enable(&r.q), 0);
	r.desc = vmm_mem_at_write(r.mem, DESC, 4096);
	r.avail = vmm_mem_at_write(r.mem, AVAIL, 4096);
	put(&r, 0, 0, 0x80000000, VRING_DESC_F_NEXT, 1);
	put(&r, 1, 0, 0x7fffffff, 0, 0);
	put(&r, 2, 0, 0x80000000, VRING_DESC_F_NEXT, 3);
	put(&r, 3, 0, 0x80000000, 0, 0);
	offer(&r, 0);
	is_int(vq_pop(&r.q, &r.c), 1);
	ok(r.c.out_bytes == UINT32_MAX);
	offer(&r, 2);
	is_int(vq_pop(&r.q, &r.c), -EBADMSG);
	vmm_mem_free(r.mem);
}

TEST(rings_that_are_not_in_ram_or_misaligned_are_not_enabled)
{
	static const struct {
		uint64_t desc, avail, used;
		uint16_t size;
	} rows[] = {
		{ DESC + 8, AVAIL, USED, SIZE },
		{ DESC, AVAIL + 1, USED, SIZE },
		{ DESC, AVAIL, USED + 2, SIZE },
		{ DESC, AVAIL, USED, 0 },
		{ DESC, AVAIL, USED, 3 },
		{ DESC, AVAIL, USED, 2 * SIZE },
		{ RAM - 16, AVAIL, USED, SIZE },
		{ DESC, RAM - 16, USED, SIZE },
		{ DESC, AVAIL, RAM - 64, SIZE },
		{ UINT64_MAX - 15, AVAIL, USED, SIZE },
		{ DESC, UINT64_MAX - 1, USED, SIZE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig r;

		rig_init(&r);
		vq_reset(&r.q);
		r.q.s.desc = rows[i].desc;
		r.q.s.avail = rows[i].avail;
		r.q.s.used = rows[i].used;
		r.q.s.size = rows[i].size;
		if (vq_enable(&r.q) != -EINVAL)
			TAP_FAIL("row %zu", i);
		ok(r.q.s.is_broken && !r.q.s.is_enabled);
		vmm_mem_free(r.mem);
	}
}

static eventfd_t interrupts(struct rig *r)
{
	eventfd_t n = 0;

	return eventfd_read(r->q.call_fd, &n) < 0 ? 0 : n;
}

TEST(interrupts_come_once_a_batch_and_only_when_wanted)
{
	struct rig r;

	rig_init(&r);
	r.q.call_fd = eventfd(0, EFD_NONBLOCK);
	put(&r, 0, DATA, 1, 0, 0);
	offer(&r, 0);
	offer(&r, 0);
	is_int(vq_pop(&r.q, &r.c), 1);
	is_int(vq_push(&r.q, &r.c, 0), 0);
	is_int(vq_pop(&r.q, &r.c), 1);
	is_int(vq_push(&r.q, &r.c, 0), 0);
	is_int(interrupts(&r), 0);
	vq_flush(&r.q);
	vq_flush(&r.q);
	is_int(interrupts(&r), 1);
	r.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	offer(&r, 0);
	is_int(vq_pop(&r.q, &r.c), 1);
	is_int(vq_push(&r.q, &r.c, 0), 0);
	vq_flush(&r.q);
	is_int(interrupts(&r), 0);
	close(r.q.call_fd);
	vmm_mem_free(r.mem);
}

TEST(event_idx_interrupts_when_the_guests_mark_is_passed)
{
	struct rig r;
	uint16_t *used_event;

	rig_init(&r);
	r.q.call_fd = eventfd(0, EFD_NONBLOCK);
	r.q.has_event_idx = true;
	used_event = &r.avail->ring[SIZE];
	put(&r, 0, DATA, 1, 0, 0);
	*used_event = 2; /* tell me when the third is used */
	for (unsigned i = 0; i < 5; i++) {
		offer(&r, 0);
		is_int(vq_pop(&r.q, &r.c), 1);
		is_int(vq_push(&r.q, &r.c, 0), 0);
		vq_flush(&r.q);
		/* The first of all is always told: nothing is known yet. */
		is_int(interrupts(&r), i == 0 || i == 2);
	}
	ok(!vq_wait(&r.q));
	is_int(*(const uint16_t *)vmm_mem_at(r.mem, USED + 4 + 8 * SIZE, 2), 5);
	offer(&r, 0);
	ok(vq_wait(&r.q));
	close(r.q.call_fd);
	vmm_mem_free(r.mem);
}

TEST(kicks_are_off_while_busy_and_on_while_waiting)
{
	struct rig r;

	rig_init(&r);
	vq_busy(&r.q);
	is_int(r.used->flags, VRING_USED_F_NO_NOTIFY);
	ok(!vq_wait(&r.q));
	is_int(r.used->flags, 0);
	vmm_mem_free(r.mem);
}

TEST(a_request_given_back_is_popped_again)
{
	struct rig r;

	rig_init(&r);
	put(&r, 0, DATA, 1, 0, 0);
	put(&r, 1, DATA, 2, 0, 0);
	offer(&r, 0);
	offer(&r, 1);
	is_int(vq_pop(&r.q, &r.c), 1);
	is_int(vq_pop(&r.q, &r.c), 1);
	vq_unpop(&r.q, 2);
	is_int(vq_pop(&r.q, &r.c), 1);
	is_int(r.c.head, 0);
	vmm_mem_free(r.mem);
}

TEST(what_a_request_writes_is_in_the_dirty_log)
{
	struct rig r;
	uint64_t bits[RAM / 4096 / 64] = { 0 };

	rig_init(&r);
	put(&r, 0, DATA, 8192, VRING_DESC_F_WRITE, 0);
	offer(&r, 0);
	is_int(vmm_mem_log_start(r.mem, NULL), 0);
	is_int(vq_pop(&r.q, &r.c), 1);
	is_int(vq_push(&r.q, &r.c, 4097), 0);
	is_int(vmm_mem_log_collect(r.mem, bits, NULL), 0);
	ok(bits[0] == (1ull << (DATA / 4096) | 1ull << (DATA / 4096 + 1) | 1ull << (USED / 4096)));
	vmm_mem_free(r.mem);
}

/* ---- V06: a ring that changes while it is read ---- */

struct flipper {
	struct rig *r;
	bool is_done;
};

static uint64_t tail(uint64_t len, uint64_t flags, uint64_t next) { return len | flags << 32 | next << 48; }

/* Each word is now one that makes a request, now one that must not be believed, for ever. */
static void *flip(void *arg)
{
	struct flipper *f = arg;
	uint64_t *descs = (void *)f->r->desc, *table = vmm_mem_at_write(f->r->mem, TABLE, 4096);
	const uint64_t addrs[] = { DATA, RAM - 64, DATA, RAM - 63, DATA, UINT64_MAX - 63, TABLE, RAM };
	const uint64_t tails[] = {
		tail(64, 0, 0),
		tail(0xffffffff, 0, 0),
		tail(64, VRING_DESC_F_NEXT, 1),
		tail(64, VRING_DESC_F_WRITE, 0),
		tail(32, VRING_DESC_F_INDIRECT, 0),
		tail(RAM, VRING_DESC_F_WRITE, 0),
		tail(64, VRING_DESC_F_NEXT, 0xffff),
	};
	uint32_t x = 1;

	while (!__atomic_load_n(&f->is_done, __ATOMIC_RELAXED)) {
		x = x * 1664525 + 1013904223;
		unsigned i = x >> 28 & (SIZE - 1);
		__atomic_store_n(&descs[2 * i], addrs[x >> 8 & 7], __ATOMIC_RELAXED);
		__atomic_store_n(&descs[2 * i + 1], tails[(x >> 12 & 0xff) % ARRAY_SIZE(tails)], __ATOMIC_RELAXED);
		__atomic_store_n(&table[2 * (i & 1)], addrs[x >> 20 & 7], __ATOMIC_RELAXED);
		__atomic_store_n(&table[2 * (i & 1) + 1], tails[(x >> 16 & 0xff) % ARRAY_SIZE(tails)], __ATOMIC_RELAXED);
		__atomic_store_n(&f->r->avail->ring[i], x >> 24 & 15, __ATOMIC_RELAXED); /* half of them are no heads */
	}
	return NULL;
}

/* Whatever the words were: what has been checked is what is used, so a request's buffers are in RAM and are those that were summed. */
static void check_chain(struct rig *r, const uint8_t *ram)
{
	uint64_t bytes = 0;

	ok(r->c.head < SIZE && r->c.n_out + r->c.n_in > 0 && r->c.n_out + r->c.n_in <= r->c.iov_max);
	for (unsigned i = 0; i < r->c.n_out + r->c.n_in; i++) {
		uint64_t at = (uint64_t)((const uint8_t *)r->c.iov[i].iov_base - ram), n = r->c.iov[i].iov_len;

		if (at >= RAM || n > RAM - at)
			TAP_FAIL("a buffer of %#llx bytes at %#llx of %#llx", (unsigned long long)n, (unsigned long long)at, RAM);
		bytes += n;
	}
	ok(bytes == r->c.out_bytes + r->c.in_bytes);
}

TEST(V06_a_ring_that_changes_while_it_is_read_gives_what_was_checked_or_nothing)
{
	struct rig r;
	struct flipper f = { .r = &r };
	pthread_t thread;
	unsigned n_good = 0, n_bad = 0;
	uint64_t end_us = clock_mono_us() + 2000000; /* long enough for both to run at once on a busy host */
	const uint8_t *ram;

	rig_init(&r);
	ram = vmm_mem_at(r.mem, 0, RAM);
	is_int(pthread_create(&thread, NULL, flip, &f), 0);
	while (clock_mono_us() < end_us) {
		int got;

		__atomic_store_n(&r.avail->idx, (uint16_t)(r.q.s.next_avail + 1), __ATOMIC_RELEASE);
		got = vq_pop(&r.q, &r.c);
		if (got == 1) {
			check_chain(&r, ram);
			is_int(vq_push(&r.q, &r.c, 1), 0);
			n_good++;
		} else {
			is_int(got, -EBADMSG);
			r.q.s.is_broken = 0;
			r.q.s.next_avail++;
			n_bad++;
		}
	}
	__atomic_store_n(&f.is_done, true, __ATOMIC_RELAXED);
	is_int(pthread_join(thread, NULL), 0);
	printf("# %u requests, %u breaches\n", n_good, n_bad);
	ok(n_good > 0 && n_bad > 0); /* or this shows nothing */
	vmm_mem_free(r.mem);
}

TAP_MAIN()
