/* vm_jail: the process of a VMM, with no more of the host than it needs, before a single byte of the guest is run.
 *
 *   clone            mount, pid, network (empty), ipc, uts namespaces of its own; tied to the monitor's life
 *   see_little       a root of its own on a tmpfs, read-only: /usr, the libraries, the guest's kernel and initramfs, /dev/kvm
 *                    where KVM is used. No /proc, no /sys, nothing of the store and no disk: those come as descriptors
 *   take_fds         the descriptors that are its own, all others closed
 *   limit            no core file, no file larger than its disk or its memory
 *   drop             a user and a group that nobody else has, no groups, no capabilities (also not to gain), no_new_privs
 *   exec             QEMU, which loads its own seccomp filter before it starts the guest (-sandbox on)
 *
 * qemu-storage-daemon (vm_storage.c) is held by the same, with a filter that is loaded here, since it has none of its own.
 *
 * berth-vmm (by descriptor) has its own, stricter jail (vmm/jail.c): here it is born in its pid namespace, with its descriptors and limits.
 *
 * The child is a copy of a single-threaded process, so it may allocate; what fails travels back as a struct err. */
#include <linux/capability.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <grp.h>

#include "vm_jail.h"

#define ERROR_FD_MIN 64 /* above every place of VM_JAIL_FDS */

/* ---- see_little ---- */

/* Where a distribution keeps programs and libraries: directories, or links into /usr. */
static const char *const system_dirs[] = { "/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin" };

#define SHOWN (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID)

static int bind_at(const char *source, const char *target, uint64_t flags, struct err *e)
{
	struct mount_attr attr = { .attr_set = flags };
	_cleanup_fd_ int tree = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0 ||
	    move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(e, errno, "the VMM's jail: %s: %s", source, strerror(errno));
	return 0;
}

