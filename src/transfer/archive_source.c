/* See archive_source.h. The outer tar is read by libarchive with its built-in gzip and zstd; the process is confined by then. */
#include "archive_source.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL     (8u << 20) /* documents; what is larger goes to disk */
#define CHUNK     (256u << 10)
#define ITEMS_MAX 20000
#define LINKS_MAX 8

static void item_free(struct item *i)
{
	if (!i)
		return;
	free(i->path);
	free(i->link);
	free(i->data);
	fd_close(i->fd);
	free(i);
}
DEFINE_CLEANUP(struct item *, item_free)

void source_done(struct source *s)
{
	for (size_t i = 0; i < s->n; i++)
		item_free(s->items[i]);
	free(s->items);
	*s = (struct source){ .dirfd = -1 };
}

/* Takes i; a later one of the same path replaces the earlier. */
static int add(struct source *s, struct item *i, struct err *e)
{
	for (size_t n = 0; n < s->n; n++)
		if (streq(s->items[n]->path, i->path)) {
			item_free(s->items[n]);
			s->items[n] = i;
			return 0;
		}
	struct item **more = s->n < ITEMS_MAX ? reallocarray(s->items, s->n + 1, sizeof(struct item *)) : NULL;
	if (!more) {
		item_free(i);
		return err_set(e, s->n < ITEMS_MAX ? ENOMEM : E2BIG, "the archive holds more than %d files", ITEMS_MAX);
	}
	s->items = more;
	s->items[s->n++] = i;
	return 0;
}

/* ---- taking bytes in ---- */

struct intake {
	struct source *s;
	struct item *i;
	struct buf small;
	struct sha256_ctx sha;
};

static int spill(struct intake *t, struct err *e)
{
	int r;

	if (t->i->fd < 0) {
		r = file_unnamed(t->s->rootfd, "tmp");
		if (r < 0)
			return err_set(e, -r, "make a file in the store's tmp: %s", strerror(-r));
		t->i->fd = r;
	}
	r = fd_write_full(t->i->fd, t->small.data, t->small.len);
	t->small.len = 0;
	return r < 0 ? err_set(e, -r, "write to the store's tmp: %s", strerror(-r)) : 0;
}

static int take(struct intake *t, const void *p, size_t n, struct err *e)
{
	t->i->size += n;
	t->s->bytes += n;
	if (t->s->bytes > t->s->lim->max_bytes)
		return err_set(e, E2BIG, "the archive is larger than the limit of %llu bytes",
			       (unsigned long long)t->s->lim->max_bytes);
	sha256_update(&t->sha, n, p);
	buf_add(&t->small, p, n);
	if (t->small.failed)
		return err_set(e, ENOMEM, "load: out of memory");
	return t->i->size > SMALL && t->small.len >= CHUNK ? spill(t, e) : 0;
}

static int intake_end(struct intake *t, struct err *e)
{
	int r = t->i->fd >= 0 ? spill(t, e) : 0;

	sha256_finish_str(&t->sha, t->i->digest);
	if (r < 0)
		return r;
	if (t->i->fd < 0 && !(t->i->data = t->small.data ? buf_take(&t->small) : strdup("")))
		return err_set(e, ENOMEM, "load: out of memory");
	return 0;
}

/* ---- archives ---- */

struct input {
	int fd, no;
	uint8_t buf[CHUNK];
};

static la_ssize_t read_input(struct archive *a, void *arg, const void **ret)
{
	struct input *in = arg;
	ssize_t n;

	while ((n = read(in->fd, in->buf, sizeof(in->buf))) < 0 && errno == EINTR)
		;
	if (n < 0) {
		in->no = errno;
		archive_set_error(a, errno, "%s", strerror(errno));
	}
	*ret = in->buf;
	return n;
}

/* "a/b/x" that links to "../y" stands for "a/y". Climbing above the top is refused. */
static int resolve_link(const char *path, const char *target, char ret[UNPACK_PATH_MAX], struct err *e)
{
	size_t len = 0;
	const char *slash = strrchr(path, '/');

	if (slash && target[0] != '/') {
		len = (size_t)(slash - path);
		memcpy(ret, path, len);
	}
	ret[len] = '\0';
	for (const char *at = target; *at; at += strspn(at, "/")) {
		size_t n = strcspn(at, "/");
		if (n == 2 && at[0] == '.' && at[1] == '.') {
			char *up = strrchr(ret, '/');
			if (len == 0)
				return err_set(e, EINVAL, "link \"%.100s\" leads out of the archive", path);
			len = up ? (size_t)(up - ret) : 0;
		} else if (n > 0 && !(n == 1 && at[0] == '.')) {
			if (len + n + 2 > UNPACK_PATH_MAX)
				return err_set(e, EINVAL, "link \"%.100s\" is too long", path);
			if (len)
				ret[len++] = '/';
			memcpy(ret + len, at, n);
			len += n;
		}
		ret[len] = '\0';
		at += n;
	}
	return 0;
}

