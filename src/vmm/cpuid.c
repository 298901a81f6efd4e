/* cpuid: what guests see of the CPU. KVM's list of what it supports on this host, with what a guest must not or need not have
 * taken out, and each vCPU's place in the topology put in: one socket, n cores, no siblings. SDM vol. 2, CPUID; AMD APM vol. 3,
 * appendix E; KVM's leaves: Documentation/virt/kvm/x86/cpuid.rst. */
#include "vcpu.h"

enum { EAX, EBX, ECX, EDX };

/* Bits to clear and to set, per register. */
static const struct rule {
	uint32_t function;
	int reg;
	uint32_t clear, set;
} rules[] = {
	/* VMX, MONITOR, PDCM (its MSR belongs to the PMU) out; TSC deadline timer, "under a hypervisor" in. OSXSAVE mirrors the
	 * guest's CR4 and is KVM's to set. */
	{ 0x1, ECX, 1u << 5 | 1u << 3 | 1u << 15, 1u << 24 | 1u << 31 },
	/* ACPI thermal, thermal monitor: nobody emulates their MSRs */
	{ 0x1, EDX, 1u << 22 | 1u << 29, 0 },
	{ 0x6, EAX, ~(1u << 2), 1u << 2 }, /* of power management only the APIC timer that never stops */
	{ 0x6, EBX, ~0u, 0 },
	{ 0x6, ECX, ~0u, 0 },
	{ 0xa, EAX, ~0u, 0 }, /* no PMU: nothing to save, and no side channel */
	{ 0xa, EBX, ~0u, 0 },
	{ 0xa, ECX, ~0u, 0 },
	{ 0xa, EDX, ~0u, 0 },
	{ 0x80000001, ECX, 1u << 2 | 1u << 9 | 1u << 10 | 1u << 23, 0 }, /* SVM, OSVW, IBS, PMU extensions */
	{ 0x8000000a, EAX, ~0u, 0 },                                     /* SVM's details */
	{ 0x8000000a, EBX, ~0u, 0 },
	{ 0x8000000a, EDX, ~0u, 0 },
	{ 0x8000001f, EAX, ~0u, 0 }, /* memory encryption */
};

static uint32_t *reg_of(struct kvm_cpuid_entry2 *c, int reg)
{
	switch (reg) {
	case EAX: return &c->eax;
	case EBX: return &c->ebx;
	case ECX: return &c->ecx;
	default: return &c->edx;
	}
}

/* The bits that n different numbers need. */
static unsigned bits_for(unsigned n)
{
	unsigned bits = 0;

	while (1u << bits < n)
		bits++;
	return bits;
}

static void set_topology(struct kvm_cpuid_entry2 *c, unsigned index, unsigned n)
{
	unsigned width = bits_for(n);

	switch (c->function) {
	case 0x1:
		c->ebx = (c->ebx & 0xffff) | n << 16 | index << 24; /* CLFLUSH size and brand; logical CPUs; APIC id */
		c->edx = n > 1 ? c->edx | 1u << 28 : c->edx & ~(1u << 28);
		break;
	case 0x4: /* caches (Intel): cores of the package; each cache is one core's, but the last level's */
		c->eax &= 0x3fff;
		c->eax |= ((1u << width) - 1) << 26;
		if ((c->eax >> 5 & 7) >= 3)
			c->eax |= ((1u << width) - 1) << 14;
		break;
	case 0xb:
	case 0x1f: /* level 0: threads of a core; level 1: cores of the package; then the end */
		c->eax = c->index == 0 ? 0 : c->index == 1 ? width : 0;
		c->ebx = c->index == 0 ? 1 : c->index == 1 ? n : 0;
		c->ecx = c->index | (c->index == 0 ? 1u << 8 : c->index == 1 ? 2u << 8 : 0);
		c->edx = index;
		break;
	case 0x80000001:
		c->ecx &= ~(1u << 22); /* no topology extensions: leaf 0x8000001e would have to agree */
		break;
	case 0x80000008: c->ecx = (n - 1) | width << 12; break;
	case 0x8000001e:
		c->eax = index;
		c->ebx = index;
		c->ecx = 0;
		break;
	default: break;
	}
}

void cpuid_filter(struct kvm_cpuid_entry2 *entries, uint32_t n_entries, unsigned index, unsigned n)
{
	for (uint32_t i = 0; i < n_entries; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(rules); k++)
			if (rules[k].function == entries[i].function) {
				uint32_t *r = reg_of(&entries[i], rules[k].reg);

				*r = (*r & ~rules[k].clear) | rules[k].set;
			}
		set_topology(&entries[i], index, n);
	}
}
