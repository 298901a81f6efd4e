/* mem: memory that a running guest gets and gives back by blocks (virtio 1.2, 5.15). The blocks are those of the room to grow into
 * (../memory.h), behind the RAM that the guest booted with.
 *
 *   mem_request      what the guest shall have: requested_size in the config, of which the driver is told
 *   the driver       PLUG as many blocks as that allows, UNPLUG what is too much: it chooses which, and may take its time
 *   a block          UNPLUGGED -plug-> PLUGGED -unplug, unplug all-> UNPLUGGED, when the host has its pages back
 *
 * The room becomes guest memory in pieces as more is asked for (usable_region_size), and what is behind those is nothing at all, for
 * the guest as for us. Within a piece, a guest that breaks the rules can touch blocks that it has not plugged: KVM has no
 * finer means that would not cost honest guests a great deal. So the account here is the driver's word, as a balloon's is, and what holds a
 * VM to its size is the memory limit of its cgroup, which whoever asks for more raises first.
 *
 * A reset of the device leaves memory plugged, since the next driver finds its data there (5.15.5.2). */
#include <endian.h>
#include <linux/virtio_mem.h>

#include "mem.h"

#define BLOCK        (2ull << 20)
#define BLOCKS_MAX   (VMM_ROOM_MAX / BLOCK)
#define WORD         64u
#define CONFIG(name) offsetof(struct virtio_mem_config, name)
enum { QUEUE_SIZE = 64, REQUESTS = 32 /* a turn */, BUFFERS = 4 };

/* In a snapshot. */
struct mem_state {
	uint64_t requested_bytes;
	uint64_t plugged[BLOCKS_MAX / WORD]; /* a bit a block */
};

struct mem {
	struct virtio_device d;
	uint64_t gpa, room_bytes, plugged_bytes;
	struct mem_state s;
	bool has_warned;
};

static struct mem *mem_of(struct virtio_device *d) { return container_of(d, struct mem, d); }

/* ---- blocks ---- */

static uint64_t count_plugged(const struct mem *m, uint64_t first, uint64_t n)
{
	uint64_t count = 0;

	for (uint64_t i = first; i < first + n; i++)
		count += m->s.plugged[i / WORD] >> i % WORD & 1;
	return count;
}

static void mark(struct mem *m, uint64_t first, uint64_t n, bool is_plugged)
{
	const uint64_t was = count_plugged(m, first, n);
	uint64_t le;

	for (uint64_t i = first; i < first + n; i++)
		if (is_plugged)
			m->s.plugged[i / WORD] |= 1ull << i % WORD;
		else
			m->s.plugged[i / WORD] &= ~(1ull << i % WORD);
	m->plugged_bytes = m->plugged_bytes - was * BLOCK + (is_plugged ? n * BLOCK : 0);
	le = htole64(m->plugged_bytes);
	virtio_note_config(&m->d, CONFIG(plugged_size), &le, sizeof(le));
}

/* The host's failure is no fault of the driver's, which may try again. */
static uint16_t discard(struct mem *m, uint64_t first, uint64_t n)
{
	int r = vmm_mem_discard_to_zero(m->d.mem, m->gpa + first * BLOCK, n * BLOCK);

	if (r >= 0)
		return VIRTIO_MEM_RESP_ACK;
	if (!m->has_warned)
		log_warn("mem", "memory can't be given back to the host: %s", strerror(-r));
	m->has_warned = true;
	return VIRTIO_MEM_RESP_BUSY;
}

/* ---- requests (5.15.6) ---- */

static uint16_t plug(struct mem *m, uint64_t first, uint64_t n)
{
	if (count_plugged(m, first, n) > 0)
		return VIRTIO_MEM_RESP_ERROR;
	if (m->plugged_bytes + n * BLOCK > m->s.requested_bytes)
		return VIRTIO_MEM_RESP_NACK;
	mark(m, first, n, true);
	return VIRTIO_MEM_RESP_ACK;
}

