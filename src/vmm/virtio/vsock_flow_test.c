/* The socket device: credit, and half-closed ends. */
#include "vsock_rig.h"

/* ---- credit ---- */

TEST(what_the_host_does_not_take_is_held_within_the_credit_and_more_is_a_breach)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r), s = connect_guest(&r, listener), n = 1;
	static char chunk[32768], back[65536];
	struct vsock_conn *c = vsock_conn_find(r.v, 52, PORT);
	uint64_t sent = 0, got = 0;
	struct virtio_vsock_hdr h;

	is_int(setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n)), 0);
	while (c->received - c->forwarded + sizeof(chunk) <= VSOCK_BUFFER) {
		for (size_t i = 0; i < sizeof(chunk); i++)
			chunk[i] = (char)((sent + i) * 31 >> 3);
		send_with(&r, packet(VIRTIO_VSOCK_OP_RW, 52), chunk, sizeof(chunk));
		sent += sizeof(chunk);
		ok(c->out.len <= VSOCK_BUFFER);
	}
	ok(c->out.len > 0);
	while (got < sent) {
		ssize_t k = read(s, back, sizeof(back));

		for (ssize_t i = 0; i < k; i++)
			if (back[i] != (char)((got + (uint64_t)i) * 31 >> 3))
				TAP_FAIL("byte %llu", (unsigned long long)(got + (uint64_t)i));
		got += k > 0 ? (uint64_t)k : 0;
		fake_turn(&r.f, 1);
	}
	is_int(c->out.len, 0);
	do /* and the guest was told that it has room again */
		h = next_packet(&r);
	while (h.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE && sent - h.fwd_cnt >= VSOCK_BUFFER / 2);
	is_int(h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	while (vsock_conn_find(r.v, 52, PORT) && sent < 100 << 20) { /* no regard for credit */
		send_with(&r, packet(VIRTIO_VSOCK_OP_RW, 52), chunk, sizeof(chunk));
		sent += sizeof(chunk);
	}
	do
		h = next_packet(&r);
	while (h.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	is_int(h.op, VIRTIO_VSOCK_OP_RST);
	is_int(r.v->n_used, 0);
	close(s);
	close(listener);
	rig_done(&r);
}

TEST(the_guest_is_sent_no_more_than_it_has_room_for)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r), s;
	struct virtio_vsock_hdr h = packet(VIRTIO_VSOCK_OP_REQUEST, 52);

	h.buf_alloc = 10;
	send_with(&r, h, NULL, 0);
	s = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	next_is(&r, VIRTIO_VSOCK_OP_RESPONSE, 52);
	say(s, "0123456789abcdef");
	h = next_packet(&r);
	is_int(h.op, VIRTIO_VSOCK_OP_RW);
	is_int(h.len, 10);
	next_is(&r, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 52);
	ok(is_silent(&r));
	h = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 52);
	h.buf_alloc = 10;
	h.fwd_cnt = 4;
	send_with(&r, h, NULL, 0);
	h = next_packet(&r);
	is_int(h.len, 4);
	ok(memcmp(r.data, "abcd", 4) == 0);
	h = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 52);
	h.fwd_cnt = 0x80000000; /* of bytes that were never sent: no credit, no harm */
	send_with(&r, h, NULL, 0);
	next_is(&r, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 52);
	ok(is_silent(&r));
	close(s);
	close(listener);
	rig_done(&r);
}

TEST(without_receive_buffers_data_and_answers_wait_and_none_is_lost)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r), s = connect_guest(&r, listener);
	static char bulk[10000];
	unsigned resets = 0, bytes = 0, written = 0;

	for (int i = 0; i < 100 && !r.v->is_starved; i++) {
		ssize_t n = write(s, bulk, sizeof(bulk));

		written += n > 0 ? (unsigned)n : 0;
		fake_turn(&r.f, 1);
	}
	ok(r.v->is_starved);
	for (unsigned i = 0; i < 200; i++) { /* 200 answers, of which 64 have a place; the other packets wait in the ring */
		struct virtio_vsock_hdr h = packet(VIRTIO_VSOCK_OP_RW, 999);

		memcpy(fake_at(&r.f, FAKE_DATA + 0x280000, sizeof(h)), &h, sizeof(h));
		fake_offer(&r.f, VSOCK_TX, &(struct fake_buffer){ FAKE_DATA + 0x280000, sizeof(h) }, 1, 0);
	}
	kick(&r, VSOCK_TX);
	is_int(r.v->n_resets, VSOCK_RESETS);
	ok(fake_used_idx(&r.f, VSOCK_TX) < 80);
	for (int i = 0; i < 1000 && resets < 200; i++) {
		give(&r, 8);
		for (int k = 0; k < 3; k++) { /* as the loop would */
			kick(&r, VSOCK_RX);
			kick(&r, VSOCK_TX);
		}
		while (fake_used_idx(&r.f, VSOCK_RX) != r.seen) {
			struct virtio_vsock_hdr h = next_packet(&r);

			resets += h.op == VIRTIO_VSOCK_OP_RST;
			bytes += h.op == VIRTIO_VSOCK_OP_RW ? h.len : 0;
		}
	}
	is_int(resets, 200);
	for (int i = 0; i < 100 && bytes < written; i++) {
		give(&r, 1);
		kick(&r, VSOCK_RX);
		while (fake_used_idx(&r.f, VSOCK_RX) != r.seen)
			bytes += next_packet(&r).len;
	}
	is_int(bytes, written);
	close(s);
	close(listener);
	rig_done(&r);
}

