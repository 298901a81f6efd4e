/* pci: the virtio transport over PCI (virtio 1.2, 4.1), modern only. One 32-bit BAR, a page for each structure:
 *
 *   0x0000 common   0x1000 ISR   0x2000 the device's config   0x3000 notify, 4 bytes a queue   0x4000 MSI-X
 *
 * Registers are read and written on vCPU threads under `lock`. The two transitions that reach the device, DRIVER_OK and the
 * reset of an active one, are carried out on the vmm thread, without `lock`, while the vCPU that asked waits. */
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "pci_impl.h"

enum {
	BAR = 0,
	WINDOW_BAR = 2, /* and 3 */
	BAR_BYTES = 0x8000,
	PAGE = 0x1000,
	COMMON = 0x0000,
	ISR = 0x1000,
	CONFIG = 0x2000,
	NOTIFY = 0x3000,
	MSIX = 0x4000,

	VENDOR = 0x1af4,
	DEVICE_BASE = 0x1040,        /* 4.1.2 */
	CLASS_REV = (int)0xff000001, /* no class; revision 1: not transitional */
	ISR_CONFIG = 2,
	NO_VECTOR = VIRTIO_MSI_NO_VECTOR,
};

/* ---- interrupts ---- */

static void raise_config(struct virtio_pci *p)
{
	int fd;

	p->isr |= ISR_CONFIG;
	fd = msix_fd(&p->msix, p->config_vector);
	if (fd >= 0 && p->status & VIRTIO_CONFIG_S_DRIVER_OK)
		(void)!eventfd_write(fd, 1);
}

