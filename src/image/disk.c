/* image_disk: the merged layers of an image as one read-only EROFS file, for guests.
 *
 * Made once per chain id by mkfs.erofs from the read-only overlay, so owners, modes, devices, hard links and xattrs are those a
 * container sees, whiteouts already applied; the kernel of the host never mounts it. A second asker waits on the lock of the first.
 * The file grows in tmp and gets its name by rename, after its data is on disk. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_private.h"

#define SOURCE_FD 3 /* the overlay, in mkfs.erofs */

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

static int run_mkfs(const char *mkfs, int mountfd, const char *out, struct err *e)
{
	/* No compression: reading is then a copy out of the host's page cache, and making it is several times faster. */
	const char *argv[] = { mkfs, "--quiet", "--preserve-mtime", out, "/proc/self/fd/3", NULL };
	_cleanup_fd_ int said = memfd_create("mkfs.erofs", MFD_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[][2] = { { null, 0 }, { said, 1 }, { said, 2 }, { mountfd, SOURCE_FD } };
	char why[200];
	pid_t pid;
	int status, r;

	if (said < 0 || null < 0)
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
	if ((r = run_mkfs(mkfs, mountfd, out, e)) < 0)
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
	char name[96], tmp[96], lock[128];
	int r = 0;

	if (n == 0)
		return err_set(e, EINVAL, "image %.19s has no layers: a guest can't be made of it", i->id);
	const char *hex = digest_hex(i->chain_ids[n - 1]);
	_cleanup_free_ char *path = str_fmt("%s/erofs/%s.erofs", s->root, hex);
	if (!path)
		return err_set(e, ENOMEM, "store: out of memory");
	snprintf(name, sizeof(name), "erofs/%s.erofs", hex);
	snprintf(tmp, sizeof(tmp), "erofs-%s", hex);
	snprintf(lock, sizeof(lock), "tmp/%s.lock", tmp);
	if (faccessat(s->rootfd, name, F_OK, 0) < 0) {
		_cleanup_fd_ int lockfd = openat(s->rootfd, lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (lockfd < 0 || flock(lockfd, LOCK_EX) < 0)
			return err_set(e, errno, "lock %s/%s: %s", s->root, lock, strerror(errno));
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
