/* tar_reader.c: see tar_reader.h. */
#include "tar_reader.h"

#include <string.h>
#include <unistd.h>

#define READ_CHUNK (256u << 10)

static la_ssize_t read_more(struct archive *a, void *arg, const void **ret)
{
	struct tar_reader *t = arg;
	ssize_t n;

	while ((n = read(t->fd, t->buf, READ_CHUNK)) < 0 && errno == EINTR)
		;
	if (n < 0) {
		t->no = errno;
		archive_set_error(a, errno, "read: %s", strerror(errno));
		return -1;
	}
	*ret = t->buf;
	return n;
}

static bool support_filters(struct archive *a)
{
	return archive_read_support_filter_gzip(a) >= ARCHIVE_WARN && archive_read_support_filter_bzip2(a) >= ARCHIVE_WARN &&
	       archive_read_support_filter_xz(a) >= ARCHIVE_WARN && archive_read_support_filter_zstd(a) >= ARCHIVE_WARN;
}

int tar_reader_open(struct tar_reader *t, int fd, bool filters, struct err *e)
{
	*t = (struct tar_reader){ .a = archive_read_new(), .fd = fd, .buf = malloc(READ_CHUNK) };
	if (!t->a || !t->buf)
		return err_set(e, ENOMEM, "read a tar: out of memory");
	if ((filters && !support_filters(t->a)) || archive_read_support_format_tar(t->a) != ARCHIVE_OK ||
	    archive_read_support_format_empty(t->a) != ARCHIVE_OK ||
	    archive_read_set_option(t->a, "tar", "mac-ext", NULL) < ARCHIVE_WARN)
		return err_set(e, EIO, "libarchive: %s", archive_error_string(t->a));
	if (archive_read_open(t->a, t, NULL, read_more, NULL) != ARCHIVE_OK)
		return err_set(e, t->no ? t->no : EBADMSG, "not a tar archive: %s", archive_error_string(t->a));
	return 0;
}

int tar_reader_next(struct tar_reader *t, struct archive_entry **ret)
{
	int r;

	do
		r = archive_read_next_header(t->a, ret);
	while (r == ARCHIVE_RETRY);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r == ARCHIVE_OK || r == ARCHIVE_WARN)
		return 1;
	return t->no ? -t->no : -EBADMSG;
}

int tar_reader_drain(struct tar_reader *t, struct err *e)
{
	ssize_t n;

	while ((n = read(t->fd, t->buf, READ_CHUNK)) != 0)
		if (n < 0 && errno != EINTR)
			return err_set(e, errno, "read: %s", strerror(errno));
	return 0;
}

void tar_reader_done(struct tar_reader *t)
{
	archive_read_free(t->a);
	free(t->buf);
	*t = (struct tar_reader){};
}
