/* Starting programs. The child shares the parent's memory until it executes (CLONE_VM | CLONE_VFORK), so a start costs the
 * same however large the parent is, and the exec's error comes back in plain memory.
 *
 * What the child may do is therefore narrow: system calls and writes to its own stack and to job->error; no allocation, no
 * locks, nothing that touches the parent's data. The parent's thread sleeps meanwhile; all signals are blocked, so that no
 * handler of the parent's can run in the child. */
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "spawn.h"
#include "str.h"

#define FDS_MAX    64
#define STACK_SIZE (64u << 10)

struct job {
	const struct spawn *s;
	char *const *env;
	int exec_dirfd; /* sealed: the detached clone of the program's folder; else AT_FDCWD */
	const char *exec_path;
	int exec_flags;
	pid_t parent;
	sigset_t none;
	const char *failed; /* what the child was doing when error was set */
	int error;
};

/* ---- in the child ---- */

static int child_fds(const struct spawn *s, int keepfd, int *ret_keepfd)
{
	int high[FDS_MAX], top = 2;
	bool std[3] = { false };

	for (size_t i = 0; i < s->n_fds; i++)
		top = MAX(top, s->fds[i][1]);
	/* First all of them out of the way of every target, then down to their places. */
	for (size_t i = 0; i < s->n_fds; i++) {
		high[i] = fcntl(s->fds[i][0], F_DUPFD_CLOEXEC, top + 1);
		if (high[i] < 0)
			return -errno;
	}
	int kept = -1;
	if (keepfd >= 0) {
		kept = fcntl(keepfd, F_DUPFD_CLOEXEC, top + 1);
		if (kept < 0)
			return -errno;
	}
	for (size_t i = 0; i < s->n_fds; i++) {
		if (dup2(high[i], s->fds[i][1]) < 0)
			return -errno;
		if (s->fds[i][1] < 3)
			std[s->fds[i][1]] = true;
	}
	for (int fd = 0; fd < 3; fd++) {
		if (std[fd])
			continue;
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null < 0)
			return -errno;
		if (null != fd) {
			int r = dup2(null, fd);
			close(null);
			if (r < 0)
				return -errno;
		} else if (fcntl(fd, F_SETFD, 0) < 0) {
			return -errno;
		}
	}
	/* Close the gaps between the targets; above the last, close-on-exec spares the fd that is executed from. */
	for (int fd = 3; fd <= top;) {
		int next = top + 1;
		for (size_t i = 0; i < s->n_fds; i++)
			if (s->fds[i][1] >= fd)
				next = MIN(next, s->fds[i][1]);
		if (next > fd && syscall(SYS_close_range, fd, next - 1, 0) < 0)
			return -errno;
		fd = next + 1;
	}
	enum { CLOSE_ON_EXEC = 1 << 2 }; /* CLOSE_RANGE_CLOEXEC, Linux 5.11 */
	if (syscall(SYS_close_range, top + 1, ~0u, CLOSE_ON_EXEC) < 0)
		return -errno;
	*ret_keepfd = kept;
	return 0;
}

static int child_setup(struct job *j, int *ret_execfd)
{
	const struct spawn *s = j->s;

	j->failed = "set up signals";
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL); /* fails for KILL, STOP and libc's own two, which have no other disposition */
	j->failed = "start a session";
	if (s->new_session && setsid() < 0)
		return -errno;
	j->failed = "tie it to its parent";
	if (s->die_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	if (s->die_with_parent && getppid() != j->parent)
		return -ESRCH;
	j->failed = "change directory";
	if (s->cwd_fd > 0 && fchdir(s->cwd_fd) < 0)
		return -errno;
	j->failed = "set up descriptors";
	int r = child_fds(s, j->exec_dirfd, ret_execfd);
	if (r < 0)
		return r;
	j->failed = "set up signals";
	return sigprocmask(SIG_SETMASK, &j->none, NULL) < 0 ? -errno : 0;
}

