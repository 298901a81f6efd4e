/* Shared directories' device: its guest and its file server are this test. */
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../fs/wire.h"
#include "fs.h"

#include "fake.h"
#include "tap.h"

enum { HIPRIO, REQUESTS };
enum { ANSWER = FAKE_DATA + 0x100000 };

struct rig {
	struct fake f;
	int server; /* the server's end */
	uint8_t *arena;
	unsigned n; /* requests so far */
};

static void rig_init(struct rig *r)
{
	char tag[] = "a-tag";
	struct vmm_fs_plan plan = { .tag = tag };
	struct fs_hello h;
	struct err e = { 0 };
	size_t n = 1;
	int sv[2], fd = -1;

	*r = (struct rig){ .n = 0 };
	is_int(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	plan.fd = sv[0];
	r->server = sv[1];
	fake_init(&r->f);
	if (virtio_fs_new(&plan, &r->f.d, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_int(sock_recv_fds(r->server, &h, sizeof(h), &fd, &n), sizeof(h));
	is_int(h.slots, FS_SLOTS);
	is_int(fs_arena_map(fd, &r->arena, &e), 0);
	is_int(fake_start(&r->f, 0, true), 0);
}

static void rig_done(struct rig *r)
{
	fake_done(&r->f);
	close(r->server);
	munmap(r->arena, FS_ARENA_BYTES);
}

/* Offers a message of len bytes with room for an answer; its number, which is its unique. */
static unsigned offer(struct rig *r, unsigned queue, uint32_t len, uint32_t room)
{
	unsigned i = r->n++;
	const struct fuse_in_header h = { .len = len, .opcode = FUSE_GETATTR, .unique = i, .nodeid = 1 };
	const struct fake_buffer b[] = { { FAKE_DATA + 0x1000ull * i, len }, { ANSWER + 0x1000ull * i, room } };

	memcpy(fake_at(&r->f, b[0].gpa, sizeof(h)), &h, sizeof(h));
	*(uint32_t *)fake_at(&r->f, b[1].gpa, 4) = 0;
	fake_offer(&r->f, queue, b, 1, room ? 1 : 0);
	virtio_kick_self(&r->f.d->queues[queue]);
	return i;
}

/* The next call, or none within the time. */
static bool hear(struct rig *r, struct fs_call *ret, int ms)
{
	struct pollfd p = { .fd = r->server, .events = POLLIN };

	return poll(&p, 1, ms) == 1 && read(r->server, ret, sizeof(*ret)) == sizeof(*ret);
}

static void say(struct rig *r, uint32_t slot, uint32_t len)
{
	const struct fs_done d = { slot, len };

	is_int(write(r->server, &d, sizeof(d)), sizeof(d));
}

static void serve(struct rig *r, const struct fs_call *c, int32_t error)
{
	uint8_t *p = r->arena + (size_t)c->slot * FS_SLOT_BYTES;
	struct fuse_out_header h = { .len = sizeof(h), .error = error, .unique = ((struct fuse_in_header *)(void *)p)->unique };

	memcpy(p, &h, sizeof(h));
	say(r, c->slot, sizeof(h));
}

static void until_used(struct rig *r, unsigned queue, uint16_t n)
{
	for (int i = 0; i < 2000 && fake_used_idx(&r->f, queue) != n; i++)
		usleep(1000);
	is_int(fake_used_idx(&r->f, queue), n);
}

static void answered(struct rig *r, unsigned i, int32_t error)
{
	const struct fuse_out_header *h = fake_at(&r->f, ANSWER + 0x1000ull * i, sizeof(*h));

	is_int(h->len, sizeof(*h));
	is_int(h->unique, i);
	is_int(h->error, error);
}

TEST(a_message_goes_to_the_server_and_its_answer_comes_back)
{
	struct rig r;
	struct fs_call c;

	rig_init(&r);
	ok(memcmp(r.f.d->config, "a-tag\0\0\0", 8) == 0);
	is_int(r.f.d->config[36], 1); /* one queue of requests */
	unsigned a = offer(&r, REQUESTS, 56, 256);
	ok(hear(&r, &c, 2000));
	is_int(c.in_len, 56);
	is_int(c.out_max, 256);
	serve(&r, &c, -ENOENT);
	until_used(&r, REQUESTS, 1);
	answered(&r, a, -ENOENT);
	is_int(fake_used(&r.f, REQUESTS)->ring[0].len, sizeof(struct fuse_out_header));
	offer(&r, HIPRIO, 48, 0); /* FORGET: no answer, nor room for one */
	ok(hear(&r, &c, 2000));
	is_int(c.out_max, 0);
	say(&r, c.slot, 0);
	until_used(&r, HIPRIO, 1);
	rig_done(&r);
}

TEST(answers_come_in_any_order_and_what_has_no_slot_waits)
{
	enum { MORE = 5 };
	struct fs_call c[FS_SLOTS], late;
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < FS_SLOTS + MORE; i++)
		offer(&r, REQUESTS, 56, 256);
	for (unsigned i = 0; i < FS_SLOTS; i++)
		ok(hear(&r, &c[i], 2000));
	ok(!hear(&r, &late, 50));
	is_int(fake_used_idx(&r.f, REQUESTS), 0);
	for (unsigned i = FS_SLOTS; i-- > 0;)
		serve(&r, &c[i], 0);
	for (unsigned i = 0; i < MORE; i++) {
		ok(hear(&r, &late, 2000));
		serve(&r, &late, 0);
	}
	until_used(&r, REQUESTS, FS_SLOTS + MORE);
	for (unsigned i = 0; i < FS_SLOTS + MORE; i++)
		answered(&r, i, 0);
	rig_done(&r);
}

TEST(when_the_server_ends_everything_is_an_io_error_and_the_device_lives)
{
	struct rig r;
	struct fs_call c;

	rig_init(&r);
	unsigned waiting = offer(&r, REQUESTS, 56, 256);
	ok(hear(&r, &c, 2000));
	close(r.server);
	until_used(&r, REQUESTS, 1);
	answered(&r, waiting, -EIO);
	unsigned later = offer(&r, REQUESTS, 56, 256);
	until_used(&r, REQUESTS, 2);
	answered(&r, later, -EIO);
	offer(&r, HIPRIO, 48, 0);
	until_used(&r, HIPRIO, 1);
	ok(!r.f.d->queues[REQUESTS].s.is_broken && !r.f.d->queues[HIPRIO].s.is_broken);
	r.server = -1;
	rig_done(&r);
}

TEST(a_server_that_talks_nonsense_is_treated_as_gone)
{
	for (unsigned what = 0; what < 4; what++) {
		struct rig r;
		struct fs_call c;

		rig_init(&r);
		unsigned i = offer(&r, REQUESTS, 56, 256);
		ok(hear(&r, &c, 2000));
		if (what == 0)
			say(&r, FS_SLOTS, 16);
		else if (what == 1)
			say(&r, c.slot, FS_SLOT_BYTES + 1);
		else if (what == 2)
			say(&r, (c.slot + 1) % FS_SLOTS, 16); /* nothing is in it */
		else
			is_int(write(r.server, "x", 1), 1);
		until_used(&r, REQUESTS, 1);
		answered(&r, i, -EIO);
		rig_done(&r);
	}
}

TEST(a_longer_answer_than_there_is_room_for_is_cut)
{
	struct rig r;
	struct fs_call c;

	rig_init(&r);
	unsigned i = offer(&r, REQUESTS, 56, 20);
	uint32_t *behind = fake_at(&r.f, ANSWER + 0x1000ull * i + 20, 4);
	*behind = 0x11111111;
	ok(hear(&r, &c, 2000));
	is_int(c.out_max, 20);
	memset(r.arena + (size_t)c.slot * FS_SLOT_BYTES, 0x77, 4096);
	say(&r, c.slot, 4096);
	until_used(&r, REQUESTS, 1);
	is_int(fake_used(&r.f, REQUESTS)->ring[0].len, 20);
	is_int(*behind, 0x11111111);
	rig_done(&r);
}

TEST(a_reset_forgets_what_is_under_way_and_waits_for_nobody)
{
	struct fs_call c[FS_SLOTS], next;
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < FS_SLOTS; i++)
		offer(&r, REQUESTS, 56, 256);
	for (unsigned i = 0; i < FS_SLOTS; i++)
		ok(hear(&r, &c[i], 2000));
	r.f.d->ops->reset(r.f.d);
	memset(fake_used(&r.f, REQUESTS), 0, 4096);
	memset(fake_avail(&r.f, REQUESTS), 0, 4096);
	r.f.next_desc[REQUESTS] = 0;
	struct virtqueue *q = &r.f.d->queues[REQUESTS];
	q->s.next_avail = q->s.next_used = 0;
	is_int(r.f.d->ops->activate(r.f.d, NULL), 0);
	unsigned i = offer(&r, REQUESTS, 56, 256);
	ok(!hear(&r, &next, 50)); /* the server has all slots still */
	for (unsigned k = 0; k < FS_SLOTS; k++)
		serve(&r, &c[k], 0);
	ok(hear(&r, &next, 2000));
	is_int(fake_used_idx(&r.f, REQUESTS), 0); /* of the answers to the forgotten nobody hears */
	serve(&r, &next, 0);
	until_used(&r, REQUESTS, 1);
	answered(&r, i, 0);
	rig_done(&r);
}

/* Its worker has seen what is wrong, which may take a while where many others run, and the server has heard nothing. */
static void until_broken(struct rig *r, unsigned queue)
{
	bool is_broken = false;
	struct fs_call c;

	for (int i = 0; i < 100 && !is_broken; i++) {
		ok(!hear(r, &c, 50));
		r->f.d->ops->quiesce(r->f.d); /* the queue's state is the worker's until then */
		is_broken = r->f.d->queues[queue].s.is_broken;
		r->f.d->ops->resume(r->f.d);
	}
	ok(is_broken);
}

TEST(a_message_without_a_header_or_longer_than_any_breaks_its_queue)
{
	struct fake_buffer b[70];
	struct rig r;

	rig_init(&r);
	offer(&r, REQUESTS, 39, 256);
	until_broken(&r, REQUESTS);
	for (unsigned i = 0; i < ARRAY_SIZE(b); i++)
		b[i] = (struct fake_buffer){ FAKE_DATA, 4096 };
	fake_offer(&r.f, HIPRIO, b, ARRAY_SIZE(b), 0);
	virtio_kick_self(&r.f.d->queues[HIPRIO]);
	until_broken(&r, HIPRIO);
	rig_done(&r);
}

TEST(it_refuses_to_be_saved_and_says_why)
{
	uint64_t state = 0;
	struct err e = { 0 };
	struct rig r;

	rig_init(&r);
	ok(r.f.d->ops->state_bytes > 0 && r.f.d->ops->state_bytes <= sizeof(state));
	is_int(r.f.d->ops->save(r.f.d, &state, &e), -EOPNOTSUPP);
	has_str(e.msg, "a VM with shared directories (a-tag) can't be saved");
	is_int(r.f.d->ops->load(r.f.d, &state, &e), -EBADMSG);
	rig_done(&r);
}

TAP_MAIN()
