/* The socket device: connections both ways, and who is refused. */
#include "vsock_rig.h"

TEST(a_guest_connects_by_the_directory_and_bytes_pass_both_ways)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r), s = connect_guest(&r, listener);
	struct virtio_vsock_hdr h;
	char got[16] = "";

	send_with(&r, packet(VIRTIO_VSOCK_OP_RW, 52), "hello", 5);
	is_int(read(s, got, sizeof(got)), 5);
	is_str(got, "hello");
	is_int(write(s, "world!", 6), 6);
	h = next_packet(&r);
	is_int(h.op, VIRTIO_VSOCK_OP_RW);
	is_int(h.len, 6);
	is_int(h.fwd_cnt, 5);
	is_int(h.buf_alloc, VSOCK_BUFFER);
	ok(memcmp(r.data, "world!", 6) == 0);
	send_op(&r, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 52);
	next_is(&r, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 52);
	close(s);
	close(listener);
	rig_done(&r);
}

TEST(a_port_where_nobody_listens_is_refused)
{
	struct rig r = { 0 };
	int listener = rig_init_dir(&r);

	send_op(&r, VIRTIO_VSOCK_OP_REQUEST, 53);
	next_is(&r, VIRTIO_VSOCK_OP_RST, 53);
	close(listener);
	send_op(&r, VIRTIO_VSOCK_OP_REQUEST, 52); /* the file is still there */
	next_is(&r, VIRTIO_VSOCK_OP_RST, 52);
	is_int(r.v->n_used, 0);
	rig_done(&r);
}

TEST(a_stream_of_the_plan_is_given_once_and_stays_the_plan_s)
{
	struct rig r = { 0 };
	int s[2];

	is_int(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	r.stream = (struct vmm_stream_plan){ 7, s[0] };
	r.plan = (struct vmm_vsock_plan){ .listen_fd = -1, .dir_fd = -1, .streams = &r.stream, .n_streams = 1 };
	rig_init(&r);
	send_op(&r, VIRTIO_VSOCK_OP_REQUEST, 7);
	next_is(&r, VIRTIO_VSOCK_OP_RESPONSE, 7);
	is_int(write(s[1], "abc", 3), 3);
	is_int(next_packet(&r).len, 3);
	send_op(&r, VIRTIO_VSOCK_OP_RST, 7);
	char c;
	is_int(read(s[1], &c, 1), 0); /* shut down */
	ok(fcntl(s[0], F_GETFD) >= 0);
	send_op(&r, VIRTIO_VSOCK_OP_REQUEST, 7);
	next_is(&r, VIRTIO_VSOCK_OP_RST, 7);
	rig_done(&r);
}

/* ---- the host connects ---- */

TEST(the_host_connects_with_a_line_and_what_follows_it_is_the_guest_s)
{
	struct rig r = { .plan = { .dir_fd = -1 } };
	_Alignas(8) char name[32];
	char got[32] = "", want[32];
	struct virtio_vsock_hdr h;
	int s;

	r.plan.listen_fd = listen_abstract(name);
	rig_init(&r);
	s = dial(name);
	say(s, "CONN");
	fake_turn(&r.f, 5);
	say(s, "ECT 1000\nearly");
	h = next_packet(&r);
	is_int(h.op, VIRTIO_VSOCK_OP_REQUEST);
	is_int(h.dst_port, PORT);
	is_int(read(s, got, sizeof(got)), -1); /* not before the guest has accepted */
	send_op(&r, VIRTIO_VSOCK_OP_RESPONSE, h.src_port);
	snprintf(want, sizeof(want), "OK %u\n", h.src_port);
	is_int(read(s, got, sizeof(got)), strlen(want));
	is_str(got, want);
	h = next_packet(&r);
	is_int(h.op, VIRTIO_VSOCK_OP_RW);
	is_int(h.len, 5);
	ok(memcmp(r.data, "early", 5) == 0);
	close(s);
	rig_done(&r);
	close(r.plan.listen_fd);
}

TEST(a_greeting_that_is_none_and_a_refusal_end_the_host_s_connection)
{
	static const char *const bad[] = { "GET / HTTP/1.1\n", "CONNECT \n",
					   "CONNECT x\n",      "CONNECT 4294967295\n",
					   "CONNECT -1\n",     "CONNECT 1000                                \n",
					   "connect 1000\n",   "\n" };
	struct rig r = { .plan = { .dir_fd = -1 } };
	_Alignas(8) char name[32];
	struct virtio_vsock_hdr h;
	int s;

	r.plan.listen_fd = listen_abstract(name);
	rig_init(&r);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		s = dial(name);
		say(s, bad[i]);
		for (int k = 0; k < 100 && (k == 0 || r.v->n_used > 0); k++)
			fake_turn(&r.f, 2);
		is_int(r.v->n_used, 0);
		close(s);
	}
	ok(is_silent(&r));
	s = dial(name);
	say(s, "CONNECT 1000\n");
	h = next_packet(&r);
	send_op(&r, VIRTIO_VSOCK_OP_RST, h.src_port);
	ok(is_ended(&r, s));
	is_int(r.v->n_used, 0);
	close(s);
	rig_done(&r);
	close(r.plan.listen_fd);
}

TEST(half_open_connections_end_in_time)
{
	struct rig r = { .plan = { .dir_fd = -1, .connect_limit_ms = 30 } };
	_Alignas(8) char name[32];
	int mute, asked, gone;
	struct virtio_vsock_hdr h;

	r.plan.listen_fd = listen_abstract(name);
	rig_init(&r);
	mute = dial(name);
	ok(is_ended(&r, mute)); /* no line */
	asked = dial(name);
	say(asked, "CONNECT 1000\n");
	h = next_packet(&r);
	ok(is_ended(&r, asked)); /* the guest does not answer: it hears that nobody waits any more */
	next_is(&r, VIRTIO_VSOCK_OP_RST, h.src_port);
	gone = dial(name);
	say(gone, "CONNECT 1000\n");
	h = next_packet(&r);
	close(gone); /* the host does not wait */
	next_is(&r, VIRTIO_VSOCK_OP_RST, h.src_port);
	is_int(r.v->n_used, 0);
	close(mute);
	close(asked);
	rig_done(&r);
	close(r.plan.listen_fd);
}

TAP_MAIN()
