/* processes: what `top` shows of a container in this guest, as `ps -ef` does, by a child of the agent's: an image need not have a ps. Read
 * from /proc, proc_pid_stat(5); what ends meanwhile is passed over. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "container.h"
#include "guest.h"

#define COMMAND_MAX 4096u

struct process {
	char comm[64];
	int ppid;
	unsigned tty;                          /* as the kernel numbers it; 0: none */
	unsigned long long ticks, start_ticks; /* of the CPU; since the boot */
};

/* The command's name is in parentheses and may hold some itself: the last one ends it. */
static int parse_stat(const char *text, struct process *ret)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long long user, system;
	struct process p = { .ppid = 0 };

	if (!open || !close || close < open)
		return -EPROTO;
	snprintf(p.comm, sizeof(p.comm), "%.*s", (int)(close - open - 1), open + 1);
	if (sscanf(close + 1, " %*c %d %*d %*d %u %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu", &p.ppid,
		   &p.tty, &user, &system, &p.start_ticks) != 5)
		return -EPROTO;
	p.ticks = user + system;
	*ret = p;
	return 0;
}

static const char *tty_name(unsigned tty, char buf[24])
{
	unsigned number = minor(tty); /* the kernel's old form is dev_t's lower half, which glibc reads the same */

	if (!tty)
		return "?";
	if (major(tty) >= 136 && major(tty) <= 143)
		snprintf(buf, 24, "pts/%u", (major(tty) - 136) * 256 + number);
	else
		snprintf(buf, 24, "%u,%u", major(tty), number);
	return buf;
}

/* "10:42" today, "Nov22" before that, the year before this one: as ps(1). */
static void start_time(time_t start, time_t now, char buf[16])
{
	struct tm s, n;

	localtime_r(&start, &s);
	localtime_r(&now, &n);
	strftime(buf, 16, s.tm_year != n.tm_year ? "%Y" : s.tm_yday != n.tm_yday ? "%b%d" : "%H:%M", &s);
}

/* Its arguments, or its name in brackets; bytes that could drive a terminal become '?'. */
static void read_command(int dirfd, const struct process *p, char ret[COMMAND_MAX])
{
	_cleanup_fd_ int fd = openat(dirfd, "cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : fd_read_full(fd, ret, COMMAND_MAX - 1);

	if (n <= 0) {
		snprintf(ret, COMMAND_MAX, "[%s]", p->comm);
		n = (ssize_t)strlen(ret);
	}
	while (n > 1 && !ret[n - 1])
		n--;
	for (ssize_t i = 0; i < n; i++)
		if (!ret[i])
			ret[i] = ' ';
		else if ((unsigned char)ret[i] < 0x20 || ret[i] == 0x7f)
			ret[i] = '?';
	ret[n] = '\0';
}

static int print_one(int procfd, pid_t pid, time_t now, uint64_t up_ms, FILE *f)
{
	_cleanup_free_ char *text = NULL;
	char name[16], tty[24], began[16], user[16], command[COMMAND_MAX];
	unsigned long hz = (unsigned long)sysconf(_SC_CLK_TCK);
	struct process p;
	struct stat st;

	snprintf(name, sizeof(name), "%d", (int)pid);
	_cleanup_fd_ int dir = openat(procfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) < 0 || file_read(dir, "stat", 4096, &text, NULL) < 0)
		return 0;
	int r = parse_stat(text, &p);
	if (r < 0)
		return r;
	uint64_t start_ms = p.start_ticks * 1000 / hz, lived_ms = up_ms > start_ms ? up_ms - start_ms : 0;
	unsigned long long s = p.ticks / hz;
	start_time(now - (time_t)(lived_ms / 1000), now, began);
	snprintf(user, sizeof(user), st.st_uid ? "%u" : "root", st.st_uid);
	read_command(dir, &p, command);
	fprintf(f, "%-8s %7d %7d %2llu %5s %-8s %02llu:%02llu:%02llu %s\n", user, (int)pid, p.ppid,
		MIN(lived_ms ? p.ticks * 100000 / hz / lived_ms : 0, 99ull), began, tty_name(p.tty, tty), s / 3600, s / 60 % 60,
		s % 60, command);
	return 0;
}

int processes_print(int procfd, const pid_t *pids, size_t n, FILE *f)
{
	struct timespec up;
	int r = 0;

	clock_gettime(CLOCK_BOOTTIME, &up);
	fputs("UID          PID    PPID  C STIME TTY          TIME CMD\n", f);
	for (size_t i = 0; i < n && r == 0; i++)
		r = print_one(procfd, pids[i], time(NULL), (uint64_t)up.tv_sec * 1000 + (uint64_t)up.tv_nsec / 1000000, f);
	return r;
}

_noreturn_ static void child_main(const pid_t *pids, size_t n, int out)
{
	FILE *f = fdopen(out, "w");
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC),
	    r = f && proc >= 0 ? processes_print(proc, pids, n, f) : -errno;

	_exit(r < 0 || fflush(f) != 0);
}

int guest_processes(struct container *c, const int stdio[3], pid_t *ret_pid, struct err *e)
{
	pid_t *pids = NULL, pid;
	size_t n = 0;
	int r = cgroup_pids(container_cgroup(c), &pids, &n);

	if (r < 0)
		return err_set(e, -r, "the container's processes: %s", strerror(-r));
	pid = fork();
	if (pid == 0)
		child_main(pids, n, stdio[1]);
	free(pids);
	if (pid < 0)
		return err_set(e, errno, "fork: %s", strerror(errno));
	*ret_pid = pid;
	return 0;
}
