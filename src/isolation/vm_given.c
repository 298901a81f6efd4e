/* vm_given: disks of a user's own that a VM is given (--disk). The file is opened here, by who may, and is handed on open.
 *
 * The format is what the user has said, and raw where nothing was said. To find it out would be to ask the guest: whoever writes a raw disk
 * can write there what a qcow2 image begins with, naming any file of the host as its backing file, and reads that after
 * the next start. So what is said to be raw is raw, except that a file that begins as a qcow2 image is refused as a mistake; and a qcow2
 * image that would make QEMU open another file is refused, at each start anew. */
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vm_impl.h"

enum { SECTOR = 512 };

void vm_given_name(const struct launch *l, size_t k, char ret[16])
{
	snprintf(ret, 16, "/dev/vd%c", (char)('a' + (l->upper_disk ? 2 : 1) + k));
}

void vm_disk_serial(const struct vm_disk *disks, size_t k, char ret[VM_DISK_SERIAL])
{
	size_t n = 0;

	for (size_t i = 0; i < k; i++)
		n += disks[i].given != NULL;
	snprintf(ret, VM_DISK_SERIAL, "disk%u", (unsigned)(n & 0xff));
}

/* O_EXCL of a block device: not while something of the host has it mounted (open(2)). O_NONBLOCK: a FIFO in the file's place must not keep
 * us. A link in its place is not followed: the path has none since --disk was read. */
static int open_file(const struct launch_disk *d, struct stat *st, struct err *e)
{
	int flags = (d->is_readonly ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, fd;

	if (stat(d->path, st) < 0)
		return err_set(e, errno, "disk %s: %s", d->path, strerror(errno));
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return err_set(e, EINVAL, "disk %s: neither a regular file nor a block device", d->path);
	if (S_ISBLK(st->st_mode) && !d->is_readonly)
		flags |= O_EXCL;
	fd = open(d->path, flags);
	if (fd < 0 && errno == EBUSY)
		return err_set(e, EBUSY, "disk %s: the host uses that device (is it mounted?); free it, or give it readonly",
			       d->path);
	if (fd < 0)
		return err_set(e, errno, "disk %s: %s%s", d->path, strerror(errno),
			       errno == EROFS || errno == EACCES ? "; readonly would do without writing" : "");
	if (fstat(fd, st) < 0 || (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))) {
		fd_close(fd);
		return err_set(e, EINVAL, "disk %s: neither a regular file nor a block device", d->path);
	}
	return fd;
}

static int check_raw(const struct launch_disk *d, const uint8_t *head, size_t n, struct vm_given *g, struct err *e)
{
	if (qcow2_has_magic(head, n))
		return err_set(e, EINVAL,
			       "disk %s: it begins as a qcow2 image does, and was not said to be one; if it is one, say "
			       "--disk %s,format=qcow2; else overwrite its first four bytes",
			       d->path, d->path);
	if (g->is_device)
		return 0;
	if (g->bytes == 0 || g->bytes % SECTOR)
		return err_set(e, EINVAL,
			       "disk %s: its size of %llu bytes is not a multiple of %d; truncate -s %%%d %s makes it one",
			       d->path, (unsigned long long)g->bytes, SECTOR, SECTOR, d->path);
	g->file_max = g->bytes;
	return 0;
}

/* Its file: what it is now (with the snapshots that may be in it), and every cluster once more, with tables of at most a sixteenth. */
static uint64_t most_of(uint64_t now, uint64_t disk) { return now + disk + disk / 16 + 64 * MIB; }

