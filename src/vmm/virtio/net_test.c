/* The network card: headers that reach the tap, frames both ways, merged buffers, rates, several queues, the control queue. */
#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "net.h"

#include "fake.h"
#include "tap.h"

#define BIT(f) (1ull << (f))
#define ALL                                                                                                                 \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_MRG_RXBUF) | \
	 BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |                       \
	 BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | BIT(VIRTIO_NET_F_MQ))

/* ---- headers ---- */

/* A TCP segment of IPv4 (or IPv6) in Ethernet, as a stack makes it for TSO. */
static size_t tcp_frame(uint8_t *p, bool is_6, struct virtio_net_hdr_v1 *h)
{
	size_t ip = 14, tcp = ip + (is_6 ? 40 : 20);

	memset(p, 0, 256);
	p[12] = is_6 ? 0x86 : 0x08;
	p[13] = is_6 ? 0xdd : 0x00;
	p[ip] = is_6 ? 0x60 : 0x45;
	p[ip + (is_6 ? 6 : 9)] = 6;
	p[tcp + 12] = 0x50;
	*h = (struct virtio_net_hdr_v1){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					 .gso_type = is_6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
					 .hdr_len = 9999,
					 .gso_size = 1448,
					 .csum_start = (uint16_t)tcp,
					 .csum_offset = 16,
					 .num_buffers = 77 };
	return tcp + 20;
}

TEST(a_stack_s_segments_pass_with_the_header_length_that_they_have)
{
	struct virtio_net_hdr_v1 h;
	uint8_t p[256];

	for (int is_6 = 0; is_6 < 2; is_6++) {
		size_t end = tcp_frame(p, is_6, &h);

		is_int(net_header_check(&h, p, sizeof(p), 30000, ALL), 0);
		is_int(h.hdr_len, end);
		is_int(h.num_buffers, 0);
		is_int(h.gso_size, 1448);
	}
	/* a VLAN tag in between, an IPv6 extension, TCP options */
	tcp_frame(p, false, &h);
	memmove(p + 16, p + 12, 200);
	p[12] = 0x81;
	p[13] = 0;
	h.csum_start += 4;
	is_int(net_header_check(&h, p, sizeof(p), 30000, ALL), 0);
	tcp_frame(p, true, &h);
	memmove(p + 62, p + 54, 100);
	memset(p + 54, 0, 8);
	p[20] = 0;
	p[54] = 6;
	h.csum_start += 8;
	p[62 + 12] = 0x80;
	is_int(net_header_check(&h, p, sizeof(p), 30000, ALL), 0);
	is_int(h.hdr_len, 62 + 32);
}

