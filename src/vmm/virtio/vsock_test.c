/* The socket device: connections both ways, credit, half-closed ends, what is refused, what ends by time, snapshots. */
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "vsock.h"

#include "fake.h"
#include "tap.h"

enum { CID = 42, PORT = 1000, SLOT = 0x2000, RX_BYTES = 4096 };

struct rig {
	struct fake f;
	struct vmm_stream_plan stream;
	struct vmm_vsock_plan plan;
	struct vsock *v;
	char dir[64];
	uint16_t seen; /* of the packets to the guest */
	unsigned rx;   /* buffers given */
	uint8_t *data; /* of the packet last seen */
};

/* Receive buffers of a header and RX_BYTES. */
static void give(struct rig *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++, r->rx++)
		fake_offer_in(&r->f, VSOCK_RX, FAKE_DATA + (r->rx % 256) * SLOT, VSOCK_HEADER + RX_BYTES);
}

static void kick(struct rig *r, unsigned q)
{
	r->f.d->ops->kick(r->f.d, q);
	fake_turn(&r->f, 1);
}

static void rig_init(struct rig *r)
{
	struct err e = { 0 };

	r->plan.guest_cid = CID;
	fake_init(&r->f);
	if (virtio_vsock_new(&r->plan, &r->f.d, &e) < 0)
		TAP_FAIL("%s", e.msg);
	r->v = container_of(r->f.d, struct vsock, d);
	is_int(fake_start(&r->f, 0, false), 0);
	give(r, 64);
}

/* With a directory, and something that listens on port 52 in it: that. */
static int rig_init_dir(struct rig *r)
{
	snprintf(r->dir, sizeof(r->dir), "/tmp/berth-vsock.XXXXXX");
	ok(mkdtemp(r->dir));
	r->plan.listen_fd = -1;
	r->plan.dir_fd = open(r->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int s = sock_unix_listen(r->plan.dir_fd, "vsock_52", 0600);
	ok(s >= 0);
	rig_init(r);
	return s;
}

static void rig_done(struct rig *r)
{
	fake_done(&r->f);
	if (r->dir[0]) {
		unlinkat(r->plan.dir_fd, "vsock_52", 0);
		close(r->plan.dir_fd);
		rmdir(r->dir);
	}
}

static struct virtio_vsock_hdr packet(uint16_t op, uint32_t host_port)
{
	return (struct virtio_vsock_hdr){ .src_cid = CID,
					  .dst_cid = VSOCK_HOST_CID,
					  .src_port = PORT,
					  .dst_port = host_port,
					  .type = VIRTIO_VSOCK_TYPE_STREAM,
					  .op = op,
					  .buf_alloc = 1 << 20 };
}

static void send_with(struct rig *r, struct virtio_vsock_hdr h, const void *p, uint32_t n)
{
	uint64_t at = FAKE_DATA + 0x280000;

	h.len = h.len ? h.len : n;
	memcpy(fake_at(&r->f, at, sizeof(h)), &h, sizeof(h));
	if (n > 0)
		memcpy(fake_at(&r->f, at + 0x1000, n), p, n);
	fake_offer(&r->f, VSOCK_TX, (struct fake_buffer[]){ { at, sizeof(h) }, { at + 0x1000, n } }, n > 0 ? 2 : 1, 0);
	kick(r, VSOCK_TX);
}

static void send_op(struct rig *r, uint16_t op, uint32_t host_port) { send_with(r, packet(op, host_port), NULL, 0); }

/* The next packet to the guest. */
static struct virtio_vsock_hdr next_packet(struct rig *r)
{
	struct virtio_vsock_hdr h;
	struct vring_used_elem *u = &fake_used(&r->f, VSOCK_RX)->ring[r->seen % 256];

	for (int i = 0; i < 200 && fake_used_idx(&r->f, VSOCK_RX) == r->seen; i++)
		fake_turn(&r->f, 5);
	if (fake_used_idx(&r->f, VSOCK_RX) == r->seen)
		TAP_FAIL("no packet");
	r->data = fake_at(&r->f, FAKE_DATA + u->id * SLOT, VSOCK_HEADER + RX_BYTES);
	memcpy(&h, r->data, sizeof(h));
	r->data += sizeof(h);
	r->seen++;
	is_int(u->len, sizeof(h) + h.len);
	is_int(h.dst_cid, CID);
	return h;
}

static void next_is(struct rig *r, uint16_t op, uint32_t host_port)
{
	struct virtio_vsock_hdr h = next_packet(r);

	is_int(h.op, op);
	is_int(h.src_port, host_port);
	is_int(h.dst_port, PORT);
	is_int(h.src_cid, VSOCK_HOST_CID);
	is_int(h.type, VIRTIO_VSOCK_TYPE_STREAM);
}

static bool is_silent(struct rig *r)
{
	fake_turn(&r->f, 5);
	return fake_used_idx(&r->f, VSOCK_RX) == r->seen;
}

/* An open connection of the guest to port 52; our end of it. */
static int connect_guest(struct rig *r, int listener)
{
	int s;

	send_op(r, VIRTIO_VSOCK_OP_REQUEST, 52);
	s = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	ok(s >= 0);
	next_is(r, VIRTIO_VSOCK_OP_RESPONSE, 52);
	return s;
}

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

static int listen_abstract(char name[32])
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	socklen_t len = sizeof(a);
	is_int(bind(s, (struct sockaddr *)&a, sizeof(sa_family_t)), 0); /* a name of the kernel's choice */
	is_int(listen(s, 300), 0);
	is_int(getsockname(s, (struct sockaddr *)&a, &len), 0);
	memcpy(name, &a, len);
	name[31] = (char)len;
	return s;
}

static int dial(const char name[32])
{
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	is_int(connect(s, (const struct sockaddr *)(const void *)name, (socklen_t)name[31]), 0);
	return s;
}

static void say(int s, const char *text) { is_int(write(s, text, strlen(text)), strlen(text)); }

static bool is_ended(struct rig *r, int s)
{
	char c;

	for (int i = 0; i < 200; i++) {
		if (read(s, &c, 1) == 0)
			return true;
		fake_turn(&r->f, 5);
	}
	return false;
}

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
