/* See pod_run.h; and what is asked of a pod from outside: its plan, sweeping, freezing. */
#include <dirent.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "pod_run.h"
#include "state.h"

#define MEMBER_MAX 4096
#ifndef NSFS_MAGIC
#define NSFS_MAGIC 0x6e736673
#endif

/* Descriptors of that process; -1 = it shares none of the kind. */
struct member {
	int64_t pid;
	uint64_t start_time;
	char *boot_id;
	int32_t net, ipc, uts, memory;
	struct held_socket {
		int32_t fd;
	} * sockets;
	size_t n_sockets;
};
static const struct field socket_fields[] = {
	{ .name = "fd", .type = FIELD_I32, .offset = offsetof(struct held_socket, fd), .flags = FIELD_REQUIRED },
	{ 0 },
};
#define ROW(member_, type_)                                                                                          \
	{                                                                                                            \
		.name = #member_, .type = type_, .offset = offsetof(struct member, member_), .flags = FIELD_REQUIRED \
	}
static const struct field member_fields[] = {
	ROW(pid, FIELD_I64),
	ROW(start_time, FIELD_U64),
	ROW(boot_id, FIELD_STRING),
	ROW(net, FIELD_I32),
	ROW(ipc, FIELD_I32),
	ROW(uts, FIELD_I32),
	ROW(memory, FIELD_I32),
	{ .name = "sockets",
	  .type = FIELD_ARRAY,
	  .offset = offsetof(struct member, sockets),
	  .flags = FIELD_OMIT_EMPTY,
	  .table = socket_fields,
	  .size = sizeof(struct held_socket),
	  .count_offset = offsetof(struct member, n_sockets) },
	{ 0 },
};
#undef ROW
static const struct {
	enum spec_ns ns;
	size_t offset;
} held[] = {
	{ NS_NET, offsetof(struct member, net) },
	{ NS_IPC, offsetof(struct member, ipc) },
	{ NS_UTS, offsetof(struct member, uts) },
	{ NS_MOUNT, offsetof(struct member, memory) },
};

/* ---- the directory ---- */

static int open_pods(const struct paths *p, bool make, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/pods", p->run);

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !make)
		return -ENOENT;
	return fd < 0 ? err_set(e, errno, "%s: %s", path, strerror(errno)) : fd;
}

/* The one that left last may have removed it while we waited for the lock. */
static bool is_still_there(int pods, const char *name, int fd)
{
	struct stat ours, now;

	return fstat(fd, &ours) == 0 && fstatat(pods, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_dev == now.st_dev &&
	       ours.st_ino == now.st_ino;
}

int pod_run_open(const struct paths *p, const char *pod_id, bool make, int *ret_dirfd, struct err *e)
{
	_cleanup_fd_ int pods = open_pods(p, make, e);

	if (pods < 0)
		return pods;
	for (;;) {
		_cleanup_fd_ int fd = -1;
		if (make && mkdirat(pods, pod_id, 0700) < 0 && errno != EEXIST)
			return err_set(e, errno, "%s/pods/%s: %s", p->run, pod_id, strerror(errno));
		fd = openat(pods, pod_id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT) {
			if (!make)
				return -ENOENT;
			continue;
		}
		if (fd < 0)
			return err_set(e, errno, "%s/pods/%s: %s", p->run, pod_id, strerror(errno));
		while (flock(fd, LOCK_EX) < 0)
			if (errno != EINTR)
				return err_set(e, errno, "lock %s/pods/%s: %s", p->run, pod_id, strerror(errno));
		if (is_still_there(pods, pod_id, fd)) {
			*ret_dirfd = TAKE_FD(fd);
			return 0;
		}
	}
}

/* ---- its files ---- */

static int32_t *number(struct member *m, size_t i) { return (int32_t *)(void *)((char *)m + held[i].offset); }

static bool is_namespace(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == NSFS_MAGIC;
}

/* Of another process: /proc/PID/fd/N leads to the namespace that N is open on. */
static int open_all(struct member *m, struct shared_ns *ret, struct err *e)
{
	struct shared_ns ns = SHARED_NS_NONE;

	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		char path[64];
		if (*number(m, i) < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)m->pid, (int)*number(m, i));
		ns.fd[held[i].ns] = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (ns.fd[held[i].ns] >= 0 && is_namespace(ns.fd[held[i].ns]))
			continue;
		int no = ns.fd[held[i].ns] < 0 ? errno : EINVAL;
		shared_ns_close(&ns);
		return err_set(e, no, "namespace of the pod, %s: %s", path, strerror(no));
	}
	*ret = ns;
	return 0;
}

