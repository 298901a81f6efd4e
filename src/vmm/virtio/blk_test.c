/* The disk, request by request. Every test of requests runs twice: with io_uring where there is one, and without. */
#include "blk_fixture.h"

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

static void put_range(struct rig *r, unsigned i, uint64_t sector, uint32_t n, uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes z = { sector, n, flags };

	memcpy(guest(r, DATA + 16ull * i, sizeof(z)), &z, sizeof(z));
}

TEST(discard_and_write_zeroes_make_holes_where_they_may_and_zeroes_where_they_must)
{
	for (int plain = 0; plain < 2; plain++) {
		struct rig r = { .plan.queues = 1 };
		static uint8_t ones[SECTORS * SECTOR], back[SECTORS * SECTOR];
		struct stat st;

		memset(ones, 0xff, sizeof(ones));
		rig_init(&r, plain);
		is_int(pwrite(r.plan.fd, ones, sizeof(ones), 0), sizeof(ones));
		put_range(&r, 0, 0, 512, 0);
		put_range(&r, 1, 1024, 512, 0);
		is_int(ask(&r, VIRTIO_BLK_T_DISCARD, 0, DATA, 32, false), VIRTIO_BLK_S_OK);
		is_int(fstat(r.plan.fd, &st), 0);
		is_int(st.st_size, SECTORS * SECTOR);
		is_int(st.st_blocks, 1024);
		put_range(&r, 0, 600, 8, 0); /* must stay allocated; a memfd has no such zeroes, so holes serve */
		is_int(ask(&r, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, 16, false), VIRTIO_BLK_S_OK);
		put_range(&r, 0, 700, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
		is_int(ask(&r, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, 16, false), VIRTIO_BLK_S_OK);
		is_int(pread(r.plan.fd, back, sizeof(back), 0), sizeof(back));
		for (unsigned i = 0; i < SECTORS; i++) {
			bool is_zero = i < 512 || (i >= 1024 && i < 1536) || (i >= 600 && i < 608) || (i >= 700 && i < 708);

			if (back[i * SECTOR] != (is_zero ? 0 : 0xff) || back[i * SECTOR + 511] != (is_zero ? 0 : 0xff))
				TAP_FAIL("sector %u", i);
		}
		rig_done(&r);
	}
}

/* A memfd has no zeroes but holes, which the plan calls hints: then the guest has to write them. */
TEST(where_holes_are_hints_zeroes_are_never_made_of_them)
{
	for (int plain = 0; plain < 2; plain++) {
		struct rig r = { .plan = { .queues = 1, .holes_are_hints = true } };
		static uint8_t ones[SECTORS * SECTOR], back[SECTORS * SECTOR];

		memset(ones, 0xff, sizeof(ones));
		rig_init(&r, plain);
		is_int(pwrite(r.plan.fd, ones, sizeof(ones), 0), sizeof(ones));
		for (uint32_t flag = 0; flag <= VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP; flag++) {
			put_range(&r, 0, 600, 8, flag);
			is_int(ask(&r, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, 16, false), VIRTIO_BLK_S_UNSUPP);
		}
		is_int(pread(r.plan.fd, back, sizeof(back), 0), sizeof(back));
		ok(memcmp(ones, back, sizeof(back)) == 0);
		put_range(&r, 0, 512, 512, 0);
		is_int(ask(&r, VIRTIO_BLK_T_DISCARD, 0, DATA, 16, false), VIRTIO_BLK_S_OK);
		is_int(pread(r.plan.fd, back, 512, 512 * SECTOR), 512);
		is_int(back[0], 0);
		rig_done(&r);
	}
}

TEST(ranges_that_can_not_be_change_nothing)
{
	static const struct {
		const char *what;
		uint32_t type;
		struct virtio_blk_discard_write_zeroes z;
		uint8_t status;
	} bad[] = {
		{ "beyond the end", VIRTIO_BLK_T_DISCARD, { SECTORS, 1, 0 }, VIRTIO_BLK_S_IOERR },
		{ "across the end", VIRTIO_BLK_T_DISCARD, { SECTORS - 1, 2, 0 }, VIRTIO_BLK_S_IOERR },
		{ "wrapping", VIRTIO_BLK_T_WRITE_ZEROES, { UINT64_MAX, 2, 0 }, VIRTIO_BLK_S_IOERR },
		{ "wrapping in bytes", VIRTIO_BLK_T_WRITE_ZEROES, { 1ull << 55, 2, 1 }, VIRTIO_BLK_S_IOERR },
		{ "nothing", VIRTIO_BLK_T_DISCARD, { 0, 0, 0 }, VIRTIO_BLK_S_IOERR },
		{ "larger than was told", VIRTIO_BLK_T_DISCARD, { 0, UINT32_MAX, 0 }, VIRTIO_BLK_S_IOERR },
		{ "an unknown flag", VIRTIO_BLK_T_WRITE_ZEROES, { 0, 1, 2 }, VIRTIO_BLK_S_UNSUPP },
		{ "a discard with a flag", VIRTIO_BLK_T_DISCARD, { 0, 1, 1 }, VIRTIO_BLK_S_UNSUPP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig r = { .plan.queues = 1 };
		char back[4] = "";

		rig_init(&r, false);
		is_int(pwrite(r.plan.fd, "kept", 4, 0), 4);
		put_range(&r, 0, 0, 8, 0);
		put_range(&r, 1, bad[i].z.sector, bad[i].z.num_sectors, bad[i].z.flags); /* the first of two would be good */
		if (ask(&r, bad[i].type, 0, DATA, 32, false) != bad[i].status)
			TAP_FAIL("%s", bad[i].what);
		is_int(pread(r.plan.fd, back, 4, 0), 4);
		ok(memcmp(back, "kept", 4) == 0);
		rig_done(&r);
	}
}

TEST(the_serial_number_is_what_the_plan_says_and_fills_no_more_than_its_room)
{
	char serial[] = "12345678901234567890";
	struct rig r = { .plan = { .queues = 1, .serial = serial } };

	rig_init(&r, false);
	is_int(ask(&r, VIRTIO_BLK_T_GET_ID, 0, DATA, 20, true), VIRTIO_BLK_S_OK);
	ok(memcmp(guest(&r, DATA, 20), serial, 20) == 0);
	memset(guest(&r, DATA, 64), 'x', 64);
	is_int(ask(&r, VIRTIO_BLK_T_GET_ID, 0, DATA, 3, true), VIRTIO_BLK_S_OK);
	ok(memcmp(guest(&r, DATA, 4), "123x", 4) == 0);
	is_int(ask(&r, VIRTIO_BLK_T_GET_ID, 0, DATA, 40, true), VIRTIO_BLK_S_OK);
	ok(memcmp(guest(&r, DATA, 21), "12345678901234567890x", 21) == 0);
	rig_done(&r);
}

/* One row: the descriptors from 0 on of something that is no request. */
static const struct {
	const char *what;
	struct vring_desc d[3];
} chains[] = {
	{ "a header alone", { { HEADERS, 16, 0, 0 } } },
	{ "a short header", { { HEADERS, 15, VRING_DESC_F_NEXT, 1 }, { STATUS, 1, VRING_DESC_F_WRITE, 0 } } },
	{ "no header", { { STATUS, 1, VRING_DESC_F_WRITE, 0 } } },
	{ "no status", { { HEADERS, 16, VRING_DESC_F_NEXT, 1 }, { DATA, 512, 0, 0 } } },
	{ "a loop", { { HEADERS, 16, VRING_DESC_F_NEXT, 0 } } },
	{ "data outside of RAM",
	  { { HEADERS, 16, VRING_DESC_F_NEXT, 1 },
	    { RAM, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2 },
	    { STATUS, 1, VRING_DESC_F_WRITE, 0 } } },
};

TEST(V01_V03_what_is_no_request_stops_its_queue_and_no_other)
{
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
		struct rig r = { .plan.queues = 2 };

		rig_init(&r, false);
		memcpy(descs(&r, 0), chains[i].d, sizeof(chains[i].d));
		avail(&r, 0)->idx++;
		unsigned other = offer(&r, 1, VIRTIO_BLK_T_IN, 0, DATA, 512, true);
		settle(&r, BLK_RUN);
		if (r.b->broken != 1 || !r.d->queues[0].s.is_broken || used(&r, 0)->idx != 0)
			TAP_FAIL("%s", chains[i].what);
		is_int(status(&r, other), VIRTIO_BLK_S_OK);
		rig_done(&r);
	}
}

TEST(V20_a_storm_of_requests_on_all_queues_is_answered_with_a_bounded_number_in_hand)
{
	for (int plain = 0; plain < 2; plain++) {
		struct rig r = { .plan.queues = 4 };
		unsigned first;

		rig_init(&r, plain);
		for (unsigned round = 0; round < 10; round++) {
			first = r.n;
			for (unsigned i = 0; i < 320; i++)
				(void)offer(&r, i % 4, i % 3 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, i, DATA + i * 4096, 4096,
					    i % 3 == 0);
			(void)blk_turn(r.b, BLK_RUN);
			ok(r.b->n_busy <= BLK_REQUESTS);
			settle(&r, BLK_RUN);
			for (unsigned i = first; i < r.n; i++)
				is_int(status(&r, i), VIRTIO_BLK_S_OK);
		}
		is_int(used(&r, 3)->idx, 800);
		rig_done(&r);
	}
}

TEST(every_queue_has_its_turn_while_another_never_runs_dry)
{
	struct rig r = { .plan.queues = 2 };

	rig_init(&r, true);
	for (unsigned i = 0; i < 80; i++)
		(void)offer(&r, 0, VIRTIO_BLK_T_IN, 0, DATA, 512, true);
	(void)offer(&r, 1, VIRTIO_BLK_T_IN, 0, DATA, 512, true);
	(void)blk_turn(r.b, BLK_RUN);
	is_int(used(&r, 0)->idx, BLK_BATCH);
	is_int(used(&r, 1)->idx, 1);
	settle(&r, BLK_RUN);
	is_int(used(&r, 0)->idx, 80);
	rig_done(&r);
}

TEST(V07_a_reset_with_requests_in_flight_forgets_them_and_a_pause_answers_them)
{
	unsigned in_flight = 0;
	bool has_ring = false;

	for (int i = 0; i < 200; i++) {
		struct rig r = { .plan.queues = 2 };
		enum blk_order order = i % 2 ? BLK_DROP : BLK_DRAIN;

		rig_init(&r, false);
		for (unsigned k = 0; k < 160; k++)
			(void)offer(&r, k % 2, k % 5 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_FLUSH, k, DATA, k % 5 ? 64 << 10 : 0,
				    false);
		(void)blk_turn(r.b, BLK_RUN);
		unsigned answered = used(&r, 0)->idx, in_hand = r.b->n_busy;
		in_flight += in_hand;
		has_ring = ring_fd(r.b->ring) >= 0;
		settle(&r, order);
		is_int(r.b->n_busy, 0);
		if (order == BLK_DROP) {
			is_int(used(&r, 0)->idx, answered);
		} else {
			is_int(used(&r, 0)->idx + used(&r, 1)->idx, r.d->queues[0].s.next_avail + r.d->queues[1].s.next_avail);
			ok(used(&r, 0)->idx + used(&r, 1)->idx >= in_hand);
		}
		rig_done(&r);
	}
	ok(in_flight > 0 || !has_ring); /* or this shows nothing */
}

TEST(when_the_kernel_takes_no_more_from_the_ring_nothing_is_lost)
{
	struct rig r = { .plan.queues = 1 };

	rig_init(&r, false);
	if (ring_fd(r.b->ring) < 0)
		skip("no io_uring here");
	for (unsigned i = 0; i < 40; i++)
		(void)offer(&r, 0, VIRTIO_BLK_T_OUT, i, DATA, 512, false);
	is_int(dup3(r.plan.fd, ring_fd(r.b->ring), O_CLOEXEC), ring_fd(r.b->ring)); /* what is there now is no ring */
	settle(&r, BLK_RUN);
	is_int(used(&r, 0)->idx, 40);
	for (unsigned i = 0; i < 40; i++)
		is_int(status(&r, i), VIRTIO_BLK_S_OK);
	rig_done(&r);
}

TEST(the_ring_does_nothing_that_the_disk_does_not_need)
{
	static const struct io_uring_sqe wishes[] = {
		{ .opcode = IORING_OP_OPENAT, .addr = (uintptr_t) "/etc/passwd" },
		{ .opcode = IORING_OP_NOP },
		{ .opcode = IORING_OP_SOCKET, .off = 1, .len = 1 },
		{ .opcode = IORING_OP_WRITEV },
	};
	struct rig r = { .plan = { .queues = 1, .is_read_only = true } };
	struct ring_done done;

	rig_init(&r, false);
	if (ring_fd(r.b->ring) < 0)
		skip("no io_uring here");
	for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
		ring_put(r.b->ring, &wishes[i]);
		(void)ring_submit(r.b->ring);
		ok(ring_reap(r.b->ring, &done));
		is_int(done.result, -EACCES);
	}
	rig_done(&r);
}

