/* Other processes, by pidfd where it matters: a pid alone may name somebody else by the time it is used. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "spawn.h"
#include "str.h"

int pidfd_open_(pid_t pid)
{
	long fd = syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself; Linux 5.3 */

	return fd < 0 ? -errno : (int)fd;
}

int pidfd_kill(int pidfd, int sig) { return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 ? -errno : 0; }

int pid_start_time(pid_t pid, uint64_t *ret_ticks)
{
	char path[32], stat[1024];

	if (pid <= 0)
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	ssize_t n = fd_read_full(fd, stat, sizeof(stat) - 1);
	if (n < 0)
		return (int)n;
	stat[n] = '\0';
	/* Field 2, the name, may hold spaces and parentheses; everything behind its last ')' is numbers. proc_pid_stat(5) */
	char *p = strrchr(stat, ')');
	if (!p)
		return -EIO;
	if (p[1] == ' ' && (p[2] == 'Z' || p[2] == 'X')) /* ended, merely not yet collected by its parent */
		return -ESRCH;
	for (int field = 2; field < 22; field++) {
		p = strchr(p + 1, ' ');
		if (!p)
			return -EIO;
	}
	char *end = strchr(++p, ' ');
	if (!end)
		return -EIO;
	*end = '\0';
	return str_to_u64(p, ret_ticks);
}
