/* speed_work: what the processor and the kernel are asked to do. */
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe_speed.h"

/* ---- cpu: a unit is STEPS dependent steps through a table that the second-level cache holds: integer work, loads and stores. */
#define TABLE_WORDS 32768u /* 128 KiB */
#define STEPS       1024u

int speed_cpu(const struct speed *s, uint64_t n, uint64_t *ret_ns, char why[SPEED_REASON_BYTES])
{
	static uint32_t table[TABLE_WORDS];
	static volatile uint32_t sink;
	uint32_t x = 12345;
	uint64_t begin = speed_now_ns();

	(void)s;
	(void)why;
	for (uint64_t i = 0; i < n; i++)
		for (unsigned k = 0; k < STEPS; k++) {
			x = x * 1664525u + 1013904223u + table[x >> 17];
			table[x >> 17] = x ^ (x >> 7);
		}
	sink = x;
	(void)sink;
	*ret_ns = speed_now_ns() - begin;
	return 0;
}

/* ---- syscall: one that does next to nothing, by the instruction itself. */
int speed_syscall(const struct speed *s, uint64_t n, uint64_t *ret_ns, char why[SPEED_REASON_BYTES])
{
	uint64_t begin = speed_now_ns();

	(void)s;
	for (uint64_t i = 0; i < n; i++)
		if (syscall(SYS_getppid) < 0)
			return speed_fails(why, "getppid", errno);
	*ret_ns = speed_now_ns() - begin;
	return 0;
}

/* ---- context_switch: a byte to another process and back, on one CPU where that is allowed. */

/* Where both are on one CPU each byte is a switch; a cpuset or a filter that forbids it makes them two. */
static void stay_on_one_cpu(void)
{
	cpu_set_t all, one;
	int cpu = sched_getcpu();

	CPU_ZERO(&one);
	if (cpu < 0 || sched_getaffinity(0, sizeof(all), &all) < 0 || !CPU_ISSET((unsigned)cpu, &all))
		return;
	CPU_SET((unsigned)cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

_noreturn_ static void answer(int in, int out)
{
	char c;

	while (read(in, &c, 1) == 1 && write(out, &c, 1) == 1)
		;
	_exit(0);
}

static int exchange(int to, int from, uint64_t n, uint64_t *ret_ns)
{
	uint64_t begin = speed_now_ns();
	char c = 0;

	for (uint64_t i = 0; i < n; i++) {
		ssize_t r = write(to, &c, 1) == 1 ? read(from, &c, 1) : -1;
		if (r != 1)
			return r < 0 ? -errno : -EPIPE;
	}
	*ret_ns = speed_now_ns() - begin;
	return 0;
}

/* Bound to a CPU, in a process of its own: this one stays as it was. */
static int exchange_bound(uint64_t n, uint64_t *ret_ns)
{
	int there[2] = { -1, -1 }, back[2] = { -1, -1 }, r = -EIO;
	pid_t pid = -1;

	stay_on_one_cpu();
	if (pipe2(there, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0)
		r = -errno;
	else if ((pid = fork()) == 0) {
		fd_close(there[1]);
		fd_close(back[0]);
		answer(there[0], back[1]);
	} else if (pid < 0)
		r = -errno;
	fd_close(there[0]);
	fd_close(back[1]);
	if (pid > 0)
		r = exchange(there[1], back[0], n, ret_ns);
	fd_close(there[1]);
	fd_close(back[0]);
	if (pid > 0 && waitpid(pid, NULL, 0) < 0 && r >= 0)
		r = -errno;
	return r;
}

int speed_context_switch(const struct speed *s, uint64_t n, uint64_t *ret_ns, char why[SPEED_REASON_BYTES])
{
	struct {
		int r;
		uint64_t ns;
	} *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int r = 0;
	pid_t pid;

	(void)s;
	if (shared == MAP_FAILED)
		return speed_fails(why, "mmap", errno);
	pid = fork();
	if (pid == 0) {
		shared->r = exchange_bound(n, &shared->ns);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) < 0)
		r = speed_fails(why, "fork", errno);
	else if (shared->r < 0)
		r = speed_fails(why, "pipe", -shared->r);
	else
		*ret_ns = shared->ns;
	munmap(shared, sizeof(*shared));
	return r;
}

/* ---- page_fault: the first touch of pages, at most ROUND_PAGES at a time. */
#define PAGE        4096u
#define ROUND_PAGES 2048u

int speed_page_fault(const struct speed *s, uint64_t n, uint64_t *ret_ns, char why[SPEED_REASON_BYTES])
{
	uint64_t total = 0;

	(void)s;
	for (uint64_t left = n, k; left > 0; left -= k) {
		uint64_t begin;
		char *p;

		k = MIN(left, ROUND_PAGES);
		p = mmap(NULL, k * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return speed_fails(why, "mmap", errno);
		(void)madvise(p, k * PAGE, MADV_NOHUGEPAGE); /* a kernel without huge pages says EINVAL, and is as wanted */
		begin = speed_now_ns();
		for (uint64_t i = 0; i < k; i++)
			*(volatile char *)(p + i * PAGE) = 1;
		total += speed_now_ns() - begin;
		munmap(p, k * PAGE);
	}
	*ret_ns = total;
	return 0;
}

/* ---- process: fork, exec of this very program, wait. */
int speed_process(const struct speed *s, uint64_t n, uint64_t *ret_ns, char why[SPEED_REASON_BYTES])
{
	char self[] = "/proc/self/exe", word[] = "nothing", *argv[] = { self, word, NULL }, *env[] = { NULL };
	uint64_t begin = speed_now_ns();

	(void)s;
	for (uint64_t i = 0; i < n; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			execve(self, argv, env);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0)
			return speed_fails(why, "fork", errno);
		if (status != 0)
			return speed_fails(why, self, ENOEXEC);
	}
	*ret_ns = speed_now_ns() - begin;
	return 0;
}
