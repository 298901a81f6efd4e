/* resources.c: limits of memory, processors, processes and block devices, with docker's rules on which go together. */
#include "engine_impl.h"

#include <math.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MEMORY_MIN        (6u << 20) /* docker's minimum: less can't start a process */
#define CPU_PERIOD_US     100000
#define CPU_PERIOD_MIN_US 1000 /* kernel: sched_cfs_period_us, 1 ms .. 1 s */
#define CPU_PERIOD_MAX_US 1000000
#define CPU_QUOTA_MIN_US  1000
#define PIDS_DEFAULT      2048
#define BLKIO_WEIGHT_MIN  10
#define BLKIO_WEIGHT_MAX  1000

static bool is_given(int64_t v) { return v != SPEC_UNSET && v != 0; /* docker: 0 = not given */ }

static int fill_memory(const struct run_opts *o, struct spec_resources *r, struct err *e)
{
	bool has_limit = is_given(o->memory);

	if (has_limit && o->memory < (int64_t)MEMORY_MIN)
		return err_set(e, EINVAL, "--memory: %lld bytes are too little; the least is 6m", (long long)o->memory);
	if (has_limit)
		r->memory_limit = o->memory;
	if (is_given(o->memory_swap)) {
		if (!has_limit)
			return err_set(e, EINVAL, "--memory-swap needs --memory as well");
		if (o->memory_swap != -1 && o->memory_swap < o->memory)
			return err_set(e, EINVAL, "--memory-swap is memory and swap together, so it can't be less than --memory");
		r->memory_swap = o->memory_swap;
	} else if (has_limit) {
		r->memory_swap = o->memory > INT64_MAX / 2 ? -1 : o->memory * 2;
	}
	if (is_given(o->memory_reservation)) {
		if (has_limit && o->memory_reservation > o->memory)
			return err_set(e, EINVAL, "--memory-reservation is above --memory");
		r->memory_reservation = o->memory_reservation;
	}
	if (o->oom_kill_disable && !has_limit)
		return err_set(e, EINVAL, "--oom-kill-disable without --memory could freeze the host; give it a limit");
	r->oom_kill_disable = o->oom_kill_disable;
	/* docker: -1 = not given */
	if (o->memory_swappiness != SPEC_UNSET && (o->memory_swappiness < -1 || o->memory_swappiness > 100))
		return err_set(e, EINVAL, "--memory-swappiness: invalid value: %lld. Valid memory swappiness range is 0-100",
			       (long long)o->memory_swappiness);
	if (o->memory_swappiness >= 0)
		r->memory_swappiness = o->memory_swappiness;
	return 0;
}

static int fill_cpus(const struct run_opts *o, struct spec_resources *r, struct err *e)
{
	if (o->cpus < 0 || (o->cpus > 0 && o->cpus < 0.01))
		return err_set(e, EINVAL, "--cpus: %g is out of range; 0.01 is the least", o->cpus);
	if (o->cpus > 0 && (is_given(o->cpu_quota) || is_given(o->cpu_period)))
		return err_set(e, EINVAL, "--cpus and --cpu-quota/--cpu-period say the same in two ways; give one of them");
	if (o->cpus > 0) {
		r->cpu_period = CPU_PERIOD_US;
		r->cpu_quota = llround(o->cpus * CPU_PERIOD_US);
	}
	if (is_given(o->cpu_period)) {
		if (o->cpu_period < CPU_PERIOD_MIN_US || o->cpu_period > CPU_PERIOD_MAX_US)
			return err_set(e, EINVAL, "--cpu-period: %lld is out of range; %d to %d microseconds are possible",
				       (long long)o->cpu_period, CPU_PERIOD_MIN_US, CPU_PERIOD_MAX_US);
		r->cpu_period = o->cpu_period;
	}
	if (is_given(o->cpu_quota)) {
		if (o->cpu_quota != -1 && o->cpu_quota < CPU_QUOTA_MIN_US)
			return err_set(e, EINVAL, "--cpu-quota: %lld is too little; the least is %d microseconds",
				       (long long)o->cpu_quota, CPU_QUOTA_MIN_US);
		r->cpu_quota = o->cpu_quota;
	}
	if (is_given(o->cpu_shares)) {
		if (o->cpu_shares < 2 || o->cpu_shares > 262144)
			return err_set(e, EINVAL, "--cpu-shares: %lld is out of range; 2 to 262144 are possible",
				       (long long)o->cpu_shares);
		r->cpu_shares = o->cpu_shares;
	}
	return 0;
}

