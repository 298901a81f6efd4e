/* update: other limits for a container that lives. What is given is merged into what the container has, because some limits
 * only make sense together (memory and swap, quota and period), and the sum is kept in resources.json for the next update.
 * Device rules stay as they are, as in runc. */
#include <unistd.h>

#include "record.h"
#include "scope.h"

#define RESOURCES_MAX (1u << 20)
#define SAVED         "resources.json"

enum unit { COUNT, BYTES };
/* The numbers, in the order of struct update_opts.number. */
static const struct {
	const char *flag;
	enum unit unit;
	size_t offset; /* int64_t in struct spec_resources */
} numbers[] = {
#define NUMBER(flag, unit, m)                                  \
	{                                                      \
		flag, unit, offsetof(struct spec_resources, m) \
	}
	NUMBER("--blkio-weight", COUNT, blkio_weight),
	NUMBER("--cpu-period", COUNT, cpu_period),
	NUMBER("--cpu-quota", COUNT, cpu_quota),
	NUMBER("--cpu-burst", COUNT, cpu_burst),
	NUMBER("--cpu-share", COUNT, cpu_shares),
	NUMBER("--cpu-rt-period", COUNT, cpu_rt_period),
	NUMBER("--cpu-rt-runtime", COUNT, cpu_rt_runtime),
	NUMBER("--cpu-idle", COUNT, cpu_idle),
	NUMBER("--memory", BYTES, memory_limit),
	NUMBER("--memory-reservation", BYTES, memory_reservation),
	NUMBER("--memory-swap", BYTES, memory_swap),
	NUMBER("--kernel-memory", BYTES, memory_kernel),
	NUMBER("--kernel-memory-tcp", BYTES, memory_kernel_tcp),
	NUMBER("--pids-limit", COUNT, pids_limit),
#undef NUMBER
};
_Static_assert(ARRAY_SIZE(numbers) == UPDATE_NUMBERS, "struct update_opts has a member for each");

#define AT(m)   offsetof(struct update_opts, m)
#define NUM(i)  (AT(number) + (i) * sizeof(char *))
#define TEXT(o) OPT_STRING, o
const struct opt update_options[] = {
	{ "resources", 'r', TEXT(AT(resources)), "FILE",
	  "read linux.resources as JSON from a file, or with - from standard input" },
	{ "blkio-weight", 0, TEXT(NUM(0)), "N", "share of block I/O, 10 to 1000" },
	{ "cpu-period", 0, TEXT(NUM(1)), "US", "microseconds in which --cpu-quota counts" },
	{ "cpu-quota", 0, TEXT(NUM(2)), "US", "microseconds of CPU time a period; -1 = unlimited" },
	{ "cpu-burst", 0, TEXT(NUM(3)), "US", "microseconds that may be saved up for later periods" },
	{ "cpu-share", 0, TEXT(NUM(4)), "N", "share of CPU time beside other containers, 2 to 262144" },
	{ "cpu-rt-period", 0, TEXT(NUM(5)), "US", "microseconds in which --cpu-rt-runtime counts (cgroup v1)" },
	{ "cpu-rt-runtime", 0, TEXT(NUM(6)), "US", "microseconds of realtime scheduling a period (cgroup v1)" },
	{ "cpu-idle", 0, TEXT(NUM(7)), "0|1", "1 = run only when nobody else wants to" },
	{ "cpuset-cpus", 0, TEXT(AT(cpus)), "LIST", "CPUs to run on, such as 0-2,4" },
	{ "cpuset-mems", 0, TEXT(AT(mems)), "LIST", "memory nodes to use" },
	{ "memory", 0, TEXT(NUM(8)), "BYTES", "limit of memory; -1 = unlimited" },
	{ "memory-reservation", 0, TEXT(NUM(9)), "BYTES", "memory that is left alone while others can give some" },
	{ "memory-swap", 0, TEXT(NUM(10)), "BYTES", "limit of memory and swap together; -1 = unlimited" },
	{ "kernel-memory", 0, TEXT(NUM(11)), "BYTES",
	  "limit of kernel memory, on kernels that have one (before 5.16, cgroup v1)" },
	{ "kernel-memory-tcp", 0, TEXT(NUM(12)), "BYTES", "limit of memory in TCP buffers (cgroup v1)" },
	{ "pids-limit", 0, TEXT(NUM(13)), "N", "number of processes and threads; -1 = unlimited" },
	{ "l3-cache-schema", 0, TEXT(AT(l3_schema)), "SCHEMA", "cache ways by cache (Intel RDT), such as L3:0=f;1=f" },
	{ "mem-bw-schema", 0, TEXT(AT(bw_schema)), "SCHEMA", "memory bandwidth by node (Intel RDT), such as MB:0=20;1=70" },
	{ NULL },
};

static int read_number(size_t i, const char *text, struct spec_resources *r, struct err *e)
{
	int64_t v;
	uint64_t bytes;
	int x = str_to_i64(text, &v);

	if (numbers[i].unit == BYTES && !streq(text, "-1")) {
		x = str_to_bytes(text, &bytes);
		v = (int64_t)MIN(bytes, (uint64_t)INT64_MAX);
	}
	if (x < 0)
		return err_set(e, EINVAL, "%s: \"%.40s\" is not a %s", numbers[i].flag, text,
			       numbers[i].unit == BYTES ? "size such as 64m, nor -1" : "whole number");
	memcpy((char *)r + numbers[i].offset, &v, sizeof v);
	return 0;
}

