/* tar_sink and files_untar: the same nodes as a stream, written and read by libarchive. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files_tar.h"
#include "tar_reader.h"
#include "unpack_private.h"

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

/* libarchive's words alone ("Write error") don't say that the disk is full. */
static int write_failed(struct archive *a, struct err *e)
{
	int no = archive_errno(a);

	return err_set(e, no > 0 ? no : EIO, "write the archive: %s", no > 0 ? strerror(no) : archive_error_string(a));
}

static struct tar_sink *sink_of(struct file_sink *s) { return container_of(s, struct tar_sink, base); }

/* ---- writing ---- */

static int write_zeros(struct tar_sink *t, uint64_t n, struct err *e)
{
	static const uint8_t zeros[32768];

	for (; n > 0; n -= MIN(n, sizeof(zeros))) {
		size_t k = (size_t)MIN(n, sizeof(zeros));
		if (archive_write_data(t->a, zeros, k) != (la_ssize_t)k)
			return write_failed(t->a, e);
		files_progress(&t->base, k);
	}
	return 0;
}

/* As many bytes as the header has said, whatever the file has become meanwhile. */
static int write_content(struct tar_sink *t, const struct file_node *n, struct err *e)
{
	uint64_t at = 0, off;
	const void *p;
	size_t len;
	int r;

	while ((r = n->next(n, &p, &len, &off, e)) > 0) {
		if (off < at || off > n->size || len > n->size - off)
			return err_set(e, EBADMSG, "\"%.200s\": its bytes lie outside of it", n->path);
		if ((r = write_zeros(t, off - at, e)) < 0)
			return r;
		if (archive_write_data(t->a, p, len) != (la_ssize_t)len)
			return write_failed(t->a, e);
		files_progress(&t->base, len);
		at = off + len;
	}
	return r < 0 ? r : write_zeros(t, n->size - at, e);
}

static int put_entry(struct tar_sink *t, const struct file_node *n, const char *path, struct err *e)
{
	struct archive_entry *entry = archive_entry_new();
	bool is_file = S_ISREG(n->mode) && !n->link;
	int k;

	if (!entry)
		return out_of_memory(e);
	archive_entry_set_pathname(entry, path);
	archive_entry_set_mode(entry, (mode_t)n->mode);
	archive_entry_set_uid(entry, n->uid);
	archive_entry_set_gid(entry, n->gid);
	archive_entry_set_mtime(entry, n->mtime.tv_sec, 0); /* finer ones would cost a header each; docker's tars have none */
	archive_entry_set_size(entry, is_file ? (la_int64_t)n->size : 0);
	if (n->link)
		archive_entry_set_hardlink(entry, n->link);
	else if (S_ISLNK(n->mode))
		archive_entry_set_symlink(entry, n->target);
	if (S_ISCHR(n->mode) || S_ISBLK(n->mode))
		archive_entry_set_rdev(entry, n->rdev);
	for (size_t i = 0; i < n->n_xattrs; i++)
		archive_entry_xattr_add_entry(entry, n->xattrs[i].name, n->xattrs[i].value, n->xattrs[i].len);
	k = archive_write_header(t->a, entry);
	archive_entry_free(entry);
	/* ARCHIVE_WARN: a name that is no UTF-8 is written as it is. */
	if (k != ARCHIVE_OK && k != ARCHIVE_WARN)
		return write_failed(t->a, e);
	return is_file && n->next ? write_content(t, n, e) : 0;
}

/* OCI image spec, layer.md "Whiteouts": an empty file ".wh.NAME"; ".wh..wh..opq" in a directory that hides what is below. */
static int put_mark(struct tar_sink *t, const char *dir, size_t dir_len, const char *name, struct err *e)
{
	const struct file_node mark = { .mode = S_IFREG | 0644 };
	_cleanup_free_ char *path = str_fmt("%.*s%s.wh.%s", (int)dir_len, dir, dir_len ? "/" : "", name);

	return path ? put_entry(t, &mark, path, e) : out_of_memory(e);
}

static int put_whiteout(struct tar_sink *t, const struct file_node *n, struct err *e)
{
	const char *slash = strrchr(n->path, '/');

	return put_mark(t, n->path, slash ? (size_t)(slash - n->path) : 0, slash ? slash + 1 : n->path, e);
}

static int tar_put(struct file_sink *s, const struct file_node *n, struct err *e)
{
	struct tar_sink *t = sink_of(s);
	_cleanup_free_ char *dir = NULL;
	int r;

	if (S_ISSOCK(n->mode)) { /* a tar has no word for one */
		s->skipped++;
		return 0;
	}
	if (t->is_layer && S_ISCHR(n->mode) && n->rdev == 0) {
		s->nodes++;
		return put_whiteout(t, n, e);
	}
	if (S_ISDIR(n->mode) && !(dir = str_fmt("%s/", *n->path ? n->path : ".")))
		return out_of_memory(e);
	s->nodes += *n->path != '\0';
	if ((r = put_entry(t, n, dir ? dir : n->path, e)) < 0)
		return r;
	return t->is_layer && n->is_opaque ? put_mark(t, n->path, strlen(n->path), ".wh..opq", e) : 0;
}

int tar_sink_init(struct tar_sink *t, int fd, struct err *e)
{
	*t = (struct tar_sink){ .base = { .put = tar_put } };
	if (!(t->a = archive_write_new()))
		return out_of_memory(e);
	if (archive_write_set_format_pax_restricted(t->a) != ARCHIVE_OK ||
	    archive_write_set_options(t->a, "pax:xattrheader=SCHILY") != ARCHIVE_OK) /* the names that all readers know */
		return err_set(e, EIO, "libarchive: %s", archive_error_string(t->a));
	archive_write_set_bytes_per_block(t->a, 64 << 10);
	archive_write_set_bytes_in_last_block(t->a, 1);
	return archive_write_open_fd(t->a, fd) == ARCHIVE_OK ? 0 : write_failed(t->a, e);
}

