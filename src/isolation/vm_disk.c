/* vm_disk: a guest's writable disk: an empty ext4 in a sparse file. mke2fs runs once per size; each container gets a copy of
 * the few blocks that it wrote. */
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "vm_impl.h"

/* Metadata sized for what a container writes: no reserved blocks, a small journal, tables that are zero because the file is. */
static int make_template(const char *dir, const char *name, uint64_t bytes, struct err *e)
{
	_cleanup_free_ char *tmp = str_fmt("%s/.tmp-%s", dir, name), *path = str_fmt("%s/%s", dir, name), *out = NULL,
			    *size = str_fmt("%lluk", (unsigned long long)(bytes >> 10)), *program = spawn_find("mke2fs");
	char q[] = "-q", F[] = "-F", t[] = "-t", ext4[] = "ext4", m[] = "-m", zero[] = "0", J[] = "-J", journal[] = "size=16",
	     E[] = "-E", ext[] = "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0", O[] = "-O",
	     features[] = "^resize_inode";
	char *argv[] = { program, q, F, t, ext4, m, zero, J, journal, O, features, E, ext, tmp, size, NULL };
	int r;

	if (!program)
		return err_set(e, ENOENT, "mke2fs is missing, which makes the guest's disk: install e2fsprogs");
	if (!tmp || !path || !size)
		return err_set(e, ENOMEM, "out of memory");
	unlink(tmp);
	r = spawn_output(argv, 4096, &out, e);
	if (r >= 0 && rename(tmp, path) < 0)
		r = err_set(e, errno, "%s: %s", path, strerror(errno));
	if (r < 0)
		unlink(tmp);
	return r;
}

static int open_template(const struct paths *p, uint64_t bytes, struct err *e)
{
	_cleanup_free_ char *dir = str_fmt("%s/vm", p->root), *name = str_fmt("ext4-%llu.img", (unsigned long long)bytes);
	_cleanup_fd_ int dirfd = -1;
	int fd, r = dir && name ? mkdir_p(AT_FDCWD, dir, 0700) : -ENOMEM;

	if (r < 0)
		return err_set(e, -r, "%s/vm: %s", p->root, strerror(-r));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (flock(dirfd, LOCK_EX) < 0)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	if (faccessat(dirfd, name, R_OK, 0) < 0) {
		r = make_template(dir, name, bytes, e);
		if (r < 0)
			return r;
	}
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_set(e, errno, "%s/%s: %s", dir, name, strerror(errno)) : fd;
}

int vm_make_disk(const struct paths *p, const char *path, uint64_t bytes, struct err *e)
{
	_cleanup_fd_ int from = open_template(p, bytes, e), to = -1;
	struct stat st;
	int r;

	if (from < 0)
		return from;
	to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0 || fstat(from, &st) < 0)
		return err_set(e, errno, "disk %s: %s", path, strerror(errno));
	r = vm_copy_disk(from, to, NULL, NULL);
	if (r < 0) {
		unlink(path);
		return err_set(e, -r, "disk %s: %s", path, strerror(-r));
	}
	return 0;
}
