/* pmem: a file that is memory of the guest's (virtio 1.2, 5.19). Its pages are the host's page cache, mapped into a window
 * above RAM (../memory.h): VMs that map one image share them, and nothing is read twice. The window is a 64-bit PCI region of
 * the device, so that nobody else is given its addresses; the driver finds it by the config.
 *
 * Read-only: the guest's writes go nowhere; the device has no way to tell it so, hence the guest must mount read-only. Files
 * whose size is not whole 2 MiB are followed by zeroes. Writable: whole 2 MiB only; the driver's flush is fdatasync, on a worker,
 * one for all requests that wait. */
#include <linux/virtio_pmem.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "../image.h"
#include "../vmm_impl.h"
#include "pmem.h"

#define HUGE_PAGE (2ull << 20)
enum { QUEUE_SIZE = 64, BATCH = 32, IOVS = 4 };

struct pmem {
	struct virtio_device d;
	int fd;
	bool is_writable;
	uint8_t *host;
	uint64_t bytes, file_bytes; /* of the window: whole 2 MiB */
	uint64_t errors;
	_Atomic(bool) is_stopping;
	int wake_fd;
};

static struct pmem *pmem_of(struct virtio_device *d) { return container_of(d, struct pmem, d); }

/* ---- flushes ---- */

static uint32_t flush(struct pmem *p)
{
	uint64_t n;

	if (!p->is_writable || fdatasync(p->fd) == 0)
		return 0;
	n = ++p->errors;
	if ((n & (n - 1)) == 0)
		log_error("pmem", "flush: %s (error %llu)", strerror(errno), (unsigned long long)n);
	return 1;
}

/* All that wait, up to a batch, by one fdatasync. 1: there may be more; 0; -EBADMSG. */
static int serve(struct pmem *p)
{
	struct virtqueue *q = &p->d.queues[0];
	struct iovec iov[BATCH][IOVS];
	struct vq_chain c[BATCH];
	struct virtio_pmem_resp resp;
	unsigned n = 0;
	int r = 0;

	for (; n < BATCH; n++) {
		struct virtio_pmem_req req;

		c[n] = (struct vq_chain){ .iov = iov[n], .iov_max = IOVS };
		r = vq_pop(q, &c[n]);
		if (r == 0 && vq_wait(q))
			r = vq_pop(q, &c[n]);
		if (r <= 0)
			break;
		if (vq_read(&c[n], 0, &req, sizeof(req)) < sizeof(req) || c[n].in_bytes < sizeof(resp) ||
		    req.type != VIRTIO_PMEM_REQ_TYPE_FLUSH) {
			q->s.is_broken = 1;
			return -EBADMSG;
		}
	}
	resp.ret = n > 0 ? flush(p) : 0;
	for (unsigned i = 0; r >= 0 && i < n; i++) {
		(void)vq_write(&c[i], 0, &resp, sizeof(resp));
		r = vq_push(q, &c[i], sizeof(resp));
	}
	vq_flush(q);
	return r < 0 ? r : n == BATCH;
}

bool pmem_turn(struct virtio_device *d)
{
	struct virtqueue *q = &d->queues[0];
	int r = q->desc && !q->s.is_broken ? serve(pmem_of(d)) : 0;

	if (r < 0)
		virtio_queue_broken(d, q);
	return r > 0;
}

static void work(void *arg)
{
	struct pmem *p = arg;
	struct virtqueue *q = &p->d.queues[0];
	struct pollfd fds[] = { { .fd = p->wake_fd, .events = POLLIN }, { .fd = q->kick_fd, .events = POLLIN } };

	while (!atomic_load(&p->is_stopping)) {
		eventfd_t n;

		if (pmem_turn(&p->d))
			continue;
		if (poll(fds, q->s.is_broken ? 1 : 2, -1) < 0)
			continue;
		for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
			if (fds[i].revents)
				(void)!eventfd_read(fds[i].fd, &n);
	}
}

/* ---- the device ---- */

static void run(struct pmem *p)
{
	atomic_store(&p->is_stopping, false);
	vmm_worker_start(p->d.workers[0], work, p);
}

static void stop(struct pmem *p)
{
	atomic_store(&p->is_stopping, true);
	(void)!eventfd_write(p->wake_fd, 1);
	vmm_worker_wait(p->d.workers[0]);
}

static int activate(struct virtio_device *d, struct err *e)
{
	(void)e;
	run(pmem_of(d));
	return 0;
}

static void reset(struct virtio_device *d) { stop(pmem_of(d)); }

static void quiesce(struct virtio_device *d)
{
	if (d->is_active)
		stop(pmem_of(d));
}

