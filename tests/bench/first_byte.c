/* first_byte: first_byte [-p] FD PAUSE_MS PROGRAM [ARG...]: how long a program takes from its exec to the first byte \1 that it, or a guest of
 * its, writes to descriptor FD (a pipe; 1 is standard output as well), whatever a kernel or the program itself says before; prints that in nanoseconds, and what it has in memory
 * then, PAUSE_MS later: "NS", then of each of its processes a line "process" and its mappings, a line each, "FROM TO PSS_KIB". Then the
 * program is killed, with its children. -p: it is the first process of a pid namespace, whose making counts. A small
 * program of its own, so that what is measured does not depend on who asks. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void print_memory(int pid)
{
	unsigned long from = 0, to = 0, a, b;
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	f = fopen(path, "r");
	printf("process\n");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2) {
			from = a;
			to = b;
		} else if (sscanf(line, "Pss: %lu", &a) == 1) {
			printf("%lu %lu %lu\n", from, to, a);
		}
	if (f)
		fclose(f);
}

/* The process and all below it. */
static void each(int pid, void (*deed)(int pid))
{
	char path[64];
	int child;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "r");
	while (f && fscanf(f, "%d", &child) == 1)
		each(child, deed);
	if (f)
		fclose(f);
	deed(pid);
}

static void end(int pid) { kill(pid, SIGKILL); }

int main(int argc, char **argv)
{
	int has_p = argc > 1 && strcmp(argv[1], "-p") == 0, p[2], fd, pause_ms;
	long long began, took;
	ssize_t n;
	char byte;
	pid_t pid;

	argc -= has_p;
	argv += has_p;
	fd = argc > 3 ? atoi(argv[1]) : -1;
	pause_ms = argc > 3 ? atoi(argv[2]) : 0;

	if (fd < 1 || pipe(p) < 0) {
		fprintf(stderr, "first_byte: usage: first_byte [-p] FD PAUSE_MS PROGRAM [ARG...]\n");
		return 1;
	}
	fcntl(p[0], F_SETFD, FD_CLOEXEC);
	began = now();
	pid = (pid_t)syscall(SYS_clone, (has_p ? CLONE_NEWPID : 0) | SIGCHLD, NULL, NULL, NULL, 0); /* a fork */
	if (pid == 0) {
		dup2(p[1], fd);
		if (fd != p[1])
			close(p[1]);
		execv(argv[3], argv + 3);
		_exit(127);
	}
	close(p[1]);
	do
		n = read(p[0], &byte, 1);
	while (n == 1 && byte != 1);
	if (pid < 0 || n != 1) {
		fprintf(stderr, "first_byte: %s ended without the byte 1\n", argv[3]);
		return 1;
	}
	took = now() - began;
	printf("%lld\n", took);
	usleep((useconds_t)pause_ms * 1000);
	if (pause_ms > 0)
		each(pid, print_memory);
	each(pid, end);
	waitpid(pid, NULL, 0);
	return 0;
}
