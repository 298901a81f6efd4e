/* mount_api: thin, checked forms of fsopen, open_tree, mount_setattr and move_mount (Linux 5.2 to 5.12). Mounts are made
 * detached and attached by fd, so no path is ever resolved twice. Called by every file here that mounts. */
#include <sys/mount.h>
#include <unistd.h>

#include "setup.h"

/* The kernel explains a refused filesystem option in the context's log ("e tmpfs: Bad value for 'size'"); its last line. */
static void context_log(int ctx, char *buf, size_t n)
{
	ssize_t got;

	buf[0] = 0;
	for (char line[256]; (got = read(ctx, line, sizeof(line) - 1)) > 0;) {
		line[got] = 0;
		line[strcspn(line, "\n")] = 0;
		snprintf(buf, n, ": %s", got > 2 && line[1] == ' ' ? line + 2 : line);
	}
}

static int set_option(int ctx, const char *option)
{
	const char *eq = strchr(option, '=');
	char key[64];

	if (!eq)
		return fsconfig(ctx, FSCONFIG_SET_FLAG, option, NULL, 0) < 0 ? -errno : 0;
	if ((size_t)(eq - option) >= sizeof(key))
		return -EINVAL;
	memcpy(key, option, (size_t)(eq - option));
	key[eq - option] = 0;
	return fsconfig(ctx, FSCONFIG_SET_STRING, key, eq + 1, 0) < 0 ? -errno : 0;
}

int fs_mount(const char *type, const char *source, const char *const *data, size_t n_data, uint64_t attrs, struct err *e)
{
	_cleanup_fd_ int ctx = fsopen(type, FSOPEN_CLOEXEC);
	char why[300];
	int fd, r = 0;

	if (ctx < 0)
		return err_set(e, errno, "filesystem type \"%s\": %s", type,
			       errno == ENODEV ? "this kernel has none" : strerror(errno));
	if (source && fsconfig(ctx, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return err_set(e, errno, "%s: source \"%s\": %s", type, source, strerror(errno));
	for (size_t i = 0; i < n_data; i++) {
		r = set_option(ctx, data[i]);
		if (r < 0) {
			context_log(ctx, why, sizeof(why));
			return err_set(e, -r, "%s: option \"%s\": %s%s", type, data[i], strerror(-r), why);
		}
	}
	if (fsconfig(ctx, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		r = errno;
		context_log(ctx, why, sizeof(why));
		return err_set(e, r, "%s: %s%s", type, strerror(r), why);
	}
	fd = fsmount(ctx, FSMOUNT_CLOEXEC, (unsigned)attrs);
	if (fd < 0)
		return err_set(e, errno, "%s: fsmount: %s", type, strerror(errno));
	return fd;
}

int fs_reconfigure(int mountfd, const char *const *data, size_t n_data, struct err *e)
{
	_cleanup_fd_ int ctx = fspick(mountfd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	char why[300];
	int r;

	if (ctx < 0)
		return err_set(e, errno, "remount: %s", strerror(errno));
	for (size_t i = 0; i < n_data; i++) {
		r = set_option(ctx, data[i]);
		if (r < 0) {
			context_log(ctx, why, sizeof(why));
			return err_set(e, -r, "remount: option \"%s\": %s%s", data[i], strerror(-r), why);
		}
	}
	if (fsconfig(ctx, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) == 0)
		return 0;
	r = errno;
	context_log(ctx, why, sizeof(why));
	return err_set(e, r, "remount: %s%s", strerror(r), why);
}

int mount_clone(int dirfd, const char *path, bool recursive)
{
	int fd = open_tree(dirfd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0));

	return fd < 0 ? -errno : fd;
}

int mount_attrs(int fd, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation)
{
	struct mount_attr a = { .attr_set = set, .attr_clr = clear, .propagation = propagation };

	if (!set && !clear && !propagation)
		return 0;
	return mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof(a)) < 0 ? -errno : 0;
}

int mount_attach(int mountfd, int targetfd)
{
	return move_mount(mountfd, "", targetfd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ? -errno : 0;
}
