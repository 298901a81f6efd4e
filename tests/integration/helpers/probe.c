/* probe: what the tests ask from inside a container and no shell can answer. Static, built by images.py, /bin/probe in
 * the test image. Each verb prints one line, or exits with a status, that its test knows. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void print_errno(int r) { printf("%s\n", r >= 0 ? "OK" : strerrorname_np(errno)); }

/* Open descriptors, without opening one to find out. */
static int verb_fds(char **a)
{
	(void)a;
	for (int fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d ", fd);
	puts("");
	return 0;
}

static int verb_socket(char **a)
{
	print_errno(socket(atoi(a[0]), atoi(a[1]), 0));
	return 0;
}

static int verb_key(char **a)
{
	long r = strcmp(a[0], "add") == 0 ? syscall(SYS_add_key, "user", a[1], "secret", 6, KEY_SPEC_SESSION_KEYRING)
					  : syscall(SYS_request_key, "user", a[1], NULL, 0);
	print_errno((int)(r < 0 ? -1 : 0));
	return 0;
}

/* Takes MiB of memory, one at a time, so that it is the limit that says no and not the kernel's guess at what is too much. */
static int verb_grow(char **a)
{
	for (long n = strtol(a[0], NULL, 10); n > 0; n--) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return 3;
		memset(p, 1, 1 << 20);
	}
	puts("grown");
	return 0;
}

/* A grandchild ends after its parent has: whoever is PID 1 must reap it. Prints the number of zombies a while later. */
static int verb_orphan(char **a)
{
	int zombies = 0;

	(void)a;
	if (fork() == 0) {
		if (fork() == 0) {
			usleep(50000);
			_exit(0);
		}
		_exit(0);
	}
	usleep(100000); /* our own child stays a zombie of ours: only processes whose parent is 1 count */
	for (int tries = 0; tries < 20; tries++) {
		DIR *d = opendir("/proc");
		struct dirent *e;
		zombies = 0;
		while (d && (e = readdir(d))) {
			char path[300], text[512] = "", *end;
			snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
			FILE *f = fopen(path, "r");
			if (!f)
				continue;
			if (fgets(text, sizeof text, f) && (end = strrchr(text, ')')) && end[2] == 'Z' && atoi(end + 4) == 1)
				zombies++;
			fclose(f);
		}
		if (d)
			closedir(d);
		if (zombies == 0)
			break;
		usleep(100000);
	}
	printf("%d\n", zombies);
	return 0;
}

static int verb_open(char **a)
{
	print_errno(open(a[1], strchr(a[0], 'w') ? O_WRONLY : O_RDONLY));
	return 0;
}

/* Every file below a directory that can be opened for writing. Nothing is written. */
static void list_writable(const char *dir, int depth)
{
	DIR *d = depth > 12 ? NULL : opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[4096];
		struct stat st;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			list_writable(path, depth + 1);
		} else if (S_ISREG(st.st_mode)) {
			int fd = open(path, O_WRONLY | O_NONBLOCK);
			if (fd >= 0) {
				puts(path);
				close(fd);
			}
		}
	}
	if (d)
		closedir(d);
}

static int verb_writable(char **a)
{
	list_writable(a[0], 0);
	return 0;
}

/* For some seconds: takes hold of every binary that is executed beside it and lies on another file system than the image's own,
 * hence is the engine's, and tries to open it for writing, again and again: while it is executed the answer is ETXTBSY. A change of mode
 * to what it is already tells of a mount that can be written to whatever is executed. */
static int verb_grab_exe(char **a)
{
	time_t end = time(NULL) + atoi(a[0]);
	int held[64], n = 0;
	struct stat root, st, other;
	char path[300];

	if (stat("/bin/busybox", &root) < 0)
		return 2;
	while (time(NULL) < end) {
		DIR *d = opendir("/proc");
		struct dirent *e;
		while (d && n < 64 && (e = readdir(d))) {
			if (e->d_name[0] < '0' || e->d_name[0] > '9')
				continue;
			snprintf(path, sizeof path, "/proc/%s/exe", e->d_name);
			int fd = open(path, O_PATH), k = 0;
			if (fd < 0)
				continue;
			if (fstat(fd, &st) < 0 || st.st_dev == root.st_dev)
				k = n + 1;
			while (k < n && !(fstat(held[k], &other) == 0 && other.st_dev == st.st_dev && other.st_ino == st.st_ino))
				k++;
			if (k == n)
				held[n++] = fd;
			else
				close(fd);
		}
		if (d)
			closedir(d);
		for (int k = 0; k < n; k++) {
			snprintf(path, sizeof path, "/proc/self/fd/%d", held[k]);
			if (open(path, O_WRONLY) >= 0 || (fstat(held[k], &st) == 0 && chmod(path, st.st_mode & 07777) == 0)) {
				puts("WRITABLE");
				return 1;
			}
		}
	}
	printf("seen %d\n", n);
	return 0;
}

