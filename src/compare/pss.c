/* pss.c: what one container's or VM's processes have in memory (PSS, proc_pid_smaps(5)), and what files have on the disk. The monitor is the parent of
 * the container's first process, or of the VMM; its other children are Berth's helpers. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure_impl.h"

enum { DEPTH_MAX = 64, SMAPS_MAX = 64 << 20, SHARE_OF_RAM = 2 };

static int parent_of(pid_t pid, pid_t *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	const char *at;
	int r, ppid;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	r = file_read(AT_FDCWD, path, 4096, &text, NULL);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	at = strrchr(text, ')'); /* the name before it is the process's own to choose */
	if (!at || sscanf(at + 1, " %*c %d", &ppid) != 1)
		return -EINVAL;
	*ret = ppid;
	return 0;
}

/* Neighbouring mappings count as one: a guest's memory may have a kernel's file in its midst, and parts that are advised differently. What nobody
 * may read is no guest's (an allocator's reserve, which may be larger than one), and what the VMM may execute neither (QEMU's translated code). */
struct mapping {
	uint64_t from, to, pss_kib;
	bool may_be_ram;
};

static bool has_address(const char *line, struct mapping *ret)
{
	unsigned long long from, to;
	char perms[8];

	if (sscanf(line, "%llx-%llx %7s", &from, &to, perms) != 3)
		return false;
	*ret = (struct mapping){ .from = from, .to = to, .may_be_ram = perms[0] == 'r' && perms[2] != 'x' };
	return true;
}

/* The guest's memory: the largest of those that could be it. */
static void settle(const struct mapping *m, uint64_t ram_bytes, uint64_t *ram_size, uint64_t *ram_kib)
{
	if (m->may_be_ram && ram_bytes && m->to - m->from >= ram_bytes / SHARE_OF_RAM && m->to - m->from > *ram_size) {
		*ram_size = m->to - m->from;
		*ram_kib = m->pss_kib;
	}
}

/* One process: all of it, and of that what is guest memory. */
static int pss_one(pid_t pid, uint64_t ram_bytes, uint64_t *ret_kib, uint64_t *ret_ram_kib)
{
	_cleanup_free_ char *text = NULL;
	struct mapping now = { 0 }, next;
	uint64_t ram_size = 0;
	char path[64], *save = NULL;
	int r;

	*ret_kib = *ret_ram_kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	r = file_read(AT_FDCWD, path, SMAPS_MAX, &text, NULL);
	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long kib;

		if (sscanf(line, "Pss: %llu", &kib) == 1) {
			now.pss_kib += kib;
			*ret_kib += kib;
		} else if (has_address(line, &next)) {
			if (next.from == now.to && next.may_be_ram == now.may_be_ram) {
				now.to = next.to;
				continue;
			}
			settle(&now, ram_bytes, &ram_size, ret_ram_kib);
			now = next;
		}
	}
	settle(&now, ram_bytes, &ram_size, ret_ram_kib);
	return 0;
}

/* Berth's programs that do one thing and end. */
static bool is_passing(pid_t pid)
{
	static const char *const names[] = { "berth-net\n", "berth-transfer\n" };
	_cleanup_free_ char *name = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (file_read(AT_FDCWD, path, 64, &name, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(name, names[i]))
			return true;
	return false;
}

struct tree {
	pid_t *pids, *parents;
	size_t n;
};

static void tree_done(struct tree *t)
{
	free(t->pids);
	free(t->parents);
}

static int all_processes(struct tree *t)
{
	DIR *d = opendir("/proc");
	struct dirent *entry;
	int r = d ? 0 : -errno;

	while (r >= 0 && (r = dir_next(d, &entry)) > 0) {
		pid_t *pids, *parents, parent;
		uint64_t pid;

		if (str_to_u64(entry->d_name, &pid) < 0 || parent_of((pid_t)pid, &parent) < 0)
			continue; /* gone meanwhile */
		pids = realloc(t->pids, (t->n + 1) * sizeof(*pids));
		t->pids = pids ?: t->pids;
		parents = realloc(t->parents, (t->n + 1) * sizeof(*parents));
		t->parents = parents ?: t->parents;
		if (!pids || !parents) {
			r = -ENOMEM;
			break;
		}
		t->pids[t->n] = (pid_t)pid;
		t->parents[t->n++] = parent;
	}
	if (d)
		closedir(d);
	return r;
}

static bool is_below(const struct tree *t, pid_t pid, pid_t top)
{
	for (unsigned depth = 0; depth < DEPTH_MAX && pid > 1; depth++) {
		size_t i = 0;

		if (pid == top)
			return true;
		while (i < t->n && t->pids[i] != pid)
			i++;
		if (i == t->n)
			return false;
		pid = t->parents[i];
	}
	return false;
}

int pss_of(pid_t pid, uint64_t ram_bytes, struct pss *ret, struct err *e)
{
	_cleanup_(tree_done) struct tree t = { 0 };
	pid_t monitor = 0;
	int r = parent_of(pid, &monitor);

	*ret = (struct pss){ 0 };
	if (r >= 0 && monitor <= 1)
		r = -ESRCH;
	if (r >= 0)
		r = all_processes(&t);
	for (size_t i = 0; i < t.n && r >= 0; i++) {
		uint64_t kib, ram;

		if (!is_below(&t, t.pids[i], monitor))
			continue;
		r = pss_one(t.pids[i], ram_bytes, &kib, &ram);
		if (r == -ENOENT || r == -ESRCH) {
			r = 0; /* a helper that has just ended */
			continue;
		}
		ret->is_passing |= is_passing(t.pids[i]);
		ret->ram_kib += ram;
		if (ram_bytes == 0 && is_below(&t, t.pids[i], pid))
			ret->inside_kib += kib;
		else
			ret->outside_kib += kib - ram;
	}
	return r < 0 ? err_set(e, -r, "memory of process %d and of its parent's others: %s", (int)pid, strerror(-r)) : 0;
}

static int blocks_below(int dirfd, const char *name, unsigned depth, uint64_t *bytes)
{
	struct dirent *entry;
	struct stat st;
	DIR *d;
	int fd, r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*bytes += (uint64_t)st.st_blocks * 512;
	/* overlayfs's own work directory, which is nobody's to read, is empty. */
	if (!S_ISDIR(st.st_mode) || (st.st_mode & 07777) == 0)
		return 0;
	if (depth == DEPTH_MAX)
		return -ELOOP;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	while ((r = dir_next(d, &entry)) > 0 && (r = blocks_below(fd, entry->d_name, depth + 1, bytes)) >= 0)
		;
	closedir(d);
	return MIN(r, 0);
}

int disk_bytes(const char *path, uint64_t *ret, struct err *e)
{
	int r;

	*ret = 0;
	r = blocks_below(AT_FDCWD, path, 0, ret);
	return r < 0 ? err_set(e, -r, "%s: %s", path, strerror(-r)) : 0;
}
