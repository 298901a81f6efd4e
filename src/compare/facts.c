/* facts.c: the machine, as whoever reads the figures needs to know it. */
#include <fcntl.h>

#include "host.h"
#include "measure_impl.h"

enum { CPUINFO_MAX = 64 << 20 };

/* The value of the first "KEY : VALUE" of /proc/cpuinfo; caller frees. NULL: there is none. */
static char *cpuinfo(const char *key)
{
	_cleanup_free_ char *text = NULL, *start = str_fmt("\n%s", key);
	const char *line, *value;

	if (!start || file_read(AT_FDCWD, "/proc/cpuinfo", CPUINFO_MAX, &text, NULL) < 0 || !(line = strstr(text, start)))
		return NULL;
	line++;
	value = memchr(line, ':', strcspn(line, "\n"));
	return value ? strndup(value + 2, strcspn(value + 2, "\n")) : NULL;
}

static bool is_guest(void)
{
	_cleanup_free_ char *flags = cpuinfo("flags"), *all = flags ? str_fmt(" %s ", flags) : NULL;

	return all && strstr(all, " hypervisor ");
}

static char *joined(char *const *words)
{
	struct buf b = { 0 };

	for (; *words; words++)
		buf_fmt(&b, "%s%s", b.len ? " " : "", *words);
	return buf_take(&b);
}

static int add(struct measure *m, const char *key, char *value)
{
	_cleanup_free_ char *v = value;

	return v ? comparison_add_fact(m->c, key, v) : -ENOMEM;
}

int add_facts(struct measure *m, struct err *e)
{
	static const char *const cgroups[] = {
		[CGROUP_NONE] = "none", [CGROUP_V1] = "v1", [CGROUP_HYBRID] = "hybrid", [CGROUP_V2] = "v2"
	};
	_cleanup_free_ char *model = cpuinfo("model name");
	struct host h;
	int r = host_probe(&h, e);

	if (r < 0)
		return r;
	m->memory_bytes = h.mem_bytes;
	m->has_hw_virt = h.has_hw_virt;
	r = add(m, "Processors", str_fmt("%d x %s", h.n_cpus, model ?: "unknown"));
	if (r >= 0)
		r = add(m, "Memory", str_fmt("%.1f GiB", (double)h.mem_bytes / (1 << 30)));
	if (r >= 0)
		r = add(m, "System", str_fmt("%s, Linux %s", h.os_name, h.kernel));
	if (r >= 0)
		r = add(m, "Control groups", strdup(cgroups[h.cgroup]));
	if (r >= 0)
		r = add(m, "Is itself a guest", strdup(is_guest() ? "yes" : "no"));
	if (r >= 0 && m->o->passed)
		r = add(m, "Options", joined(m->o->passed));
	host_done(&h);
	return r < 0 ? err_set(e, -r, "facts of the machine: %s", strerror(-r)) : 0;
}
