/* fs: shared directories (virtio 1.2, 5.11). The device carries messages between the guest's queues and a file server in a process of
 * its own (../fs/wire.h), by copying them: the server has no memory of the guest's, and no file is opened here.
 *
 * One worker owns both queues (0: requests of high priority, 1: the others). A message takes a slot of the shared memory from the
 * call to the server until the server's "done"; while no slot is free, messages wait in the guest's rings (V20). The server is
 * never waited for: a reset forgets what is under way, and the slot is free again when the server has answered to nobody.
 *
 * Once the server has ended or broken the rules, every request is answered with EIO, at once, for as long as the VM lives.
 *
 * A VM with such a device can't be saved: what its guest knows of files is in the server. No DAX window. */
#include <linux/virtio_fs.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../fs/wire.h"
#include "../vmm_impl.h"
#include "fs.h"

enum { HIPRIO, REQUESTS, QUEUES };
enum { QUEUE_SIZE = 128, BATCH = 32 }; /* a request has FS_DATA_MAX in pages and four more buffers at most */
_Static_assert(FS_DATA_MAX / 4096 + 4 <= QUEUE_SIZE, "the driver fits its largest request to the queue's size");

struct slot {
	bool is_busy; /* with the server */
	bool is_lost; /* the guest has forgotten it */
	struct virtqueue *queue;
	struct vq_chain chain;
	uint64_t unique;
	struct iovec iov[QUEUE_SIZE];
};

struct fs_device {
	struct virtio_device d;
	int sock; /* the plan's */
	char tag[VMM_FS_TAG_MAX + 1];
	uint8_t *arena;
	struct slot slots[FS_SLOTS];
	uint8_t free[FS_SLOTS]; /* a stack: few requests at once touch few pages */
	unsigned n_free;
	bool is_gone;
	_Atomic(bool) is_stopping;
	int wake_fd;
};

static struct fs_device *fs_of(struct virtio_device *d) { return container_of(d, struct fs_device, d); }
static uint8_t *memory_of(const struct fs_device *f, unsigned slot) { return f->arena + (size_t)slot * FS_SLOT_BYTES; }

/* ---- answers ---- */

static int answer(const struct slot *s, const void *p, size_t len)
{
	return vq_push(s->queue, &s->chain, vq_write(&s->chain, 0, p, len));
}

static int answer_error(const struct slot *s)
{
	const struct fuse_out_header h = { .len = sizeof(h), .error = -EIO, .unique = s->unique };

	return answer(s, &h, s->chain.in_bytes < sizeof(h) ? 0 : sizeof(h));
}

static void check(struct fs_device *f, struct virtqueue *q, int r)
{
	if (r < 0)
		virtio_queue_broken(&f->d, q);
}

static void give_up_slot(struct fs_device *f, unsigned i)
{
	f->slots[i].is_busy = f->slots[i].is_lost = false;
	f->free[f->n_free++] = (uint8_t)i;
}

/* The server is of no more use. */
static void lose_server(struct fs_device *f, const char *why)
{
	if (f->is_gone)
		return;
	f->is_gone = true;
	log_error("fs", "%s: the file server %s: from here on the guest gets I/O errors", f->tag, why);
	for (unsigned i = 0; i < FS_SLOTS; i++) {
		struct slot *s = &f->slots[i];

		if (!s->is_busy)
			continue;
		if (!s->is_lost)
			check(f, s->queue, answer_error(s));
		give_up_slot(f, i);
	}
}

static void take_done(struct fs_device *f)
{
	struct fs_done done;

	while (!f->is_gone) {
		ssize_t n = read(f->sock, &done, sizeof(done));
		struct slot *s;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			lose_server(f, "has ended");
			return;
		}
		if (n != sizeof(done) || done.slot >= FS_SLOTS || done.len > FS_SLOT_BYTES || !f->slots[done.slot].is_busy) {
			lose_server(f, "said what it must not");
			return;
		}
		s = &f->slots[done.slot];
		if (!s->is_lost)
			check(f, s->queue, answer(s, memory_of(f, done.slot), done.len));
		give_up_slot(f, done.slot);
	}
}

