/* update.c: other limits for a container that is there: at once where it runs, and in its files and its record, so that a later
 * start has them too. What is given is merged into the options it was created with, and the sum is judged by create's own
 * rules (resources.c), since some limits only make sense together. */
#include "engine_impl.h"

#include <math.h>
#include <unistd.h>

/* Options that may change, those that go together in one group: then all of the group are set anew. */
enum group { MEMORY, CPU_TIME, SHARES, CPUSET_CPUS, CPUSET_MEMS, PIDS, BLKIO, MOST, GROUPS };
static const struct {
	enum group group;
	size_t offset; /* int64_t in struct run_opts */
} numbers[] = {
#define ROW(g, m)                               \
	{                                       \
		g, offsetof(struct run_opts, m) \
	}
	ROW(MEMORY, memory),       ROW(MEMORY, memory_swap), ROW(MEMORY, memory_reservation), ROW(CPU_TIME, cpu_quota),
	ROW(CPU_TIME, cpu_period), ROW(SHARES, cpu_shares),  ROW(PIDS, pids_limit),           ROW(BLKIO, blkio_weight),
	ROW(MOST, memory_max),     ROW(MOST, cpus_max),
#undef ROW
};

static int replace(char **into, const char *from)
{
	char *copy = strdup(from);

	if (!copy)
		return -ENOMEM;
	free(*into);
	*into = copy;
	return 0;
}

/* *ret_groups: bits of what is given. */
static int merge(struct run_opts *into, const struct run_opts *given, unsigned *ret_groups, struct err *e)
{
	unsigned groups = 0;

	/* The same said in two ways: the newer one counts. */
	if (given->cpus > 0)
		into->cpu_quota = into->cpu_period = SPEC_UNSET;
	else if (given->cpu_quota != SPEC_UNSET || given->cpu_period != SPEC_UNSET)
		into->cpus = 0;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int64_t v = *(const int64_t *)(const void *)((const char *)given + numbers[i].offset);

		if (v == SPEC_UNSET)
			continue;
		*(int64_t *)(void *)((char *)into + numbers[i].offset) = v;
		groups |= 1u << numbers[i].group;
	}
	if (given->cpus > 0) {
		into->cpus = given->cpus;
		groups |= 1u << CPU_TIME;
	}
	if (given->cpuset_cpus) {
		if (replace(&into->cpuset_cpus, given->cpuset_cpus) < 0)
			return OUT_OF_MEMORY(e);
		groups |= 1u << CPUSET_CPUS;
	}
	if (given->cpuset_mems) {
		if (replace(&into->cpuset_mems, given->cpuset_mems) < 0)
			return OUT_OF_MEMORY(e);
		groups |= 1u << CPUSET_MEMS;
	}
	if (!groups && !given->restart)
		return err_set(e, EINVAL, "nothing to change: give a limit, such as --memory 512m");
	if (given->restart && replace(&into->restart, given->restart) < 0)
		return OUT_OF_MEMORY(e);
	*ret_groups = groups;
	return 0;
}

/* Takes from `all` the groups that are given; the rest of *ret stays unset. Strings are moved. */
static void pick(struct spec_resources *all, unsigned groups, struct spec_resources *ret)
{
	spec_resources_init(ret);
	if (groups & 1u << MEMORY) {
		ret->memory_limit = all->memory_limit;
		ret->memory_swap = all->memory_swap;
		ret->memory_reservation = all->memory_reservation;
	}
	if (groups & 1u << CPU_TIME) {
		ret->cpu_quota = all->cpu_quota;
		ret->cpu_period = all->cpu_period;
	}
	if (groups & 1u << SHARES)
		ret->cpu_shares = all->cpu_shares;
	if (groups & 1u << CPUSET_CPUS)
		ret->cpuset_cpus = TAKE_PTR(all->cpuset_cpus);
	if (groups & 1u << CPUSET_MEMS)
		ret->cpuset_mems = TAKE_PTR(all->cpuset_mems);
	if (groups & 1u << PIDS)
		ret->pids_limit = all->pids_limit;
	if (groups & 1u << BLKIO)
		ret->blkio_weight = all->blkio_weight;
}

int update_plan(const struct run_opts *given, struct run_opts *into, struct spec_resources *ret, struct err *e)
{
	struct spec_resources all;
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned groups;
	int r = merge(into, given, &groups, e);

	if (r < 0)
		return r;
	if (online > 0 && given->cpus > (double)online)
		return err_set(e, EINVAL, "--cpus: %g is more than this host has: %ld", given->cpus, online);
	spec_resources_init(&all);
	r = resources_fill(into, &all, e);
	if (r >= 0)
		pick(&all, groups, ret);
	spec_resources_done(&all);
	return r;
}

