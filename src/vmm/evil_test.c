/* Evil guests: small programs that do nothing but what no driver would, on whole VMs with vCPU threads, workers and their loop. A VM
 * must end in one of its ways or go on until it is stopped; nothing else may happen, and nothing may be left. */
#include <linux/virtio_pci.h>
#include <linux/virtio_pmem.h>
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
	RINGS = 0x400000, /* queue k of device i at RINGS + (i * 8 + k) * 0x4000: descriptors, avail, used a page apart */
	RINGS_BYTES = 0x100000,
	WINDOW = 4 << 20,
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

static uint64_t next_random(uint64_t *x)
{
	*x = *x * 6364136223846793005ull + 1442695040888963407ull;
	return *x >> 24;
}

/* Mostly what a device takes for a request, so that it is met at work: a few bytes of RAM, now and then of the window (pmem) behind
 * it; and now and then anything. */
static void random_descriptor(uint64_t *x, uint64_t window, struct vring_desc *ret)
{
	uint64_t r = next_random(x);

	*ret = (struct vring_desc){ next_random(x) % (MEM - 0x10000), 1 + (uint32_t)(r % 4096),
				    (r >> 16) % 3 ? r >> 18 & VRING_DESC_F_WRITE
						  : r >> 18 & (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE),
				    r >> 20 & 63 };
	switch (next_random(x) % 64) {
	case 0: ret->addr = next_random(x) << 24; break;
	case 1:
	case 2: ret->addr = window + ret->addr % WINDOW; break;
	case 3: ret->len = (uint32_t)next_random(x); break;
	case 4: ret->flags = VRING_DESC_F_INDIRECT; break;
	case 5: ret->next = (uint16_t)next_random(x); break;
	default: break;
	}
}

/* Descriptors, and an avail ring of some of them; used is zeroes. The storm changes them all. */
static void fill_rings(struct vmm *vm, uint64_t x, uint64_t window)
{
	for (uint64_t at = RINGS; at < RINGS + RINGS_BYTES; at += 0x4000) {
		struct vring_desc descs[256];
		uint16_t avail[2 + 256] = { 0, 1 + (uint16_t)(next_random(&x) % 48) };

		for (size_t i = 0; i < ARRAY_SIZE(descs); i++)
			random_descriptor(&x, window, &descs[i]);
		for (size_t i = 2; i < ARRAY_SIZE(avail); i++)
			avail[i] = next_random(&x) & 63;
		is_int(vmm_mem_write(vm->mem, at, descs, sizeof(descs)), 0);
		is_int(vmm_mem_write(vm->mem, at + 0x1000, avail, sizeof(avail)), 0);
	}
}

/* Of this process, but for what it shares with files, guest RAM among them. */
static uint64_t own_bytes(void)
{
	_cleanup_fd_ int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	const char *line;
	size_t n;

	is_int(fd_read_all(fd, 1 << 16, &text, &n), 0);
	line = strstr(text, "RssAnon:");
	ok(line);
	return strtoull(line + strlen("RssAnon:"), NULL, 10) << 10;
}

struct enough {
	struct vmm *vm;
	uint64_t own_bytes;
};

static void on_enough(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct enough *enough = arg;

	(void)l;
	(void)fd;
	(void)events;
	enough->own_bytes = own_bytes();
	vmm_stop(enough->vm);
}

static int file_of(uint64_t bytes)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	ok(fd >= 0);
	is_int(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

enum { DEVICES = 6, PAIRS = 3 };

static uint64_t requests(const struct virtio_device *d)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < d->n_queues; i++)
		n += d->queues[i].n_popped;
	return n;
}

