/* pci_state: transports, queues and devices in snapshots. A saved struct is a stranger's word: it is checked against what the
 * device at hand offers before anything of it is used. */
#include <linux/virtio_pci.h>

#include "pci_impl.h"

#define STATUS_BITS                                                                                                       \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)
#define TRANSPORT_VERSION 1u

struct transport_state {
	uint64_t driver_features;
	uint32_t feature_select, driver_feature_select;
	uint16_t config_vector, queue_select;
	uint8_t status, isr, generation, is_active;
	uint32_t n_queues, n_vectors, config_bytes, pad;
	uint8_t config[VIRTIO_CONFIG_MAX];
	struct vq_state queues[VIRTIO_QUEUES_MAX];
	struct msix_entry vectors[MSIX_VECTORS_MAX];
};

void virtio_quiesce_all(struct vmm *vm)
{
	for (unsigned i = 0; i < vm->n_devices; i++)
		if (vm->devices[i]->ops->quiesce)
			vm->devices[i]->ops->quiesce(vm->devices[i]);
}

void virtio_resume_all(struct vmm *vm)
{
	for (unsigned i = 0; i < vm->n_devices; i++)
		if (vm->devices[i]->ops->resume)
			vm->devices[i]->ops->resume(vm->devices[i]);
}

/* ---- saving ---- */

static int save_device(struct virtio_device *d, struct buf *out, struct err *e)
{
	const struct virtio_device_ops *ops = d->ops;
	_cleanup_free_ void *state = NULL;
	int r;

	if (!ops->state_bytes)
		return 0;
	state = calloc(1, ops->state_bytes);
	r = state ? ops->save(d, state, e) : err_set(e, ENOMEM, "out of memory");
	if (r >= 0)
		state_put(out, STATE_DEVICE, d->pci->f.slot, ops->state_version, state, ops->state_bytes);
	return r < 0 ? r : 1;
}

static void save_transport(struct virtio_pci *p, struct buf *out)
{
	const struct virtio_device *d = p->d;
	struct transport_state s = { .is_active = d->is_active };

	pthread_mutex_lock(&p->lock);
	s.driver_features = p->driver_features;
	s.feature_select = p->feature_select;
	s.driver_feature_select = p->driver_feature_select;
	s.config_vector = p->config_vector;
	s.queue_select = p->queue_select;
	s.status = p->status;
	s.isr = p->isr;
	s.generation = p->generation;
	s.n_queues = d->n_queues;
	s.n_vectors = p->msix.n;
	s.config_bytes = d->config_bytes;
	memcpy(s.config, d->config, d->config_bytes);
	for (unsigned i = 0; i < d->n_queues; i++)
		s.queues[i] = d->queues[i].s;
	pthread_mutex_unlock(&p->lock);
	msix_save(&p->msix, s.vectors);
	state_put(out, STATE_VIRTIO, p->f.slot, TRANSPORT_VERSION, &s, sizeof(s));
}

int virtio_save(struct vmm *vm, struct buf *out, struct err *e)
{
	int n = 0;

	for (unsigned i = 0; i < vm->n_devices; i++) {
		struct virtio_device *d = vm->devices[i];
		int r = save_device(d, out, e);

		if (r < 0)
			return err_push(e, r, "virtio-%s (slot %u)", d->ops->name, d->pci->f.slot);
		save_transport(d->pci, out);
		n += r + 1;
	}
	return n;
}

/* ---- loading ---- */

static bool is_vector(const struct virtio_pci *p, uint16_t v) { return v < p->msix.n || v == VIRTIO_MSI_NO_VECTOR; }

/* NULL: fit for this device; or what is not. */
static const char *misfit(const struct virtio_pci *p, const struct transport_state *s)
{
	const struct virtio_device *d = p->d;
	bool is_live = s->status & VIRTIO_CONFIG_S_DRIVER_OK;

	if (s->n_queues != d->n_queues || s->n_vectors != p->msix.n || s->config_bytes != d->config_bytes)
		return "another number of queues, vectors or configuration bytes: the plan is not the one that it was made with";
	if (s->status & ~STATUS_BITS || s->is_active > 1 || (s->is_active && !is_live) ||
	    (is_live && !(s->status & VIRTIO_CONFIG_S_FEATURES_OK)))
		return "an impossible status";
	if (s->status & VIRTIO_CONFIG_S_FEATURES_OK && s->driver_features & ~virtio_pci_offered(d))
		return "features that the device does not offer here";
	if (!is_vector(p, s->config_vector))
		return "a vector that is not there";
	for (unsigned i = 0; i < d->n_queues; i++) {
		const struct vq_state *q = &s->queues[i];

		if (q->is_enabled > 1 || q->is_broken > 1 || q->has_signalled > 1 || !is_vector(p, q->vector))
			return "an impossible queue";
	}
	return NULL;
}