static uint16_t unplug(struct mem *m, uint64_t first, uint64_t n)
{
	uint16_t word;

	if (count_plugged(m, first, n) < n)
		return VIRTIO_MEM_RESP_ERROR;
	word = discard(m, first, n);
	if (word == VIRTIO_MEM_RESP_ACK)
		mark(m, first, n, false);
	return word;
}

static uint16_t unplug_all(struct mem *m)
{
	uint64_t n = vmm_mem_room(m->d.mem)->bytes / BLOCK;
	uint16_t word = m->plugged_bytes ? discard(m, 0, n) : VIRTIO_MEM_RESP_ACK;

	if (word == VIRTIO_MEM_RESP_ACK)
		mark(m, 0, n, false);
	return word;
}

static uint16_t state_of(const struct mem *m, uint64_t first, uint64_t n)
{
	uint64_t plugged = count_plugged(m, first, n);

	return plugged == n ? VIRTIO_MEM_STATE_PLUGGED : plugged ? VIRTIO_MEM_STATE_MIXED : VIRTIO_MEM_STATE_UNPLUGGED;
}

/* [*first, *first + *n) of the usable region's blocks, from what a request says: the three that name blocks do so in the same place. */
static bool names_blocks(const struct mem *m, const struct virtio_mem_req *q, uint64_t *first, uint64_t *n)
{
	uint64_t at = le64toh(q->u.plug.addr) - m->gpa, usable = vmm_mem_room(m->d.mem)->bytes;

	*first = at / BLOCK;
	*n = le16toh(q->u.plug.nb_blocks);
	return *n > 0 && at % BLOCK == 0 && at < usable && *n * BLOCK <= usable - at;
}

static struct virtio_mem_resp answer(struct mem *m, const struct virtio_mem_req *q)
{
	struct virtio_mem_resp a = { .type = htole16(VIRTIO_MEM_RESP_ERROR) };
	uint16_t type = le16toh(q->type);
	uint64_t first, n;

	if (type == VIRTIO_MEM_REQ_UNPLUG_ALL) {
		a.type = htole16(unplug_all(m));
	} else if (names_blocks(m, q, &first, &n)) {
		if (type == VIRTIO_MEM_REQ_PLUG)
			a.type = htole16(plug(m, first, n));
		else if (type == VIRTIO_MEM_REQ_UNPLUG)
			a.type = htole16(unplug(m, first, n));
		else if (type == VIRTIO_MEM_REQ_STATE) {
			a.type = htole16(VIRTIO_MEM_RESP_ACK);
			a.u.state.state = htole16(state_of(m, first, n));
		}
	}
	return a;
}

static int serve_one(struct mem *m, struct virtqueue *q, const struct vq_chain *c)
{
	struct virtio_mem_req request;
	struct virtio_mem_resp a;

	if (vq_read(c, 0, &request, sizeof(request)) < sizeof(request) || c->in_bytes < sizeof(a))
		return -EBADMSG;
	a = answer(m, &request);
	(void)vq_write(c, 0, &a, sizeof(a));
	return vq_push(q, c, sizeof(a));
}

static void kick(struct virtio_device *d, unsigned queue)
{
	struct virtqueue *q = &d->queues[queue];
	struct iovec iov[BUFFERS];
	struct vq_chain c = { .iov = iov, .iov_max = BUFFERS };
	int done = 0, r;

	do {
		while ((r = done < REQUESTS ? vq_pop(q, &c) : 0) > 0 && (r = serve_one(mem_of(d), q, &c)) >= 0)
			done++;
	} while (r == 0 && done < REQUESTS && vq_wait(q));
	vq_flush(q);
	if (r < 0)
		virtio_queue_broken(d, q);
	else if (done == REQUESTS)
		virtio_kick_self(q);
}

/* ---- life ---- */

static int activate(struct virtio_device *d, struct err *e)
{
	(void)d;
	(void)e;
	return 0;
}

static void reset(struct virtio_device *d) { (void)d; }