TEST(headers_that_no_stack_makes_never_reach_the_tap)
{
	static const struct {
		const char *what;
		bool is_6;
		unsigned at, value; /* in the frame, or from 1000 on: in the header; 2000: the frame's length */
	} rows[] = {
		{ "no checksum to be made", false, 1000, 0 },
		{ "a type that is unknown", false, 1001, 9 },
		{ "UDP", false, 1001, VIRTIO_NET_HDR_GSO_UDP },
		{ "ECN that was not negotiated", false, 1001, VIRTIO_NET_HDR_GSO_ECN | VIRTIO_NET_HDR_GSO_TCPV4 },
		{ "IPv6 called IPv4", true, 1001, VIRTIO_NET_HDR_GSO_TCPV4 },
		{ "segments of nothing", false, 1004, 0 },
		{ "segments of a byte", false, 1004, 1 },
		{ "GSO_BY_FRAGS", false, 1004, 0xffff },
		{ "checksum from elsewhere", false, 1006, 35 },
		{ "checksum beyond", false, 1006, 0xffff },
		{ "checksum to elsewhere", false, 1008, 6 },
		{ "checksum to beyond", false, 1008, 0xfff0 },
		{ "not IP", false, 12, 0x09 },
		{ "version", false, 14, 0x65 },
		{ "short IP header", false, 14, 0x44 },
		{ "long IP header", false, 14, 0x4f },
		{ "a fragment", false, 20, 0x20 },
		{ "not TCP", false, 23, 17 },
		{ "version 6", true, 14, 0x40 },
		{ "an extension that hides all", true, 20, 44 },
		{ "an extension without end", true, 20, 0 },
		{ "short TCP header", false, 46, 0x40 },
		{ "nothing behind the headers", false, 2000, 54 },
		{ "too long", false, 2000, NET_FRAME_MAX + 1 },
		{ "too short", false, 2000, 13 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct virtio_net_hdr_v1 h;
		uint8_t p[256];
		size_t len = 30000;
		uint16_t v = (uint16_t)rows[i].value;

		tcp_frame(p, rows[i].is_6, &h);
		if (rows[i].at == 2000)
			len = rows[i].value;
		else if (rows[i].at >= 1000)
			memcpy((uint8_t *)&h + rows[i].at - 1000, &v, rows[i].at < 1002 ? 1 : 2);
		else if (rows[i].at < sizeof(p))
			p[rows[i].at] = (uint8_t)v;
		if (net_header_check(&h, p, MIN(sizeof(p), len), len, ALL) != -EINVAL)
			TAP_FAIL("%s", rows[i].what);
	}
	/* and nothing that was not negotiated */
	for (int is_6 = 0; is_6 < 2; is_6++) {
		struct virtio_net_hdr_v1 h;
		uint8_t p[256];

		tcp_frame(p, is_6, &h);
		is_int(net_header_check(&h, p, sizeof(p), 30000, BIT(VIRTIO_NET_F_CSUM)), -EINVAL);
		tcp_frame(p, is_6, &h);
		is_int(net_header_check(&h, p, sizeof(p), 30000, ALL & ~BIT(VIRTIO_NET_F_CSUM)), -EINVAL);
	}
}

TEST(every_cut_of_a_segment_s_headers_is_refused)
{
	for (int is_6 = 0; is_6 < 2; is_6++)
		for (size_t n = 0; n < 74; n++) {
			struct virtio_net_hdr_v1 h;
			uint8_t p[256];
			size_t end = tcp_frame(p, is_6, &h);
			_cleanup_free_ uint8_t *exact = malloc(n ? n : 1);

			ok(exact);
			memcpy(exact, p, n);
			is_int(net_header_check(&h, exact, n, 30000, ALL), n < end ? -EINVAL : 0);
		}
}

TEST(a_plain_frame_loses_what_its_header_has_no_business_to_say)
{
	struct virtio_net_hdr_v1 h = { .flags = 0xff & ~VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .hdr_len = 9,
				       .gso_size = 7,
				       .csum_start = 5,
				       .csum_offset = 6,
				       .num_buffers = 3 };
	const struct virtio_net_hdr_v1 zero = { 0 };

	is_int(net_header_check(&h, NULL, 0, 60, 0), 0);
	ok(memcmp(&h, &zero, sizeof(h)) == 0);
	h = (struct virtio_net_hdr_v1){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6 };
	is_int(net_header_check(&h, NULL, 0, 42, ALL), 0);
	is_int(net_header_check(&h, NULL, 0, 41, ALL), -EINVAL);
	is_int(net_header_check(&h, NULL, 0, 42, 0), -EINVAL);
	h.csum_start = 13;
	is_int(net_header_check(&h, NULL, 0, 42, ALL), -EINVAL);
}

/* ---- frames ---- */

struct rig {
	struct fake f;
	struct vmm_tap_plan taps[2];
	struct vmm_net_plan plan;
	int wire[2]; /* our ends */
	struct net *n;
};

static void rig_init(struct rig *r, unsigned pairs, uint64_t features, bool has_workers)
{
	struct err e = { 0 };

	r->plan.taps = r->taps;
	r->plan.n_taps = pairs;
	for (unsigned i = 0; i < pairs; i++) {
		int s[2];

		is_int(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
		r->taps[i].fd = s[0];
		r->wire[i] = s[1];
		is_int(fd_nonblock(s[1], true), 0);
	}
	fake_init(&r->f);
	if (virtio_net_new(&r->plan, &r->f.d, &e) < 0)
		TAP_FAIL("%s", e.msg);
	r->n = container_of(r->f.d, struct net, d);
	is_int(fake_start(&r->f, features, has_workers), 0);
}

static void rig_done(struct rig *r)
{
	fake_done(&r->f);
	for (unsigned i = 0; i < r->plan.n_taps; i++) {
		close(r->taps[i].fd);
		close(r->wire[i]);
	}
}

/* A header of zeroes and n bytes that tell where they are. */
static void pattern(uint8_t *p, size_t n, unsigned seed)
{
	memset(p, 0, NET_HEADER);
	for (size_t i = NET_HEADER; i < NET_HEADER + n; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) + seed);
}

TEST(a_frame_leaves_as_it_lies_in_the_guest_s_memory)
{
	struct rig r = { 0 };
	uint8_t frame[NET_HEADER + 1000], got[2000];

	rig_init(&r, 1, ALL, false);
	pattern(frame, 1000, 1);
	fake_offer_out(&r.f, 1, FAKE_DATA, frame, sizeof(frame));
	/* in pieces, the header too */
	memcpy(fake_at(&r.f, FAKE_DATA + 0x10000, 5), frame, 5);
	memcpy(fake_at(&r.f, FAKE_DATA + 0x11000, 500), frame + 5, 500);
	memcpy(fake_at(&r.f, FAKE_DATA + 0x12000, 507), frame + 505, 507);
	fake_offer(
		&r.f, 1,
		(struct fake_buffer[]){ { FAKE_DATA + 0x10000, 5 }, { FAKE_DATA + 0x11000, 500 }, { FAKE_DATA + 0x12000, 507 } },
		3, 0);
	ok(!net_transmit(&r.n->pairs[0]));
	for (int i = 0; i < 2; i++) {
		is_int(read(r.wire[0], got, sizeof(got)), sizeof(frame));
		ok(memcmp(got, frame, sizeof(frame)) == 0);
	}
	is_int(fake_used_idx(&r.f, 1), 2);
	is_int(fake_used(&r.f, 1)->ring[0].len, 0);
	rig_done(&r);
}

TEST(a_segment_to_be_cut_is_sent_with_the_headers_that_were_checked)
{
	struct rig r = { 0 };
	struct virtio_net_hdr_v1 h;
	uint8_t frame[NET_HEADER + 3000] = { 0 }, got[4000];

	rig_init(&r, 1, ALL, false);
	tcp_frame(frame + NET_HEADER, false, &h);
	memcpy(frame, &h, sizeof(h));
	fake_offer_out(&r.f, 1, FAKE_DATA, frame, sizeof(frame));
	h.gso_size = 1;
	memcpy(frame, &h, sizeof(h));
	fake_offer_out(&r.f, 1, FAKE_DATA + 0x10000, frame, sizeof(frame)); /* dropped */
	fake_offer_out(&r.f, 1, FAKE_DATA + 0x20000, frame, NET_HEADER + 13);
	fake_offer_out(&r.f, 1, FAKE_DATA + 0x30000, frame, 3);
	net_transmit(&r.n->pairs[0]);
	is_int(read(r.wire[0], got, sizeof(got)), sizeof(frame));
	memcpy(&h, got, sizeof(h));
	is_int(h.hdr_len, 54);
	ok(memcmp(got + NET_HEADER, frame + NET_HEADER, 3000) == 0);
	is_int(read(r.wire[0], got, sizeof(got)), -1);
	is_int(fake_used_idx(&r.f, 1), 4);
	is_int(r.n->pairs[0].dropped_tx, 3);
	rig_done(&r);
}

TEST(a_frame_fills_as_many_buffers_as_it_needs_and_all_are_seen_at_once)
{
	struct rig r = { 0 };
	uint8_t frame[NET_HEADER + 40000], back[sizeof(frame)];
	struct virtio_net_hdr_v1 h;

	rig_init(&r, 1, ALL, false);
	for (unsigned i = 0; i < 100; i++)
		fake_offer_in(&r.f, 0, FAKE_DATA + i * 0x1000, 1536);
	pattern(frame, 40000, 3);
	is_int(write(r.wire[0], frame, NET_HEADER + 100), NET_HEADER + 100);
	is_int(write(r.wire[0], frame, sizeof(frame)), sizeof(frame));
	ok(!net_receive(&r.n->pairs[0]));
	ok(r.n->pairs[0].wants_in);
	is_int(fake_used_idx(&r.f, 0), 1 + 27);
	is_int(fake_used(&r.f, 0)->ring[0].len, NET_HEADER + 100);
	for (size_t i = 0, at = 0; i < 27; i++) {
		uint32_t n = fake_used(&r.f, 0)->ring[1 + i].len;

		is_int(fake_used(&r.f, 0)->ring[1 + i].id, 1 + i);
		memcpy(back + at, fake_at(&r.f, FAKE_DATA + (1 + i) * 0x1000, n), n);
		at += n;
		is_int(n, i < 26 ? 1536 : sizeof(frame) - 26ull * 1536);
	}
	memcpy(&h, back, sizeof(h));
	is_int(h.num_buffers, 27);
	ok(memcmp(back + NET_HEADER, frame + NET_HEADER, 40000) == 0);
	rig_done(&r);
}

TEST(a_frame_without_room_waits_and_buffers_in_hand_are_given_back)
{
	struct rig r = { 0 };
	uint8_t frame[NET_HEADER + 1000];
	struct net_pair *p;

	rig_init(&r, 1, ALL, false);
	p = &r.n->pairs[0];
	pattern(frame, 1000, 3);
	is_int(write(r.wire[0], frame, sizeof(frame)), sizeof(frame));
	for (unsigned i = 0; i < 10; i++)
		fake_offer_in(&r.f, 0, FAKE_DATA + i * 0x1000, 1536);
	net_receive(p); /* a longer one might come */
	is_int(fake_used_idx(&r.f, 0), 0);
	ok(!p->wants_in);
	is_int(p->n, 10);
	net_give_back(p);
	is_int(r.f.d->queues[0].s.next_avail, 0);
	for (unsigned i = 10; i < 50; i++)
		fake_offer_in(&r.f, 0, FAKE_DATA + i * 0x1000, 1536);
	net_receive(p);
	is_int(fake_used_idx(&r.f, 0), 1);
	is_int(fake_used(&r.f, 0)->ring[0].id, 0);
	rig_done(&r);
}

TEST(a_driver_whose_whole_ring_is_small_still_gets_small_frames_and_too_long_ones_are_dropped)
{
	struct rig r = { 0 };
	uint8_t frame[NET_HEADER + 3000];
	struct net_pair *p;

	rig_init(&r, 1, ALL, false);
	p = &r.n->pairs[0];
	for (unsigned i = 0; i < 256; i++)
		fake_offer_in(&r.f, 0, FAKE_DATA + i * 64, 16); /* 16 bytes each: 128 in hand are 2048 */
	pattern(frame, 3000, 3);
	is_int(write(r.wire[0], frame, NET_HEADER + 1000), NET_HEADER + 1000);
	is_int(write(r.wire[0], frame, NET_HEADER + 3000), NET_HEADER + 3000);
	is_int(write(r.wire[0], frame, 7), 7);
	is_int(write(r.wire[0], frame, NET_HEADER + 14), NET_HEADER + 14);
	net_receive(p);
	is_int(fake_used_idx(&r.f, 0), 64 + 2); /* 1012 and 26 bytes */
	is_int(p->dropped_rx, 2);
	rig_done(&r);
}

TEST(without_merging_a_frame_is_in_one_buffer)
{
	struct rig r = { 0 };
	uint8_t frame[NET_HEADER + 3000];
	struct virtio_net_hdr_v1 h;

	rig_init(&r, 1, 0, false);
	fake_offer(&r.f, 0, (struct fake_buffer[]){ { FAKE_DATA, 12 }, { FAKE_DATA + 4096, 1514 } }, 0, 2);
	fake_offer_in(&r.f, 0, FAKE_DATA + 8192, 1526);
	pattern(frame, 3000, 9);
	is_int(write(r.wire[0], frame, sizeof(frame)), sizeof(frame));
	is_int(write(r.wire[0], frame, NET_HEADER + 1514), NET_HEADER + 1514);
	net_receive(&r.n->pairs[0]);
	is_int(fake_used_idx(&r.f, 0), 1);
	is_int(fake_used(&r.f, 0)->ring[0].len, NET_HEADER + 1514);
	memcpy(&h, fake_at(&r.f, FAKE_DATA, 12), sizeof(h));
	is_int(h.num_buffers, 1);
	ok(memcmp(fake_at(&r.f, FAKE_DATA + 4096, 1514), frame + NET_HEADER, 1514) == 0);
	is_int(r.n->pairs[0].dropped_rx, 1);
	rig_done(&r);
}

TEST(V01_a_receive_buffer_that_can_not_be_written_breaks_its_queue_alone)
{
	struct rig r = { 0 };
	uint8_t frame[NET_HEADER + 60];

	rig_init(&r, 1, ALL, false);
	pattern(frame, 60, 1);
	fake_offer_out(&r.f, 0, FAKE_DATA, frame, sizeof(frame));
	ok(!net_receive(&r.n->pairs[0]));
	ok(r.f.d->queues[0].s.is_broken);
	ok(!net_receive(&r.n->pairs[0]));
	fake_offer_out(&r.f, 1, FAKE_DATA, frame, sizeof(frame));
	net_transmit(&r.n->pairs[0]);
	is_int(fake_used_idx(&r.f, 1), 1);
	rig_done(&r);
}

TEST(a_rate_holds_frames_back_in_the_guest_and_in_the_tap)
{
	struct rig r = { .plan = { .to_guest = { 1000, 65550 }, .from_guest = { 1000, 65550 } } };
	_cleanup_free_ uint8_t *frame = malloc(NET_HEADER + 60000);
	struct net_pair *p;

	ok(frame);
	rig_init(&r, 1, ALL, false);
	p = &r.n->pairs[0];
	pattern(frame, 60000, 1);
	for (unsigned i = 0; i < 3; i++) { /* the burst is 65550 */
		fake_offer_out(&r.f, 1, FAKE_DATA, frame, NET_HEADER + 60000);
		is_int(write(r.wire[0], frame, NET_HEADER + 60000), NET_HEADER + 60000);
		fake_offer_in(&r.f, 0, FAKE_DATA + 0x100000 + i * 0x20000, 0x20000);
	}
	net_transmit(p);
	is_int(fake_used_idx(&r.f, 1), 2);
	ok(p->wait_ms > 0);
	net_receive(p);
	is_int(fake_used_idx(&r.f, 0), 2);
	ok(p->wait_ms > 0 && !p->wants_in);
	rig_done(&r);
}

/* ---- workers, control ---- */

static void wait_used(struct rig *r, unsigned q, uint16_t idx)
{
	for (int i = 0; i < 30000 && fake_used_idx(&r->f, q) != idx; i++)
		usleep(1000);
	is_int(fake_used_idx(&r->f, q), idx);
}

static uint8_t control(struct rig *r, unsigned q, const void *p, uint32_t n)
{
	uint16_t idx = fake_used_idx(&r->f, q);
	uint8_t *ack = fake_at(&r->f, FAKE_DATA + 0x5000, 1);

	*ack = 0xee;
	memcpy(fake_at(&r->f, FAKE_DATA + 0x4000, n), p, n);
	fake_offer(&r->f, q, (struct fake_buffer[]){ { FAKE_DATA + 0x4000, n }, { FAKE_DATA + 0x5000, 1 } }, 1, 1);
	virtio_kick_self(&r->f.d->queues[q]);
	fake_turn(&r->f, 5);
	is_int(fake_used_idx(&r->f, q), (uint16_t)(idx + 1));
	return *ack;
}

TEST(workers_move_frames_of_the_pairs_that_the_driver_uses)
{
	struct rig r = { 0 };
	uint8_t frame[NET_HEADER + 1000], got[2000];
	static const uint8_t two[] = { VIRTIO_NET_CTRL_MQ, 0, 2, 0 }, one[] = { VIRTIO_NET_CTRL_MQ, 0, 1, 0 };

	rig_init(&r, 2, ALL & ~(BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6)), true);
	pattern(frame, 1000, 1);
	for (unsigned q = 0; q < 4; q += 2)
		for (unsigned i = 0; i < 8; i++)
			fake_offer_in(&r.f, q, FAKE_DATA + 0x100000 * q + i * 0x1000, 2048);
	for (unsigned i = 0; i < 2; i++)
		is_int(write(r.wire[i], frame, sizeof(frame)), sizeof(frame));
	virtio_kick_self(&r.f.d->queues[0]);
	virtio_kick_self(&r.f.d->queues[2]);
	wait_used(&r, 0, 1);
	is_int(fake_used_idx(&r.f, 2), 0);
	is_int(control(&r, 4, two, sizeof(two)), VIRTIO_NET_OK);
	wait_used(&r, 2, 1);
	fake_offer_out(&r.f, 3, FAKE_DATA + 0x80000, frame, sizeof(frame));
	virtio_kick_self(&r.f.d->queues[3]);
	wait_used(&r, 3, 1);
	is_int(read(r.wire[1], got, sizeof(got)), sizeof(frame));
	is_int(control(&r, 4, one, sizeof(one)), VIRTIO_NET_OK);
	ok(!r.n->pairs[1].is_running);
	is_int(r.f.d->queues[2].s.next_avail, 1); /* what was in hand is given back */
	rig_done(&r);
}

