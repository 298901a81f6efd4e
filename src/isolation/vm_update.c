/* vm_update: other limits for a guest that runs. The container's own cgroup in the guest gets them all; the VMM's cgroup on the host
 * those that hold from outside too. Memory: what a guest was started with can't be exceeded; when less is allowed, its balloon is
 * asked for the rest, and the VMM's limit stays, because a guest that is slow to give would be killed by it. Processors: the VM was
 * made with more than it was told to use (vm_own.c), and berth-init switches them on and off. */
#include <math.h>

#include "vm_impl.h"

static uint64_t started_bytes(const struct instance *i) { return vm_workload_bytes(i->cfg.launch); }

/* 0: nothing is said of processors. */
static unsigned cpus_of(const struct spec_resources *r)
{
	if (r->cpu_quota == SPEC_UNSET || r->cpu_quota <= 0)
		return 0;
	return (unsigned)ceil((double)r->cpu_quota / (double)(r->cpu_period > 0 ? r->cpu_period : 100000));
}

static int check(const struct instance *i, const struct spec_resources *r, struct err *e)
{
	unsigned most = i->backend->cpus_max(i->cfg.launch), cpus = cpus_of(r);

	if (r->memory_limit > 0 && (uint64_t)r->memory_limit > started_bytes(i))
		return err_set(
			e, EINVAL,
			"--memory: this virtual machine was started with %llu MiB and can't grow beyond them while it runs: "
			"stop it, update it, start it",
			(unsigned long long)(started_bytes(i) >> 20));
	if (cpus > most)
		return err_set(
			e, EINVAL,
			"--cpus: this virtual machine was started with room for %u and can't have more while it runs: stop it, "
			"update it, start it",
			most);
	return 0;
}

/* Of the host's numbers, and of what the wall itself has to keep to. */
static int limit_host(struct instance *i, const struct spec_resources *r, struct err *e)
{
	struct spec_resources host;
	int k;

	spec_resources_init(&host);
	host.cpu_quota = r->cpu_quota;
	host.cpu_period = r->cpu_period;
	host.cpu_shares = r->cpu_shares;
	host.cpuset_cpus = r->cpuset_cpus; /* borrowed */
	host.cpuset_mems = r->cpuset_mems;
	host.blkio_weight = r->blkio_weight;
	k = cgroup_grow(i->cfg.host, i->cg, &host, e);
	return k < 0 ? k : cgroup_update(i->cg, &host, e);
}

static int tell_guest(struct instance *i, const struct spec_resources *r,
		      void (*cb)(struct instance *i, const struct err *e, void *arg), void *arg, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct spec_resources guest = *r; /* borrows */
	unsigned cpus = cpus_of(r);
	const char *text;
	int k;

	guest.cpuset_cpus = guest.cpuset_mems = NULL;
	guest.blkio_weight = SPEC_UNSET;
	if (!o || json_add(o, "resources", spec_resources_json(&guest)) < 0 ||
	    (cpus && json_add(o, "cpus", json_object_new_int64(cpus)) < 0))
		return err_set(e, ENOMEM, "out of memory");
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	k = vm_request_update(i, r->memory_limit, cb, arg, e);
	if (k < 0)
		return k;
	frame_put(&i->link.out, FRAME_UPDATE, 0, text, (uint32_t)strlen(text));
	link_flush(&i->link);
	return 0;
}

/* Advice: the container's limit in the guest holds whatever becomes of it. */
void vm_update_done(struct instance *i, int64_t memory_limit)
{
	uint64_t less = memory_limit > 0 ? started_bytes(i) - MIN((uint64_t)memory_limit, started_bytes(i)) : 0;
	struct err e = { 0 };

	if (memory_limit > 0 && i->backend->balloon && i->backend->balloon(i, less, &e) < 0)
		log_warn("vm", "balloon: %s", e.msg);
}

int vm_update(struct instance *i, const struct spec_resources *r, void (*cb)(struct instance *i, const struct err *e, void *arg),
	      void *arg, struct err *e)
{
	int k = i->phase == VM_RUNNING ? check(i, r, e) : err_set(e, ESRCH, "the container does not run");

	if (k >= 0 && i->in_pod)
		k = err_set(e, EOPNOTSUPP, "not possible yet in a pod's virtual machine; what does not run can be updated");
	if (k >= 0 && i->is_paused)
		k = err_set(e, EBUSY, "it is paused; continue it first");
	if (k >= 0)
		k = limit_host(i, r, e);
	return k < 0 ? k : tell_guest(i, r, cb, arg, e);
}
