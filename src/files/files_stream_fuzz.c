/* What a guest sends of its files, into a sink that asks for all of it: whatever comes, every path is clean and every piece inside of its file. */
#include "files_stream.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *path)
{
	if (*path == '/' || strstr(path, "//") || streq(path, "..") || strstr(path, "/../") || str_after(path, "../") ||
	    str_ends(path, "/..") || str_ends(path, "/"))
		abort();
}

static int put(struct file_sink *s _unused_, const struct file_node *n, struct err *e)
{
	uint64_t at = 0, off;
	const void *p;
	size_t len;
	int r = 0;

	check_path(n->path);
	if (n->link)
		check_path(n->link);
	if (S_ISLNK(n->mode) != !!n->target || (n->link && n->next))
		abort();
	while (n->next && (r = n->next(n, &p, &len, &off, e)) > 0) {
		if (off < at || off + len > n->size)
			abort();
		at = off + len;
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_fd_ int fd = memfd_create("stream", MFD_CLOEXEC);
	struct file_sink s = { .put = put };
	struct stream_head h;
	struct err e = { 0 };

	if (fd < 0 || fd_write_full(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	if (stream_read_head(fd, &h, &e) == 0)
		(void)files_unstream(fd, h.is_content ? "" : h.base, &s, &e);
	return 0;
}
