/* See rootless.h. */
#include "rootless.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "draft.h"
#include "rootless_ids.h"
#include "setup.h"

#define HOLDER "rootless"
#define USERS  "rootless.users"
#define MAKING "rootless.lock"

#define STATE_MAX 65536

static int lock_file(const char *run, const char *name, int how, int *ret, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", run, name);
	_cleanup_fd_ int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	int r;

	if (fd < 0)
		return err_set(e, path ? errno : ENOMEM, "open %s/%s: %s", run, name, strerror(path ? errno : ENOMEM));
	while ((r = flock(fd, how)) < 0 && errno == EINTR)
		;
	if (r < 0)
		return err_set(e, errno, "lock %s: %s", path, strerror(errno));
	*ret = TAKE_FD(fd);
	return 0;
}

/* ---- who is in them ---- */

struct member {
	int64_t pid;
	uint64_t start_time;
};

/* A pidfd, or -ESRCH where the number is somebody else's by now. */
static int open_member(const struct member *m)
{
	int fd = m->pid > 0 ? pidfd_open_((pid_t)m->pid) : -ESRCH;
	uint64_t ticks = 0;

	if (fd < 0)
		return fd;
	int r = pid_start_time((pid_t)m->pid, &ticks);

	if (r == 0 && ticks == m->start_time)
		return fd;
	fd_close(fd);
	return r == 0 || r == -ENOENT ? -ESRCH : r;
}

/* What can't be read is no sign that nobody is there: there would be two pairs of them. -ESRCH, without words: there is none. */
static int unread(const char *path, int r, struct err *e)
{
	return r == -ENOENT || r == -ESRCH ? -ESRCH : err_set(e, -r, "read %s: %s", path, strerror(-r));
}

static int read_holder(const char *run, struct member *ret, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/" HOLDER, run), *text = NULL;
	long long pid;
	unsigned long long start;
	int r = path ? file_read(AT_FDCWD, path, 128, &text, NULL) : -ENOMEM;

	if (r < 0)
		return unread(path ? path : HOLDER, r, e);
	if (sscanf(text, "%lld %llu", &pid, &start) != 2)
		return -ESRCH;
	*ret = (struct member){ .pid = pid, .start_time = start };
	return 0;
}

/* With the lock of those who make them. */
static int write_holder(const char *run, pid_t pid, struct err *e)
{
	_cleanup_fd_ int dir = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t start = 0;
	char text[64];
	int r = dir < 0 ? -errno : pid_start_time(pid, &start);

	if (r == 0)
		r = file_replace_sweep(dir, HOLDER);
	if (r == 0) {
		snprintf(text, sizeof(text), "%d %llu\n", (int)pid, (unsigned long long)start);
		r = file_replace(dir, HOLDER, text, strlen(text), 0600, false);
	}
	return r < 0 ? err_set(e, -r, "write %s/" HOLDER ": %s", run, strerror(-r)) : 0;
}

/* Monitors say who they are in a file (monitor/state.c); any of them is in the namespaces. */
static const struct field monitor_fields[] = {
	{ .name = "pid", .type = FIELD_I64, .offset = offsetof(struct member, pid), .flags = FIELD_REQUIRED },
	{ .name = "start_time", .type = FIELD_U64, .offset = offsetof(struct member, start_time), .flags = FIELD_REQUIRED },
	{ 0 },
};

static int read_monitor(int dirfd, const char *id, struct member *ret, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/monitor.json", id), *text = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	size_t len;
	int r = path ? file_read(dirfd, path, STATE_MAX, &text, &len) : -ENOMEM;

	if (r < 0)
		return r == -ENOTDIR ? -ESRCH : unread(path ? path : id, r, e);
	if (json_parse(text, len, path, &o, NULL) < 0 || json_read(o, monitor_fields, ret, path, NULL) < 0)
		return -ESRCH;
	return 0;
}

/* ---- entering ---- */

/* fds: user, mount. As ptrace(2)'s PTRACE_MODE_READ allows: the same user, and a process that may be looked at. */
static int open_namespaces(pid_t pid, int pidfd, int fds[2])
{
	static const char *const names[] = { "user", "mnt" };
	int r;

	for (int i = 0; i < 2; i++) {
		char path[48];

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, names[i]);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0) {
			int no = errno;

			fds[0] = i ? fd_close(fds[0]) : -1;
			return -no;
		}
	}
	/* It lived when they were opened, so that they were its own. */
	r = pidfd_kill(pidfd, 0);
	if (r == 0)
		return 0;
	fd_close(fds[0]);
	fd_close(fds[1]);
	return r;
}

