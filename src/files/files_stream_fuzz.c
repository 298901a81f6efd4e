/* What a guest sends of its files, into a sink that asks for all of it: whatever comes, every path is clean and every piece inside of its file. */
#include "files_diff.h"
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

struct asking {
	struct file_sink base;
	enum stream_kind kind;
};

/* No attribute that was not asked for, and no more of one than there is. */
static void check_xattrs(const struct asking *a, const struct file_node *n)
{
	enum walk_xattrs which = a->kind == STREAM_LAYER ? WALK_XATTRS_LAYER : WALK_XATTRS_CAPABILITY;
	volatile uint8_t last;

	for (size_t i = 0; i < n->n_xattrs; i++) {
		if (!files_xattr_is_wanted(which, n->xattrs[i].name))
			abort();
		if (n->xattrs[i].len)
			last = ((const uint8_t *)n->xattrs[i].value)[n->xattrs[i].len - 1];
	}
	(void)last;
}

static int put(struct file_sink *s, const struct file_node *n, struct err *e)
{
	uint64_t at = 0, off;
	const void *p;
	size_t len;
	int r = 0;

	const struct asking *a = container_of(s, struct asking, base);

	check_path(n->path);
	check_xattrs(a, n);
	if (a->kind == STREAM_CHANGES ? !change_is_known(n->mode)
				      : !(n->mode & S_IFMT) || (n->is_opaque && a->kind != STREAM_LAYER))
		abort();
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

static void take(const uint8_t *data, size_t size, enum stream_kind kind)
{
	_cleanup_fd_ int fd = memfd_create("stream", MFD_CLOEXEC);
	struct asking a = { .base = { .put = put }, .kind = kind };
	struct stream_head h;
	struct err e = { 0 };

	if (fd < 0 || fd_write_full(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	if (stream_read_head(fd, &h, &e) == 0)
		(void)files_unstream(fd, kind, h.is_content ? "" : h.base, &a.base, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (enum stream_kind kind = STREAM_FILES; kind <= STREAM_CHANGES; kind++)
		take(data, size, kind);
	return 0;
}
