/* berth-fs: serves the shared directories of one virtual machine. Started with two descriptors, and nothing else that it keeps:
 *   3  the other end of the VM's virtio-fs device (vmm/fs/wire.h)
 *   4  the tree that is served, a mount point
 * Ends when the VM does. --trap: a system call that its threads may not make is named on standard error. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "fs/wire.h"

enum { SOCK_FD = 3, ROOT_FD = 4, THREADS = 4 };

static int serve(bool traps, struct err *e)
{
	struct fs_serve_config c = { .sock = SOCK_FD,
				     .threads = THREADS,
				     .seccomp = traps ? VMM_SECCOMP_TRAP : VMM_SECCOMP_KILL };
	int r = fs_jail_enter(SOCK_FD, ROOT_FD, &c.fs, e);

	return r < 0 ? r : fs_serve(&c, e);
}

int main(int argc, char **argv)
{
	bool traps = argc == 2 && streq(argv[1], "--trap");
	struct err e = { 0 };
	int r;

	log_setup("berth-fs", LOG_WARN_, false);
	(void)mallopt(M_ARENA_MAX, 1); /* one heap: malloc asks nothing more of the kernel than memory */
	r = build_id_check(&e);
	if (r >= 0 && ((argc != 1 && !traps) || fcntl(SOCK_FD, F_GETFD) < 0 || fcntl(ROOT_FD, F_GETFD) < 0))
		r = err_set(&e, EINVAL, "berth starts it, with a socket and a directory as descriptors 3 and 4; people don't");
	if (r >= 0)
		r = serve(traps, &e);
	fprintf(stderr, "berth-fs: %s\n", e.msg);
	return 1;
}
