/* What this host offers. Two levels: the cgroup layout, which every start needs and which costs two reads; and the rest.
 *
 * The layout is read from mountinfo, not from where distributions usually mount things: hybrid hosts differ in which
 * controllers are where, and a container engine inside a container sees what it was given. */
#include <limits.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "fd.h"
#include "host.h"
#include "str.h"

#define MOUNTINFO     "/proc/self/mountinfo"
#define PROC_FILE_MAX (8u << 20) /* mountinfo of a host with tens of thousands of mounts */

static const char *const ctrl_names[CG_CTRL_COUNT] = {
	[CG_CPU] = "cpu",         [CG_CPUACCT] = "cpuacct", [CG_CPUSET] = "cpuset",     [CG_MEMORY] = "memory",
	[CG_DEVICES] = "devices", [CG_FREEZER] = "freezer", [CG_BLKIO] = "blkio",       [CG_PIDS] = "pids",
	[CG_HUGETLB] = "hugetlb", [CG_NET_CLS] = "net_cls", [CG_NET_PRIO] = "net_prio", [CG_PERF_EVENT] = "perf_event",
	[CG_RDMA] = "rdma",
};

const char *cgroup_ctrl_name(enum cgroup_ctrl c) { return (unsigned)c < CG_CTRL_COUNT ? ctrl_names[c] : NULL; }

/* The controller of a v1 mount option or of a word in cgroup.controllers, where blkio is called io; -1 = none of ours. */
static int ctrl_find(const char *word, size_t n, bool v2)
{
	if (v2 && n == 2 && memcmp(word, "io", 2) == 0)
		return CG_BLKIO;
	for (int c = 0; c < CG_CTRL_COUNT; c++)
		if (strlen(ctrl_names[c]) == n && memcmp(word, ctrl_names[c], n) == 0)
			return c;
	return -1;
}

/* mountinfo writes space, tab, newline and backslash as \ooo; undone in place. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++, out++) {
		*out = *s;
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*out = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		}
	}
	*out = '\0';
}

struct mount_line {
	char *root, *mount_point, *type, *super_options;
};

/* "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:1 - tmpfs tmpfs rw,mode=755": proc_pid_mountinfo(5). Cuts line up. */
static bool mount_line_parse(char *line, struct mount_line *ret)
{
	char *save = NULL, *word = strtok_r(line, " ", &save);
	struct mount_line m = { 0 };
	int field = 0, behind_dash = -1;

	for (; word; word = strtok_r(NULL, " ", &save), field++) {
		if (field == 3)
			m.root = word;
		else if (field == 4)
			m.mount_point = word;
		else if (field >= 6 && behind_dash < 0 && streq(word, "-"))
			behind_dash = 0;
		else if (behind_dash >= 0 && ++behind_dash == 1)
			m.type = word;
		else if (behind_dash == 3)
			m.super_options = word;
	}
	if (!m.root || !m.mount_point || !m.type || !m.super_options)
		return false;
	unescape(m.mount_point);
	*ret = m;
	return true;
}

static int note_v1_mount(struct host *h, const struct mount_line *m)
{
	for (const char *o = m->super_options; *o;) {
		size_t n = strcspn(o, ",");
		int c = ctrl_find(o, n, false);
		if (c >= 0 && !h->cgroup_v1[c]) {
			h->cgroup_v1[c] = strdup(m->mount_point);
			if (!h->cgroup_v1[c])
				return -ENOMEM;
		}
		o += n + (o[n] == ',');
	}
	return 0;
}

static int read_mounts(struct host *h, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct mount_line m;
		int r = 0;
		/* Only what is worth cutting up: hosts with thousands of containers have thousands of overlay lines. */
		if (!strstr(line, " - cgroup") || !mount_line_parse(line, &m))
			continue;
		if (streq(m.type, "cgroup")) {
			r = note_v1_mount(h, &m);
		} else if (streq(m.type, "cgroup2") && !h->cgroup_v2) {
			h->cgroup_v2 = strdup(m.mount_point);
			r = h->cgroup_v2 ? 0 : -ENOMEM;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_v2_ctrls(struct host *h)
{
	_cleanup_free_ char *path = str_fmt("%s/cgroup.controllers", h->cgroup_v2), *text = NULL;

	if (!path)
		return -ENOMEM;
	int r = file_read(AT_FDCWD, path, 4096, &text, NULL);
	if (r < 0)
		return r;
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, " \n");
		int c = ctrl_find(p, n, true);
		if (c >= 0)
			h->cgroup_v2_ctrls |= 1u << c;
		p += n + (p[n] != '\0');
	}
	/* cpu brings its accounting; devices and the freezer are part of v2 itself (BPF since 4.15, cgroup.freeze since 5.2). */
	if (h->cgroup_v2_ctrls & 1u << CG_CPU)
		h->cgroup_v2_ctrls |= 1u << CG_CPUACCT;
	return 0;
}

static enum cgroup_layout layout_of(const struct host *h)
{
	bool v1 = false;