static int become(const int fds[2], struct err *e)
{
	_cleanup_free_ char *cwd = get_current_dir_name();

	if (setns(fds[0], CLONE_NEWUSER) < 0)
		return err_set(e, errno, "enter this user's user namespace: %s", strerror(errno));
	if (setns(fds[1], CLONE_NEWNS) < 0)
		return err_set(e, errno, "enter this user's mount namespace: %s", strerror(errno));
	/* Further groups stay: what the user may read by them (/dev/kvm), he may read by Berth. */
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_set(e, errno, "become root of this user's namespaces: %s", strerror(errno));
	if (cwd && chdir(cwd) < 0)
		return err_set(e, errno, "%s: %s", cwd, strerror(errno));
	return 0;
}

/* -ESRCH, without words: it is not there. */
static int join(const struct member *m, struct err *e)
{
	int fds[2] = { -1, -1 }, r;
	_cleanup_fd_ int pidfd = open_member(m);

	if (pidfd < 0)
		return pidfd == -ESRCH ? -ESRCH : err_set(e, -pidfd, "process %lld: %s", (long long)m->pid, strerror(-pidfd));
	r = open_namespaces((pid_t)m->pid, pidfd, fds);
	if (r < 0)
		return r == -ESRCH || r == -ENOENT
			       ? -ESRCH
			       : err_set(e, -r, "the namespaces of process %lld: %s", (long long)m->pid, strerror(-r));
	r = become(fds, e);
	fd_close(fds[0]);
	fd_close(fds[1]);
	return r;
}

static int join_holder(const char *run, struct err *e)
{
	struct member m;
	int r = read_holder(run, &m, e);

	return r < 0 ? r : join(&m, e);
}

/* After the holder was killed. */
static int join_monitor(const char *run, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/containers", run);
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *d;
	int r = -ESRCH, more = 0;

	if (!dir)
		return unread(path ? path : "containers", path ? -errno : -ENOMEM, e);
	while (r == -ESRCH && (more = dir_next(dir, &d)) > 0) {
		struct member m = { 0 };

		if (d->d_name[0] == '.')
			continue;
		r = read_monitor(dirfd(dir), d->d_name, &m, e);
		if (r == 0)
			r = join(&m, e);
	}
	closedir(dir);
	return more < 0 ? unread(path, more, e) : r;
}

/* ---- making ---- */

/* In the namespaces: the process that holds them from now on. */
static int start_holder(const struct paths *p, pid_t *ret, struct err *e)
{
	_cleanup_free_ char *path = NULL, *id = str_fmt("BERTH_BUILD_ID=%s", build_id());
	char *argv[] = { (char[]){ "berth-monitor" }, (char[]){ "--rootless" }, p->run, NULL }, *env[] = { id, NULL };
	int r = id ? paths_sibling(p, "berth-monitor", &path, e) : err_set(e, ENOMEM, "out of memory");

	if (r < 0)
		return r;
	const struct spawn s = { .path = path, .argv = argv, .env = env, .new_session = true, .cwd_fd = -1 };
	r = spawn_start(&s, ret, NULL, e);
	return r < 0 ? err_push(e, r, "start the holder of this user's namespaces") : 0;
}

/* What the two processes of a making tell each other. */
struct word {
	struct err e;
	pid_t holder;
};

/* An LSM may let the user namespace be made, and keep its root from having any right in it (AppArmor, on Ubuntu). */
static int make_mounts(struct err *e)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_set(e, errno, "new mount namespace: %s%s", strerror(errno),
			       errno == EPERM || errno == EACCES ? ROOTLESS_OFF : "");
	/* What the host mounts later is seen; nothing goes the other way. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_set(e, errno, "new mount namespace: make it a slave of the host's: %s", strerror(errno));
	return 0;
}

/* The child: user namespace, the maps by the parent, the rest. Both words are whole or the other has ended. */
static _noreturn_ void make_child(const struct paths *p, int sock)
{
	struct word w = { .holder = 0 };
	char go;
	int r = 0;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || unshare(CLONE_NEWUSER) < 0)
		r = err_set(&w.e, errno, "new user namespace: %s%s", strerror(errno),
			    errno == EPERM || errno == ENOSPC ? ROOTLESS_OFF : "");
	if (fd_write_full(sock, &w, sizeof(w)) < 0 || r < 0 || read(sock, &go, 1) != 1)
		_exit(1);
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		r = err_set(&w.e, errno, "become root of the new user namespace: %s", strerror(errno));
	if (r == 0)
		r = make_mounts(&w.e);
	if (r == 0)
		r = start_holder(p, &w.holder, &w.e);
	_exit(fd_write_full(sock, &w, sizeof(w)) < 0 || r < 0);
}

