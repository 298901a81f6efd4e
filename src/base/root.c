/* Paths inside a tree that strangers have filled: a container's root, an image's layer. "/" is rootfd whatever the path or a
 * symlink in it says. The kernel does it in one call (openat2, Linux 5.6); the walk below does the same on kernels and under
 * seccomp filters that answer ENOSYS, one component at a time, and never lets the kernel follow a link itself.
 *
 * Invariants of the walk: dirs.fds[0] is rootfd; each next fd is a directory opened by name, without following links, from
 * the one before, and ".." pops. So no renaming by the other side can lead it above rootfd. */
#include <limits.h>
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"

#define LINKS_MAX 40   /* as the kernel's MAXSYMLINKS */
#define DEPTH_MAX 1024 /* directories held open at once */
#define AGAIN_MAX 64   /* openat2 answers EAGAIN when a rename raced with ".." */

struct dirs {
	int *fds;
	size_t n, cap;
};

static void dirs_pop(struct dirs *d)
{
	if (d->n > 1) /* fds[0] is the caller's */
		fd_close(d->fds[--d->n]);
}

static void dirs_done(struct dirs *d)
{
	while (d->n > 1)
		dirs_pop(d);
	free(d->fds);
}

static int dirs_push(struct dirs *d, int fd)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 16;
		int *bigger = d->n < DEPTH_MAX ? reallocarray(d->fds, cap, sizeof(int)) : NULL;
		if (!bigger) {
			fd_close(fd);
			return d->n < DEPTH_MAX ? -ENOMEM : -ENAMETOOLONG;
		}
		d->fds = bigger;
		d->cap = cap;
	}
	d->fds[d->n++] = fd;
	return 0;
}

/* Links of procfs other than those of its top folder (self, thread-self, mounts, net) lead to objects, not to paths; the
 * text they show must not be taken for one. openat2 answers ELOOP for them (RESOLVE_NO_MAGICLINKS). */
static bool is_magic_link(int parentfd, int linkfd)
{
	enum { PROC_ROOT_INO = 1 };
	struct statfs fs;
	struct stat st;

	if (fstatfs(linkfd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return false;
	return fstat(parentfd, &st) < 0 || st.st_ino != PROC_ROOT_INO;
}

static char *read_link(int linkfd)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(linkfd, "", target, sizeof(target) - 1);

	if (n < 0)
		return NULL;
	target[n] = '\0';
	return strdup(target);
}

/* One turn of the walk: what to do about name in the top directory. */
struct walk {
	struct dirs dirs;
	char *rest; /* malloc'd: what is still to be resolved */
	int links;
	int flags;
	mode_t mode;
};

/* Puts a link's text in front of what follows it. */
static int splice_link(struct walk *w, int linkfd, const char *behind)
{
	if (++w->links > LINKS_MAX || is_magic_link(w->dirs.fds[w->dirs.n - 1], linkfd))
		return -ELOOP;
	_cleanup_free_ char *target = read_link(linkfd);
	if (!target)
		return -errno;
	if (!*target)
		return -ENOENT;
	char *rest = *behind ? str_fmt("%s/%s", target, behind) : strdup(target);
	if (!rest)
		return -ENOMEM;
	if (strlen(rest) >= PATH_MAX) {
		free(rest);
		return -ENAMETOOLONG;
	}
	free(w->rest);
	w->rest = rest;
	if (rest[0] == '/')
		while (w->dirs.n > 1)
			dirs_pop(&w->dirs);
	return 0;
}

static int open_final(struct walk *w, const char *name)
{
	int fd = openat(w->dirs.fds[w->dirs.n - 1], name, w->flags | O_NOFOLLOW | O_CLOEXEC, w->mode);

	return fd < 0 ? -errno : fd;
}

/* The walk's end: a fd >= 0; its next turn: -EINPROGRESS. */
static int walk_step(struct walk *w)
{
	char *name = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(name, "/");
	bool slash = name[n] == '/';
	char *behind = name + n + strspn(name + n, "/");
	struct stat st;
	int r;

	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	if (slash)
		name[n] = '\0';
	bool last = !*behind;
	bool dots = n == 0 || streq(name, ".") || streq(name, "..");
	if (dots) {
		if (n == 2)
			dirs_pop(&w->dirs);
		if (last)
			return (w->flags & O_CREAT) ? -EISDIR : open_final(w, ".");
		memmove(w->rest, behind, strlen(behind) + 1);
		return -EINPROGRESS;
	}
	if (last && slash && (w->flags & O_CREAT))
		return -EISDIR;
	if (last && (w->flags & O_CREAT) && (w->flags & O_EXCL))
		return open_final(w, name);
	_cleanup_fd_ int fd = openat(w->dirs.fds[w->dirs.n - 1], name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return last && errno == ENOENT && (w->flags & O_CREAT) ? open_final(w, name) : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode) && !(last && !slash && (w->flags & O_NOFOLLOW))) {
		/* A slash behind a link asks for the folder that it leads to. */
		r = splice_link(w, fd, last && slash ? "." : behind);
		return r < 0 ? r : -EINPROGRESS;
	}
	if (last && !slash)
		return open_final(w, name);
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	r = dirs_push(&w->dirs, TAKE_FD(fd));
	if (r < 0)
		return r;
	if (last)
		return open_final(w, ".");
	memmove(w->rest, behind, strlen(behind) + 1);
	return -EINPROGRESS;
}