void virtio_queue_broken(struct virtio_device *d, struct virtqueue *q)
{
	struct virtio_pci *p = d->pci;

	if (q)
		q->s.is_broken = 1;
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	if (!(p->status & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		p->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		raise_config(p);
		log_warn("virtio", "%s (slot %u): the driver broke the rules, the device waits for its reset", d->ops->name,
			 p->f.slot);
	}
	pthread_mutex_unlock(&p->lock);
}

static void put_config(struct virtio_device *d, unsigned offset, const void *p, unsigned n, bool tells)
{
	struct virtio_pci *pci = d->pci;

	if (pci)
		pthread_mutex_lock(&pci->lock);
	memcpy(d->config + offset, p, n);
	if (pci && tells) {
		pci->generation++;
		raise_config(pci);
	}
	if (pci)
		pthread_mutex_unlock(&pci->lock);
}

void virtio_set_config(struct virtio_device *d, unsigned offset, const void *p, unsigned n) { put_config(d, offset, p, n, true); }

void virtio_note_config(struct virtio_device *d, unsigned offset, const void *p, unsigned n)
{
	put_config(d, offset, p, n, false);
}

void virtio_kick_self(struct virtqueue *q) { (void)!eventfd_write(q->kick_fd, 1); }

/* ---- activation and reset: vmm thread ---- */

static void on_kick(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct virtqueue *q = arg;
	struct virtio_device *d = q->device;
	eventfd_t n;

	(void)l;
	(void)events;
	(void)!eventfd_read(fd, &n);
	if (d->is_active && q->desc && !q->s.is_broken)
		d->ops->kick(d, (unsigned)(q - d->queues));
}

static void stop_kicks(struct virtio_pci *p)
{
	for (unsigned i = 0; i < p->d->n_queues; i++) {
		loop_del(p->kicks[i]);
		p->kicks[i] = NULL;
	}
}

static int start_kicks(struct virtio_pci *p)
{
	int r = 0;

	for (unsigned i = 0; r >= 0 && i < p->d->n_queues; i++)
		if (p->d->queues[i].desc)
			r = loop_add(p->vm->loop, p->d->queues[i].kick_fd, EPOLLIN, on_kick, &p->d->queues[i], &p->kicks[i]);
	return r;
}

static void deactivate(struct virtio_device *d)
{
	if (!d->is_active)
		return;
	stop_kicks(d->pci);
	d->ops->reset(d);
	d->is_active = false;
}

static void reset_registers(struct virtio_pci *p)
{
	p->driver_features = 0;
	p->feature_select = p->driver_feature_select = 0;
	p->config_vector = NO_VECTOR;
	p->queue_select = 0;
	p->status = p->isr = 0;
	for (unsigned i = 0; i < p->d->n_queues; i++)
		vq_reset(&p->d->queues[i]);
}

static void do_reset(void *arg)
{
	struct virtio_pci *p = arg;

	deactivate(p->d);
	pthread_mutex_lock(&p->lock);
	reset_registers(p);
	pthread_mutex_unlock(&p->lock);
}

void virtio_pci_prepare(struct virtio_pci *p)
{
	struct virtio_device *d = p->d;

	d->features_acked = p->driver_features;
	for (unsigned i = 0; i < d->n_queues; i++) {
		struct virtqueue *q = &d->queues[i];

		q->has_indirect = virtio_has(d, VIRTIO_RING_F_INDIRECT_DESC);
		q->has_event_idx = virtio_has(d, VIRTIO_RING_F_EVENT_IDX);
		q->call_fd = msix_fd(&p->msix, q->s.vector);
	}
}

int virtio_pci_activate(struct virtio_device *d, struct err *e)
{
	struct virtio_pci *p = d->pci;
	int r;

	virtio_pci_prepare(p);
	r = d->ops->activate(d, e);
	if (r < 0)
		return r;
	d->is_active = true;
	if (d->ops->owns_kicks)
		return 0;
	r = start_kicks(p);
	if (r < 0)
		return err_set(e, -r, "event loop: %s", strerror(-r));
	/* Buffers may be there since before the first kick that could be heard. */
	for (unsigned i = 0; i < d->n_queues; i++)
		if (d->queues[i].desc && !d->queues[i].s.is_broken)
			d->ops->kick(d, i);
	return 0;
}

static void do_activate(void *arg)
{
	struct virtio_pci *p = arg;
	struct err e = { 0 };
	bool is_wanted;

	pthread_mutex_lock(&p->lock);
	is_wanted = !p->d->is_active && !(p->status & VIRTIO_CONFIG_S_DRIVER_OK) && p->status & VIRTIO_CONFIG_S_FEATURES_OK;
	if (is_wanted)
		p->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	pthread_mutex_unlock(&p->lock);
	if (is_wanted && virtio_pci_activate(p->d, &e) < 0) {
		log_error("virtio", "%s: %s", p->d->ops->name, e.msg);
		virtio_queue_broken(p->d, NULL);
	}
}

/* ---- common configuration: 4.1.4.3 ---- */

uint64_t virtio_pci_offered(const struct virtio_device *d)
{
	return d->features | 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX;
}

static struct virtqueue *selected(const struct virtio_pci *p)
{
	return p->queue_select < p->d->n_queues ? &p->d->queues[p->queue_select] : NULL;
}

static uint32_t half(uint64_t v, unsigned which) { return which == 0 ? (uint32_t)v : which == 1 ? (uint32_t)(v >> 32) : 0; }

static uint32_t read_queue(const struct virtio_pci *p, unsigned offset)
{
	const struct virtqueue *q = selected(p);

	if (!q) /* size 0: there is no such queue */
		return offset == VIRTIO_PCI_COMMON_Q_MSIX ? NO_VECTOR : 0;
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE: return q->s.size;
	case VIRTIO_PCI_COMMON_Q_MSIX: return q->s.vector;
	case VIRTIO_PCI_COMMON_Q_ENABLE: return q->s.is_enabled;
	case VIRTIO_PCI_COMMON_Q_NOFF: return p->queue_select;
	case VIRTIO_PCI_COMMON_Q_DESCLO: return half(q->s.desc, 0);
	case VIRTIO_PCI_COMMON_Q_DESCHI: return half(q->s.desc, 1);
	case VIRTIO_PCI_COMMON_Q_AVAILLO: return half(q->s.avail, 0);
	case VIRTIO_PCI_COMMON_Q_AVAILHI: return half(q->s.avail, 1);
	case VIRTIO_PCI_COMMON_Q_USEDLO: return half(q->s.used, 0);
	case VIRTIO_PCI_COMMON_Q_USEDHI: return half(q->s.used, 1);
	default: return 0;
	}
}

