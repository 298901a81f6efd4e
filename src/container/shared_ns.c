/* shared_ns: namespaces that several containers share, made before the first of them and kept by descriptors alone: no process and
 * no mount of the host's stands for them, so that they go when the last holder goes, however it ends.
 *
 * What is memory to be shared (/dev/shm) is a file system, and those are shared within one mount namespace only. So a mount
 * namespace with nothing but that tmpfs, as its root, is kept with the others; who needs the tmpfs enters it in a process of its
 * own, clones the mount there and brings the clone out, which can then be attached anywhere. Called by the monitor. */
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "setup.h"

#define TMPFS_MAGIC 0x01021994

/* Those that can be made before there is a process in them, in the order in which they are handed over. */
static const enum spec_ns kinds[] = { NS_NET, NS_IPC, NS_UTS, NS_MOUNT };

/* What a helper process does: fills fds (room for ARRAY_SIZE(kinds)) with what the caller is to have, -1 for none. */
typedef int (*helper)(const void *arg, int fds[], struct err *e);

static _noreturn_ void help(helper fn, const void *arg, int sock)
{
	int all[ARRAY_SIZE(kinds)] = { -1, -1, -1, -1 }, given[ARRAY_SIZE(kinds)];
	struct {
		struct err e;
		unsigned has;
	} word = { .has = 0 };
	size_t n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (fn(arg, all, &word.e) < 0)
		_exit(word.e.no && sock_send_fds(sock, &word, sizeof(word), NULL, 0) == 0 ? 0 : 1);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (all[i] >= 0) {
			word.has |= 1u << i;
			given[n++] = all[i];
		}
	_exit(sock_send_fds(sock, &word, sizeof(word), given, n) < 0);
}

