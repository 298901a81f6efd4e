/* msix: see pci.h. PCI Local Bus 3.0, 6.8.2: a vector that is masked keeps that it is pending; here its eventfd does. */
#include "pci.h"

enum {
	CAP_MSIX = 0x11,
	CONTROL_ENABLE = 0x8000,
	CONTROL_MASK = 0x4000,
	ENTRY_MASKED = 1,
};

static void apply(struct msix *x, unsigned i)
{
	const struct msix_entry *t = &x->entries[i];
	bool masked = !x->is_enabled || x->is_masked || t->control & ENTRY_MASKED;

	/* KVM refuses a message only for want of memory; the guest then misses the interrupt that it can't be given. */
	(void)vmm_msi_set(x->irqs, &x->msi[i], (uint64_t)t->addr_hi << 32 | t->addr_lo, t->data, masked);
}

int msix_init(struct msix *x, struct vmm_irqs *irqs, struct pci_function *f, unsigned n, unsigned bar, uint32_t bar_offset,
	      struct err *e)
{
	struct {
		uint8_t id, next;
		uint16_t control;
		uint32_t table, pba;
	} cap = { CAP_MSIX, 0, (uint16_t)(n - 1), bar_offset | bar, (bar_offset + MSIX_PBA_OFFSET) | bar };
	int r = 0;

	memset(x, 0, sizeof(*x));
	pthread_mutex_init(&x->lock, NULL);
	x->irqs = irqs;
	x->f = f;
	for (unsigned i = 0; r >= 0 && i < n && i < MSIX_VECTORS_MAX; i++) {
		r = vmm_msi_new(irqs, &x->msi[i], e);
		x->entries[i].control = ENTRY_MASKED;
		x->n += r >= 0;
	}
	if (r >= 0)
		r = pci_add_cap(f, &cap, sizeof(cap));
	if (r >= 0) {
		x->cap = (unsigned)r;
		f->writable[r + 3] = (CONTROL_ENABLE | CONTROL_MASK) >> 8;
		return 0;
	}
	msix_done(x);
	return err_push(e, r, "MSI-X");
}

void msix_done(struct msix *x)
{
	for (unsigned i = 0; i < x->n; i++)
		vmm_msi_done(x->irqs, &x->msi[i]);
	x->n = 0;
	pthread_mutex_destroy(&x->lock);
}

void msix_read(struct msix *x, uint64_t offset, void *data, unsigned size)
{
	memset(data, 0, size);
	if ((size != 4 && size != 8) || offset % size)
		return;
	pthread_mutex_lock(&x->lock);
	if (offset + size <= x->n * sizeof(x->entries[0])) {
		memcpy(data, (const uint8_t *)x->entries + offset, size);
	} else if (offset >= MSIX_PBA_OFFSET && offset < MSIX_PBA_OFFSET + MSIX_VECTORS_MAX / 8) {
		uint64_t bits = 0;

		for (unsigned i = 0; i < x->n; i++)
			bits |= (uint64_t)vmm_msi_is_pending(&x->msi[i]) << i;
		bits >>= 8 * (offset - MSIX_PBA_OFFSET);
		memcpy(data, &bits, size);
	}
	pthread_mutex_unlock(&x->lock);
}

void msix_write(struct msix *x, uint64_t offset, const void *data, unsigned size)
{
	if ((size != 4 && size != 8) || offset % size || offset + size > x->n * sizeof(x->entries[0]))
		return;
	pthread_mutex_lock(&x->lock);
	memcpy((uint8_t *)x->entries + offset, data, size);
	apply(x, (unsigned)(offset / sizeof(x->entries[0])));
	pthread_mutex_unlock(&x->lock);
}

void msix_control(struct msix *x)
{
	uint16_t control;

	memcpy(&control, x->f->config + x->cap + 2, sizeof(control));
	pthread_mutex_lock(&x->lock);
	x->is_enabled = control & CONTROL_ENABLE;
	x->is_masked = control & CONTROL_MASK;
	for (unsigned i = 0; i < x->n; i++)
		apply(x, i);
	pthread_mutex_unlock(&x->lock);
}

void msix_save(struct msix *x, struct msix_entry *ret)
{
	pthread_mutex_lock(&x->lock);
	memcpy(ret, x->entries, x->n * sizeof(x->entries[0]));
	pthread_mutex_unlock(&x->lock);
}

void msix_load(struct msix *x, const struct msix_entry *from)
{
	pthread_mutex_lock(&x->lock);
	memcpy(x->entries, from, x->n * sizeof(x->entries[0]));
	pthread_mutex_unlock(&x->lock);
	msix_control(x);
}

int msix_fd(const struct msix *x, unsigned vector) { return vector < x->n ? x->msi[vector].fd : -1; }
