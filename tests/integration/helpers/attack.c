/* attack: what a hostile process in a container tries against the terminal, the processes that join it, cgroups, and the
 * host's means.
 * Static, built by images.py, /bin/attack in the test image. Each verb prints lines of NAME=WORD or NUMBER ERRNO. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <linux/tiocl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *word(long r) { return r >= 0 ? "OK" : strerrorname_np(errno); }

/* ---- the terminal ---- */

/* The kernel reads a request's low 32 bits: a filter that compares 64 lets the second form pass. */
static int verb_type(char **a)
{
	char byte = 'x', paste = TIOCL_PASTESEL;
	int fd = open(a[0], O_RDWR | O_NOCTTY);

	if (fd < 0) {
		printf("open=%s\n", word(fd));
		return 0;
	}
	printf("sti=%s\n", word(syscall(SYS_ioctl, fd, (unsigned long)TIOCSTI, &byte)));
	printf("sti64=%s\n", word(syscall(SYS_ioctl, fd, TIOCSTI | 1UL << 32, &byte)));
	printf("linux=%s\n", word(syscall(SYS_ioctl, fd, (unsigned long)TIOCLINUX, &paste)));
	printf("linux64=%s\n", word(syscall(SYS_ioctl, fd, TIOCLINUX | 1UL << 32, &paste)));
	return 0;
}

/* ---- processes that join ---- */

/* The process's name, or "" once it has ended. */
static void name_of(const char *pid, char *name, size_t size)
{
	char path[300];
	FILE *f;

	name[0] = 0;
	snprintf(path, sizeof path, "/proc/%s/comm", pid);
	f = fopen(path, "r");
	if (f && fgets(name, (int)size, f))
		name[strcspn(name, "\n")] = 0;
	if (f)
		fclose(f);
}

/* It has a name that is neither ours nor the one that it will have after its exec: it is the engine's on its way in. */
static int is_joiner(const char *pid, const char *program)
{
	char name[64];

	name_of(pid, name, sizeof name);
	return name[0] && strcmp(name, "attack") != 0 && strcmp(name, program) != 0;
}

struct tally {
	long seen, refused, traced, opened, other;
};

/* Its binary can be named, and is not the program's: in the middle of an exec the name is the old one for a moment still, when
 * the binary and the rights are the new ones already. */
static bool shows_binary(const char *pid, const char *program)
{
	char path[300], target[PATH_MAX], own[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof path, "/proc/%s/exe", pid);
	len = readlink(path, target, sizeof target - 1);
	if (len < 0)
		return false;
	target[len] = 0;
	snprintf(path, sizeof path, "/bin/%s", program);
	return !realpath(path, own) || strcmp(target, own) != 0;
}

static void attack_one(const char *pid, const char *program, struct tally *t)
{
	char path[300];
	pid_t n = (pid_t)atoi(pid);
	int fd, status;

	t->seen++;
	snprintf(path, sizeof path, "/proc/%s/mem", pid);
	fd = open(path, O_RDWR);
	if ((fd >= 0 || shows_binary(pid, program)) && is_joiner(pid, program))
		t->opened++;
	if (fd >= 0)
		close(fd);
	if (ptrace(PTRACE_SEIZE, n, NULL, NULL) < 0) {
		t->refused += errno == EPERM;
		t->other += errno != EPERM && errno != ESRCH;
		return;
	}
	ptrace(PTRACE_INTERRUPT, n, NULL, NULL);
	/* It stands still now: what it is, it was when it was seized. */
	if (waitpid(n, &status, __WALL) == n && WIFSTOPPED(status) && is_joiner(pid, program))
		t->traced++;
	ptrace(PTRACE_DETACH, n, NULL, NULL);
}

static volatile sig_atomic_t is_enough;

static void on_enough(int sig) { is_enough = sig; }