static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Sockets can't be opened through /proc. */
static int take_sockets(const struct member *m, struct net_hold *ret, struct err *e)
{
	struct net_hold h = { .sockets = calloc(m->n_sockets + 1, sizeof(int)) };
	_cleanup_fd_ int pidfd = h.sockets ? pidfd_open_((pid_t)m->pid) : -ENOMEM;
	int no = pidfd < 0 ? -pidfd : 0;

	while (no == 0 && h.n_sockets < m->n_sockets) {
		int fd = (int)syscall(SYS_pidfd_getfd, pidfd, m->sockets[h.n_sockets].fd, 0);
		if (fd < 0) {
			no = errno;
			break;
		}
		h.sockets[h.n_sockets++] = fd;
		no = is_socket(fd) ? 0 : EINVAL;
	}
	if (no == 0) {
		*ret = h;
		return 0;
	}
	net_hold_done(&h);
	return err_set(e, no, "published ports of the pod, from process %d: %s%s", (int)m->pid, strerror(no),
		       no == EPERM ? " (to trace processes is forbidden, as with kernel.yama.ptrace_scope=3)" : "");
}

static int take_all(struct member *m, struct shared_ns *ns, struct net_hold *sockets, struct err *e)
{
	int r = open_all(m, ns, e);

	if (r == 0 && sockets && (r = take_sockets(m, sockets, e)) < 0)
		shared_ns_close(ns);
	return r;
}

/* 1: alive, and *ret opened; 0: dead. */
static int try_member(int dirfd, const char *name, struct shared_ns *ret, struct net_hold *sockets, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	struct member m = { 0 };
	size_t len;
	int r = file_read(dirfd, name, MEMBER_MAX, &text, &len);

	if (r < 0)
		return r == -ENOENT ? 0 : err_set(e, -r, "run state of a pod's container: %s", strerror(-r));
	r = json_parse(text, len, name, &o, e);
	if (r == 0)
		r = json_read(o, member_fields, &m, "", e);
	if (r < 0)
		err_push(e, r, "run state of a pod's container");
	if (r == 0 && state_is_alive(m.pid, m.start_time, m.boot_id)) {
		r = take_all(&m, ret, sockets, e);
		/* Its number may have become another's while we looked. */
		if (!state_is_alive(m.pid, m.start_time, m.boot_id)) {
			if (r == 0)
				shared_ns_close(ret);
			if (r == 0 && sockets)
				net_hold_done(sockets);
			r = 0;
		} else if (r == 0) {
			r = 1;
		}
	}
	json_free_fields(member_fields, &m);
	return r;
}

/* Calls fn for each file; its result other than 0 ends the round and is returned. */
static int each(int dirfd, int (*fn)(int dirfd, const char *name, void *arg), void *arg, struct err *e)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		fd_close(fd);
		return err_set(e, errno, "run directory of a pod: %s", strerror(errno));
	}
	for (struct dirent *de; r == 0 && (de = readdir(d));)
		if (!streq(de->d_name, ".") && !streq(de->d_name, ".."))
			r = fn(dirfd, de->d_name, arg);
	closedir(d);
	return r;
}

struct find {
	struct shared_ns *ns;
	struct net_hold *sockets;
	struct err *e;
};

