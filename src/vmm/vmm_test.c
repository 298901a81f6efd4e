/* Whole VMs of a few instructions: each way to end, pause, state, what the ports do. */
#include <poll.h>

#include "tiny.h"

/* mov $port, %dx; mov $value, %al; out %al, %dx; then jmp to itself */
#define OUT(port, value) 0x66, 0xba, (port)&0xff, (port) >> 8, 0xb0, (value), 0xee
#define STOP             0xeb, 0xfe
#define HALT             0xf4

static struct vmm_result run(const uint8_t *code, size_t n, struct vmm_plan *plan)
{
	struct vmm_result res = { .end = VMM_RUNNING };
	_cleanup_(vmm_free_ptr) struct vmm *vm = NULL;
	struct err e = { 0 };

	plan->kernel_fd = tiny_kernel(code, n);
	vm = tiny_vm(plan);
	if (vmm_run(vm, &res, &e) < 0)
		TAP_FAIL("%s", e.msg);
	close(plan->kernel_fd);
	return res;
}

#define PLAN()                                                                              \
	{                                                                                   \
		VMM_PLAN_NO_FDS, .mem_bytes = 32 << 20, .cpus = 1, .pages = VMM_PAGES_SMALL \
	}

TEST(V17_each_way_to_end_is_told_apart)
{
	static const struct {
		enum vmm_end end;
		uint8_t code[32];
		const char *reason;
	} rows[] = {
		{ VMM_POWERED_OFF, { OUT(VMM_PORT_SLEEP_CONTROL, VMM_SLEEP_TYPE_S5 << 2 | 0x20), STOP }, "" },
		{ VMM_RESET, { OUT(VMM_PORT_RESET, 1), STOP }, "" },
		{ VMM_GUEST_PANIC, { OUT(VMM_PORT_PANIC, 1), STOP }, "" },
		{ VMM_TRIPLE_FAULT, { 0x0f, 0x0b }, "triple fault" }, /* ud2, and no table of handlers */
		/* none of these does anything: other sleep types, other reset values, no panic */
		{ VMM_POWERED_OFF,
		  { OUT(VMM_PORT_SLEEP_CONTROL, 0x24), OUT(VMM_PORT_RESET, 2), OUT(VMM_PORT_PANIC, 2),
		    OUT(VMM_PORT_SLEEP_CONTROL, 0x34), STOP },
		  "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmm_plan plan = PLAN();
		struct vmm_result res = run(rows[i].code, sizeof(rows[i].code), &plan);

		is_str(vmm_end_name(res.end), vmm_end_name(rows[i].end));
		has_str(res.reason, rows[i].reason);
	}
}

TEST(a_guest_that_gives_no_sign_of_life_has_hung)
{
	static const uint8_t mute[] = { STOP };
	struct vmm_plan plan = PLAN();

	plan.boot_limit_ms = 50;
	is_str(vmm_end_name(run(mute, sizeof(mute), &plan).end), "boot-hang");
}

static void on_late(struct loop *l, int fd, uint32_t events, void *arg)
{
	(void)l;
	(void)fd;
	(void)events;
	vmm_stop(arg);
}

TEST(a_guest_that_has_said_its_word_may_take_its_time)
{
	static const uint8_t code[] = { OUT(VMM_PORT_START, 1), HALT };
	struct vmm_plan plan = PLAN();
	struct vmm_result res;
	_cleanup_(vmm_free_ptr) struct vmm *vm = NULL;

	plan.boot_limit_ms = 200;
	plan.kernel_fd = tiny_kernel(code, sizeof(code));
	vm = tiny_vm(&plan);
	is_int(loop_timer(vmm_loop(vm), 500, on_late, vm, NULL), 0);
	is_int(vmm_run(vm, &res, NULL), 0);
	is_str(vmm_end_name(res.end), "stopped");
	close(plan.kernel_fd);
}

TEST(every_end_has_a_name_and_a_status_of_its_own)
{
	for (int i = 0; i < VMM_ENDS; i++) {
		ok(vmm_end_name(i)[0]);
		for (int k = 0; k < i; k++)
			ok(vmm_end_status(i) != vmm_end_status(k) && !streq(vmm_end_name(i), vmm_end_name(k)));
	}
	for (enum vmm_end i = 0; i < VMM_ENDS; i++)
		is_int(vmm_end_of_status(vmm_end_status(i)), i);
	is_int(vmm_end_of_status(1), VMM_ENDS);
	is_int(vmm_end_status(VMM_POWERED_OFF), 0);
	is_str(vmm_end_name(VMM_ENDS), "unknown");
}

TEST(V15_a_sweep_of_all_ports_leaves_the_vm_alive)
{
	/* 1: in %dx,%al; in %dx,%eax; out %al,%dx (but to our own ports); inc %dx; jnz 1b; then power off */
	static const uint8_t code[] = { 0x31,
					0xd2,
					0x31,
					0xc0, /* xor edx,edx; xor eax,eax */
					0xec,
					0xed,
					0x30,
					0xc0,
					0xee,
					0xef, /* in al; in eax; xor al,al; out al; out eax */
					0x66,
					0xff,
					0xc2,
					0x75,
					0xf5, /* inc dx; jnz -11 */
					OUT(VMM_PORT_SLEEP_CONTROL, 0x34),
					STOP };
	struct vmm_plan plan = PLAN();
	struct vmm *vm;
	struct vmm_result res;
	struct err e = { 0 };

	plan.kernel_fd = tiny_kernel(code, sizeof(code));
	vm = tiny_vm(&plan);
	if (vmm_run(vm, &res, &e) < 0)
		TAP_FAIL("%s", e.msg);
	/* The sweep itself may write a word that ends the VM (its own doing): but it never fails. */
	ok(res.end != VMM_FAILED && res.end != VMM_TRIPLE_FAULT);
	vmm_free(vm);
}

TEST(the_serial_port_prints)
{
	static const uint8_t code[] = { OUT(0x3f8, 'h'), OUT(0x3f8, 'i'), OUT(VMM_PORT_SLEEP_CONTROL, 0x34), STOP };
	struct vmm_plan plan = PLAN();
	char got[8] = "";
	int p[2];

	is_int(pipe(p), 0);
	plan.serial_fd = p[1];
	is_str(vmm_end_name(run(code, sizeof(code), &plan).end), "powered-off");
	is_int(read(p[0], got, sizeof(got)), 2);
	is_str(got, "hi");
}

struct pauses {
	struct vmm *vm;
	uint64_t rip, rip2;
	struct vcpu_state *s;
	int r;
};

static void on_pause(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct pauses *p = arg;
	struct vcpu_state *again = calloc(1, sizeof(*again));

	(void)l;
	(void)fd;
	(void)events;
	vmm_pause(p->vm);
	vmm_pause(p->vm); /* nests */
	p->r = vcpu_state_get(&p->vm->vcpus[0], p->s, NULL);
	usleep(20000);
	p->r |= vcpu_state_get(&p->vm->vcpus[0], again, NULL);
	p->r |= memcmp(&p->s->regs, &again->regs, sizeof(again->regs)) != 0;
	/* Out of its endless loop: behind the two bytes of the jump. */
	p->s->regs.rip = TINY_ENTRY + 2;
	p->r |= vcpu_state_set(&p->vm->vcpus[0], p->s, NULL);
	vmm_resume(p->vm);
	vmm_resume(p->vm);
	free(again);
}

TEST(a_paused_guest_stands_still_and_its_state_can_be_read_and_set)
{
	static const uint8_t code[] = { STOP, OUT(VMM_PORT_SLEEP_CONTROL, 0x34), STOP };
	struct vmm_plan plan = PLAN();
	_cleanup_(vmm_free_ptr) struct vmm *vm = NULL;
	_cleanup_free_ struct vcpu_state *s = calloc(1, sizeof(*s));
	struct pauses p = { .s = s, .r = -1 };
	struct vmm_result res;

	plan.kernel_fd = tiny_kernel(code, sizeof(code));
	p.vm = vm = tiny_vm(&plan);
	is_int(loop_timer(vmm_loop(vm), 20, on_pause, &p, NULL), 0);
	is_int(vmm_run(vm, &res, NULL), 0);
	is_int(p.r, 0);
	is_str(vmm_end_name(res.end), "powered-off");
	ok(s->n_cpuid > 0 && s->n_msrs > 0 && s->tsc_khz > 0);
	close(plan.kernel_fd);
}

TEST(two_cpus_begin_and_end)
{
	static const uint8_t code[] = { OUT(VMM_PORT_SLEEP_CONTROL, 0x34), STOP };
	struct vmm_plan plan = PLAN();

	plan.cpus = 2;
	is_str(vmm_end_name(run(code, sizeof(code), &plan).end), "powered-off");
}

TEST(V17_exits_that_nothing_asked_for_fail_the_vm_by_name)
{
	static const struct {
		uint32_t reason, sub;
		enum vmm_end end;
		const char *text;
	} rows[] = {
		{ KVM_EXIT_SHUTDOWN, 0, VMM_TRIPLE_FAULT, "triple fault" },
		{ KVM_EXIT_FAIL_ENTRY, 0, VMM_FAILED, "FAIL_ENTRY" },
		{ KVM_EXIT_INTERNAL_ERROR, KVM_INTERNAL_ERROR_EMULATION, VMM_FAILED, "can't emulate" },
		{ KVM_EXIT_INTERNAL_ERROR, 99, VMM_FAILED, "99: unknown" },
		{ KVM_EXIT_HLT, 0, VMM_FAILED, "HLT" },
		{ KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_SHUTDOWN, VMM_POWERED_OFF, "" },
		{ KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_RESET, VMM_RESET, "" },
		{ KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_CRASH, VMM_GUEST_PANIC, "crash" },
		{ KVM_EXIT_SYSTEM_EVENT, 77, VMM_FAILED, "77" },
		{ KVM_EXIT_INTR, 0, VMM_RUNNING, "" },
		{ KVM_EXIT_HYPERCALL, 0, VMM_FAILED, "KVM exit 3" },
		{ KVM_EXIT_DEBUG, 0, VMM_FAILED, "KVM exit 4" },
		{ 0xffff, 0, VMM_FAILED, "KVM exit 65535" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvm_run r = { .exit_reason = rows[i].reason };
		char reason[160] = "";

		if (rows[i].reason == KVM_EXIT_SYSTEM_EVENT)
			r.system_event.type = rows[i].sub;
		else if (rows[i].reason == KVM_EXIT_INTERNAL_ERROR)
			r.internal.suberror = rows[i].sub;
		is_int(vcpu_exit(&r, NULL, reason, sizeof(reason)), rows[i].end);
		has_str(reason, rows[i].text);
	}
}

TAP_MAIN()
