/* mask: paths that the container may not read (maskedPaths) or not write (readonlyPaths). A masked file is covered with the
 * null device, which is verified by its device number and not by its name (CVE-2025-31133), a masked directory with one empty
 * read-only tmpfs that all of them share. A path that is not there needs no cover. Called as steps. */
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

struct masks {
	int null;  /* O_PATH of the verified node, -1 until needed */
	int empty; /* the shared tmpfs once it is attached somewhere, -1 before */
};

/* Before Linux 6.15 only an attached mount can be cloned: so the first directory gets the tmpfs itself. */
static int cover_dir(struct masks *m, int target, struct err *e)
{
	static const char *const data[] = { "size=0", "nr_inodes=1", "mode=755" };
	_cleanup_fd_ int fd = m->empty < 0
				      ? fs_mount("tmpfs", "tmpfs", data, ARRAY_SIZE(data),
						 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e)
				      : mount_clone(m->empty, "", false);
	int r;

	if (fd < 0)
		return e && e->no ? fd : err_set(e, -fd, "empty directory: %s", strerror(-fd));
	r = mount_attach(fd, target);
	if (r < 0)
		return err_set(e, -r, "attach: %s", strerror(-r));
	if (m->empty < 0)
		m->empty = TAKE_FD(fd);
	return 0;
}

static int cover_file(struct setup *s, struct masks *m, int target, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	int r;

	if (m->null < 0)
		m->null = dev_null_open(s, e);
	if (m->null < 0)
		return m->null;
	fd = mount_clone(m->null, "", false);
	if (fd < 0)
		return err_set(e, -fd, "null device: %s", strerror(-fd));
	r = mount_attach(fd, target);
	return r < 0 ? err_set(e, -r, "attach: %s", strerror(-r)) : 0;
}

static int open_place(struct setup *s, const char *path, struct err *e)
{
	int fd;

	if (path[0] != '/')
		return err_set(e, EINVAL, "expected an absolute path");
	fd = root_open(s->rootfd, path, O_PATH, 0);
	/* ENOTDIR: an image has a file where the path has a directory; nothing to cover either. */
	if (fd == -ENOENT || fd == -ENOTDIR)
		return -ENOENT;
	return fd < 0 ? err_set(e, -fd, "%s", strerror(-fd)) : fd;
}

static int mask_one(struct setup *s, struct masks *m, const char *path, struct err *e)
{
	_cleanup_fd_ int target = open_place(s, path, e);
	struct stat st;

	if (target == -ENOENT)
		return 0;
	if (target < 0)
		return target;
	if (fstat(target, &st) < 0)
		return err_set(e, errno, "%s", strerror(errno));
	return S_ISDIR(st.st_mode) ? cover_dir(m, target, e) : cover_file(s, m, target, e);
}

static int mask_all(struct setup *s, bool is_late, struct err *e)
{
	struct masks m = { .null = -1, .empty = -1 };
	int r = 0;

	for (char *const *p = s->spec->masked_paths; p && *p && r == 0; p++) {
		r = path_is_late(s->spec, *p) == is_late ? mask_one(s, &m, *p, e) : 0;
		if (r < 0)
			err_push(e, r, "%s", *p);
	}
	fd_close(m.null);
	fd_close(m.empty);
	return r;
}

static int readonly_one(struct setup *s, const char *path, struct err *e)
{
	_cleanup_fd_ int target = open_place(s, path, e), fd = -1;
	int r;

	if (target == -ENOENT)
		return 0;
	if (target < 0)
		return target;
	fd = mount_clone(target, "", true);
	if (fd < 0)
		return err_set(e, -fd, "bind: %s", strerror(-fd));
	r = mount_attrs(fd, true, MOUNT_ATTR_RDONLY, 0, 0);
	if (r == 0)
		r = mount_attach(fd, target);
	return r < 0 ? err_set(e, -r, "%s", strerror(-r)) : 0;
}

static int readonly_all(struct setup *s, bool is_late, struct err *e)
{
	int r = 0;

	for (char *const *p = s->spec->readonly_paths; p && *p && r == 0; p++) {
		r = path_is_late(s->spec, *p) == is_late ? readonly_one(s, *p, e) : 0;
		if (r < 0)
			err_push(e, r, "%s", *p);
	}
	return r;
}

int mask_apply(struct setup *s, struct err *e) { return mask_all(s, false, e); }
int readonly_apply(struct setup *s, struct err *e) { return readonly_all(s, false, e); }

int mask_apply_late(struct setup *s, struct err *e)
{
	int r = mask_all(s, true, e);

	return r < 0 ? r : readonly_all(s, true, e);
}
