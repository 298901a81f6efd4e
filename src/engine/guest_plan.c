/* guest_plan.c: what a virtual machine needs beyond a container: a disk of the image, a disk to write to, a kernel, and how
 * much of the host it may see. */
#include "engine_impl.h"

#include <math.h>
#include <unistd.h>

#define VM_MEM_DEFAULT  (512u << 20)
#define VM_CPUS_DEFAULT 1  /* a second one costs each boot its start-up, and what asks for more says --cpus */
#define VM_CPUS_MOST    64 /* VMM_CPUS_MAX */
#define MEM_MAX_MOST    (256ull << 30)
#define DISK_DEFAULT    (10ull << 30) /* sparse: costs what is written */
#define DISK_MIN        (64ull << 20) /* ext4 with its journal, and room for a few files */
#define DISK_MAX        (8ull << 40)  /* half of what a file of ext4 can hold */

void guest_size(const struct run_opts *o, struct launch *l)
{
	int64_t memory = o->memory == SPEC_UNSET ? 0 : o->memory;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	/* The workload's: what the guest's kernel needs comes on top (isolation/vm.c). */
	l->vm_mem_bytes = memory ? (uint64_t)memory : VM_MEM_DEFAULT;
	l->vm_cpus = o->cpus > 0 ? (uint32_t)ceil(o->cpus) : VM_CPUS_DEFAULT;
	if (online > 0 && l->vm_cpus > (uint32_t)online)
		l->vm_cpus = (uint32_t)online;
	l->vm_mem_max = o->memory_max > 0 ? MAX((uint64_t)o->memory_max, l->vm_mem_bytes) : 0;
	l->vm_huge_pages = o->huge_pages;
	l->vm_cpus_max = o->cpus_max > 0 ? MAX((uint32_t)o->cpus_max, l->vm_cpus) : 0;
}

int guest_check_max(const struct run_opts *o, struct err *e)
{
	int64_t memory = o->memory > 0 ? o->memory : VM_MEM_DEFAULT;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (o->memory_max != SPEC_UNSET && o->memory_max < memory)
		return err_set(e, EINVAL, "--memory-max: %lld MiB are less than the %lld of --memory; give a larger one as well",
			       (long long)(o->memory_max >> 20), (long long)(memory >> 20));
	if (o->memory_max != SPEC_UNSET && o->huge_pages)
		return err_set(e, EOPNOTSUPP, "--memory-max: memory of reserved huge pages (--huge-pages) can't grow");
	if (o->memory_max > (int64_t)MEM_MAX_MOST)
		return err_set(e, EINVAL, "--memory-max: more than 256g is not possible");
	if (o->cpus_max != SPEC_UNSET && (o->cpus_max < 1 || (double)o->cpus_max < o->cpus))
		return err_set(e, EINVAL, "--cpus-max: %lld is less than what it starts with", (long long)o->cpus_max);
	if (online > 0 && o->cpus_max > online)
		return err_set(e, EINVAL, "--cpus-max: %lld is more than this host has: %ld", (long long)o->cpus_max, online);
	if (o->cpus_max > VM_CPUS_MOST)
		return err_set(e, EINVAL, "--cpus-max: a virtual machine has at most %d", VM_CPUS_MOST);
	return 0;
}

/* docker's syntax, "size=120G"; the last one counts. */
int guest_disk_size(char *const *options, uint64_t *ret_bytes, struct err *e)
{
	uint64_t bytes = DISK_DEFAULT;

	for (; options && *options; options++) {
		const char *size = str_after(*options, "size=");

		if (!size)
			return err_set(e, EINVAL, "--storage-opt %s: unknown; size=SIZE is the only one, such as size=20g",
				       *options);
		if (str_to_bytes(size, &bytes) < 0)
			return err_set(e, EINVAL, "--storage-opt %s: not a size such as 20g", *options);
		if (bytes < DISK_MIN || bytes > DISK_MAX)
			return err_set(e, EINVAL, "--storage-opt %s: a guest's disk has between 64m and 8t", *options);
	}
	*ret_bytes = bytes & ~4095ull; /* ext4's blocks */
	return 0;
}