/* Until SIGTERM, or for so many seconds: seizes whatever joins before it has become PROGRAM. */
static int verb_trace(char **a)
{
	time_t end = time(NULL) + atoi(a[1]);
	struct tally t = { 0 };
	DIR *d = opendir("/proc");
	struct dirent *e;

	signal(SIGTERM, on_enough);
	puts("ready");
	fflush(stdout);
	while (d && time(NULL) < end && !is_enough) {
		rewinddir(d);
		while ((e = readdir(d)))
			if (isdigit((unsigned char)e->d_name[0]) && is_joiner(e->d_name, a[0]))
				attack_one(e->d_name, a[0], &t);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	printf("seen=%ld\nrefused=%ld\ntraced=%ld\nopened=%ld\nother=%ld\n", t.seen, t.refused, t.traced, t.opened, t.other);
	return 0;
}

/* ---- cgroup v1 ---- */

static void in_child(const char *name, int flags)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(flags) == 0)
			printf("%s=OK,%s\n", name, word(mount("c", "/mnt", "cgroup", 0, "none,name=berth-evil")));
		else
			printf("%s=%s\n", name, word(-1));
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

/* The ways of CVE-2022-0492 to a hierarchy of one's own. clone3 is to seem absent, so that libc falls back to clone. */
static int verb_hierarchy(char **a)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	long r;

	(void)a;
	setvbuf(stdout, NULL, _IOLBF, 0);
	in_child("cgroup", CLONE_NEWCGROUP);
	in_child("user", CLONE_NEWUSER | CLONE_NEWCGROUP | CLONE_NEWNS);
	printf("mount=%s\n", word(mount("c", "/mnt", "cgroup", 0, "none,name=berth-evil")));
	printf("fsopen=%s\n", word(syscall(SYS_fsopen, "cgroup", 0)));
	r = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	if (r == 0)
		_exit(0);
	printf("clone=%s\n", word(r));
	r = syscall(SYS_clone3, &args, sizeof args);
	if (r == 0)
		_exit(0);
	printf("clone3=%s\n", word(r));
	return 0;
}

/* ---- floods: each ends at its limit, or at N ---- */

/* Every process forks until it may not, then waits to be killed, so that the flood is of processes and not of cycles. */
static int verb_bomb(char **a)
{
	(void)a;
	for (;;)
		if (fork() < 0) {
			pause();
			return 0;
		}
}

/* With the soft limit raised as far as it goes. */
static int verb_opens(char **a)
{
	long n, most = strtol(a[0], NULL, 10);
	struct rlimit l;

	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	for (n = 0; n < most; n++)
		if (open("/", O_PATH) < 0)
			break;
	printf("%ld %s\n", n, n < most ? strerrorname_np(errno) : "OK");
	return 0;
}

static int verb_mounts(char **a)
{
	long n, most = strtol(a[0], NULL, 10);

	for (n = 0; n < most; n++)
		if (mount("/tmp", "/mnt", NULL, MS_BIND, NULL) < 0)
			break;
	printf("%ld %s\n", n, n < most ? strerrorname_np(errno) : "OK");
	return 0;
}

/* Fills a new file below a directory, up to N MiB; prints the MiB and removes the file. */
static int verb_fill(char **a)
{
	static char chunk[1 << 20];
	char path[300];
	long n, most = strtol(a[1], NULL, 10);
	int fd, no = 0;

	snprintf(path, sizeof path, "%s/fill", a[0]);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0) {
		printf("0 %s\n", word(fd));
		return 0;
	}
	for (n = 0; n < most && !no; n++) {
		ssize_t r = write(fd, chunk, sizeof chunk);
		no = r < 0 ? errno : r < (ssize_t)sizeof chunk ? ENOSPC : 0;
	}
	printf("%ld %s\n", n, no ? strerrorname_np(no) : "OK");
	unlink(path);
	return 0;
}

static const struct verb {
	const char *name;
	int args;
	int (*run)(char **a);
} verbs[] = {
	{ "type", 1, verb_type },   { "trace", 2, verb_trace },   { "hierarchy", 0, verb_hierarchy }, { "bomb", 0, verb_bomb },
	{ "opens", 1, verb_opens }, { "mounts", 1, verb_mounts }, { "fill", 2, verb_fill },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verbs[i].name, argv[1]) == 0 && argc - 2 == verbs[i].args)
			return verbs[i].run(argv + 2);
	fprintf(stderr, "attack: no such verb, or wrong arguments\n");
	return 99;
}
