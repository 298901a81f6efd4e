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

/* A lock in the way of one on so much of the file, or -ESRCH. */
static int lock_of(int fd, off_t len, struct flock *ret)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = len };

	if (fcntl(fd, F_GETLK, &l) < 0)
		return -errno;
	if (l.l_type == F_UNLCK || l.l_pid <= 0)
		return -ESRCH;
	*ret = l;
	return 0;
}

int pidfd_of_lock(int fd, off_t len, off_t *ret_start)
{
	struct flock l = { 0 }, again = { 0 };

	for (;;) {
		int r = lock_of(fd, len, &l);
		_cleanup_fd_ int pidfd = r < 0 ? r : pidfd_open_(l.l_pid);

		if (r < 0 || (pidfd < 0 && pidfd != -ESRCH))
			return pidfd;
		/* It held the lock before and after: so what was opened in between is that process, and no later one of its id. */
		if (pidfd < 0 || lock_of(fd, len, &again) < 0 || again.l_pid != l.l_pid || again.l_start != l.l_start)
			continue;
		if (ret_start)
			*ret_start = l.l_start;
		return TAKE_FD(pidfd);
	}
}

enum { STAT_MAX = 1024, FIELD_FLAGS = 9, FIELD_USER = 14, FIELD_SYSTEM = 15, FIELD_START = 22 };
#define PF_FORKNOEXEC 0x40 /* include/linux/sched.h: forked, and no exec since */

/* /proc/PID/stat from its third field on, the state: field 2, the name, may hold spaces and parentheses; everything behind its
 * last ')' is numbers. proc_pid_stat(5) */
static int read_stat(pid_t pid, char buf[STAT_MAX], char **ret_state)
{
	char path[32], *p;

	if (pid <= 0)
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	ssize_t n = fd_read_full(fd, buf, STAT_MAX - 1);
	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	p = strrchr(buf, ')');
	if (!p || p[1] != ' ')
		return -EIO;
	*ret_state = p + 2;
	return 0;
}

static int stat_number(char *state, int field, uint64_t *ret)
{
	char *p = state, *end;

	for (int at = 3; at < field; at++, p++) {
		p = strchr(p, ' ');
		if (!p)
			return -EIO;
	}
	end = strchr(p, ' ');
	if (!end)
		return -EIO;
	*end = '\0';
	return str_to_u64(p, ret);
}

int pid_start_time(pid_t pid, uint64_t *ret_ticks)
{
	char stat[STAT_MAX] = "", *state = stat;
	int r = read_stat(pid, stat, &state);

	if (r < 0)
		return r;
	if (*state == 'Z' || *state == 'X') /* ended, merely not yet collected by its parent */
		return -ESRCH;
	return stat_number(state, FIELD_START, ret_ticks);
}

int pid_has_execed(pid_t pid)
{
	char stat[STAT_MAX] = "", *state = stat;
	uint64_t flags = 0;
	int r = read_stat(pid, stat, &state);

	if (r == 0)
		r = stat_number(state, FIELD_FLAGS, &flags);
	return r < 0 ? r : !(flags & PF_FORKNOEXEC);
}

uint64_t pid_cpu_ms(pid_t pid)
{
	char stat[STAT_MAX] = "", *state = stat;
	const long tick = sysconf(_SC_CLK_TCK);
	uint64_t sum = 0;

	if (tick <= 0 || read_stat(pid, stat, &state) < 0)
		return 0;
	for (int field = FIELD_SYSTEM; field >= FIELD_USER; field--) { /* reading one cuts the text behind it */
		uint64_t ticks = 0;

		if (stat_number(state, field, &ticks) < 0)
			return 0;
		sum += ticks;
	}
	return sum * 1000 / (uint64_t)tick;
}

bool pid_is_at_work(pid_t pid)
{
	char stat[STAT_MAX] = "", *state = stat;

	return read_stat(pid, stat, &state) == 0 && (*state == 'R' || *state == 'D');
}

/* The text of a line of /proc/PID/status, or "". */
static const char *status_line(const char *status, const char *name)
{
	const char *p = strstr(status, name);

	return p ? p + strlen(name) : "";
}

static bool has_signal(const char *status, const char *set, int sig)
{
	return strtoull(status_line(status, set), NULL, 16) >> (sig - 1) & 1;
}

/* The last of its pids, one a namespace, is its own namespace's. */
static bool is_first_of_pids(const char *status)
{
	const char *pids = status_line(status, "\nNSpid:"), *end = pids + strcspn(pids, "\n");

	return end - pids > 2 && end[-1] == '1' && end[-2] == '\t';
}

bool pid_is_deaf_at_work(pid_t pid, int sig)
{
	_cleanup_free_ char *status = NULL;
	char path[32];
	const char *state;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (sig < 1 || sig == SIGKILL || sig == SIGSTOP || file_read(AT_FDCWD, path, 16384, &status, NULL) < 0)
		return false;
	state = status_line(status, "\nState:\t");
	if ((*state != 'R' && *state != 'D') || !is_first_of_pids(status))
		return false;
	return !has_signal(status, "\nSigCgt:", sig) && !has_signal(status, "\nSigBlk:", sig) &&
	       !has_signal(status, "\nSigIgn:", sig);
}

/* The first one maps every id to itself (user_namespaces(7)). Where the file can't be read its number tells (the kernel's PROC_USER_INIT_INO). */
bool in_user_namespace(void)
{
	_cleanup_free_ char *text = NULL;
	unsigned inside, outside, count;
	struct stat st;

	if (file_read(AT_FDCWD, "/proc/self/uid_map", 8192, &text, NULL) < 0)
		return stat("/proc/self/ns/user", &st) == 0 && st.st_ino != 0xEFFFFFFDu;
	return sscanf(text, "%u %u %u", &inside, &outside, &count) != 3 || inside != 0 || outside != 0 || count != UINT32_MAX;
}