/* ---- where it is kept ---- */

static int set_spec(struct engine *en, const char *id, int dirfd, const struct spec_resources *from, struct err *e)
{
	struct spec s;
	int r = bundle_read_spec(en, id, &s, e);

	if (r < 0)
		return r;
	r = spec_resources_merge(&s.resources, from, e);
	if (r >= 0)
		r = bundle_replace(dirfd, "config.json", spec_json(&s), e);
	spec_done(&s);
	return r;
}

static int set_launch(struct engine *en, const char *id, int dirfd, const struct run_opts *o, struct err *e)
{
	struct launch l;
	int r = bundle_read_launch(en, id, &l, e);

	if (r < 0)
		return r;
	guest_size(o, &l);
	r = bundle_replace(dirfd, "launch.json", launch_json(&l), e);
	launch_done(&l);
	return r;
}

/* The record last: what `inspect` says is then what the next start does. */
static int keep(struct engine *en, const struct container_record *c, int dirfd, const struct run_opts *o,
		const struct spec_resources *r, struct err *e)
{
	_cleanup_free_ char *text = options_print(o);
	int k = text ? set_spec(en, c->id, dirfd, r, e) : OUT_OF_MEMORY(e);

	if (k >= 0 && streq(c->isolation, "vm"))
		k = set_launch(en, c->id, dirfd, o, e);
	return k < 0 ? k : records_container_options(en->records, c->id, text, e);
}

/* ---- the one that runs ---- */

static int tell_monitor(struct engine *en, const struct container_record *c, const struct spec_resources *r, struct err *e)
{
	_cleanup_json_ struct json_object *o = spec_resources_json(r);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
	_cleanup_fd_ int fd = -1;
	int k;

	if (!text)
		return OUT_OF_MEMORY(e);
	k = monitor_connect(en->paths, c->id, &fd, e);
	if (k < 0)
		return k;
	return monitor_request(fd, FRAME_UPDATE, 0, text, strlen(text), NULL, e);
}

static int check_restart(const struct container_record *c, const struct run_opts *given, struct err *e)
{
	struct restart_policy p;
	int r = restart_parse(given->restart, &p, e);

	if (r >= 0 && p.when != RESTART_NO && c->auto_remove)
		r = err_set(e, EINVAL, "restart policy cannot be updated because AutoRemove is enabled for the container");
	return r;
}

static int check_limits(const struct container_record *c, const struct run_opts *o, struct spec_resources *r, struct err *e)
{
	bool is_vm = streq(c->isolation, "vm");
	int k = is_vm ? guest_check_max(o, e) : 0;

	return k < 0 ? k : resources_settle(o, is_vm, r, e);
}

static int update(struct engine *en, const struct container_record *c, const struct run_opts *given, struct err *e)
{
	struct spec_resources r;
	_cleanup_fd_ int lock = -1;
	struct run_opts o;
	int k = container_lock(en, c->id, &lock, e);

	if (k >= 0 && lock < 0)
		k = err_set(e, ENOENT, "its files are gone; rm removes its record");
	if (k >= 0)
		k = check_restart(c, given, e);
	if (k >= 0)
		k = options_parse(c->options_json, &o, e);
	if (k < 0)
		return k;
	if (!streq(c->isolation, "vm") && (given->memory_max != SPEC_UNSET || given->cpus_max != SPEC_UNSET))
		k = guest_refuse_max(given, e);
	else
		k = update_plan(given, &o, &r, e);
	if (k >= 0 && (k = check_limits(c, &o, &r, e)) < 0)
		spec_resources_done(&r);
	if (k >= 0) {
		if (c->state == CS_RUNNING || c->state == CS_PAUSED)
			k = tell_monitor(en, c, &r, e);
		if (k >= 0 && (k = keep(en, c, lock, &o, &r, e)) < 0 && c->state == CS_RUNNING)
			k = err_push(e, k, "the new limits hold, but not for a later start");
		spec_resources_done(&r);
	}
	run_opts_done(&o);
	return k;
}

int engine_update(struct engine *en, const char *name, const struct run_opts *given, struct err *e)
{
	struct container_record c;
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	if (c.state == CS_REMOVING || c.state == CS_DEAD)
		r = err_set(e, EBUSY, "container %s is %s and can't be updated", c.name, container_state_name(c.state));
	if (r >= 0)
		r = update(en, &c, given, e);
	container_record_done(&c);
	return r < 0 ? err_push(e, r, "%s", name) : 0;
}