static uint32_t read_common(const struct virtio_pci *p, unsigned offset)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT: return p->feature_select;
	case VIRTIO_PCI_COMMON_DF: return half(virtio_pci_offered(p->d), p->feature_select);
	case VIRTIO_PCI_COMMON_GFSELECT: return p->driver_feature_select;
	case VIRTIO_PCI_COMMON_GF: return half(p->driver_features, p->driver_feature_select);
	case VIRTIO_PCI_COMMON_MSIX: return p->config_vector;
	case VIRTIO_PCI_COMMON_NUMQ: return p->d->n_queues;
	case VIRTIO_PCI_COMMON_STATUS: return p->status;
	case VIRTIO_PCI_COMMON_CFGGENERATION: return p->generation;
	case VIRTIO_PCI_COMMON_Q_SELECT: return p->queue_select;
	default: return read_queue(p, offset);
	}
}

/* A vector that is not there reads back as none, which tells the driver (4.1.5.1.2). */
static uint16_t valid_vector(const struct virtio_pci *p, uint32_t v) { return v < p->msix.n ? (uint16_t)v : NO_VECTOR; }

static void set_half(uint64_t *v, unsigned which, uint32_t to)
{
	*v = which ? (*v & UINT32_MAX) | (uint64_t)to << 32 : (*v & ~(uint64_t)UINT32_MAX) | to;
}

/* A queue's registers are the driver's until it enables the queue, and no later than DRIVER_OK; then they are deaf until the
 * reset (V05, CVE-2026-5747 of Firecracker: addresses that change under the device's feet). */
static void write_queue(struct virtio_pci *p, unsigned offset, uint32_t v)
{
	struct virtqueue *q = selected(p);

	if (!q || q->s.is_enabled || p->status & VIRTIO_CONFIG_S_DRIVER_OK)
		return;
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE: q->s.size = (uint16_t)v; break;
	case VIRTIO_PCI_COMMON_Q_MSIX: q->s.vector = valid_vector(p, v); break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (v == 1 && vq_enable(q) < 0)
			p->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO: set_half(&q->s.desc, 0, v); break;
	case VIRTIO_PCI_COMMON_Q_DESCHI: set_half(&q->s.desc, 1, v); break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO: set_half(&q->s.avail, 0, v); break;
	case VIRTIO_PCI_COMMON_Q_AVAILHI: set_half(&q->s.avail, 1, v); break;
	case VIRTIO_PCI_COMMON_Q_USEDLO: set_half(&q->s.used, 0, v); break;
	case VIRTIO_PCI_COMMON_Q_USEDHI: set_half(&q->s.used, 1, v); break;
	default: break;
	}
}

/* What is left to do on the vmm thread, or NULL. */
static void (*write_status(struct virtio_pci *p, uint8_t v))(void *)
{
	const uint8_t settable = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FAILED;

	if (v == 0)
		return do_reset;
	p->status |= v & settable;
	/* 3.1.1: what the driver took must be a part of the offer, and we don't speak legacy. */
	if (v & VIRTIO_CONFIG_S_FEATURES_OK && !(p->driver_features & ~virtio_pci_offered(p->d)) &&
	    p->driver_features >> VIRTIO_F_VERSION_1 & 1)
		p->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	return v & VIRTIO_CONFIG_S_DRIVER_OK && !(p->status & VIRTIO_CONFIG_S_DRIVER_OK) ? do_activate : NULL;
}

