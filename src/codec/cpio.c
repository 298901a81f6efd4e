/* cpio: see cpio.h. A member is a header of 13 hexadecimal fields of 8 digits behind the magic, the name with its NUL, and
 * the data; name and data are each padded to a multiple of four bytes from the start of the archive. */
#include "cpio.h"

#include <sys/stat.h>

static void cpio_pad(struct cpio *c)
{
	static const char zeros[4];

	buf_add(&c->out, zeros, -c->out.len & 3);
}

void cpio_add(struct cpio *c, const char *name, uint32_t mode, const void *data, size_t n)
{
	if (n > UINT32_MAX) {
		c->out.failed = true;
		return;
	}
	c->n_entries++;
	/* magic, ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check */
	buf_fmt(&c->out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", c->n_entries, mode, 0, 0,
		S_ISDIR(mode) ? 2 : 1, 0, (unsigned)n, 0, 0, 0, 0, (unsigned)strlen(name) + 1, 0);
	buf_add(&c->out, name, strlen(name) + 1);
	cpio_pad(c);
	buf_add(&c->out, data, n);
	cpio_pad(c);
}

int cpio_finish(struct cpio *c)
{
	cpio_add(c, "TRAILER!!!", 0, NULL, 0);
	return c->out.failed ? -ENOMEM : 0;
}
