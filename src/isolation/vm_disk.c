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

static int copy_range(int from, int to, off_t at, off_t end)
{
	char chunk[64 << 10];

	while (at < end) {
		ssize_t n = pread(from, chunk, MIN(sizeof(chunk), (size_t)(end - at)), at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (ssize_t done = 0, w; done < n; done += w) {
			w = pwrite(to, chunk + done, (size_t)(n - done), at + done);
			if (w < 0)
				return -errno;
		}
		at += n;
	}
	return 0;
}

/* Holes stay holes: a 10 GiB disk is about 300 KiB of blocks. */
static int copy_sparse(int from, int to, off_t size)
{
	off_t data = 0;

	if (ftruncate(to, size) < 0)
		return -errno;
	while ((data = lseek(from, data, SEEK_DATA)) >= 0) {
		off_t hole = lseek(from, data, SEEK_HOLE);
		int r = hole < 0 ? -errno : copy_range(from, to, data, hole);

		if (r < 0)
			return r;
		data = hole;
	}
	return errno == ENXIO ? 0 : -errno; /* ENXIO: no more data behind */
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
	r = copy_sparse(from, to, st.st_size);
	if (r < 0) {
		unlink(path);
		return err_set(e, -r, "disk %s: %s", path, strerror(-r));
	}
	return 0;
}