static int take(int sock, int fds[], struct err *e)
{
	struct {
		struct err e;
		unsigned has;
	} word;
	int got[ARRAY_SIZE(kinds)];
	size_t n = ARRAY_SIZE(got), at = 0;
	ssize_t len = sock_recv_fds(sock, &word, sizeof(word), got, &n);

	if (len != (ssize_t)sizeof(word) || (!word.e.no && n != (size_t)__builtin_popcount(word.has))) {
		while (len >= 0 && n > 0)
			fd_close(got[--n]);
		return err_set(e, ECHILD, "the process that makes namespaces ended without a word");
	}
	if (word.e.no) {
		if (e)
			*e = word.e;
		return -word.e.no;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		fds[i] = word.has >> i & 1 ? got[at++] : -1;
	return 0;
}

static int in_helper(helper fn, const void *arg, int fds[], struct err *e)
{
	int sv[2], status, r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_set(e, errno, "make a socket pair: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		help(fn, arg, sv[1]);
	r = pid < 0 ? err_set(e, errno, "fork: %s", strerror(errno)) : 0;
	fd_close(sv[1]);
	if (r == 0) {
		r = take(sv[0], fds, e);
		spawn_wait(pid, &status);
	}
	fd_close(sv[0]);
	return r;
}

/* ---- making ---- */

static const struct spec_mount *memory_of(const struct spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (streq(s->mounts[i].destination, SHARED_MEMORY))
			return &s->mounts[i];
	return NULL;
}

static int mount_memory(const struct spec_mount *m, int *ret_fd, struct err *e)
{
	_cleanup_(mount_plan_done) struct mount_plan plan = { .data = NULL };
	int r = mount_options_parse(m->options, &plan, e);

	if (r == 0)
		r = fs_mount("tmpfs", "shm", (const char *const *)plan.data, plan.n_data, plan.attrs, e);
	if (r < 0)
		return r;
	*ret_fd = r;
	return 0;
}

/* Nothing else must be left in the namespace: what it held of the host's mounts, it would hold for as long as the pod lives. */
static int leave_only_memory(const struct spec_mount *m, struct err *e)
{
	_cleanup_fd_ int fd = -1, place = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = mount_ns_new(MS_PRIVATE);

	if (place < 0 || r < 0)
		return err_set(e, r < 0 ? -r : errno, "new mount namespace: %s", strerror(r < 0 ? -r : errno));
	r = mount_memory(m, &fd, e);
	if (r < 0)
		return r;
	/* On the root itself: pivot_root(2) wants a mount point, and the old root to end up below the new one. */
	if (move_mount(fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(fd) < 0)
		return err_set(e, errno, "shared memory: attach: %s", strerror(errno));
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return err_set(e, errno, "shared memory: as root: %s", strerror(errno));
	return 0;
}

static int make(const void *arg, int fds[], struct err *e)
{
	const struct spec *spec = arg;
	const struct container_args args = { .rootfd = -1 };
	struct setup s = { .spec = spec, .args = &args, .procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	const struct spec_mount *memory = ns_is_new(spec, NS_IPC) ? memory_of(spec) : NULL;
	_cleanup_fd_ int ns = openat(s.procfd, "self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int flags = 0, r;

	if (ns < 0 || !fd_is_procfs(s.procfd))
		return err_set(e, ns < 0 ? errno : EINVAL, "/proc: %s", ns < 0 ? strerror(errno) : "is not a procfs");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i] != NS_MOUNT && ns_is_new(spec, kinds[i]))
			flags |= (int)ns_table[kinds[i]].clone_flag;
	if (unshare(flags) < 0)
		return err_set(e, errno, "new namespaces: %s", strerror(errno));
	r = net_apply(&s, e);
	if (r == 0)
		r = uts_apply(&s, e);
	if (r == 0 && memory)
		r = leave_only_memory(memory, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i] == NS_MOUNT ? !memory : !ns_is_new(spec, kinds[i]))
			continue;
		fds[i] = openat(ns, ns_table[kinds[i]].proc, O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			r = err_set(e, errno, "/proc/self/ns/%s: %s", ns_table[kinds[i]].proc, strerror(errno));
	}
	return r;
}

int shared_ns_make(const struct spec *s, struct shared_ns *ret, struct err *e)
{
	int fds[ARRAY_SIZE(kinds)], r = in_helper(make, s, fds, e);

	if (r < 0)
		return r;
	*ret = SHARED_NS_NONE;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		ret->fd[kinds[i]] = fds[i];
	return 0;
}

void shared_ns_close(struct shared_ns *n)
{
	for (size_t i = 0; i < NS_COUNT; i++)
		n->fd[i] = fd_close(n->fd[i]);
}

/* ---- its memory ---- */

static int bring_memory(const void *arg, int fds[], struct err *e)
{
	if (setns(*(const int *)arg, CLONE_NEWNS) < 0)
		return err_set(e, errno, "shared memory: enter its mount namespace: %s", strerror(errno));
	fds[0] = mount_clone(AT_FDCWD, "/", false); /* setns has led to the namespace's root */
	return fds[0] < 0 ? err_set(e, -fds[0], "shared memory: %s", strerror(-fds[0])) : 0;
}

int shared_ns_memory(const struct shared_ns *n, int *ret_fd, struct err *e)
{
	int fds[ARRAY_SIZE(kinds)] = { -1 }, r = 0;

	if (n->fd[NS_MOUNT] < 0) {
		*ret_fd = -1;
		return 0;
	}
	r = in_helper(bring_memory, &n->fd[NS_MOUNT], fds, e);
	if (r == 0)
		*ret_fd = fds[0];
	return r;
}

/* ---- another container's ---- */

static int bring_others_memory(const void *arg, int fds[], struct err *e)
{
	struct statfs fs;

	if (setns(*(const int *)arg, CLONE_NEWNS) < 0)
		return err_set(e, errno, "shared memory: enter the mount namespace: %s", strerror(errno));
	fds[0] = mount_clone(AT_FDCWD, SHARED_MEMORY, false);
	if (fds[0] < 0)
		return err_set(e, -fds[0], "shared memory: %s: %s", SHARED_MEMORY, strerror(-fds[0]));
	/* A path of the other's: it may lead to anything that is its own. */
	if (fstatfs(fds[0], &fs) < 0 || (unsigned long)fs.f_type != TMPFS_MAGIC)
		return err_set(e, ENOENT, "shared memory: %s is no tmpfs there", SHARED_MEMORY);
	return 0;
}

int shared_ns_memory_of(int mount_ns, int *ret_fd, struct err *e)
{
	int fds[ARRAY_SIZE(kinds)] = { -1 }, r = in_helper(bring_others_memory, &mount_ns, fds, e);

	if (r < 0)
		return r;
	r = mount_attrs(fds[0], false, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0, 0);
	if (r < 0) {
		fd_close(fds[0]);
		return err_set(e, -r, "shared memory: %s", strerror(-r));
	}
	*ret_fd = fds[0];
	return 0;
}
