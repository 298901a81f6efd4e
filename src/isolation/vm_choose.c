/* vm_choose: which VMM carries out a start: berth-vmm where this host's KVM is good for guests, QEMU where it is not or is
 * asked for by name. */
#include "vm_impl.h"

static const struct wish {
	const char *name; /* BERTH_VM_ACCEL */
	bool wants_kvm, refuses_kvm, wants_qemu;
} wishes[] = {
	{ .name = "kvm", .wants_kvm = true },
	{ .name = "tcg", .refuses_kvm = true },
	{ .name = "qemu", .wants_qemu = true },
	{ .name = "berth-vmm", .wants_kvm = true },
};

static int find_wish(const char *name, const struct wish **ret, struct err *e)
{
	static const struct wish none;

	*ret = &none;
	if (!name)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(wishes); i++)
		if (streq(name, wishes[i].name)) {
			*ret = &wishes[i];
			return 0;
		}
	return err_set(e, EINVAL, "BERTH_VM_ACCEL=%s: kvm, berth-vmm, qemu and tcg are known", name);
}

int vm_choose(const struct kvm_calls *kvm, const char *accel, struct vm_choice *ret, struct err *e)
{
	struct vm_choice c = { .backend = &vm_backend_qemu };
	const struct wish *w;
	int r = find_wish(accel, &w, e);

	if (r < 0)
		return r;
	if (w->refuses_kvm)
		c.kvm = (struct kvm_report){ .reason = "BERTH_VM_ACCEL=tcg" };
	else
		kvm_probe(kvm, &c.kvm);
	if (w->wants_kvm && !c.kvm.is_usable)
		return err_set(e, ENODEV, "BERTH_VM_ACCEL=%s, but %s", w->name, c.kvm.reason);
	if (c.kvm.is_usable && !w->wants_qemu)
		c.backend = &vm_backend_own;
	*ret = c;
	return 0;
}

int vm_choose_for_host(struct vm_choice *ret, struct err *e)
{
	return vm_choose(&kvm_calls_host, getenv("BERTH_VM_ACCEL"), ret, e);
}

char *vm_choice_note(const struct vm_choice *c)
{
	return c->kvm.is_usable ? NULL : str_fmt("no hardware virtualisation (%s): the VM is emulated (slower)", c->kvm.reason);
}

size_t vm_count_shares(const struct spec *s)
{
	struct vm_share *shares = NULL;
	const struct launch none = { 0 };
	struct spec guest;
	size_t n = 0;

	if (vm_spec_for_guest(s, &none, &guest, &shares, &n, NULL) < 0)
		return 0; /* no VM at all has that spec */
	vm_spec_done(&guest);
	free(shares);
	return n;
}

char *vm_reason_for_qemu(void)
{
	struct vm_choice c;
	struct err e = { 0 };

	if (vm_choose_for_host(&c, &e) < 0)
		return strdup(e.msg);
	if (c.backend == &vm_backend_own)
		return NULL;
	return strdup(*c.kvm.reason ? c.kvm.reason : "BERTH_VM_ACCEL=qemu asks for it");
}
