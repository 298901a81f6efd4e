/* --pidfile: while the container runs, the pid that `inspect` shows stands in a file of the user's, for supervisors. Written before
 * anybody is told of the start; removed at the end where it still says what was written, since another container may have it by now. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor_impl.h"

#define PID_TEXT 16

static int open_folder(const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = strndup(path, (size_t)(slash - path) + 1);
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	*ret_name = slash + 1;
	return !dir ? -ENOMEM : fd < 0 ? -errno : fd;
}

int pidfile_write(struct monitor *m, struct err *e)
{
	const char *path = m->launch.pidfile;
	pid_t pid = m->ops->pid(m->instance);
	_cleanup_fd_ int dir = -1;
	const char *name;
	char text[PID_TEXT];
	int r;

	if (!path)
		return 0;
	dir = open_folder(path, &name);
	snprintf(text, sizeof(text), "%d", (int)pid);
	r = dir < 0 ? dir : !*name ? -EISDIR : file_replace(dir, name, text, strlen(text), 0644, false);
	if (r < 0)
		return err_set(e, -r, "--pidfile: %s: %s", path, strerror(-r));
	m->pidfile_pid = pid;
	return 0;
}

void pidfile_remove(struct monitor *m)
{
	const char *path = m->launch.pidfile;
	_cleanup_free_ char *now = NULL;
	_cleanup_fd_ int dir = -1;
	const char *name;
	char text[PID_TEXT];
	size_t len;

	if (!m->pidfile_pid)
		return;
	dir = open_folder(path, &name);
	snprintf(text, sizeof(text), "%d", (int)m->pidfile_pid);
	m->pidfile_pid = 0;
	if (dir < 0 || file_read(dir, name, PID_TEXT, &now, &len) < 0 || !streq(now, text))
		return;
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		log_warn("monitor", "--pidfile: remove %s: %s", path, strerror(errno));
}