/* ---- requests ---- */

static int pop(struct virtqueue *q, struct vq_chain *c)
{
	int r = vq_pop(q, c);

	return r == 0 && vq_wait(q) ? vq_pop(q, c) : r;
}

/* One request of the queue to the server. 1; 0: there is none; -EBADMSG: what came is none. */
static int take_request(struct fs_device *f, struct virtqueue *q)
{
	unsigned i = f->free[f->n_free - 1];
	struct slot *s = &f->slots[i];
	struct fs_call call = { .slot = i };
	struct fuse_in_header h;
	int r;

	s->chain = (struct vq_chain){ .iov = s->iov, .iov_max = QUEUE_SIZE };
	s->queue = q;
	r = pop(q, &s->chain);
	if (r <= 0)
		return r;
	if (s->chain.out_bytes > FS_SLOT_BYTES || vq_read(&s->chain, 0, &h, sizeof(h)) < sizeof(h)) {
		q->s.is_broken = 1;
		return -EBADMSG;
	}
	s->unique = h.unique;
	if (f->is_gone) {
		r = answer_error(s);
		return r < 0 ? r : 1;
	}
	call.in_len = (uint32_t)vq_read(&s->chain, 0, memory_of(f, i), FS_SLOT_BYTES);
	call.out_max = (uint32_t)MIN(s->chain.in_bytes, (uint64_t)FS_SLOT_BYTES);
	s->is_busy = true;
	f->n_free--;
	/* There are fewer slots than messages that the socket takes. */
	if (write(f->sock, &call, sizeof(call)) != sizeof(call))
		lose_server(f, "has ended");
	return 1;
}

/* true: there may be more */
static bool serve(struct fs_device *f, struct virtqueue *q)
{
	int r = 1;

	for (unsigned n = 0; r > 0 && n < BATCH && f->n_free > 0; n++)
		r = take_request(f, q);
	if (r < 0)
		virtio_queue_broken(&f->d, q);
	return r > 0 && f->n_free > 0;
}

static bool is_served(const struct virtqueue *q) { return q->desc && !q->s.is_broken; }

static void sleep_until(struct fs_device *f)
{
	struct pollfd fds[2 + QUEUES] = { { .fd = f->wake_fd, .events = POLLIN },
					  { .fd = f->is_gone ? -1 : f->sock, .events = POLLIN } };
	eventfd_t n;

	for (unsigned i = 0; i < QUEUES; i++) /* while no slot is free, kicks change nothing */
		fds[2 + i] = (struct pollfd){ .fd = is_served(&f->d.queues[i]) && f->n_free > 0 ? f->d.queues[i].kick_fd : -1,
					      .events = POLLIN };
	if (poll(fds, ARRAY_SIZE(fds), -1) <= 0)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		if (i != 1 && fds[i].revents)
			(void)!eventfd_read(fds[i].fd, &n);
}

bool fs_device_turn(struct virtio_device *d)
{
	struct fs_device *f = fs_of(d);
	bool more = false;

	take_done(f);
	for (unsigned i = 0; i < QUEUES; i++)
		if (is_served(&d->queues[i]))
			more = serve(f, &d->queues[i]) || more;
	for (unsigned i = 0; i < QUEUES; i++)
		vq_flush(&d->queues[i]);
	return more;
}

unsigned fs_device_free_slots(struct virtio_device *d) { return fs_of(d)->n_free; }

static void work(void *arg)
{
	struct fs_device *f = arg;

	while (!atomic_load(&f->is_stopping))
		if (!fs_device_turn(&f->d))
			sleep_until(f);
}

/* ---- the device ---- */

static void run(struct fs_device *f)
{
	atomic_store(&f->is_stopping, false);
	if (f->d.workers[0]) /* else a test takes the turns itself */
		vmm_worker_start(f->d.workers[0], work, f);
}

