/* vm_cgroup: what the host itself holds a VM to: the cgroup of its VMM and the servers beside it.
 *
 * A user without root's rights has one only where cgroups are delegated to him, with the controllers that are (host_probe_cgroup_ours).
 * Without, its memory is bounded by the guest's RAM and the jail's limits (vm_jail.c), its processors by their number, its threads by the
 * jail, and its processes by the guest's own cgroups, whose kernel is behind the same wall. What nobody but the host can hold is refused:
 * a limit is never silently left out. Either way a user's VM is paused by SIGSTOP. */
#include <signal.h>

#include "vm_impl.h"

static uint64_t storage_bytes(const struct instance *i)
{
	uint64_t n = 0;

	for (size_t k = 0; k < i->n_more; k++)
		n += vm_is_served(i, &i->more[k]);
	return n ? VM_STORAGE_BYTES + n * VM_STORAGE_IMAGE_BYTES : 0;
}

/* What the server of volumes makes the host's kernel keep: some 1.7 KiB (an inode, a name, an open file; measured on ext4) for each
 * file that the guest's kernel remembers, which costs that one more than half as much of its own memory. With less than this a
 * guest that only reads a large tree would be ended for lack of memory. */
static uint64_t shares_bytes(const struct instance *i, uint64_t ram) { return i->n_shares ? 2 * ram : 0; }

static int64_t limit_for(const struct instance *i, uint64_t ram)
{
	return (int64_t)(ram + i->backend->host_overhead_bytes + shares_bytes(i, ram) + storage_bytes(i) +
			 (i->has_kvm ? 0 : VM_TCG_CACHE_BYTES));
}

static bool has(const struct host *h, enum cgroup_ctrl c) { return h->cgroup_v1[c] || h->cgroup_v2_ctrls >> c & 1; }

/* Of limits that nobody has asked the host for by name: a user's cgroups may be without. */
static bool can_hold(const struct instance *i, enum cgroup_ctrl c) { return has(i->cfg.host, c) || !in_user_namespace(); }

int vm_limit_memory(struct instance *i, uint64_t ram_bytes, struct err *e)
{
	struct spec_resources r;

	if (!i->cg || !can_hold(i, CG_MEMORY))
		return 0;
	spec_resources_init(&r);
	r.memory_limit = limit_for(i, ram_bytes);
	return cgroup_update(i->cg, &r, e);
}

/* Looser than a cgroup: what is mapped counts, used or not. */
uint64_t vm_data_max(const struct instance *i)
{
	const struct launch *l = i->cfg.launch;

	return i->cg ? 0
		     : vm_ram_bytes(l) + vm_room_bytes(l) + i->backend->host_overhead_bytes + i->backend->stacks_bytes +
			       (i->has_kvm ? 0 : VM_TCG_CACHE_BYTES);
}

static bool is_given(int64_t v) { return v != SPEC_UNSET && v != 0; }

int vm_check_no_cgroup(const struct spec_resources *r, struct err *e)
{
	const struct {
		const char *option;
		bool is_asked;
	} rows[] = {
		{ "--cpu-shares", is_given(r->cpu_shares) },
		{ "--cpuset-cpus", r->cpuset_cpus && *r->cpuset_cpus },
		{ "--cpuset-mems", r->cpuset_mems && *r->cpuset_mems },
		{ "--blkio-weight", is_given(r->blkio_weight) },
		{ "--device-read-bps", r->n_read_bps },
		{ "--device-write-bps", r->n_write_bps },
		{ "--device-read-iops", r->n_read_iops },
		{ "--device-write-iops", r->n_write_iops },
	};

	for (size_t k = 0; k < ARRAY_SIZE(rows); k++)
		if (rows[k].is_asked)
			return err_set(e, EPERM, "%s: a virtual machine is held to it by a cgroup, and " NOT_DELEGATED,
				       rows[k].option);
	return 0;
}

/* Limits hold from outside as well, whatever becomes of the guest. The CPU quota follows once the guest is up: half a CPU
 * would otherwise double the time to boot. */
int vm_cgroup_make(struct instance *i, struct err *e)
{
	const struct spec_resources *want = &i->cfg.spec->resources;
	struct spec_resources r;

	if (i->cfg.host->cgroup == CGROUP_NONE && in_user_namespace())
		return vm_check_no_cgroup(want, e);
	spec_resources_init(&r);
	if (can_hold(i, CG_MEMORY))
		r.memory_limit = limit_for(i, vm_ram_bytes(i->cfg.launch));
	if (can_hold(i, CG_PIDS))
		r.pids_limit = VM_PROCS_MAX;
	r.cpu_shares = want->cpu_shares;
	r.cpuset_cpus = want->cpuset_cpus;
	r.cpuset_mems = want->cpuset_mems;
	r.blkio_weight = want->blkio_weight;
	r.read_bps = want->read_bps, r.n_read_bps = want->n_read_bps;
	r.write_bps = want->write_bps, r.n_write_bps = want->n_write_bps;
	r.read_iops = want->read_iops, r.n_read_iops = want->n_read_iops;
	r.write_iops = want->write_iops, r.n_write_iops = want->n_write_iops;
	return cgroup_create(i->cfg.host, i->cfg.spec->cgroups_path, &r, &i->cg, e);
}

int vm_cgroup_attach(struct cgroup *cg, pid_t pid, struct err *e) { return cg ? cgroup_attach(cg, pid, e) : 0; }

int vm_cgroup_update(struct instance *i, const struct spec_resources *r, struct err *e)
{
	int k;

	if (!i->cg)
		return vm_check_no_cgroup(r, e);
	k = cgroup_grow(i->cfg.host, i->cg, r, e);
	return k < 0 ? k : cgroup_update(i->cg, r, e);
}

/* Where KVM has put a kernel thread into the cgroup it is frozen only once that has been put out (container/cgroup_kthread.c), which a user
 * may not do. */
int vm_cgroup_freeze(struct instance *i, bool is_frozen, struct err *e)
{
	int r;

	if (i->cg && !in_user_namespace())
		return cgroup_freeze(i->cg, is_frozen, e);
	r = is_frozen ? pid_stop(i->vmm, i->vmm_pidfd) : pidfd_kill(i->vmm_pidfd, SIGCONT);
	return r < 0 ? err_set(e, -r, "the virtual machine's process: %s", strerror(-r)) : 0;
}

void vm_cgroup_thaw(struct instance *i)
{
	if (i->is_paused && i->cg && !in_user_namespace())
		(void)cgroup_freeze(i->cg, false, NULL);
}
