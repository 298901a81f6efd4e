/* seal: against a container that overwrites the runtime (CVE-2019-5736). Its entry point may be "#!/proc/self/exe", so that this
 * very program is executed inside, where root could then open /proc/PID/exe for writing. So whatever makes processes in
 * containers runs from a read-only detached clone of its file's mount, on which nothing can be opened for writing; without
 * the right to mount, from a sealed copy in memory. See seal.h.
 *
 * The clone is of the same file, and open(2) counts a writer before it finds the mount read-only: who held a path to it inside could
 * make execve(2) of the program fail everywhere (ETXTBSY), by trying again and again. So nothing can be executed from the clone
 * once this program is: then the file is in nobody's hand inside. A copy in memory is nobody else's file. */
#include "seal.h"

#include <linux/mount.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

_Static_assert(SEAL_STATFS == (ST_RDONLY | ST_NOSUID | ST_NODEV), "what seal_early.c can't include");

static bool is_copy(int self)
{
	int seals = fcntl(self, F_GET_SEALS);

	return seals >= 0 && (seals & SEALS) == SEALS;
}

static bool is_clone(int self)
{
	struct statvfs fs;

	return fstatvfs(self, &fs) == 0 && (fs.f_flag & SEAL_STATFS) == SEAL_STATFS;
}

static int clone_mount(void)
{
	struct mount_attr ro = { .attr_set = SEAL_MOUNT };
	_cleanup_fd_ int fd = (int)syscall(SYS_open_tree, AT_FDCWD, SEAL_SELF, OPEN_TREE_CLONE);

	if (fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &ro, sizeof(ro)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int copy_to_memory(int self)
{
	_cleanup_fd_ int fd = memfd_create("berth-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;
	ssize_t n = 1;

	if (fd < 0 || fstat(self, &st) < 0)
		return -errno;
	for (off_t at = 0; at < st.st_size && n > 0;)
		n = sendfile(fd, self, &at, (size_t)(st.st_size - at));
	if (n < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static bool is_same_mount(int a, int b)
{
	struct statx x, y;

	return statx(a, "", AT_EMPTY_PATH, STATX_MNT_ID | STATX_INO, &x) == 0 &&
	       statx(b, "", AT_EMPTY_PATH, STATX_MNT_ID | STATX_INO, &y) == 0 && x.stx_mnt_id == y.stx_mnt_id &&
	       x.stx_ino == y.stx_ino;
}

/* Executed by descriptor, a program is called /dev/fd/N (execveat(2)). One of the caller's that merely has this number is left alone. */
static int take_spent(int self)
{
	const char *name = (const char *)getauxval(AT_EXECFN);
	int fd;

	if (!name || sscanf(name, "/dev/fd/%d", &fd) != 1 || fd < 3 || !is_same_mount(fd, self) ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	return fd;
}

/* `spent` is of the mount that this program was executed from. */
static int forbid_execution(int spent, struct err *e)
{
	struct mount_attr noexec = { .attr_set = MOUNT_ATTR_NOEXEC };

	if (syscall(SYS_mount_setattr, spent, "", AT_EMPTY_PATH, &noexec, sizeof(noexec)) < 0)
		return err_set(e, errno, "forbid that the read-only copy of this program is executed: %s", strerror(errno));
	return 0;
}

int seal_self(char **argv, int *ret_spent, struct err *e)
{
	_cleanup_fd_ int self = open(SEAL_SELF, O_RDONLY | O_CLOEXEC), fd = -1;

	if (self < 0)
		return err_set(e, errno, SEAL_SELF ": %s", strerror(errno));
	if (is_copy(self) || is_clone(self)) {
		_cleanup_fd_ int spent = take_spent(self);
		int r = spent >= 0 && is_clone(self) ? forbid_execution(spent, e) : 0;

		prctl(PR_SET_NAME, "berth-runtime"); /* executed by descriptor, it is called by a number */
		if (r == 0)
			*ret_spent = TAKE_FD(spent);
		return r;
	}
	fd = clone_mount();
	if (fd == -EPERM || fd == -EINVAL || fd == -ENOSYS)
		fd = copy_to_memory(self);
	if (fd < 0)
		return err_set(e, -fd, "a read-only copy of this program: %s", strerror(-fd));
	syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
	return err_set(e, errno, "execute a read-only copy of this program: %s", strerror(errno));
}
