/* pod_plan.c: what a container's plan has of its pod: the wall, the cgroup above, what it shares. The descriptors that the shared
 * namespaces hang on exist only while the pod runs: the monitor puts them in (monitor/pod.c). */
#include "engine_impl.h"

int plan_pod(struct plan *p, struct err *e)
{
	const struct run_opts *o = p->o;
	int r;

	if (!o->pod)
		return 0;
	r = records_pod_get(p->en->records, o->pod, &p->pod, e);
	if (r >= 0)
		r = options_parse(p->pod.options_json, &p->pod_o, e);
	if (r >= 0)
		r = pod_share_parse(p->pod_o.share, p->pod_shares, e);
	if (r < 0)
		return r;
	if (o->isolation && !streq(o->isolation, p->pod.isolation))
		return err_set(e, EINVAL, "--isolation %s: the isolation is the pod's, and pod %s has %s", o->isolation,
			       p->pod.name, p->pod.isolation);
	if (o->cgroup_parent && *o->cgroup_parent)
		return err_set(e, EINVAL, "--cgroup-parent can't be given with --pod: the cgroup above is pod %s's", p->pod.name);
	if (p->pod_o.shm_size != SPEC_UNSET && p->pod_shares[NS_IPC] && o->shm_size != SPEC_UNSET)
		return err_set(e, EINVAL, "--shm-size: not with --pod: pod %s has one for all of its containers", p->pod.name);
	p->launch.pod = strdup(p->pod.id);
	return p->launch.pod ? 0 : OUT_OF_MEMORY(e);
}

int plan_is_pods(const struct plan *p, const char *option, const char *given, enum spec_ns ns, struct err *e)
{
	if (!p->pod.id || !p->pod_shares[ns])
		return 0;
	if (given && *given)
		return err_set(e, EINVAL, "%s %s: not with --pod: pod %s has one for all of its containers (--share)", option,
			       given, p->pod.name);
	return 1;
}

/* v1 has limits only in hierarchies where the container is, and it is in that of cpusets only where it has one itself. */
int plan_pod_resources(struct plan *p, struct err *e)
{
	struct spec_resources *r = &p->spec.resources;

	if (!p->pod.id)
		return 0;
	if (p->pod_o.cpuset_cpus && !r->cpuset_cpus && !(r->cpuset_cpus = strdup(p->pod_o.cpuset_cpus)))
		return OUT_OF_MEMORY(e);
	if (p->pod_o.cpuset_mems && !r->cpuset_mems && !(r->cpuset_mems = strdup(p->pod_o.cpuset_mems)))
		return OUT_OF_MEMORY(e);
	return 0;
}
