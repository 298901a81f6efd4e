/* files_walk: a tree that somebody else may be changing, node by node, each directory's names sorted. What stands at a name is opened
 * with O_PATH | O_NOFOLLOW and judged by that descriptor; a regular file's bytes are read through /proc/self/fd of the very same, so
 * that no swap can make us open a FIFO or a device. What vanishes on the way is passed over. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "files.h"

#define CHUNK     (256u << 10)
#define XATTR_MAX (64u << 10)

/* A file with further names, by what it is. */
struct known {
	dev_t dev;
	ino_t ino;
	char path[];
};
struct walker {
	const struct walk *w;
	struct file_sink *s;
	void *known; /* tsearch */
	uint8_t *buf;
	dev_t dev;               /* of the last node: its file system has been looked at */
	char path[PATH_MAX * 2]; /* of the node at hand */
	unsigned depth;
};

static int failed(const char *what, const char *path, struct err *e)
{
	int no = errno;

	return err_set(e, no, "%s \"%.200s\": %s", what, path, strerror(no));
}

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

/* ---- a file's bytes ---- */

struct content {
	int fd;
	uint64_t at, size;
	uint8_t *buf;
	bool is_sparse; /* holes are looked for */
};

static int next_piece(const struct file_node *n, const void **ret_p, size_t *ret_len, uint64_t *ret_off, struct err *e)
{
	struct content *c = n->from;
	ssize_t got;

	if (c->is_sparse && c->at < c->size) {
		off_t data = lseek(c->fd, (off_t)c->at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0;
		if (data >= 0)
			c->at = (uint64_t)data;
		else
			c->is_sparse = false; /* the file system has no notion of holes */
	}
	if (c->at >= c->size)
		return 0;
	while ((got = pread(c->fd, c->buf, (size_t)MIN((uint64_t)CHUNK, c->size - c->at), (off_t)c->at)) < 0 && errno == EINTR)
		;
	if (got < 0)
		return failed("read", n->path, e);
	*ret_p = c->buf;
	*ret_len = (size_t)got;
	*ret_off = c->at;
	c->at += (uint64_t)got;
	return got > 0; /* shorter than it was: so be it */
}

/* ---- extended attributes ---- */

bool files_xattr_is_wanted(enum walk_xattrs which, const char *name)
{
	if (which == WALK_XATTRS_CAPABILITY)
		return streq(name, "security.capability");
	if (str_after(name, "trusted.overlay.") || str_after(name, "user.overlay."))
		return false;
	return streq(name, "security.capability") || str_after(name, "system.posix_acl_") || str_after(name, "user.") ||
	       str_after(name, "trusted.");
}

static int add_xattr(struct file_node *n, const char *by_fd, const char *name, struct err *e)
{
	_cleanup_free_ char *value = malloc(XATTR_MAX);
	struct file_xattr *more;
	ssize_t len;

	if (!value)
		return out_of_memory(e);
	if ((len = getxattr(by_fd, name, value, XATTR_MAX)) < 0)
		return errno == ENODATA ? 0 : failed("read the attributes of", n->path, e);
	if (!(more = reallocarray(n->xattrs, n->n_xattrs + 1, sizeof(*more))))
		return out_of_memory(e);
	n->xattrs = more;
	more[n->n_xattrs] = (struct file_xattr){ .name = strdup(name), .len = (size_t)len };
	if (!more[n->n_xattrs].name)
		return out_of_memory(e);
	more[n->n_xattrs++].value = TAKE_PTR(value);
	return 0;
}

static int read_xattrs(const struct walker *k, struct file_node *n, int fd, struct err *e)
{
	_cleanup_free_ char *names = NULL;
	char by_fd[FD_PATH_LEN];
	ssize_t len;

	fd_path(fd, by_fd);
	if (k->w->xattrs == WALK_XATTRS_CAPABILITY && !S_ISREG(n->mode))
		return 0;
	if (!(names = malloc(XATTR_MAX)))
		return out_of_memory(e);
	if ((len = listxattr(by_fd, names, XATTR_MAX)) < 0)
		return errno == ENOTSUP || errno == ENOSYS ? 0 : failed("list the attributes of", n->path, e);
	for (char *at = names; at < names + len; at += strlen(at) + 1) {
		if (k->w->is_overlay && (streq(at, "trusted.overlay.redirect") || streq(at, "trusted.overlay.metacopy")))
			return err_set(e, EOPNOTSUPP,
				       "\"%.200s\" was written by an overlayfs with redirect_dir or metacopy, which "
				       "Berth's have not",
				       n->path);
		int r = files_xattr_is_wanted(k->w->xattrs, at) ? add_xattr(n, by_fd, at, e) : 0;
		if (r < 0)
			return r;
		/* overlayfs with userxattr, as rootless ones have it, says the same by another name. */
		n->is_opaque |= k->w->is_overlay && S_ISDIR(n->mode) &&
				(streq(at, "trusted.overlay.opaque") || streq(at, "user.overlay.opaque"));
	}
	return 0;
}

static void node_done(struct file_node *n)
{
	for (size_t i = 0; i < n->n_xattrs; i++) {
		free(n->xattrs[i].name);
		free(n->xattrs[i].value);
	}
	free(n->xattrs);
}

/* ---- further names of one file ---- */

static int by_inode(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* *ret: the path by which it is known, or NULL and it is known from now on. */
static int find_link(struct walker *k, const struct stat *st, const char **ret, struct err *e)
{
	size_t len = strlen(k->path) + 1;
	struct known *key, **found;

	*ret = NULL;
	if (!S_ISREG(st->st_mode) || st->st_nlink < 2)
		return 0;
	if (!(key = malloc(sizeof(*key) + len)))
		return out_of_memory(e);
	key->dev = st->st_dev;
	key->ino = st->st_ino;
	memcpy(key->path, k->path, len);
	found = tsearch(key, &k->known, by_inode);
	if (!found) {
		free(key);
		return out_of_memory(e);
	}
	if (*found != key) {
		free(key);
		*ret = (*found)->path;
	}
	return 0;
}

/* ---- file systems that are made up ---- */

/* What the kernel tells and is told by files: their sizes say nothing, reading some has effects. Docker doesn't copy them either. */
static bool is_made_up(int fd)
{
	static const long types[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC,      CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,
		TRACEFS_MAGIC,    SECURITYFS_MAGIC, BPF_FS_MAGIC,       PSTOREFS_MAGIC,      EFIVARFS_MAGIC
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((long)fs.f_type == types[i])
			return true;
	return false;
}

/* ---- nodes ---- */

static int walk_children(struct walker *k, int fd, struct err *e);

/* n is without what only lasts for the call. */
static int put(struct walker *k, const struct file_node *n, int fd, struct err *e)
{
	struct content c = { .fd = -1, .size = n->size, .buf = k->buf, .is_sparse = true };
	char by_fd[FD_PATH_LEN], target[PATH_MAX + 1];
	struct file_node whole = *n;
	int r;

	if (S_ISLNK(n->mode)) {
		ssize_t len = readlinkat(fd, "", target, sizeof(target) - 1);
		if (len < 0)
			return failed("read the link", k->path, e);
		target[len] = '\0';
		whole.target = target;
	}
	if (S_ISREG(n->mode) && !n->link) {
		c.fd = open(fd_path(fd, by_fd), O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (c.fd < 0)
			return failed("open", k->path, e);
		whole.next = next_piece;
		whole.from = &c;
	}
	r = k->s->put(k->s, &whole, e);
	fd_close(c.fd);
	return r;
}

static int walk_node(struct walker *k, int dirfd, const char *name, struct err *e)
{
	bool is_self = streq(name, ".");
	_cleanup_fd_ int fd = is_self ? fcntl(dirfd, F_DUPFD_CLOEXEC, 3) : openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(node_done) struct file_node n = { .path = k->path };
	struct stat st;
	int r;

	if (fd < 0 && errno == ENOENT && k->depth > 0)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return failed("open", k->path, e);
	if (k->w->is_left_out && k->w->is_left_out(k->path, &st, k->w->arg))
		return 0;
	bool made_up = st.st_dev != k->dev && is_made_up(fd);
	if (made_up && k->depth == 0)
		return err_set(e, EOPNOTSUPP, "\"%.200s\" is the kernel's word, and no file: \"berth exec\" reads it", k->w->as);
	k->dev = made_up ? k->dev : st.st_dev;
	n.mode = st.st_mode;
	n.uid = st.st_uid;
	n.gid = st.st_gid;
	n.size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	n.rdev = st.st_rdev;
	n.mtime = st.st_mtim;
	n.dev = st.st_dev;
	n.ino = st.st_ino;
	if (S_ISDIR(st.st_mode) && k->s->is_own && k->s->is_own(k->s, st.st_dev, st.st_ino))
		return err_set(e, EINVAL,
			       "\"%.200s\" holds the place that it is copied to: a directory can't be copied into itself",
			       k->path);
	if ((r = find_link(k, &st, &n.link, e)) < 0 || (!n.link && (r = read_xattrs(k, &n, fd, e)) < 0) ||
	    (r = put(k, &n, fd, e)) < 0)
		return r;
	return S_ISDIR(st.st_mode) && !made_up ? walk_children(k, fd, e) : 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* All names of a directory, sorted. */
static int read_names(int fd, const char *path, char ***ret, size_t *ret_n, struct err *e)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = own < 0 ? NULL : fdopendir(own);
	size_t n = 0, room = 0;
	char **names = NULL;
	struct dirent *entry;

	if (!d) {
		r = failed("open directory", path, e);
		fd_close(own);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(d))) {
		if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		if (n == room) {
			char **more = reallocarray(names, room = room ? room * 2 : 32, sizeof(*more));
			if (!more) {
				r = out_of_memory(e);
				break;
			}
			names = more;
		}
		if (!(names[n] = strdup(entry->d_name)))
			r = out_of_memory(e);
		else
			n++;
	}
	if (r == 0 && errno)
		r = failed("read directory", path, e);
	closedir(d);
	if (n)
		qsort(names, n, sizeof(*names), by_name);
	*ret = names;
	*ret_n = n;
	return r;
}

static int walk_children(struct walker *k, int fd, struct err *e)
{
	size_t n = 0, len = strlen(k->path);
	char **names = NULL;
	int r = ++k->depth > FILES_DEPTH_MAX
			? err_set(e, E2BIG, "\"%.60s...\" is deeper than %u directories", k->path, FILES_DEPTH_MAX)
			: read_names(fd, k->path, &names, &n, e);

	for (size_t i = 0; i < n; i++) {
		size_t more = strlen(names[i]) + (len > 0);
		if (r == 0 && len + more + 1 > sizeof(k->path))
			r = err_set(e, ENAMETOOLONG, "\"%.60s...\" is longer than %zu bytes", k->path, sizeof(k->path));
		if (r == 0) {
			snprintf(k->path + len, sizeof(k->path) - len, "%s%s", len ? "/" : "", names[i]);
			r = walk_node(k, fd, names[i], e);
			k->path[len] = '\0';
		}
		free(names[i]);
	}
	free(names);
	k->depth--;
	return r;
}

int files_walk(const struct walk *w, struct file_sink *s, struct err *e)
{
	_cleanup_free_ struct walker *k = calloc(1, sizeof(*k));
	_cleanup_free_ uint8_t *buf = malloc(CHUNK);
	int r;

	if (!k || !buf)
		return out_of_memory(e);
	k->w = w;
	k->s = s;
	k->buf = buf;
	if (strlen(w->as) >= sizeof(k->path))
		return err_set(e, ENAMETOOLONG, "\"%.60s...\" is too long", w->as);
	memcpy(k->path, w->as, strlen(w->as) + 1);
	r = walk_node(k, w->dirfd, w->name, e);
	tdestroy(k->known, free);
	return r;
}
