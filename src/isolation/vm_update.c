/* vm_update: other limits for a guest that runs. The container's own cgroup in the guest gets them all; the VMM's cgroup on the host
 * those that hold from outside too. Memory:
 *
 *   more    the VMM's limit is raised, then the guest gets memory (vm_size.c), then the container in it its limit
 *   less    the container's limit, then the guest is asked to give back, and the VMM's limit follows when it has: a guest that is slow
 *           to give would be killed by it. Below what it booted with, that limit stays
 *
 * Processors: the VM was made with more than it was told to use (vm_own.c), and berth-init switches them on and off. */
#include <math.h>

#include "vm_impl.h"

static uint64_t started_bytes(const struct instance *i) { return vm_workload_bytes(i->cfg.launch); }

/* Of the guest, for a workload of so much. */
static uint64_t ram_for(const struct instance *i, uint64_t workload)
{
	uint64_t less = started_bytes(i) - MIN(workload, started_bytes(i));

	return less ? vm_ram_bytes(i->cfg.launch) - less : vm_ram_for(workload);
}

/* 0: nothing is said of processors. */
static unsigned cpus_of(const struct spec_resources *r)
{
	if (r->cpu_quota == SPEC_UNSET || r->cpu_quota <= 0)
		return 0;
	return (unsigned)ceil((double)r->cpu_quota / (double)(r->cpu_period > 0 ? r->cpu_period : 100000));
}

static int check_memory(const struct instance *i, uint64_t want, struct err *e)
{
	const uint64_t most = vm_ram_bytes(i->cfg.launch) + vm_room_bytes(i->cfg.launch);

	if (want <= started_bytes(i))
		return 0;
	if (!i->backend->can_grow)
		return err_set(e, EOPNOTSUPP,
			       "--memory: this virtual machine was started with %llu MiB, and on QEMU it can't grow beyond them "
			       "while it runs: stop it, update it, start it",
			       (unsigned long long)(started_bytes(i) >> 20));
	if (want <= MAX(i->cfg.launch->vm_mem_max, started_bytes(i)) && vm_ram_for(want) <= most)
		return 0;
	return err_set(
		e, EINVAL,
		"--memory: this virtual machine was started with room to grow to %llu MiB while it runs (run --memory-max): stop "
		"it, update it, start it",
		(unsigned long long)(MAX(i->cfg.launch->vm_mem_max, started_bytes(i)) >> 20));
}

static int check(const struct instance *i, const struct spec_resources *r, struct err *e)
{
	const struct launch *l = i->cfg.launch;
	unsigned most = MAX(l->vm_cpus, 1u), cpus = cpus_of(r);

	if (i->backend->can_grow)
		most = MAX(most, l->vm_cpus_max);
	if (cpus > most)
		return err_set(
			e, EINVAL,
			"--cpus: this virtual machine was started with room for %u (run --cpus-max) and can't have more while "
			"it runs: stop it, update it, start it",
			most);
	return r->memory_limit > 0 ? check_memory(i, (uint64_t)r->memory_limit, e) : 0;
}

/* Of the host's numbers, and of what the wall itself has to keep to. */
static int limit_host(struct instance *i, const struct spec_resources *r, struct err *e)
{
	struct spec_resources host;

	spec_resources_init(&host);
	host.cpu_quota = r->cpu_quota;
	host.cpu_period = r->cpu_period;
	host.cpu_shares = r->cpu_shares;
	host.cpuset_cpus = r->cpuset_cpus; /* borrowed */
	host.cpuset_mems = r->cpuset_mems;
	host.blkio_weight = r->blkio_weight;
	return vm_cgroup_update(i, &host, e);
}

/* ---- the guest: asked, and then told ---- */

/* What is said to the guest, and who hears of the end. */
struct change {
	char *text; /* of FRAME_UPDATE */
	int64_t memory_limit;
	uint64_t ram_bytes; /* that it grows to */
	void (*cb)(struct instance *i, const struct err *e, void *arg);
	void *arg;
};

static void change_free(struct change *c)
{
	free(c->text);
	free(c);
}