static int find_one(int dirfd, const char *name, void *arg)
{
	struct find *f = arg;
	int r = *name == '.' ? 0 : try_member(dirfd, name, f->ns, f->sockets, f->e); /* '.': a file that was being written */

	if (r == 0 && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		r = err_set(f->e, errno, "run state of a pod's container that is dead: %s", strerror(errno));
	return r;
}

int pod_run_find(int dirfd, struct shared_ns *ret, struct net_hold *sockets, struct err *e)
{
	struct find f = { ret, sockets, e };

	return each(dirfd, find_one, &f, e);
}

int pod_run_add(int dirfd, const char *id, const struct shared_ns *ns, const struct net_hold *sockets, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ struct held_socket *fds = sockets ? calloc(sockets->n_sockets + 1, sizeof(*fds)) : NULL;
	char boot[40];
	struct member m = { .pid = getpid(), .boot_id = boot, .sockets = fds };
	const char *text;
	int r = state_boot_id(boot);

	if (r == 0)
		r = pid_start_time(getpid(), &m.start_time);
	if (r < 0)
		return err_set(e, -r, "read about this process in /proc: %s", strerror(-r));
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		*number(&m, i) = ns->fd[held[i].ns];
	for (; fds && m.n_sockets < sockets->n_sockets; m.n_sockets++)
		fds[m.n_sockets].fd = sockets->sockets[m.n_sockets];
	o = sockets && !fds ? NULL : json_write(member_fields, &m);
	text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	r = file_replace_clean(dirfd, id, text, strlen(text), 0600);
	return r < 0 ? err_set(e, -r, "run state in the pod: %s", strerror(-r)) : 0;
}

int pod_run_drop(const struct pod_place *p, int dirfd, const char *id, struct err *e)
{
	struct shared_ns ns = SHARED_NS_NONE;
	_cleanup_free_ char *path = str_fmt("%s/pods/%s", p->paths->run, p->pod_id);
	int r = 0;

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	if (id && unlinkat(dirfd, id, 0) < 0 && errno != ENOENT)
		return err_set(e, errno, "%s/%s: %s", path, id, strerror(errno));
	r = pod_run_find(dirfd, &ns, NULL, e);
	if (r != 0) {
		shared_ns_close(&ns);
		return MIN(r, 0);
	}
	if (p->last && (r = p->last->fn(p->pod_id, p->last->arg, e)) < 0)
		return r; /* the directory stays, for the next to try again */
	cgroup_remove_empty(p->host, p->cgroup);
	return rmdir(path) < 0 && errno != ENOENT ? err_set(e, errno, "%s: %s", path, strerror(errno)) : 0;
}

/* ---- from outside ---- */

/* Where its cgroup is: the plan says so while it is there. */
static char *cgroup_of(const struct paths *p, const char *pod_id)
{
	struct spec spec;
	char *path = NULL;

	spec_init(&spec);
	if (pod_read_plan(p, pod_id, &spec, NULL) == 0 && spec.cgroups_path)
		path = strdup(spec.cgroups_path);
	spec_done(&spec);
	return path ? path : str_fmt("/berth/pod-%s", pod_id);
}

/* Of a pod's virtual machine: the VMM dies with its holder, what is left is the cgroup, the run directory and what `last` is about. One
 * that lives is not swept behind. */
static int sweep_holder(struct pod_place *p, struct err *e)
{
	struct monitor_state st;
	struct cgroup *cg;
	int r = monitor_inspect(p->paths, p->pod_id, &st, e);

	if (r >= 0 && st.truth != MONITOR_DIED && st.truth != MONITOR_NONE)
		p->last = NULL;
	if (r < 0 || st.truth != MONITOR_DIED)
		return r;
	r = cgroup_open(p->host, p->cgroup, &cg, e);
	if (r == 0)
		r = cgroup_remove(cg, e);
	else if (r == -ENOENT)
		r = 0;
	if (r >= 0 && p->last)
		r = p->last->fn(p->pod_id, p->last->arg, e);
	p->last = NULL;
	return r < 0 ? r : state_release(p->paths, p->pod_id, e);
}

int pod_sweep(const struct paths *p, const char *pod_id, const struct pod_last *last, struct err *e)
{
	_cleanup_free_ char *cgroup = cgroup_of(p, pod_id);
	_cleanup_fd_ int dirfd = -1;
	struct host h = { 0 };
	struct pod_place place = { .paths = p, .pod_id = pod_id, .host = &h, .cgroup = cgroup, .last = last };
	/* Made where it is gone: the cgroup may be left, and is removed under the lock only, lest one that starts lose it. */
	int r = cgroup ? pod_run_open(p, pod_id, true, &dirfd, e) : err_set(e, ENOMEM, "out of memory");

	if (r < 0)
		return r;
	r = host_probe_cgroup_ours(&h, e);
	if (r >= 0)
		r = sweep_holder(&place, e);
	if (r >= 0)
		r = pod_run_drop(&place, dirfd, NULL, e);
	host_done(&h);
	return MIN(r, 0);
}

struct sweep {
	const struct paths *p;
	const struct pod_last *last;
	struct err *e;
};

static int sweep_one(int dirfd _unused_, const char *name, void *arg)
{
	const struct sweep *s = arg;

	return name_is_valid(name) ? pod_sweep(s->p, name, s->last, s->e) : 0;
}

int pod_sweep_all(const struct paths *p, const struct pod_last *last, struct err *e)
{
	struct sweep s = { p, last, e };
	_cleanup_fd_ int pods = open_pods(p, false, e);

	if (pods < 0)
		return pods == -ENOENT ? 0 : pods;
	return each(pods, sweep_one, &s, e);
}

int pod_freeze(const struct paths *p, const char *pod_id, bool frozen, struct err *e)
{
	_cleanup_free_ char *path = cgroup_of(p, pod_id);
	struct host h = { 0 };
	struct cgroup *cg = NULL;
	int r = pod_stand_still(p, pod_id, frozen, e);

	if (r != 0)
		return MIN(r, 0);
	r = path ? host_probe_cgroup_ours(&h, e) : err_set(e, ENOMEM, "out of memory");
	if (r >= 0 && h.cgroup == CGROUP_NONE)
		r = err_set(e, ENOTSUP, "all of a pod at once are held by its cgroup: " NOT_DELEGATED);
	if (r >= 0)
		r = cgroup_open(&h, path, &cg, e);
	if (r >= 0)
		r = cgroup_freeze(cg, frozen, e);
	cgroup_free(cg);
	host_done(&h);
	return r;
}

bool pod_is_frozen(const struct paths *p, const char *pod_id)
{
	_cleanup_free_ char *path = cgroup_of(p, pod_id);
	struct host h = { 0 };
	struct cgroup *cg = NULL;
	bool frozen =
		path && host_probe_cgroup_ours(&h, NULL) >= 0 && cgroup_open(&h, path, &cg, NULL) >= 0 && cgroup_is_frozen(cg);

	cgroup_free(cg);
	host_done(&h);
	return frozen || pod_stands_still(p, pod_id);
}
