/* Fuzz target: kernel files. Whatever the file says, it is loaded within RAM and entered within it, or refused. */
#include <sys/mman.h>
#include <unistd.h>

#include "boot.h"

#define RAM (32ull << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int file = -1;
	static struct vmm_mem *mem;
	const struct vmm_mem_config config = { .bytes = RAM, .file_fd = -1, .pages = VMM_PAGES_SMALL };
	struct boot_config c = { .initrd_fd = -1, .cmdline = "quiet" };
	struct boot_written written = { .n = 0 };
	struct vcpu_entry entry = { .rip = 0 };

	if (file < 0)
		file = memfd_create("kernel", MFD_CLOEXEC);
	if (file < 0 || (!mem && vmm_mem_new(&config, &mem, NULL) < 0) || ftruncate(file, 0) < 0 ||
	    pwrite(file, data, size, 0) != (ssize_t)size)
		abort();
	c.kernel_fd = file;
	if (boot_load(mem, &c, &entry, &written, NULL) < 0)
		return 0;
	for (unsigned i = 0; i < written.n; i++)
		if (written.n > BOOT_WRITTEN_MAX || written.ranges[i].start >= written.ranges[i].end ||
		    !vmm_mem_at(mem, written.ranges[i].start, written.ranges[i].end - written.ranges[i].start))
			abort();
	if (entry.rip < BOOT_KERNEL_MIN || !vmm_mem_at(mem, entry.rip, 1))
		abort();
	return 0;
}
