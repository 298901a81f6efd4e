/* Fuzz target: a driver of the socket device that writes what it likes, and peers on the host that say and close what they like. The
 * input is a head (rings' state, what happens in which order), and then guest memory from 0 on. The tables' bounds must hold. */
#include <sys/socket.h>
#include <unistd.h>

#include "vsock.h"

#include "fake.h"

#define STEPS    24u
#define HEAD_LEN 40u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct vsock *v)
{
	unsigned used = 0, pending = 0;

	for (unsigned i = 0; i < VSOCK_CONNS; i++) {
		used += v->conns[i].state != VSOCK_FREE;
		pending += v->conns[i].pending != 0;
		if (v->conns[i].out.len > VSOCK_BUFFER || (v->conns[i].state == VSOCK_FREE && v->conns[i].src))
			abort();
	}
	if (used != v->n_used || pending != v->n_pending || v->n_resets > VSOCK_RESETS || v->n_guests > VSOCK_CONNS_GUEST)
		abort();
}

static void start(struct fake *f, const uint8_t *head)
{
	if (fake_start(f, 0, false) < 0)
		abort();
	for (unsigned i = 0; i < f->d->n_queues; i++) {
		struct virtqueue *q = &f->d->queues[i];

		q->has_event_idx = head[0] >> i & 1;
		fake_misplace(q, head[1 + i], head[4], head[5], head[6]);
	}
}

/* A listening socket of a name of the kernel's choice. */
static int listener(struct sockaddr_storage *a, socklen_t *n)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sa_family_t family = AF_UNIX;

	*n = sizeof(*a);
	if (fd < 0 || bind(fd, (const struct sockaddr *)(const void *)&family, sizeof(family)) < 0 || listen(fd, 8) < 0 ||
	    getsockname(fd, (struct sockaddr *)a, n) < 0)
		abort();
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm_stream_plan streams[2];
	struct vmm_vsock_plan plan = { .guest_cid = 3, .dir_fd = -1, .streams = streams, .n_streams = 2, .connect_limit_ms = 1 };
	struct sockaddr_storage a;
	struct err e = { 0 };
	int s[2][2], dialled = -1;
	socklen_t len;
	struct fake f;

	if (size < HEAD_LEN || size > 1 << 17)
		return 0;
	fake_init(&f);
	plan.listen_fd = listener(&a, &len);
	for (unsigned i = 0; i < 2; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s[i]) < 0)
			abort();
		streams[i] = (struct vmm_stream_plan){ 52 + i, s[i][0] };
	}
	if (virtio_vsock_new(&plan, &f.d, &e) < 0)
		abort();
	if (vmm_mem_write(f.vm.mem, 0, data + HEAD_LEN, size - HEAD_LEN) < 0)
		abort();
	start(&f, data);
	for (unsigned i = 0; i < STEPS; i++) {
		uint8_t what = data[HEAD_LEN - STEPS + i];
		int *peer = &s[what >> 7][1];
		char sink[4096];

		switch (what & 7) {
		case 0:
		case 1: f.d->ops->kick(f.d, VSOCK_TX); break;
		case 2: f.d->ops->kick(f.d, VSOCK_RX); break;
		case 3: (void)send(*peer, data, MIN(size, (what & 0x78u) * 32), MSG_DONTWAIT | MSG_NOSIGNAL); break;
		case 4: (void)recv(*peer, sink, sizeof(sink), MSG_DONTWAIT); break;
		case 5:
			if (what & 8)
				(void)shutdown(*peer, what & 16 ? SHUT_WR : SHUT_RDWR);
			else
				*peer = fd_close(*peer);
			break;
		case 6:
			fd_close(dialled);
			dialled = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
			if (connect(dialled, (struct sockaddr *)&a, len) == 0)
				(void)send(dialled, what & 8 ? "CONNECT 9\n" : "CONN", what & 8 ? 10 : 4, MSG_NOSIGNAL);
			break;
		default: fake_turn(&f, what & 8 ? 2 : 0); break;
		}
		check(container_of(f.d, struct vsock, d));
	}
	fake_turn(&f, 0);
	check(container_of(f.d, struct vsock, d));
	fake_done(&f);
	fd_close(dialled);
	fd_close(plan.listen_fd);
	for (unsigned i = 0; i < 4; i++)
		fd_close(s[i / 2][i % 2]);
	return 0;
}