static void (*write_common(struct virtio_pci *p, unsigned offset, uint32_t v))(void *)
{
	bool is_negotiated = p->status & VIRTIO_CONFIG_S_FEATURES_OK, is_live = p->status & VIRTIO_CONFIG_S_DRIVER_OK;

	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT: p->feature_select = v; break;
	case VIRTIO_PCI_COMMON_GFSELECT: p->driver_feature_select = v; break;
	case VIRTIO_PCI_COMMON_GF:
		if (!is_negotiated && p->driver_feature_select < 2)
			set_half(&p->driver_features, p->driver_feature_select, v);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		if (!is_live)
			p->config_vector = valid_vector(p, v);
		break;
	case VIRTIO_PCI_COMMON_STATUS: return write_status(p, (uint8_t)v);
	case VIRTIO_PCI_COMMON_Q_SELECT: p->queue_select = (uint16_t)v; break;
	default: write_queue(p, offset, v); break;
	}
	return NULL;
}

/* How wide each register is; a driver accesses each by its own width, addresses by halves (4.1.3.1). */
static unsigned width_at(unsigned offset)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_NUMQ: return 2;
	case VIRTIO_PCI_COMMON_STATUS:
	case VIRTIO_PCI_COMMON_CFGGENERATION: return 1;
	default: return offset < VIRTIO_PCI_COMMON_MSIX || offset >= VIRTIO_PCI_COMMON_Q_DESCLO ? 4 : 2;
	}
}

/* ---- the device's own config: 4.1.4.6 ---- */

struct config_write {
	struct virtio_device *d;
	unsigned offset, n;
};

static void do_config_write(void *arg)
{
	const struct config_write *w = arg;

	w->d->ops->config_write(w->d, w->offset, w->n);
}

static void write_config(struct virtio_pci *p, unsigned offset, const void *data, unsigned n)
{
	struct virtio_device *d = p->d;
	struct config_write w = { d, offset, n };

	if (!d->ops->config_write || offset < d->config_rw || offset + n > d->config_rw_end)
		return;
	pthread_mutex_lock(&p->lock);
	memcpy(d->config + offset, data, n);
	pthread_mutex_unlock(&p->lock);
	vmm_call(p->vm, do_config_write, &w);
}

/* ---- the BAR ---- */

static void on_read(void *arg, uint64_t offset, void *data, unsigned size)
{
	struct virtio_pci *p = arg;
	unsigned at = (unsigned)offset % PAGE;
	uint64_t v = 0;

	if (offset >= MSIX) {
		msix_read(&p->msix, offset - MSIX, data, size);
		return;
	}
	pthread_mutex_lock(&p->lock);
	switch (offset - at) {
	case COMMON:
		if (size <= 4)
			v = read_common(p, at);
		break;
	case ISR:
		v = at == 0 ? p->isr : 0;
		p->isr = at == 0 ? 0 : p->isr; /* reading clears it: 4.1.4.5 */
		break;
	case CONFIG:
		if (at + size <= p->d->config_bytes)
			memcpy(&v, p->d->config + at, size);
		break;
	default: break;
	}
	pthread_mutex_unlock(&p->lock);
	memcpy(data, &v, size);
}

static void on_write(void *arg, uint64_t offset, const void *data, unsigned size)
{
	struct virtio_pci *p = arg;
	unsigned at = (unsigned)offset % PAGE;
	void (*rest)(void *) = NULL;
	uint64_t v = 0;

	memcpy(&v, data, size);
	if (offset >= MSIX) {
		msix_write(&p->msix, offset - MSIX, data, size);
	} else if (offset - at == COMMON && size == width_at(at)) {
		pthread_mutex_lock(&p->lock);
		rest = write_common(p, at, (uint32_t)v);
		pthread_mutex_unlock(&p->lock);
		if (rest)
			vmm_call(p->vm, rest, p);
	} else if (offset - at == CONFIG) {
		write_config(p, at, data, size);
	} else if (offset - at == NOTIFY && at / 4 < p->d->n_queues) { /* by the window below; usually an ioeventfd takes it */
		(void)!eventfd_write(p->d->queues[at / 4].kick_fd, 1);
	}
}
static const struct vmm_range_ops bar_ops = { "virtio registers", on_read, on_write };

/* ---- the window in configuration space (4.1.4.9): a BAR access for who can't reach the BAR ---- */