static int root_walk(int rootfd, const char *path, int flags, mode_t mode)
{
	struct walk w = { .flags = flags, .mode = mode };
	int r = dirs_push(&w.dirs, rootfd);

	if (r < 0)
		return -ENOMEM;
	w.rest = strdup(path);
	r = w.rest ? -EINPROGRESS : -ENOMEM;
	while (r == -EINPROGRESS)
		r = walk_step(&w);
	dirs_done(&w.dirs);
	free(w.rest);
	return r;
}

int root_open(int rootfd, const char *path, int flags, mode_t mode)
{
	bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = creates ? mode & 07777 : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	if (!*path)
		return -ENOENT;
	for (int tries = 0;; tries++) {
		long fd = syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno == ENOSYS)
			return root_walk(rootfd, path, flags, how.mode);
		if (errno != EINTR && (errno != EAGAIN || tries >= AGAIN_MAX))
			return -errno;
	}
}

int root_open_parent(int rootfd, const char *path, char **ret_name)
{
	size_t end = strlen(path);

	while (end > 0 && path[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	_cleanup_free_ char *name = strndup(path + start, end - start);
	_cleanup_free_ char *parent = start ? strndup(path, start) : strdup(".");
	if (!name || !parent)
		return -ENOMEM;
	if (!*name || streq(name, ".") || streq(name, ".."))
		return -EINVAL;
	int fd = root_open(rootfd, parent, O_PATH | O_DIRECTORY, 0);
	if (fd >= 0)
		*ret_name = TAKE_PTR(name);
	return fd;
}

static int mkdir_p_in_root(int rootfd, const char *path, mode_t mode, int links);

/* path does not resolve although its last component exists: a dangling link, whose target is made instead, as mkdir -p in
 * the container would need it (/var/run -> /run in an image without /run). */
static int mkdir_through_link(int rootfd, const char *path, int parentfd, const char *name, mode_t mode, int links)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(parentfd, name, target, sizeof(target) - 1);

	if (n < 0)
		return errno == EINVAL ? -ENOTDIR : -errno;
	if (links >= LINKS_MAX)
		return -ELOOP;
	target[n] = '\0';
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *whole =
		target[0] == '/' || !slash ? strdup(target) : str_fmt("%.*s/%s", (int)(slash - path), path, target);
	return whole ? mkdir_p_in_root(rootfd, whole, mode, links + 1) : -ENOMEM;
}

static int mkdir_p_in_root(int rootfd, const char *path, mode_t mode, int links)
{
	int fd = root_open(rootfd, path, O_PATH | O_DIRECTORY, 0);

	if (fd != -ENOENT || !*path)
		return fd;
	_cleanup_free_ char *prefix = strdup(path);
	if (!prefix)
		return -ENOMEM;
	size_t len = strlen(prefix);
	while (len > 1 && prefix[len - 1] == '/')
		prefix[--len] = '\0';
	for (char *p = prefix;; p++) {
		if (*p && (*p != '/' || p == prefix || p[-1] == '/'))
			continue;
		char keep = *p;
		_cleanup_free_ char *name = NULL;
		*p = '\0';
		fd = root_open(rootfd, prefix, O_PATH | O_DIRECTORY, 0);
		if (fd == -ENOENT) {
			_cleanup_fd_ int parent = root_open_parent(rootfd, prefix, &name);
			if (parent < 0)
				return parent;
			if (mkdirat(parent, name, mode) < 0 && errno != EEXIST)
				return -errno;
			fd = root_open(rootfd, prefix, O_PATH | O_DIRECTORY, 0);
			if (fd == -ENOENT)
				fd = mkdir_through_link(rootfd, prefix, parent, name, mode, links);
		}
		if (fd < 0 || !keep)
			return fd;
		fd_close(fd);
		*p = keep;
	}
}

int root_mkdir_p(int rootfd, const char *path, mode_t mode) { return mkdir_p_in_root(rootfd, path, mode, 0); }
