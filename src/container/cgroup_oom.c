/* Being told of out-of-memory: on v1 an eventfd registered with memory.oom_control (cgroup-v1/memory.rst §10), on v2 inotify
 * on memory.events (cgroup-v2.rst §Memory). One fd to poll either way.
 *
 * v1 tells when memory ran out, and also when the cgroup goes; v2 whenever any counter changes, so it is asked which. */
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cgroup_impl.h"

struct cgroup_oom {
	int fd; /* what is polled */
	int place_fd;
	bool is_v2;
	uint64_t n_kills; /* v2: seen so far */
};

static int kills_v2(const struct cgroup_oom *w, uint64_t *ret)
{
	const struct cgroup_place p = { .fd = w->place_fd };
	char text[512];
	const char *at;

	if (cgroup_read(&p, "memory.events", text, sizeof text) < 0)
		return -ENODEV;
	at = strstr(text, "oom_kill ");
	*ret = at ? strtoull(at + strlen("oom_kill "), NULL, 10) : 0;
	return 0;
}

/* cgroup.events: the only file whose watch still speaks when the last process has left; a removed file's does not. */
static bool is_populated(const struct cgroup_oom *w)
{
	const struct cgroup_place p = { .fd = w->place_fd };
	char text[128];

	return cgroup_read(&p, "cgroup.events", text, sizeof text) > 0 && strstr(text, "populated 1");
}

static int open_v2(struct cgroup_oom *w, const struct cgroup_place *p, struct err *e)
{
	static const char *const files[] = { "memory.events", "cgroup.events" };
	char path[FD_PATH_LEN + 16], dir[FD_PATH_LEN];

	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd < 0)
		return err_set(e, errno, "out-of-memory events: inotify: %s", strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof path, "%s/%s", fd_path(p->fd, dir), files[i]);
		if (inotify_add_watch(w->fd, path, IN_MODIFY) < 0)
			return err_set(e, errno, "out-of-memory events: watch %s/%s: %s", p->dir, files[i], strerror(errno));
	}
	return kills_v2(w, &w->n_kills) < 0 ? err_set(e, ENODEV, "out-of-memory events: cgroup %s is gone", p->dir) : 0;
}

static int open_v1(struct cgroup_oom *w, const struct cgroup_place *p, struct err *e)
{
	_cleanup_fd_ int control = openat(p->fd, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	char text[32];
	int r;

	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control < 0 || w->fd < 0)
		return err_set(e, errno, "out-of-memory events: %s/memory.oom_control: %s", p->dir, strerror(errno));
	snprintf(text, sizeof text, "%d %d", w->fd, control);
	r = cgroup_write(p, "cgroup.event_control", text);
	return r < 0 ? err_set(e, -r, "out-of-memory events: %s/cgroup.event_control: %s", p->dir, strerror(-r)) : 0;
}

int cgroup_oom_open(struct cgroup *cg, struct cgroup_oom **ret, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_MEMORY);
	_cleanup_(cgroup_oom_free_ptr) struct cgroup_oom *w = calloc(1, sizeof *w);
	int r;

	if (!p)
		return err_set(e, ENOENT, "out-of-memory events: this host has no memory cgroup controller");
	if (!w)
		return err_set(e, ENOMEM, "out-of-memory events: out of memory");
	w->fd = -1;
	w->is_v2 = p->is_v2;
	w->place_fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
	if (w->place_fd < 0)
		return err_set(e, errno, "out-of-memory events: %s", strerror(errno));
	r = w->is_v2 ? open_v2(w, p, e) : open_v1(w, p, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(w);
	return 0;
}

int cgroup_oom_fd(const struct cgroup_oom *w) { return w->fd; }

int cgroup_oom_next(struct cgroup_oom *w)
{
	char events[4096] __attribute__((aligned(8)));
	uint64_t now;

	if (read(w->fd, events, w->is_v2 ? sizeof events : sizeof now) < 0)
		return errno == EAGAIN ? 0 : -errno;
	/* A removed v1 cgroup has signalled its end this way; its files are gone. */
	if (!w->is_v2)
		return faccessat(w->place_fd, "cgroup.event_control", F_OK, 0) == 0 ? 1 : -ENODEV;
	if (kills_v2(w, &now) < 0)
		return -ENODEV;
	if (now == w->n_kills)
		return is_populated(w) ? 0 : -ENODEV;
	w->n_kills = now;
	return 1;
}

void cgroup_oom_free(struct cgroup_oom *w)
{
	if (!w)
		return;
	fd_close(w->fd);
	fd_close(w->place_fd);
	free(w);
}
