/* queue: see queue.h. Section numbers are those of virtio 1.2. */
#include "queue.h"

#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

enum { DESC_ALIGN = 16, AVAIL_ALIGN = 2, USED_ALIGN = 4 }; /* 2.7 */

/* A ring's word, which the guest may be writing just now: one access, with the ordering that 2.7.13 and 2.7.14 ask for. */
static uint16_t load16(const uint16_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static void store16(uint16_t *p, uint16_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
/* A counter that one thread writes and another may read. */
static void add(uint64_t *counter, uint64_t n) { __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED); }
static void fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

static int break_queue(struct virtqueue *q)
{
	q->s.is_broken = 1;
	return -EBADMSG;
}

static uint16_t *avail_event(const struct virtqueue *q) { return (uint16_t *)(void *)&q->used->ring[q->s.size]; }
static uint16_t used_event(const struct virtqueue *q) { return load16(&q->avail->ring[q->s.size]); }
static void dirty_used(struct virtqueue *q, uint64_t offset, uint64_t n) { vmm_mem_dirty(q->mem, q->s.used + offset, n); }

int vq_enable(struct virtqueue *q)
{
	uint64_t n = q->s.size;

	q->desc = NULL;
	if (n == 0 || n > q->size_max || n & (n - 1) || q->s.desc % DESC_ALIGN || q->s.avail % AVAIL_ALIGN ||
	    q->s.used % USED_ALIGN) {
		q->s.is_broken = 1;
		return -EINVAL;
	}
	/* With the event words behind the rings (2.7.6, 2.7.8), whether they are used or not. */
	const void *desc = vmm_mem_at(q->mem, q->s.desc, n * sizeof(struct vring_desc));
	const void *avail = vmm_mem_at(q->mem, q->s.avail, 6 + 2 * n);
	void *used = vmm_mem_at_write(q->mem, q->s.used, 6 + 8 * n);
	if (!desc || !avail || !used) {
		q->s.is_broken = 1;
		return -EINVAL;
	}
	q->desc = desc;
	q->avail = avail;
	q->used = used;
	q->s.is_enabled = 1;
	return 0;
}

void vq_reset(struct virtqueue *q)
{
	q->s = (struct vq_state){ .size = q->size_max, .vector = 0xffff };
	q->desc = NULL;
	q->avail = NULL;
	q->used = NULL;
	q->call_fd = -1;
	q->has_event_idx = q->has_indirect = false;
}

/* ---- a chain ---- */

struct word {
	uint64_t v;
} __attribute__((packed));

/* One descriptor, copied once: what is checked is what is used (V06). The one place where a race with the guest is meant, of which
 * ThreadSanitizer need not tell. */
__attribute__((no_sanitize("thread"))) static struct vring_desc load_desc(const struct vring_desc *d)
{
	struct vring_desc mine;
	/* volatile: read once; packed: an indirect table may be anywhere */
	const volatile struct word *from = (const volatile struct word *)(const volatile void *)d;
	uint64_t words[2] = { from[0].v, from[1].v };

	memcpy(&mine, words, sizeof(mine));
	return mine;
}

static int add_buffer(struct virtqueue *q, struct vq_chain *c, const struct vring_desc *d)
{
	bool is_in = d->flags & VRING_DESC_F_WRITE;
	uint64_t *sum = is_in ? &c->in_bytes : &c->out_bytes;
	unsigned n = c->n_out + c->n_in;
	const void *p;

	if (d->len == 0 || n == c->iov_max || (!is_in && c->n_in > 0)) /* 2.7.4.2: what is written comes last */
		return -EBADMSG;
	p = is_in ? vmm_mem_at_fill(q->mem, d->addr, d->len) : vmm_mem_at(q->mem, d->addr, d->len);
	if (!p || *sum + d->len > UINT32_MAX)
		return -EBADMSG;
	*sum += d->len;
	c->iov[n] = (struct iovec){ (void *)(uintptr_t)p, d->len };
	if (c->gpa)
		c->gpa[n] = d->addr;
	c->n_out += !is_in;
	c->n_in += is_in;
	return 0;
}

/* The table of an indirect descriptor (2.7.5.3): in RAM, whole descriptors, not within another, nothing behind it. */
static const struct vring_desc *open_indirect(struct virtqueue *q, const struct vring_desc *d, uint32_t *ret_n)
{
	if (!q->has_indirect || d->flags & VRING_DESC_F_NEXT || d->len == 0 || d->len % sizeof(*d))
		return NULL;
	*ret_n = d->len / (uint32_t)sizeof(*d);
	return vmm_mem_at(q->mem, d->addr, d->len);
}

static int walk(struct virtqueue *q, uint16_t head, struct vq_chain *c)
{
	const struct vring_desc *table = q->desc;
	uint32_t n = q->s.size, at = head;
	bool is_indirect = false;

	/* Each turn adds a buffer, of which there are at most iov_max, but the one that enters the indirect table. */
	for (;;) {
		struct vring_desc d;

		if (at >= n)
			return -EBADMSG;
		d = load_desc(&table[at]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			table = is_indirect ? NULL : open_indirect(q, &d, &n);
			if (!table)
				return -EBADMSG;
			is_indirect = true;
			at = 0;
			continue;
		}
		if (add_buffer(q, c, &d) < 0)
			return -EBADMSG;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		at = d.next;
	}
}

int vq_pop(struct virtqueue *q, struct vq_chain *c)
{
	uint16_t waiting, head;

	if (q->s.is_broken)
		return -EBADMSG;
	if (!q->desc)
		return 0;
	waiting = (uint16_t)(load16(&q->avail->idx) - q->s.next_avail);
	if (waiting == 0)
		return 0;
	if (waiting > q->s.size)
		return break_queue(q);
	head = load16(&q->avail->ring[q->s.next_avail & (q->s.size - 1)]);
	if (head >= q->s.size)
		return break_queue(q);
	c->head = head;
	c->n_out = c->n_in = 0;
	c->out_bytes = c->in_bytes = 0;
	if (walk(q, head, c) < 0)
		return break_queue(q);
	q->s.next_avail++;
	add(&q->n_popped, 1);
	return 1;
}

void vq_unpop(struct virtqueue *q, unsigned n)
{
	q->s.next_avail = (uint16_t)(q->s.next_avail - n);
	add(&q->n_popped, -(uint64_t)n);
}

static void dirty_buffers(struct virtqueue *q, const struct vq_chain *c, uint64_t bytes)
{
	for (unsigned i = c->n_out; i < c->n_out + c->n_in && bytes > 0; i++) {
		uint64_t n = MIN(bytes, c->iov[i].iov_len);

		vmm_mem_dirty_host(q->mem, c->iov[i].iov_base, n);
		bytes -= n;
	}
}

int vq_push_many(struct virtqueue *q, const struct vq_chain *c, const uint64_t *written, unsigned n)
{
	if (q->s.is_broken || !q->desc)
		return -EBADMSG;
	for (unsigned i = 0; i < n; i++) {
		uint16_t at = q->s.next_used++ & (uint16_t)(q->s.size - 1);
		uint64_t len = MIN(written[i], c[i].in_bytes);

		dirty_buffers(q, &c[i], len);
		q->used->ring[at] = (struct vring_used_elem){ c[i].head, (uint32_t)len };
		dirty_used(q, offsetof(struct vring_used, ring) + at * sizeof(struct vring_used_elem),
			   sizeof(struct vring_used_elem));
	}
	store16(&q->used->idx, q->s.next_used);
	dirty_used(q, 0, sizeof(struct vring_used));
	return 0;
}

int vq_push(struct virtqueue *q, const struct vq_chain *c, uint64_t written) { return vq_push_many(q, c, &written, 1); }

/* ---- notifications ---- */

/* 2.7.7.1: does the guest want to know of [old, now)? */
static bool wants_interrupt(const struct virtqueue *q, uint16_t old, uint16_t now)
{
	if (!q->has_event_idx)
		return !(load16(&q->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	return !q->s.has_signalled || vring_need_event(used_event(q), now, old);
}

void vq_flush(struct virtqueue *q)
{
	uint16_t old = q->s.signalled_used, now = q->s.next_used;

	if (!q->desc || q->s.is_broken || (now == old && q->s.has_signalled))
		return;
	fence(); /* the guest sees the used index before we look whether it sleeps */
	bool wanted = wants_interrupt(q, old, now);
	q->s.signalled_used = now;
	q->s.has_signalled = 1;
	if (wanted && q->call_fd >= 0) {
		add(&q->n_raised, 1);
		(void)!eventfd_write(q->call_fd, 1);
	}
}

bool vq_wait(struct virtqueue *q)
{
	if (!q->desc || q->s.is_broken)
		return false;
	if (q->has_event_idx)
		store16(avail_event(q), q->s.next_avail);
	else
		store16(&q->used->flags, 0);
	dirty_used(q, q->has_event_idx ? 4 + 8ull * q->s.size : 0, 2);
	fence(); /* we look for more only when the guest knows that we sleep */
	return load16(&q->avail->idx) != q->s.next_avail;
}

void vq_busy(struct virtqueue *q)
{
	if (!q->desc || q->has_event_idx) /* with event-idx, no new event asked for is none to come */
		return;
	store16(&q->used->flags, VRING_USED_F_NO_NOTIFY);
	dirty_used(q, 0, 2);
}

/* ---- copies ---- */

static unsigned part(const struct iovec *iov, unsigned n, uint64_t offset, uint64_t max, struct iovec *ret)
{
	unsigned k = 0;

	for (unsigned i = 0; i < n && max > 0; i++) {
		uint64_t len = iov[i].iov_len;

		if (offset >= len) {
			offset -= len;
			continue;
		}
		ret[k] = (struct iovec){ (char *)iov[i].iov_base + offset, MIN(len - offset, max) };
		max -= ret[k++].iov_len;
		offset = 0;
	}
	return k;
}

unsigned vq_out(const struct vq_chain *c, uint64_t offset, uint64_t max_bytes, struct iovec *ret)
{
	return part(c->iov, c->n_out, offset, max_bytes, ret);
}

unsigned vq_in(const struct vq_chain *c, uint64_t offset, uint64_t max_bytes, struct iovec *ret)
{
	return part(c->iov + c->n_out, c->n_in, offset, max_bytes, ret);
}

static size_t copy(const struct iovec *iov, unsigned n_iov, uint64_t offset, void *p, size_t n, bool to_guest)
{
	uint8_t *mine = p;
	size_t done = 0;

	for (unsigned i = 0; i < n_iov && done < n; i++) {
		size_t len = iov[i].iov_len, take;

		if (offset >= len) {
			offset -= len;
			continue;
		}
		take = MIN(len - offset, n - done);
		if (to_guest)
			memcpy((char *)iov[i].iov_base + offset, mine + done, take);
		else
			memcpy(mine + done, (const char *)iov[i].iov_base + offset, take);
		done += take;
		offset = 0;
	}
	return done;
}

size_t vq_read(const struct vq_chain *c, uint64_t offset, void *to, size_t n)
{
	return copy(c->iov, c->n_out, offset, to, n, false);
}

size_t vq_write(const struct vq_chain *c, uint64_t offset, const void *from, size_t n)
{
	return copy(c->iov + c->n_out, c->n_in, offset, (void *)(uintptr_t)from, n, true);
}