static int verb_rlimit(char **a)
{
	struct rlimit l;
	if (getrlimit(atoi(a[0]), &l) < 0)
		return 2;
	printf("%llu %llu\n", (unsigned long long)l.rlim_cur, (unsigned long long)l.rlim_max);
	return 0;
}

#ifdef __x86_64__
/* Where the kernel has no calls of the i386 ABI, int 0x80 is a fault. */
static void on_fault(int sig)
{
	(void)sig;
	puts("NO-ABI");
	fflush(stdout);
	_exit(0);
}

/* A system call by number, and up to three arguments, through the door of an ABI: 64, x32 or 32. */
static int verb_call(char **a)
{
	unsigned long nr = strtoul(a[1], NULL, 0), x[3];
	long r;

	for (int i = 0; i < 3; i++)
		x[i] = strtoul(a[2 + i], NULL, 0);
	if (strcmp(a[0], "32") == 0) {
		signal(SIGSEGV, on_fault);
		__asm__ volatile("int $0x80"
				 : "=a"(r)
				 : "a"(nr), "b"(x[0]), "c"(x[1]), "d"(x[2])
				 : "r8", "r9", "r10", "r11", "memory");
	} else {
		nr |= strcmp(a[0], "x32") == 0 ? 0x40000000 : 0;
		__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(x[0]), "S"(x[1]), "d"(x[2]) : "rcx", "r11", "memory");
	}
	r = strcmp(a[0], "32") == 0 ? (int)r : r;
	errno = (int)-r;
	print_errno(r < 0 && r > -4096 ? -1 : 0);
	return 0;
}
#endif

/* Dies by signal N with its default action, which PID 1 would not. */
static int verb_die(char **a)
{
	signal(atoi(a[0]), SIG_DFL);
	kill(getpid(), atoi(a[0]));
	return 0;
}

/* fallocate(2) of a file or a block device: MODE (a number) OFFSET LENGTH. */
static int verb_fallocate(char **a)
{
	int fd = open(a[0], O_RDWR | O_CLOEXEC);

	print_errno(fd < 0 ? -1 : fallocate(fd, atoi(a[1]), atoll(a[2]), atoll(a[3])));
	return 0;
}

/* Gives a file or directory to project 0. */
static int verb_project(char **a)
{
	int fd = open(a[0], O_RDONLY | O_CLOEXEC);
	struct fsxattr x;

	if (fd < 0 || ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0) {
		print_errno(-1);
		return 1;
	}
	x.fsx_projid = 0;
	print_errno(ioctl(fd, FS_IOC_FSSETXATTR, &x));
	return 0;
}

/* Has a directory hand its project on no more. */
static int verb_disinherit(char **a)
{
	int fd = open(a[0], O_RDONLY | O_CLOEXEC), flags;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) {
		print_errno(-1);
		return 1;
	}
	flags &= ~FS_PROJINHERIT_FL;
	print_errno(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	return 0;
}

/* An echo by a datagram socket of ICMP, for which no capability is needed (icmp(7)), from an IPv4 or IPv6 address. */
static int verb_ping(char **a)
{
	struct sockaddr_in four = { .sin_family = AF_INET };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	const int is_four = inet_pton(AF_INET, a[0], &four.sin_addr) == 1;
	const struct timeval patience = { .tv_sec = 5 };
	const unsigned char ask[8] = { is_four ? 8 : 128 };
	unsigned char answer[64];
	int fd;

	if (!is_four && inet_pton(AF_INET6, a[0], &six.sin6_addr) != 1)
		return 99;
	fd = socket(is_four ? AF_INET : AF_INET6, SOCK_DGRAM, is_four ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, is_four ? (void *)&four : (void *)&six, is_four ? sizeof(four) : sizeof(six)) < 0 ||
	    send(fd, ask, sizeof(ask), 0) < 0 || recv(fd, answer, sizeof(answer), 0) < (ssize_t)sizeof(ask)) {
		print_errno(-1);
		return 1;
	}
	puts(answer[0] == (is_four ? 0 : 129) ? "OK" : "another answer");
	return 0;
}

static const struct verb {
	const char *name;
	int args;
	int (*run)(char **a);
} verbs[] = {
	{ "fds", 0, verb_fds },
	{ "socket", 2, verb_socket },
	{ "key", 2, verb_key },
	{ "grow", 1, verb_grow },
	{ "orphan", 0, verb_orphan },
	{ "open", 2, verb_open },
	{ "writable", 1, verb_writable },
	{ "grab-exe", 1, verb_grab_exe },
	{ "rlimit", 1, verb_rlimit },
	{ "die", 1, verb_die },
	{ "fallocate", 4, verb_fallocate },
	{ "project", 1, verb_project },
	{ "disinherit", 1, verb_disinherit },
	{ "ping", 1, verb_ping },
#ifdef __x86_64__
	{ "call", 5, verb_call },
#endif
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verbs[i].name, argv[1]) == 0 && argc - 2 == verbs[i].args)
			return verbs[i].run(argv + 2);
	fprintf(stderr, "probe: no such verb, or wrong arguments\n");
	return 99;
}