int guest_refuse_max(const struct run_opts *o, struct err *e)
{
	return err_set(e, EINVAL, "--%s is for virtual machines (--isolation vm); a container's limits can be raised without it",
		       o->memory_max != SPEC_UNSET ? "memory-max" : "cpus-max");
}

static int refuse_in_container(const struct plan *p, struct err *e)
{
	if (p->o->kernel)
		return err_set(e, EINVAL, "--kernel is for virtual machines; add --isolation vm");
	if (p->o->memory_max != SPEC_UNSET || p->o->cpus_max != SPEC_UNSET)
		return guest_refuse_max(p->o, e);
	if (p->o->huge_pages)
		return err_set(e, EINVAL,
			       "--huge-pages is for virtual machines; add --isolation vm (processes of a container ask for huge "
			       "pages themselves)");
	if (p->o->disks)
		return err_set(e, EINVAL, "--disk %s: a disk is a virtual machine's; add --isolation vm", p->o->disks[0]);
	if (p->o->storage_opt)
		return err_set(
			e, EOPNOTSUPP,
			"--storage-opt %s: in a container it needs project quotas of the store's file system (xfs, mounted with "
			"pquota), which this version of Berth does not set; --isolation vm has a disk of its own",
			p->o->storage_opt[0]);
	return 0;
}

/* The name is kept where it was asked for; else each start takes the default of its time. */
static int plan_boot(struct plan *p, struct err *e)
{
	_cleanup_(vm_boot_done) struct vm_boot b = { NULL };
	int r = vm_prepare(p->en->paths, p->o->kernel, &b, e);

	if (r < 0)
		return r;
	p->launch.kernel = TAKE_PTR(b.kernel);
	p->launch.initramfs = TAKE_PTR(b.initramfs);
	if (p->o->kernel)
		p->launch.kernel_name = TAKE_PTR(b.name);
	return 0;
}

int plan_guest(struct plan *p, struct err *e)
{
	uint64_t disk_bytes;
	int r;

	if (!p->is_vm)
		return refuse_in_container(p, e);
	r = vm_check_user(e);
	if (r < 0)
		return r;
	guest_size(p->o, &p->launch);
	if (p->pod.id && p->o->kernel)
		return err_set(e, EOPNOTSUPP, "--kernel: not possible yet in a pod's virtual machine");
	if (p->pod.id && p->o->huge_pages)
		return err_set(e, EOPNOTSUPP, "--huge-pages: not possible yet in a pod's virtual machine");
	if (p->pod.id && p->o->disks)
		return err_set(e, EOPNOTSUPP, "--disk %s: not possible yet in a pod's virtual machine; run it without --pod",
			       p->o->disks[0]);
	r = options_check_guest(p->o, e); /* the isolation may be the pod's */
	if (r >= 0 && vm_ram_bytes(&p->launch) > VM_RAM_MAX)
		r = err_set(
			e, EINVAL,
			"--memory: %llu GiB, and what the guest's kernel needs, are more than a virtual machine can have (1 TiB)",
			(unsigned long long)(p->launch.vm_mem_bytes >> 30));
	if (r < 0)
		return r;
	r = guest_disk_size(p->o->storage_opt, &disk_bytes, e);
	if (r >= 0)
		r = guest_given_disks(p->o->disks, &p->launch, e);
	if (r < 0)
		return r;
	r = plan_boot(p, e);
	if (r >= 0)
		r = image_disk(p->en->store, &p->image, &p->launch.image_disk, e);
	if (r < 0)
		return r;
	p->launch.upper_disk = str_fmt("%s/upper.img", p->dir);
	if (!p->launch.upper_disk)
		return OUT_OF_MEMORY(e);
	return vm_make_disk(p->en->paths, p->launch.upper_disk, disk_bytes, e);
}
