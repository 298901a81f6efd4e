/* Evil guests: small programs that do nothing but what no driver would, on whole VMs with vCPU threads, workers and their loop. A VM
 * must end in one of its ways or go on until it is stopped; nothing else may happen, and nothing may be left. */
#include <linux/virtio_pci.h>
#include <sys/socket.h>

#include "tiny.h"

/* The guests' programs, position-independent, as the compiler assembles them. */
#define GUEST(name, text)                                                                                                    \
	__asm__(".pushsection .rodata\n.globl " #name ", " #name "_end\n" #name ":\n" text "\n" #name "_end:\n.popsection"); \
	extern const uint8_t name[], name##_end[];

/* All ports, six accesses each; %bl is what is written. Then it switches itself off. */
GUEST(sweep, "	mov $0x00, %bl\n" /* patched: sweep[1] */
	     "	xor %edx, %edx\n"
	     "1:	in %dx, %al\n"
	     "	in %dx, %ax\n"
	     "	in %dx, %eax\n"
	     "	movzbl %bl, %eax\n"
	     "	imul $0x01010101, %eax, %eax\n"
	     "	out %al, %dx\n"
	     "	out %ax, %dx\n"
	     "	out %eax, %dx\n"
	     "	inc %dx\n"
	     "	jnz 1b\n"
	     "	mov $0x600, %dx\n"
	     "	mov $0x34, %al\n"
	     "	out %al, %dx\n"
	     "2:	jmp 2b\n")

/* Random accesses, forever: a row of the table {base, mask} (8 of them, at 0x200000), an offset in its mask, one of eight kinds.
 * Behind the table is a script of {address, value, bytes} rows, up to bytes 0: it sets the devices up anew every 256 accesses, so
 * that what comes then meets them at work. %rbx: the generator (xorshift64), seeded at 0x2ffff8. */
GUEST(storm, "	mov 0x2ffff8, %rbx\n"
	     "0:	mov $0x200080, %esi\n"
	     "1:	mov 16(%rsi), %ecx\n"
	     "	jecxz 3f\n"
	     "	mov (%rsi), %rdx\n"
	     "	mov 8(%rsi), %rax\n"
	     "	add $24, %rsi\n"
	     "	cmp $1, %ecx\n"
	     "	jne 2f\n"
	     "	mov %al, (%rdx)\n"
	     "	jmp 1b\n"
	     "2:	cmp $2, %ecx\n"
	     "	jne 4f\n"
	     "	mov %ax, (%rdx)\n"
	     "	jmp 1b\n"
	     "4:	mov %eax, (%rdx)\n"
	     "	jmp 1b\n"
	     "3:	mov $256, %ebp\n"
	     "5:	mov %rbx, %rax\n"
	     "	shl $13, %rax\n"
	     "	xor %rax, %rbx\n"
	     "	mov %rbx, %rax\n"
	     "	shr $7, %rax\n"
	     "	xor %rax, %rbx\n"
	     "	mov %rbx, %rax\n"
	     "	shl $17, %rax\n"
	     "	xor %rax, %rbx\n"
	     "	mov %ebx, %edi\n"
	     "	and $7, %edi\n"
	     "	shl $4, %edi\n"
	     "	mov %rbx, %rdx\n"
	     "	shr $16, %rdx\n"
	     "	and 0x200008(%rdi), %rdx\n"
	     "	add 0x200000(%rdi), %rdx\n"
	     "	mov %rbx, %rax\n"
	     "	shr $32, %rax\n"
	     "	mov %ebx, %ecx\n"
	     "	shr $3, %ecx\n"
	     "	and $7, %ecx\n"
	     "	jz 10f\n"
	     "	dec %ecx\n"
	     "	jz 11f\n"
	     "	dec %ecx\n"
	     "	jz 12f\n"
	     "	dec %ecx\n"
	     "	jz 13f\n"
	     "	dec %ecx\n"
	     "	jz 14f\n"
	     "	dec %ecx\n"
	     "	jz 15f\n"
	     "	dec %ecx\n"
	     "	jz 16f\n"
	     "	mov (%rdx), %rax\n"
	     "	jmp 6f\n"
	     "10:	mov %al, (%rdx)\n"
	     "	jmp 6f\n"
	     "11:	mov %ax, (%rdx)\n"
	     "	jmp 6f\n"
	     "12:	mov %eax, (%rdx)\n"
	     "	jmp 6f\n"
	     "13:	mov %rax, (%rdx)\n"
	     "	jmp 6f\n"
	     "14:	mov (%rdx), %al\n"
	     "	jmp 6f\n"
	     "15:	mov (%rdx), %ax\n"
	     "	jmp 6f\n"
	     "16:	mov (%rdx), %eax\n"
	     "6:	dec %ebp\n"
	     "	jnz 5b\n"
	     "	jmp 0b\n")

enum {
	TABLE = 0x200000,
	SCRIPT = 0x200080,
	SEED = 0x2ffff8,
	RINGS = 0x400000,  /* queue k of device i at RINGS + (i * 8 + k) * 0x4000: descriptors, avail, used a page apart */
	TABLES = 0x300000, /* page tables of the upper 3 GiB: the boot's own map only the first */
	MEM = 32 << 20,
};

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

TEST(V15_all_ports_in_all_widths_end_in_what_was_asked_for)
{
	static const struct {
		uint8_t value;
		enum vmm_end end;
	} rows[] = { { 0x00, VMM_POWERED_OFF },
		     { 0xff, VMM_GUEST_PANIC } /* the panic port, bit 0 */,
		     { 0x02, VMM_POWERED_OFF } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = (uintptr_t)sweep_end - (uintptr_t)sweep;
		uint8_t *code = malloc(n);
		struct vmm_plan plan = { VMM_PLAN_NO_FDS, .mem_bytes = MEM, .cpus = 1 };
		struct vmm_result res = { .end = VMM_RUNNING };
		struct vmm *vm;

		memcpy(code, sweep, n);
		code[1] = rows[i].value;
		plan.kernel_fd = tiny_kernel(code, n);
		plan.serial_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		vm = tiny_vm(&plan);
		is_int(vmm_run(vm, &res, NULL), 0);
		printf("# written %#x: %s %s\n", rows[i].value, vmm_end_name(res.end), res.reason);
		is_str(vmm_end_name(res.end), vmm_end_name(rows[i].end));
		vmm_free(vm);
		close(plan.serial_fd);
		close(plan.kernel_fd);
		free(code);
	}
}

/* ---- the storm ---- */

struct script {
	uint64_t rows[512][3];
	size_t n;
};

static void say(struct script *s, uint64_t addr, uint64_t value, uint64_t bytes)
{
	uint64_t *row = s->rows[s->n++];

	ok(s->n < ARRAY_SIZE(s->rows));
	row[0] = addr;
	row[1] = value;
	row[2] = bytes;
}

/* As a driver begins (virtio 1.2, 3.1.1). */
static void set_up(struct script *s, const struct vmm *vm, unsigned i)
{
	uint64_t bar = pci_config_read(vm->pci, i + 1, 0x10, 4), common = bar;

	say(s, common + VIRTIO_PCI_COMMON_STATUS, 0, 1);
	say(s, common + VIRTIO_PCI_COMMON_STATUS, 3, 1);
	for (uint64_t half = 0; half < 2; half++) {
		say(s, common + VIRTIO_PCI_COMMON_GFSELECT, half, 4);
		say(s, common + VIRTIO_PCI_COMMON_GF, half, 4); /* VIRTIO_F_VERSION_1 alone */
	}
	say(s, common + VIRTIO_PCI_COMMON_STATUS, 0xb, 1);
	for (unsigned k = 0; k < vm->devices[i]->n_queues && k < 8; k++) {
		uint64_t ring = RINGS + (i * 8 + k) * 0x4000ull;

		say(s, common + VIRTIO_PCI_COMMON_Q_SELECT, k, 2);
		say(s, common + VIRTIO_PCI_COMMON_Q_DESCLO, ring, 4);
		say(s, common + VIRTIO_PCI_COMMON_Q_AVAILLO, ring + 0x1000, 4);
		say(s, common + VIRTIO_PCI_COMMON_Q_USEDLO, ring + 0x2000, 4);
		say(s, common + VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	}
	say(s, common + VIRTIO_PCI_COMMON_STATUS, 0xf, 1);
	for (uint64_t k = 0; k < 4; k++)
		say(s, bar + 0x3000 + 4 * k, k, 2);
}

/* The upper 3 GiB of the first 4, identity, by pages of 1 GiB where... no CPU need have them: by pages of 2 MiB. */
static void map_all(struct vmm *vm)
{
	uint64_t pdpt = 0, entry;

	is_int(vmm_mem_read(vm->mem, BOOT_PAGE_TABLES, &pdpt, 8), 0);
	pdpt &= ~0xfffull;
	for (uint64_t g = 1; g < 4; g++) {
		uint64_t table = TABLES + g * 0x1000;

		entry = table | 3;
		is_int(vmm_mem_write(vm->mem, pdpt + g * 8, &entry, 8), 0);
		for (uint64_t k = 0; k < 512; k++) {
			entry = (g << 30 | k << 21) | 0x83;
			is_int(vmm_mem_write(vm->mem, table + k * 8, &entry, 8), 0);
		}
	}
}

/* Rings and what they point to: random, but the addresses and lengths are mostly of memory that there is. */
static void fill_rings(struct vmm *vm, uint64_t seed)
{
	uint32_t x = (uint32_t)seed * 2654435761u | 1;

	for (uint64_t at = RINGS; at < RINGS + 0x100000; at += 16) {
		uint64_t row[2] = { 0 };

		for (int i = 0; i < 4; i++) {
			x = x * 1664525 + 1013904223;
			((uint32_t *)row)[i] = x;
		}
		if (at % 0x4000 < 0x1000) { /* descriptors */
			row[0] = row[0] % 7 ? row[0] % MEM : row[0];
			row[1] = (row[1] & 0xffff0007fffull) | (row[1] & 1 ? 0 : row[1] << 60);
			row[1] &= ~(0xff80ull << 48);
		} else {
			row[0] &= 0x00ff00ff00ff00ffull; /* indices */
			row[1] &= 0x00ff00ff00ff00ffull;
		}
		is_int(vmm_mem_write(vm->mem, at, row, sizeof(row)), 0);
	}
}

static void on_enough(struct loop *l, int fd, uint32_t events, void *arg)
{
	(void)l;
	(void)fd;
	(void)events;
	vmm_stop(arg);
}

static void storm_once(uint64_t seed, unsigned ms)
{
	int pair[2], image = memfd_create("disk", MFD_CLOEXEC);
	struct vmm_port_plan ports[] = { { NULL, -1 }, { (char[]){ "a" }, -1 } };
	struct vmm_rng_plan rng = { 0 };
	struct vmm_console_plan console = { ports, 2 };
	struct vmm_blk_plan blk = { .fd = image, .queues = 2 };
	struct vmm_device_plan devices[] = { { .rng = &rng }, { .console = &console }, { .blk = &blk } };
	struct vmm_plan plan = { VMM_PLAN_NO_FDS, .mem_bytes = MEM, .cpus = 2, .devices = devices,
				 .n_devices = ARRAY_SIZE(devices) };
	struct vmm_result res = { .end = VMM_RUNNING };
	struct script s = { .n = 0 };
	struct vmm *vm;

	is_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	is_int(ftruncate(image, 1 << 20), 0);
	ports[1].fd = pair[0];
	plan.kernel_fd = tiny_kernel(storm, (uintptr_t)storm_end - (uintptr_t)storm);
	vm = tiny_vm(&plan);
	const uint64_t table[8][2] = {
		{ pci_config_read(vm->pci, 1, 0x10, 4), 0x7fff },
		{ pci_config_read(vm->pci, 2, 0x10, 4), 0x7fff },
		{ pci_config_read(vm->pci, 3, 0x10, 4), 0x7fff },
		{ pci_config_read(vm->pci, 3, 0x10, 4) + 0x3000, 0xf }, /* kicks */
		{ PCI_MMIO_START, PCI_MMIO_END - PCI_MMIO_START - 1 },
		{ 0xfec00000, 0x1fffff }, /* where a PC has an I/O APIC; and the local APICs */
		{ RINGS, 0x3ffff },
		{ 0xe0000000, 0xfffffff }, /* where others have their configuration space */
	};

	map_all(vm);
	fill_rings(vm, seed);
	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		set_up(&s, vm, i);
	say(&s, 0, 0, 0);
	is_int(vmm_mem_write(vm->mem, TABLE, table, sizeof(table)), 0);
	is_int(vmm_mem_write(vm->mem, SCRIPT, s.rows, s.n * sizeof(s.rows[0])), 0);
	is_int(vmm_mem_write(vm->mem, SEED, &seed, 8), 0);
	is_int(loop_timer(vmm_loop(vm), ms, on_enough, vm, NULL), 0);
	is_int(vmm_run(vm, &res, NULL), 0);
	printf("# seed %llu: %s %s\n", (unsigned long long)seed, vmm_end_name(res.end), res.reason);
	ok(res.end > VMM_RUNNING && res.end < VMM_ENDS);
	vmm_free(vm);
	close(plan.kernel_fd);
	close(pair[0]);
	close(pair[1]);
	close(image);
}

TEST(V15_storms_on_every_region_and_ring_leave_the_vm_in_a_state_that_is_told)
{
	unsigned before = open_fds();

	log_setup("evil", LOG_ERROR_, false); /* a word about each broken queue is what is expected */

	for (uint64_t seed = 1; seed <= 6; seed++) {
		storm_once(seed * 0x9e3779b97f4a7c15ull, 300);
		is_int(open_fds(), before);
	}
}

TAP_MAIN()
