/* Which VMM a start takes, by what KVM is good for and what is asked for. */
#include "tap.h"
#include "vm_impl.h"

static int no_call(int fd _unused_, unsigned long request _unused_, unsigned long arg _unused_) { return -1; }
static const struct kvm_calls absent = { "/nowhere/kvm", no_call };

TEST(without_kvm_it_is_qemu_and_the_note_says_why)
{
	_cleanup_free_ char *note = NULL;
	struct vm_choice c;
	struct err e = { 0 };

	is_int(vm_choose(&absent, NULL, &c, &e), 0);
	ok(c.backend == &vm_backend_qemu && !c.kvm.is_usable);
	note = vm_choice_note(&c);
	is_str(note, "no hardware virtualisation (there is no /nowhere/kvm): the VM is emulated (slower)");
}

TEST(wishes_are_heeded_or_refused_by_name)
{
	struct vm_choice c;
	struct err e = { 0 };

	is_int(vm_choose(&absent, "tcg", &c, &e), 0);
	is_str(c.kvm.reason, "BERTH_VM_ACCEL=tcg");
	is_int(vm_choose(&absent, "kvm", &c, &e), -ENODEV);
	has_str(e.msg, "BERTH_VM_ACCEL=kvm, but there is no /nowhere/kvm");
	is_int(vm_choose(&absent, "berth-vmm", &c, &e), -ENODEV);
	has_str(e.msg, "BERTH_VM_ACCEL=berth-vmm, but there is no /nowhere/kvm");
	is_int(vm_choose(&absent, "qemu", &c, &e), 0);
	ok(c.backend == &vm_backend_qemu);
	is_int(vm_choose(&absent, "xen", &c, &e), -EINVAL);
	has_str(e.msg, "BERTH_VM_ACCEL=xen: kvm, berth-vmm, qemu and tcg are known");
}

TEST(a_good_kvm_is_berth_vmms_but_for_who_asks_for_qemu)
{
	struct kvm_report r;
	struct vm_choice c;
	struct err e = { 0 };

	kvm_probe(&kvm_calls_host, &r);
	if (!r.is_usable)
		skip("this host's KVM is not usable: ./check lab-vm has one");
	is_int(vm_choose(&kvm_calls_host, NULL, &c, &e), 0);
	ok(c.backend == &vm_backend_own && c.kvm.is_usable);
	ok(vm_choice_note(&c) == NULL);
	is_int(vm_choose(&kvm_calls_host, "qemu", &c, &e), 0);
	ok(c.backend == &vm_backend_qemu && c.kvm.is_usable);
	is_int(vm_choose(&kvm_calls_host, "berth-vmm", &c, &e), 0);
	ok(c.backend == &vm_backend_own);
	is_int(vm_choose(&kvm_calls_host, "tcg", &c, &e), 0);
	ok(c.backend == &vm_backend_qemu && !c.kvm.is_usable);
}

TAP_MAIN()
