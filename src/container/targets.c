/* targets: the mount points of a root that somebody else will mount on. CRIU restores a mount tree, but makes no directory for it in
 * a root that is new; nor does it need one where another mount that it brings with it has the place. */
#include <unistd.h>

#include "setup.h"

static bool is_remount(const struct spec_mount *m)
{
	for (size_t i = 0; m->options && m->options[i]; i++)
		if (streq(m->options[i], "remount"))
			return true;
	return false;
}

/* The last mount before the i-th that covers its place, or NULL: that is then the root. */
static const struct spec_mount *cover_of(const struct spec *s, size_t i)
{
	for (size_t k = i; k-- > 0;)
		if (path_is_under(s->mounts[i].destination, s->mounts[k].destination) && !is_remount(&s->mounts[k]))
			return &s->mounts[k];
	return NULL;
}

static int is_dir(const struct spec_mount *m, const char *bundle, struct err *e)
{
	_cleanup_free_ char *path = m->source && m->source[0] != '/' && bundle ? str_fmt("%s/%s", bundle, m->source) : NULL;
	const char *source = path ? path : m->source ? m->source : "";
	struct stat st;

	if (!mount_is_bind(m))
		return 1;
	return stat(source, &st) < 0 ? err_set(e, errno, "source %s: %s", source, strerror(errno)) : S_ISDIR(st.st_mode);
}

static const char *skip_nothing(const char *s)
{
	while (*s == '/' || (s[0] == '.' && (s[1] == '/' || !s[1])))
		s++;
	return s;
}

/* What follows dir in path, which path_is_under has found below it. */
static const char *rest_of(const char *path, const char *dir)
{
	for (dir = skip_nothing(dir), path = skip_nothing(path); *dir; dir = skip_nothing(dir), path = skip_nothing(path)) {
		dir += strcspn(dir, "/");
		path += strcspn(path, "/");
	}
	return path;
}

static int make_one(const struct spec *s, size_t i, int rootfd, const char *bundle, struct err *e)
{
	const struct spec_mount *m = &s->mounts[i], *cover;
	_cleanup_fd_ int fd = -1, source = -1;
	int dir;

	if (!m->destination || m->destination[0] != '/' || is_remount(m))
		return 0;
	cover = cover_of(s, i);
	if (cover && (!mount_is_bind(cover) || !*rest_of(m->destination, cover->destination)))
		return 0;
	dir = is_dir(m, bundle, e);
	if (dir < 0)
		return dir;
	if (cover && cover->source && (source = open(cover->source, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, errno, "source %s: %s", cover->source, strerror(errno));
	if (cover)
		fd = target_make(source, rest_of(m->destination, cover->destination), dir ? TARGET_DIR : TARGET_FILE, false, e);
	else
		fd = target_make(rootfd, m->destination, dir ? TARGET_DIR : TARGET_FILE, path_is_kernels(m->destination), e);
	return fd < 0 ? fd : 0;
}

int container_make_targets(const struct spec *s, int rootfd, const char *bundle, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < s->n_mounts && r == 0; i++) {
		r = make_one(s, i, rootfd, bundle, e);
		if (r < 0)
			err_push(e, r, "mount %s", s->mounts[i].destination);
	}
	return r;
}
