/* vm_inspect.c: what a VM is and does, from its record, its bundle, and, where it runs on berth-vmm, from that itself. */
#include "snapshot.h"

static int add(struct json_object *o, const char *key, struct json_object *v, struct err *e)
{
	return json_add(o, key, v) < 0 ? OUT_OF_MEMORY(e) : 0;
}

/* A member of an answer of the VMM, under our name; what it does not have is left out. */
static int take(struct json_object *from, const char *key, struct json_object *to, const char *name, struct err *e)
{
	struct json_object *v;

	return json_object_object_get_ex(from, key, &v) ? add(to, name, json_object_get(v), e) : 0;
}

static const struct {
	const char *key, *name;
} state_members[] = { { "started", "Started" }, { "restored_from", "RestoredFrom" } },
  metric_members[] = { { "resident_bytes", "ResidentBytes" }, { "devices", "Devices" }, { "exits", "Exits" } };

/* id: the container's, or its pod's, whose machine it is in then. */
static int ask_vmm(struct engine *en, const char *id, struct json_object *o, struct err *e)
{
	_cleanup_json_ struct json_object *state = NULL, *metrics = NULL;
	_cleanup_fd_ int fd = -1;
	int r = vm_control_open(en, id, &fd, e);

	if (r >= 0)
		r = vm_control_ask(fd, "{\"do\":\"state\"}", NULL, 0, &state, e);
	if (r >= 0)
		r = vm_control_ask(fd, "{\"do\":\"metrics\"}", NULL, 0, &metrics, e);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(state_members); i++)
		r = take(state, state_members[i].key, o, state_members[i].name, e);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(metric_members); i++)
		r = take(metrics, metric_members[i].key, o, metric_members[i].name, e);
	return r;
}

static int describe(struct engine *en, const struct container_record *c, const struct launch *l, struct json_object *o,
		    struct err *e)
{
	struct monitor_state m = { 0 };
	bool runs = c->state == CS_RUNNING || c->state == CS_PAUSED;
	int r = runs ? monitor_inspect(en->paths, c->id, &m, e) : 0;

	if (r >= 0)
		r = add(o, "Id", json_object_new_string(c->id), e);
	if (r >= 0)
		r = add(o, "Name", json_object_new_string(c->name), e);
	if (r >= 0)
		r = add(o, "State", json_object_new_string(container_state_name(c->state)), e);
	if (r >= 0 && c->pod_id)
		r = add(o, "Pod", json_object_new_string(c->pod_id), e);
	if (r >= 0 && m.vmm[0])
		r = add(o, "VMM", json_object_new_string(m.vmm), e);
	if (r >= 0 && m.pid > 0)
		r = add(o, "Pid", json_object_new_int(m.pid), e);
	if (r >= 0)
		r = add(o, "Image", json_object_new_string(c->image_ref ?: c->image_id ?: ""), e);
	if (r >= 0)
		r = add(o, "CPUs", json_object_new_uint64(l->vm_cpus ? l->vm_cpus : 1), e);
	if (r >= 0)
		r = add(o, "MemoryBytes", json_object_new_uint64(l->vm_mem_bytes), e);
	if (r >= 0)
		r = add(o, "Kernel", json_object_new_string(l->kernel ?: ""), e);
	if (r >= 0)
		r = add(o, "ImageDisk", json_object_new_string(l->image_disk ?: ""), e);
	if (r >= 0 && l->upper_disk)
		r = add(o, "WritableDisk", json_object_new_string(l->upper_disk), e);
	/* One that is paused answers nothing, and no other VMM speaks so. */
	if (r >= 0 && c->state == CS_RUNNING && streq(m.vmm, "berth-vmm"))
		r = ask_vmm(en, c->pod_id ?: c->id, o, e);
	return r;
}

int engine_vm_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct container_record c;
	struct launch l = { 0 };
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	if (!streq(c.isolation, "vm"))
		r = err_set(e, EINVAL, "%s is a container, no virtual machine: `berth inspect` tells of it", c.name);
	if (r >= 0)
		r = bundle_read_launch(en, c.id, &l, e);
	if (r >= 0)
		r = o ? describe(en, &c, &l, o, e) : OUT_OF_MEMORY(e);
	launch_done(&l);
	container_record_done(&c);
	if (r >= 0)
		*ret = TAKE_PTR(o);
	return r;
}
