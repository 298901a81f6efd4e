/* Memory that grows against a driver of this test's own: it gets what was asked for and no more, and what it gives back is gone. */
#include <linux/virtio_mem.h>
#include <sys/stat.h>

#include "mem.h"

#include "fake.h"
#include "tap.h"

#define MIB   (1ull << 20)
#define BLOCK (2 * MIB)
#define ROOM  (512 * MIB)
#define GPA   VMM_HOLE_END

static void start(struct fake *f)
{
	fake_init_room(f, ROOM);
	is_int(virtio_mem_new(f->vm.mem, &f->d, NULL), 0);
	f->d->mem = f->vm.mem;
	memset(fake_at(f, FAKE_RINGS, FAKE_QUEUE), 0, FAKE_QUEUE);
	is_int(fake_start(f, 0, false), 0);
}

static struct virtio_mem_config config(struct fake *f)
{
	struct virtio_mem_config c;

	memcpy(&c, f->d->config, sizeof(c));
	return c;
}

/* The answer's type; of a question for the state, 16 more than the state. */
static unsigned ask(struct fake *f, uint16_t type, uint64_t gpa, uint16_t n)
{
	const struct virtio_mem_req q = { .type = type, .u.plug = { .addr = gpa, .nb_blocks = n } };
	uint16_t before = fake_used_idx(f, 0);
	struct virtio_mem_resp a;

	memcpy(fake_at(f, FAKE_DATA, sizeof(q)), &q, sizeof(q));
	memset(fake_at(f, FAKE_DATA + 64, sizeof(a)), 0xee, sizeof(a));
	fake_offer(f, 0, (struct fake_buffer[]){ { FAKE_DATA, sizeof(q) }, { FAKE_DATA + 64, sizeof(a) } }, 1, 1);
	f->d->ops->kick(f->d, 0);
	is_int(fake_used_idx(f, 0), before + 1);
	memcpy(&a, fake_at(f, FAKE_DATA + 64, sizeof(a)), sizeof(a));
	return type == VIRTIO_MEM_REQ_STATE && a.type == VIRTIO_MEM_RESP_ACK ? 16u + a.u.state.state : a.type;
}

