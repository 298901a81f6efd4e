#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base.h"
#include "mount_ns.h"
#include "tap.h"

static bool may(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(unshare(CLONE_NEWNS) < 0);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* Runs fn in a process of its own. */
static void in_child(void (*fn)(const char *dir), const char *dir)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		fn(dir);
		_exit(0);
	}
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
}

static void plain(const char *dir)
{
	is_int(mount_ns_new(MS_PRIVATE), 0);
	ok(mount("mount_ns", dir, "tmpfs", 0, NULL) == 0);
}

static void chrooted(const char *dir)
{
	char up[PATH_MAX];

	ok(chroot(dir) == 0 && chdir("/inner") == 0);
	is_int(mount_ns_new(MS_SLAVE), 0);
	ok(getcwd(up, sizeof(up)) != NULL);
	is_str(up, "/inner");
	ok(mount("mount_ns", "/inner", "tmpfs", 0, NULL) == 0);
	/* The namespace's own root is the folder now: nothing above it can be reached. */
	int self = pidfd_open_(getpid());
	ok(self >= 0 && setns(self, CLONE_NEWNS) == 0);
	ok(access("/inner", F_OK) == 0 && access("/proc", F_OK) < 0 && access("/../etc", F_OK) < 0);
	/* And "/" is a mount. */
	ok(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
}

static void with_folder(void (*fn)(const char *dir))
{
	char dir[] = "/tmp/berth-mount-ns.XXXXXX", inner[64];
	struct stat before, after;

	if (geteuid() != 0 || !may())
		skip("may not make mount namespaces here");
	ok(mkdtemp(dir) != NULL);
	snprintf(inner, sizeof(inner), "%s/inner", dir);
	ok(mkdir(inner, 0755) == 0 && stat(inner, &before) == 0);
	in_child(fn, dir);
	ok(stat(inner, &after) == 0 && before.st_dev == after.st_dev);
	ok(rmdir(inner) == 0 && rmdir(dir) == 0);
}

TEST(mounts_in_a_new_namespace_stay_in_it) { with_folder(plain); }

TEST(a_chroot_that_is_no_mount_becomes_the_namespaces_root) { with_folder(chrooted); }

TAP_MAIN()
