/* cgroup_kthread: kernel threads in a cgroup of v2. KVM makes one for each VM (kvm-nx-lpage-recovery), which goes into the cgroup of
 * who made the VM. No kernel thread is ever frozen, and a cgroup that has one is never told to be frozen, though all else in it
 * stands still (until Linux 6.13; kernel/cgroup/freezer.c). So it has to go elsewhere: to the hierarchy's root, where all others are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup_impl.h"

#define PF_KTHREAD 0x00200000ul /* include/linux/sched.h; the ninth field of proc(5)'s stat */

bool cgroup_stat_is_kthread(const char *stat)
{
	const char *at = strrchr(stat, ')'); /* a name may hold anything */
	unsigned long flags;

	return at && sscanf(at, ") %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 && flags & PF_KTHREAD;
}

static bool is_kthread(pid_t pid)
{
	_cleanup_free_ char *stat = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	return file_read(AT_FDCWD, path, 4096, &stat, NULL) == 0 && cgroup_stat_is_kthread(stat);
}

/* The topmost directory that we can see: only the root has no cgroup.events, and what a namespace shows as the root has. */
static int open_procs_of_root(int dirfd)
{
	_cleanup_fd_ int at = openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	while (at >= 0 && faccessat(at, "cgroup.events", F_OK, 0) == 0) {
		int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0 || faccessat(up, "cgroup.procs", F_OK, 0) < 0) {
			fd_close(up);
			break;
		}
		fd_close(at);
		at = up;
	}
	return at < 0 ? -errno : openat(at, "cgroup.procs", O_WRONLY | O_CLOEXEC);
}

int cgroup_put_out_kthreads(const struct cgroup_place *p)
{
	_cleanup_fd_ int root = -1;
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	int r = cgroup_place_pids(p, &pids, &n), moved = 0;
	char text[16];

	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (!is_kthread(pids[i]))
			continue;
		if (root < 0)
			root = open_procs_of_root(p->fd);
		if (root < 0)
			return -EACCES;
		snprintf(text, sizeof(text), "%d", pids[i]);
		if (write(root, text, strlen(text)) > 0)
			moved++;
		else if (errno != ESRCH) /* its VM has just ended */
			return -errno;
	}
	return r < 0 ? r : moved;
}