/* usable_region_size, plugged_size and requested_size follow each other. */
static void show(struct mem *m)
{
	const uint64_t sizes[] = { htole64(vmm_mem_room(m->d.mem)->bytes), htole64(m->plugged_bytes),
				   htole64(m->s.requested_bytes) };

	_Static_assert(CONFIG(requested_size) == CONFIG(usable_region_size) + 2 * sizeof(uint64_t), "in a row");
	virtio_set_config(&m->d, CONFIG(usable_region_size), sizes, sizeof(sizes));
}

static int save(struct virtio_device *d, void *state, struct err *e)
{
	(void)e;
	memcpy(state, &mem_of(d)->s, sizeof(struct mem_state));
	return 0;
}

static int load(struct virtio_device *d, const void *state, struct err *e)
{
	struct mem *m = mem_of(d);
	const struct mem_state *s = state;
	uint64_t n = 0, end = 0;
	int r;

	for (uint64_t i = 0; i < BLOCKS_MAX; i++)
		if (s->plugged[i / WORD] >> i % WORD & 1) {
			n++;
			end = (i + 1) * BLOCK;
		}
	if (s->requested_bytes % BLOCK || MAX(s->requested_bytes, end) > m->room_bytes)
		return err_set(e, EBADMSG, "more memory plugged than there is room for");
	r = vmm_mem_grow(d->mem, MAX(s->requested_bytes, end), e);
	if (r < 0)
		return r;
	memcpy(&m->s, s, sizeof(*s));
	m->plugged_bytes = n * BLOCK;
	show(m);
	return 0;
}

static void mem_free(struct virtio_device *d) { free(mem_of(d)); }

static const struct virtio_device_ops ops = { .name = "mem",
					      .id = VIRTIO_ID_MEM,
					      .activate = activate,
					      .reset = reset,
					      .kick = kick,
					      .state_version = 1,
					      .state_bytes = sizeof(struct mem_state),
					      .save = save,
					      .load = load,
					      .free = mem_free };

int virtio_mem_new(struct vmm_mem *mem, struct virtio_device **ret, struct err *e)
{
	struct mem *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(e, ENOMEM, "out of memory");
	m->gpa = vmm_mem_room(mem)->gpa;
	m->room_bytes = vmm_mem_room_bytes(mem);
	m->d.ops = &ops;
	m->d.features = 1ull << VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE;
	m->d.n_queues = 1;
	m->d.queues[0].size_max = QUEUE_SIZE;
	m->d.config_bytes = sizeof(struct virtio_mem_config);
	const struct virtio_mem_config c = { .block_size = htole64(BLOCK),
					     .addr = htole64(m->gpa),
					     .region_size = htole64(m->room_bytes) };
	memcpy(m->d.config, &c, sizeof(c));
	*ret = &m->d;
	return 0;
}

/* ---- what is asked of it ---- */

struct virtio_device *mem_find(struct vmm *vm)
{
	for (unsigned i = 0; i < vm->n_devices; i++)
		if (vm->devices[i]->ops == &ops)
			return vm->devices[i];
	return NULL;
}

int mem_request(struct virtio_device *d, uint64_t bytes, struct err *e)
{
	struct mem *m = mem_of(d);
	int r;

	if (bytes > m->room_bytes)
		return err_set(e, ENOSPC, "room for %llu bytes more, not for %llu", (unsigned long long)m->room_bytes,
			       (unsigned long long)bytes);
	bytes = (bytes + BLOCK - 1) / BLOCK * BLOCK;
	if (bytes == m->s.requested_bytes) /* a word would make the driver begin anew */
		return 0;
	r = vmm_mem_grow(d->mem, bytes, e);
	if (r < 0)
		return r;
	m->s.requested_bytes = bytes;
	show(m);
	return 0;
}

void mem_report(struct virtio_device *d, struct mem_report *ret)
{
	const struct mem *m = mem_of(d);

	*ret = (struct mem_report){ m->room_bytes, m->s.requested_bytes, m->plugged_bytes };
}
