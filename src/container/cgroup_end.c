/* Freezing, finding, killing and removing: everything that ends (or holds) what lives in a cgroup. All waits are bounded
 * and end in an error that says what is left. Called by container_destroy(), by pause, and by whoever sweeps after a
 * crash, knowing only the path. */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cgroup_impl.h"

#define WAIT_US        (10u * 1000 * 1000) /* for processes to die; one in an uninterruptible sleep may take its time */
#define FREEZE_WAIT_US (5u * 1000 * 1000)
#define KTHREADS_ROUND 8 /* after some 25 ms, in which processes have long stopped */
#define RMDIR_WAIT_US  (2u * 1000 * 1000)
#define DEPTH_MAX      64

/* First naps are short: the common case is over in microseconds. */
static void nap(unsigned round)
{
	unsigned us = 50u << MIN(round, 8u);

	nanosleep(&(struct timespec){ .tv_nsec = (long)us * 1000 }, NULL);
}

/* ---- finding ---- */

struct pid_list {
	pid_t *pids;
	size_t n, cap;
};

static int pids_add(struct pid_list *l, pid_t pid)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		pid_t *more = reallocarray(l->pids, cap, sizeof *more);
		if (!more)
			return -ENOMEM;
		l->pids = more;
		l->cap = cap;
	}
	l->pids[l->n++] = pid;
	return 0;
}

static int pids_of_dir(int dirfd, struct pid_list *l)
{
	_cleanup_fd_ int fd = openat(dirfd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = fd_read_all(fd, 1 << 22, &text, NULL);
	if (r < 0)
		return r == -ENODEV || r == -EOPNOTSUPP ? 0 : r; /* removed meanwhile; threaded subtree */
	for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		long pid = strtol(at, NULL, 10);
		if (pid > 0 && (r = pids_add(l, (pid_t)pid)) < 0)
			return r;
	}
	return 0;
}

/* Calls fn for each child directory of dirfd, by name. */
static int each_child(int dirfd, int depth, int (*fn)(int dirfd, const char *name, int depth, void *arg), void *arg)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d;
	struct dirent *de;

	if (fd < 0)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	d = fdopendir(fd);
	if (!d) {
		fd_close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (de = readdir(d)))
		if (de->d_type == DT_DIR && !streq(de->d_name, ".") && !streq(de->d_name, ".."))
			r = depth < DEPTH_MAX ? fn(fd, de->d_name, depth + 1, arg) : -ELOOP;
	closedir(d);
	return r;
}

static int pids_of_child(int dirfd, const char *name, int depth, void *arg)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? 0 : pids_of_dir(fd, arg);

	return fd < 0 || r < 0 ? r : each_child(fd, depth, pids_of_child, arg);
}

int cgroup_place_pids(const struct cgroup_place *p, pid_t **ret_pids, size_t *ret_n)
{
	struct pid_list l = { 0 };
	int r = pids_of_dir(p->fd, &l);

	if (r == 0)
		r = each_child(p->fd, 0, pids_of_child, &l);
	if (r < 0) {
		free(l.pids);
		return r;
	}
	*ret_pids = l.pids;
	*ret_n = l.n;
	return 0;
}

int cgroup_pids(struct cgroup *cg, pid_t **ret_pids, size_t *ret_n)
{
	const struct cgroup_place *p = cgroup_main_place(cg);

	if (p)
		return cgroup_place_pids(p, ret_pids, ret_n);
	*ret_pids = NULL;
	*ret_n = 0;
	return 0;
}

/* ---- freezing ---- */

static bool is_frozen(const struct cgroup_place *p)
{
	char text[128];

	if (!p->is_v2)
		return cgroup_read(p, "freezer.state", text, sizeof text) > 0 && streq(text, "FROZEN");
	return cgroup_read(p, "cgroup.events", text, sizeof text) > 0 && strstr(text, "frozen 1");
}

bool cgroup_is_frozen(const struct cgroup *cg)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_FREEZER);

	return p && is_frozen(p);
}

const char *cgroup_freezer_dir(const struct cgroup *cg)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_FREEZER);

	return p ? p->dir : NULL;
}

static int write_frozen(const struct cgroup_place *p, bool frozen)
{
	return p->is_v2 ? cgroup_write(p, "cgroup.freeze", frozen ? "1" : "0")
			: cgroup_write(p, "freezer.state", frozen ? "FROZEN" : "THAWED");
}

