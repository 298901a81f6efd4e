/* A machine's generation: where it is, that it is another one after each restore, and that a guest is interrupted for it. */
#include "generation.h"

#include "tiny.h"

enum {
	MEM = 32 << 20,
	COUNTER = 0x200000,
	IDT = 0x210000,
	SEEN = 0x220000, /* the id as the handler saw it, and behind it how often it was called */
	VECTOR = 0x50,
	TABLE = 0x300000, /* of pages: the one with the I/O APIC */
	ID_BYTES = ACPI_GENERATION_BYTES,
};

/* What Linux does of it: a gate, the local APIC on (x2APIC), the pin's entry; then it counts. */
__asm__(".pushsection .rodata\n.globl waits, waits_end\nwaits:\n"
	"	lea 3f(%rip), %rax\n"
	"	mov $0x210500, %edi\n" /* IDT + 16 * VECTOR */
	"	mov %ax, (%rdi)\n"
	"	movw $0x10, 2(%rdi)\n"
	"	movw $0x8e00, 4(%rdi)\n"
	"	shr $16, %rax\n"
	"	mov %eax, 6(%rdi)\n"
	"	movl $0, 10(%rdi)\n"
	"	lidt 4f(%rip)\n"
	"	mov $0x230000, %esp\n"
	"	mov $0x80f, %ecx\n" /* spurious interrupts' vector, and the APIC's switch */
	"	mov $0x1ff, %eax\n"
	"	xor %edx, %edx\n"
	"	wrmsr\n"
	"	mov $0xfec00000, %ebx\n"
	"	movl $0x11, (%rbx)\n"
	"	movl $0, 0x10(%rbx)\n"
	"	movl $0x10, (%rbx)\n"
	"	movl $0x50, 0x10(%rbx)\n"
	"	sti\n"
	"1:	incl 0x200000\n"
	"	jmp 1b\n"
	"3:	push %rax\n"
	"	push %rcx\n"
	"	push %rdx\n"
	"	mov 0xff000, %rax\n"
	"	mov %rax, 0x220000\n"
	"	mov 0xff008, %rax\n"
	"	mov %rax, 0x220008\n"
	"	incl 0x220010\n"
	"	mov $0x80b, %ecx\n" /* end of interrupt */
	"	xor %eax, %eax\n"
	"	xor %edx, %edx\n"
	"	wrmsr\n"
	"	pop %rdx\n"
	"	pop %rcx\n"
	"	pop %rax\n"
	"	iretq\n"
	"4:	.word 0x0fff\n"
	"	.quad 0x210000\n"
	"waits_end:\n.popsection");
extern const uint8_t waits[], waits_end[];

static uint32_t read32(const struct vmm *vm, uint64_t gpa)
{
	uint32_t v = 0;

	is_int(vmm_mem_read(vm->mem, gpa, &v, sizeof(v)), 0);
	return v;
}

static void read_id(const struct vmm *vm, uint64_t gpa, uint8_t ret[static ID_BYTES])
{
	is_int(vmm_mem_read(vm->mem, gpa, ret, ID_BYTES), 0);
}

/* The boot's own map has the first GiB; the fourth is mapped here as far as the I/O APIC needs it. */
static void map_ioapic(struct vmm *vm)
{
	uint64_t pdpt = 0, entry = TABLE | 3;

	is_int(vmm_mem_read(vm->mem, BOOT_PAGE_TABLES, &pdpt, 8), 0);
	is_int(vmm_mem_write(vm->mem, (pdpt & ~0xfffull) + 3 * 8, &entry, 8), 0);
	entry = (IOAPIC_GPA & ~0x1fffffull) | 0x83;
	is_int(vmm_mem_write(vm->mem, TABLE + (IOAPIC_GPA >> 21 & 511) * 8, &entry, 8), 0);
}

struct visit {
	struct vmm *vm;
	uint32_t from;
	int state, ram; /* -1: no snapshot is taken */
	uint8_t id[ID_BYTES], seen[ID_BYTES];
	uint32_t n_seen;
};