static int show_system(struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(system_dirs); i++) {
		const char *dir = system_dirs[i], *place = dir + 1;
		char link[PATH_MAX];
		struct stat st;
		ssize_t n;
		int r;

		if (lstat(dir, &st) < 0)
			continue;
		if (S_ISLNK(st.st_mode)) {
			n = readlink(dir, link, sizeof(link) - 1);
			link[MAX(n, 0)] = '\0';
			r = n <= 0 || symlink(link, place) < 0 ? err_set(e, errno, "the VMM's jail: %s: %s", dir, strerror(errno))
							       : 0;
		} else {
			r = mkdir(place, 0755) < 0 ? err_set(e, errno, "the VMM's jail: %s: %s", dir, strerror(errno))
						   : bind_at(dir, place, SHOWN | MOUNT_ATTR_NODEV, e);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int new_file(const char *name, struct err *e)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

	return fd < 0 ? err_set(e, errno, "the VMM's jail: %s: %s", name, strerror(errno)) : fd;
}

/* A file that only root may read is copied (a kernel of /boot, on some distributions); the usual one is shared. */
static int show_file(const char *source, const char *name, struct err *e)
{
	_cleanup_fd_ int from = open(source, O_RDONLY | O_CLOEXEC), to = -1;
	struct stat st;
	off_t left;

	if (from < 0 || fstat(from, &st) < 0)
		return err_set(e, errno, "%s: %s", source, strerror(errno));
	to = new_file(name, e);
	if (to < 0)
		return to;
	if (st.st_mode & S_IROTH)
		return bind_at(source, name, SHOWN | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	for (left = st.st_size; left > 0;) {
		ssize_t n = sendfile(to, from, NULL, (size_t)left);
		if (n <= 0)
			return err_set(e, n < 0 ? errno : EIO, "copy of %s: %s", source, strerror(n < 0 ? errno : EIO));
		left -= n;
	}
	return 0;
}

/* In a user namespace nobody makes devices, and the VMM is in none of the groups that may open the host's. */
static int share_kvm(mode_t mode, struct err *e)
{
	int r;

	if ((mode & 0006) != 0006)
		return err_set(e, EACCES,
			       "QEMU on KVM, for a user without root's rights, needs a /dev/kvm that everybody may open: leave "
			       "BERTH_VM_ACCEL away for berth-vmm, which is given it open, or set it to tcg");
	r = new_file("dev/kvm", e);
	if (r < 0)
		return r;
	fd_close(r);
	return bind_at("/dev/kvm", "dev/kvm", SHOWN | MOUNT_ATTR_NOEXEC, e);
}

/* A node of its own with an owner of its own: the host's is root's, or a group's that the VMM is not in. */
static int show_kvm(uid_t uid, struct err *e)
{
	struct stat st;

	if (stat("/dev/kvm", &st) < 0 || mkdir("dev", 0755) < 0)
		return err_set(e, errno, "the VMM's jail: /dev/kvm: %s", strerror(errno));
	if (mknod("dev/kvm", S_IFCHR | 0600, st.st_rdev) < 0)
		return errno == EPERM ? share_kvm(st.st_mode, e)
				      : err_set(e, errno, "the VMM's jail: /dev/kvm: %s", strerror(errno));
	if (chown("dev/kvm", uid, uid) < 0)
		return err_set(e, errno, "the VMM's jail: /dev/kvm: %s", strerror(errno));
	return 0;
}

static int show_files(const struct vm_jail *j, struct err *e)
{
	for (size_t i = 0; i < j->n_files; i++) {
		const struct vm_jail_file *f = &j->files[i];
		const char *slash = strrchr(f->name, '/');
		_cleanup_free_ char *dir = slash ? strndup(f->name, (size_t)(slash - f->name)) : NULL;
		int r = 0;

		if (slash && (!dir || (r = mkdir_p(AT_FDCWD, dir, 0755)) < 0))
			return err_set(e, dir ? -r : ENOMEM, "the VMM's jail: %s: %s", f->name, strerror(dir ? -r : ENOMEM));
		r = new_file(f->name, e);
		if (r < 0)
			return r;
		fd_close(r);
		if (f->tree >= 0 && move_mount(f->tree, "", AT_FDCWD, f->name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return err_set(e, errno, "the VMM's jail: %s: %s", f->name, strerror(errno));
	}
	return 0;
}

static int enter_root(struct err *e)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };

	/* pivot_root(2), NOTES: the old root lies on the new one and is detached from there. */
	if (mount_setattr(AT_FDCWD, ".", 0, &ro, sizeof(ro)) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_set(e, errno, "the VMM's jail: its root: %s", strerror(errno));
	return 0;
}

static int see_little(const struct vm_jail *j, struct err *e)
{
	const char *cache = "etc/ld.so.cache";
	int fd, r;

	umask(0);
	r = mount_ns_cut_off(MS_PRIVATE);
	if (r < 0)
		return err_set(e, -r, "the VMM's jail: mount namespace: %s", strerror(-r));
	if (mount(j->label, j->dir, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=256m,nr_inodes=256") < 0 || chdir(j->dir) < 0)
		return err_set(e, errno, "the VMM's jail: %s: %s", j->dir, strerror(errno));
	r = show_system(e);
	if (r >= 0 && j->kernel)
		r = show_file(j->kernel, &VM_JAIL_KERNEL[1], e);
	if (r >= 0 && j->initramfs)
		r = show_file(j->initramfs, &VM_JAIL_INITRAMFS[1], e);
	if (r >= 0)
		r = show_files(j, e);
	if (r >= 0 && j->has_kvm)
		r = show_kvm(j->uid, e);
	if (r >= 0 && access("/etc/ld.so.cache", R_OK) == 0) {
		r = mkdir("etc", 0755) < 0 ? err_set(e, errno, "the VMM's jail: /etc: %s", strerror(errno)) : 0;
		if (r >= 0)
			r = fd = new_file(cache, e);
		if (r >= 0) {
			fd_close(fd);
			r = bind_at("/etc/ld.so.cache", cache, SHOWN | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
		}
	}
	return r < 0 ? r : enter_root(e);
}

/* ---- take_fds ---- */

/* *program goes, if there is one, where no descriptor of the VMM's is to be, and is closed by the exec. */
static int take_fds(const struct vm_jail *j, int *errors, int *program, struct err *e)
{
	int high[VM_JAIL_FDS], top = fcntl(*errors, F_DUPFD_CLOEXEC, ERROR_FD_MIN);

	if (top >= 0 && *program > 0) {
		*errors = top;
		*program = top = fcntl(*program, F_DUPFD_CLOEXEC, top + 1);
	}
	if (top < 0)
		return err_set(e, errno, "the VMM's descriptors: %s", strerror(errno));
	if (*program <= 0)
		*errors = top;
	for (size_t i = 0; i < j->n_fds; i++) {
		high[i] = fcntl(j->fds[i][0], F_DUPFD_CLOEXEC, top + 1);
		if (high[i] < 0)
			return err_set(e, errno, "the VMM's descriptors: %s", strerror(errno));
	}
	if (syscall(SYS_close_range, 0, *errors - 1, 0) < 0)
		return err_set(e, errno, "the VMM's descriptors: %s", strerror(errno));
	for (size_t i = 0; i < j->n_fds; i++)
		if (dup2(high[i], j->fds[i][1]) < 0)
			return err_set(e, errno, "the VMM's descriptors: %s", strerror(errno));
	if (syscall(SYS_close_range, top + 1, ~0u, 0) < 0)
		return err_set(e, errno, "the VMM's descriptors: %s", strerror(errno));
	return 0;
}

/* ---- limit, drop ---- */

static int limit(const struct vm_jail *j, struct err *e)
{
	const struct {
		__rlimit_resource_t what;
		rlim_t max;
	} rows[] = { { RLIMIT_CORE, 0 },
		     { RLIMIT_FSIZE, j->file_max },
		     { RLIMIT_MSGQUEUE, 0 },
		     { RLIMIT_MEMLOCK, 64 << 10 },
		     { RLIMIT_DATA, j->data_max ?: RLIM_INFINITY },
		     { RLIMIT_NPROC, j->procs_max ?: RLIM_INFINITY } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rlimit now, l = { rows[i].max, rows[i].max };

		if (getrlimit(rows[i].what, &now) < 0)
			return err_set(e, errno, "the VMM's limits: %s", strerror(errno));
		l.rlim_cur = l.rlim_max = MIN(l.rlim_max, now.rlim_max); /* never more than we have */
		if (setrlimit(rows[i].what, &l) < 0)
			return err_set(e, errno, "the VMM's limits: %s", strerror(errno));
	}
	return 0;
}

void vm_jail_bound(uint64_t kept)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(kept & 1ull << cap))
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* without CAP_SETPCAP: who has it not has little else */
}

static int change_user(uid_t uid, struct err *e)
{
	if (setgroups(0, NULL) < 0)
		return err_set(e, errno, "the VMM's user: %s", strerror(errno));
	if (setresgid(uid, uid, uid) < 0)
		return err_set(e, errno, "the VMM's group: %s", strerror(errno));
	if (setresuid(uid, uid, uid) < 0)
		return err_set(e, errno, "the VMM's user: %s", strerror(errno));
	return 0;
}

static int drop(const struct vm_jail *j, struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct kept[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	int r;

	for (unsigned w = 0; w < ARRAY_SIZE(kept); w++)
		kept[w].permitted = kept[w].effective = kept[w].inheritable = (uint32_t)(j->caps >> 32 * w);
	vm_jail_bound(j->caps);
	if (j->caps && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) /* over the change of user */
		return err_set(e, errno, "the VMM's capabilities: %s", strerror(errno));
	r = change_user(j->uid, e);
	if (r < 0)
		return r;
	if (syscall(SYS_capset, &head, kept) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "the VMM's capabilities: %s", strerror(errno));
	for (int cap = 0; cap < 64; cap++) /* and over the exec */
		if (j->caps >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return err_set(e, errno, "the VMM's capabilities: %s", strerror(errno));
	return 0;
}

/* A change of user clears the signal (prctl(2)), so this comes last. The parent is in another pid namespace, where getppid
 * shows nothing: it lives as long as somebody reads what we write. */
static int tie_to_parent(int errors, struct err *e)
{
	struct pollfd p = { .fd = errors };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_set(e, errno, "tie the VMM to its monitor: %s", strerror(errno));
	if (poll(&p, 1, 0) != 0)
		return err_set(e, ESRCH, "the VMM's monitor has ended");
	return 0;
}

/* ---- both sides ---- */

static _noreturn_ void child(const struct vm_jail *j, int errors)
{
	struct err e = { 0 };
	int program = j->program_fd, r = 0;
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (j->program_fd <= 0)
		r = see_little(j, &e);
	if (r >= 0)
		r = take_fds(j, &errors, &program, &e);
	if (r >= 0)
		r = limit(j, &e);
	if (r >= 0 && j->program_fd <= 0)
		r = drop(j, &e);
	if (r >= 0)
		r = tie_to_parent(errors, &e);
	if (r >= 0 && j->seccomp)
		r = seccomp_prog_load(j->seccomp, NULL, &e);
	if (r >= 0) {
		if (program > 0)
			syscall(SYS_execveat, program, "", j->argv, j->env, AT_EMPTY_PATH);
		else
			execve(j->argv[0], j->argv, j->env);
		err_set(&e, errno, "start %s in its jail: %s", j->argv[0], strerror(errno));
	}
	(void)!write(errors, &e, sizeof(e));
	_exit(127);
}

int vm_jail_start(const struct vm_jail *j, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	const unsigned long others = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
	const unsigned long namespaces = CLONE_NEWPID | (j->program_fd > 0 ? 0 : others);
	int p[2], pidfd = -1, status;
	struct err ce;
	ssize_t n;

	if (j->n_fds > VM_JAIL_FDS)
		return err_set(e, EINVAL, "the VMM's jail: too many descriptors");
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	/* No CLONE_VM and no stack: a fork, with namespaces and a pidfd. */
	pid_t pid = (pid_t)syscall(SYS_clone, namespaces | CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, 0);
	if (pid == 0) {
		fd_close(p[0]);
		child(j, p[1]);
	}
	fd_close(p[1]);
	if (pid < 0) {
		fd_close(p[0]);
		return err_set(e, errno, "the VMM's namespaces: %s", strerror(errno));
	}
	n = fd_read_full(p[0], &ce, sizeof(ce)); /* EOF: exec succeeded and closed the pipe */
	fd_close(p[0]);
	if (n == 0) {
		*ret_pid = pid;
		*ret_pidfd = pidfd;
		return 0;
	}
	fd_close(pidfd);
	(void)spawn_wait(pid, &status);
	if (n != (ssize_t)sizeof(ce))
		return err_set(e, EIO, "the VMM ended before it was in its jail");
	if (e)
		*e = ce;
	return -(ce.no > 0 ? ce.no : EIO);
}
