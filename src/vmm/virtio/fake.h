/* fake: a device without transport, KVM or vCPUs, driven as a guest's driver would: rings in fake guest memory. For tests and fuzz
 * targets; only they include this file.
 *
 * Queue i is at FAKE_RINGS + i * FAKE_QUEUE: descriptors, avail at 0x1000, used at 0x2000. */
#pragma once

#include <sys/eventfd.h>

#include "../vmm_impl.h"

enum { FAKE_RAM = 8 << 20, FAKE_RINGS = 0x10000, FAKE_QUEUE = 0x4000, FAKE_DATA = 0x200000 };

struct fake {
	struct vmm vm; /* of which there is a loop, and memory */
	struct virtio_device *d;
	uint16_t next_desc[VIRTIO_QUEUES_MAX];
};

__attribute__((unused)) static void *fake_at(struct fake *f, uint64_t gpa, uint64_t n)
{
	void *p = vmm_mem_at_write(f->vm.mem, gpa, n);

	if (!p)
		abort();
	return p;
}
__attribute__((unused)) static struct vring_desc *fake_desc(struct fake *f, unsigned q)
{
	return fake_at(f, FAKE_RINGS + q * FAKE_QUEUE, 4096);
}
__attribute__((unused)) static struct vring_avail *fake_avail(struct fake *f, unsigned q)
{
	return fake_at(f, FAKE_RINGS + q * FAKE_QUEUE + 0x1000, 4096);
}
__attribute__((unused)) static struct vring_used *fake_used(struct fake *f, unsigned q)
{
	return fake_at(f, FAKE_RINGS + q * FAKE_QUEUE + 0x2000, 4096);
}

/* The VM, with room to grow into; d is to be set before fake_start. */
__attribute__((unused)) static void fake_init_room(struct fake *f, uint64_t room_bytes)
{
	const struct vmm_mem_config c = { .bytes = FAKE_RAM, .room_bytes = room_bytes, .file_fd = -1, .pages = VMM_PAGES_SMALL };

	*f = (struct fake){ .d = NULL };
	if (vmm_mem_new(&c, &f->vm.mem, NULL) < 0 || loop_new(&f->vm.loop) < 0)
		abort();
	f->vm.loop_thread = pthread_self();
	f->vm.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&f->vm.sync, NULL);
}

__attribute__((unused)) static void fake_init(struct fake *f) { fake_init_room(f, 0); }

/* Queues, workers, features, and the device is active. What activate returns. */
__attribute__((unused)) static int fake_start(struct fake *f, uint64_t features, bool has_workers)
{
	struct virtio_device *d = f->d;
	struct err e = { 0 };
	int r;

	d->vm = &f->vm;
	d->mem = f->vm.mem;
	d->features_acked = features;
	for (unsigned i = 0; i < d->n_queues; i++) {
		struct virtqueue *q = &d->queues[i];

		vq_reset(q);
		q->mem = f->vm.mem;
		q->device = d;
		q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		q->has_indirect = true;
		q->s.size = (uint16_t)MIN(q->size_max, 256u);
		q->s.desc = FAKE_RINGS + i * FAKE_QUEUE;
		q->s.avail = q->s.desc + 0x1000;
		q->s.used = q->s.desc + 0x2000;
		if (vq_enable(q) < 0)
			abort();
	}
	for (unsigned i = 0; has_workers && i < d->n_workers; i++)
		if (vmm_worker_new(&f->vm, d->ops->worker_class, "test", &d->workers[i], &e) < 0)
			abort();
	r = d->ops->activate(d, &e);
	d->is_active = r >= 0;
	return r;
}

/* The rings of a driver that puts them where it likes, one over the other too, and whose first request is not its first. */
__attribute__((unused)) static void fake_misplace(struct virtqueue *q, uint8_t place, uint8_t avail, uint8_t used, uint8_t next)
{
	q->s.size = (uint16_t)(1u << (place & 7));
	q->s.desc = (place >> 3) * 0x400ull;
	q->s.avail = q->s.desc + (avail & 7) * 0x100ull;
	q->s.used = q->s.desc + (used & 7) * 0x100ull;
	q->s.next_avail = next;
	(void)vq_enable(q);
}

__attribute__((unused)) static void fake_done(struct fake *f)
{
	struct virtio_device *d = f->d;

	if (d->is_active)
		d->ops->reset(d);
	for (unsigned i = 0; i < d->n_workers; i++)
		vmm_worker_free(d->workers[i]);
	for (unsigned i = 0; i < d->n_queues; i++) {
		fd_close(d->queues[i].kick_fd);
		fd_close(d->queues[i].call_fd);
	}
	d->ops->free(d);
	loop_free(f->vm.loop);
	fd_close(f->vm.wake_fd);
	vmm_mem_free(f->vm.mem);
	pthread_mutex_destroy(&f->vm.sync);
}

/* Offers a request of the given buffers, the first n_out of them for reading. Its descriptors are the next free ones, in turn. */
struct fake_buffer {
	uint64_t gpa;
	uint32_t len;
};
__attribute__((unused)) static void fake_offer(struct fake *f, unsigned q, const struct fake_buffer *b, unsigned n_out,
					       unsigned n_in)
{
	uint16_t size = f->d->queues[q].s.size, head = f->next_desc[q];
	struct vring_avail *a = fake_avail(f, q);
	struct vring_desc *desc = fake_desc(f, q);

	for (unsigned i = 0; i < n_out + n_in; i++) {
		uint16_t at = f->next_desc[q], next = (uint16_t)((at + 1) % size);

		desc[at] = (struct vring_desc){
			b[i].gpa, b[i].len,
			(uint16_t)((i < n_out ? 0 : VRING_DESC_F_WRITE) | (i + 1 < n_out + n_in ? VRING_DESC_F_NEXT : 0)), next
		};
		f->next_desc[q] = next;
	}
	a->ring[a->idx % size] = head;
	__atomic_store_n(&a->idx, (uint16_t)(a->idx + 1), __ATOMIC_RELEASE);
}
__attribute__((unused)) static void fake_offer_in(struct fake *f, unsigned q, uint64_t gpa, uint32_t len)
{
	fake_offer(f, q, &(struct fake_buffer){ gpa, len }, 0, 1);
}
__attribute__((unused)) static void fake_offer_out(struct fake *f, unsigned q, uint64_t gpa, const void *p, uint32_t len)
{
	memcpy(fake_at(f, gpa, len), p, len);
	fake_offer(f, q, &(struct fake_buffer){ gpa, len }, 1, 0);
}
__attribute__((unused)) static uint16_t fake_used_idx(struct fake *f, unsigned q)
{
	return __atomic_load_n(&fake_used(f, q)->idx, __ATOMIC_ACQUIRE);
}

__attribute__((unused)) static void fake_stop_loop(struct loop *l, int fd, uint32_t events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	loop_stop(l, 0);
}
/* What is due in the loop, and what falls due within ms. */
__attribute__((unused)) static void fake_turn(struct fake *f, unsigned ms)
{
	if (loop_timer(f->vm.loop, ms, fake_stop_loop, NULL, NULL) < 0 || loop_run(f->vm.loop) < 0)
		abort();
}
