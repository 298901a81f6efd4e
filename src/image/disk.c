/* image_disk: the merged layers of an image as one read-only EROFS file, for guests.
 *
 * Made once per chain id by mkfs.erofs from the read-only overlay, so owners, modes, devices, hard links and xattrs are those a
 * container sees, whiteouts already applied; the kernel of the host never mounts it. One is made at a time: the maker
 * holds a lock on their directory, which leaves no file behind as a lock of each would. The file grows in tmp and gets its name by
 * rename, after its data is on disk. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_private.h"

/* The last line that mkfs.erofs said. */
static void last_line(int fd, char *ret, size_t n)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	snprintf(ret, n, "no message");
	if (lseek(fd, 0, SEEK_SET) < 0 || fd_read_all(fd, 1 << 20, &text, &len) < 0)
		return;
	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	char *line = strrchr(text, '\n');
	if (len > 0)
		snprintf(ret, n, "%s", line ? line + 1 : text);
}

static int run_mkfs(const char *mkfs, const char *source, const char *out, struct err *e)
{
	/* No compression: reading is then a copy out of the host's page cache, and making it is several times faster. */
	const char *argv[] = { mkfs, "--quiet", "--preserve-mtime", out, source, NULL };
	_cleanup_fd_ int said = memfd_create("mkfs.erofs", MFD_CLOEXEC);
	const int fds[][2] = { { said, 1 }, { said, 2 } };
	char why[200];
	pid_t pid;
	int status, r;

	if (said < 0)
		return err_set(e, errno, "run mkfs.erofs: %s", strerror(errno));
	struct spawn sp = { .path = mkfs,
			    .argv = (char *const *)(uintptr_t)argv,
			    .fds = fds,
			    .n_fds = ARRAY_SIZE(fds),
			    .die_with_parent = true,
			    .cwd_fd = -1 };
	if ((r = spawn_start(&sp, &pid, NULL, e)) < 0 || (r = spawn_wait(pid, &status)) < 0)
		return err_push(e, r, "run mkfs.erofs");
	if (status == 0)
		return 0;
	last_line(said, why, sizeof(why));
	return err_set(e, EIO, "mkfs.erofs failed with status %d: %s", status_to_exit(status), why);
}

/* mkfs.erofs asks realpath(3) for its source, and a detached mount has no path (it reads "/": the host's root!). So it runs in a
 * mount namespace where the overlay stands over its own uppermost layer. */
static int mount_and_run(const char *mkfs, int mountfd, const char *where, const char *out, struct err *e)
{
	struct stat overlay, there;
	int r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : mount_ns_new(MS_PRIVATE);

	if (r < 0)
		return err_set(e, -r, "private mount namespace: %s", strerror(-r));
	if (move_mount(mountfd, "", AT_FDCWD, where, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(e, errno, "mount the layers: %s", strerror(errno));
	/* Nothing but the image may ever get into a guest's disk. */
	if (fstat(mountfd, &overlay) < 0 || stat(where, &there) < 0 || overlay.st_dev != there.st_dev ||
	    overlay.st_ino != there.st_ino)
		return err_set(e, EIO, "the mounted layers are not at %s", where);
	return run_mkfs(mkfs, where, out, e);
}

static int in_child(const char *mkfs, int mountfd, const char *where, const char *out, struct err *e)
{
	struct err said = { 0 };
	int report[2], status;

	if (pipe2(report, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	pid_t pid = fork();
	if (pid == 0) {
		mount_and_run(mkfs, mountfd, where, out, &said);
		_exit(fd_write_full(report[1], &said, sizeof(said)) < 0);
	}
	int no = errno;
	fd_close(report[1]);
	ssize_t n = pid < 0 ? -no : fd_read_full(report[0], &said, sizeof(said));
	fd_close(report[0]);
	if (pid < 0)
		return err_set(e, no, "fork: %s", strerror(no));
	spawn_wait(pid, &status);
	if (n != (ssize_t)sizeof(said))
		return err_set(e, EIO, "the process that makes it ended with status %d", status_to_exit(status));
	return said.no ? err_set(e, said.no, "%s", said.msg) : 0;
}

static int make_disk(struct store *s, const struct image *i, const char *tmp, const char *name, struct err *e)
{
	_cleanup_strv_ char **dirs = NULL;
	_cleanup_free_ char *mkfs = spawn_find("mkfs.erofs"), *out = str_fmt("%s/tmp/%s", s->root, tmp);
	_cleanup_fd_ int mountfd = -1;
	int r;

	if (!mkfs)
		return err_set(e, ENOENT,
			       "mkfs.erofs is needed for the guest's disk and is not installed: apt-get install erofs-utils");
	if (!out)
		return err_set(e, ENOMEM, "store: out of memory");
	if ((r = image_layer_dirs(s, i, &dirs, e)) < 0)
		return r;
	if ((r = snapshot_mount(&(struct snapshot){ .layers = dirs }, &mountfd, e)) < 0)
		return r;
	log_info("image", "making the guest's disk of %.19s (once per image)", i->id);
	if ((r = in_child(mkfs, mountfd, dirs[0], out, e)) < 0)
		return r;
	_cleanup_fd_ int fd = open(out, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fchmod(fd, 0400) < 0 || fdatasync(fd) < 0)
		return err_set(e, errno, "sync %s: %s", out, strerror(errno));
	if (renameat(AT_FDCWD, out, s->rootfd, name) < 0)
		return err_set(e, errno, "rename %s: %s", out, strerror(errno));
	return 0;
}

int image_disk(struct store *s, const struct image *i, char **ret_path, struct err *e)
{
	size_t n = strv_len(i->chain_ids);
	char name[96], tmp[96];
	int r = 0;

	if (n == 0)
		return err_set(e, EINVAL, "image %.19s has no layers: a guest can't be made of it", i->id);
	const char *hex = digest_hex(i->chain_ids[n - 1]);
	_cleanup_free_ char *path = str_fmt("%s/erofs/%s.erofs", s->root, hex);
	if (!path)
		return err_set(e, ENOMEM, "store: out of memory");
	snprintf(name, sizeof(name), "erofs/%s.erofs", hex);
	snprintf(tmp, sizeof(tmp), "erofs-%s", hex);
	if (faccessat(s->rootfd, name, F_OK, 0) < 0) {
		_cleanup_fd_ int dir = openat(s->rootfd, "erofs", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (dir < 0 || flock(dir, LOCK_EX) < 0)
			return err_set(e, errno, "lock %s/erofs: %s", s->root, strerror(errno));
		if (faccessat(s->rootfd, name, F_OK, 0) < 0)
			r = make_disk(s, i, tmp, name, e);
		if (r < 0) {
			char left[128];
			snprintf(left, sizeof(left), "tmp/%s", tmp);
			unlinkat(s->rootfd, left, 0);
		}
	}
	if (r < 0)
		return err_push(e, r, "disk of image %.19s", i->id);
	*ret_path = TAKE_PTR(path);
	return 0;
}
