/* inside_place: where the process is: namespaces, kernel, what of the kernel's files is hidden, and what of the host is mounted. */
#include <cpuid.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "inside.h"

#define MOUNTINFO_MAX (8u << 20)

void inside_namespaces(struct json_out *j)
{
	static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };

	json_out_open(j, "namespaces", '{');
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[40], link[64] = "";
		unsigned long long inode;
		const char *bracket;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		bracket = readlink(path, link, sizeof(link) - 1) > 0 ? strchr(link, '[') : NULL;
		if (bracket && sscanf(bracket, "[%llu]", &inode) == 1)
			json_out_int(j, names[i], (long long)inode);
	}
	json_out_close(j, '}');
}

/* CPUID leaf 1: set by hypervisors only; leaf 0x40000000: who it is. */
static void put_hypervisor(struct json_out *j)
{
	unsigned a, b = 0, c = 0, d = 0;
	char name[13] = "";
	bool is_guest = __get_cpuid(1, &a, &b, &c, &d) && c >> 31 & 1;

	json_out_bool(j, "hypervisor", is_guest);
	if (!is_guest)
		return;
	__cpuid(0x40000000, a, b, c, d);
	memcpy(name, &b, 4);
	memcpy(name + 4, &c, 4);
	memcpy(name + 8, &d, 4);
	json_out_text(j, "hypervisorName", name);
}

void inside_kernel(struct json_out *j)
{
	_cleanup_free_ char *boot = NULL;
	struct utsname u;

	if (uname(&u) < 0) {
		json_out_why(j, "kernel", "uname", errno);
		return;
	}
	json_out_open(j, "kernel", '{');
	json_out_text(j, "release", u.release);
	json_out_text(j, "version", u.version);
	json_out_text(j, "machine", u.machine);
	if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot, NULL) >= 0) {
		boot[strcspn(boot, "\n")] = 0;
		json_out_text(j, "bootId", boot);
	}
	put_hypervisor(j);
	json_out_close(j, '}');
}

/* What of these can be read: "absent", "hidden" (something else lies over it), "refused", "readable". */
static const char *state_of(const char *path)
{
	_cleanup_free_ char *parent = strndup(path, (size_t)(strrchr(path, '/') - path));
	_cleanup_fd_ int fd = -1;
	struct stat st, up;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? "absent" : "refused";
	if (!parent || lstat(parent, &up) < 0)
		return "refused";
	if (st.st_dev != up.st_dev || S_ISCHR(st.st_mode))
		return "hidden";
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* some ask for a capability only then */
	return fd >= 0 ? "readable" : "refused";
}

void inside_masks(struct json_out *j)
{
	static const char *const paths[] = {
		"/proc/kcore",      "/proc/keys",    "/proc/timer_list",  "/proc/latency_stats", "/proc/sched_debug",
		"/proc/acpi",       "/proc/scsi",    "/proc/asound",      "/proc/kallsyms",      "/proc/kmsg",
		"/proc/interrupts", "/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/devices/virtual/powercap",
	};

	json_out_open(j, "masks", '{');
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		json_out_text(j, paths[i], state_of(paths[i]));
	json_out_close(j, '}');
}

/* A line of mountinfo, proc_pid_mountinfo(5); text stays as it is there, with blanks as \040. */
struct mount_line {
	char *root, *target, *type, *source;
};

static bool parse_line(char *line, struct mount_line *ret)
{
	char *tail = strstr(line, " - "), *save;

	if (!tail)
		return false;
	*tail = 0;
	if (!strtok_r(line, " ", &save) || !strtok_r(NULL, " ", &save) || !strtok_r(NULL, " ", &save))
		return false;
	ret->root = strtok_r(NULL, " ", &save);
	ret->target = strtok_r(NULL, " ", &save);
	ret->type = strtok_r(tail + 3, " ", &save);
	ret->source = strtok_r(NULL, " ", &save);
	return ret->root && ret->target && ret->type && ret->source;
}

/* Files from outside: part of another file system, a device, or what another machine serves. */
static bool is_from_outside(const struct mount_line *m)
{
	static const char *const kernels[] = { "proc",     "sysfs",  "cgroup", "cgroup2", "tmpfs",
					       "devtmpfs", "devpts", "mqueue", "overlay" };
	static const char *const served[] = { "virtiofs", "9p", "nfs", "nfs4", "cifs" };

	for (size_t i = 0; i < ARRAY_SIZE(served); i++)
		if (streq(m->type, served[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
		if (streq(m->type, kernels[i]))
			return false;
	return !streq(m->root, "/") || *m->source == '/';
}

void inside_mounts(struct json_out *j, const char *program)
{
	_cleanup_free_ char *text = NULL;
	unsigned count = 0, all = 0;
	char *save;
	int r = file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);

	if (r < 0) {
		json_out_why(j, "mounts", "/proc/self/mountinfo", -r);
		return;
	}
	json_out_open(j, "mounts", '{');
	json_out_open(j, "outside", '[');
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct mount_line m;

		if (!parse_line(line, &m) || streq(m.target, program))
			continue;
		all++;
		if (!is_from_outside(&m) || count++ >= INSIDE_LISTED)
			continue;
		json_out_open(j, NULL, '{');
		json_out_text(j, "target", m.target);
		json_out_text(j, "type", m.type);
		json_out_text(j, "source", m.source);
		json_out_text(j, "root", m.root);
		json_out_close(j, '}');
	}
	json_out_close(j, ']');
	json_out_int(j, "outsideCount", count);
	json_out_int(j, "count", all);
	json_out_close(j, '}');
}