TEST(control_refuses_what_was_not_negotiated_and_what_can_not_be)
{
	static const struct {
		uint8_t p[10];
		uint32_t n;
		uint8_t ack;
	} rows[] = {
		{ { VIRTIO_NET_CTRL_MQ, 0, 0, 0 }, 4, VIRTIO_NET_ERR },
		{ { VIRTIO_NET_CTRL_MQ, 0, 3, 0 }, 4, VIRTIO_NET_ERR },
		{ { VIRTIO_NET_CTRL_MQ, 0, 2 }, 3, VIRTIO_NET_ERR },
		{ { VIRTIO_NET_CTRL_MQ, 1, 2, 0 }, 4, VIRTIO_NET_ERR },
		{ { VIRTIO_NET_CTRL_MAC, 1, 2, 0, 0, 0, 0, 0 }, 8, VIRTIO_NET_ERR },
		{ { VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, 2, 0, 0, 0, 0, 0, 0, 0 }, 10, VIRTIO_NET_OK },
		{ { VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, 2, 0, 0, 0, 0, 0, 0, 1 }, 10, VIRTIO_NET_ERR },
		{ { VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, 2 }, 3, VIRTIO_NET_ERR },
		{ { 0xff }, 1, VIRTIO_NET_ERR },
		{ { VIRTIO_NET_CTRL_MQ, 0, 2, 0 }, 4, VIRTIO_NET_OK },
	};
	struct rig r = { 0 };

	rig_init(&r, 2, ALL, true);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (control(&r, 4, rows[i].p, rows[i].n) != rows[i].ack)
			TAP_FAIL("row %zu", i);
	is_int(r.n->s.offloads, BIT(VIRTIO_NET_F_GUEST_CSUM));
	rig_done(&r);
	rig_init(&r, 2, ALL & ~BIT(VIRTIO_NET_F_MQ), true); /* then there is one pair, and control is queue 2 */
	is_int(control(&r, 2, rows[9].p, 4), VIRTIO_NET_ERR);
	rig_done(&r);
}