/* Its own stack is unknown to AddressSanitizer. */
__attribute__((no_sanitize("address", "undefined"))) static int child_main(void *arg)
{
	struct job *j = arg;
	int execfd = -1;
	int r = child_setup(j, &execfd);

	if (r == 0) {
		j->failed = NULL;
		syscall(SYS_execveat, j->exec_dirfd >= 0 ? execfd : AT_FDCWD, j->exec_path, j->s->argv, j->env, j->exec_flags);
		r = -errno;
	}
	j->error = -r;
	_exit(127);
}

/* ---- in the parent ---- */

/* A detached, read-only clone of the mount that holds `path`, to execute from: /proc/PID/exe then leads to a mount on which
 * nothing can be opened for writing, not even by root in a container that shares the file (CVE-2019-5736). The clone is of
 * the program's folder, so that the process is called by its name; of the file itself where something is mounted on it. */
static int seal(const char *path, struct job *j, struct err *e)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV };
	struct stat plain, cloned;
	const char *slash = strrchr(path, '/');

	_cleanup_free_ char *dir = strndup(path, (size_t)(slash - path) + 1);
	if (!dir)
		return err_set(e, ENOMEM, "start %s: out of memory", path);
	if (stat(path, &plain) < 0)
		return err_set(e, errno, "start %s: %s", path, strerror(errno));
	_cleanup_fd_ int fd = (int)syscall(SYS_open_tree, AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	j->exec_path = slash + 1;
	j->exec_flags = 0;
	if (fd >= 0 && (fstatat(fd, slash + 1, &cloned, AT_SYMLINK_NOFOLLOW) < 0 || cloned.st_dev != plain.st_dev ||
			cloned.st_ino != plain.st_ino)) {
		fd_close(fd);
		fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		j->exec_path = "";
		j->exec_flags = AT_EMPTY_PATH;
	}
	if (fd < 0)
		return err_set(e, errno, "start %s: clone its mount: %s", path, strerror(errno));
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &ro, sizeof(ro)) < 0)
		return err_set(e, errno, "start %s: make its mount read-only: %s", path, strerror(errno));
	j->exec_dirfd = TAKE_FD(fd);
	return 0;
}

int spawn_start(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	struct job j = { .s = s, .env = s->env ? s->env : environ, .exec_dirfd = -1, .exec_path = s->path, .parent = getpid() };
	int pidfd = -1, r;
	sigset_t all, before;

	if (s->path[0] != '/')
		return err_set(e, EINVAL, "start %s: not an absolute path", s->path);
	if (s->n_fds > FDS_MAX)
		return err_set(e, EINVAL, "start %s: %zu descriptors, at most %d are supported", s->path, s->n_fds, FDS_MAX);
	if (s->sealed && (r = seal(s->path, &j, e)) < 0)
		return r;
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED) {
		fd_close(j.exec_dirfd);
		return err_set(e, ENOMEM, "start %s: no memory for a stack", s->path);
	}
	sigemptyset(&j.none);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	/* CLONE_PIDFD (Linux 5.2) puts the pidfd, close-on-exec, where CLONE_PARENT_SETTID would put the pid. */
	pid_t pid = clone(child_main, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &j, &pidfd);
	int clone_error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	munmap(stack, STACK_SIZE);
	fd_close(j.exec_dirfd);
	if (pid < 0)
		return err_set(e, clone_error, "start %s: clone: %s", s->path, strerror(clone_error));
	if (j.error) {
		int status;
		fd_close(pidfd);
		spawn_wait(pid, &status);
		if (j.failed)
			return err_set(e, j.error, "start %s: %s: %s", s->path, j.failed, strerror(j.error));
		return err_set(e, j.error, "start %s: %s", s->path, strerror(j.error));
	}
	if (ret_pid)
		*ret_pid = pid;
	if (ret_pidfd)
		*ret_pidfd = pidfd;
	else
		fd_close(pidfd);
	return 0;
}

int spawn_wait(pid_t pid, int *ret_status)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	*ret_status = status;
	return 0;
}

int status_to_exit(int wait_status) { return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status); }

char *spawn_find(const char *program)
{
	static const char *const dirs[] = {
		"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/qemu", "/usr/libexec",
	};

	if (!*program || strchr(program, '/'))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *path = str_fmt("%s/%s", dirs[i], program);
		struct stat st;
		if (path && stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0)
			return TAKE_PTR(path);
	}
	return NULL;
}
