/* probe: a static program that the tests of container/ run inside: it tries one thing and prints what came of it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static void answer(const char *what, long r) { printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "ok"); }

/* Every open descriptor but this program's own. */
static int print_fds(void)
{
	for (int fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d ", fd);
	printf("\n");
	return 0;
}

static int open_for_writing(char **paths)
{
	for (; *paths; paths++)
		answer(*paths, open(*paths, O_WRONLY | O_CLOEXEC | O_NONBLOCK));
	return 0;
}

static int key(const char *verb, const char *name)
{
	if (strcmp(verb, "key-add") == 0)
		answer(verb, syscall(SYS_add_key, "user", name, "x", 1, KEY_SPEC_SESSION_KEYRING));
	else
		answer(verb, syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", name, 0));
	return 0;
}

/* As PID 1 of --init: "berth-init -- CMD...". */
static int init(char **argv)
{
	struct statvfs fs;

	printf("init %d:", (int)getpid());
	for (; *argv; argv++)
		printf(" %s", *argv);
	printf("\n");
	answer("exe", open("/proc/self/exe", O_RDWR | O_CLOEXEC));
	/* ETXTBSY only holds as long as it runs; the mount stays read-only. */
	printf("mount: %s\n", statvfs("/proc/self/exe", &fs) == 0 && (fs.f_flag & ST_RDONLY) ? "read-only" : "writable");
	return 0;
}

int main(int argc, char **argv)
{
	if (strcmp(argv[0], "berth-init") == 0)
		return init(argv + 1);
	if (argc >= 2 && strcmp(argv[1], "fds") == 0)
		return print_fds();
	if (argc >= 3 && strcmp(argv[1], "open") == 0)
		return open_for_writing(argv + 2);
	if (argc == 3 && strncmp(argv[1], "key-", 4) == 0)
		return key(argv[1], argv[2]);
	fprintf(stderr, "probe: unknown question\n");
	return 2;
}