/* ---- ends ---- */

static void send_shutdown(struct rig *r, uint32_t flags)
{
	struct virtio_vsock_hdr h = packet(VIRTIO_VSOCK_OP_SHUTDOWN, 52);

	h.flags = flags;
	send_with(r, h, NULL, 0);
}

TEST(a_guest_that_sends_no_more_still_receives)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r), s = connect_guest(&r, listener);
	char got[16];
	struct virtio_vsock_hdr h;

	send_with(&r, packet(VIRTIO_VSOCK_OP_RW, 52), "last", 4);
	send_shutdown(&r, VIRTIO_VSOCK_SHUTDOWN_SEND);
	is_int(read(s, got, sizeof(got)), 4);
	is_int(read(s, got, sizeof(got)), 0);
	is_int(write(s, "answer", 6), 6);
	is_int(next_packet(&r).len, 6);
	close(s);
	h = next_packet(&r);
	is_int(h.op, VIRTIO_VSOCK_OP_SHUTDOWN);
	is_int(h.flags, VIRTIO_VSOCK_SHUTDOWN_SEND | VIRTIO_VSOCK_SHUTDOWN_RCV);
	send_op(&r, VIRTIO_VSOCK_OP_RST, 52);
	is_int(r.v->n_used, 0);
	close(listener);
	rig_done(&r);
}

TEST(a_host_that_sends_no_more_still_receives_and_its_end_is_told_when_it_comes)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r), s = connect_guest(&r, listener);
	char got[16];
	struct virtio_vsock_hdr h;

	is_int(write(s, "question", 8), 8);
	is_int(shutdown(s, SHUT_WR), 0);
	is_int(next_packet(&r).len, 8);
	h = next_packet(&r);
	is_int(h.op, VIRTIO_VSOCK_OP_SHUTDOWN);
	is_int(h.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	ok(is_silent(&r));
	send_with(&r, packet(VIRTIO_VSOCK_OP_RW, 52), "answer", 6);
	is_int(read(s, got, sizeof(got)), 6);
	close(s);
	h = next_packet(&r);
	is_int(h.op, VIRTIO_VSOCK_OP_SHUTDOWN);
	is_int(h.flags, VIRTIO_VSOCK_SHUTDOWN_SEND | VIRTIO_VSOCK_SHUTDOWN_RCV);
	send_op(&r, VIRTIO_VSOCK_OP_RST, 52);
	is_int(r.v->n_used, 0);
	close(listener);
	rig_done(&r);
}

TEST(bytes_that_the_host_sent_before_it_closed_all_arrive_though_the_guest_sends_on)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r), s = connect_guest(&r, listener);
	struct virtio_vsock_hdr h;
	unsigned bytes = 0;
	static char bulk[100000];

	is_int(write(s, bulk, sizeof(bulk)), sizeof(bulk));
	close(s);
	send_with(&r, packet(VIRTIO_VSOCK_OP_RW, 52), "nobody", 6);
	do {
		h = next_packet(&r);
		bytes += h.op == VIRTIO_VSOCK_OP_RW ? h.len : 0;
		is_int(h.op == VIRTIO_VSOCK_OP_RST, 0);
	} while (h.op != VIRTIO_VSOCK_OP_SHUTDOWN || h.flags != 3);
	is_int(bytes, sizeof(bulk));
	close(listener);
	rig_done(&r);
}

TEST(a_guest_that_closes_gets_its_answer_and_what_it_sent_still_arrives)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r), s = connect_guest(&r, listener), n = 1;
	static char bulk[100000], back[200000];
	struct vsock_conn *c = vsock_conn_find(r.v, 52, PORT);
	size_t got = 0;

	is_int(setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n)), 0);
	send_with(&r, packet(VIRTIO_VSOCK_OP_RW, 52), bulk, sizeof(bulk));
	ok(c->out.len > 0);
	send_shutdown(&r, VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND);
	struct virtio_vsock_hdr h = next_packet(&r);
	while (h.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
		h = next_packet(&r);
	is_int(h.op, VIRTIO_VSOCK_OP_RST);
	ok(!vsock_conn_find(r.v, 52, PORT)); /* its ports are free */
	is_int(r.v->n_used, 1);
	for (ssize_t k = 1; k != 0; fake_turn(&r.f, 1)) {
		k = read(s, back, sizeof(back));
		got += k > 0 ? (size_t)k : 0;
	}
	is_int(got, sizeof(bulk));
	is_int(r.v->n_used, 0);
	close(s);
	close(listener);
	rig_done(&r);
}

TAP_MAIN()