static bool window(const struct virtio_pci *p, unsigned offset, unsigned size, uint32_t *ret_at, uint32_t *ret_n)
{
	const uint8_t *cap = p->f.config + p->cfg_cap;

	if (offset + size <= p->cfg_cap + sizeof(struct virtio_pci_cap) ||
	    offset >= p->cfg_cap + sizeof(struct virtio_pci_cfg_cap))
		return false;
	memcpy(ret_at, cap + VIRTIO_PCI_CAP_OFFSET, 4);
	memcpy(ret_n, cap + VIRTIO_PCI_CAP_LENGTH, 4);
	return cap[VIRTIO_PCI_CAP_BAR] == BAR && (*ret_n == 1 || *ret_n == 2 || *ret_n == 4) && *ret_at % *ret_n == 0 &&
	       *ret_at <= BAR_BYTES - *ret_n;
}

static void on_config_read(struct pci_function *f, unsigned offset, unsigned size)
{
	struct virtio_pci *p = (struct virtio_pci *)f;
	uint32_t at, n;

	if (window(p, offset, size, &at, &n))
		on_read(p, at, f->config + p->cfg_cap + sizeof(struct virtio_pci_cap), n);
}

static void on_config_write(struct pci_function *f, unsigned offset, unsigned size)
{
	struct virtio_pci *p = (struct virtio_pci *)f;
	uint32_t at, n;

	if (offset <= p->msix.cap + 3 && offset + size > p->msix.cap + 2)
		msix_control(&p->msix);
	if (window(p, offset, size, &at, &n))
		on_write(p, at, f->config + p->cfg_cap + sizeof(struct virtio_pci_cap), n);
}

/* ---- building ---- */

