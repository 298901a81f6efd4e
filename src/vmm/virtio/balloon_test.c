/* The balloon against a driver of this test's own: what it names is given back, or its queue is broken and nothing is. */
#include <linux/virtio_balloon.h>
#include <sys/stat.h>

#include "balloon.h"

#include "fake.h"
#include "tap.h"

#define BIT(f) (1ull << (f))
#define ALL    (BIT(VIRTIO_BALLOON_F_STATS_VQ) | BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) | BIT(VIRTIO_BALLOON_F_REPORTING))
enum { INFLATE, DEFLATE, STATS, REPORT, PAGE = 4096, FIRST = 0x300000 / PAGE, ROOM = 0x100000 };

static const struct vmm_balloon_plan plan = { .reports = true, .deflates_on_oom = true };

static void start(struct fake *f, uint64_t features)
{
	fake_init(f);
	is_int(virtio_balloon_new(&plan, &f->d, NULL), 0);
	memset(fake_at(f, FAKE_RINGS, 4 * FAKE_QUEUE), 0, 4 * FAKE_QUEUE);
	memset(fake_at(f, FAKE_DATA, FAKE_RAM - FAKE_DATA), 7, FAKE_RAM - FAKE_DATA);
	is_int(fake_start(f, features, false), 0);
}

