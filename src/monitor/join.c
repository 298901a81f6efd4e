/* --pid container:NAME and the like: at each start the namespaces of the other container are found by its first process, and held by
 * descriptors for as long as this one lives. Which container it is, its id says: it may have ended and been started again. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor_impl.h"

static const struct join_kind {
	const char *name, *proc;
	enum spec_ns ns;
} join_kinds[] = { { "pid", "pid", NS_PID }, { "ipc", "ipc", NS_IPC }, { "network", "net", NS_NET } };

static const struct join_kind *find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(join_kinds); i++)
		if (streq(join_kinds[i].name, name))
			return &join_kinds[i];
	return NULL;
}

static int open_ns(pid_t pid, const char *proc)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, proc);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The memory that belongs to IPC is a mount of the other's. */
static int join_memory(struct join_hold *h, pid_t pid, struct err *e)
{
	_cleanup_fd_ int ns = open_ns(pid, "mnt");
	int fd, r = ns < 0 ? err_set(e, -ns, "its mount namespace: %s", strerror(-ns)) : shared_ns_memory_of(ns, &fd, e);

	if (r == -ENOENT) { /* it has none: then this one's is its own */
		*e = (struct err){ 0 };
		return 0;
	}
	if (r == 0)
		h->memory_fd = fd;
	return r;
}

/* 1 and *ret_pid where it runs. */
static int runs(const struct monitor *m, const char *id, pid_t *ret_pid, struct err *e)
{
	struct monitor_state s = { 0 };
	int r = monitor_inspect(m->cfg->paths, id, &s, e);

	if (r < 0)
		return r;
	*ret_pid = s.pid;
	return s.truth == MONITOR_RUNNING && s.pid > 0;
}

static int join_one(struct join_hold *h, struct monitor *m, const struct launch_join *j, const struct join_kind *kind,
		    struct err *e)
{
	pid_t pid = 0, again = 0;
	int fd, r = runs(m, j->id, &pid, e);

	if (r == 0)
		return err_set(e, ESRCH, "cannot join %s of a non running container: %s; start it first", kind->name, j->name);
	if (r < 0)
		return r;
	fd = h->fd[kind->ns] = open_ns(pid, kind->proc);
	if (fd == -ENOENT || fd == -ESRCH)
		return err_set(e, ESRCH, "cannot join %s of a non running container: %s has ended at this moment", kind->name,
			       j->name);
	if (fd < 0)
		return err_set(e, -fd, "the %s namespace of container %s: %s", kind->name, j->name, strerror(-fd));
	if (kind->ns == NS_IPC && (r = join_memory(h, pid, e)) < 0)
		return err_push(e, r, "container %s", j->name);
	/* The number was its process's then, and it still is: so it was in between. */
	r = runs(m, j->id, &again, e);
	if (r >= 0 && (r == 0 || again != pid))
		return err_set(e, ESRCH, "cannot join %s of a non running container: %s has ended at this moment", kind->name,
			       j->name);
	if (r < 0)
		return r;
	free(m->spec.ns.path[kind->ns]);
	m->spec.ns.wanted[kind->ns] = true;
	m->spec.ns.path[kind->ns] = str_fmt("/proc/self/fd/%d", fd);
	return m->spec.ns.path[kind->ns] ? 0 : err_set(e, ENOMEM, "out of memory");
}

int join_others(struct join_hold *h, struct monitor *m, struct err *e)
{
	int r = 0;

	*h = (struct join_hold){ .is_held = true, .memory_fd = -1 };
	for (int i = 0; i < NS_COUNT; i++)
		h->fd[i] = -1;
	for (size_t i = 0; r == 0 && i < m->launch.n_joins; i++) {
		const struct join_kind *kind = find_kind(m->launch.joins[i].kind);

		r = kind ? join_one(h, m, &m->launch.joins[i], kind, e)
			 : err_set(e, EINVAL, "launch.json: .joins[%zu].kind: \"%s\" is not known", i, m->launch.joins[i].kind);
	}
	return r;
}

void join_leave(struct join_hold *h)
{
	if (!h->is_held)
		return;
	for (int i = 0; i < NS_COUNT; i++)
		h->fd[i] = h->fd[i] < 0 ? -1 : fd_close(h->fd[i]);
	if (h->memory_fd >= 0)
		fd_close(h->memory_fd);
	*h = (struct join_hold){ 0 };
}
