/* jail: see jail.h. The phases, in order:
 *
 *   be_alone      namespaces of its own: mount, pid, network (empty), ipc, uts, cgroup; for who is not root, user
 *   keep_fds      the plan's descriptors; all others are closed, standard input and output become /dev/null
 *   see_nothing   the root is a file system without a file, read-only; or, for a guest that may connect to sockets in a
 *                 directory, that directory
 *   limit         no core file, no file larger than what is there, few descriptors, no locked memory
 *   drop          a user and group that nobody else has, no groups, no capabilities (also not to gain), no_new_privs,
 *                 and nobody of that user may look at the process
 *   deny          Landlock: no file, no TCP, no abstract socket, no signal to others
 *   tie           dies with its parent
 *
 * Several of them stop the same thing, on purpose: a file can't be opened for the root is empty, for Landlock, and for the
 * filters. */
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <grp.h>

#include "jail_impl.h"

#define NOBODY       65534
#define FDS_OPEN_MAX 4096u       /* eventfds of queues and interrupts, streams */
#define FILE_ROOM    (64u << 20) /* of a saved VM beyond its memory */
#define LOCKED_MAX   (64u << 10)

int jail_failed(struct err *e, const char *what) { return err_set(e, errno, "jail: %s: %s", what, strerror(errno)); }

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

/* ---- keep_fds ---- */

static int by_number(const void *a, const void *b) { return *(const int32_t *)a < *(const int32_t *)b ? -1 : 1; }