static int hear(int sock, struct word *w, struct err *e)
{
	if (fd_read_full(sock, w, sizeof(*w)) != (ssize_t)sizeof(*w))
		return err_set(e, ECHILD, "the process that makes this user's namespaces ended without a word");
	if (w->e.no && e)
		*e = w->e;
	return -w->e.no;
}

static int make_parent(pid_t pid, int sock, pid_t *ret_holder, struct err *e)
{
	struct word w;
	int r = hear(sock, &w, e);

	if (r == 0)
		r = rootless_write_maps(pid, e);
	if (r == 0 && fd_write_full(sock, "m", 1) < 0)
		r = err_set(e, EPIPE, "the process that makes this user's namespaces is gone");
	if (r == 0)
		r = hear(sock, &w, e);
	if (r == 0)
		*ret_holder = w.holder;
	return r;
}

static int make(const struct paths *p, struct err *e)
{
	pid_t pid, holder = 0;
	int pair[2], status, r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, errno, "make a socket pair: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		fd_close(pair[0]);
		make_child(p, pair[1]);
	}
	fd_close(pair[1]);
	r = pid < 0 ? err_set(e, errno, "fork: %s", strerror(errno)) : make_parent(pid, pair[0], &holder, e);
	fd_close(pair[0]);
	if (pid > 0)
		spawn_wait(pid, &status);
	return r == 0 ? write_holder(p->run, holder, e) : r;
}

static int join_or_make(const struct paths *p, struct err *e)
{
	pid_t holder;
	int r = join_holder(p->run, e);

	if (r != -ESRCH)
		return r;
	r = join_monitor(p->run, e);
	if (r == -ESRCH) {
		r = make(p, e);
		return r < 0 ? r : join_holder(p->run, e);
	}
	if (r >= 0)
		r = start_holder(p, &holder, e);
	return r < 0 ? r : write_holder(p->run, holder, e);
}

int rootless_enter(const struct paths *p, struct err *e)
{
	_cleanup_fd_ int making = -1;
	int users, r;

	if (geteuid() == 0)
		return 0;
	r = lock_file(p->run, USERS, LOCK_SH, &users, e); /* held, and so left open, until this process ends */
	if (r < 0 || (r = join_holder(p->run, e)) != -ESRCH)
		return r;
	r = lock_file(p->run, MAKING, LOCK_EX, &making, e);
	if (r == 0)
		r = join_or_make(p, e);
	return r == -ESRCH ? err_set(e, ESRCH, "the process that holds this user's namespaces ended at once: try again") : r;
}

/* ---- those inside ---- */

int rootless_keep(const char *run, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/" HOLDER, run);
	int users;

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	return access(path, F_OK) < 0 ? 0 : lock_file(run, USERS, LOCK_SH, &users, e);
}

bool rootless_is_inside(const char *run)
{
	char path[PATH_MAX];

	return (size_t)snprintf(path, sizeof(path), "%s/" HOLDER, run) < sizeof(path) && in_user_namespace() &&
	       access(path, F_OK) == 0;
}

int rootless_users_lock(const char *run, char **ret)
{
	const bool is_inside = rootless_is_inside(run);

	*ret = is_inside ? str_fmt("%s/" USERS, run) : NULL;
	return is_inside && !*ret ? -ENOMEM : 0;
}

int rootless_hold(const char *run, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/" HOLDER, run);
	int users, r;

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	if (chdir("/") < 0)
		return err_set(e, errno, "/: %s", strerror(errno));
	r = lock_file(run, USERS, LOCK_EX, &users, e);
	return r == 0 && unlink(path) < 0 && errno != ENOENT ? err_set(e, errno, "%s: %s", path, strerror(errno)) : r;
}
