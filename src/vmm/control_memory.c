/* control_memory: the size of a guest's memory, asked and told on the control socket. */
#include "control.h"
#include "virtio/balloon.h"
#include "virtio/mem.h"

/* No guest of ours runs in less; one that is asked for more than it can give gives what it can. */
#define MEM_LEFT_MIN VMM_MEM_MIN

static int add(struct json_object *o, const char *key, uint64_t v, struct err *e)
{
	return json_add(o, key, json_object_new_uint64(v)) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int refuse_driver(const char *what, const char *module, struct err *e)
{
	return err_set(e, EAGAIN, "resize: the guest has no driver for its %s (%s), or not yet", what, module);
}

/* Below what the VM booted with it is the balloon's affair, above it that of the memory device. Both are told, since each call says all. */
int control_resize(struct vmm *vm, uint64_t mem_bytes, struct json_object *reply, struct err *e)
{
	struct virtio_device *balloon = balloon_find(vm), *mem = mem_find(vm);
	const uint64_t boot = vmm_mem_boot_bytes(vm->mem), most = vmm_mem_bytes(vm->mem), want = mem_bytes ?: boot;
	const uint64_t more = want > boot ? want - boot : 0, less = want < boot ? boot - want : 0;
	struct mem_report m = { 0 };
	int r;

	if (want < MEM_LEFT_MIN || want > most)
		return err_set(e, EINVAL, "resize: mem_bytes: %llu is not from %llu to the %llu that this VM was made with%s",
			       (unsigned long long)want, MEM_LEFT_MIN, (unsigned long long)most,
			       mem ? "" : " (a \"mem\" device is room to grow into)");
	if (!mem && !balloon)
		return err_set(e, EOPNOTSUPP, "resize: this VM has no balloon and no room to grow into");
	if (less && !balloon)
		return err_set(e, EOPNOTSUPP, "resize: this VM has no balloon");
	if (balloon && !balloon->is_active && (less || !mem))
		return refuse_driver("balloon", "virtio_balloon", e);
	if (more && (!mem || !mem->is_active))
		return refuse_driver("memory that grows", "virtio_mem", e);
	r = mem ? mem_request(mem, more, e) : 0;
	if (r < 0)
		return r;
	if (balloon)
		balloon_set_target(balloon, less);
	if (mem)
		mem_report(mem, &m);
	r = add(reply, "mem_bytes", want, e);
	if (r >= 0)
		r = add(reply, "balloon_bytes", less, e);
	return r < 0 || !mem ? r : add(reply, "plugged_bytes", m.plugged_bytes, e);
}

static int add_room(struct virtio_device *d, struct json_object *reply, struct err *e)
{
	struct json_object *o = json_object_new_object();
	struct mem_report m;
	int r;

	if (json_add(reply, "memory", o) < 0)
		return err_set(e, ENOMEM, "out of memory");
	mem_report(d, &m);
	r = add(o, "room_bytes", m.room_bytes, e);
	if (r >= 0)
		r = add(o, "requested_bytes", m.requested_bytes, e);
	return r < 0 ? r : add(o, "plugged_bytes", m.plugged_bytes, e);
}

int control_memory(struct vmm *vm, struct json_object *reply, struct err *e)
{
	struct virtio_device *d = balloon_find(vm), *mem = mem_find(vm);
	struct json_object *o, *stats;
	struct balloon_report b;
	int r = mem ? add_room(mem, reply, e) : 0;

	if (r < 0 || !d)
		return r;
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
