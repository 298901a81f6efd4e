/* Fuzz target: saved states. Input: a byte of flags, then records, or (WHOLE_FILE) a state file. Records go to a VM with two
 * devices, with its own vCPUs', clock's and I/O APIC's in front where OWN_VCPUS asks for it (they are 20 KB, and other ones on each host);
 * they are loaded or refused, and the devices can be reset afterwards. Where there is no KVM, only heads and the sequence of
 * records are read. */
#include <elf.h>
#include <linux/virtio_pci.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtio/pci_impl.h"

enum { OWN_VCPUS = 1, WHOLE_FILE = 2, RAM = 32 << 20, OWN_RECORDS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The least that can be loaded; it never runs. */
static int make_kernel(void)
{
	const struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph;
		uint8_t halt;
	} f = { .eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = BOOT_KERNEL_MIN,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1 },
		.ph = { .p_type = PT_LOAD, .p_offset = 120, .p_paddr = BOOT_KERNEL_MIN, .p_filesz = 1, .p_memsz = 4096 },
		.halt = 0xf4 };
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	if (fd < 0 || write(fd, &f, sizeof(f)) != (ssize_t)sizeof(f))
		abort();
	return fd;
}

static struct vmm *make_vm(void)
{
	static struct vmm_rng_plan rng;
	static struct vmm_port_plan port = { NULL, -1 };
	static struct vmm_console_plan console = { &port, 1 };
	static struct vmm_device_plan devices[2] = { { .rng = &rng }, { .console = &console } };
	static struct vmm_plan plan = { VMM_PLAN_NO_FDS,          .mem_bytes = RAM,   .cpus = 1,
					.pages = VMM_PAGES_SMALL, .devices = devices, .n_devices = 2 };
	struct vmm *vm = NULL;
	struct err e = { 0 };

	plan.kernel_fd = make_kernel();
	if (vmm_new(&plan, &vm, &e) < 0 && e.no != ENODEV)
		abort();
	return vm;
}

/* The first n records of the VM's own state. */
static void own_records(struct vmm *vm, unsigned n, struct buf *out)
{
	_cleanup_buf_ struct buf all = { NULL };
	size_t at = 0;

	if (snapshot_save_records(vm, &all, NULL) < 0)
		abort();
	while (n--) {
		uint32_t len;

		memcpy(&len, all.data + at + 12, sizeof(len));
		at += 16 + len;
	}
	buf_add(out, all.data, at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vmm *vm;
	static bool was_tried;
	_cleanup_buf_ struct buf records = { NULL };
	struct snapshot_head h;

	if (!was_tried)
		vm = make_vm();
	was_tried = true;
	if (size == 0)
		return 0;
	if (data[0] & WHOLE_FILE) {
		if (snapshot_check(data + 1, size - 1, &h, NULL) >= 0 && h.records_bytes != size - 1 - sizeof(h))
			abort();
		return 0;
	}
	if (!vm) {
		(void)state_count(data + 1, size - 1, NULL);
		return 0;
	}
	if (data[0] & OWN_VCPUS)
		own_records(vm, OWN_RECORDS, &records);
	buf_add(&records, data + 1, size - 1);
	if (records.failed)
		return 0;
	(void)snapshot_load_records(vm, records.data, records.len, NULL);
	for (unsigned i = 0; i < vm->n_devices; i++) {
		const uint8_t reset = 0;

		vmm_bus_write(vm->bus, VMM_MMIO, vm->devices[i]->pci->f.bars[0].gpa + VIRTIO_PCI_COMMON_STATUS, &reset, 1);
		if (vm->devices[i]->is_active)
			abort();
	}
	return 0;
}