/* "0-2,4": the kernel's list format. */
static bool is_cpu_list(const char *s)
{
	while (*s) {
		size_t n = strspn(s, "0123456789");
		if (n == 0)
			return false;
		s += n;
		if (*s == '-') {
			n = strspn(++s, "0123456789");
			if (n == 0)
				return false;
			s += n;
		}
		if (*s == ',' && s[1])
			s++;
		else if (*s)
			return false;
	}
	return true;
}

static int fill_set(const char *option, const char *list, char **ret, struct err *e)
{
	if (!list || !*list)
		return 0;
	if (!is_cpu_list(list))
		return err_set(e, EINVAL, "%s: \"%s\" is not a list such as 0-2,4", option, list);
	*ret = strdup(list);
	return *ret ? 0 : OUT_OF_MEMORY(e);
}

/* "/dev/sda:10mb" or, for operations, "/dev/sda:1000". */
static int throttle_parse(const char *option, const char *text, bool is_bytes, struct spec_throttle *ret, struct err *e)
{
	const char *colon = strrchr(text, ':');
	_cleanup_free_ char *path = colon ? strndup(text, (size_t)(colon - text)) : NULL;
	struct stat st;
	uint64_t rate;

	if (!colon || *text != '/')
		return err_set(e, EINVAL, "%s: \"%s\" is not DEVICE:RATE, such as /dev/sda:%s", option, text,
			       is_bytes ? "10m" : "1000");
	if (!path)
		return OUT_OF_MEMORY(e);
	if ((is_bytes ? str_to_bytes(colon + 1, &rate) : str_to_u64(colon + 1, &rate)) < 0 || rate == 0)
		return err_set(e, EINVAL, "%s: \"%s\": the rate is a whole number above 0%s", option, text,
			       is_bytes ? ", such as 10m" : "");
	if (stat(path, &st) < 0)
		return err_set(e, errno, "%s: %s: %s", option, path, strerror(errno));
	if (!S_ISBLK(st.st_mode))
		return err_set(e, ENOTBLK, "%s: %s is not a block device", option, path);
	*ret = (struct spec_throttle){ .major = major(st.st_rdev), .minor = minor(st.st_rdev), .rate = rate };
	return 0;
}

static int fill_throttles(const struct run_opts *o, struct spec_resources *res, struct err *e)
{
	const struct {
		const char *option;
		char *const *list;
		bool is_bytes;
		struct spec_throttle **items;
		size_t *n;
	} kinds[] = {
		{ "--device-read-bps", o->device_read_bps, true, &res->read_bps, &res->n_read_bps },
		{ "--device-write-bps", o->device_write_bps, true, &res->write_bps, &res->n_write_bps },
		{ "--device-read-iops", o->device_read_iops, false, &res->read_iops, &res->n_read_iops },
		{ "--device-write-iops", o->device_write_iops, false, &res->write_iops, &res->n_write_iops },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (char *const *t = kinds[i].list; t && *t; t++) {
			struct spec_throttle *grown = reallocarray(*kinds[i].items, *kinds[i].n + 1, sizeof(*grown));
			if (!grown)
				return OUT_OF_MEMORY(e);
			*kinds[i].items = grown;
			int r = throttle_parse(kinds[i].option, *t, kinds[i].is_bytes, &grown[*kinds[i].n], e);
			if (r < 0)
				return r;
			++*kinds[i].n;
		}
	}
	return 0;
}

/* "/dev/sda:500" */
static int fill_weight_devices(const struct run_opts *o, struct spec_resources *res, struct err *e)
{
	for (char **t = o->blkio_weight_devices; t && *t; t++) {
		const char *colon = strrchr(*t, ':');
		_cleanup_free_ char *path = colon ? strndup(*t, (size_t)(colon - *t)) : NULL;
		struct spec_weight_device *grown;
		uint64_t weight;
		struct stat st;

		if (!colon || **t != '/')
			return err_set(e, EINVAL, "--blkio-weight-device: \"%s\" is not DEVICE:WEIGHT, such as /dev/sda:500", *t);
		if (!path)
			return OUT_OF_MEMORY(e);
		if (str_to_u64(colon + 1, &weight) < 0 || weight < BLKIO_WEIGHT_MIN || weight > BLKIO_WEIGHT_MAX)
			return err_set(e, EINVAL, "--blkio-weight-device: \"%s\": the weight is a number from %d to %d", *t,
				       BLKIO_WEIGHT_MIN, BLKIO_WEIGHT_MAX);
		if (stat(path, &st) < 0)
			return err_set(e, errno, "--blkio-weight-device: %s: %s", path, strerror(errno));
		if (!S_ISBLK(st.st_mode))
			return err_set(e, ENOTBLK, "--blkio-weight-device: %s is not a block device", path);
		grown = reallocarray(res->weight_devices, res->n_weight_devices + 1, sizeof(*grown));
		if (!grown)
			return OUT_OF_MEMORY(e);
		res->weight_devices = grown;
		grown[res->n_weight_devices++] = (struct spec_weight_device){ .major = major(st.st_rdev),
									      .minor = minor(st.st_rdev),
									      .weight = (int64_t)weight,
									      .leaf_weight = SPEC_UNSET };
	}
	return 0;
}

