/* guest_plan.c: what a virtual machine needs beyond a container: a disk of the image, a disk to write to, a kernel, and how
 * much of the host it may see. */
#include "engine_impl.h"

#include <math.h>
#include <unistd.h>

#define VM_MEM_DEFAULT   (512u << 20)
#define VM_CPUS_DEFAULT  1             /* a second one costs each boot its start-up, and what asks for more says --cpus */
#define UPPER_DISK_BYTES (10ull << 30) /* sparse: costs what is written */

static void set_size(struct plan *p)
{
	int64_t memory = p->o->memory == SPEC_UNSET ? 0 : p->o->memory;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	/* The workload's: what the guest's kernel needs comes on top (isolation/vm.c). */
	p->launch.vm_mem_bytes = memory ? (uint64_t)memory : VM_MEM_DEFAULT;
	p->launch.vm_cpus = p->o->cpus > 0 ? (uint32_t)ceil(p->o->cpus) : VM_CPUS_DEFAULT;
	if (online > 0 && p->launch.vm_cpus > (uint32_t)online)
		p->launch.vm_cpus = (uint32_t)online;
}

int plan_guest(struct plan *p, struct err *e)
{
	int r;

	if (!p->is_vm) {
		if (p->o->kernel)
			return err_set(e, EINVAL, "--kernel is for virtual machines; add --isolation vm");
		return 0;
	}
	set_size(p);
	r = vm_prepare(p->en->paths, p->o->kernel, &p->launch.kernel, &p->launch.initramfs, e);
	if (r >= 0)
		r = image_disk(p->en->store, &p->image, &p->launch.image_disk, e);
	if (r < 0)
		return r;
	p->launch.upper_disk = str_fmt("%s/upper.img", p->dir);
	if (!p->launch.upper_disk)
		return OUT_OF_MEMORY(e);
	return vm_make_disk(p->en->paths, p->launch.upper_disk, UPPER_DISK_BYTES, e);
}
