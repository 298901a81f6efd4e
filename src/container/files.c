/* files: small files that Berth puts into the container (/etc/hosts, /etc/hostname, /etc/resolv.conf). They live in a private
 * tmpfs and are bound onto their places by fd, so the image's own files are never written to, and a symlink in the image leads
 * at most somewhere else in the image (CVE-2025-24965). Called as steps: the store before the
 * new root covers the old one, the files once it is built. */
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

/* The tmpfs that the files are made in, and whether it had to be attached to clone from it. */
struct store {
	int fd;
	bool is_attached;
};

static int store_attach(struct store *st, struct err *e)
{
	_cleanup_fd_ int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = old < 0 ? -errno : mount_attach(st->fd, old);

	st->is_attached = r == 0;
	return r < 0 ? err_set(e, -r, "attach: %s", strerror(-r)) : 0;
}

/* Before Linux 6.15 only a file of an attached mount can be cloned (EINVAL). There the tmpfs is attached on top of the old root
 * for as long as that takes, where no path leads to it; the clones live on without it. */
static int store_clone(struct store *st, int fd, struct err *e)
{
	int clone = mount_clone(fd, "", false), r;

	if (clone == -EINVAL && !st->is_attached) {
		r = store_attach(st, e);
		if (r < 0)
			return r;
		clone = mount_clone(fd, "", false);
	}
	return clone < 0 ? err_set(e, -clone, "bind: %s", strerror(-clone)) : clone;
}

static int store_file(struct setup *s, struct store *st, size_t i, struct err *e)
{
	const struct launch_file *f = &s->args->files[i];
	_cleanup_free_ char *bytes = NULL;
	_cleanup_fd_ int fd = -1;
	char name[24];
	size_t n = 0;
	int r;

	if (!f->path || f->path[0] != '/')
		return err_set(e, EINVAL, "expected an absolute path");
	snprintf(name, sizeof(name), "%zu", i);
	fd = openat(st->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, f->mode & 07777);
	if (fd < 0)
		return err_set(e, errno, "%s", strerror(errno));
	r = launch_file_bytes(f, &bytes, &n);
	if (r >= 0)
		r = fd_write_full(fd, bytes, n);
	if (r < 0)
		return err_set(e, -r, "write: %s", strerror(-r));
	if ((f->uid || f->gid) && fchown(fd, f->uid, f->gid) < 0)
		return err_set(e, errno, "give it to %u:%u: %s", f->uid, f->gid, strerror(errno));
	s->file_fd[i] = store_clone(st, fd, e);
	return s->file_fd[i] < 0 ? s->file_fd[i] : 0;
}

int files_store(struct setup *s, struct err *e)
{
	char size[40];
	const char *const data[] = { "mode=755", size };
	struct store st = { .fd = -1 };
	size_t room = 4u << 20;
	int r = 0;

	if (s->args->n_files == 0)
		return 0;
	s->file_fd = calloc(s->args->n_files, sizeof(*s->file_fd));
	if (!s->file_fd)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < s->args->n_files; i++) /* and a page's rest of each */
		room += 8192 + (s->args->files[i].content ? strlen(s->args->files[i].content) : 0);
	snprintf(size, sizeof(size), "size=%zu", room);
	st.fd = fs_mount("tmpfs", "berth", data, ARRAY_SIZE(data), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	if (st.fd < 0)
		return st.fd;
	for (size_t i = 0; i < s->args->n_files && r == 0; i++) {
		r = store_file(s, &st, i, e);
		if (r < 0)
			err_push(e, r, "%s", s->args->files[i].path ? s->args->files[i].path : "file without path");
	}
	if (r == 0 && st.is_attached && (fchdir(st.fd) < 0 || umount2(".", MNT_DETACH) < 0))
		r = err_set(e, errno, "detach: %s", strerror(errno));
	fd_close(st.fd);
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