TEST(V07_workers_stop_and_start_with_frames_in_flight_and_lose_none)
{
	struct rig r = { 0 };
	uint8_t frame[NET_HEADER + 200], got[2000];
	uint16_t sent = 0, read_back = 0;

	rig_init(&r, 1, ALL, true);
	pattern(frame, 200, 1);
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < 8; i++, sent++)
			fake_offer_out(&r.f, 1, FAKE_DATA + i * 0x1000, frame, sizeof(frame));
		virtio_kick_self(&r.f.d->queues[1]);
		r.f.d->ops->quiesce(r.f.d);
		r.f.d->ops->resume(r.f.d);
		for (unsigned i = 0; i < 8;) {
			struct pollfd p = { .fd = r.wire[0], .events = POLLIN };

			is_int(poll(&p, 1, 30000), 1);
			is_int(read(r.wire[0], got, sizeof(got)), sizeof(frame));
			i++;
			read_back++;
		}
		wait_used(&r, 1, sent); /* before its memory is used again */
	}
	is_int(read_back, sent);
	rig_done(&r);
}

TEST(net_saves_and_loads_and_refuses_nonsense)
{
	struct rig r = { 0 };
	struct net_state s, bad;
	static const struct net_state rows[] = {
		{ 0, 1, 0 }, { 3, 1, 0 }, { 1, 2, 0 }, { 1, 1, BIT(VIRTIO_NET_F_MAC) }, { 1, 1, UINT64_MAX }
	};

	rig_init(&r, 2, ALL, false);
	is_int(sizeof(s), r.f.d->ops->state_bytes);
	is_int(r.f.d->ops->save(r.f.d, &s, NULL), 0);
	is_int(s.pairs, 1);
	s.pairs = 2;
	is_int(r.f.d->ops->load(r.f.d, &s, NULL), 0);
	is_int(r.n->s.pairs, 2);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bad = rows[i];
		is_int(r.f.d->ops->load(r.f.d, &bad, NULL), -EBADMSG);
	}
	rig_done(&r);
}

