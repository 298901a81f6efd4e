/* control_memory: the size of a guest's memory, asked and told on the control socket. */
#include "control.h"
#include "virtio/balloon.h"

/* No guest of ours runs in less; one that is asked for more than it can give gives what it can. */
#define MEM_LEFT_MIN VMM_MEM_MIN

static int add(struct json_object *o, const char *key, uint64_t v, struct err *e)
{
	return json_add(o, key, json_object_new_uint64(v)) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

int control_resize(struct vmm *vm, uint64_t mem_bytes, struct json_object *reply, struct err *e)
{
	struct virtio_device *d = balloon_find(vm);
	const uint64_t all = vmm_mem_bytes(vm->mem);
	int r;

	if (!d)
		return err_set(e, EOPNOTSUPP, "resize: this VM has no balloon");
	if (mem_bytes && (mem_bytes < MEM_LEFT_MIN || mem_bytes > all))
		return err_set(e, EINVAL, "resize: mem_bytes: %llu is not from %llu to the %llu that this VM was made with",
			       (unsigned long long)mem_bytes, MEM_LEFT_MIN, (unsigned long long)all);
	if (!d->is_active)
		return err_set(e, EAGAIN, "resize: the guest has no driver for its balloon (virtio_balloon), or not yet");
	balloon_set_target(d, mem_bytes ? all - mem_bytes : 0);
	r = add(reply, "mem_bytes", mem_bytes ?: all, e);
	return r < 0 ? r : add(reply, "balloon_bytes", mem_bytes ? all - mem_bytes : 0, e);
}

int control_memory(struct vmm *vm, struct json_object *reply, struct err *e)
{
	struct virtio_device *d = balloon_find(vm);
	struct json_object *o, *stats;
	struct balloon_report b;
	int r;

	if (!d)
		return 0;
	o = json_object_new_object();
	if (json_add(reply, "balloon", o) < 0)
		return err_set(e, ENOMEM, "out of memory");
	balloon_report(d, &b);
	r = add(o, "target_bytes", b.target_bytes, e);
	if (r >= 0)
		r = add(o, "actual_bytes", b.actual_bytes, e);
	if (r >= 0)
		r = add(o, "returned_bytes", b.returned_bytes, e);
	if (r < 0 || !b.stats_at_us)
		return r;
	r = add(o, "stats_age_ms", (clock_mono_us() - b.stats_at_us) / 1000, e);
	stats = json_object_new_object();
	if (r >= 0 && json_add(o, "stats", stats) < 0)
		return err_set(e, ENOMEM, "out of memory");
	for (unsigned i = 0; r >= 0 && i < BALLOON_STATS; i++)
		if (b.stats[i] != BALLOON_UNTOLD)
			r = add(stats, balloon_stat_names[i], b.stats[i], e);
	return r;
}