static int add_caps(struct virtio_pci *p)
{
	static const struct {
		uint8_t type;
		uint32_t offset, length;
	} rows[] = {
		{ VIRTIO_PCI_CAP_COMMON_CFG, COMMON, PAGE },
		{ VIRTIO_PCI_CAP_ISR_CFG, ISR, PAGE },
		{ VIRTIO_PCI_CAP_DEVICE_CFG, CONFIG, PAGE },
	};
	struct virtio_pci_notify_cap notify = { .cap = { .cap_vndr = PCI_CAP_ID_VNDR,
							 .cap_len = sizeof(notify),
							 .cfg_type = VIRTIO_PCI_CAP_NOTIFY_CFG,
							 .bar = BAR,
							 .offset = NOTIFY,
							 .length = PAGE },
						.notify_off_multiplier = 4 };
	struct virtio_pci_cfg_cap cfg = {
		.cap = { .cap_vndr = PCI_CAP_ID_VNDR, .cap_len = sizeof(cfg), .cfg_type = VIRTIO_PCI_CAP_PCI_CFG }
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(rows); i++) {
		const struct virtio_pci_cap cap = { .cap_vndr = PCI_CAP_ID_VNDR,
						    .cap_len = sizeof(cap),
						    .cfg_type = rows[i].type,
						    .bar = BAR,
						    .offset = rows[i].offset,
						    .length = rows[i].length };
		r = pci_add_cap(&p->f, &cap, sizeof(cap));
	}
	if (r >= 0)
		r = pci_add_cap(&p->f, &notify, sizeof(notify));
	if (r >= 0)
		r = pci_add_cap(&p->f, &cfg, sizeof(cfg));
	if (r < 0)
		return r;
	p->cfg_cap = (unsigned)r;
	p->f.writable[r + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(&p->f.writable[r + VIRTIO_PCI_CAP_OFFSET], 0xff, 12); /* offset, length, data */
	return 0;
}

static int add_queues(struct virtio_pci *p, struct err *e)
{
	struct virtio_device *d = p->d;
	int r = 0;

	for (unsigned i = 0; r >= 0 && i < d->n_queues; i++) {
		struct virtqueue *q = &d->queues[i];

		q->mem = p->vm->mem;
		q->device = d;
		q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (q->kick_fd < 0)
			return err_set(e, errno, "eventfd of a queue: %s", strerror(errno));
		r = vmm_ioeventfd_add(p->vm->fd_vm, p->f.bars[BAR].gpa + NOTIFY + 4ull * i, q->kick_fd, e);
	}
	return r;
}

static int add_workers(struct virtio_pci *p, struct err *e)
{
	struct virtio_device *d = p->d;
	char name[32];
	int r = 0;

	for (unsigned i = 0; r >= 0 && i < d->n_workers; i++) {
		snprintf(name, sizeof(name), "%.5s%u.%u", d->ops->name, p->f.slot, i);
		r = vmm_worker_new(p->vm, d->ops->worker_class, name, &d->workers[i], e);
	}
	return r;
}

/* A 64-bit region, behind which the device maps its memory. */
static int add_window(struct virtio_pci *p, struct err *e)
{
	uint64_t bytes = PAGE;
	int r;

	if (!p->d->window_bytes)
		return 0;
	while (bytes < p->d->window_bytes)
		bytes *= 2;
	r = pci_add_bar(p->vm->pci, &p->f, WINDOW_BAR, bytes, true, NULL, NULL, e);
	return r < 0 ? r : p->d->ops->place(p->d, p->f.bars[WINDOW_BAR].gpa, e);
}

static int init(struct virtio_pci *p, struct err *e)
{
	struct virtio_device *d = p->d;
	int r = pci_add(p->vm->pci, &p->f, e);

	if (r >= 0)
		r = pci_add_bar(p->vm->pci, &p->f, BAR, BAR_BYTES, false, &bar_ops, p, e);
	if (r >= 0)
		r = add_window(p, e);
	if (r >= 0 && add_caps(p) < 0)
		r = err_set(e, ENOSPC, "no room for the capabilities");
	if (r >= 0) /* a vector for each queue, and one for the configuration */
		r = msix_init(&p->msix, p->vm->irqs, &p->f, d->n_queues + 1, BAR, MSIX, e);
	if (r >= 0)
		r = add_queues(p, e);
	if (r >= 0)
		r = add_workers(p, e);
	return r;
}

int virtio_add(struct vmm *vm, struct virtio_device *d, struct err *e)
{
	struct virtio_pci *p;
	int r;

	if (vm->n_devices == VMM_DEVICES_MAX)
		return err_set(e, ENOSPC, "more than %u devices", VMM_DEVICES_MAX);
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	pthread_mutex_init(&p->lock, NULL);
	p->vm = d->vm = vm;
	p->d = d;
	d->pci = p;
	d->mem = vm->mem;
	pci_function_init(&p->f, VENDOR, (uint16_t)(DEVICE_BASE + d->ops->id), (uint32_t)CLASS_REV, VENDOR, 0x1100);
	p->f.on_read = on_config_read;
	p->f.on_write = on_config_write;
	for (unsigned i = 0; i < d->n_queues; i++)
		d->queues[i].kick_fd = -1;
	reset_registers(p);
	/* From here on the VM frees it, whatever happens: the buses may know it already. */
	vm->devices[vm->n_devices++] = d;
	r = init(p, e);
	return r < 0 ? err_push(e, r, "virtio-%s", d->ops->name) : 0;
}

void virtio_reset_all(struct vmm *vm)
{
	for (unsigned i = 0; i < vm->n_devices; i++)
		deactivate(vm->devices[i]);
}

void virtio_free_all(struct vmm *vm)
{
	virtio_reset_all(vm);
	for (unsigned i = 0; i < vm->n_devices; i++) {
		struct virtio_device *d = vm->devices[i];
		struct virtio_pci *p = d->pci;

		for (unsigned k = 0; k < d->n_queues; k++)
			if (d->queues[k].kick_fd >= 0) {
				(void)vmm_ioeventfd_del(vm->fd_vm, p->f.bars[BAR].gpa + NOTIFY + 4ull * k, d->queues[k].kick_fd);
				fd_close(d->queues[k].kick_fd);
			}
		for (unsigned k = 0; k < d->n_workers; k++)
			vmm_worker_free(d->workers[k]);
		msix_done(&p->msix);
		pthread_mutex_destroy(&p->lock);
		free(p);
		d->ops->free(d);
	}
	vm->n_devices = 0;
}
