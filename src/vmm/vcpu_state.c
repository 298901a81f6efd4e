/* vcpu_state: a vCPU's state, read from and given to KVM. The order of setting matters (Documentation/virt/kvm/api.rst): CPUID
 * before the registers whose bits it allows; the local APIC before the MSRs, because the deadline of its timer is one and is
 * dropped unless the APIC is in that mode; pending events last. */
#include <sys/ioctl.h>

#include "vmm_impl.h"

struct msr_list {
	struct kvm_msr_list head;
	uint32_t indices[VCPU_MSRS_MAX * 2];
};
struct msr_table {
	struct kvm_msrs head;
	struct kvm_msr_entry entries[VCPU_MSRS_MAX];
};
struct cpuid_table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[VCPU_CPUID_MAX];
};

static int msr_indices(const struct vmm *vm, struct msr_list *l, struct err *e)
{
	l->head.nmsrs = ARRAY_SIZE(l->indices);
	if (ioctl(vm->fd_kvm, KVM_GET_MSR_INDEX_LIST, l) < 0)
		return err_set(e, errno, "KVM's list of MSRs: %s", strerror(errno));
	return 0;
}

/* One at a time: KVM stops at the first that it lists and this CPU has not, and such ones are left out. */
static int get_msrs(const struct vcpu *c, struct vcpu_state *s, struct err *e)
{
	struct msr_list l;
	int r = msr_indices(c->vm, &l, e);

	for (uint32_t i = 0; r >= 0 && i < l.head.nmsrs; i++) {
		struct msr_table t = { .head.nmsrs = 1, .entries = { { .index = l.indices[i] } } };

		r = ioctl(c->fd, KVM_GET_MSRS, &t);
		if (r < 0)
			return err_set(e, errno, "vCPU %u: MSR %#x: %s", c->index, l.indices[i], strerror(errno));
		if (r == 0)
			continue;
		if (s->n_msrs == VCPU_MSRS_MAX)
			return err_set(e, ENOSPC, "vCPU %u: more than %u MSRs", c->index, VCPU_MSRS_MAX);
		s->msrs[s->n_msrs++] = t.entries[0];
	}
	return r < 0 ? r : 0;
}

static int get_cpuid(const struct vcpu *c, struct vcpu_state *s, struct err *e)
{
	struct cpuid_table t = { .head.nent = VCPU_CPUID_MAX };

	if (ioctl(c->fd, KVM_GET_CPUID2, &t) < 0 || t.head.nent > VCPU_CPUID_MAX)
		return err_set(e, errno ?: ENOSPC, "vCPU %u: its CPUID: %s", c->index, strerror(errno));
	s->n_cpuid = t.head.nent;
	memcpy(s->cpuid, t.entries, t.head.nent * sizeof(t.entries[0]));
	return 0;
}

/* The fixed parts, in the order of setting. */
static const struct part {
	const char *name;
	unsigned long get, set;
	size_t offset;
} parts[] = {
	{ "multiprocessing state", KVM_GET_MP_STATE, KVM_SET_MP_STATE, offsetof(struct vcpu_state, mp) },
	{ "registers", KVM_GET_REGS, KVM_SET_REGS, offsetof(struct vcpu_state, regs) },
	{ "system registers", KVM_GET_SREGS, KVM_SET_SREGS, offsetof(struct vcpu_state, sregs) },
	{ "extended state", KVM_GET_XSAVE, KVM_SET_XSAVE, offsetof(struct vcpu_state, xsave) },
	{ "extended control registers", KVM_GET_XCRS, KVM_SET_XCRS, offsetof(struct vcpu_state, xcrs) },
	{ "debug registers", KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, offsetof(struct vcpu_state, debugregs) },
	{ "local APIC", KVM_GET_LAPIC, KVM_SET_LAPIC, offsetof(struct vcpu_state, lapic) },
};

int vcpu_state_get(struct vcpu *c, struct vcpu_state *ret, struct err *e)
{
	struct vcpu_state *s = ret;
	int r;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (ioctl(c->fd, parts[i].get, (char *)s + parts[i].offset) < 0)
			return err_set(e, errno, "vCPU %u: its %s: %s", c->index, parts[i].name, strerror(errno));
	r = ioctl(c->fd, KVM_GET_TSC_KHZ, 0);
	if (r < 0)
		return err_set(e, errno, "vCPU %u: its clock's rate: %s", c->index, strerror(errno));
	s->tsc_khz = (uint32_t)r;
	r = get_msrs(c, s, e);
	if (r >= 0)
		r = get_cpuid(c, s, e);
	if (r >= 0 && ioctl(c->fd, KVM_GET_VCPU_EVENTS, &s->events) < 0)
		r = err_set(e, errno, "vCPU %u: its pending events: %s", c->index, strerror(errno));
	return r;
}

static int set_cpuid(const struct vcpu *c, const struct vcpu_state *s, struct err *e)
{
	struct cpuid_table t = { .head.nent = s->n_cpuid };

	memcpy(t.entries, s->cpuid, s->n_cpuid * sizeof(t.entries[0]));
	return ioctl(c->fd, KVM_SET_CPUID2, &t) < 0
		       ? err_set(e, errno, "vCPU %u: KVM refuses its CPUID: %s", c->index, strerror(errno))
		       : 0;
}

static int set_msrs(const struct vcpu *c, const struct vcpu_state *s, struct err *e)
{
	struct msr_table t = { .head.nmsrs = s->n_msrs };
	int n;

	memcpy(t.entries, s->msrs, s->n_msrs * sizeof(t.entries[0]));
	n = ioctl(c->fd, KVM_SET_MSRS, &t);
	if (n < 0)
		return err_set(e, errno, "vCPU %u: its MSRs: %s", c->index, strerror(errno));
	return (uint32_t)n < s->n_msrs
		       ? err_set(e, EINVAL, "vCPU %u: KVM refuses MSR %#x (another CPU than the one that saved it?)", c->index,
				 s->msrs[n].index)
		       : 0;
}

int vcpu_state_set(struct vcpu *c, const struct vcpu_state *s, struct err *e)
{
	int r;

	if (s->n_msrs > VCPU_MSRS_MAX || s->n_cpuid > VCPU_CPUID_MAX)
		return err_set(e, EBADMSG, "vCPU %u: damaged state", c->index);
	r = set_cpuid(c, s, e);
	if (r >= 0 && s->tsc_khz && (uint32_t)ioctl(c->fd, KVM_GET_TSC_KHZ, 0) != s->tsc_khz &&
	    ioctl(c->fd, KVM_SET_TSC_KHZ, s->tsc_khz) < 0)
		r = err_set(e, errno, "vCPU %u: this CPU can't scale its clock to %u kHz: %s", c->index, s->tsc_khz,
			    strerror(errno));
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++)
		if (ioctl(c->fd, parts[i].set, (const char *)s + parts[i].offset) < 0)
			r = err_set(e, errno, "vCPU %u: KVM refuses its %s: %s", c->index, parts[i].name, strerror(errno));
	if (r >= 0)
		r = set_msrs(c, s, e);
	if (r >= 0 && ioctl(c->fd, KVM_SET_VCPU_EVENTS, &s->events) < 0)
		r = err_set(e, errno, "vCPU %u: KVM refuses its pending events: %s", c->index, strerror(errno));
	return r;
}
