/* A socket device with a fake machine around it, whose guest the tests play: what vsock_test.c, vsock_flow_test.c and vsock_evil_test.c
 * share. */
#pragma once

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
static inline void give(struct rig *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++, r->rx++)
		fake_offer_in(&r->f, VSOCK_RX, FAKE_DATA + (r->rx % 256) * SLOT, VSOCK_HEADER + RX_BYTES);
}

static inline void kick(struct rig *r, unsigned q)
{
	r->f.d->ops->kick(r->f.d, q);
	fake_turn(&r->f, 1);
}

static inline void rig_init(struct rig *r)
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
static inline int rig_init_dir(struct rig *r)
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

static inline void rig_done(struct rig *r)
{
	fake_done(&r->f);
	if (r->dir[0]) {
		unlinkat(r->plan.dir_fd, "vsock_52", 0);
		close(r->plan.dir_fd);
		rmdir(r->dir);
	}
}

static inline struct virtio_vsock_hdr packet(uint16_t op, uint32_t host_port)
{
	return (struct virtio_vsock_hdr){ .src_cid = CID,
					  .dst_cid = VSOCK_HOST_CID,
					  .src_port = PORT,
					  .dst_port = host_port,
					  .type = VIRTIO_VSOCK_TYPE_STREAM,
					  .op = op,
					  .buf_alloc = 1 << 20 };
}

static inline void send_with(struct rig *r, struct virtio_vsock_hdr h, const void *p, uint32_t n)
{
	uint64_t at = FAKE_DATA + 0x280000;

	h.len = h.len ? h.len : n;
	memcpy(fake_at(&r->f, at, sizeof(h)), &h, sizeof(h));
	if (n > 0)
		memcpy(fake_at(&r->f, at + 0x1000, n), p, n);
	fake_offer(&r->f, VSOCK_TX, (struct fake_buffer[]){ { at, sizeof(h) }, { at + 0x1000, n } }, n > 0 ? 2 : 1, 0);
	kick(r, VSOCK_TX);
}

static inline void send_op(struct rig *r, uint16_t op, uint32_t host_port) { send_with(r, packet(op, host_port), NULL, 0); }

/* The next packet to the guest. */
static inline struct virtio_vsock_hdr next_packet(struct rig *r)
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

static inline void next_is(struct rig *r, uint16_t op, uint32_t host_port)
{
	struct virtio_vsock_hdr h = next_packet(r);

	is_int(h.op, op);
	is_int(h.src_port, host_port);
	is_int(h.dst_port, PORT);
	is_int(h.src_cid, VSOCK_HOST_CID);
	is_int(h.type, VIRTIO_VSOCK_TYPE_STREAM);
}

static inline bool is_silent(struct rig *r)
{
	fake_turn(&r->f, 5);
	return fake_used_idx(&r->f, VSOCK_RX) == r->seen;
}

/* An open connection of the guest to port 52; our end of it. */
static inline int connect_guest(struct rig *r, int listener)
{
	int s;

	send_op(r, VIRTIO_VSOCK_OP_REQUEST, 52);
	s = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	ok(s >= 0);
	next_is(r, VIRTIO_VSOCK_OP_RESPONSE, 52);
	return s;
}

/* ---- the host's ends ---- */

static inline int listen_abstract(char name[32])
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

static inline int dial(const char name[32])
{
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	is_int(connect(s, (const struct sockaddr *)(const void *)name, (socklen_t)name[31]), 0);
	return s;
}

static inline void say(int s, const char *text) { is_int(write(s, text, strlen(text)), strlen(text)); }

static inline bool is_ended(struct rig *r, int s)
{
	char c;

	for (int i = 0; i < 200; i++) {
		if (read(s, &c, 1) == 0)
			return true;
		fake_turn(&r->f, 5);
	}
	return false;
}
