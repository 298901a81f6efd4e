/* devices: which member of a device's plan makes which device. A new device is one line here. */
#include "../vmm_impl.h"

int virtio_add_planned(struct vmm *vm, const struct vmm_device_plan *plan, struct err *e)
{
	struct virtio_device *d = NULL;
	int r;

	if (plan->rng)
		r = virtio_rng_new(plan->rng, &d, e);
	else if (plan->console)
		r = virtio_console_new(plan->console, &d, e);
	else if (plan->blk)
		r = virtio_blk_new(plan->blk, vm->plan->cpus, &d, e);
	else if (plan->pmem)
		r = virtio_pmem_new(plan->pmem, &d, e);
	else if (plan->net)
		r = virtio_net_new(plan->net, &d, e);
	else if (plan->balloon)
		r = virtio_balloon_new(plan->balloon, &d, e);
	else if (plan->mem)
		r = virtio_mem_new(vm->mem, &d, e);
	else if (plan->vsock)
		r = virtio_vsock_new(plan->vsock, &d, e);
	else if (plan->fs)
		r = virtio_fs_new(plan->fs, &d, e);
	else
		r = err_set(e, EINVAL, "a device that is nothing");
	if (r < 0)
		return r;
	r = virtio_add(vm, d, e);
	if (r < 0 && !d->pci)
		d->ops->free(d);
	return r;
}