static int check_qcow2(const struct launch_disk *d, const uint8_t *head, size_t n, struct vm_given *g, struct err *e)
{
	struct qcow2_header h;
	uint64_t now = g->bytes;
	int r;

	if (g->is_device)
		return err_set(e, EINVAL, "disk %s: a qcow2 image on a block device is not possible; copy it to a file", d->path);
	r = qcow2_parse(head, n, &h, e);
	if (r < 0)
		return err_push(e, r, "disk %s,format=qcow2", d->path);
	if (h.has_backing)
		return err_set(e, EINVAL,
			       "disk %s: the image has a backing file, which a virtual machine is not given along with it; "
			       "qemu-img rebase -b '' %s takes all into one",
			       d->path, d->path);
	if (h.has_data_file)
		return err_set(e, EINVAL,
			       "disk %s: the image has its contents in another file, which a virtual machine is not given along "
			       "with it; qemu-img convert -O qcow2 %s NEW makes one file of them",
			       d->path, d->path);
	if (h.is_encrypted)
		return err_set(e, EINVAL, "disk %s: the image is encrypted; qemu-img convert makes a plain one of it", d->path);
	if (h.is_corrupt && !d->is_readonly)
		return err_set(e, EINVAL, "disk %s: the image says that it is damaged; qemu-img check -r all %s", d->path,
			       d->path);
	if (h.bytes == 0 || h.bytes % SECTOR || h.bytes > INT64_MAX / 4)
		return err_set(e, EINVAL, "disk %s: its size of %llu bytes is none that a disk can have", d->path,
			       (unsigned long long)h.bytes);
	g->bytes = h.bytes;
	g->file_max = most_of(now, h.bytes);
	return 0;
}

int vm_given_open(const struct launch_disk *d, struct vm_given *ret, struct err *e)
{
	uint8_t head[QCOW2_HEADER_BYTES];
	struct vm_given g = { .fd = -1 };
	struct stat st;
	ssize_t n;
	int r;

	g.fd = r = open_file(d, &st, e);
	if (r < 0)
		return r;
	g.is_device = S_ISBLK(st.st_mode);
	g.bytes = g.is_device ? 0 : (uint64_t)st.st_size;
	n = pread(g.fd, head, sizeof(head), 0);
	if (n < 0)
		r = err_set(e, errno, "disk %s: %s", d->path, strerror(errno));
	else if (streq(d->format, "raw"))
		r = check_raw(d, head, (size_t)n, &g, e);
	else if (streq(d->format, "qcow2"))
		r = check_qcow2(d, head, (size_t)n, &g, e);
	else
		r = err_set(e, EINVAL, "disk %s: format \"%s\" is not known; raw and qcow2 are", d->path, d->format);
	if (r < 0) {
		fd_close(g.fd);
		return r;
	}
	*ret = g;
	return 0;
}

/* QEMU's locks (block/file-posix.c) are read locks on single bytes, one for each thing that somebody does with the file, or lets no other do:
 * the one on byte 101 says that somebody writes. Ours have to leave those alone where several QEMUs read one image. */
enum { QEMU_BYTES = 100, QEMU_WRITES = 101 };

static bool qemu_writes(int fd)
{
	struct flock byte = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = QEMU_WRITES, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &byte) == 0 && byte.l_type != F_UNLCK;
}

int vm_given_lock(const struct launch_disk *d, int fd, struct err *e)
{
	bool is_shared_image = d->is_readonly && streq(d->format, "qcow2");
	struct flock part = { .l_type = d->is_readonly ? F_RDLCK : F_WRLCK,
			      .l_whence = SEEK_SET,
			      .l_len = is_shared_image ? QEMU_BYTES : 0 /* all */ };
	int r = fcntl(fd, F_OFD_SETLK, &part);

	if (r < 0 && errno != EAGAIN && errno != EACCES)
		return err_set(e, errno, "disk %s: lock: %s", d->path, strerror(errno));
	if (r == 0 && !(is_shared_image && qemu_writes(fd)))
		return 0;
	return err_set(
		e, EBUSY,
		"disk %s: another virtual machine or program %s it; stop that one, give each a copy, or all of them the same "
		"one readonly",
		d->path, d->is_readonly ? "writes" : "uses");
}
