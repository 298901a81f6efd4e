/* sched: on which CPUs, with which share of CPU and disk time and on which memory the process runs, and which machine it thinks
 * it is on. Raw calls: glibc wraps none of them. Called as steps, in create and in exec, while the child still has the rights of
 * the runtime; all of it survives the exec. */
#include <linux/ioprio.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "setup.h"

/* <linux/sched.h>'s, which does not go together with the C library's headers. */
enum { POLICY_ISO = 4, POLICY_DEADLINE = 6, FLAG_CLAMP_MIN = 0x20, FLAG_CLAMP_MAX = 0x40, CLAMP_LIMIT = 1024 };
struct kernel_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};
_Static_assert(sizeof(struct kernel_sched_attr) == 56, "SCHED_ATTR_SIZE_VER1");

int scheduler_apply(struct setup *s, struct err *e)
{
	const struct spec_scheduler *w = s->process->scheduler;
	struct kernel_sched_attr a;

	if (!w)
		return 0;
	if (w->policy == POLICY_ISO)
		return err_set(e, ENOTSUP, "SCHED_ISO: Linux has no such policy: ask for another one");
	/* config.json has no values for the clamps: a wish for one gets the range that limits nothing. */
	a = (struct kernel_sched_attr){
		.size = sizeof(a),
		.policy = (uint32_t)w->policy,
		.flags = w->flags,
		.nice = w->nice,
		.priority = (uint32_t)w->priority,
		.runtime = w->runtime_ns,
		.deadline = w->deadline_ns,
		.period = w->period_ns,
		.util_max = w->flags & FLAG_CLAMP_MAX ? CLAMP_LIMIT : 0,
	};
	if (syscall(SYS_sched_setattr, 0, &a, 0) == 0)
		return 0;
	if (errno == EPERM)
		return err_set(
			e, EPERM,
			"not allowed: it needs CAP_SYS_NICE, and real-time policies need real-time time of the cgroup (v1: "
			"cpu.rt_runtime_us)");
	if (errno == EBUSY && w->policy == POLICY_DEADLINE)
		return err_set(e, EBUSY, "SCHED_DEADLINE: so much time is not free on these CPUs: ask for less runtime");
	return err_set(e, errno, "sched_setattr: %s",
		       errno == EOPNOTSUPP && (w->flags & (FLAG_CLAMP_MIN | FLAG_CLAMP_MAX))
			       ? "this kernel has no utilization clamps"
			       : strerror(errno));
}

/* Of the process group, which the child is alone in: what it starts inherits it. */
int io_priority_apply(struct setup *s, struct err *e)
{
	const struct spec_io_priority *p = s->process->io_priority;

	if (!p || syscall(SYS_ioprio_set, IOPRIO_WHO_PGRP, 0, IOPRIO_PRIO_VALUE((int)p->class, p->priority)) == 0)
		return 0;
	return err_set(e, errno, "ioprio_set: %s",
		       errno == EPERM ? "IOPRIO_CLASS_RT needs CAP_SYS_ADMIN or CAP_SYS_NICE" : strerror(errno));
}

static int set_affinity(const char *list, struct err *e)
{
	unsigned long bits[SPEC_LIST_BITS / (8 * sizeof(unsigned long))];

	if (!list || !*list)
		return 0;
	if (spec_list_parse(list, bits, SPEC_LIST_BITS) < 0)
		return err_set(e, EINVAL, "\"%s\": expected CPUs such as \"0-3,7\"", list);
	if (syscall(SYS_sched_setaffinity, 0, sizeof(bits), bits) < 0)
		return err_set(e, errno, "CPUs %s: %s", list,
			       errno == EINVAL ? "none of them is here, or the cpuset allows none" : strerror(errno));
	return 0;
}

/* The stage of an exec, before it is in the container's cgroups. */
int affinity_initial(struct setup *s, struct err *e)
{
	int r = set_affinity(s->process->exec_affinity.initial, e);

	return r < 0 ? err_push(e, r, "execCPUAffinity.initial") : 0;
}

int affinity_final(struct setup *s, struct err *e)
{
	int r = set_affinity(s->process->exec_affinity.final, e);

	return r < 0 ? err_push(e, r, "execCPUAffinity.final") : 0;
}

int memory_policy_apply(struct setup *s, struct err *e)
{
	const struct spec_memory_policy *m = s->spec->memory_policy;
	unsigned long bits[SPEC_LIST_BITS / (8 * sizeof(unsigned long))];
	bool has_nodes = m && m->nodes && *m->nodes;

	if (!m)
		return 0;
	if (has_nodes && spec_list_parse(m->nodes, bits, SPEC_LIST_BITS) < 0)
		return err_set(e, EINVAL, "nodes \"%s\": expected memory nodes such as \"0-1\"", m->nodes);
	/* The kernel takes nodes up to maxnode - 1 (mm/mempolicy.c, get_nodes). */
	if (syscall(SYS_set_mempolicy, (int)(m->mode | m->flags), has_nodes ? bits : NULL,
		    has_nodes ? SPEC_LIST_BITS + 1UL : 0UL) == 0)
		return 0;
	if (errno == ENOSYS)
		return err_set(e, ENOSYS, "this kernel is built without memory policies");
	return err_set(e, errno, "set_mempolicy: %s",
		       errno != EINVAL ? strerror(errno)
		       : has_nodes     ? "the kernel does not know this mode, or has none of these nodes online"
				       : "the kernel does not know this mode");
}

int personality_apply(struct setup *s, struct err *e)
{
	const struct spec_personality *p = s->spec->personality;

	if (!p || personality((unsigned long)p->domain) >= 0)
		return 0;
	return err_set(e, errno, "personality %llu: %s", (unsigned long long)p->domain, strerror(errno));
}
