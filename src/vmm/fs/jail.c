/* jail: what the file server has of the host. It is root, as it acts for all users of its guest, so its walls are others than the VM's:
 *
 *   alone       namespaces of its own: mount, network (empty), ipc, uts, cgroup; its starter made the pid namespace
 *   see_shares  the tree is the root, and all there is: no set-id, no device, no program can be used in it. One more
 *               descriptor is a procfs's fd directory of this process, mounted nowhere
 *   limit       no core file, no locked memory; as many descriptors as can be had (one a file that the guest knows)
 *   drop        seven capabilities of those that act on files; none to look into processes, mount, make devices, open by
 *               number; none to be gained back; no_new_privs; nobody may look at the process
 *   deny        Landlock: files of the tree alone, no devices made, no program executed, no TCP, no abstract socket, no signal
 *   tie         dies with its parent, where it was to, and ends with the VM's end of the socket
 *
 * The filters of system calls come with the threads (serve.c). */
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <grp.h>

#include "../jail_impl.h"
#include "wire.h"

enum { SPARE_FDS = 64, FDS_MIN = 512 };

#define CAP(c) (1u << CAP_##c)
static const uint32_t kept_caps =
	CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FOWNER) | CAP(FSETID) | CAP(SETGID) | CAP(SETUID) | CAP(SETFCAP);

/* What may be done to the tree; the rest of Landlock's rights, later ones as well, may not. */
#define TREE_RIGHTS                                                                                     \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_DIR |   \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |    \
	 LANDLOCK_ACCESS_FS_MAKE_SYM | 1ull << 13 /* REFER */ | 1ull << 14 /* TRUNCATE */)

/* A procfs of this pid namespace that shows processes only, and of it one directory. */
static int open_proc(struct err *e)
{
	_cleanup_fd_ int fs = fsopen("proc", FSOPEN_CLOEXEC), mnt = -1;
	int fd = -1;

	if (fs >= 0) {
		(void)fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid", 0); /* Linux 5.8 */
		if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
			mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	}
	if (mnt >= 0)
		fd = openat(mnt, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? jail_failed(e, errno == EPERM && in_user_namespace() ? "a procfs" PROC_COVERED : "a procfs") : fd;
}

/* The new root is mounted on the old one, and the old one then lies on the new one (pivot_root(2), NOTES) and is detached. */
static int see_shares(int root_fd, struct err *e)
{
	struct mount_attr all = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	int fd;

	/* The working directory is what follows into a new mount namespace. */
	if (fchdir(root_fd) < 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return jail_failed(e, "mount namespace");
	if (mount_setattr(AT_FDCWD, ".", AT_RECURSIVE, &all, sizeof(all)) < 0)
		return jail_failed(e, "the shared directories");
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return jail_failed(e, "its root");
	fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || dup3(fd, root_fd, O_CLOEXEC) < 0) /* the one that was given knows the old namespace */
		return jail_failed(e, "its root");
	fd_close(fd);
	return 0;
}

static int limit(struct fs_config *ret, struct err *e)
{
	static const __rlimit_resource_t none[] = { RLIMIT_CORE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE };
	struct rlimit l;

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		if (setrlimit(none[i], &(struct rlimit){ 0, 0 }) < 0)
			return jail_failed(e, "limits");
	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return jail_failed(e, "limits");
	for (rlim_t n = FS_NODES_MAX; n > l.rlim_max; n /= 2) /* as far as fs.nr_open and who started us let us */
		if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){ n, n }) == 0)
			break;
	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || (l.rlim_cur = l.rlim_max, setrlimit(RLIMIT_NOFILE, &l)) < 0)
		return jail_failed(e, "limits");
	if (l.rlim_cur < FDS_MIN)
		return err_set(e, EMFILE, "jail: %llu descriptors are too few for shared directories (ulimit -n)",
			       (unsigned long long)l.rlim_cur);
	ret->handles_max = (uint32_t)MIN(l.rlim_cur / 8, (rlim_t)FS_HANDLES_MAX);
	ret->nodes_max = (uint32_t)(l.rlim_cur - ret->handles_max - MIN(l.rlim_cur / 8, (rlim_t)FS_OWNERS_MAX) - SPARE_FDS);
	return 0;
}

static int drop(struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { { .effective = kept_caps, .permitted = kept_caps } };
	const unsigned long bits = SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
				   SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return jail_failed(e, "user");
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if ((cap >= 32 || !(kept_caps >> cap & 1)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return jail_failed(e, "bounding set");
	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
		return jail_failed(e, "securebits");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || syscall(SYS_capset, &head, caps) < 0)
		return jail_failed(e, "capabilities");
	return jail_gain_nothing(e);
}

int fs_jail_enter(int sock, int root_fd, struct fs_config *ret, struct err *e)
{
	int32_t fds[] = { sock, root_fd, -1 };
	struct fs_config c = { .root_fd = root_fd };
	int r, death = 0;

	if (geteuid() != 0)
		return err_set(e, EPERM, "jail: shared directories of virtual machines need root");
	(void)prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
	if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
		return jail_failed(e, "namespaces");
	c.proc_fd = fds[2] = open_proc(e);
	r = c.proc_fd < 0 ? c.proc_fd : jail_keep_fds(fds, ARRAY_SIZE(fds), e); /* while there is a /dev/null */
	if (r >= 0)
		r = see_shares(root_fd, e);
	if (r >= 0)
		r = limit(&c, e);
	if (r >= 0)
		r = drop(e);
	if (r >= 0)
		r = jail_deny_but(root_fd, TREE_RIGHTS, e);
	if (r >= 0 && death && prctl(PR_SET_PDEATHSIG, death, 0, 0, 0) < 0)
		r = jail_failed(e, "tie to the parent");
	if (r >= 0)
		*ret = c;
	return r;
}
