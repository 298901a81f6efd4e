/* files: small files that Berth puts into the container (/etc/hosts, /etc/hostname, /etc/resolv.conf). They live in a private
 * tmpfs and are bound onto their places by fd, so the image's own files are never written to, and a symlink in the image leads
 * at most somewhere else in the image (CVE-2025-24965). Called as steps: the store before the
 * new root covers the old one, the files once it is built. */
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

/* Only a file of an attached mount can be cloned before Linux 6.15. The old root is the place to attach the tmpfs for a while,
 * below the new one: it is detached by the pivot, and the clones live on. */
int files_store(struct setup *s, struct err *e)
{
	static const char *const data[] = { "mode=755", "size=4m" };
	_cleanup_fd_ int fd = -1, old = -1;
	int r;

	if (s->args->n_files == 0)
		return 0;
	fd = fs_mount("tmpfs", "berth", data, ARRAY_SIZE(data), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	if (fd < 0)
		return fd;
	old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (old < 0)
		return err_set(e, errno, "/: %s", strerror(errno));
	r = mount_attach(fd, old);
	if (r < 0)
		return err_set(e, -r, "attach: %s", strerror(-r));
	s->filesfd = TAKE_FD(fd);
	return 0;
}

static int put_file(struct setup *s, size_t i, struct err *e)
{
	const struct launch_file *f = &s->args->files[i];
	_cleanup_fd_ int file = -1, clone = -1, target = -1;
	char name[24];
	int r;

	if (!f->path || f->path[0] != '/')
		return err_set(e, EINVAL, "expected an absolute path");
	snprintf(name, sizeof(name), "%zu", i);
	file = openat(s->filesfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, f->mode & 07777);
	if (file < 0)
		return err_set(e, errno, "%s", strerror(errno));
	r = fd_write_full(file, f->content ? f->content : "", f->content ? strlen(f->content) : 0);
	if (r < 0)
		return err_set(e, -r, "write: %s", strerror(-r));
	clone = mount_clone(file, "", false);
	if (clone < 0)
		return err_set(e, -clone, "bind: %s", strerror(-clone));
	target = target_make(s->rootfd, f->path, TARGET_FILE, path_is_kernels(f->path), e);
	if (target < 0)
		return target;
	r = mount_attach(clone, target);
	return r < 0 ? err_set(e, -r, "attach: %s", strerror(-r)) : 0;
}

int files_apply(struct setup *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < s->args->n_files && r == 0; i++) {
		r = put_file(s, i, e);
		if (r < 0)
			err_push(e, r, "%s", s->args->files[i].path ? s->args->files[i].path : "file without path");
	}
	return r;
}