TEST(what_is_no_tap_is_refused)
{
	struct vmm_tap_plan tap = { .fd = open("/dev/null", O_RDWR | O_CLOEXEC) };
	struct vmm_net_plan plan = { .taps = &tap, .n_taps = 1 };
	struct virtio_device *d;
	struct err e = { 0 };

	is_int(virtio_net_new(&plan, &d, &e), -EINVAL);
	has_str(e.msg, "not a tap");
	close(tap.fd);
	tap.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	is_int(virtio_net_new(&plan, &d, &e), -EINVAL);
	has_str(e.msg, "messages apart");
	close(tap.fd);
}

/* ---- a real tap ---- */

static int open_tap(const char *name, short flags)
{
	struct ifreq ifr = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		skip("no /dev/net/tun here");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	is_int(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

static void bring_up(const char *name)
{
	_cleanup_fd_ int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_flags = IFF_UP };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	is_int(ioctl(s, SIOCSIFFLAGS, &ifr), 0);
}

TEST(a_real_tap_takes_offloads_and_queues_and_frames)
{
	struct fake f;
	struct vmm_tap_plan taps[2];
	struct vmm_net_plan plan = { .taps = taps, .n_taps = 2, .mac = { 2, 0, 0, 0, 0, 1 } };
	struct net *n;
	struct err e = { 0 };
	struct ifreq ifr = { 0 };

	if (unshare(CLONE_NEWNET) < 0)
		skip("no network namespace of our own");
	taps[0].fd = open_tap("t0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
	taps[1].fd = open_tap("t0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
	bring_up("t0");
	fake_init(&f);
	if (virtio_net_new(&plan, &f.d, &e) < 0)
		TAP_FAIL("%s", e.msg);
	n = container_of(f.d, struct net, d);
	is_int(fake_start(&f, ALL, false), 0);
	is_int(ioctl(taps[1].fd, TUNGETIFF, &ifr) < 0 || ifr.ifr_flags & IFF_DETACH_QUEUE, 1); /* not in use: taken out */
	/* a packet of the host's own making arrives: IPv6 announces itself on a link that comes up, or we send one */
	uint8_t frame[NET_HEADER + 60] = { 0 };
	memset(frame + NET_HEADER, 0xff, 6);
	frame[NET_HEADER + 6] = 2;
	frame[NET_HEADER + 12] = 0x88;
	frame[NET_HEADER + 13] = 0xb5; /* for experiments */
	int raw = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x88b5));
	ok(raw >= 0);
	fake_offer_out(&f, 1, FAKE_DATA, frame, sizeof(frame));
	net_transmit(&n->pairs[0]);
	is_int(n->pairs[0].dropped_tx, 0);
	uint8_t got[2000];
	struct pollfd p = { .fd = raw, .events = POLLIN };
	is_int(poll(&p, 1, 30000), 1);
	is_int(read(raw, got, sizeof(got)), 60);
	ok(memcmp(got, frame + NET_HEADER, 60) == 0);
	struct {
		uint8_t b[4];
	} set = { { VIRTIO_NET_CTRL_MQ, 0, 2, 0 } };
	memcpy(fake_at(&f, FAKE_DATA + 0x4000, 4), &set, 4);
	fake_offer(&f, 4, (struct fake_buffer[]){ { FAKE_DATA + 0x4000, 4 }, { FAKE_DATA + 0x5000, 1 } }, 1, 1);
	virtio_kick_self(&f.d->queues[4]);
	fake_turn(&f, 5);
	is_int(*(uint8_t *)fake_at(&f, FAKE_DATA + 0x5000, 1), VIRTIO_NET_OK);
	ok(n->pairs[1].is_attached);
	f.d->ops->reset(f.d);
	ok(!n->pairs[1].is_attached);
	f.d->is_active = false;
	close(raw);
	fake_done(&f);
	close(taps[0].fd);
	close(taps[1].fd);
}

TEST(taps_that_are_made_otherwise_are_refused_with_the_reason)
{
	static const struct {
		short flags;
		const char *second, *says;
	} rows[] = {
		{ IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, NULL, "IFF_TAP" },
		{ IFF_TAP | IFF_NO_PI, NULL, "IFF_VNET_HDR" },
		{ IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, "t1", "IFF_MULTI_QUEUE" },
		{ IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, "t1", "one device" },
	};

	if (unshare(CLONE_NEWNET) < 0)
		skip("no network namespace of our own");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmm_tap_plan taps[2] = { { open_tap("t0", rows[i].flags) }, { -1 } };
		struct vmm_net_plan plan = { .taps = taps, .n_taps = 1 };
		struct virtio_device *d;
		struct err e = { 0 };

		if (rows[i].second)
			taps[plan.n_taps++].fd = open_tap(rows[i].second, rows[i].flags);
		if (virtio_net_new(&plan, &d, &e) != -EINVAL)
			TAP_FAIL("row %zu: %s", i, e.msg);
		has_str(e.msg, rows[i].says);
		fd_close(taps[0].fd);
		fd_close(taps[1].fd);
	}
}

TAP_MAIN()
