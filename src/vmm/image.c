/* image: see image.h. */
#include "image.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { SECTOR = 512 };

static int measure(int fd, const char *what, struct image *ret, struct err *e)
{
	struct image m = { .block = SECTOR };
	struct stat st;
	int block = SECTOR;

	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "%s: descriptor %d: %s", what, fd, strerror(errno));
	m.is_device = S_ISBLK(st.st_mode);
	if (S_ISREG(st.st_mode))
		m.bytes = (uint64_t)st.st_size;
	else if (!m.is_device)
		return err_set(e, EINVAL, "%s: descriptor %d is neither a regular file nor a block device", what, fd);
	else if (ioctl(fd, BLKGETSIZE64, &m.bytes) < 0 || ioctl(fd, BLKSSZGET, &block) < 0 || block < SECTOR)
		return err_set(e, errno, "%s: size of the block device: %s", what, strerror(errno));
	m.block = (uint32_t)block;
	if (m.bytes == 0 || m.bytes > INT64_MAX || m.bytes % m.block)
		return err_set(e, EINVAL,
			       "%s: its size of %llu bytes is not a multiple of %u (truncate -s %%%u FILE makes it one)", what,
			       (unsigned long long)m.bytes, m.block, m.block);
	*ret = m;
	return 0;
}

static int check_mode(int fd, bool is_read_only, const char *what, struct err *e)
{
	int mode = fcntl(fd, F_GETFL);

	if (mode < 0 || (mode & O_ACCMODE) == O_WRONLY || mode & (O_APPEND | O_PATH))
		return err_set(e, EINVAL, "%s: descriptor %d is not open for reading, or for appending", what, fd);
	if (!is_read_only && (mode & O_ACCMODE) != O_RDWR)
		return err_set(e, EINVAL, "%s: descriptor %d is open for reading only, and the plan wants to write", what, fd);
	return 0;
}

/* A file system without locks has none: only that somebody else has one is an error. */
static int lock(int fd, bool is_read_only, const char *what, struct err *e)
{
	struct flock whole = { .l_type = is_read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &whole) < 0 && (errno == EAGAIN || errno == EACCES))
		return err_set(e, EBUSY, "%s: another process %s the image; give each a copy, or read-only to all", what,
			       is_read_only ? "writes" : "uses");
	return 0;
}

int image_open(int fd, bool is_read_only, const char *what, struct image *ret, struct err *e)
{
	struct image m;
	int r = measure(fd, what, &m, e);

	if (r >= 0)
		r = check_mode(fd, is_read_only, what, e);
	if (r >= 0)
		r = lock(fd, is_read_only, what, e);
	if (r >= 0)
		*ret = m;
	return r;
}

int image_state_check(const void *saved, struct image_state of, const struct image_words *w, struct err *e)
{
	struct image_state s;

	memcpy(&s, saved, sizeof(s));
	if (s.size == of.size && s.flag == of.flag)
		return 0;
	return err_set(e, EBADMSG, "saved state: %s of %llu %s%s%s; the plan's has %llu%s%s", w->what, (unsigned long long)s.size,
		       w->unit, s.flag ? ", " : "", s.flag ? w->flag : "", (unsigned long long)of.size, of.flag ? ", " : "",
		       of.flag ? w->flag : "");
}
