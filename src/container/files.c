/* files: small files that Berth puts into the container (/etc/hosts, /etc/hostname, /etc/resolv.conf). They live in a private
 * tmpfs and are bound onto their places by fd, so the image's own files are never written to, and a symlink in the image leads
 * at most somewhere else in the image (CVE-2025-24965). Called as steps: the store before the
 * new root covers the old one, the files once it is built. */
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

static int attach_store(struct err *e)
{
	static const char *const data[] = { "mode=755", "size=4m" };
	_cleanup_fd_ int fd = -1, old = -1;
	int r;

	fd = fs_mount("tmpfs", "berth", data, ARRAY_SIZE(data), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	if (fd < 0)
		return fd;
	old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (old < 0)
		return err_set(e, errno, "/: %s", strerror(errno));
	r = mount_attach(fd, old);
	return r < 0 ? err_set(e, -r, "attach: %s", strerror(-r)) : TAKE_FD(fd);
}

static int store_file(struct setup *s, int store, size_t i, struct err *e)
{
	const struct launch_file *f = &s->args->files[i];
	_cleanup_fd_ int fd = -1;
	char name[24];
	int r;

	if (!f->path || f->path[0] != '/')
		return err_set(e, EINVAL, "%s: expected an absolute path", f->path ? f->path : "");
	snprintf(name, sizeof(name), "%zu", i);
	fd = openat(store, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, f->mode & 07777);
	if (fd < 0)
		return err_set(e, errno, "%s: %s", f->path, strerror(errno));
	r = fd_write_full(fd, f->content ? f->content : "", f->content ? strlen(f->content) : 0);
	if (r < 0)
		return err_set(e, -r, "%s: write: %s", f->path, strerror(-r));
	s->file_fd[i] = mount_clone(fd, "", false);
	return s->file_fd[i] < 0 ? err_set(e, -s->file_fd[i], "%s: bind: %s", f->path, strerror(-s->file_fd[i])) : 0;
}

/* Only a file of an attached mount can be cloned before Linux 6.15. So the tmpfs is attached on top of the old root for as
 * long as that takes, where no path leads to it; the clones live on without it. */
int files_store(struct setup *s, struct err *e)
{
	_cleanup_fd_ int store = -1;
	int r = 0;

	if (s->args->n_files == 0)
		return 0;
	s->file_fd = calloc(s->args->n_files, sizeof(*s->file_fd));
	if (!s->file_fd)
		return err_set(e, ENOMEM, "out of memory");
	store = attach_store(e);
	if (store < 0)
		return store;
	for (size_t i = 0; i < s->args->n_files && r == 0; i++)
		r = store_file(s, store, i, e);
	if (r == 0 && (fchdir(store) < 0 || umount2(".", MNT_DETACH) < 0))
		r = err_set(e, errno, "detach: %s", strerror(errno));
	return r;
}

int files_apply(struct setup *s, struct err *e)
{
	for (size_t i = 0; i < s->args->n_files; i++) {
		const char *path = s->args->files[i].path;
		_cleanup_fd_ int target = target_make(s->rootfd, path, TARGET_FILE, path_is_kernels(path), e);
		int r;

		if (target < 0)
			return target;
		r = mount_attach(s->file_fd[i], target);
		s->file_fd[i] = fd_close(s->file_fd[i]);
		if (r < 0)
			return err_set(e, -r, "%s: attach: %s", path, strerror(-r));
	}
	return 0;
}
