/* inside_writable: the kernel's own files that this process may write to: those whose mode has a bit for it, by access(2) with the
 * effective ids, which also knows of mounts that are read-only. None is opened but the few that lead to the host, which nothing happens to
 * by that: some of them ask for a capability only then. */
#include <sys/statfs.h>
#include <unistd.h>

#include "inside.h"

#define DEPTH_MAX 24

struct walk {
	struct json_out *j;
	uint64_t deadline_us;
	unsigned count, listed;
	bool was_cut, is_proc;
};

/* By which whoever may write there gets at the host, or stops it. */
static const char *const dangerous[] = {
	"/proc/sysrq-trigger",
	"/proc/sys/kernel/core_pattern",
	"/proc/sys/kernel/modprobe",
	"/proc/sys/kernel/hotplug",
	"/proc/sys/kernel/sysrq",
	"/proc/sys/kernel/panic",
	"/proc/sys/kernel/randomize_va_space",
	"/proc/sys/kernel/kptr_restrict",
	"/proc/sys/kernel/yama/ptrace_scope",
	"/proc/sys/kernel/usermodehelper/bset",
	"/proc/sys/vm/panic_on_oom",
	"/proc/sys/vm/mmap_min_addr",
	"/proc/sys/fs/binfmt_misc/register",
	"/proc/sys/fs/protected_symlinks",
	"/proc/sys/fs/suid_dumpable",
	"/proc/kcore",
	"/proc/mem",
	"/proc/mtrr",
	"/sys/kernel/uevent_helper",
	"/sys/kernel/vmcoreinfo",
	"/sys/kernel/mm/ksm/run",
	"/sys/module/kernel/parameters/crash_kexec_post_notifiers",
	"/sys/power/state",
	"/sys/fs/cgroup/release_agent",
	"/sys/fs/cgroup/memory/release_agent",
	"/sys/fs/cgroup/rdma/release_agent",
	"/sys/fs/cgroup/devices/release_agent",
	"/sys/fs/cgroup/systemd/release_agent",
};

static bool is_writable(int dirfd, const char *name, mode_t mode)
{
	return mode & 0222 && faccessat(dirfd, name, W_OK, AT_EACCESS) == 0;
}

static bool is_number(const char *s) { return *s && s[strspn(s, "0123456789")] == 0; }

/* What below the top of /proc is counted elsewhere, or is a process's own. */
static bool is_left_out(const struct walk *w, const char *name, unsigned depth)
{
	return w->is_proc && depth == 0 && (is_number(name) || streq(name, "sys"));
}

static void walk_dir(struct walk *w, int dirfd, const char *path, unsigned depth) /* takes dirfd */
{
	struct dirent *d;
	DIR *dir = fdopendir(dirfd);

	if (!dir) {
		fd_close(dirfd);
		return;
	}
	while (!w->was_cut && dir_next(dir, &d) > 0) {
		_cleanup_free_ char *below = str_fmt("%s/%s", path, d->d_name);
		struct stat st;

		w->was_cut = !below || clock_mono_us() > w->deadline_us;
		if (w->was_cut || is_left_out(w, d->d_name, depth) || fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
			int sub = openat(dirfd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (sub >= 0)
				walk_dir(w, sub, below, depth + 1);
		} else if (S_ISREG(st.st_mode) && is_writable(dirfd, d->d_name, st.st_mode)) {
			w->count++;
			if (w->listed++ < INSIDE_LISTED)
				json_out_text(w->j, NULL, below);
		}
	}
	closedir(dir);
}

static void put_tree(struct json_out *j, const char *name, const char *path, bool is_proc)
{
	struct walk w = { .j = j, .is_proc = is_proc, .deadline_us = clock_mono_us() + INSIDE_WALK_MS * 1000u };
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		json_out_why(j, name, path, errno);
		return;
	}
	json_out_open(j, name, '{');
	json_out_open(j, "names", '[');
	walk_dir(&w, fd, path, 0);
	json_out_close(j, ']');
	json_out_int(j, "count", w.count);
	json_out_bool(j, "cut", w.was_cut);
	json_out_close(j, '}');
}

void inside_writable(struct json_out *j)
{
	json_out_open(j, "writable", '{');
	put_tree(j, "procSys", "/proc/sys", false);
	put_tree(j, "proc", "/proc", true);
	put_tree(j, "sys", "/sys", false);
	json_out_open(j, "dangerous", '[');
	for (size_t i = 0; i < ARRAY_SIZE(dangerous); i++) {
		_cleanup_fd_ int fd = -1;
		struct stat st;

		if (stat(dangerous[i], &st) < 0 || !S_ISREG(st.st_mode) || !is_writable(AT_FDCWD, dangerous[i], st.st_mode))
			continue;
		fd = open(dangerous[i], O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			json_out_text(j, NULL, dangerous[i]);
	}
	json_out_close(j, ']');
	json_out_close(j, '}');
}
