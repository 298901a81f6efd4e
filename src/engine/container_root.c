/* container_root.c: where a container's files are.
 *
 * One that runs has them in its mount namespace. /proc/PID/root leads there without entering it; nothing of ours ever runs inside.
 * Which process PID is, is made sure of behind the open descriptor of /proc/PID, which stays that process's: it must be a child of
 * the container's monitor, and its root not the host's (a process on its way into the container has that one).
 *
 * One that does not run has them in its layers and its upper directory. They are mounted as its start would mount them, on top of
 * its own work directory, in a mount namespace of our own, where volumes can be added; all of that ends with this process. */
#include "container_root.h"
#include "skeleton.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

void container_root_done(struct container_root *r)
{
	fd_close(r->fd);
	fd_close(r->lock);
	fd_close(r->pid);
	*r = (struct container_root)CONTAINER_ROOT_NONE;
}

/* ---- one that runs ---- */

/* Field 4 of /proc/PID/stat. */
static int parent_of(int procfd, int64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(procfd, "stat", 4096, &text, NULL), parent = 0;
	const char *p = r < 0 ? NULL : strrchr(text, ')');

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	if (!p || sscanf(p, ") %*c %d", &parent) != 1)
		return -EIO;
	*ret = parent;
	return 0;
}

static bool is_same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) < 0 || fstat(b, &y) < 0 || (x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

static int open_running(struct engine *en, const struct container_record *c, struct container_root *ret, struct err *e)
{
	_cleanup_fd_ int procfd = -1, host = -1, fd = -1, pidfd = -1;
	struct monitor_state m = { 0 };
	int64_t parent = 0;
	char path[32];
	int r = monitor_inspect(en->paths, c->id, &m, e);

	if (r < 0)
		return r;
	if (m.truth != MONITOR_RUNNING || m.pid <= 0)
		return err_set(e, EAGAIN, "container %s is just starting or ending: try again", c->name);
	snprintf(path, sizeof(path), "/proc/%d", (int)m.pid);
	pidfd = pidfd_open_(m.pid);
	procfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = pidfd < 0 ? pidfd : procfd < 0 ? -errno : parent_of(procfd, &parent);
	if (r == 0 && parent != m.monitor_pid)
		r = -ESRCH;
	if (r == 0 && ((fd = openat(procfd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0 ||
		       (host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0))
		r = -errno;
	if (r == 0 && is_same_file(fd, host))
		r = -ESRCH;
	if (r < 0)
		return err_set(e, -r, "open the root of container %s: %s", c->name,
			       r == -ESRCH || r == -ENOENT ? "it has just ended: try again" : strerror(-r));
	ret->fd = TAKE_FD(fd);
	ret->pid = TAKE_FD(pidfd);
	return 0;
}

/* ---- one that does not ---- */

static int mount_volumes(struct engine *en, const struct container_record *c, int rootfd, const char *work, struct err *e)
{
	_cleanup_(spec_done) struct spec spec;
	_cleanup_fd_ int at = -1;
	int r;

	spec_init(&spec);
	r = bundle_read_spec(en, c->id, &spec, e);
	if (r < 0)
		return r;
	r = mount_ns_new(MS_PRIVATE);
	if (r < 0)
		return err_set(e, -r, "make a mount namespace: %s", strerror(-r));
	at = open(work, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0 || move_mount(rootfd, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_set(e, errno, "mount the files of container %s: %s", c->name, strerror(errno));
	return container_bind_volumes(rootfd, &spec, e);
}

/* It may have been started since its record was read. */
static int check_still_idle(struct engine *en, const struct container_record *c, struct err *e)
{
	struct monitor_state m = { 0 };
	int r = monitor_inspect(en->paths, c->id, &m, e);

	if (r >= 0 && (m.truth == MONITOR_STARTING || m.truth == MONITOR_RUNNING))
		return err_set(e, EAGAIN, "container %s has just been started: try again", c->name);
	return MIN(r, 0);
}

#define CHILD_ENDS_MS 3000 /* a killed command's child lives on for a moment */

int container_lock_idle(struct engine *en, const struct container_record *c, int *ret_lock, struct err *e)
{
	_cleanup_fd_ int lock = -1;
	int r = container_lock_wait(en, c->id, CHILD_ENDS_MS, &lock, e);

	if (r >= 0)
		r = check_still_idle(en, c, e);
	if (r >= 0)
		*ret_lock = TAKE_FD(lock);
	return r;
}

int container_layer_dirs(struct engine *en, const struct container_record *c, const struct launch *l, bool with_upper,
			 char ***ret, struct err *e)
{
	_cleanup_strv_ char **layers = NULL;
	char *skeleton = NULL;
	int r;

	if (!l->layers || !l->layers[0] || !l->upper)
		return err_set(e, EOPNOTSUPP, "container %s has no writable layer", c->name);
	r = skeleton_get(en->paths->root, &skeleton, e);
	if (r < 0)
		return r;
	r = with_upper ? strv_push(&layers, l->upper) : 0;
	for (char **layer = l->layers; *layer && r >= 0; layer++)
		r = strv_push(&layers, *layer);
	if (strv_push_take(&layers, skeleton) < 0 || r < 0)
		return OUT_OF_MEMORY(e);
	*ret = TAKE_PTR(layers);
	return 0;
}

static int open_idle(struct engine *en, const struct container_record *c, struct container_root *ret, struct err *e)
{
	_cleanup_(launch_done) struct launch l = { 0 };
	_cleanup_fd_ int lock = -1, fd = -1;
	_cleanup_strv_ char **layers = NULL;
	int r = container_lock_idle(en, c, &lock, e);

	if (r >= 0)
		r = bundle_read_launch(en, c->id, &l, e);
	if (r >= 0)
		r = container_layer_dirs(en, c, &l, false, &layers, e);
	if (r < 0)
		return r;
	/* Without `volatile`, whatever its runs have: overlayfs refuses a second mount after such a one. */
	const struct snapshot s = { .layers = layers, .upper = l.upper, .work = l.work };
	r = snapshot_mount(&s, &fd, e);
	if (r >= 0)
		r = mount_volumes(en, c, fd, l.work, e);
	if (r < 0)
		return err_push(e, r, "the files of container %s", c->name);
	ret->fd = TAKE_FD(fd);
	ret->lock = TAKE_FD(lock);
	return 0;
}

int container_root_open(struct engine *en, const struct container_record *c, const char *verb, struct container_root *ret,
			struct err *e)
{
	/* Its monitor may mount the same layer the next moment. */
	if (c->state == CS_RESTARTING)
		return err_set(e, EAGAIN, "%s: container %s is restarting: wait until it runs, or stop it", verb, c->name);
	return container_runs(c) ? open_running(en, c, ret, e) : open_idle(en, c, ret, e);
}
