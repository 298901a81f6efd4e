/* What `berth run` begins with: Docker's layout of /dev, /proc and /sys, the capabilities that Podman grants, and what is
 * hidden or read-only in /proc and /sys. Tables of facts; the engine changes what the user asked to change.
 *
 * Sources: moby oci/defaults.go and daemon/pkg/oci (mounts, masked and read-only paths), containers/common
 * pkg/config (capabilities). Beyond Docker's masks: the kernel's own configuration and addresses (config.gz, kallsyms)
 * and its debugging file systems. There are no default rlimits: raising one could fail on a host that has set it lower. */
#include "runtime_spec.h"

#include <linux/capability.h>
#include <unistd.h>

static const struct {
	const char *destination, *type, *source;
	const char *options[8];
} mounts[] = {
	{ "/proc", "proc", "proc", { "nosuid", "noexec", "nodev" } },
	{ "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
	{ "/dev/pts", "devpts", "devpts", { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
	{ "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
	{ "/sys/fs/cgroup", "cgroup", "cgroup", { "ro", "nosuid", "noexec", "nodev" } },
	{ "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
	{ "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
};

static const char *const masked[] = {
	"/proc/acpi",
	"/proc/asound",
	"/proc/config.gz",
	"/proc/interrupts",
	"/proc/kallsyms",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/firmware",
	"/sys/devices/virtual/powercap",
	"/sys/devices/virtual/thermal",
	"/sys/kernel/debug",
	"/sys/kernel/security",
	"/sys/kernel/tracing",
};

static const char *const readonly[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static const uint8_t caps[] = {
	CAP_CHOWN,   CAP_DAC_OVERRIDE, CAP_FOWNER,  CAP_FSETID, CAP_KILL,       CAP_NET_BIND_SERVICE,
	CAP_SETFCAP, CAP_SETGID,       CAP_SETPCAP, CAP_SETUID, CAP_SYS_CHROOT,
};

/* Documentation/admin-guide/devices.txt. The first rule denies all. */
static const struct spec_device_rule device_rules[] = {
	{ false, 'a', -1, -1, "rwm" }, { true, 'c', 1, 3, "rwm" }, /* null */
	{ true, 'c', 1, 5, "rwm" },                                /* zero */
	{ true, 'c', 1, 7, "rwm" },                                /* full */
	{ true, 'c', 1, 8, "rwm" },                                /* random */
	{ true, 'c', 1, 9, "rwm" },                                /* urandom */
	{ true, 'c', 5, 0, "rwm" },                                /* tty */
	{ true, 'c', 5, 2, "rwm" },                                /* ptmx */
	{ true, 'c', 136, -1, "rwm" },                             /* pts */
};

static const enum spec_ns namespaces[] = { NS_PID, NS_MOUNT, NS_NET, NS_IPC, NS_UTS, NS_CGROUP };

#define PIDS_LIMIT 2048
/* A core's thermal events tell of work elsewhere on the host; one directory a CPU, present on Intel only. */
#define THERMAL_THROTTLE "/sys/devices/system/cpu/cpu%ld/thermal_throttle"

static int push_list(char ***v, const char *const *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strv_push(v, items[i]) < 0)
			return -ENOMEM;
	return 0;
}

static int push_thermal(char ***v)
{
	long n = sysconf(_SC_NPROCESSORS_CONF);
	_cleanup_free_ char *first = str_fmt(THERMAL_THROTTLE, 0L);

	if (!first)
		return -ENOMEM;
	if (access(first, F_OK) < 0)
		return 0;
	for (long i = 0; i < n; i++)
		if (strv_push_take(v, str_fmt(THERMAL_THROTTLE, i)) < 0)
			return -ENOMEM;
	return 0;
}

static int fill_mounts(struct spec *s)
{
	s->mounts = calloc(ARRAY_SIZE(mounts), sizeof *s->mounts);
	if (!s->mounts)
		return -ENOMEM;
	s->n_mounts = ARRAY_SIZE(mounts);
	for (size_t i = 0; i < s->n_mounts; i++) {
		struct spec_mount *m = &s->mounts[i];
		m->destination = strdup(mounts[i].destination);
		m->type = strdup(mounts[i].type);
		m->source = strdup(mounts[i].source);
		if (!m->destination || !m->type || !m->source)
			return -ENOMEM;
		for (size_t k = 0; mounts[i].options[k]; k++)
			if (strv_push(&m->options, mounts[i].options[k]) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int fill_process(struct spec_process *p)
{
	uint64_t set = 0;

	for (size_t i = 0; i < ARRAY_SIZE(caps); i++)
		set |= UINT64_C(1) << caps[i];
	p->has_caps = true;
	p->caps = (struct spec_caps){ .bounding = set, .effective = set, .permitted = set };
	p->cwd = strdup("/");
	return p->cwd ? strv_push(&p->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") : -ENOMEM;
}

static int fill_linux(struct spec *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
		s->ns.wanted[namespaces[i]] = true;
	s->resources.devices = calloc(ARRAY_SIZE(device_rules), sizeof *device_rules);
	if (!s->resources.devices)
		return -ENOMEM;
	memcpy(s->resources.devices, device_rules, sizeof device_rules);
	s->resources.n_devices = ARRAY_SIZE(device_rules);
	s->resources.pids_limit = PIDS_LIMIT;
	s->rootfs_propagation = strdup("rprivate");
	if (!s->rootfs_propagation || push_list(&s->masked_paths, masked, ARRAY_SIZE(masked)) < 0 ||
	    push_thermal(&s->masked_paths) < 0)
		return -ENOMEM;
	return push_list(&s->readonly_paths, readonly, ARRAY_SIZE(readonly));
}

int spec_default(struct spec *ret, struct err *e)
{
	_cleanup_(spec_done) struct spec s;

	spec_init(&s);
	s.oci_version = strdup("1.2.0");
	s.root_path = strdup("rootfs");
	if (!s.oci_version || !s.root_path || fill_mounts(&s) < 0 || fill_process(&s.process) < 0 || fill_linux(&s) < 0)
		return err_set(e, ENOMEM, "out of memory");
	*ret = s;
	spec_init(&s);
	return 0;
}
