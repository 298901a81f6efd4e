/* The socket device: packets that no driver sends, full tables, and a guest that was restored. */
#include "vsock_rig.h"

/* ---- V09 ---- */

TEST(V09_forged_and_broken_packets_are_answered_with_RST_to_the_guest_itself)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r), s = connect_guest(&r, listener);
	struct virtio_vsock_hdr rows[] = {
		packet(VIRTIO_VSOCK_OP_RW, 52),
		packet(VIRTIO_VSOCK_OP_REQUEST, 52),
		packet(VIRTIO_VSOCK_OP_REQUEST, 52),
		packet(VIRTIO_VSOCK_OP_REQUEST, 52),
		packet(VIRTIO_VSOCK_OP_RW, 54),
		packet(VIRTIO_VSOCK_OP_RESPONSE, 54),
		packet(99, 54),
	};

	rows[0].src_cid = 43; /* another guest's data */
	rows[1].src_cid = 1ull << 32 | CID;
	rows[2].dst_cid = 1;
	rows[3].type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	rows[4].len = 1 << 30; /* which is not there */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct virtio_vsock_hdr h;

		send_with(&r, rows[i], "x", 1);
		h = next_packet(&r);
		is_int(h.op, VIRTIO_VSOCK_OP_RST);
		is_int(h.dst_cid, CID);
		is_int(h.dst_port, PORT);
	}
	send_op(&r, VIRTIO_VSOCK_OP_RST, 54); /* never an answer to an answer */
	ok(is_silent(&r));
	ok(vsock_conn_find(r.v, 52, PORT)); /* unharmed */
	char c;
	is_int(read(s, &c, 1), -1);
	/* what an open connection's guest may not say ends it */
	send_op(&r, VIRTIO_VSOCK_OP_REQUEST, 52);
	next_is(&r, VIRTIO_VSOCK_OP_RST, 52);
	is_int(r.v->n_used, 0);
	close(s);
	close(listener);
	rig_done(&r);
}

TEST(V09_a_hundred_thousand_connections_take_the_table_s_places_and_no_more)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r);
	unsigned accepted = 0, refused = 0, n = 100000;
	struct virtio_vsock_hdr h = packet(VIRTIO_VSOCK_OP_REQUEST, 52);

	for (unsigned i = 0; i < n; i++) {
		h.src_port = i;
		memcpy(fake_at(&r.f, FAKE_DATA + 0x280000, sizeof(h)), &h, sizeof(h));
		fake_offer(&r.f, VSOCK_TX, &(struct fake_buffer){ FAKE_DATA + 0x280000, sizeof(h) }, 1, 0);
		r.f.d->ops->kick(r.f.d, VSOCK_TX);
		if (i < 64) /* the listener's own queue */
			close(accept(listener, NULL, NULL));
		while (fake_used_idx(&r.f, VSOCK_RX) != r.seen) {
			struct virtio_vsock_hdr a = next_packet(&r);

			give(&r, 1);
			accepted += a.op == VIRTIO_VSOCK_OP_RESPONSE;
			refused += a.op == VIRTIO_VSOCK_OP_RST;
		}
		ok(r.v->n_used <= VSOCK_CONNS_GUEST);
	}
	is_int(accepted + refused, n);
	ok(accepted >= 64 && accepted <= VSOCK_CONNS_GUEST);
	close(listener);
	rig_done(&r);
}

TEST(a_full_table_makes_the_host_wait_not_fail)
{
	struct rig r = { .plan = { .dir_fd = -1 } };
	_Alignas(8) char name[32];
	int s[VSOCK_CONNS + 1];
	struct virtio_vsock_hdr h;

	r.plan.listen_fd = listen_abstract(name);
	rig_init(&r);
	for (unsigned i = 0; i <= VSOCK_CONNS; i++)
		s[i] = dial(name);
	for (int i = 0; i < 100 && r.v->n_used < VSOCK_CONNS; i++)
		fake_turn(&r.f, 1);
	is_int(r.v->n_used, VSOCK_CONNS);
	ok(!r.v->listener);
	say(s[VSOCK_CONNS], "CONNECT 1000\n");
	ok(is_silent(&r));
	close(s[0]);
	h = next_packet(&r);
	is_int(h.op, VIRTIO_VSOCK_OP_REQUEST);
	rig_done(&r);
	for (unsigned i = 1; i <= VSOCK_CONNS; i++)
		close(s[i]);
	close(r.plan.listen_fd);
}

/* ---- snapshots ---- */

TEST(a_restored_guest_is_told_that_its_connections_are_gone_and_reads_its_new_cid)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r);
	struct vsock_saved s, bad = { 2 };
	struct virtio_vsock_event ev = { 77 };
	uint64_t cid = 0;

	is_int(r.f.d->ops->save(r.f.d, &s, NULL), 0);
	is_int(s.guest_cid, CID);
	s.guest_cid = 99; /* of another VM */
	memset(r.f.d->config, 0xff, 8);
	is_int(r.f.d->ops->load(r.f.d, &s, NULL), 0);
	memcpy(&cid, r.f.d->config, 8);
	is_int(cid, CID);
	is_int(r.f.d->ops->load(r.f.d, &bad, NULL), -EBADMSG);
	kick(&r, VSOCK_EVENT);
	memcpy(fake_at(&r.f, FAKE_DATA + 0x300000, sizeof(ev)), &ev, sizeof(ev));
	fake_offer_in(&r.f, VSOCK_EVENT, FAKE_DATA + 0x300000, sizeof(ev));
	kick(&r, VSOCK_EVENT);
	is_int(fake_used_idx(&r.f, VSOCK_EVENT), 1);
	memcpy(&ev, fake_at(&r.f, FAKE_DATA + 0x300000, sizeof(ev)), sizeof(ev));
	is_int(ev.id, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
	fake_offer_in(&r.f, VSOCK_EVENT, FAKE_DATA + 0x300000, sizeof(ev));
	kick(&r, VSOCK_EVENT); /* once */
	is_int(fake_used_idx(&r.f, VSOCK_EVENT), 1);
	close(listener);
	rig_done(&r);
}

TEST(V01_receive_buffers_that_can_hold_nothing_break_the_queue)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r), s = connect_guest(&r, listener);

	for (unsigned i = 0; i < 63; i++) /* use up the good ones */
		send_op(&r, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 52);
	fake_offer_in(&r.f, VSOCK_RX, FAKE_DATA, VSOCK_HEADER);
	say(s, "x");
	fake_turn(&r.f, 5);
	ok(r.f.d->queues[VSOCK_RX].s.is_broken);
	kick(&r, VSOCK_RX);
	close(s);
	close(listener);
	rig_done(&r);
}

TEST(what_is_no_stream_socket_is_refused)
{
	struct rig r = { .plan = { .dir_fd = -1, .listen_fd = open("/dev/null", O_RDWR | O_CLOEXEC) } };
	struct err e = { 0 };

	is_int(virtio_vsock_new(&r.plan, &r.f.d, &e), -EINVAL);
	has_str(e.msg, "listening");
	r.stream.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r.plan.listen_fd = -1;
	r.plan.streams = &r.stream;
	r.plan.n_streams = 1;
	is_int(virtio_vsock_new(&r.plan, &r.f.d, &e), -EINVAL);
	has_str(e.msg, "connected");
}

TAP_MAIN()
