#include "confine.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fd.h"
#include "str.h"
#include "tap.h"

/* A store and a neighbour of it; the test's process is confined to the store. Returns the store's fd. */
static int confined(char dir[32])
{
	const char *const readable[] = { "/nonexistent", NULL };
	char store[64];
	struct err e = {};
	int fd;

	snprintf(dir, 32, "/tmp/berth-confine-XXXXXX");
	ok(mkdtemp(dir) != NULL);
	snprintf(store, sizeof(store), "%s/store", dir);
	is_int(mkdir(store, 0700), 0);
	fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(fd >= 0);
	if (confine_transfer(fd, readable, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return fd;
}

static bool has_landlock(void) { return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0; }

/* Landlock holds for the whole process tree, so a helper that is forked first tidies up. */
static void with_tidying(void (*test)(int store, const char *dir))
{
	char dir[32];
	int pipe_[2], status;
	pid_t pid;

	is_int(pipe2(pipe_, O_CLOEXEC), 0);
	pid = fork();
	ok(pid >= 0);
	if (pid == 0) {
		int store = confined(dir);

		is_int(write(pipe_[1], dir, sizeof(dir)), sizeof(dir));
		test(store, dir);
		exit(0);
	}
	is_int(waitpid(pid, &status, 0), pid);
	close(pipe_[1]);
	if (read(pipe_[0], dir, sizeof(dir)) == sizeof(dir))
		rm_rf(AT_FDCWD, dir);
	is_int(status, 0);
}

static void writes(int store, const char *dir)
{
	char outside[64];
	int fd = openat(store, "inside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ok(fd >= 0);
	is_int(renameat(store, "inside", store, "renamed"), 0);
	is_int(mkdirat(store, "folder", 0700), 0);
	snprintf(outside, sizeof(outside), "%s/outside", dir);
	is_int(open(outside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
	is_int(errno, EACCES);
	is_int(renameat(store, "renamed", AT_FDCWD, outside), -1);
	fd = open("/etc/resolv.conf", O_WRONLY | O_CLOEXEC);
	is_int(fd, -1);
	ok(open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0);
	ok(open("/dev/null", O_RDWR | O_CLOEXEC) >= 0);
}

TEST(confined_writes_end_at_the_store)
{
	if (!has_landlock())
		skip("this kernel has no Landlock");
	with_tidying(writes);
}

static void calls(int store _unused_, const char *dir)
{
	char *const argv[] = { NULL };

	execve("/bin/true", argv, argv);
	is_int(errno, EPERM);
	is_int(mount("none", dir, "tmpfs", 0, NULL), -1);
	is_int(errno, EPERM);
	is_int(syscall(SYS_bpf, 0, NULL, 0), -1);
	is_int(errno, EPERM);
	is_int(syscall(SYS_keyctl, 0, 0), -1);
	is_int(errno, EPERM);
	is_int(syscall(SYS_io_uring_setup, 1, NULL), -1);
	is_int(errno, EPERM);
	ok(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	ok(pid > 0 && waitpid(pid, NULL, 0) == pid);
}

TEST(confined_process_can_fork_and_talk_but_not_exec_mount_or_load) { with_tidying(calls); }

TAP_MAIN()
