/* Fuzz target: a driver of the console that writes what it likes, and host's ends that write, read and close when they like. The input
 * is a head (features, rings, what happens in which order), and then guest memory from 0 on: rings, control messages and streams alike.
 * Whatever was done, its state can be saved, and is one that can be loaded. */
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake.h"

enum { PORTS = 3, QUEUES = 2 * PORTS + 2, STEPS = 16, HEAD_LEN = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void start(struct fake *f, const uint8_t *head)
{
	if (fake_start(f, head[0] & 1 ? f->d->features : 0, false) < 0)
		abort();
	for (unsigned i = 0; i < QUEUES; i++) {
		struct virtqueue *q = &f->d->queues[i];

		q->has_event_idx = head[1] >> i & 1;
		q->has_indirect = head[2] >> i & 1;
		fake_misplace(q, head[3 + i], head[11], head[12], head[13]);
	}
}

static void check_state(struct fake *f)
{
	void *state = malloc(f->d->ops->state_bytes);
	struct err e = { 0 };

	if (!state || f->d->ops->save(f->d, state, &e) < 0 || f->d->ops->load(f->d, state, &e) < 0)
		abort();
	free(state);
}

static void host_reads(int fd)
{
	uint8_t room[4096];

	while (recv(fd, room, sizeof(room), MSG_DONTWAIT) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[] = "one", other[] = "other";
	struct vmm_port_plan ports[PORTS] = { { .fd = -1 }, { .name = name }, { .name = other } };
	const struct vmm_console_plan plan = { ports, PORTS };
	int s[PORTS][2] = { { -1, -1 } };
	struct fake f;

	if (size < HEAD_LEN || size > 1 << 17)
		return 0;
	(void)signal(SIGPIPE, SIG_IGN); /* as in the VMM */
	fake_init(&f);
	for (unsigned i = data[0] >> 1 & 1; i < PORTS; i++) { /* the first has a host's end, or none */
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s[i]) < 0)
			abort();
		ports[i].fd = s[i][0];
	}
	if (virtio_console_new(&plan, &f.d, NULL) < 0 || vmm_mem_write(f.vm.mem, 0, data + HEAD_LEN, size - HEAD_LEN) < 0)
		abort();
	start(&f, data);
	for (unsigned i = 0; i < STEPS; i++) {
		uint8_t what = data[HEAD_LEN - STEPS + i];
		unsigned q = what % QUEUES, p = q % PORTS;

		switch (what >> 3 & 7) {
		case 0: (void)send(s[p][1], data, MIN(size, 1ul << (what >> 6) * 4), MSG_DONTWAIT | MSG_NOSIGNAL); break;
		case 1: host_reads(s[p][1]); break;
		case 2: fake_turn(&f, 0); break;
		case 3:
			if (what >> 6 == 3) { /* the host's end is closed */
				fd_close(s[p][1]);
				s[p][1] = -1;
			}
			check_state(&f);
			break;
		default:
			if (f.d->queues[q].desc && !f.d->queues[q].s.is_broken)
				f.d->ops->kick(f.d, q);
			break;
		}
	}
	fake_turn(&f, 0);
	check_state(&f);
	fake_done(&f);
	for (unsigned i = 0; i < 2 * PORTS; i++)
		fd_close(s[i / 2][i % 2]);
	return 0;
}
