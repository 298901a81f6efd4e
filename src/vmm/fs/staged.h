/* staged: a tree as vm_shares.c stages it, for tests of the file server's process. Only tests include it. */
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "tap.h"
#include "wire.h"

#ifdef __SANITIZE_ADDRESS__
/* The search for leaks reads /proc, which a jail has not. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return 1; } /* whatever ASAN_OPTIONS say */
#endif

/* In a child: a mount namespace with the tree (a tmpfs, as vm_shares.c stages it, with one volume), in which fn is called. Its
 * status is the test's. */
static inline void staged(void (*fn)(int root))
{
	char dir[] = "/tmp/berth-fsjail.XXXXXX";
	int status, root;
	pid_t pid;

	if (geteuid() != 0)
		skip("needs root");
	ok(mkdtemp(dir));
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS | CLONE_NEWPID) < 0)
			skip("namespaces can't be made here");
		ok(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		ok(mount("tree", dir, "tmpfs", 0, "size=4m") == 0);
		root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		ok(mkdirat(root, "0", 0755) == 0 && symlinkat("/etc/passwd", root, "link") == 0);
		ok(mknodat(root, "null", S_IFCHR | 0666, makedev(1, 3)) == 0);
		pid = fork(); /* the first process of its pid namespace */
		if (pid == 0) {
			fn(root);
			exit(0);
		}
		ok(waitpid(pid, &status, 0) == pid);
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
	is_int(waitpid(pid, &status, 0), pid);
	rmdir(dir);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}
