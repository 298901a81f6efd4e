/* bus: see bus.h. Ranges are kept sorted, and found by bisection. */
#include "bus.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

#define RANGES_MAX 128u

struct range {
	uint64_t base, size;
	const struct vmm_range_ops *ops;
	void *arg;
};
struct space {
	struct range ranges[RANGES_MAX];
	size_t n;
};
struct vmm_bus {
	struct space spaces[VMM_SPACES];
};

int vmm_bus_new(struct vmm_bus **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void vmm_bus_free(struct vmm_bus *b) { free(b); }

int vmm_bus_add(struct vmm_bus *b, enum vmm_space space, uint64_t base, uint64_t size, const struct vmm_range_ops *ops, void *arg,
		struct err *e)
{
	struct space *s = &b->spaces[space];
	uint64_t last = base + (size - 1);
	size_t at = 0;

	if (size == 0 || last < base || (space == VMM_PIO && last > 0xffff))
		return err_set(e, EINVAL, "%s at %#llx: no such range of addresses", ops->name, (unsigned long long)base);
	if (s->n == RANGES_MAX)
		return err_set(e, ENOSPC, "%s at %#llx: more ranges than the bus has room for", ops->name,
			       (unsigned long long)base);
	while (at < s->n && s->ranges[at].base < base)
		at++;
	if ((at < s->n && s->ranges[at].base <= last) || (at > 0 && base - s->ranges[at - 1].base < s->ranges[at - 1].size))
		return err_set(e, EEXIST, "%s at %#llx: %s is there", ops->name, (unsigned long long)base,
			       s->ranges[at < s->n && s->ranges[at].base <= last ? at : at - 1].ops->name);
	memmove(&s->ranges[at + 1], &s->ranges[at], (s->n - at) * sizeof(struct range));
	s->ranges[at] = (struct range){ base, size, ops, arg };
	s->n++;
	return 0;
}

/* The range that holds all of [addr, addr + size). */
static const struct range *find(const struct vmm_bus *b, enum vmm_space space, uint64_t addr, unsigned size)
{
	const struct space *s = &b->spaces[space];
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->ranges[mid].base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return NULL;
	const struct range *r = &s->ranges[lo - 1];
	uint64_t off = addr - r->base;
	return off < r->size && size <= r->size - off ? r : NULL;
}

/* What owners may rely on; no port access is 8 bytes wide. */
static bool is_size(enum vmm_space space, unsigned size)
{
	return size == 1 || size == 2 || size == 4 || (size == 8 && space == VMM_MMIO);
}

void vmm_bus_read(const struct vmm_bus *b, enum vmm_space space, uint64_t addr, void *data, unsigned size)
{
	const struct range *r = is_size(space, size) ? find(b, space, addr, size) : NULL;

	memset(data, 0xff, size);
	if (r && r->ops->read)
		r->ops->read(r->arg, addr - r->base, data, size);
}

void vmm_bus_write(const struct vmm_bus *b, enum vmm_space space, uint64_t addr, const void *data, unsigned size)
{
	const struct range *r = is_size(space, size) ? find(b, space, addr, size) : NULL;

	if (r && r->ops->write)
		r->ops->write(r->arg, addr - r->base, data, size);
}

int vmm_ioeventfd_add(int fd_vm, uint64_t addr, int event_fd, struct err *e)
{
	struct kvm_ioeventfd k = { .addr = addr, .len = 0, .fd = event_fd };

	/* Length 0: a write of any size (KVM_CAP_IOEVENTFD_ANY_LENGTH, Linux 4.4), which KVM finds without decoding the
	 * instruction (KVM_FAST_MMIO_BUS). */
	return ioctl(fd_vm, KVM_IOEVENTFD, &k) < 0 ? err_set(e, errno, "ioeventfd: %s", strerror(errno)) : 0;
}

int vmm_ioeventfd_del(int fd_vm, uint64_t addr, int event_fd)
{
	struct kvm_ioeventfd k = { .addr = addr, .len = 0, .fd = event_fd, .flags = KVM_IOEVENTFD_FLAG_DEASSIGN };

	return ioctl(fd_vm, KVM_IOEVENTFD, &k) < 0 ? -errno : 0;
}
