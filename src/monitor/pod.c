/* A container's part in its pod: what it shares is found with a monitor that holds it already, or made; then held here as well. Made:
 * the namespaces (container/shared_ns.c) and the pod's cgroup with the limits of all of its containers together. */
#include <stdio.h>
#include <unistd.h>

#include "monitor_impl.h"
#include "pod_run.h"

static int make(struct pod_hold *p, const struct monitor *m, const struct spec *plan, struct err *e)
{
	struct cgroup *cg = NULL;
	int r = cgroup_create(&m->host, p->cgroup, &plan->resources, &cg, e);

	cgroup_free(cg);
	if (r < 0)
		return err_push(e, r, "limits of the pod");
	return shared_ns_make(plan, &p->ns, e);
}

/* A process that joins a frozen cgroup stands still before it has said a word. */
static int must_not_be_frozen(const struct pod_hold *p, const struct monitor *m, struct err *e)
{
	struct cgroup *cg = NULL;
	struct err ignored = { 0 };
	bool frozen = cgroup_open(&m->host, p->cgroup, &cg, &ignored) == 0 && cgroup_is_frozen(cg);

	cgroup_free(cg);
	return frozen ? err_set(e, EBUSY, "its pod is paused: unpause it first (berth pod unpause %.12s)", m->launch.pod) : 0;
}

/* The kinds that are the pod's: the container joins them by this process's descriptors. */
static int set_paths(struct pod_hold *p, struct monitor *m, struct err *e)
{
	for (enum spec_ns n = 0; n < NS_COUNT; n++) {
		if (n == NS_MOUNT || p->ns.fd[n] < 0)
			continue;
		free(m->spec.ns.path[n]);
		m->spec.ns.wanted[n] = true;
		m->spec.ns.path[n] = str_fmt("/proc/self/fd/%d", p->ns.fd[n]);
		if (!m->spec.ns.path[n])
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

static int hold(struct pod_hold *p, struct monitor *m, const struct spec *plan, struct err *e)
{
	_cleanup_fd_ int dirfd = -1;
	bool is_first;
	int r = pod_run_open(m->cfg->paths, m->launch.pod, true, &dirfd, e);

	if (r < 0)
		return r;
	p->is_held = true;
	r = pod_run_find(dirfd, &p->ns, &p->net, e);
	is_first = r == 0;
	if (is_first)
		r = make(p, m, plan, e);
	else if (r > 0)
		r = must_not_be_frozen(p, m, e);
	if (r >= 0)
		r = pod_net_enter(p, m, is_first, e);
	return r < 0 ? r : pod_run_add(dirfd, m->cfg->id, &p->ns, &p->net, e);
}

/* What it shares is in the guest. */
static int join_machine(struct pod_hold *p, struct monitor *m, struct err *e)
{
	if (pod_is_frozen(m->cfg->paths, m->launch.pod))
		return err_set(e, EBUSY, "pod %.12s: its pod is paused: unpause it first", m->launch.pod);
	return pod_net_enter(p, m, false, e);
}

int pod_join(struct pod_hold *p, struct monitor *m, struct err *e)
{
	struct spec plan;
	int r;

	if (!m->launch.pod)
		return 0;
	if (streq0(m->launch.isolation, "vm"))
		return join_machine(p, m, e);
	p->ns = SHARED_NS_NONE;
	spec_init(&plan);
	r = pod_read_plan(m->cfg->paths, m->launch.pod, &plan, e);
	if (r >= 0 && !(p->cgroup = strdup(plan.cgroups_path ? plan.cgroups_path : "")))
		r = err_set(e, ENOMEM, "out of memory");
	if (r >= 0)
		r = hold(p, m, &plan, e);
	spec_done(&plan);
	if (r >= 0)
		r = shared_ns_memory(&p->ns, &p->memory_fd, e);
	if (r >= 0)
		r = set_paths(p, m, e);
	monitor_mark(m, "pod joined");
	return r < 0 ? err_push(e, r, "pod %.12s", m->launch.pod) : 0;
}

void pod_leave(struct pod_hold *p, struct monitor *m)
{
	const struct pod_last networks = { pod_net_last, m }, *last = m->launch.has_pod_network ? &networks : NULL;
	_cleanup_fd_ int dirfd = -1;
	struct err e = { 0 };
	int r = 0;

	if (p->is_held) {
		const struct pod_place place = { m->cfg->paths, m->launch.pod, &m->host, p->cgroup, last };
		/* The lock first: who has it may be looking for what this process holds. */
		r = pod_run_open(m->cfg->paths, m->launch.pod, false, &dirfd, &e);
		shared_ns_close(&p->ns);
		net_hold_done(&p->net);
		if (p->memory_fd > 0)
			fd_close(p->memory_fd);
		if (r == 0)
			r = pod_run_drop(&place, dirfd, m->cfg->id, &e);
		if (r < 0 && r != -ENOENT)
			log_error("pod", "%s", e.msg);
	}
	/* A holder that was killed has left its cgroup and its run directory. */
	if (m->launch.pod && streq0(m->launch.isolation, "vm") && pod_sweep(m->cfg->paths, m->launch.pod, last, &e) < 0)
		log_error("pod", "%s", e.msg);
	free(p->cgroup);
	*p = (struct pod_hold){ 0 };
}
