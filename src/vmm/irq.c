/* irq: see irq.h. */
#include "irq.h"

#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct vmm_irqs {
	int fd_vm;
	pthread_mutex_t lock; /* guards table and its passing to KVM, and opening and closing of irqfds */
	uint32_t n;           /* interrupts handed out */
	/* Of the vectors that have a message: as many as KVM is told of, and room for cap. Most guests use few of VMM_MSI_MAX, whose
	 * whole table would be zeroed pages for nothing. */
	struct kvm_irq_routing *table;
	uint32_t cap;
};

int vmm_irqs_new(int fd_vm, struct vmm_irqs **ret, struct err *e)
{
	/* args[0]: how many interrupts the I/O APIC in user space would have. */
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 0 } };
	struct kvm_enable_cap x2apic = { .cap = KVM_CAP_X2APIC_API,
					 .args = { KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK } };
	struct vmm_irqs *q;

	if (ioctl(fd_vm, KVM_ENABLE_CAP, &split) < 0)
		return err_set(e, errno, "KVM has no split irqchip (Linux 4.5 has): %s", strerror(errno));
	if (ioctl(fd_vm, KVM_ENABLE_CAP, &x2apic) < 0)
		return err_set(e, errno, "KVM takes no 32-bit APIC ids (Linux 4.8 does): %s", strerror(errno));
	q = calloc(1, sizeof(*q));
	if (!q)
		return err_set(e, ENOMEM, "out of memory");
	q->fd_vm = fd_vm;
	pthread_mutex_init(&q->lock, NULL);
	*ret = q;
	return 0;
}

void vmm_irqs_free(struct vmm_irqs *q)
{
	if (!q)
		return;
	pthread_mutex_destroy(&q->lock);
	free(q->table);
	free(q);
}

int vmm_msi_new(struct vmm_irqs *q, struct vmm_msi *ret, struct err *e)
{
	int fd;

	if (q->n == VMM_MSI_MAX)
		return err_set(e, ENOSPC, "more than %u interrupt vectors", VMM_MSI_MAX);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return err_set(e, errno, "eventfd of an interrupt: %s", strerror(errno));
	*ret = (struct vmm_msi){ .fd = fd, .gsi = q->n++ };
	return 0;
}

static int set_irqfd(const struct vmm_irqs *q, const struct vmm_msi *m, uint32_t flags)
{
	struct kvm_irqfd k = { .fd = (uint32_t)m->fd, .gsi = m->gsi, .flags = flags };

	return ioctl(q->fd_vm, KVM_IRQFD, &k) < 0 ? -errno : 0;
}

static int make_room(struct vmm_irqs *q)
{
	const uint32_t cap = q->cap ? 2 * q->cap : 8;
	struct kvm_irq_routing *more;

	if (q->table && q->table->nr < q->cap)
		return 0;
	more = realloc(q->table, sizeof(*more) + cap * sizeof(more->entries[0]));
	if (!more)
		return -ENOMEM;
	if (!q->table)
		memset(more, 0, sizeof(*more));
	q->table = more;
	q->cap = cap;
	return 0;
}

/* The message goes into the table; unchanged ones cost nothing, as each change makes KVM wait for its readers. */
static int route(struct vmm_irqs *q, const struct vmm_msi *m)
{
	struct kvm_irq_routing_entry want = { .gsi = m->gsi,
					      .type = KVM_IRQ_ROUTING_MSI,
					      .u.msi = { .address_lo = (uint32_t)m->addr,
							 .address_hi = (uint32_t)(m->addr >> 32),
							 .data = m->data } },
				     *at = NULL;
	int r = make_room(q);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < q->table->nr && !at; i++)
		if (q->table->entries[i].gsi == m->gsi)
			at = &q->table->entries[i];
	if (at && memcmp(&at->u.msi, &want.u.msi, sizeof(want.u.msi)) == 0)
		return 0;
	if (!at)
		at = &q->table->entries[q->table->nr++];
	*at = want;
	return ioctl(q->fd_vm, KVM_SET_GSI_ROUTING, q->table) < 0 ? -errno : 0;
}

int vmm_msi_set(struct vmm_irqs *q, struct vmm_msi *m, uint64_t addr, uint32_t data, bool masked)
{
	int r = 0;

	pthread_mutex_lock(&q->lock);
	m->addr = addr;
	m->data = data;
	if (masked && m->is_open) {
		r = set_irqfd(q, m, KVM_IRQFD_FLAG_DEASSIGN);
		m->is_open = false;
	} else if (!masked) {
		r = route(q, m);
		/* What was raised while masked is in the eventfd; KVM looks when it takes it over. */
		if (r >= 0 && !m->is_open)
			r = set_irqfd(q, m, 0);
		m->is_open = m->is_open || r >= 0;
	}
	pthread_mutex_unlock(&q->lock);
	return r;
}

void vmm_msi_done(struct vmm_irqs *q, struct vmm_msi *m)
{
	if (m->fd < 0)
		return;
	(void)vmm_msi_set(q, m, m->addr, m->data, true);
	m->fd = fd_close(m->fd);
}

void vmm_msi_raise(const struct vmm_msi *m)
{
	/* The one possible failure is a full counter, and then an interrupt is pending anyway. */
	(void)!eventfd_write(m->fd, 1);
}

int vmm_irqs_send(void *q, uint64_t addr, uint32_t data)
{
	const struct vmm_irqs *irqs = q;
	struct kvm_msi m = { .address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data };

	return ioctl(irqs->fd_vm, KVM_SIGNAL_MSI, &m) < 0 ? -errno : 0;
}

bool vmm_msi_is_pending(const struct vmm_msi *m)
{
	struct pollfd p = { .fd = m->fd, .events = POLLIN };

	return m->fd >= 0 && !m->is_open && poll(&p, 1, 0) > 0;
}
