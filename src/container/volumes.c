/* volumes: what a container's config binds, in its root while it does not run, for whoever copies its files: by the engine on a host, by the
 * agent in a guest. */
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "container.h"

static bool has_option(const struct spec_mount *m, const char *word)
{
	for (char **o = m->options; o && *o; o++)
		if (streq(*o, word))
			return true;
	return false;
}

/* Where it belongs, made as its start would make it. */
static int mount_point(int rootfd, const char *path, bool is_dir)
{
	int fd = is_dir ? root_mkdir_p(rootfd, path, 0755) : root_open(rootfd, path, O_PATH, 0);

	if (is_dir || fd != -ENOENT)
		return fd;
	_cleanup_free_ char *dir = strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
	_cleanup_fd_ int parent = dir ? root_mkdir_p(rootfd, dir, 0755) : -ENOMEM;
	if (parent < 0)
		return parent;
	fd = root_open(rootfd, path, O_CREAT | O_WRONLY | O_NOCTTY | O_NONBLOCK, 0644);
	if (fd < 0)
		return fd;
	fd_close(fd);
	return root_open(rootfd, path, O_PATH, 0);
}

static int mount_volume(int rootfd, const struct spec_mount *m, struct err *e)
{
	struct mount_attr attr = { .attr_set = has_option(m, "ro") ? MOUNT_ATTR_RDONLY : 0 };
	unsigned deep = has_option(m, "rbind") ? AT_RECURSIVE : 0;
	_cleanup_fd_ int tree = open_tree(AT_FDCWD, m->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | deep), at = -1;
	struct stat st;

	if (tree < 0 || fstat(tree, &st) < 0)
		return err_set(e, errno, "volume %s: %s", m->source, strerror(errno));
	if (attr.attr_set && mount_setattr(tree, "", AT_EMPTY_PATH | deep, &attr, sizeof(attr)) < 0)
		return err_set(e, errno, "volume %s: make it read-only: %s", m->source, strerror(errno));
	at = mount_point(rootfd, m->destination, S_ISDIR(st.st_mode));
	if (at < 0)
		return err_set(e, -at, "volume %s: its place %s: %s", m->source, m->destination, strerror(-at));
	if (move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_set(e, errno, "volume %s: mount it on %s: %s", m->source, m->destination, strerror(errno));
	return 0;
}

int container_bind_volumes(int rootfd, const struct spec *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < s->n_mounts && r >= 0; i++)
		if (streq0(s->mounts[i].type, "bind") && s->mounts[i].source && *s->mounts[i].source == '/')
			r = mount_volume(rootfd, &s->mounts[i], e);
	return MIN(r, 0);
}
