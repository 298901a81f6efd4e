/* The exchange of a kernel's pages while the kernel writes to them: nothing of that is lost. */
#include "tiny.h"

#define DATA      (4ull << 20)
#define DATA_SIZE (2 * VMM_MEM_PIECE)
#define ROUNDS    100

/* Adds one to the first word of each page of the data, to both pieces in turns, ROUNDS times; then it switches itself off. */
static const uint8_t adder[] = {
	0xb9, ROUNDS, 0,    0,    0,                            /*    mov $ROUNDS, %ecx */
	0x48, 0xc7,   0xc3, 0,    0,    0x40, 0,                /* 1: mov $DATA, %rbx */
	0x48, 0xff,   0x03,                                     /* 2: incq (%rbx) */
	0x48, 0xff,   0x83, 0,    0,    0x20, 0,                /*    incq VMM_MEM_PIECE(%rbx) */
	0x48, 0x81,   0xc3, 0,    0x10, 0,    0,                /*    add $4096, %rbx */
	0x48, 0x81,   0xfb, 0,    0,    0x60, 0,                /*    cmp $DATA + VMM_MEM_PIECE, %rbx */
	0x72, 0xe6,                                             /*    jb 2b */
	0xff, 0xc9,                                             /*    dec %ecx */
	0x75, 0xdb,                                             /*    jnz 1b */
	0x66, 0xba,   0x00, 0x06, 0xb0, 0x34, 0xee, 0xeb, 0xfe, /*    out of the sleep port, below */
};

static uint64_t word(uint64_t i) { return i * 0x9e3779b97f4a7c15ull | 1; }

struct file_of_data {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	uint8_t code[sizeof(adder)];
};

/* Its data fills its segment from a whole page on, no two words of it alike. */
static int kernel_with_data(void)
{
	struct file_of_data f = { .eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
					  .e_type = ET_EXEC,
					  .e_machine = EM_X86_64,
					  .e_entry = TINY_ENTRY,
					  .e_phoff = offsetof(struct file_of_data, ph),
					  .e_phentsize = sizeof(Elf64_Phdr),
					  .e_phnum = 2 },
				  .ph = { { .p_type = PT_LOAD,
					    .p_flags = PF_R,
					    .p_offset = offsetof(struct file_of_data, code),
					    .p_paddr = TINY_ENTRY,
					    .p_filesz = sizeof(adder),
					    .p_memsz = 4096 },
					  { .p_type = PT_LOAD,
					    .p_flags = PF_R | PF_W,
					    .p_offset = 4096,
					    .p_paddr = DATA,
					    .p_filesz = DATA_SIZE,
					    .p_memsz = DATA_SIZE } } };
	_cleanup_free_ uint64_t *data = malloc(DATA_SIZE);
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	memcpy(f.code, adder, sizeof(adder));
	f.code[sizeof(adder) - 7] = VMM_PORT_SLEEP_CONTROL & 0xff;
	f.code[sizeof(adder) - 6] = VMM_PORT_SLEEP_CONTROL >> 8;
	f.code[sizeof(adder) - 4] = VMM_SLEEP_TYPE_S5 << 2 | 0x20;
	for (uint64_t i = 0; i < DATA_SIZE / 8; i++)
		data[i] = word(i);
	ok(fd >= 0);
	is_int(pwrite(fd, &f, sizeof(f), 0), sizeof(f));
	is_int(pwrite(fd, data, DATA_SIZE, 4096), DATA_SIZE);
	return fd;
}

static void run_to_end(struct vmm *vm)
{
	struct vmm_result res = { .end = VMM_RUNNING };
	struct err e = { 0 };

	if (vmm_run(vm, &res, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_str(vmm_end_name(res.end), "powered-off");
	is_str(res.reason, "");
}

static void expect_sums(const struct vmm *vm)
{
	const uint64_t *data = vmm_mem_at(vm->mem, DATA, DATA_SIZE);

	ok(data);
	for (uint64_t i = 0; data && i < DATA_SIZE / 8; i++)
		if (data[i] != word(i) + (i % 512 ? 0 : ROUNDS))
			TAP_FAIL("word %llu: %#llx of %#llx", (unsigned long long)i, (unsigned long long)data[i],
				 (unsigned long long)word(i));
}

static struct vmm_plan plan_with(enum vmm_pages pages)
{
	struct vmm_plan plan = { VMM_PLAN_NO_FDS, .mem_bytes = 32 << 20, .cpus = 1, .pages = pages };

	plan.kernel_fd = kernel_with_data();
	return plan;
}

/* Several, as each could be lucky. */
TEST(pages_are_exchanged_below_a_guest_that_writes_to_them_and_none_of_it_is_lost)
{
	for (unsigned i = 0; i < 6; i++) {
		struct vmm_plan plan = plan_with(VMM_PAGES_THP);
		_cleanup_(vmm_free_ptr) struct vmm *vm = tiny_vm(&plan);

		ok(vmm_mem_is_file(vm->mem, DATA) && vmm_mem_is_file(vm->mem, DATA + VMM_MEM_PIECE));
		run_to_end(vm);
		ok(!vmm_mem_is_file(vm->mem, DATA) && !vmm_mem_is_file(vm->mem, DATA + VMM_MEM_PIECE));
		expect_sums(vm);
		close(plan.kernel_fd);
	}
}

TEST(where_huge_pages_are_not_wanted_pages_stay_where_they_are)
{
	struct vmm_plan plan = plan_with(VMM_PAGES_SMALL);
	_cleanup_(vmm_free_ptr) struct vmm *vm = tiny_vm(&plan);

	run_to_end(vm);
	expect_sums(vm);
	close(plan.kernel_fd);
}

TEST(nothing_is_exchanged_once_a_device_is_at_work)
{
	struct vmm_plan plan = plan_with(VMM_PAGES_THP);
	struct vmm_rng_plan rng = { 0 };
	struct vmm_device_plan device = { .rng = &rng };
	struct vmm *vm;

	plan.devices = &device;
	plan.n_devices = 1;
	vm = tiny_vm(&plan);
	is_int(vm->n_devices, 1);
	vm->devices[0]->is_active = true;
	vmm_own_written(vm);
	vm->devices[0]->is_active = false;
	ok(vmm_mem_is_file(vm->mem, DATA) && vmm_mem_is_file(vm->mem, DATA + VMM_MEM_PIECE));
	vmm_free(vm);
	close(plan.kernel_fd);
}

TAP_MAIN()
