/* A driver of shared directories that writes what it likes, and a file server that says what it likes. The input is a head (rings'
 * places, the order of things), and then guest memory from 0 on. What reaches the server must be within its slot, and when the
 * server has gone no slot may be left with it. */
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../fs/wire.h"
#include "fs.h"

#include "fake.h"

enum { QUEUES = 2, STEPS = 16, HEAD_LEN = 40, TURNS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void place_rings(struct fake *f, const uint8_t *head)
{
	if (fake_start(f, 0, false) < 0)
		abort();
	for (unsigned i = 0; i < QUEUES; i++) {
		const uint8_t *h = head + 10 * i;
		struct virtqueue *q = &f->d->queues[i];

		q->s.size = (uint16_t)(1u << h[0] % 8);
		q->s.desc = (uint64_t)(h[1] | h[2] << 8) * 16;
		q->s.avail = (uint64_t)(h[3] | h[4] << 8) * 2;
		q->s.used = (uint64_t)(h[5] | h[6] << 8) * 4;
		q->s.next_avail = (uint16_t)(h[7] | h[8] << 8);
		q->has_indirect = h[9] & 1;
		q->has_event_idx = h[9] & 2;
		(void)vq_enable(q);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char tag[] = "fuzz";
	struct vmm_fs_plan plan = { .tag = tag };
	struct fs_hello hello;
	struct fs_call call;
	size_t n_fds = 1;
	uint8_t *arena;
	int s[2], fd = -1;
	struct fake f;

	if (size < HEAD_LEN || size > 1 << 17)
		return 0;
	fake_init(&f);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
		abort();
	plan.fd = s[0];
	if (virtio_fs_new(&plan, &f.d, NULL) < 0 || sock_recv_fds(s[1], &hello, sizeof(hello), &fd, &n_fds) != sizeof(hello) ||
	    fs_arena_map(fd, &arena, NULL) < 0)
		abort();
	fd_close(fd);
	if (vmm_mem_write(f.vm.mem, 0, data + HEAD_LEN, size - HEAD_LEN) < 0)
		abort();
	place_rings(&f, data);
	for (unsigned i = 0; i < STEPS; i++) {
		uint8_t what = data[HEAD_LEN - STEPS + i];
		struct fs_done done = { what >> 2, what & 2 ? what * 2000u : what };

		(void)fs_device_turn(f.d);
		while (recv(s[1], &call, sizeof(call), MSG_DONTWAIT) == sizeof(call)) {
			if (call.slot >= FS_SLOTS || call.in_len < sizeof(struct fuse_in_header) || call.in_len > FS_SLOT_BYTES ||
			    call.out_max > FS_SLOT_BYTES)
				abort();
			if (what & 1) /* in order */
				done.slot = call.slot;
			arena[(size_t)call.slot * FS_SLOT_BYTES] = what;
			if (what & 3)
				(void)send(s[1], &done, sizeof(done), MSG_DONTWAIT | MSG_NOSIGNAL);
		}
		if (what == 0xff)
			(void)send(s[1], data, MIN(size, (size_t)what), MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	close(s[1]);
	for (unsigned i = 0; i < TURNS; i++)
		(void)fs_device_turn(f.d);
	if (fs_device_free_slots(f.d) != FS_SLOTS)
		abort();
	fake_done(&f);
	close(s[0]);
	munmap(arena, FS_ARENA_BYTES);
	return 0;
}
