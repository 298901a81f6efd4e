/* Fuzz target: a driver of the network card that writes what it likes, and a wire that says what it likes. The input is a head (rings'
 * state, features, what happens in which order), and then guest memory from 0 on: rings, tables and data alike. What reaches the
 * wire must be a frame with a header that a host's stack could have been given by a stack. */
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

#include "fake.h"

#define STEPS    16u
#define HEAD_LEN 32u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came out: whole, and its header within its length. */
static void check_wire(int fd)
{
	static uint8_t frame[NET_HEADER + NET_FRAME_MAX + 1];
	struct virtio_net_hdr_v1 h;
	ssize_t n;

	while ((n = recv(fd, frame, sizeof(frame), MSG_DONTWAIT)) > 0) {
		size_t len = (size_t)n - NET_HEADER;

		if (n < NET_HEADER + NET_ETH || n == sizeof(frame))
			abort();
		memcpy(&h, frame, sizeof(h));
		if (h.flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM || h.num_buffers || h.hdr_len > len)
			abort();
		if (h.flags && h.csum_start + h.csum_offset + 2ul > len)
			abort();
		if (h.gso_type && (!h.flags || h.gso_size < 48 || h.hdr_len < 54))
			abort();
	}
}

static void start(struct fake *f, const uint8_t *head)
{
	uint64_t features = (uint64_t)head[0] | (uint64_t)head[1] << 8 | (uint64_t)head[2] << 16;

	if (fake_start(f, features & f->d->features, false) < 0)
		abort();
	for (unsigned i = 0; i < f->d->n_queues; i++) {
		struct virtqueue *q = &f->d->queues[i];

		q->has_event_idx = head[3] >> i & 1;
		fake_misplace(q, head[4 + i], head[9], head[10], head[11]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm_tap_plan taps[2];
	struct vmm_net_plan plan = { .taps = taps, .n_taps = 2 };
	struct err e = { 0 };
	int s[2][2];
	struct fake f;
	struct net *n;

	if (size < HEAD_LEN || size > 1 << 17)
		return 0;
	fake_init(&f);
	for (unsigned i = 0; i < 2; i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s[i]) < 0)
			abort();
		taps[i].fd = s[i][0];
	}
	if (virtio_net_new(&plan, &f.d, &e) < 0)
		abort();
	n = container_of(f.d, struct net, d);
	if (vmm_mem_write(f.vm.mem, 0, data + HEAD_LEN, size - HEAD_LEN) < 0)
		abort();
	start(&f, data);
	for (unsigned i = 0; i < STEPS; i++) {
		uint8_t what = data[HEAD_LEN - STEPS + i];
		struct net_pair *p = &n->pairs[what >> 7];

		switch (what & 3) {
		case 0: (void)net_transmit(p); break;
		case 1: (void)net_receive(p); break;
		case 2: (void)send(s[p->index][1], data, MIN(size, (what & 0x7cu) * 64), MSG_DONTWAIT | MSG_NOSIGNAL); break;
		default:
			virtio_kick_self(&f.d->queues[4]);
			virtio_kick_self(&f.d->queues[2]);
			fake_turn(&f, 0);
			if (what & 4)
				net_give_back(p);
			break;
		}
		check_wire(s[0][1]);
		check_wire(s[1][1]);
	}
	fake_done(&f);
	for (unsigned i = 0; i < 4; i++)
		close(s[i / 2][i % 2]);
	return 0;
}