/* The config bytes that a driver may write are the driver's; the rest is what the device offers now, and the driver is told
 * where that has changed. */
static void load_config(struct virtio_pci *p, const struct transport_state *s)
{
	struct virtio_device *d = p->d;

	if (d->config_rw_end > d->config_rw)
		memcpy(d->config + d->config_rw, s->config + d->config_rw, d->config_rw_end - d->config_rw);
	if (memcmp(d->config, s->config, d->config_bytes) != 0)
		p->generation++;
}

static int load_queues(struct virtio_device *d, const struct transport_state *s, struct err *e)
{
	for (unsigned i = 0; i < d->n_queues; i++) {
		struct virtqueue *q = &d->queues[i];

		q->s = s->queues[i];
		memset(q->s.pad, 0, sizeof(q->s.pad));
		if (q->s.is_enabled && vq_enable(q) < 0)
			return err_set(e, EBADMSG, "queue %u: an impossible size, or rings outside of memory", i);
	}
	return 0;
}

static int load_transport(struct virtio_pci *p, const struct transport_state *s, struct err *e)
{
	const char *what = misfit(p, s);

	if (what)
		return err_set(e, EBADMSG, "%s", what);
	p->driver_features = s->driver_features;
	p->feature_select = s->feature_select;
	p->driver_feature_select = s->driver_feature_select;
	p->config_vector = s->config_vector;
	p->queue_select = s->queue_select;
	p->status = s->status;
	p->isr = s->isr;
	p->generation = s->generation;
	load_config(p, s);
	msix_load(&p->msix, s->vectors);
	return load_queues(p->d, s, e);
}

static int load_device(struct virtio_device *d, const void *data, size_t len, struct err *e)
{
	const struct virtio_device_ops *ops = d->ops;
	_cleanup_free_ void *state = NULL;
	int r;

	if (!ops->state_bytes)
		return 0;
	state = calloc(1, ops->state_bytes);
	if (!state)
		return err_set(e, ENOMEM, "out of memory");
	r = state_get_struct(data, len, STATE_DEVICE, d->pci->f.slot, ops->state_version, state, ops->state_bytes, e);
	if (r >= 0)
		r = ops->load(d, state, e);
	return r < 0 ? r : 1;
}

/* A kick or an interrupt that was on its way when the state was saved is in no register. One too many does no harm. */
static void nudge(struct virtio_pci *p)
{
	for (unsigned i = 0; p->d->ops->owns_kicks && i < p->d->n_queues; i++)
		if (p->d->queues[i].desc)
			virtio_kick_self(&p->d->queues[i]);
	for (unsigned i = 0; i < p->msix.n; i++)
		vmm_msi_raise(&p->msix.msi[i]);
}

static int load_one(struct virtio_device *d, const void *data, size_t len, struct err *e)
{
	_cleanup_free_ struct transport_state *s = malloc(sizeof(*s));
	struct virtio_pci *p = d->pci;
	int r = s ? 0 : err_set(e, ENOMEM, "out of memory"), n = 1;

	if (r >= 0)
		r = state_get_struct(data, len, STATE_VIRTIO, p->f.slot, TRANSPORT_VERSION, s, sizeof(*s), e);
	if (r >= 0)
		r = load_transport(p, s, e);
	if (r >= 0) {
		virtio_pci_prepare(p);
		r = load_device(d, data, len, e);
		n += r;
	}
	if (r >= 0 && s->is_active)
		r = virtio_pci_activate(d, e);
	if (r >= 0 && s->is_active)
		nudge(p);
	return r < 0 ? r : n;
}

int virtio_load(struct vmm *vm, const void *data, size_t len, struct err *e)
{
	int n = 0;

	for (unsigned i = 0; i < vm->n_devices; i++) {
		struct virtio_device *d = vm->devices[i];
		int r = load_one(d, data, len, e);

		if (r < 0)
			return err_push(e, r, "virtio-%s (slot %u)", d->ops->name, d->pci->f.slot);
		n += r;
	}
	return n;
}