static uint8_t byte_at(struct fake *f, uint64_t gpa) { return *(const uint8_t *)vmm_mem_at(f->vm.mem, gpa, 1); }
static bool is_broken(struct fake *f, unsigned q) { return f->d->queues[q].s.is_broken; }
static uint64_t returned(struct fake *f)
{
	struct balloon_report r;

	balloon_report(f->d, &r);
	return r.returned_bytes;
}
static uint64_t resident(struct fake *f)
{
	struct stat st;

	is_int(fstat(vmm_mem_fd(f->vm.mem), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void name_pages(struct fake *f, unsigned q, const uint32_t *pfns, uint32_t n)
{
	fake_offer_out(f, q, FAKE_DATA, pfns, n * 4);
	f->d->ops->kick(f->d, q);
}

TEST(pages_that_the_driver_puts_into_the_balloon_are_the_hosts_and_the_request_is_answered)
{
	/* up, down, alone, and twice the same */
	const uint32_t pfns[] = { FIRST, FIRST + 1, FIRST + 2, FIRST + 9, FIRST + 8, FIRST + 20, FIRST + 20 };
	uint64_t before;
	struct fake f;

	start(&f, ALL);
	before = resident(&f);
	name_pages(&f, INFLATE, pfns, ARRAY_SIZE(pfns));
	is_int(fake_used_idx(&f, INFLATE), 1);
	is_int(before - resident(&f), 6 * PAGE);
	is_int(returned(&f), 6 * PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(pfns); i++)
		is_int(byte_at(&f, (uint64_t)pfns[i] * PAGE), 0);
	is_int(byte_at(&f, (FIRST + 3) * PAGE), 7);
	is_int(byte_at(&f, (FIRST + 10) * PAGE), 7);
	/* taking them back is the guest's affair */
	memset(fake_at(&f, FIRST * PAGE, PAGE), 9, PAGE);
	name_pages(&f, DEFLATE, pfns, ARRAY_SIZE(pfns));
	is_int(fake_used_idx(&f, DEFLATE), 1);
	is_int(byte_at(&f, FIRST * PAGE), 9);
	ok(!is_broken(&f, INFLATE) && !is_broken(&f, DEFLATE));
	fake_done(&f);
}

TEST(V03_a_page_that_is_not_ram_breaks_the_queue)
{
	static const uint32_t bad[] = { FAKE_RAM / PAGE, UINT32_MAX, VMM_HOLE_START / PAGE, 0x80000000u };

	for (unsigned q = INFLATE; q <= DEFLATE; q++)
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			const uint32_t pfns[] = { FIRST, bad[i], FIRST + 4 };
			struct fake f;

			start(&f, ALL);
			name_pages(&f, q, pfns, ARRAY_SIZE(pfns));
			ok(is_broken(&f, q));
			is_int(fake_used_idx(&f, q), 0);
			is_int(byte_at(&f, (FIRST + 4) * PAGE), 7);
			fake_done(&f);
		}
}

TEST(V03_lengths_that_are_no_page_numbers_or_too_many_break_the_queue)
{
	static const struct {
		struct fake_buffer b[2];
		unsigned n_out, n_in;
	} rows[] = {
		{ { { FAKE_DATA, 3 } }, 1, 0 },        { { { FAKE_DATA, 6 } }, 1, 0 },
		{ { { FAKE_DATA, 4 * 4097 } }, 1, 0 }, { { { FAKE_DATA, 4 }, { FAKE_DATA + PAGE, 4 } }, 1, 1 },
		{ { { FAKE_DATA, 4 } }, 0, 1 },        { { { FAKE_RAM - 4, 8 } }, 1, 0 },
	};

	for (unsigned q = INFLATE; q <= DEFLATE; q++)
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			struct fake f;

			start(&f, ALL);
			memset(fake_at(&f, FAKE_DATA, ROOM), 0, ROOM);
			fake_offer(&f, q, rows[i].b, rows[i].n_out, rows[i].n_in);
			f.d->ops->kick(f.d, q);
			ok(is_broken(&f, q));
			is_int(returned(&f), 0);
			fake_done(&f);
		}
}

TEST(a_number_may_be_cut_in_two_by_the_buffers)
{
	const uint32_t pfns[] = { FIRST, FIRST + 2 };
	const struct fake_buffer b[] = { { FAKE_DATA, 6 }, { FAKE_DATA + 6, 2 } };
	struct fake f;

	start(&f, ALL);
	memcpy(fake_at(&f, FAKE_DATA, 8), pfns, 8);
	fake_offer(&f, INFLATE, b, 2, 0);
	f.d->ops->kick(f.d, INFLATE);
	ok(!is_broken(&f, INFLATE));
	is_int(byte_at(&f, FIRST * PAGE) + byte_at(&f, (FIRST + 2) * PAGE), 0);
	fake_done(&f);
}

TEST(reported_memory_is_given_back_in_any_number_of_pieces)
{
	const struct fake_buffer b[] = { { 0x400000, 0x200000 }, { 0x300000, PAGE }, { 0x302000, 0x1000 } };
	uint64_t before;
	struct fake f;

	start(&f, ALL);
	before = resident(&f);
	fake_offer(&f, REPORT, b, 0, 3);
	f.d->ops->kick(f.d, REPORT);
	is_int(fake_used_idx(&f, REPORT), 1);
	is_int(before - resident(&f), 0x202000);
	is_int(byte_at(&f, 0x400000) + byte_at(&f, 0x5fffff) + byte_at(&f, 0x300000) + byte_at(&f, 0x302000), 0);
	is_int(byte_at(&f, 0x301000), 7);
	fake_done(&f);
}

TEST(without_statistics_the_queue_of_reports_is_the_one_after_deflate)
{
	struct fake f;

	start(&f, ALL & ~BIT(VIRTIO_BALLOON_F_STATS_VQ));
	fake_offer_in(&f, STATS, 0x400000, 0x200000);
	f.d->ops->kick(f.d, STATS);
	is_int(fake_used_idx(&f, STATS), 1);
	is_int(byte_at(&f, 0x400000), 0);
	/* and behind it there is none */
	fake_offer_in(&f, REPORT, 0x300000, PAGE);
	f.d->ops->kick(f.d, REPORT);
	is_int(fake_used_idx(&f, REPORT), 0);
	is_int(byte_at(&f, 0x300000), 7);
	fake_done(&f);
}

TEST(V03_reports_of_what_is_not_whole_pages_of_ram_break_the_queue)
{
	static const struct fake_buffer bad[] = {
		{ 0x400001, PAGE }, { 0x400000, 100 }, { FAKE_RAM - PAGE, 2 * PAGE }, { FAKE_RAM, PAGE }, { 0, 0 },
	};

	for (size_t i = 0; i <= ARRAY_SIZE(bad); i++) {
		bool is_out = i == ARRAY_SIZE(bad);
		struct fake f;

		start(&f, ALL);
		fake_offer(&f, REPORT, is_out ? &(struct fake_buffer){ 0x400000, PAGE } : &bad[i], is_out, !is_out);
		f.d->ops->kick(f.d, REPORT);
		ok(is_broken(&f, REPORT));
		is_int(returned(&f), 0);
		fake_done(&f);
	}
}

TEST(pages_that_the_guest_fills_with_a_value_are_left_alone_but_for_zero)
{
	for (uint32_t poison = 0; poison < 2; poison++) {
		struct fake f;

		start(&f, ALL | BIT(VIRTIO_BALLOON_F_PAGE_POISON));
		memcpy(f.d->config + offsetof(struct virtio_balloon_config, poison_val), &poison, 4);
		fake_offer_in(&f, REPORT, 0x400000, PAGE);
		f.d->ops->kick(f.d, REPORT);
		is_int(fake_used_idx(&f, REPORT), 1);
		is_int(byte_at(&f, 0x400000), poison ? 7 : 0);
		fake_done(&f);
	}
}

TEST(a_queue_that_the_driver_did_not_take_does_nothing)
{
	struct fake f;

	start(&f, 0);
	fake_offer_in(&f, REPORT, 0x400000, PAGE);
	f.d->ops->kick(f.d, REPORT);
	fake_offer_in(&f, STATS, 0x400000, PAGE);
	f.d->ops->kick(f.d, STATS);
	is_int(fake_used_idx(&f, REPORT) + fake_used_idx(&f, STATS), 0);
	is_int(byte_at(&f, 0x400000), 7);
	fake_done(&f);
}

/* ---- statistics ---- */

struct stat_words {
	struct virtio_balloon_stat s[3];
} __attribute__((packed));

static void tell(struct fake *f, uint64_t free_bytes, uint16_t odd_tag)
{
	struct stat_words w = { { { VIRTIO_BALLOON_S_MEMFREE, free_bytes }, { odd_tag, 1 }, { VIRTIO_BALLOON_S_AVAIL, 5 } } };

	fake_offer_out(f, STATS, FAKE_DATA, &w, sizeof(w));
	f->d->ops->kick(f->d, STATS);
}

TEST(statistics_are_kept_and_their_buffer_goes_back_when_somebody_asks)
{
	struct balloon_report r;
	struct fake f;

	start(&f, ALL);
	balloon_report(f.d, &r);
	ok(r.stats_at_us == 0 && r.stats[VIRTIO_BALLOON_S_MEMFREE] == BALLOON_UNTOLD);
	tell(&f, 1234, 999);
	is_int(fake_used_idx(&f, STATS), 0);
	balloon_report(f.d, &r);
	ok(r.stats_at_us != 0);
	is_int(r.stats[VIRTIO_BALLOON_S_MEMFREE], 1234);
	is_int(r.stats[VIRTIO_BALLOON_S_AVAIL], 5);
	ok(r.stats[VIRTIO_BALLOON_S_CACHES] == BALLOON_UNTOLD);
	is_int(fake_used_idx(&f, STATS), 1);
	balloon_report(f.d, &r); /* the driver has it: nothing to give back */
	is_int(fake_used_idx(&f, STATS), 1);
	tell(&f, 99, 0);
	balloon_report(f.d, &r);
	is_int(r.stats[VIRTIO_BALLOON_S_MEMFREE], 99);
	/* one more than there is room for in hand: the older goes back */
	tell(&f, 1, 0);
	tell(&f, 2, 0);
	is_int(fake_used_idx(&f, STATS), 3);
	ok(!is_broken(&f, STATS));
	fake_done(&f);
}

TEST(the_buffer_in_hand_is_in_a_snapshot_and_is_taken_again)
{
	struct balloon_report r;
	struct fake f;

	start(&f, ALL);
	tell(&f, 1234, 999);
	is_int(f.d->queues[STATS].s.next_avail, 1);
	f.d->ops->quiesce(f.d);
	is_int(f.d->queues[STATS].s.next_avail, 0);
	f.d->ops->resume(f.d);
	f.d->ops->kick(f.d, STATS); /* resume's kick, which the transport hears */
	is_int(f.d->queues[STATS].s.next_avail, 1);
	balloon_report(f.d, &r);
	is_int(fake_used_idx(&f, STATS), 1);
	f.d->ops->quiesce(f.d); /* nothing in hand */
	is_int(f.d->queues[STATS].s.next_avail, 1);
	fake_done(&f);
}

/* ---- the target ---- */

static uint32_t config32(struct fake *f, size_t offset)
{
	uint32_t v;

	memcpy(&v, f->d->config + offset, 4);
	return v;
}

TEST(the_target_is_in_the_config_and_in_the_state_and_never_more_than_the_memory)
{
	const uint64_t odd[] = { FAKE_RAM + PAGE, 1, UINT64_MAX };
	uint64_t state[1] = { 0 };
	struct balloon_report r;
	struct fake f;

	start(&f, ALL);
	is_int(f.d->ops->state_bytes, sizeof(state));
	balloon_set_target(f.d, 0x201000 + 5);
	is_int(config32(&f, 0), 0x201);
	is_int(f.d->ops->save(f.d, state, NULL), 0);
	balloon_set_target(f.d, UINT64_MAX);
	is_int(config32(&f, 0), FAKE_RAM / PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		is_int(f.d->ops->load(f.d, &odd[i], NULL), -EBADMSG);
	is_int(config32(&f, 0), FAKE_RAM / PAGE);
	is_int(f.d->ops->load(f.d, state, NULL), 0);
	is_int(config32(&f, 0), 0x201);
	memcpy(f.d->config + 4, &(uint32_t){ 3 }, 4); /* the driver's */
	balloon_report(f.d, &r);
	is_int(r.target_bytes, 0x201000);
	is_int(r.actual_bytes, 3 * PAGE);
	f.d->ops->reset(f.d);
	balloon_report(f.d, &r);
	is_int(r.actual_bytes, 0);
	is_int(r.target_bytes, 0x201000);
	fake_done(&f);
}

TEST(much_work_is_done_in_turns)
{
	struct fake f;

	start(&f, ALL);
	for (unsigned i = 0; i < 100; i++)
		fake_offer_in(&f, REPORT, 0x400000 + i * PAGE, PAGE);
	f.d->ops->kick(f.d, REPORT);
	ok(fake_used_idx(&f, REPORT) > 0 && fake_used_idx(&f, REPORT) < 100);
	for (unsigned i = 0; i < 100 && fake_used_idx(&f, REPORT) < 100; i++) {
		eventfd_t n;

		is_int(eventfd_read(f.d->queues[REPORT].kick_fd, &n), 0); /* it has kicked itself */
		f.d->ops->kick(f.d, REPORT);
	}
	is_int(fake_used_idx(&f, REPORT), 100);
	fake_done(&f);
}

TAP_MAIN()