static int take_link(struct source *s, const char *path, const char *target, bool is_hard, struct err *e)
{
	_cleanup_(item_free_ptr) struct item *i = calloc(1, sizeof(*i));
	char to[UNPACK_PATH_MAX];
	int r = is_hard ? unpack_path_clean(target, s->lim->max_depth, to, e) : resolve_link(path, target, to, e);

	if (r < 0)
		return r;
	if (!i)
		return err_set(e, ENOMEM, "load: out of memory");
	i->fd = -1;
	if (!(i->path = strdup(path)) || !(i->link = strdup(to)))
		return err_set(e, ENOMEM, "load: out of memory");
	return add(s, TAKE_PTR(i), e);
}

static int check_ratio(const struct source *s, struct archive *a, struct err *e)
{
	uint64_t in = (uint64_t)archive_filter_bytes(a, -1);

	if (s->bytes > s->lim->ratio_floor_bytes && s->bytes / s->lim->max_ratio > in)
		return err_set(e, E2BIG, "the archive inflates to more than %llu times its size: refused",
			       (unsigned long long)s->lim->max_ratio);
	return 0;
}

static int take_file(struct source *s, struct archive *a, const char *path, struct err *e)
{
	_cleanup_(item_free_ptr) struct item *i = calloc(1, sizeof(*i));
	struct intake t = { .s = s, .i = i };
	const void *p;
	size_t n;
	la_int64_t off;
	int r = 0, k = ARCHIVE_EOF;

	if (!i)
		return err_set(e, ENOMEM, "load: out of memory");
	i->fd = -1;
	if (!(i->path = strdup(path)))
		return err_set(e, ENOMEM, "load: out of memory");
	sha256_init(&t.sha);
	while (r == 0 && (k = archive_read_data_block(a, &p, &n, &off)) == ARCHIVE_OK) {
		if ((uint64_t)off != i->size)
			r = err_set(e, EBADMSG, "\"%.100s\" in the archive is sparse", path);
		else if ((r = take(&t, p, n, e)) == 0)
			r = check_ratio(s, a, e);
	}
	if (r == 0 && k != ARCHIVE_EOF)
		r = err_set(e, EBADMSG, "\"%.100s\" in the archive: %s", path, archive_error_string(a));
	if (r == 0)
		r = intake_end(&t, e);
	buf_done(&t.small);
	return r < 0 ? r : add(s, TAKE_PTR(i), e);
}

static int take_entry(struct source *s, struct archive *a, struct archive_entry *entry, struct err *e)
{
	const char *raw = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry);
	char path[UNPACK_PATH_MAX];
	int r;

	if (!raw)
		return err_set(e, EBADMSG, "the archive has an entry without a name");
	if ((r = unpack_path_clean(raw, s->lim->max_depth, path, e)) < 0)
		return r;
	if (link)
		return take_link(s, path, link, true, e);
	if (archive_entry_filetype(entry) == AE_IFLNK && archive_entry_symlink(entry))
		return take_link(s, path, archive_entry_symlink(entry), false, e);
	return archive_entry_filetype(entry) == AE_IFREG ? take_file(s, a, path, e) : 0;
}

static int take_archive(struct source *s, int fd, struct err *e)
{
	struct archive *a = archive_read_new();
	struct input *in = calloc(1, sizeof(*in));
	struct archive_entry *entry;
	int r = 0, k;

	if (!a || !in) {
		r = err_set(e, ENOMEM, "load: out of memory");
	} else {
		in->fd = fd;
		archive_read_support_filter_gzip(a);
		archive_read_support_filter_zstd(a);
		archive_read_support_format_tar(a);
		if (archive_read_open(a, in, NULL, read_input, NULL) != ARCHIVE_OK)
			r = err_set(e, in->no ? in->no : EINVAL,
				    in->no ? "read the archive: %s" : "not a tar archive of images (plain, gzip or zstd): %s",
				    archive_error_string(a));
	}
	while (r == 0 && (k = archive_read_next_header(a, &entry)) != ARCHIVE_EOF) {
		if (k == ARCHIVE_RETRY)
			continue;
		r = k == ARCHIVE_OK || k == ARCHIVE_WARN
			    ? take_entry(s, a, entry, e)
			    : err_set(e, EINVAL, "not a whole tar archive of images: %s", archive_error_string(a));
	}
	archive_read_free(a);
	free(in);
	return r;
}

/* ---- directories ---- */