int tar_sink_finish(struct tar_sink *t, struct err *e)
{
	return archive_write_close(t->a) == ARCHIVE_OK ? 0 : write_failed(t->a, e);
}

void tar_sink_done(struct tar_sink *t)
{
	if (!t->a)
		return;
	archive_write_fail(t->a); /* of one that was not finished; else nothing is left to do */
	archive_write_free(t->a);
	t->a = NULL;
}

/* ---- reading ---- */

struct reader {
	struct tar_reader tar;
	enum walk_xattrs xattrs;
};

static int next_piece(const struct file_node *n, const void **ret_p, size_t *ret_len, uint64_t *ret_off, struct err *e)
{
	struct reader *s = n->from;
	la_int64_t off = 0;
	int r = archive_read_data_block(s->tar.a, ret_p, ret_len, &off);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return err_set(e, s->tar.no ? s->tar.no : EBADMSG, "\"%.200s\": %s", n->path, archive_error_string(s->tar.a));
	if (off < 0 || (uint64_t)off > n->size || *ret_len > n->size - (uint64_t)off)
		return err_set(e, EBADMSG, "\"%.200s\": its bytes lie outside of it", n->path);
	*ret_off = (uint64_t)off;
	return 1;
}

static int add_xattrs(struct file_node *n, enum walk_xattrs which, struct archive_entry *entry, struct err *e)
{
	const char *name;
	const void *value;
	size_t len, count = (size_t)archive_entry_xattr_reset(entry);

	if (count == 0)
		return 0;
	if (!(n->xattrs = calloc(count, sizeof(*n->xattrs))))
		return out_of_memory(e);
	while (n->n_xattrs < count && archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK) {
		if (!name || !files_xattr_is_wanted(which, name))
			continue;
		/* Borrowed from the entry. */
		union {
			const void *in;
			void *out;
		} v = { .in = value };
		union {
			const char *in;
			char *out;
		} k = { .in = name };
		n->xattrs[n->n_xattrs++] = (struct file_xattr){ .name = k.out, .value = v.out, .len = len };
	}
	return 0;
}

static int node_of(struct file_node *n, enum walk_xattrs xattrs, struct archive_entry *entry, char link[UNPACK_PATH_MAX],
		   struct err *e)
{
	la_int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry), size = archive_entry_size(entry);
	const char *hard = archive_entry_hardlink(entry);
	long nsec = archive_entry_mtime_nsec(entry);

	/* (uid_t)-1 means "unchanged" to chown(2). */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX || size < 0)
		return err_set(e, EBADMSG, "\"%.200s\" has an owner or a size that can't be", n->path);
	n->uid = (uint32_t)uid;
	n->gid = (uint32_t)gid;
	n->mode = archive_entry_filetype(entry) | (archive_entry_perm(entry) & 07777);
	n->rdev = archive_entry_rdev(entry);
	if (archive_entry_mtime_is_set(entry))
		n->mtime = (struct timespec){ archive_entry_mtime(entry), nsec >= 0 && nsec < 1000000000 ? nsec : 0 };
	if (hard) {
		int r = unpack_path_clean(hard, FILES_DEPTH_MAX, link, e);
		if (r < 0)
			return err_push(e, r, "hard link \"%.100s\"", n->path);
		n->link = link;
		n->mode = S_IFREG | (n->mode & 07777);
		return 0;
	}
	if (S_ISLNK(n->mode)) {
		n->target = archive_entry_symlink(entry);
		if (!n->target || !*n->target)
			return err_set(e, EBADMSG, "symlink \"%.200s\" leads nowhere", n->path);
	}
	n->size = S_ISREG(n->mode) ? (uint64_t)size : 0;
	return add_xattrs(n, xattrs, entry, e);
}

static int take_entry(struct reader *s, struct archive_entry *entry, struct file_sink *sink, struct err *e)
{
	char path[UNPACK_PATH_MAX], link[UNPACK_PATH_MAX];
	struct file_node n = { .path = path, .next = next_piece, .from = s };
	const char *raw = archive_entry_pathname(entry);
	int r = raw ? unpack_path_clean(raw, FILES_DEPTH_MAX, path, e) : err_set(e, EBADMSG, "an entry has no name");

	if (r == 0)
		r = node_of(&n, s->xattrs, entry, link, e);
	if (r == 0)
		r = sink->put(sink, &n, e);
	free(n.xattrs);
	return r;
}

static int take_entries(struct reader *s, struct file_sink *sink, struct err *e)
{
	struct archive_entry *entry;
	uint64_t n = 0;
	int r;

	while ((r = tar_reader_next(&s->tar, &entry)) > 0) {
		if (++n > unpack_limits_default.max_entries)
			return err_set(e, E2BIG, "the tar has more than %llu entries",
				       (unsigned long long)unpack_limits_default.max_entries);
		if ((r = take_entry(s, entry, sink, e)) < 0)
			return r;
	}
	return r < 0 ? err_set(e, -r, "%s%s", n ? "the tar is damaged: " : "not a tar archive: ", archive_error_string(s->tar.a))
		     : 0;
}

int files_untar(int fd, enum walk_xattrs xattrs, struct file_sink *sink, struct err *e)
{
	struct reader s = { .xattrs = xattrs };
	int r = tar_reader_open(&s.tar, fd, true, e);

	if (r == 0)
		r = take_entries(&s, sink, e);
	if (r == 0) /* its writer must not die of SIGPIPE */
		r = tar_reader_drain(&s.tar, e);
	tar_reader_done(&s.tar);
	return r;
}
