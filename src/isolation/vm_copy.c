/* vm_copy: copies of disks: sharing their blocks where the file system can (btrfs, xfs; ioctl_ficlone(2)), else block by block, with what is a
 * hole left one: a disk of 10 GiB that is hardly written to is some hundred KiB. */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vm_impl.h"

#define PIECE (1u << 20)

struct copy {
	int from, to;
	uint64_t done;
	void (*on_bytes)(uint64_t done, void *arg);
	void *arg;
	char *piece;
};

static int write_piece(struct copy *c, size_t n, off_t at)
{
	for (size_t done = 0; done < n;) {
		ssize_t w = pwrite(c->to, c->piece + done, n - done, at + (off_t)done);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		done += (size_t)w;
	}
	return 0;
}

static int copy_range(struct copy *c, off_t at, off_t end)
{
	while (at < end) {
		ssize_t n = pread(c->from, c->piece, MIN(PIECE, (size_t)(end - at)), at);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		r = write_piece(c, (size_t)n, at);
		if (r < 0)
			return r;
		at += n;
		c->done += (uint64_t)n;
		if (c->on_bytes)
			c->on_bytes(c->done, c->arg);
	}
	return 0;
}

static int copy_sparse(struct copy *c, off_t size)
{
	off_t data = 0;

	if (ftruncate(c->to, size) < 0)
		return -errno;
	while ((data = lseek(c->from, data, SEEK_DATA)) >= 0) {
		off_t hole = lseek(c->from, data, SEEK_HOLE);
		int r = hole < 0 ? -errno : copy_range(c, data, hole);

		if (r < 0)
			return r;
		data = hole;
	}
	return errno == ENXIO ? 0 : -errno; /* ENXIO: no more data behind */
}

int vm_copy_disk(int from, int to, void (*on_bytes)(uint64_t done, void *arg), void *arg)
{
	struct copy c = { .from = from, .to = to, .on_bytes = on_bytes, .arg = arg };
	struct stat st;
	int r;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	/* Whatever the reason: if it is the disk's, the copy meets it too. */
	if (fstat(from, &st) < 0)
		return -errno;
	c.piece = malloc(PIECE);
	if (!c.piece)
		return -ENOMEM;
	r = copy_sparse(&c, st.st_size);
	free(c.piece);
	return r;
}