static int take_from_dir(struct source *s, const char *path, struct item **ret, struct err *e)
{
	_cleanup_(item_free_ptr) struct item *i = NULL;
	/* No symlink is followed out of the layout; NONBLOCK: a FIFO must not hold us. */
	_cleanup_fd_ int fd = root_open(s->dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	_cleanup_free_ uint8_t *buf = malloc(CHUNK);
	struct stat st;
	ssize_t n = 0;
	int r = 0;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, fd < 0 ? -fd : errno, "open %s: %s", path, strerror(fd < 0 ? -fd : errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s is not a regular file", path);
	if (!buf || !(i = calloc(1, sizeof(*i))) || !(i->path = strdup(path)))
		return err_set(e, ENOMEM, "load: out of memory");
	i->fd = -1;
	struct intake t = { .s = s, .i = i };
	sha256_init(&t.sha);
	while (r == 0 && (n = fd_read_full(fd, buf, CHUNK)) > 0)
		r = take(&t, buf, (size_t)n, e);
	if (r == 0 && n < 0)
		r = err_set(e, (int)-n, "read %s: %s", path, strerror((int)-n));
	if (r == 0)
		r = intake_end(&t, e);
	buf_done(&t.small);
	if (r < 0)
		return r;
	*ret = i;
	return add(s, TAKE_PTR(i), e);
}

int source_open(struct source *s, int rootfd, int in, const struct unpack_limits *lim, struct err *e)
{
	struct stat st;

	*s = (struct source){ .rootfd = rootfd, .dirfd = -1, .lim = lim };
	if (fstat(in, &st) < 0)
		return err_set(e, errno, "load: %s", strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return take_archive(s, in, e);
	s->dirfd = in;
	return 0;
}

int source_find(struct source *s, const char *path, struct item **ret, struct err *e)
{
	*ret = NULL;
	for (int links = 0; links < LINKS_MAX; links++) {
		struct item *hit = NULL;
		for (size_t i = 0; i < s->n && !hit; i++)
			if (streq(s->items[i]->path, path))
				hit = s->items[i];
		if (!hit)
			return s->dirfd >= 0 ? take_from_dir(s, path, ret, e) : 0;
		if (!hit->link) {
			*ret = hit;
			return 0;
		}
		path = hit->link;
	}
	return err_set(e, ELOOP, "too many links at \"%.100s\" in the archive", path);
}

int source_blob(struct source *s, const char *digest, struct item **ret, struct err *e)
{
	struct item *i = NULL;
	char path[96];
	int r = digest_check(digest, e);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "blobs/sha256/%s", digest_hex(digest));
	if ((r = source_find(s, path, &i, e)) < 0)
		return r;
	if (!i)
		return err_set(e, ENOENT, "blob %s is not there", digest);
	if (!streq(i->digest, digest))
		return err_set(e, EBADMSG, "blob %s is damaged: its bytes hash to %s", digest, i->digest);
	*ret = i;
	return 0;
}

int item_text(const struct item *i, const char **ret, struct err *e)
{
	if (!i->data)
		return err_set(e, EFBIG, "%s is too large for a document (%llu bytes)", i->path, (unsigned long long)i->size);
	*ret = i->data;
	return 0;
}

static int copy_to(int fd, int dirfd, const char *name)
{
	_cleanup_fd_ int to = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	uint8_t buf[CHUNK];
	off_t at = 0;
	ssize_t n;
	int r = 0;

	if (to < 0)
		return -errno;
	while (r == 0 && (n = pread(fd, buf, sizeof(buf), at)) != 0) {
		r = n < 0 ? -errno : fd_write_full(to, buf, (size_t)n);
		at += n;
	}
	return r;
}

/* A name for a file that has none. One whose name was removed (file_unnamed's second way) gets no other: linkat(2), ENOENT. */
static int give_name(int fd, int dirfd, const char *name)
{
	char from[FD_PATH_LEN];

	if (linkat(AT_FDCWD, fd_path(fd, from), dirfd, name, AT_SYMLINK_FOLLOW) == 0 || errno == EEXIST)
		return 0;
	return errno == ENOENT ? copy_to(fd, dirfd, name) : -errno;
}

int item_store(struct source *s, struct item *i, struct err *e)
{
	_cleanup_fd_ int blobs = openat(s->rootfd, "oci/blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char temp[80];
	int r;

	if (blobs < 0)
		return err_set(e, errno, "open the store's blobs: %s", strerror(errno));
	if (i->data) {
		r = file_replace(blobs, digest_hex(i->digest), i->data, i->size, 0600, false);
	} else {
		snprintf(temp, sizeof(temp), ".%s.%d", digest_hex(i->digest), (int)getpid());
		r = give_name(i->fd, blobs, temp);
		if (r == 0 && renameat(blobs, temp, blobs, digest_hex(i->digest)) < 0)
			r = -errno;
		/* rename(2) of two names of one file does nothing. */
		unlinkat(blobs, temp, 0);
	}
	return r < 0 ? err_set(e, -r, "store blob %s: %s", i->digest, strerror(-r)) : 0;
}