/* A VM of every device for some ms of storm: the bytes of its own that the process has at the end of it; 0: it ended before. */
static uint64_t storm_once(uint64_t seed, unsigned ms, uint64_t taken[static DEVICES])
{
	int pairs[PAIRS][2], files[2] = { file_of(1 << 20), file_of(WINDOW) };
	struct vmm_port_plan ports[] = { { NULL, -1 }, { (char[]){ "a" }, -1 } };
	struct vmm_rng_plan rng = { 0 };
	struct vmm_console_plan console = { ports, 2 };
	struct vmm_blk_plan blk = { .fd = files[0], .queues = 2 };
	struct vmm_pmem_plan pmem = { .fd = files[1], .is_writable = true };
	struct vmm_tap_plan tap;
	struct vmm_net_plan net = { .taps = &tap, .n_taps = 1, .mac = { 2, 0, 0, 0, 0, 1 } };
	struct vmm_stream_plan stream = { .port = 1024 };
	struct vmm_vsock_plan vsock = { .guest_cid = 3, .listen_fd = -1, .dir_fd = -1, .streams = &stream, .n_streams = 1 };
	struct vmm_device_plan devices[DEVICES] = { { .rng = &rng },   { .console = &console }, { .blk = &blk },
						    { .pmem = &pmem }, { .net = &net },         { .vsock = &vsock } };
	struct vmm_plan plan = { VMM_PLAN_NO_FDS, .mem_bytes = MEM, .cpus = 2, .devices = devices, .n_devices = DEVICES };
	struct vmm_result res = { .end = VMM_RUNNING };
	struct virtio_pmem_config window;
	struct script s = { .n = 0 };
	struct enough enough;
	uint64_t bars, kicks;

	for (int i = 0; i < PAIRS; i++)
		is_int(socketpair(AF_UNIX, (i == 1 ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0, pairs[i]), 0);
	ports[1].fd = pairs[0][0];
	tap.fd = pairs[1][0];
	stream.fd = pairs[2][0];
	plan.kernel_fd = tiny_kernel(storm, (uintptr_t)storm_end - (uintptr_t)storm);
	enough = (struct enough){ .vm = tiny_vm(&plan) };
	memcpy(&window, enough.vm->devices[3]->config, sizeof(window));
	bars = pci_config_read(enough.vm->pci, 1, 0x10, 4);
	is_int(pci_config_read(enough.vm->pci, 6, 0x10, 4), bars + 5 * 0x8000);
	kicks = bars + 0x3000;
	const uint64_t table[8][2] = {
		{ bars, 0x3ffff }, /* of all of them, and of nobody behind */
		{ bars + (seed % 6) * 0x8000, 0x7fff },
		{ kicks + 2 * 0x8000, 0xf },
		{ kicks + (3 + seed % 3) * 0x8000, 0xf },
		{ PCI_MMIO_START, PCI_MMIO_END - PCI_MMIO_START - 1 },
		/* the I/O APIC's registers; or anything from there to the local APICs */
		{ IOAPIC_GPA, seed / 3 % 2 ? 0x5f : 0x1fffff },
		{ RINGS, RINGS_BYTES - 1 },
		{ 0xe0000000, 0xfffffff }, /* where others have their configuration space */
	};

	map_all(enough.vm);
	fill_rings(enough.vm, seed, window.start);
	for (unsigned i = 0; i < DEVICES; i++)
		set_up(&s, enough.vm, i);
	say(&s, 0, 0, 0);
	is_int(vmm_mem_write(enough.vm->mem, TABLE, table, sizeof(table)), 0);
	is_int(vmm_mem_write(enough.vm->mem, SCRIPT, s.rows, s.n * sizeof(s.rows[0])), 0);
	is_int(vmm_mem_write(enough.vm->mem, SEED, &seed, 8), 0);
	ioapic_raise(enough.vm->ioapic, IOAPIC_PIN_EVENTS); /* for the first unmasking */
	is_int(loop_timer(vmm_loop(enough.vm), ms, on_enough, &enough, NULL), 0);
	is_int(vmm_run(enough.vm, &res, NULL), 0);
	printf("# seed %llu: %s %s; requests taken:", (unsigned long long)seed, vmm_end_name(res.end), res.reason);
	for (unsigned i = 0; i < DEVICES; i++) {
		uint64_t n = requests(enough.vm->devices[i]);

		printf(" %s %llu", enough.vm->devices[i]->ops->name, (unsigned long long)n);
		taken[i] += n;
	}
	printf("\n");
	ok(res.end > VMM_RUNNING && res.end < VMM_ENDS);
	vmm_free(enough.vm);
	close(plan.kernel_fd);
	for (int i = 0; i < PAIRS; i++) {
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	for (int i = 0; i < 2; i++)
		close(files[i]);
	return enough.own_bytes;
}

static void be_quiet(void) { log_setup("evil", LOG_ERROR_, false); /* words about broken queues are what is expected */ }

TEST(V15_storms_on_every_region_and_ring_leave_the_vm_in_a_state_that_is_told)
{
	unsigned before = open_fds();
	uint64_t taken[DEVICES] = { 0 };

	be_quiet();
	for (uint64_t seed = 1; seed <= 6; seed++) {
		(void)storm_once(seed * 0x9e3779b97f4a7c15ull, 300, taken);
		is_int(open_fds(), before);
	}
	for (unsigned i = 0; i < DEVICES; i++)
		ok(taken[i] > 0); /* or this shows nothing */
}

/* RAM is a file's memory and not among these bytes: what is left is what devices keep for a guest. */
TEST(V20_a_storm_on_all_queues_takes_a_bounded_part_of_the_hosts_memory)
{
	enum { OWN_MAX = 24 << 20 };
	uint64_t before = own_bytes(), taken[DEVICES] = { 0 };
	unsigned n = 0;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip("a sanitized build keeps memory of its own");
#endif
	be_quiet();
	for (uint64_t seed = 11; seed <= 14; seed++) {
		uint64_t at_end = storm_once(seed * 0x9e3779b97f4a7c15ull, 300, taken);

		n += at_end > 0;
		printf("# %llu KiB more\n", (unsigned long long)(at_end > before ? at_end - before : 0) >> 10);
		ok(at_end < before + OWN_MAX);
	}
	ok(n > 0);
}

TAP_MAIN()