/* Podman's: files of cgroup v2 by their names. */
static int fill_cgroup_conf(const struct run_opts *o, struct spec_resources *r, struct err *e)
{
	for (char **t = o->cgroup_conf; t && *t; t++) {
		const char *eq = strchr(*t, '=');
		_cleanup_free_ char *key = eq ? strndup(*t, (size_t)(eq - *t)) : NULL;

		if (!eq || eq == *t || strchr(*t, '/'))
			return err_set(e, EINVAL, "--cgroup-conf: \"%s\" is not FILE=VALUE, such as memory.high=1073741824", *t);
		if (!key || map_set(&r->unified, key, eq + 1) < 0)
			return OUT_OF_MEMORY(e);
	}
	return 0;
}

int resources_fill(const struct run_opts *o, struct spec_resources *r, struct err *e)
{
	int k = fill_memory(o, r, e);

	if (k >= 0)
		k = fill_cpus(o, r, e);
	if (k >= 0)
		k = fill_set("--cpuset-cpus", o->cpuset_cpus, &r->cpuset_cpus, e);
	if (k >= 0)
		k = fill_set("--cpuset-mems", o->cpuset_mems, &r->cpuset_mems, e);
	if (k >= 0)
		k = fill_throttles(o, r, e);
	if (k >= 0)
		k = fill_weight_devices(o, r, e);
	if (k >= 0)
		k = fill_cgroup_conf(o, r, e);
	if (k < 0)
		return k;
	if (o->pids_limit != SPEC_UNSET && o->pids_limit < -1)
		return err_set(e, EINVAL, "--pids-limit: %lld: give a number above 0, or -1 for no limit",
			       (long long)o->pids_limit);
	/* docker and podman: 0 and -1 = no limit. */
	r->pids_limit = o->pids_limit == SPEC_UNSET ? PIDS_DEFAULT : o->pids_limit > 0 ? o->pids_limit : -1;
	if (is_given(o->blkio_weight)) {
		if (o->blkio_weight < BLKIO_WEIGHT_MIN || o->blkio_weight > BLKIO_WEIGHT_MAX)
			return err_set(e, EINVAL, "--blkio-weight: %lld is out of range; %d to %d are possible",
				       (long long)o->blkio_weight, BLKIO_WEIGHT_MIN, BLKIO_WEIGHT_MAX);
		r->blkio_weight = o->blkio_weight;
	}
	return 0;
}

int resources_settle(const struct run_opts *o, bool is_vm, struct spec_resources *r, struct err *e)
{
	struct host h = { 0 };
	int k = in_user_namespace() ? host_probe_cgroup_ours(&h, e) : 1;
	bool has_none = h.cgroup == CGROUP_NONE;

	host_done(&h);
	if (k != 0 || !has_none)
		return MIN(k, 0);
	if (is_vm)
		return vm_check_no_cgroup(r, e);
	if (o->pids_limit == SPEC_UNSET)
		r->pids_limit = SPEC_UNSET;
	return cgroup_asks_limits(r)
		       ? err_set(e, EPERM, "limits (--memory, --cpus, --pids-limit ...) need a cgroup: " NOT_DELEGATED)
		       : 0;
}

int plan_resources(struct plan *p, struct err *e)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (online > 0 && p->o->cpus > (double)online)
		return err_set(e, EINVAL, "--cpus: %g is more than this host has: %ld", p->o->cpus, online);
	int r = resources_fill(p->o, &p->spec.resources, e);
	if (r >= 0)
		r = plan_pod_resources(p, e);
	return r < 0 ? r : resources_settle(p->o, p->is_vm, &p->spec.resources, e);
}
