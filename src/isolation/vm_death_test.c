#include <signal.h>

#include "tap.h"
#include "vm_impl.h"

static const char *told(const struct vm_death *d)
{
	struct vm_death whole = *d;
	struct err e = { 0 };

	if (!whole.backend)
		whole.backend = &vm_backend_qemu;
	vm_explain(&whole, &e);
	ok(e.no > 0);
	return tap_keep(strdup(e.msg));
}

enum { EXIT_1 = 1 << 8 }; /* as waitpid gives it */

TEST(a_kvm_that_qemu_can_not_use_is_named_with_the_way_around_it)
{
	struct vm_death d = { .status = EXIT_1,
			      .said = "qemu-system-x86_64: failed to initialize kvm: Operation not permitted\nmore\n",
			      .is_booting = true,
			      .has_kvm = true };

	has_str(told(&d),
		"QEMU can't use this host's KVM, though a test guest ran: qemu-system-x86_64: failed to initialize kvm: "
		"Operation not permitted; BERTH_VM_ACCEL=tcg");
	d.has_kvm = false;
	is_str(told(&d), "QEMU: qemu-system-x86_64: failed to initialize kvm: Operation not permitted");
}

TEST(what_qemu_said_is_told_by_its_first_line)
{
	struct vm_death d = { .status = EXIT_1, .said = "no such disk\nusage\n", .is_booting = true, .has_kvm = true };

	is_str(told(&d), "QEMU: no such disk");
	d.said = NULL;
	is_str(told(&d), "QEMU: ended without a reason");
}

TEST(the_guests_own_reason_comes_before_all_others)
{
	struct vm_death d = { .status = SIGKILL, .guest_reason = "the guest kernel panicked: x", .is_host_oom = true };

	is_str(told(&d), "the guest kernel panicked: x");
	d.guest_reason = NULL;
	has_str(told(&d), "the host's memory limit");
	d.is_host_oom = false;
	has_str(told(&d), "killed from outside by SIGKILL");
}

TEST(an_end_without_a_fault_is_a_reset)
{
	struct vm_death d = { .is_booting = true };

	has_str(told(&d), "while it booted");
	d.is_booting = false;
	has_str(told(&d), "a triple fault");
}

TEST(each_end_that_berth_vmm_tells_is_told)
{
	static const struct {
		int status;
		const char *said, *says;
	} rows[] = {
		{ 0, "berth-vmm: powered-off\n", "the guest switched itself off" },
		{ 64, "berth-vmm: reset\n", "the guest reset itself (a reboot from inside)" },
		{ 65, "berth-vmm: triple-fault: vCPU 1: triple fault\n", "(a triple fault): vCPU 1: triple fault" },
		{ 66, "berth-vmm: guest-panic\n", "the guest kernel panicked" },
		{ 67, "berth-vmm: boot-hang: no sign of life within 5 ms\n", "no sign of life within 5 ms" },
		{ 68, "berth-vmm: stopped: SIGTERM\n", "stopped from outside: SIGTERM" },
		{ 69, "berth-vmm: failed: vCPU 0: KVM_EXIT_FAIL_ENTRY\nmore",
		  "KVM or berth-vmm failed: vCPU 0: KVM_EXIT_FAIL_ENTRY" },
		{ 1, "berth-vmm: plan: kernel_fd: no\n", "berth-vmm: plan: kernel_fd: no" },
		{ 1, NULL, "berth-vmm: ended without a reason" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vm_death d = {
			.status = rows[i].status << 8, .said = rows[i].said, .backend = &vm_backend_own, .has_kvm = true
		};

		has_str(told(&d), rows[i].says);
		ok(!strstr(told(&d), "more"));
	}
}

TEST(a_forbidden_system_call_is_told_as_what_it_may_be)
{
	struct vm_death d = { .status = SIGSYS };

	has_str(told(&d), "taken it over");
}

TAP_MAIN()
