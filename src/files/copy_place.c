#include "copy_place.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 40

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

char *path_absolute(const char *base, const char *path)
{
	_cleanup_free_ char *whole = *path == '/' ? strdup(path) : str_fmt("%s/%s", base, path);
	char *out = whole ? malloc(strlen(whole) + 2) : NULL;
	size_t len = 0;

	if (!out)
		return NULL;
	for (const char *at = whole; *at;) {
		size_t n = strcspn(at, "/");
		if (n == 2 && at[0] == '.' && at[1] == '.') {
			while (len > 0 && out[--len] != '/')
				;
		} else if (n > 0 && !(n == 1 && at[0] == '.')) {
			out[len++] = '/';
			memcpy(out + len, at, n);
			len += n;
		}
		at += n;
		at += strspn(at, "/");
	}
	if (len == 0)
		out[len++] = '/';
	out[len] = '\0';
	return out;
}

static int open_dir(int rootfd, const char *dir)
{
	int fd;

	if (rootfd >= 0)
		return root_open(rootfd, dir, O_PATH | O_DIRECTORY, 0);
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* path: absolute, cleaned. Fills dirfd and name. */
static int open_parent(struct place *p, int rootfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = dir ? open_dir(rootfd, dir) : -ENOMEM;

	if (fd < 0)
		return fd;
	fd_close(p->dirfd);
	p->dirfd = fd;
	free(p->name);
	p->name = strdup(slash[1] ? slash + 1 : ".");
	return p->name ? 0 : -ENOMEM;
}

/* Follows symlinks at the end by hand, so that what they lead to is known by its directory too. -errno. */
static int look(struct place *p, int rootfd, bool follow)
{
	_cleanup_free_ char *at = strdup(p->path);
	char target[PATH_MAX];

	for (int links = 0; at; links++) {
		int r = open_parent(p, rootfd, at);
		if (r < 0)
			return r;
		if (fstatat(p->dirfd, p->name, &p->st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : -errno;
		if (!S_ISLNK(p->st.st_mode) || !follow) {
			p->exists = true;
			return 0;
		}
		if (links >= LINKS_MAX)
			return -ELOOP;
		ssize_t n = readlinkat(p->dirfd, p->name, target, sizeof(target) - 1);
		if (n < 0)
			return -errno;
		target[n] = '\0';
		char *slash = strrchr(at, '/');
		slash[slash == at] = '\0';
		char *next = path_absolute(at, target);
		free(at);
		at = next;
	}
	return -ENOMEM;
}

int place_open(struct place *p, int rootfd, const char *path, bool follow, struct err *e)
{
	size_t len = strlen(path);
	_cleanup_free_ char *cwd = rootfd < 0 ? getcwd(NULL, 0) : strdup("/");
	int r;

	*p = (struct place){ .dirfd = -1 };
	p->is_content = streq(path, ".") || str_ends(path, "/.");
	p->asserts_dir = p->is_content || (len && path[len - 1] == '/');
	if (!cwd)
		return err_set(e, errno, "find the working directory: %s", strerror(errno));
	p->path = path_absolute(cwd, path);
	if (!p->path)
		return out_of_memory(e);
	if (streq(p->path, "/"))
		p->is_content = p->asserts_dir = true;
	p->base = strdup(strrchr(p->path, '/') + 1);
	if (!p->base)
		return out_of_memory(e);
	if ((r = look(p, rootfd, follow || p->asserts_dir)) < 0)
		return err_set(e, -r, "%s: %s", p->path, strerror(-r));
	if (p->exists && p->asserts_dir && !S_ISDIR(p->st.st_mode))
		return err_set(e, ENOTDIR, "%s: not a directory", p->path);
	return 0;
}

void place_done(struct place *p)
{
	free(p->path);
	free(p->name);
	free(p->base);
	fd_close(p->dirfd);
	*p = (struct place){ .dirfd = -1 };
}

int copy_plan(const struct place *src, const struct place *dst, struct copy_plan *ret, struct err *e)
{
	bool of_dir = S_ISDIR(src->st.st_mode);

	if (dst->exists && S_ISDIR(dst->st.st_mode))
		*ret = (struct copy_plan){ .is_into = true, .as = src->is_content ? "" : src->base };
	else if (dst->exists && of_dir)
		return err_set(e, ENOTDIR, "cannot copy directory %s to %s: it is a file", src->path, dst->path);
	else if (dst->exists && !S_ISREG(dst->st.st_mode))
		return err_set(e, EINVAL, "destination %s must be a directory or a regular file", dst->path);
	else if (!dst->exists && !of_dir && dst->asserts_dir)
		return err_set(e, ENOENT, "no such directory: %s/: make it first, or leave out the slash to name the copy",
			       dst->path);
	else
		*ret = (struct copy_plan){ .as = dst->name };
	return 0;
}

int place_open_dir(const struct place *p, bool is_into, struct err *e)
{
	int fd = !is_into || !p->name ? fcntl(p->dirfd, F_DUPFD_CLOEXEC, 3)
				      : openat(p->dirfd, p->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_set(e, errno, "open %s: %s", p->path, strerror(errno)) : fd;
}