int jail_keep_fds(const int32_t *fds, size_t n, struct err *e)
{
	_cleanup_free_ int32_t *kept = calloc(n + 1, sizeof(*kept));
	_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	unsigned next = STDERR_FILENO + 1;
	bool is_kept[2] = { false };

	if (!kept)
		return err_set(e, ENOMEM, "out of memory");
	if (null < 0)
		return jail_failed(e, "/dev/null");
	memcpy(kept, fds, n * sizeof(*kept));
	qsort(kept, n, sizeof(*kept), by_number);
	for (size_t i = 0; i < n; i++)
		if (kept[i] == 0 || kept[i] == 1)
			is_kept[kept[i]] = true;
	for (int fd = 0; fd < 2; fd++)
		if (!is_kept[fd] && dup2(null, fd) < 0)
			return jail_failed(e, "/dev/null");
	for (size_t i = 0; i <= n; i++) {
		unsigned fd = i < n ? (unsigned)kept[i] : ~0u;

		if (i < n && (kept[i] < 0 || fd < next))
			continue;
		if (fd > next && syscall(SYS_close_range, next, i < n ? fd - 1 : ~0u, 0) < 0)
			return jail_failed(e, "close_range (Linux 5.9)");
		next = fd + 1;
	}
	null = -1; /* closed with the others */
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

/* ---- drop ---- */

/* In a user namespace that maps few ids the VM's own is none (EINVAL); nobody is, as a rule. */
static int change_user(uid_t uid, struct err *e)
{
	if (setgroups(0, NULL) < 0)
		return jail_failed(e, "groups");
	if (setresgid(uid, uid, uid) < 0 && (errno != EINVAL || setresgid(NOBODY, NOBODY, NOBODY) < 0))
		return jail_failed(e, "group");
	if (setresuid(uid, uid, uid) < 0 && (errno != EINVAL || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return jail_failed(e, "user");
	return 0;
}

int jail_drop(uid_t uid, struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	int r = 0;

	/* EINVAL: there is no further one. EPERM: who may not take any from the set gains none by it either, with no_new_privs. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0;)
		cap++;
	if (errno != EINVAL && errno != EPERM)
		return jail_failed(e, "bounding set");
	if (geteuid() == 0)
		r = change_user(uid, e);
	if (r < 0)
		return r;
	if (syscall(SYS_capset, &head, none) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return jail_failed(e, "capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return jail_failed(e, "no_new_privs");
#ifndef __SANITIZE_ADDRESS__ /* whose search for leaks traces the process */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return jail_failed(e, "dumpable");
#endif
	return 0;
}

/* ---- deny ---- */

/* What each version of Landlock's interface can refuse (linux/landlock.h): everything is, and nothing excepted. */
static const struct landlock_row {
	int abi;
	uint64_t fs, net, scoped;
} landlock_rows[] = {
	{ 1, (1ull << 13) - 1, 0, 0 }, /* Linux 5.13: files and directories */
	{ 2, 1ull << 13, 0, 0 },       /* 5.19: links and renames across directories */
	{ 3, 1ull << 14, 0, 0 },       /* 6.2: truncation */
	{ 4, 0, 3, 0 },                /* 6.7: TCP bind, connect */
	{ 5, 1ull << 15, 0, 0 },       /* 6.10: ioctl of devices that are opened from now on */
	{ 6, 0, 0, 3 },                /* 6.12: abstract sockets, signals */
};
enum { SCOPE_SIGNAL = 2, ABI_REFER = 2 };

/* tree < 0: nothing is excepted. Else files below it may be used by `rights`, as far as this kernel knows them. */
static int deny(bool may_signal, int tree, uint64_t rights, struct err *e)
{
	struct landlock_path_beneath_attr beneath = { .parent_fd = tree };
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct {
		uint64_t fs, net, scoped;
	} all = { 0 };
	_cleanup_fd_ int rules = -1;

	if (abi < 0) {
		log_info("jail", "this kernel has no Landlock (%s): the other walls stand alone", strerror(errno));
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(landlock_rows) && landlock_rows[i].abi <= abi; i++) {
		all.fs |= landlock_rows[i].fs;
		all.net |= landlock_rows[i].net;
		all.scoped |= landlock_rows[i].scoped;
	}
	if (may_signal)
		all.scoped &= ~(uint64_t)SCOPE_SIGNAL;
	if (tree >= 0 && abi < ABI_REFER) { /* it would refuse every rename from one directory to another */
		log_info("jail", "this kernel's Landlock knows no renames: the other walls stand alone");
		return 0;
	}
	beneath.allowed_access = rights & all.fs;
	rules = (int)syscall(SYS_landlock_create_ruleset, &all, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
	if (rules < 0 || (tree >= 0 && syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0) ||
	    syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return jail_failed(e, "Landlock");
	return 0;
}

int jail_deny(bool may_signal, struct err *e) { return deny(may_signal, -1, 0, e); }
int jail_deny_but(int tree, uint64_t rights, struct err *e) { return deny(false, tree, rights, e); }

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

/* ---- all ---- */

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

int vmm_jail_enter(struct vmm_plan *plan, struct err *e)
{
	int32_t fds[VMM_PLAN_FDS_MAX + 1];
	int lifeline = -1, death = 0, r;
	size_t n;
	uid_t uid = 0;

	(void)prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
	r = choose_uid(plan, &uid, e);
	if (r >= 0)
		r = open_kvm(plan, e);
	if (r >= 0)
		r = jail_be_alone(uid, &lifeline, e);
	if (r < 0)
		return r;
	vmm_mark(plan, "namespaces");
	plan->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC); /* -1: no /proc, and metrics say nothing of it */
	n = vmm_plan_fds(plan, fds);
	fds[n++] = lifeline;
	r = jail_keep_fds(fds, n, e); /* while there is a /dev/null */
	if (r >= 0)
		r = see_nothing(vmm_plan_sockets(plan), e);
	vmm_mark(plan, "empty root");
	if (r >= 0)
		r = limit(file_max(plan, fds, n), e);
	if (r >= 0)
		r = jail_drop(uid, e);
	if (r >= 0)
		r = jail_deny(false, e);
	if (r >= 0)
		r = tie(lifeline, death, e);
	fd_close(lifeline);
	vmm_mark(plan, "jailed");
	return r;
}
