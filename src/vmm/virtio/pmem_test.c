/* Persistent memory against a driver of this test's own, whose memory no VM has. */
#include <linux/virtio_pmem.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../vmm_impl.h"
#include "tap.h"

#define MIB (1ull << 20)
enum { DESC = 0x1000, AVAIL = 0x2000, USED = 0x3000, DATA = 0x10000 };
#define GPA (64ull << 30)

struct rig {
	struct vmm_pmem_plan plan;
	struct vmm vm;
	struct vmm_mem *mem;
	struct virtio_device *d;
};

static int image(uint64_t bytes)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	ok(fd >= 0);
	is_int(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static void *guest(struct rig *r, uint64_t gpa, uint64_t n)
{
	void *p = vmm_mem_at_write(r->mem, gpa, n);

	ok(p);
	return p;
}

static void rig_init(struct rig *r)
{
	static struct vmm_plan plan = { .cpus = 1 };
	const struct vmm_mem_config c = { .bytes = 32 * MIB, .file_fd = -1 };
	struct err e = { 0 };
	struct virtqueue *q;

	r->vm = (struct vmm){ .plan = &plan, .wake_fd = -1 };
	is_int(vmm_mem_new(&c, &r->mem, NULL), 0);
	if (virtio_pmem_new(&r->plan, &r->d, &e) < 0)
		TAP_FAIL("%s", e.msg);
	r->d->mem = r->mem;
	q = &r->d->queues[0];
	q->mem = r->mem;
	vq_reset(q);
	q->s.size = 32;
	q->s.desc = DESC;
	q->s.avail = AVAIL;
	q->s.used = USED;
	is_int(vq_enable(q), 0);
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	is_int(vmm_worker_new(&r->vm, r->d->ops->worker_class, "pmem", &r->d->workers[0], NULL), 0);
}

static void rig_done(struct rig *r)
{
	if (r->d->is_active)
		r->d->ops->reset(r->d);
	vmm_worker_free(r->d->workers[0]);
	close(r->d->queues[0].kick_fd);
	r->d->ops->free(r->d);
	vmm_mem_free(r->mem);
	close(r->plan.fd);
}

static void go(struct rig *r)
{
	is_int(r->d->ops->activate(r->d, NULL), 0);
	r->d->is_active = true;
}

static void offer(struct rig *r, uint32_t type, uint32_t n_out, uint32_t n_in)
{
	struct vring_desc *d = guest(r, DESC, 4096);
	struct vring_avail *a = guest(r, AVAIL, 4096);
	uint16_t at = (uint16_t)(2 * (a->idx % 16));
	uint64_t data = DATA + 64ull * a->idx;

	memcpy(guest(r, data, 4), &type, 4);
	memset(guest(r, data + 32, 4), 0x77, 4);
	d[at] = (struct vring_desc){ data, n_out, VRING_DESC_F_NEXT, (uint16_t)(at + 1) };
	d[at + 1] = (struct vring_desc){ data + 32, n_in, VRING_DESC_F_WRITE, 0 };
	a->ring[a->idx % 32] = at;
	__atomic_store_n(&a->idx, (uint16_t)(a->idx + 1), __ATOMIC_RELEASE);
	is_int(eventfd_write(r->d->queues[0].kick_fd, 1), 0);
}

static uint16_t used_idx(struct rig *r)
{
	const struct vring_used *u = guest(r, USED, 4096);

	return __atomic_load_n(&u->idx, __ATOMIC_ACQUIRE);
}

static void await(struct rig *r, unsigned n)
{
	for (int ms = 0; used_idx(r) != n; ms++) {
		if (ms > 20000)
			TAP_FAIL("%u answers of %u", used_idx(r), n);
		usleep(1000);
	}
}

TEST(a_file_is_a_window_of_the_guests_memory_with_zeroes_up_to_2_mib)
{
	struct rig r = { .plan = { .fd = image(3 * MIB + 512) } };
	struct virtio_pmem_config c;
	const char *p;

	is_int(pwrite(r.plan.fd, "first", 5, 0), 5);
	is_int(pwrite(r.plan.fd, "last", 4, 3 * MIB + 508), 4);
	rig_init(&r);
	ok(r.d->window_bytes == 4 * MIB);
	is_int(r.d->ops->place(r.d, GPA, NULL), 0);
	memcpy(&c, r.d->config, sizeof(c));
	ok(c.start == GPA && c.size == 4 * MIB);
	p = vmm_mem_at(r.mem, GPA, 4 * MIB);
	ok(p);
	is_str(p, "first");
	ok(memcmp(p + 3 * MIB + 508, "last\0", 5) == 0);
	for (uint64_t i = 3 * MIB + 512; i < 4 * MIB; i++)
		if (p[i])
			TAP_FAIL("byte %llu", (unsigned long long)i);
	ok(!vmm_mem_at_write(r.mem, GPA, 1));
	is_int(pwrite(r.plan.fd, "later", 5, 0), 5); /* the page cache itself, no copy */
	is_str(p, "later");
	rig_done(&r);
}

TEST(a_writable_window_writes_the_file_and_flushes_are_answered)
{
	struct rig r = { .plan = { .fd = image(2 * MIB), .is_writable = true } };
	char back[4] = "";

	rig_init(&r);
	is_int(r.d->ops->place(r.d, GPA, NULL), 0);
	memcpy(guest(&r, GPA + 4096, 4), "kept", 4);
	is_int(pread(r.plan.fd, back, 4, 4096), 4);
	ok(memcmp(back, "kept", 4) == 0);
	offer(&r, VIRTIO_PMEM_REQ_TYPE_FLUSH, 4, 4);
	go(&r);
	await(&r, 1);
	ok(*(uint32_t *)guest(&r, DATA + 32, 4) == 0);
	for (unsigned i = 0; i < 12; i++)
		offer(&r, VIRTIO_PMEM_REQ_TYPE_FLUSH, 4, 4);
	await(&r, 13);
	r.d->ops->quiesce(r.d);
	offer(&r, VIRTIO_PMEM_REQ_TYPE_FLUSH, 4, 4);
	usleep(20000);
	is_int(used_idx(&r), 13);
	r.d->ops->resume(r.d);
	await(&r, 14);
	rig_done(&r);
}

TEST(V01_what_is_no_flush_stops_the_queue)
{
	static const uint32_t rows[][3] = { { 1, 4, 4 }, { 0, 3, 4 }, { 0, 4, 3 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig r = { .plan = { .fd = image(2 * MIB) } };

		rig_init(&r);
		offer(&r, rows[i][0], rows[i][1], rows[i][2]);
		go(&r);
		for (int ms = 0;; ms++) {
			bool is_broken;

			r.d->ops->quiesce(r.d); /* the queue is its worker's but for this */
			is_broken = r.d->queues[0].s.is_broken;
			r.d->ops->resume(r.d);
			if (is_broken)
				break;
			if (ms > 20000)
				TAP_FAIL("row %zu", i);
			usleep(1000);
		}
		r.d->ops->reset(r.d);
		r.d->is_active = false;
		is_int(used_idx(&r), 0);
		rig_done(&r);
	}
}

TEST(what_can_not_be_a_window_is_refused)
{
	struct vmm_pmem_plan odd = { image(2 * MIB + 512), true }, empty = { image(0), false },
			     huge = { image(1ull << 40), false };
	struct virtio_device *d;
	struct err e = { 0 };

	is_int(virtio_pmem_new(&odd, &d, &e), -EINVAL);
	has_str(e.msg, "truncate -s %2M");
	is_int(virtio_pmem_new(&empty, &d, &e), -EINVAL);
	is_int(virtio_pmem_new(&huge, &d, &e), -EFBIG);
	close(odd.fd);
	close(empty.fd);
	close(huge.fd);
}

TEST(a_saved_state_fits_only_the_file_that_it_was_saved_of)
{
	struct rig r = { .plan = { .fd = image(2 * MIB) } }, other = { .plan = { .fd = image(2 * MIB), .is_writable = true } };
	uint8_t state[64];
	struct err e = { 0 };

	rig_init(&r);
	rig_init(&other);
	ok(r.d->ops->state_bytes <= sizeof(state));
	is_int(r.d->ops->save(r.d, state, &e), 0);
	is_int(r.d->ops->load(r.d, state, &e), 0);
	is_int(other.d->ops->load(other.d, state, &e), -EBADMSG);
	rig_done(&r);
	rig_done(&other);
}

TAP_MAIN()
