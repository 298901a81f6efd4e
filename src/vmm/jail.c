/* jail: see jail.h. The phases, in order:
 *
 *   be_first      a pid namespace of its own; for who is not root, a user namespace
 *   keep_fds      the plan's descriptors; all others are closed, standard input and output become /dev/null
 *   be_alone      namespaces of its own: mount, network (empty), ipc, uts, cgroup
 *   see_nothing   the root is a file system without a file, read-only; or, for a guest that may connect to sockets in a
 *                 directory, that directory
 *   limit         no core file, no file larger than what is there, few descriptors, no locked memory
 *   drop          a user and group that nobody else has, no groups, no capabilities (also not to gain), no_new_privs,
 *                 and nobody of that user may look at the process
 *   deny          Landlock: no file, no TCP, no abstract socket, no signal to others
 *   tie           dies with its parent
 *
 * Those that other processes have as well are in jail_walls.c. Several stop the same thing, on purpose: a file can't be opened for the root is empty, for Landlock, and for the
 * filters. */
#include <linux/mount.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail_impl.h"
#include "thread.h"

#define FDS_OPEN_MAX 4096u       /* eventfds of queues and interrupts, streams */
#define FILE_ROOM    (64u << 20) /* of a saved VM beyond its memory */
#define LOCKED_MAX   (64u << 10)

/* ---- see_nothing ---- */

static int empty_root(void)
{
	_cleanup_fd_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", "berth-vmm", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "size", "4k", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", "555", 0) < 0 || fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

/* The directory again, as this mount namespace knows it: only its own mounts can be cloned. */
static int reopen(int dir)
{
	char link[FD_PATH_LEN], path[PATH_MAX] = "";
	struct stat want, got;
	_cleanup_fd_ int fd = -1;

	if (readlink(fd_path(dir, link), path, sizeof(path) - 1) > 0)
		fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(dir, &want) < 0 || fstat(fd, &got) < 0)
		return -1;
	if (want.st_dev != got.st_dev || want.st_ino != got.st_ino) {
		errno = ESTALE;
		return -1;
	}
	return TAKE_FD(fd);
}

/* A directory of sockets as the root: connect(2) knows only paths, and from here no path leads out of it. */
static int root_of(int dir)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	_cleanup_fd_ int there = reopen(dir), tree = -1;

	if (there >= 0)
		tree = open_tree(there, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -1;
	return TAKE_FD(tree);
}