static int read_flags(const struct update_opts *o, struct spec_resources *r, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (o->number[i] && *o->number[i] && read_number(i, o->number[i], r, e) < 0)
			return -EINVAL;
	if ((o->cpus && !(r->cpuset_cpus = strdup(o->cpus))) || (o->mems && !(r->cpuset_mems = strdup(o->mems))))
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static int parse_resources(const char *text, size_t len, const char *what, struct spec_resources *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct spec_resources r;
	int x = json_parse(text, len, what, &o, e);

	if (x == 0)
		x = spec_resources_parse(o, &r, e);
	if (x < 0)
		return err_push(e, x, "%s", what);
	spec_resources_done(ret);
	*ret = r;
	return 0;
}

/* As in runc the file alone counts where there is one. */
static int read_file(const char *path, struct spec_resources *r, struct err *e)
{
	bool is_stdin = streq(path, "-");
	_cleanup_fd_ int fd = is_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t len;
	int x;

	if (!is_stdin && fd < 0)
		return err_set(e, errno, "--resources %s: %s", path, strerror(errno));
	x = fd_read_all(is_stdin ? STDIN_FILENO : fd, RESOURCES_MAX, &text, &len);
	if (x < 0)
		return err_set(e, -x, "--resources %s: %s", path, x == -EFBIG ? "more than 1 MiB" : strerror(-x));
	return parse_resources(text, len, is_stdin ? "--resources -" : path, r, e);
}

/* ---- what the container has ---- */

static int load_config(const struct held *h, struct spec *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read(h->dirfd, "config.json", 1u << 24, &text, &len);

	return r < 0 ? err_set(e, -r, "config.json: %s", strerror(-r)) : spec_parse(text, len, ret, e);
}

static int load_current(const struct held *h, struct spec_resources *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct spec s;
	size_t len;
	int r = file_read(h->dirfd, SAVED, RESOURCES_MAX, &text, &len);

	if (r == 0)
		return parse_resources(text, len, SAVED, ret, e);
	if (r != -ENOENT)
		return err_set(e, -r, SAVED ": %s", strerror(-r));
	r = load_config(h, &s, e);
	if (r < 0)
		return r;
	*ret = s.resources;
	spec_resources_init(&s.resources); /* ret's now */
	spec_done(&s);
	return 0;
}

static int save_current(const struct held *h, const struct spec_resources *r, struct err *e)
{
	_cleanup_json_ struct json_object *o = spec_resources_json(r);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
	int x = text ? file_replace(h->dirfd, SAVED, text, strlen(text), 0600, false) : -ENOMEM;

	return x < 0 ? err_set(e, -x, "keep the new limits in " SAVED ": %s", strerror(-x)) : 0;
}

/* Numbers that depend on each other are written together, also where one of them alone is given. */
static void take_dependents(struct spec_resources *r, const struct spec_resources *all)
{
	if (r->memory_limit != SPEC_UNSET || r->memory_swap != SPEC_UNSET) {
		r->memory_limit = all->memory_limit;
		r->memory_swap = all->memory_swap;
	}
	if (r->cpu_quota != SPEC_UNSET || r->cpu_period != SPEC_UNSET) {
		r->cpu_quota = all->cpu_quota;
		r->cpu_period = all->cpu_period;
	}
}

static int apply(const struct held *h, const struct host *host, struct spec_resources *given, struct err *e)
{
	struct spec_resources all;
	struct cgroup *cg = NULL;
	int r;

	spec_resources_init(&all);
	r = load_current(h, &all, e);
	if (r == 0)
		r = spec_resources_merge(&all, given, e);
	if (r == 0) {
		take_dependents(given, &all);
		free(given->devices);
		given->devices = NULL;
		given->n_devices = 0;
		r = record_cgroup(&h->rec, host, &cg, e);
	}
	if (r == 0)
		r = cgroup_grow(host, cg, given, e);
	if (r == 0)
		r = cgroup_update(cg, given, e);
	if (r == 0 && h->rec.scope && *h->rec.scope)
		r = scope_update(h->rec.scope, given, host->cgroup == CGROUP_V2, e);
	if (r == 0)
		r = save_current(h, &all, e);
	cgroup_free(cg);
	spec_resources_done(&all);
	return r;
}

/* The group that the container is in, else one of its id, which delete then removes (RDT_MARK). */
static int apply_rdt(const struct held *h, const struct update_opts *o, struct err *e)
{
	struct spec s;
	int r = load_config(h, &s, e);

	if (r < 0)
		return r;
	r = container_rdt_update(&s, h->rec.id, (pid_t)h->rec.pid, o->l3_schema, o->bw_schema, e);
	if (r == 0 && !s.rdt && (r = file_replace(h->dirfd, RDT_MARK, "", 0, 0600, false)) < 0)
		err_set(e, -r, "note the group of resctrl: %s", strerror(-r));
	spec_done(&s);
	return r;
}

static int update(const struct held *h, const struct host *host, const struct update_opts *o, struct err *e)
{
	struct spec_resources given;
	enum status st = record_status(h, host);
	int r;

	if (st == STATUS_STOPPED || st == STATUS_CREATING)
		return err_set(e, ESRCH, "container not running: %s is %s", h->rec.id, status_names[st]);
	spec_resources_init(&given);
	r = o->resources && *o->resources ? read_file(o->resources, &given, e) : read_flags(o, &given, e);
	if (r == 0)
		r = apply(h, host, &given, e);
	if (r == 0 && (o->l3_schema || o->bw_schema))
		r = apply_rdt(h, o, e);
	spec_resources_done(&given);
	return r;
}

int verb_update(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	_cleanup_held_ struct held h = HELD_NONE;
	struct host host = { 0 };
	int r = record_open(rt, rt->operands[0], LOCKED, &h, e);

	if (r == 0)
		r = host_probe_cgroup(&host, e);
	if (r == 0)
		r = update(&h, &host, &opts->update, e);
	host_done(&host);
	return r;
}