static int text_for(const struct spec_resources *r, char **ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct spec_resources guest = *r; /* borrows */
	unsigned cpus = cpus_of(r);
	const char *text = NULL;

	guest.cpuset_cpus = guest.cpuset_mems = NULL;
	guest.blkio_weight = SPEC_UNSET;
	if (o && json_add(o, "resources", spec_resources_json(&guest)) >= 0 &&
	    (!cpus || json_add(o, "cpus", json_object_new_int64(cpus)) >= 0))
		text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	*ret = text ? strdup(text) : NULL;
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int tell_guest(struct instance *i, const struct change *c, struct err *e)
{
	int k = vm_request_update(i, c->memory_limit, c->cb, c->arg, e);

	if (k < 0)
		return k;
	frame_put(&i->link.out, FRAME_UPDATE, 0, c->text, (uint32_t)strlen(c->text));
	link_flush(&i->link);
	return 0;
}

/* ---- more memory ---- */

static void settle(struct instance *i, uint64_t ram_bytes)
{
	const uint64_t boot = vm_ram_bytes(i->cfg.launch);
	struct err e = { 0 };

	i->grown_bytes = ram_bytes > boot ? ram_bytes - boot : 0;
	if (vm_limit_memory(i, boot + i->grown_bytes, &e) < 0)
		log_warn("vm", "memory limit of the VMM: %s", e.msg);
}

static void on_given_back(struct instance *i, const struct err *e, void *arg _unused_)
{
	if (!e)
		settle(i, vm_ram_bytes(i->cfg.launch) + i->grown_bytes);
	else if (e->no != ECANCELED)
		log_warn("vm", "the guest keeps memory that it was asked for: %s", e->msg);
}

static void on_grown(struct instance *i, const struct err *e, void *arg)
{
	struct change *c = arg;
	struct err why = { 0 }, no = { 0 };

	if (!e) {
		settle(i, c->ram_bytes);
		if (tell_guest(i, c, &why) < 0)
			e = &why;
	} else {
		err_set(&why, e->no, "--memory: %s", e->msg);
		e = &why;
		if (i->phase == VM_RUNNING &&
		    vm_set_size(i, vm_ram_bytes(i->cfg.launch) + i->grown_bytes, on_given_back, NULL, &no) < 0)
			on_given_back(i, &no, NULL);
	}
	if (e)
		c->cb(i, e, c->arg);
	change_free(c);
}

static int grow(struct instance *i, struct change *c, struct err *e)
{
	int k = i->hold.is_on ? err_set(e, EBUSY, "--memory: it is being copied, as it is; try again when that has ended")
			      : vm_limit_memory(i, c->ram_bytes, e);

	if (k >= 0)
		k = vm_set_size(i, c->ram_bytes, on_grown, c, e);
	if (k < 0)
		settle(i, vm_ram_bytes(i->cfg.launch) + i->grown_bytes);
	return k;
}

/* ---- less memory ---- */

static void on_shrunk(struct instance *i, const struct err *e, void *arg)
{
	uint64_t *ram_bytes = arg;

	if (!e)
		settle(i, *ram_bytes);
	else if (e->no != ECANCELED && i->phase == VM_RUNNING)
		log_warn("vm", "memory that the guest was to give back: %s", e->msg);
	free(ram_bytes);
}

/* Advice: the container's limit in the guest holds whatever becomes of it. */
void vm_update_done(struct instance *i, int64_t memory_limit)
{
	uint64_t *ram_bytes;
	struct err e = { 0 };

	if (memory_limit <= 0 || !i->backend->can_grow)
		return;
	ram_bytes = malloc(sizeof(*ram_bytes));
	if (!ram_bytes)
		return;
	*ram_bytes = ram_for(i, (uint64_t)memory_limit);
	if (vm_set_size(i, *ram_bytes, on_shrunk, ram_bytes, &e) < 0)
		on_shrunk(i, &e, ram_bytes);
}

int vm_update(struct instance *i, const struct spec_resources *r, void (*cb)(struct instance *i, const struct err *e, void *arg),
	      void *arg, struct err *e)
{
	int k = i->phase == VM_RUNNING ? 0 : err_set(e, ESRCH, "the container does not run");
	struct change *c = NULL;

	if (k >= 0 && i->in_pod)
		k = err_set(e, EOPNOTSUPP, "not possible yet in a pod's virtual machine; what does not run can be updated");
	if (k >= 0 && i->is_paused)
		k = err_set(e, EBUSY, "it is paused; continue it first");
	if (k >= 0)
		k = check(i, r, e);
	if (k >= 0)
		k = limit_host(i, r, e);
	if (k >= 0 && !(c = calloc(1, sizeof(*c))))
		k = err_set(e, ENOMEM, "out of memory");
	if (k < 0)
		return k;
	*c = (struct change){ .memory_limit = r->memory_limit, .cb = cb, .arg = arg };
	c->ram_bytes = r->memory_limit > 0 ? ram_for(i, (uint64_t)r->memory_limit) : 0;
	k = text_for(r, &c->text, e);
	if (k >= 0 && c->ram_bytes > vm_ram_bytes(i->cfg.launch) + i->grown_bytes) {
		k = grow(i, c, e);
		if (k >= 0)
			return k; /* it is on_grown's now */
	} else if (k >= 0) {
		k = tell_guest(i, c, e);
	}
	change_free(c);
	return k;
}