/* The new root is mounted on the old one, and the old one then lies on the new one (pivot_root(2), NOTES) and is detached. */
static int see_nothing(struct vmm_vsock_plan *sockets, struct err *e)
{
	_cleanup_fd_ int root = -1;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return jail_failed(e, "private mounts");
	root = sockets ? root_of(sockets->dir_fd) : empty_root();
	if (root < 0)
		return jail_failed(e, sockets ? "the directory of sockets as root" : "an empty root (fsopen: Linux 5.2)");
	if (move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(root) < 0 ||
	    syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return jail_failed(e, "its root");
	if (sockets) {
		/* The descriptor still knows the way to the rest of its file system. */
		if (dup3(root, sockets->dir_fd, O_CLOEXEC) < 0)
			return jail_failed(e, "the directory of sockets");
		sockets->is_root = true;
	}
	return 0;
}

/* ---- limit ---- */

/* Of what the plan names and a snapshot would write. */
static rlim_t file_max(const struct vmm_plan *p, const int32_t *fds, size_t n)
{
	rlim_t max = vmm_plan_ram(p) + FILE_ROOM;
	struct stat st;

	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0 && fstat(fds[i], &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
			max = MAX(max, (rlim_t)st.st_size);
	return max;
}

static int limit(rlim_t max_file, struct err *e)
{
	const struct {
		__rlimit_resource_t what;
		rlim_t max;
	} rows[] = { { RLIMIT_CORE, 0 },
		     { RLIMIT_FSIZE, max_file },
		     { RLIMIT_NOFILE, FDS_OPEN_MAX },
		     { RLIMIT_MEMLOCK, LOCKED_MAX },
		     { RLIMIT_MSGQUEUE, 0 },
		     { RLIMIT_NICE, 0 },
		     { RLIMIT_RTPRIO, 0 } };

	(void)signal(SIGXFSZ, SIG_IGN); /* an error of the write is enough */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rlimit l = { 0, 0 };

		if (rows[i].max && getrlimit(rows[i].what, &l) < 0)
			return jail_failed(e, "limits");
		l.rlim_cur = l.rlim_max = MIN(rows[i].max, l.rlim_max); /* never more than we have */
		if (setrlimit(rows[i].what, &l) < 0)
			return jail_failed(e, "limits");
	}
	return 0;
}

/* ---- tie ---- */

/* A change of user clears the signal (prctl(2)), so this comes last; the lifeline tells of an end that came before. */
static int tie(int lifeline, int death, struct err *e)
{
	struct pollfd p = { .fd = lifeline };

	if (lifeline >= 0)
		death = SIGKILL;
	if (death && prctl(PR_SET_PDEATHSIG, death, 0, 0, 0) < 0)
		return jail_failed(e, "tie to the parent");
	if (lifeline >= 0 && poll(&p, 1, 0) != 0)
		return err_set(e, ESRCH, "jail: the parent has ended");
	return 0;
}

/* ---- what it begins with ---- */

static int choose_uid(const struct vmm_plan *plan, uid_t *ret, struct err *e)
{
	if (geteuid() == 0 && plan->uid == 0 && getpid() == 1)
		return err_set(e, EINVAL,
			       "plan: uid: the first process of a pid namespace has no number to make one of; name one");
	*ret = plan->uid ?: VMM_JAIL_UID_BASE + (uid_t)getpid();
	return 0;
}

static int open_kvm(struct vmm_plan *plan, struct err *e)
{
	if (plan->kvm_fd <= 0)
		plan->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	return plan->kvm_fd < 0 ? err_set(e, ENODEV, "/dev/kvm: %s", strerror(errno)) : 0;
}

/* ---- ahead ----
 * KVM_CREATE_VM waits for others most of its time (for RCU, for a thread of the kernel's to begin), so it is asked by a thread
 * while the walls are raised. That thread does nothing else, and has ended before anything of a guest's is read: whatever it still
 * has of the host is gone then. */

struct ahead {
	pthread_t thread;
	bool is_running;
	int fd_kvm, fd_vm; /* fd_vm: or -errno */
};

static void *ahead_main(void *arg)
{
	struct ahead *a = arg;

	a->fd_vm = vmm_create_vm(a->fd_kvm);
	return NULL;
}

static void ahead_start(struct ahead *a, int fd_kvm)
{
	const struct sched_param first = { .sched_priority = 1 };
	sigset_t all, old;

	a->fd_kvm = fd_kvm;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* a signal would end the creation */
	a->is_running = vmm_thread_new(&a->thread, ahead_main, a) >= 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* Where there is one CPU it goes on now, until it waits; a new thread's turn would be behind ours. Who may not ask for that waits
	 * a little longer. */
	if (a->is_running)
		(void)pthread_setschedparam(a->thread, SCHED_FIFO, &first);
}

/* What the thread got, or, without one, 0: not tried. */
static int ahead_end(struct ahead *a)
{
	if (!a->is_running)
		return 0;
	(void)pthread_join(a->thread, NULL);
	return a->fd_vm;
}

/* ---- all ---- */

static int raise_walls(struct vmm_plan *plan, uid_t uid, rlim_t max_file, struct err *e)
{
	int r = jail_be_alone(e);

	vmm_mark(plan, "namespaces");
	if (r >= 0)
		r = see_nothing(vmm_plan_sockets(plan), e);
	vmm_mark(plan, "empty root");
	if (r >= 0)
		r = limit(max_file, e);
	if (r >= 0)
		r = jail_drop(uid, e);
	return r < 0 ? r : jail_deny(false, e);
}

int vmm_jail_enter(struct vmm_plan *plan, struct err *e)
{
	int32_t fds[VMM_PLAN_FDS_MAX + 1];
	struct ahead ahead = { .is_running = false };
	int lifeline = -1, death = 0, r;
	size_t n;
	uid_t uid = 0;

	(void)prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
	r = choose_uid(plan, &uid, e);
	if (r >= 0)
		r = open_kvm(plan, e);
	if (r >= 0)
		r = jail_be_first(uid, &lifeline, e);
	if (r < 0)
		return r;
	plan->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC); /* -1: no /proc, and metrics say nothing of it */
	n = vmm_plan_fds(plan, fds);
	fds[n++] = lifeline;
	r = jail_keep_fds(fds, n, e); /* while there is a /dev/null */
	if (r >= 0) {
		ahead_start(&ahead, plan->kvm_fd);
		r = raise_walls(plan, uid, file_max(plan, fds, n), e);
	}
	if (r >= 0)
		r = tie(lifeline, death, e);
	fd_close(lifeline);
	vmm_mark(plan, "jailed");
	plan->vm_fd = ahead_end(&ahead);
	vmm_mark(plan, "KVM");
	return r;
}
