/* The cgroup layout, which every start needs. What counts is what is mounted, not where distributions usually mount things: hybrid
 * hosts differ in which controllers are where, and a container engine inside a container sees what it was given. But the usual
 * places are tried first, since that is quicker by far. */
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fd.h"
#include "host.h"
#include "str.h"

#define CGROUP_DIR    "/sys/fs/cgroup"
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

int host_read_controllers(struct host *h)
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

/* By the call, which takes 3 us for all; /proc/self/status takes 40. */
static void read_bounding_set(struct host *h)
{
	for (unsigned c = 0; c < 64; c++) {
		int has = prctl(PR_CAPBSET_READ, c, 0, 0, 0);
		if (has < 0)
			break; /* beyond the last that this kernel knows */
		h->caps_bounding |= (uint64_t)has << c;
	}
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

static bool is_mounted(const char *path, long magic)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (long)fs.f_type == magic;
}

/* A line of /proc/cgroups, "memory 4 230 1": on a v1 hierarchy of its own, and found where that usually is? Of one that several
 * controllers share ("cpu,cpuacct") mountinfo knows the name. seen: hierarchies so far, a bit each. */
static int note_usual_v1(struct host *h, const char *line, uint64_t *seen)
{
	size_t n = strcspn(line, "\t");
	int c = ctrl_find(line, n, false);
	unsigned long hierarchy = line[n] == '\t' ? strtoul(line + n + 1, NULL, 10) : 0;

	if (hierarchy == 0 || (c < 0 && hierarchy > 63))
		return 0;
	if (hierarchy > 63 || *seen & 1ull << hierarchy)
		return -ENOENT;
	*seen |= 1ull << hierarchy;
	if (c < 0)
		return 0;
	_cleanup_free_ char *path = str_fmt(CGROUP_DIR "/%s", ctrl_names[c]);
	if (!path || !is_mounted(path, CGROUP_SUPER_MAGIC))
		return -ENOENT;
	h->cgroup_v1[c] = TAKE_PTR(path);
	return 0;
}

/* The layouts that systemd makes, and everybody else since: pure v2, or v1 beside an "unified". Seen by a few statfs, where
 * reading mountinfo costs 100 us, and milliseconds on a host with hundreds of mounts. Anything that is not wholly so is read from there. */
static bool probe_usual(struct host *h)
{
	_cleanup_free_ char *text = NULL;
	bool is_pure = is_mounted(CGROUP_DIR, CGROUP2_SUPER_MAGIC);
	uint64_t seen = 0;
	int r = 0;

	if (!is_pure && (!is_mounted(CGROUP_DIR "/unified", CGROUP2_SUPER_MAGIC) ||
			 file_read(AT_FDCWD, "/proc/cgroups", PROC_FILE_MAX, &text, NULL) < 0))
		return false;
	for (char *save = NULL, *line = text ? strtok_r(text, "\n", &save) : NULL; line && r == 0;
	     line = strtok_r(NULL, "\n", &save))
		r = note_usual_v1(h, line, &seen);
	h->cgroup_v2 = r == 0 ? strdup(is_pure ? CGROUP_DIR : CGROUP_DIR "/unified") : NULL;
	if (h->cgroup_v2)
		return true;
	host_done(h);
	return false;
}

static int probe_mounts(struct host *h, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(AT_FDCWD, MOUNTINFO, PROC_FILE_MAX, &text, NULL);

	if (r < 0)
		return err_set(e, -r, MOUNTINFO ": %s: is /proc mounted?", strerror(-r));
	r = read_mounts(h, text);
	return r < 0 ? err_set(e, -r, MOUNTINFO ": out of memory") : 0;
}

static int probe_cgroup(struct host *h, bool by_mounts, struct err *e)
{
	int r = !by_mounts && probe_usual(h) ? 0 : probe_mounts(h, e);

	if (r < 0)
		return r;
	if (h->cgroup_v2 && (r = host_read_controllers(h)) < 0)
		return err_set(e, -r, "%s/cgroup.controllers: %s", h->cgroup_v2, strerror(-r));
	h->cgroup = layout_of(h);
	h->has_swap_accounting = probe_swap_accounting(h);
	read_bounding_set(h);
	return 0;
}

static int probe(struct host *h, bool by_mounts, struct err *e)
{
	struct host found = { 0 };
	int r = probe_cgroup(&found, by_mounts, e);

	if (r < 0) {
		host_done(&found);
		return r;
	}
	*h = found;
	return 0;
}

int host_probe_cgroup(struct host *h, struct err *e) { return probe(h, false, e); }

int host_probe_cgroup_mounts(struct host *h, struct err *e) { return probe(h, true, e); }
