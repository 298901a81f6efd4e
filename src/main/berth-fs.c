/* berth-fs: serves the shared directories of one virtual machine. Started with two descriptors, and nothing else that it keeps:
 *   3  the other end of the VM's virtio-fs device (vmm/fs/wire.h)
 *   4  the tree that is served, a mount point
 * Its words: consistent=NAME and cached=NAME, how long its guest may trust what it was told of that entry of the tree (FS_TRUST_NEVER,
 * FS_TRUST_SECOND in vmm/fs/fs.h; no NAME: of the whole tree); --trap: a system call that its threads may not make is named on
 * standard error. Ends when the VM does. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "fs/wire.h"

enum { SOCK_FD = 3, ROOT_FD = 4, THREADS = 4 };

struct words {
	struct fs_volume *volumes; /* room for all */
	size_t n_volumes;
	bool traps;
};

static int take_word(const char *word, struct words *ret)
{
	const char *strict = str_after(word, "consistent="), *cached = str_after(word, "cached=");

	if (strict)
		ret->volumes[ret->n_volumes++] = (struct fs_volume){ strict, FS_TRUST_NEVER };
	else if (cached)
		ret->volumes[ret->n_volumes++] = (struct fs_volume){ cached, FS_TRUST_SECOND };
	else if (streq(word, "--trap"))
		ret->traps = true;
	else
		return -EINVAL;
	return 0;
}

static int serve(const struct words *w, struct err *e)
{
	struct fs_serve_config c = { .sock = SOCK_FD,
				     .threads = THREADS,
				     .seccomp = w->traps ? VMM_SECCOMP_TRAP : VMM_SECCOMP_KILL };
	int r = fs_jail_enter(SOCK_FD, ROOT_FD, &c.fs, e);

	if (r < 0)
		return r;
	c.fs.volumes = w->volumes;
	c.fs.n_volumes = w->n_volumes;
	return fs_serve(&c, e);
}

int main(int argc, char **argv)
{
	struct words w = { .volumes = calloc((size_t)argc, sizeof(*w.volumes)) };
	struct err e = { 0 };
	int r;

	log_setup("berth-fs", LOG_WARN_, false);
	(void)mallopt(M_ARENA_MAX, 1); /* one heap: malloc asks nothing more of the kernel than memory */
	r = build_id_check(&e);
	if (r >= 0 && !w.volumes)
		r = err_set(&e, ENOMEM, "out of memory");
	for (int i = 1; i < argc && r >= 0; i++)
		if (take_word(argv[i], &w) < 0)
			r = err_set(&e, EINVAL, "\"%s\": consistent=NAME, cached=NAME and --trap are known", argv[i]);
	if (r >= 0 && (fcntl(SOCK_FD, F_GETFD) < 0 || fcntl(ROOT_FD, F_GETFD) < 0))
		r = err_set(&e, EINVAL, "berth starts it, with a socket and a directory as descriptors 3 and 4; people don't");
	if (r >= 0)
		r = serve(&w, &e);
	fprintf(stderr, "berth-fs: %s\n", e.msg);
	return 1;
}