int cgroup_freeze(struct cgroup *cg, bool frozen, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_FREEZER);
	uint64_t end = clock_mono_us() + FREEZE_WAIT_US;
	int r;

	if (!p)
		return err_set(e, ENOENT, "pause: this host has no freezer cgroup controller");
	r = write_frozen(p, frozen);
	if (r < 0)
		return err_set(e, -r, "%s %s: %s", frozen ? "freeze" : "thaw", p->dir, strerror(-r));
	for (unsigned round = 0; frozen && !is_frozen(p); round++) {
		if (clock_mono_us() > end) {
			(void)write_frozen(p, false); /* half frozen is worse than running */
			return err_set(e, ETIMEDOUT, "freeze %s: a process in it can't be stopped", p->dir);
		}
		nap(round);
		/* What they held up is only looked at again when it is frozen again. */
		if (p->is_v2 && round == KTHREADS_ROUND && cgroup_put_out_kthreads(p) > 0 &&
		    (write_frozen(p, false) < 0 || write_frozen(p, true) < 0))
			return err_set(e, EIO, "freeze %s: the kernel refuses", p->dir);
		/* v1 can stay FREEZING while a process waits for a frozen one; asking again moves it (freezer-subsystem.rst). */
		if (!p->is_v2 && round % 16 == 15 && write_frozen(p, true) < 0)
			return err_set(e, EIO, "freeze %s: the kernel refuses", p->dir);
	}
	return 0;
}

/* ---- killing ---- */

/* SIGKILLs what is there now. -> how many there were. */
static int kill_round(struct cgroup *cg)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	int r = cgroup_pids(cg, &pids, &n);

	for (size_t i = 0; r == 0 && i < n; i++)
		if (kill(pids[i], SIGKILL) < 0 && errno != ESRCH)
			r = -errno;
	return r < 0 ? r : (int)MIN(n, (size_t)INT_MAX);
}

/* v2 kills at one stroke (Linux 5.14). Elsewhere whoever forks faster than we read is frozen first. */
static int kill_all(struct cgroup *cg, unsigned round)
{
	const struct cgroup_place *v2 = cgroup_v2_place(cg), *fr = cgroup_place_of(cg, CG_FREEZER);
	int n, r;

	if (v2 && v2 == cgroup_main_place(cg)) {
		r = cgroup_write(v2, "cgroup.kill", "1");
		if (r == 0) {
			_cleanup_free_ pid_t *pids = NULL;
			size_t left = 0;
			r = cgroup_pids(cg, &pids, &left);
			return r < 0 ? r : (int)left;
		}
		if (r == -ENODEV)
			return 0;
	}
	if (fr && round % 8 == 3)
		(void)write_frozen(fr, true); /* best effort: the kill below is what counts */
	n = kill_round(cg);
	if (fr && (round == 0 || round % 8 == 3) && (r = write_frozen(fr, false)) < 0 && r != -ENODEV && r != -ENOENT)
		return r;
	return n;
}

int cgroup_kill(struct cgroup *cg, struct err *e)
{
	uint64_t end = clock_mono_us() + WAIT_US;

	for (unsigned round = 0;; round++) {
		int n = kill_all(cg, round);
		if (n == 0)
			return 0;
		if (n < 0)
			return err_set(e, -n, "kill the processes of cgroup %s: %s", cg->path, strerror(-n));
		if (clock_mono_us() > end)
			return err_set(e, ETIMEDOUT, "cgroup %s: %d processes are still there %u s after SIGKILL", cg->path, n,
				       WAIT_US / 1000000);
		nap(round);
	}
}

/* ---- removing ---- */

static int rmdir_tree(int dirfd, const char *name, int depth, void *arg)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	(void)arg;
	if (fd < 0)
		return 0;
	r = each_child(fd, depth, rmdir_tree, NULL);
	if (r < 0)
		return r;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENODEV ? -errno : 0;
}

/* EBUSY while a process, a dying one or a child cgroup is left: children go first, dying ones leave within moments. */
static int remove_place(const struct cgroup_place *p)
{
	uint64_t end = 0;

	for (unsigned round = 0;; round++) {
		int r;
		if (rmdir(p->dir) == 0 || errno == ENOENT || errno == ENODEV)
			return 0;
		if (errno != EBUSY && errno != ENOTEMPTY)
			return -errno;
		r = p->fd >= 0 ? each_child(p->fd, 0, rmdir_tree, NULL) : -EBUSY;
		if (r < 0 && r != -EBUSY && r != -ENOTEMPTY)
			return r;
		if (end == 0)
			end = clock_mono_us() + RMDIR_WAIT_US;
		else if (clock_mono_us() > end)
			return -EBUSY;
		nap(round);
	}
}

int cgroup_remove(struct cgroup *cg, struct err *e)
{
	bool has_killed = false;
	int r = 0;

	if (!cg)
		return 0;
	for (size_t i = 0; i < cg->n_places; i++) {
		const struct cgroup_place *p = &cg->places[i];
		int x;
		/* The usual end: everyone has left, and one rmdir a place is all. */
		if (p->fd < 0 || rmdir(p->dir) == 0)
			continue;
		if (errno == EBUSY && !has_killed) {
			x = cgroup_kill(cg, r == 0 ? e : NULL);
			r = r == 0 ? x : r;
			has_killed = true;
		}
		x = remove_place(p);
		if (x < 0 && r == 0)
			r = err_set(e, -x, "remove cgroup %s: %s", p->dir, strerror(-x));
	}
	cgroup_free(cg);
	return r;
}