static void stop(struct fs_device *f)
{
	atomic_store(&f->is_stopping, true);
	(void)!eventfd_write(f->wake_fd, 1);
	if (f->d.workers[0])
		vmm_worker_wait(f->d.workers[0]);
}

static int activate(struct virtio_device *d, struct err *e)
{
	(void)e;
	run(fs_of(d));
	return 0;
}

static void reset(struct virtio_device *d)
{
	struct fs_device *f = fs_of(d);

	stop(f);
	for (unsigned i = 0; i < FS_SLOTS; i++)
		f->slots[i].is_lost = f->slots[i].is_busy;
}

static void quiesce(struct virtio_device *d)
{
	if (d->is_active)
		stop(fs_of(d));
}

static void resume(struct virtio_device *d)
{
	if (d->is_active)
		run(fs_of(d));
}

static int save(struct virtio_device *d, void *to, struct err *e)
{
	(void)to;
	return err_set(e, EOPNOTSUPP, "a VM with shared directories (%s) can't be saved: its open files are the host's",
		       fs_of(d)->tag);
}

static int load(struct virtio_device *d, const void *from, struct err *e)
{
	(void)from;
	return err_set(e, EBADMSG, "saved state: of shared directories (%s), which are never saved", fs_of(d)->tag);
}

static void fs_device_free(struct virtio_device *d)
{
	struct fs_device *f = fs_of(d);

	if (f->arena)
		munmap(f->arena, FS_ARENA_BYTES);
	fd_close(f->wake_fd);
	free(f);
}

static const struct virtio_device_ops ops = { .name = "fs",
					      .id = VIRTIO_ID_FS,
					      .activate = activate,
					      .reset = reset,
					      .owns_kicks = true,
					      .worker_class = VMM_THREAD_FILE,
					      .quiesce = quiesce,
					      .resume = resume,
					      .state_version = 1,
					      .state_bytes = sizeof(uint64_t), /* so that save is asked */
					      .save = save,
					      .load = load,
					      .free = fs_device_free };

/* ---- making it ---- */

static int say_hello(struct fs_device *f, struct err *e)
{
	const struct fs_hello h = { FS_WIRE_MAGIC, FS_SLOTS, FS_SLOT_BYTES, 0 };
	_cleanup_fd_ int arena = fs_arena_new(&f->arena, e);
	int r;

	if (arena < 0)
		return arena;
	r = sock_send_fds(f->sock, &h, sizeof(h), &arena, 1);
	if (r >= 0)
		r = fd_nonblock(f->sock, true);
	return r < 0 ? err_set(e, -r, "shared directories (%s): the file server: %s", f->tag, strerror(-r)) : 0;
}

int virtio_fs_new(const struct vmm_fs_plan *plan, struct virtio_device **ret, struct err *e)
{
	struct fs_device *f = calloc(1, sizeof(*f));
	struct virtio_fs_config c = { .num_request_queues = 1 };
	int r;

	if (!f)
		return err_set(e, ENOMEM, "out of memory");
	f->sock = plan->fd;
	memcpy(f->tag, plan->tag, MIN(strlen(plan->tag), sizeof(f->tag) - 1));
	memcpy(c.tag, f->tag, sizeof(c.tag));
	for (unsigned i = FS_SLOTS; i-- > 0;)
		f->free[f->n_free++] = (uint8_t)i;
	f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = f->wake_fd < 0 ? err_set(e, errno, "eventfd: %s", strerror(errno)) : say_hello(f, e);
	if (r < 0) {
		fs_device_free(&f->d);
		return r;
	}
	f->d.ops = &ops;
	f->d.n_workers = 1;
	f->d.n_queues = QUEUES;
	for (unsigned i = 0; i < QUEUES; i++)
		f->d.queues[i].size_max = QUEUE_SIZE;
	f->d.config_bytes = sizeof(c);
	memcpy(f->d.config, &c, sizeof(c));
	*ret = &f->d;
	return 0;
}
