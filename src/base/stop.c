/* stop: processes that stand still by SIGSTOP, where there is no freezer for them. Nobody can refuse that signal, not even the first process of a
 * pid namespace when it comes from outside (pid_namespaces(7)); but each thread stops only when it next leaves the kernel. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "spawn.h"
#include "str.h"

#define WAIT_US  (5u * 1000 * 1000)
#define STAT_MAX 1024

/* Of /proc/PID/stat, or of a thread's; '\0': there is none any more. *ret_parent may be NULL. */
static char state_in(const char *path, pid_t *ret_parent)
{
	_cleanup_free_ char *text = NULL;
	const char *at;
	char state;
	int parent;

	if (file_read(AT_FDCWD, path, STAT_MAX, &text, NULL) < 0 || !(at = strrchr(text, ')')) || /* a name may hold anything */
	    sscanf(at, ") %c %d", &state, &parent) != 2)
		return '\0';
	if (ret_parent)
		*ret_parent = parent;
	return state;
}

bool pid_is_stopped(pid_t pid)
{
	char path[300];
	bool all = true;
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	for (struct dirent *d; dir && all && (d = readdir(dir));) {
		char state;

		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/stat", (int)pid, d->d_name);
		state = state_in(path, NULL);
		all = state == 'T' || state == 't' || state == '\0';
		n += state == 'T' || state == 't';
	}
	if (dir)
		closedir(dir);
	return all && n;
}

int pid_stop(pid_t pid, int pidfd)
{
	const uint64_t end = clock_mono_us() + WAIT_US;
	int r = pidfd_kill(pidfd, SIGSTOP);

	for (unsigned round = 0; r == 0 && !pid_is_stopped(pid); round++) {
		nanosleep(&(struct timespec){ .tv_nsec = 50000L << MIN(round, 8u) }, NULL);
		if (clock_mono_us() > end) {
			(void)pidfd_kill(pidfd, SIGCONT); /* half is worse than not at all */
			r = -ETIMEDOUT;
		} else {
			r = pidfd_kill(pidfd, 0);
		}
	}
	return r;
}

int pid_each_child(pid_t parent, int (*fn)(pid_t pid, int pidfd, void *arg), void *arg)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *at, *next;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	r = file_read(AT_FDCWD, path, 65536, &text, NULL);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	for (at = text; r >= 0; at = next) {
		pid_t pid = (pid_t)strtol(at, &next, 10), its_parent = 0;
		_cleanup_fd_ int pidfd = next == at ? -1 : pidfd_open_(pid);

		if (next == at)
			break;
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
		/* Of that number there may be another by now: whose parent it is was asked after it was opened. */
		if (pidfd >= 0 && state_in(path, &its_parent) && its_parent == parent)
			r = fn(pid, pidfd, arg);
	}
	return MIN(r, 0);
}
