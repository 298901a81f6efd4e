/* Overlays on kernels before 6.8, which take all layers in one string `lowerdir=A:B:C`.
 *
 * fsconfig(2) takes 255 bytes of it and mount(2) a page, but a layer's path alone has a hundred. So each layer is opened O_PATH and
 * named by its number relative to /proc/self/fd: "12:13:14". Only a process whose working directory is there can say so, hence a
 * child, which hands the detached mount back over a socket. Up to 40 layers go through
 * fsconfig; more go through mount(2) in a mount namespace of the child's own, from which open_tree takes a detached copy. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snapshot_list.h"

#define FSCONFIG_LAYERS 40   /* fsconfig(2) takes 255 bytes: 40 fd numbers of up to five digits and their colons */
#define MOUNT_DATA_MAX  4095 /* mount(2): a page with its NUL */

static int lower_list(char *const *layers, struct buf *ret, struct err *e)
{
	for (size_t i = 0; layers[i]; i++) {
		int fd = open(layers[i], O_PATH | O_DIRECTORY | O_CLOEXEC); /* closed with the child */
		if (fd < 0)
			return err_set(e, errno, "open layer %s: %s", layers[i], strerror(errno));
		buf_fmt(ret, "%s%d", i ? ":" : "", fd);
	}
	return ret->failed ? err_set(e, ENOMEM, "overlay: out of memory") : 0;
}

static int by_fsconfig(const struct snapshot *s, const char *lower, int *ret_mountfd, struct err *e)
{
	_cleanup_fd_ int fsfd = fsopen("overlay", FSOPEN_CLOEXEC);

	if (fsfd < 0)
		return err_set(e, errno, "overlay: fsopen: %s", strerror(errno));
	if (fsconfig(fsfd, FSCONFIG_SET_STRING, "lowerdir", lower, 0) < 0)
		return snapshot_error(fsfd, errno, "lowerdir", e);
	return snapshot_finish(fsfd, s, ret_mountfd, e);
}

static int by_mount(const struct snapshot *s, const char *lower, int *ret_mountfd, struct err *e)
{
	_cleanup_buf_ struct buf data = { 0 };
	_cleanup_fd_ int upper = -1, work = -1;
	unsigned long flags = MS_NODEV;

	buf_fmt(&data, "redirect_dir=nofollow%s,lowerdir=%s", overlay_has_user_xattrs() ? ",userxattr" : "", lower);
	if (s->upper) {
		if ((upper = open(s->upper, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
			return err_set(e, errno, "open %s: %s", s->upper, strerror(errno));
		if ((work = open(s->work, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
			return err_set(e, errno, "open %s: %s", s->work, strerror(errno));
		buf_fmt(&data, ",upperdir=%d,workdir=%d%s", upper, work, s->is_volatile ? ",volatile" : "");
	} else {
		flags |= MS_RDONLY;
	}
	if (data.failed)
		return err_set(e, ENOMEM, "overlay: out of memory");
	if (data.len > MOUNT_DATA_MAX)
		return err_set(e, E2BIG, "overlay: %zu layers are more than this kernel mounts", strv_len(s->layers));
	/* Any directory will do, the first layer's own is at hand: the namespace ends with this process. */
	if (mount("overlay", s->layers[0], "overlay", flags, data.data) < 0)
		return err_set(e, errno, "overlay: mount: %s", strerror(errno));
	int fd = open_tree(AT_FDCWD, s->layers[0], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "overlay: open_tree: %s", strerror(errno));
	*ret_mountfd = fd;
	return 0;
}

_noreturn_ static void child(const struct snapshot *s, int sock)
{
	_cleanup_buf_ struct buf lower = { 0 };
	struct err e = { 0 };
	bool is_long = strv_len(s->layers) > FSCONFIG_LAYERS;
	int fd = -1, r = 0;

	/* Before the layers are opened: overlayfs takes directories of the caller's own mount namespace only. */
	if (is_long && (r = mount_ns_new(MS_PRIVATE)) < 0)
		err_set(&e, -r, "overlay: private mount namespace: %s", strerror(-r));
	if (r == 0)
		r = lower_list(s->layers, &lower, &e);
	if (r == 0 && chdir("/proc/self/fd") < 0)
		r = err_set(&e, errno, "chdir /proc/self/fd: %s", strerror(errno));
	if (r == 0)
		r = is_long ? by_mount(s, lower.data, &fd, &e) : by_fsconfig(s, lower.data, &fd, &e);
	r = sock_send_fds(sock, &e, sizeof(e), &fd, r == 0 ? 1 : 0);
	_exit(r < 0);
}

int snapshot_mount_list(const struct snapshot *s, int *ret_mountfd, struct err *e)
{
	struct err ce = { 0 };
	int pair[2], fd = -1, status;
	size_t n_fds = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, errno, "overlay: socketpair: %s", strerror(errno));
	pid_t pid = fork();
	if (pid == 0)
		child(s, pair[1]);
	int no = errno;
	fd_close(pair[1]);
	if (pid < 0) {
		fd_close(pair[0]);
		return err_set(e, no, "overlay: fork: %s", strerror(no));
	}
	ssize_t got = sock_recv_fds(pair[0], &ce, sizeof(ce), &fd, &n_fds);
	fd_close(pair[0]);
	spawn_wait(pid, &status);
	if (got == (ssize_t)sizeof(ce) && ce.no == 0 && n_fds == 1) {
		*ret_mountfd = fd;
		return 0;
	}
	if (got == (ssize_t)sizeof(ce) && ce.no > 0)
		return err_set(e, ce.no, "%s", ce.msg);
	return err_set(e, EIO, "overlay: the helper process ended with status %d", status_to_exit(status));
}
