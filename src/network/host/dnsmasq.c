/* A dnsmasq and the directory that is its own: `pid`, written by it, and in `bridge` the devices whose end is its own. It goes to the
 * background by itself once it listens, as user nobody. Those of networks are resolver.c's, those of containers own.c's. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dnsmasq.h"
#include "impl.h"

enum { END_MS = 2000, TEXT_MAX = 65536 };

int dnsmasq_dir(const char *state_dir, const char *name, bool make, char **ret_path)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", state_dir, name);
	int r = path ? 0 : -ENOMEM, fd;

	if (r >= 0 && make)
		r = mkdir_p(AT_FDCWD, path, 0755);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (ret_path)
		*ret_path = TAKE_PTR(path);
	return fd;
}

/* Whether the process has been started with this file for its pid: then it is the one. */
static bool is_resolver(pid_t pid, const char *dir)
{
	_cleanup_free_ char *cmdline = NULL, *wanted = str_fmt("--pid-file=%s/pid", dir);
	char path[64];
	size_t len = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	if (!wanted || file_read(AT_FDCWD, path, TEXT_MAX, &cmdline, &len) < 0)
		return false;
	for (const char *p = cmdline; p < cmdline + len; p += strlen(p) + 1)
		if (streq(p, wanted))
			return true;
	return false;
}

/* One that is being ended has no command line any more, but for a moment still its sockets. */
static bool is_ending(pid_t pid)
{
	_cleanup_free_ char *cmdline = NULL;
	char path[64];
	size_t len = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	return file_read(AT_FDCWD, path, TEXT_MAX, &cmdline, &len) >= 0 && len == 0;
}

int dnsmasq_find(int dirfd, const char *dir)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int pidfd = -1;
	uint64_t pid = 0;

	if (file_read(dirfd, "pid", 32, &text, NULL) < 0)
		return -ESRCH;
	text[strcspn(text, "\n")] = '\0';
	if (str_to_u64(text, &pid) < 0 || pid == 0 || pid > INT32_MAX)
		return -ESRCH;
	pidfd = pidfd_open_((pid_t)pid);
	if (pidfd < 0)
		return -ESRCH;
	/* Asked only now: who has the pid keeps it while the pidfd is not readable. */
	if (!is_resolver((pid_t)pid, dir)) {
		if (is_ending((pid_t)pid))
			(void)poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, END_MS);
		return -ESRCH;
	}
	if (poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0) != 0)
		return -ESRCH;
	return TAKE_FD(pidfd);
}

/* A user namespace without ids of its own has root alone. */
static bool has_nobody(void)
{
	_cleanup_free_ char *map = NULL;
	const uint64_t nobody = 65534;
	char *save = NULL;

	if (!in_user_namespace() || file_read(AT_FDCWD, "/proc/self/uid_map", TEXT_MAX, &map, NULL) < 0)
		return true;
	for (char *line = strtok_r(map, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long first, outside, count;

		if (sscanf(line, "%llu %llu %llu", &first, &outside, &count) == 3 && first <= nobody && nobody - first < count)
			return true;
	}
	return false;
}

static int arguments(const char *program, const char *dir, char *const *options, char ***ret)
{
	static const char *const always[] = { "--no-hosts", "--bind-interfaces", "--except-interface=lo", "--domain-needed" };
	char **v = NULL;
	int r = strv_push(&v, program);

	if (r >= 0)
		r = strv_push(&v, has_nobody() ? "--user=nobody" : "--user=root");

	for (size_t i = 0; i < ARRAY_SIZE(always) && r >= 0; i++)
		r = strv_push(&v, always[i]);
	if (r >= 0)
		r = strv_push_take(&v, str_fmt("--pid-file=%s/pid", dir));
	for (; *options && r >= 0; options++)
		r = strv_push(&v, *options);
	if (r < 0)
		strv_free(v);
	else
		*ret = v;
	return r;
}

_noreturn_ static void become(const char *program, char **argv, const char *seen, int words)
{
	static const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* until it is in the background; then its pid is known */
	setsid();
	dup2(words, STDERR_FILENO);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount(seen, DNSMASQ_SEES, NULL, MS_BIND, NULL) < 0) {
		dprintf(STDERR_FILENO, "its files at %s: %s", DNSMASQ_SEES, strerror(errno));
		_exit(1);
	}
	syscall(SYS_close_range, 3, ~0U, 0);
	execve(program, argv, (char *const *)(uintptr_t)env);
	dprintf(STDERR_FILENO, "%s", strerror(errno));
	_exit(1);
}

int dnsmasq_start(const char *dir, const char *seen, char *const *options, const char *whose, struct err *e)
{
	_cleanup_free_ char *program = spawn_find("dnsmasq"), *said = NULL;
	_cleanup_fd_ int words = memfd_create("words", MFD_CLOEXEC);
	_cleanup_strv_ char **argv = NULL;
	int status = 0, r;
	pid_t pid;

	if (!program)
		return err_set(e, ENOENT, "names of %s need dnsmasq: install it (Debian's package dnsmasq-base)", whose);
	r = words < 0 ? -errno : arguments(program, dir, options, &argv);
	if (r >= 0 && !argv)
		r = -ENOMEM;
	if (r < 0)
		return err_set(e, -r, "the resolver of %s: %s", whose, strerror(-r));
	pid = fork();
	if (pid == 0)
		become(program, argv, seen, words);
	r = pid < 0 ? -errno : spawn_wait(pid, &status);
	if (r < 0)
		return err_set(e, -r, "start %s: %s", program, strerror(-r));
	if (status == 0)
		return 0;
	if (lseek(words, 0, SEEK_SET) < 0 || fd_read_all(words, 4096, &said, NULL) < 0 || !said)
		return err_set(e, EIO, "%s ended with status %d", program, status_to_exit(status));
	said[strcspn(said + strspn(said, "\n"), "\n") + strspn(said, "\n")] = '\0';
	return err_set(e, EIO, "the resolver of %s: %.200s", whose, said + strspn(said, "\n"));
}

/* One that has not come to write its pid, because we were killed beside it. */
static int search_resolver(const char *dir)
{
	DIR *d = opendir("/proc");
	struct dirent *entry;
	uint64_t pid;
	int fd = -ESRCH;

	while (d && fd < 0 && dir_next(d, &entry) > 0)
		if (str_to_u64(entry->d_name, &pid) >= 0 && pid <= INT32_MAX && is_resolver((pid_t)pid, dir))
			fd = pidfd_open_((pid_t)pid);
	if (d)
		closedir(d);
	return fd;
}

void dnsmasq_end(int dirfd, const char *dir)
{
	_cleanup_fd_ int pidfd = dnsmasq_find(dirfd, dir);

	if (pidfd < 0)
		pidfd = search_resolver(dir);
	if (pidfd < 0 || pidfd_kill(pidfd, SIGTERM) < 0)
		return;
	if (poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, END_MS) == 0 && pidfd_kill(pidfd, SIGKILL) >= 0)
		(void)poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, END_MS);
}