/* Once the guest has counted on for a while, and was told if it is to be. */
static void on_visit(struct loop *l, int fd, uint32_t events, void *arg)
{
	const struct vmm_snapshot_opts o = { .is_fleeting = true };
	struct vmm_snapshot_info info;
	struct visit *v = arg;
	struct err e = { 0 };

	(void)fd;
	(void)events;
	if (read32(v->vm, COUNTER) - v->from < 1000) {
		is_int(loop_timer(l, 2, on_visit, v, NULL), 0);
		return;
	}
	if (v->state >= 0 && vmm_snapshot(v->vm, &o, v->state, v->ram, &info, &e) < 0)
		TAP_FAIL("%s", e.msg);
	read_id(v->vm, BOOT_GENERATION, v->id);
	read_id(v->vm, SEEN, v->seen);
	v->n_seen = read32(v->vm, SEEN + ID_BYTES);
	vmm_stop(v->vm);
}

static void visit(struct vmm_plan *plan, struct visit *v)
{
	struct vmm_result res;

	v->vm = tiny_vm(plan);
	if (plan->state_fd < 0)
		map_ioapic(v->vm);
	v->from = read32(v->vm, COUNTER);
	is_int(loop_timer(vmm_loop(v->vm), 2, on_visit, v, NULL), 0);
	is_int(vmm_run(v->vm, &res, NULL), 0);
	is_str(vmm_end_name(res.end), "stopped");
	vmm_free(v->vm);
}

TEST(V13_each_restore_is_a_generation_of_its_own_and_the_guest_is_interrupted_once_for_it)
{
	struct vmm_plan plan = { VMM_PLAN_NO_FDS, .mem_bytes = MEM, .cpus = 1, .pages = VMM_PAGES_SMALL,
				 .tells_generation = true };
	struct visit v[3] = { { .state = memfd_create("state", MFD_CLOEXEC), .ram = memfd_create("ram", MFD_CLOEXEC) },
			      { .state = -1 },
			      { .state = -1 } };

	plan.kernel_fd = tiny_kernel(waits, (uintptr_t)waits_end - (uintptr_t)waits);
	visit(&plan, &v[0]);
	is_int(v[0].n_seen, 0); /* a boot is nothing to tell of */
	close(plan.kernel_fd);
	plan.kernel_fd = -1;
	plan.state_fd = v[0].state;
	plan.ram_fd = v[0].ram;
	for (int i = 1; i < 3; i++) {
		visit(&plan, &v[i]);
		is_int(v[i].n_seen, 1);
		ok(memcmp(v[i].seen, v[i].id, ID_BYTES) == 0); /* new when it was told */
		for (int k = 0; k < i; k++)
			ok(memcmp(v[i].id, v[k].id, ID_BYTES) != 0);
	}
	close(v[0].state);
	close(v[0].ram);
}

TEST(V13_a_machine_has_a_random_generation_from_its_first_instruction_on)
{
	static const uint8_t code[] = { 0xf4 }, zero[ID_BYTES];
	struct vmm_plan plan = { VMM_PLAN_NO_FDS, .mem_bytes = MEM, .cpus = 1, .tells_generation = true };
	uint8_t ids[2][ID_BYTES];

	plan.kernel_fd = tiny_kernel(code, sizeof(code));
	for (int i = 0; i < 2; i++) {
		struct boot_memmap_entry map[BOOT_MEMMAP_MAX];
		struct vmm *vm = tiny_vm(&plan);
		size_t n = boot_memmap(vm->mem, map);

		read_id(vm, BOOT_GENERATION, ids[i]);
		ok(memcmp(ids[i], zero, ID_BYTES) != 0);
		for (size_t k = 0; k < n; k++) /* and the kernel is told to leave that page alone */
			ok(map[k].type == 2 || BOOT_GENERATION + 4096 <= map[k].gpa ||
			   map[k].gpa + map[k].bytes <= BOOT_GENERATION);
		vmm_free(vm);
	}
	ok(memcmp(ids[0], ids[1], ID_BYTES) != 0);
	close(plan.kernel_fd);
}

TAP_MAIN()