static uint64_t resident(struct fake *f)
{
	struct stat st;

	is_int(fstat(vmm_mem_fd(f->vm.mem), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void sizes_are(struct fake *f, uint64_t usable, uint64_t plugged, uint64_t requested)
{
	struct virtio_mem_config c = config(f);
	struct mem_report r;

	mem_report(f->d, &r);
	is_int(c.usable_region_size, usable);
	is_int(c.plugged_size, plugged);
	is_int(c.requested_size, requested);
	is_int(r.plugged_bytes, plugged);
	is_int(r.requested_bytes, requested);
	is_int(r.room_bytes, ROOM);
}

TEST(nothing_is_there_before_it_is_asked_for)
{
	struct fake f;

	start(&f);
	is_int(config(&f).block_size, BLOCK);
	is_int(config(&f).addr, GPA);
	is_int(config(&f).region_size, ROOM);
	sizes_are(&f, 0, 0, 0);
	is_int(ask(&f, VIRTIO_MEM_REQ_PLUG, GPA, 1), VIRTIO_MEM_RESP_ERROR);
	is_int(ask(&f, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0), VIRTIO_MEM_RESP_ACK);
	sizes_are(&f, 0, 0, 0);
	fake_done(&f);
}

TEST(the_guest_gets_what_was_asked_for_and_not_a_block_more)
{
	struct fake f;

	start(&f);
	is_int(mem_request(f.d, 16 * MIB - 1, NULL), 0);
	sizes_are(&f, 128 * MIB, 0, 16 * MIB);
	is_int(ask(&f, VIRTIO_MEM_REQ_PLUG, GPA, 9), VIRTIO_MEM_RESP_NACK);
	is_int(ask(&f, VIRTIO_MEM_REQ_PLUG, GPA, 4), VIRTIO_MEM_RESP_ACK);
	is_int(ask(&f, VIRTIO_MEM_REQ_PLUG, GPA + 126 * MIB, 1), VIRTIO_MEM_RESP_ACK);
	sizes_are(&f, 128 * MIB, 10 * MIB, 16 * MIB);
	is_int(ask(&f, VIRTIO_MEM_REQ_PLUG, GPA + 20 * MIB, 4), VIRTIO_MEM_RESP_NACK);
	is_int(ask(&f, VIRTIO_MEM_REQ_PLUG, GPA + 6 * MIB, 3), VIRTIO_MEM_RESP_ERROR); /* one of them is plugged */
	is_int(ask(&f, VIRTIO_MEM_REQ_STATE, GPA, 4), 16 + VIRTIO_MEM_STATE_PLUGGED);
	is_int(ask(&f, VIRTIO_MEM_REQ_STATE, GPA + 8 * MIB, 4), 16 + VIRTIO_MEM_STATE_UNPLUGGED);
	is_int(ask(&f, VIRTIO_MEM_REQ_STATE, GPA, 5), 16 + VIRTIO_MEM_STATE_MIXED);
	is_int(mem_request(f.d, ROOM + 1, NULL), -ENOSPC);
	sizes_are(&f, 128 * MIB, 10 * MIB, 16 * MIB);
	fake_done(&f);
}

TEST(what_is_unplugged_is_the_hosts_again)
{
	uint64_t before;
	struct fake f;

	start(&f);
	is_int(mem_request(f.d, 64 * MIB, NULL), 0);
	is_int(ask(&f, VIRTIO_MEM_REQ_PLUG, GPA, 32), VIRTIO_MEM_RESP_ACK);
	before = resident(&f);
	memset(fake_at(&f, GPA, 64 * MIB), 7, 64 * MIB);
	is_int(resident(&f) - before, 64 * MIB);
	is_int(mem_request(f.d, 0, NULL), 0);
	sizes_are(&f, 128 * MIB, 64 * MIB, 0); /* it is the driver that unplugs */
	is_int(ask(&f, VIRTIO_MEM_REQ_UNPLUG, GPA + 8 * MIB, 8), VIRTIO_MEM_RESP_ACK);
	is_int(resident(&f) - before, 48 * MIB);
	is_int(*(uint8_t *)fake_at(&f, GPA + 8 * MIB - 1, 1), 7);
	is_int(*(uint8_t *)fake_at(&f, GPA + 24 * MIB, 1), 7);
	is_int(ask(&f, VIRTIO_MEM_REQ_UNPLUG, GPA + 6 * MIB, 2), VIRTIO_MEM_RESP_ERROR); /* half of it is gone already */
	is_int(ask(&f, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0), VIRTIO_MEM_RESP_ACK);
	is_int(resident(&f), before);
	sizes_are(&f, 128 * MIB, 0, 0);
	fake_done(&f);
}

TEST(V03_blocks_that_there_are_not_are_an_error_and_change_nothing)
{
	static const struct {
		uint64_t gpa;
		uint16_t n;
	} rows[] = {
		{ GPA, 0 },          { GPA, 65 },      { GPA + MIB, 1 },          { GPA - BLOCK, 1 },     { GPA + 128 * MIB, 1 },
		{ GPA, UINT16_MAX }, { 0, 1 },         { GPA + 126 * MIB, 2 },    { GPA + ROOM, 1 },      { UINT64_MAX, 1 },
		{ -(BLOCK), 1 },     { FAKE_DATA, 1 }, { GPA + (1ull << 63), 1 }, { GPA - 2 * BLOCK, 3 },
	};
	static const uint16_t types[] = { VIRTIO_MEM_REQ_PLUG, VIRTIO_MEM_REQ_UNPLUG, VIRTIO_MEM_REQ_STATE, 4, UINT16_MAX };
	struct fake f;

	start(&f);
	is_int(mem_request(f.d, 128 * MIB, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t k = 0; k < ARRAY_SIZE(types); k++)
			is_int(ask(&f, types[k], rows[i].gpa, rows[i].n), VIRTIO_MEM_RESP_ERROR);
	is_int(ask(&f, 7, GPA, 1), VIRTIO_MEM_RESP_ERROR);
	sizes_are(&f, 128 * MIB, 0, 128 * MIB);
	fake_done(&f);
}

TEST(V03_a_request_that_is_none_breaks_the_queue)
{
	static const struct {
		struct fake_buffer b[2];
		unsigned n_out, n_in;
	} rows[] = {
		{ { { FAKE_DATA, 23 }, { FAKE_DATA + 64, 10 } }, 1, 1 },
		{ { { FAKE_DATA, 24 }, { FAKE_DATA + 64, 9 } }, 1, 1 },
		{ { { FAKE_DATA, 24 } }, 1, 0 },
		{ { { FAKE_DATA, 10 } }, 0, 1 },
		{ { { FAKE_RAM, 24 }, { FAKE_DATA, 10 } }, 1, 1 },
		{ { { GPA, 24 }, { FAKE_DATA, 10 } }, 1, 1 }, /* room is no memory */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake f;

		start(&f);
		memset(fake_at(&f, FAKE_DATA, 128), 0, 128);
		fake_offer(&f, 0, rows[i].b, rows[i].n_out, rows[i].n_in);
		f.d->ops->kick(f.d, 0);
		ok(f.d->queues[0].s.is_broken);
		is_int(fake_used_idx(&f, 0), 0);
		fake_done(&f);
	}
}

TEST(a_turn_is_bounded_and_goes_on_by_itself)
{
	const struct virtio_mem_req q = { .type = VIRTIO_MEM_REQ_UNPLUG_ALL };
	eventfd_t n;
	struct fake f;

	start(&f);
	f.d->queues[0].s.size = 64;
	memcpy(fake_at(&f, FAKE_DATA, sizeof(q)), &q, sizeof(q));
	for (unsigned i = 0; i < 32; i++)
		fake_offer(&f, 0, (struct fake_buffer[]){ { FAKE_DATA, sizeof(q) }, { FAKE_DATA + 64, 10 } }, 1, 1);
	f.d->ops->kick(f.d, 0);
	is_int(fake_used_idx(&f, 0), 32);
	is_int(eventfd_read(f.d->queues[0].kick_fd, &n), 0);
	f.d->ops->kick(f.d, 0);
	is_int(fake_used_idx(&f, 0), 32);
	ok(eventfd_read(f.d->queues[0].kick_fd, &n) < 0);
	fake_done(&f);
}

TEST(its_state_goes_to_another_machine_with_the_memory_it_needs)
{
	_cleanup_free_ uint8_t *s = NULL;
	struct virtio_mem_config c;
	struct err e = { 0 };
	struct fake a, b;

	start(&a);
	is_int(mem_request(a.d, 300 * MIB, NULL), 0);
	is_int(ask(&a, VIRTIO_MEM_REQ_PLUG, GPA, 100), VIRTIO_MEM_RESP_ACK);
	is_int(mem_request(a.d, 20 * MIB, NULL), 0);
	s = calloc(1, a.d->ops->state_bytes);
	ok(s);
	is_int(a.d->ops->save(a.d, s, &e), 0);
	c = config(&a);
	fake_done(&a);

	start(&b);
	is_int(b.d->ops->load(b.d, s, &e), 0);
	is_int(config(&b).plugged_size, c.plugged_size);
	is_int(config(&b).requested_size, 20 * MIB);
	ok(vmm_mem_is_ram(b.vm.mem, GPA, 200 * MIB));
	is_int(ask(&b, VIRTIO_MEM_REQ_STATE, GPA, 100), 16 + VIRTIO_MEM_STATE_PLUGGED);
	is_int(ask(&b, VIRTIO_MEM_REQ_UNPLUG, GPA, 100), VIRTIO_MEM_RESP_ACK);

	/* requested_bytes, and the bits of blocks from ROOM on */
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t requested = i ? BLOCK / 2 : ROOM + BLOCK;
		uint8_t *bad = calloc(1, b.d->ops->state_bytes);

		ok(bad);
		if (i < 2)
			memcpy(bad, &requested, sizeof(requested));
		else
			bad[8 + ROOM / BLOCK / 8] = 1;
		is_int(b.d->ops->load(b.d, bad, &e), -EBADMSG);
		free(bad);
	}
	sizes_are(&b, 256 * MIB, 0, 20 * MIB);
	fake_done(&b);
}

TAP_MAIN()