	for (int c = 0; c < CG_CTRL_COUNT; c++)
		v1 |= h->cgroup_v1[c] != NULL;
	if (h->cgroup_v2)
		return v1 ? CGROUP_HYBRID : CGROUP_V2;
	return v1 ? CGROUP_V1 : CGROUP_NONE;
}

static int read_bounding_set(struct host *h)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(AT_FDCWD, "/proc/self/status", 65536, &text, NULL);

	if (r < 0)
		return r;
	const char *p = strstr(text, "\nCapBnd:");
	if (!p)
		return -ENODATA;
	h->caps_bounding = strtoull(p + strlen("\nCapBnd:"), NULL, 16);
	return 0;
}

/* Whether swap can be limited: a kernel may have memory control without it (swapaccount=0, CONFIG_SWAP=n). */
static bool probe_swap_accounting(const struct host *h)
{
	if (h->cgroup_v1[CG_MEMORY]) {
		_cleanup_free_ char *path = str_fmt("%s/memory.memsw.limit_in_bytes", h->cgroup_v1[CG_MEMORY]);
		return path && access(path, F_OK) == 0;
	}
	/* memory.swap.max is in no root cgroup; /proc/swaps is there exactly when the kernel can swap (cgroup-v2.rst). */
	return (h->cgroup_v2_ctrls & 1u << CG_MEMORY) && access("/proc/swaps", F_OK) == 0;
}

static int probe_cgroup(struct host *h, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(AT_FDCWD, MOUNTINFO, PROC_FILE_MAX, &text, NULL);

	if (r < 0)
		return err_set(e, -r, MOUNTINFO ": %s: is /proc mounted?", strerror(-r));
	r = read_mounts(h, text);
	if (r < 0)
		return err_set(e, -r, MOUNTINFO ": out of memory");
	if (h->cgroup_v2 && (r = read_v2_ctrls(h)) < 0)
		return err_set(e, -r, "%s/cgroup.controllers: %s", h->cgroup_v2, strerror(-r));
	h->cgroup = layout_of(h);
	h->has_swap_accounting = probe_swap_accounting(h);
	r = read_bounding_set(h);
	if (r < 0)
		return err_set(e, -r, "/proc/self/status: %s", strerror(-r));
	return 0;
}

int host_probe_cgroup(struct host *h, struct err *e)
{
	struct host found = { 0 };
	int r = probe_cgroup(&found, e);

	if (r < 0) {
		host_done(&found);
		return r;
	}
	*h = found;
	return 0;
}

/* PRETTY_NAME="Debian GNU/Linux 12 (bookworm)": os-release(5); the quotes are optional. */
static void read_os_name(char *ret, size_t size)
{
	_cleanup_free_ char *text = NULL;

	snprintf(ret, size, "Linux");
	if (file_read(AT_FDCWD, "/etc/os-release", 65536, &text, NULL) < 0 &&
	    file_read(AT_FDCWD, "/usr/lib/os-release", 65536, &text, NULL) < 0)
		return;
	const char *key = "PRETTY_NAME=";
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *v = str_after(line, key);
		if (!v)
			continue;
		v += *v == '"' || *v == '\'';
		snprintf(ret, size, "%.*s", (int)strcspn(v, "\"'\n"), v);
		return;
	}
}

/* The flags line of the first CPU, word by word: "vmx" and "svm" are also parts of other words (vmx_...). */
static bool cpu_has_virt(void)
{
	_cleanup_free_ char *text = NULL;

	if (file_read(AT_FDCWD, "/proc/cpuinfo", PROC_FILE_MAX, &text, NULL) < 0)
		return false;
	char *flags = strstr(text, "\nflags");
	if (!flags)
		return false;
	flags++;
	flags[strcspn(flags, "\n")] = '\0';
	char *save = NULL;
	for (char *w = strtok_r(flags, " \t", &save); w; w = strtok_r(NULL, " \t", &save))
		if (streq(w, "vmx") || streq(w, "svm"))
			return true;
	return false;
}

int host_probe(struct host *h, struct err *e)
{
	int r = host_probe_cgroup(h, e);

	if (r < 0)
		return r;
	_cleanup_fd_ int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	h->has_kvm_node = kvm >= 0;
	h->has_hw_virt = cpu_has_virt();
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	h->landlock_abi = abi > 0 ? (int)abi : 0;
	cpu_set_t set;
	h->n_cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
	struct sysinfo si;
	if (sysinfo(&si) == 0)
		h->mem_bytes = (uint64_t)si.totalram * si.mem_unit;
	struct utsname u;
	if (uname(&u) == 0)
		snprintf(h->kernel, sizeof(h->kernel), "%.64s", u.release);
	read_os_name(h->os_name, sizeof(h->os_name));
	return 0;
}

void host_done(struct host *h)
{
	for (int c = 0; c < CG_CTRL_COUNT; c++)
		free(h->cgroup_v1[c]);
	free(h->cgroup_v2);
	*h = (struct host){ 0 };
}