static void resume(struct virtio_device *d)
{
	if (d->is_active)
		run(pmem_of(d));
}

static int place(struct virtio_device *d, uint64_t gpa, struct err *e)
{
	struct pmem *p = pmem_of(d);
	const struct virtio_pmem_config c = { .start = gpa, .size = p->bytes };
	const struct vmm_mem_window w = { gpa, p->bytes, p->host, !p->is_writable };

	memcpy(d->config, &c, sizeof(c));
	return vmm_mem_add_window(d->mem, &w, e);
}

static struct image_state state_of(struct virtio_device *d)
{
	const struct pmem *p = pmem_of(d);

	return (struct image_state){ .size = p->file_bytes, .flag = p->is_writable };
}

static int save(struct virtio_device *d, void *to, struct err *e)
{
	const struct image_state s = state_of(d);

	(void)e;
	memcpy(to, &s, sizeof(s));
	return 0;
}

static int load(struct virtio_device *d, const void *from, struct err *e)
{
	static const struct image_words words = { "persistent memory", "bytes", "writable" };

	return image_state_check(from, state_of(d), &words, e);
}

static void pmem_free(struct virtio_device *d)
{
	struct pmem *p = pmem_of(d);

	if (p->host)
		munmap(p->host, p->bytes);
	fd_close(p->wake_fd);
	free(p);
}

static const struct virtio_device_ops ops = { .name = "pmem",
					      .id = VIRTIO_ID_PMEM,
					      .place = place,
					      .activate = activate,
					      .reset = reset,
					      .owns_kicks = true,
					      .worker_class = VMM_THREAD_FILE,
					      .quiesce = quiesce,
					      .resume = resume,
					      .state_version = 1,
					      .state_bytes = sizeof(struct image_state),
					      .save = save,
					      .load = load,
					      .free = pmem_free };

/* ---- making it ---- */

/* Zeroes of the window's size at whole 2 MiB, and the file over them. */
static int map(struct pmem *p, struct err *e)
{
	int prot = PROT_READ | (p->is_writable ? PROT_WRITE : 0);
	uint64_t room = p->bytes + HUGE_PAGE;
	uint8_t *all = mmap(NULL, room, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *start;

	if (all == MAP_FAILED)
		return err_set(e, errno, "persistent memory of %llu MiB: %s", (unsigned long long)(p->bytes >> 20),
			       strerror(errno));
	start = all + (HUGE_PAGE - (uintptr_t)all % HUGE_PAGE) % HUGE_PAGE;
	if (start > all)
		munmap(all, (size_t)(start - all));
	if (all + room > start + p->bytes)
		munmap(start + p->bytes, (size_t)(all + room - (start + p->bytes)));
	p->host = start;
	if (mmap(start, p->file_bytes, prot, MAP_SHARED | MAP_FIXED, p->fd, 0) == MAP_FAILED)
		return err_set(e, errno, "persistent memory: descriptor %d can't be mapped: %s", p->fd, strerror(errno));
	return 0;
}

static int set_up(struct pmem *p, struct err *e)
{
	struct image image;
	int r = image_open(p->fd, !p->is_writable, "persistent memory", &image, e);

	if (r < 0)
		return r;
	if (image.is_device)
		return err_set(e, EINVAL, "persistent memory: descriptor %d is a block device, not a regular file", p->fd);
	if (image.bytes > VMM_PMEM_MAX)
		return err_set(e, EFBIG, "persistent memory: %llu bytes are more than 256 GiB", (unsigned long long)image.bytes);
	if (p->is_writable && image.bytes % HUGE_PAGE)
		return err_set(e, EINVAL,
			       "persistent memory: a writable file's size is whole 2 MiB (truncate -s %%2M FILE makes it so)");
	p->file_bytes = image.bytes;
	p->bytes = (image.bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->wake_fd < 0)
		return err_set(e, errno, "eventfd: %s", strerror(errno));
	return map(p, e);
}

int virtio_pmem_new(const struct vmm_pmem_plan *plan, struct virtio_device **ret, struct err *e)
{
	struct pmem *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	p->fd = plan->fd;
	p->is_writable = plan->is_writable;
	p->wake_fd = -1;
	r = set_up(p, e);
	if (r < 0) {
		pmem_free(&p->d);
		return r;
	}
	p->d.ops = &ops;
	p->d.window_bytes = p->bytes;
	p->d.n_workers = 1;
	p->d.n_queues = 1;
	p->d.queues[0].size_max = QUEUE_SIZE;
	p->d.config_bytes = sizeof(struct virtio_pmem_config);
	*ret = &p->d;
	return 0;
}