TEST(errors_of_the_host_are_io_errors_of_the_guest)
{
	for (int plain = 0; plain < 2; plain++) {
		struct rig r = { .plan.queues = 1 };

		rig_init(&r, plain);
		is_int(ftruncate(r.plan.fd, 1024), 0); /* behind its back */
		is_int(ask(&r, VIRTIO_BLK_T_IN, 0, DATA, 1024, true), VIRTIO_BLK_S_OK);
		is_int(ask(&r, VIRTIO_BLK_T_IN, 1, DATA, 1024, true), VIRTIO_BLK_S_IOERR); /* after half of it */
		is_int(ask(&r, VIRTIO_BLK_T_IN, 9, DATA, 512, true), VIRTIO_BLK_S_IOERR);
		is_int(fcntl(r.plan.fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
		is_int(ask(&r, VIRTIO_BLK_T_OUT, 0, DATA, 512, false), VIRTIO_BLK_S_IOERR);
		put_range(&r, 0, 0, 1, 0);
		is_int(ask(&r, VIRTIO_BLK_T_DISCARD, 0, DATA, 16, false), VIRTIO_BLK_S_IOERR);
		is_int(r.b->errors, 4);
		is_int(ask(&r, VIRTIO_BLK_T_IN, 0, DATA, 512, true), VIRTIO_BLK_S_OK);
		rig_done(&r);
	}
}

TEST(without_the_flush_feature_each_write_is_followed_by_a_sync)
{
	struct rig r = { .plan.queues = 1 };

	rig_init(&r, false);
	r.b->is_writeback = false;
	unsigned i = offer(&r, 0, VIRTIO_BLK_T_OUT, 0, DATA, 512, false);
	settle(&r, BLK_RUN);
	is_int(status(&r, i), VIRTIO_BLK_S_OK);
	ok(r.b->free->is_syncing); /* the one that has just been put back */
	r.b->is_writeback = true;
	is_int(ask(&r, VIRTIO_BLK_T_OUT, 0, DATA, 512, false), VIRTIO_BLK_S_OK);
	ok(!r.b->free->is_syncing);
	rig_done(&r);
}

TEST(only_as_many_requests_as_were_in_hand_at_once_take_memory)
{
	struct rig r = { .plan.queues = 1 };
	unsigned i[3];

	rig_init(&r, true);
	is_int(r.b->n_touched, 0);
	for (unsigned n = 0; n < 300; n++)
		is_int(ask(&r, VIRTIO_BLK_T_IN, 0, DATA, 512, true), VIRTIO_BLK_S_OK);
	ok(r.b->n_touched <= 2); /* and the next one, which was looked at */
	for (unsigned n = 0; n < 3; n++)
		i[n] = offer(&r, 0, VIRTIO_BLK_T_IN, n, DATA + 4096 * n, 512, true);
	settle(&r, BLK_RUN);
	for (unsigned n = 0; n < 3; n++)
		is_int(status(&r, i[n]), VIRTIO_BLK_S_OK);
	ok(r.b->n_touched <= 4);
	rig_done(&r);
}

TEST(limits_let_a_burst_pass_and_then_hold_requests_in_the_guests_ring)
{
	struct rig r = { .plan = { .queues = 2, .ops = { .per_second = 1000, .burst = 10 } } };

	rig_init(&r, true);
	for (unsigned i = 0; i < 60; i++)
		(void)offer(&r, i % 2, VIRTIO_BLK_T_IN, 0, DATA, 512, true);
	int64_t before = limit_now(), wait = blk_turn(r.b, BLK_RUN);
	ok(wait > 0 && wait <= 1000000);
	ok(used(&r, 0)->idx + used(&r, 1)->idx < 60);
	settle(&r, BLK_RUN);
	is_int(used(&r, 0)->idx + used(&r, 1)->idx, 60);
	ok(limit_now() - before >= 48 * 1000000LL); /* never sooner */
	rig_done(&r);
}

TEST(a_chain_of_as_many_segments_as_were_told_is_served_and_one_more_is_not)
{
	for (unsigned more = 0; more < 2; more++) {
		struct rig r = { .plan.queues = 1 };
		const struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_IN };
		struct vring_desc *d;

		rig_init(&r, false);
		d = descs(&r, 0);
		memcpy(guest(&r, HEADERS, sizeof(h)), &h, sizeof(h));
		d[0] = (struct vring_desc){ HEADERS, sizeof(h), VRING_DESC_F_NEXT, 1 };
		for (unsigned i = 1; i <= BLK_SEGMENTS + more; i++)
			d[i] = (struct vring_desc){ DATA + 8192ull * i, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
						    (uint16_t)(i + 1) };
		d[BLK_SEGMENTS + more + 1] = (struct vring_desc){ STATUS, 1, VRING_DESC_F_WRITE, 0 };
		is_int(pwrite(r.plan.fd, "last", 4, (BLK_SEGMENTS - 1) * 512), 4);
		avail(&r, 0)->idx = 1;
		settle(&r, BLK_RUN);
		is_int(used(&r, 0)->idx, more ? 0 : 1);
		is_int(r.b->broken, more);
		if (!more)
			ok(memcmp(guest(&r, DATA + 8192ull * BLK_SEGMENTS, 4), "last", 4) == 0);
		rig_done(&r);
	}
}
TEST(V08_a_disk_that_begins_as_another_format_does_is_bytes)
{
	static const char *const heads[] = { "QFI\xfb\0\0\0\3\0\0\0\0\0\0\0\x68\0\0\0\x0b/etc/passwd", "KDMV", "conectix",
					     "QED\0", "vhdxfile" };

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct rig r = { .plan.queues = 1 };
		size_t n = i == 0 ? 31 : strlen(heads[i]); /* qcow2: a header that names a backing file */

		r.plan.fd = image(SECTORS * SECTOR);
		is_int(pwrite(r.plan.fd, heads[i], n, 0), n);
		rig_init(&r, true);
		is_int(r.b->sectors, SECTORS);
		is_int(ask(&r, VIRTIO_BLK_T_IN, 0, DATA, 512, true), VIRTIO_BLK_S_OK);
		ok(memcmp(guest(&r, DATA, 512), heads[i], n) == 0);
		rig_done(&r);
	}
}

TEST(a_saved_state_fits_only_the_disk_that_it_was_saved_of)
{
	struct rig r = { .plan.queues = 1 }, other = { .plan = { .queues = 1, .fd = image(4096) } };
	struct rig ro = { .plan = { .queues = 1, .is_read_only = true } };
	uint8_t state[64];
	struct err e = { 0 };

	rig_init(&r, false);
	rig_init(&other, false);
	rig_init(&ro, false);
	ok(r.d->ops->state_bytes <= sizeof(state));
	is_int(r.d->ops->save(r.d, state, &e), 0);
	is_int(r.d->ops->load(r.d, state, &e), 0);
	is_int(other.d->ops->load(other.d, state, &e), -EBADMSG);
	has_str(e.msg, "2048 sectors");
	is_int(ro.d->ops->load(ro.d, state, &e), -EBADMSG);
	rig_done(&r);
	rig_done(&other);
	rig_done(&ro);
}

TAP_MAIN()
