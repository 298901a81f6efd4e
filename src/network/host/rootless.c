/* See rootless.h. */
#include "rootless.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "serve.h"
#include "way.h"

#define NETNS "rootless.netns"
enum { ENDS_MS = 2000 };

static char *rootless_path(const struct net_plan *p, const char *name) { return str_fmt("%s/%s", p->state_dir, name); }

/* ---- locks ---- */

static int lock_path(const char *path, int how)
{
	_cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	do
		r = flock(fd, how) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r < 0 ? r : TAKE_FD(fd);
}

static int lock(const struct net_plan *p, const char *name, int how)
{
	_cleanup_free_ char *path = rootless_path(p, name);

	return path ? lock_path(path, how) : -ENOMEM;
}

/* ---- the namespace ---- */

static bool is_netns(int fd) { return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET; }

/* Whether we are in it already, or in another that is our own: the kernel names the owner of no namespace that is not. */
static bool has_rights(void)
{
	_cleanup_fd_ int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int owner = fd < 0 ? -1 : ioctl(fd, NS_GET_USERNS);

	return owner >= 0;
}

static int open_netns(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return is_netns(fd) ? TAKE_FD(fd) : -ENOENT;
}

/* In a process of its own, since nobody comes back from it. */
static int make_netns(const char *path, struct err *e)
{
	_cleanup_fd_ int file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	int status = 0, r;
	pid_t pid;

	if (file < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	pid = fork();
	if (pid == 0)
		_exit(unshare(CLONE_NEWNET) < 0 || mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0 ? errno : 0);
	r = pid < 0 ? -errno : spawn_wait(pid, &status);
	if (r >= 0)
		r = WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
	return r < 0 ? err_set(e, -r, "make a network namespace at %s: %s", path, strerror(-r)) : open_netns(path);
}

/* ---- the first way ---- */

static void wait_for_users(const struct way *w)
{
	const struct net_plan *p = w->arg;

	fd_close(lock_path(p->users_lock, LOCK_EX)); /* it was had; that is all */
}

/* Nobody comes between: whoever wants the way waits for the lock that is held from here on. */
static bool is_over(const struct way *w)
{
	const struct net_plan *p = w->arg;
	_cleanup_fd_ int making = lock(p, "rootless.lock", LOCK_EX);
	_cleanup_fd_ int users = lock_path(p->users_lock, LOCK_EX | LOCK_NB);

	if (users == -EWOULDBLOCK)
		return false;
	(void)TAKE_FD(making); /* until this process ends */
	return true;
}

/* The last ends what nobody has come to take away, because somebody was killed. */
static void sweep_all(const struct way *w)
{
	const struct net_plan *p = w->arg, nothing = { .state_dir = p->state_dir };
	_cleanup_fd_ int ns = open_netns(w->netns);
	struct nets n = { .host_ns = -1, .inside = -1 };
	struct outcome o = { 0 };
	struct err ignored = { 0 };

	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0 || nets_open(&n, &ignored) < 0)
		return;
	(void)sweep(&n, &nothing, &o, &ignored);
	nets_close(&n);
	outcome_done(&o);
}

/* One that is ending has no words any more, and its tap yet. */
static bool lives(const struct net_plan *p)
{
	_cleanup_free_ char *path = rootless_path(p, "rootless.way"), *text = NULL, *words = NULL;
	char cmdline[48];
	uint64_t pid = 0;
	size_t len = 0;

	if (!path || file_read(AT_FDCWD, path, 16, &text, NULL) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	if (str_to_u64(text, &pid) < 0)
		return false;
	snprintf(cmdline, sizeof(cmdline), "/proc/%llu/cmdline", (unsigned long long)pid);
	return file_read(AT_FDCWD, cmdline, 65536, &words, &len) >= 0 && len > 0 && streq(words, WAY_PROGRAM);
}

static int start_first(const struct net_plan *p, const char *netns, struct err *e)
{
	const char *tun = "/dev/net/tun";
	char *options[] = { (char[]){ "--dns-forward" },
			    (char[]){ ROOTLESS_DNS },
			    (char[]){ "-t" },
			    (char[]){ "none" },
			    (char[]){ "-u" },
			    (char[]){ "none" },
			    NULL };
	const struct timespec nap = { .tv_nsec = 1000L * 1000 };
	_cleanup_fd_ int alive = lock(p, "rootless.way", LOCK_EX | LOCK_NB);
	struct way w = rootless_way(NULL, 0);

	if (alive == -EWOULDBLOCK && lives(p))
		return 0;
	if (alive == -EWOULDBLOCK) /* its guard is about to see that */
		alive = lock(p, "rootless.way", LOCK_EX);
	if (alive < 0)
		return err_set(e, -alive, "%s/rootless.way: %s", p->state_dir, strerror(-alive));
	for (int naps = 0; lives(p) && naps < ENDS_MS; naps++) /* the kernel ends it a moment after its guard */
		nanosleep(&nap, NULL);
	if (access(tun, R_OK | W_OK) < 0)
		return err_set(e, errno,
			       "%s: %s: networks of a user without root's rights need it: have root load the module tun and "
			       "chmod 0666 %s, "
			       "or use --network none or host",
			       tun, strerror(errno), tun);
	w.netns = netns;
	w.options = options;
	w.until = -1;
	w.wait = wait_for_users;
	w.is_over = is_over;
	w.at_end = sweep_all;
	w.keep = alive;
	w.arg = p;
	return way_start(&w, e);
}

/* ---- who comes ---- */

/* The namespace; made, with the first way, where that is wanted. A host without any way out has none for us. */
static int ready(struct nets *n, const struct net_plan *p, const char *path, bool makes, struct err *e)
{
	_cleanup_fd_ int making = lock(p, "rootless.lock", LOCK_EX), ns = -1;
	int r;

	if (making < 0)
		return making == -ENOENT ? making : err_set(e, -making, "%s/rootless.lock: %s", p->state_dir, strerror(-making));
	ns = open_netns(path);
	if (ns == -ENOENT && makes)
		ns = make_netns(path, e);
	else if (ns < 0 && ns != -ENOENT)
		err_set(e, -ns, "%s: %s", path, strerror(-ns));
	if (ns < 0 || !makes)
		return ns < 0 ? ns : TAKE_FD(ns);
	r = route_has_default(&n->outside);
	if (r < 0)
		return err_set(e, -r, "the host's routes: %s", strerror(-r));
	r = r > 0 ? start_first(p, path, e) : 0;
	return r < 0 ? r : TAKE_FD(ns);
}

int rootless_enter(struct nets *n, const struct net_plan *p, bool makes, struct outcome *o, struct err *e)
{
	_cleanup_free_ char *path = is_rootless(p) ? rootless_path(p, NETNS) : NULL;
	_cleanup_fd_ int ns = -1;
	int r = 0;

	if (!is_rootless(p) || has_rights())
		return 0;
	if (!path)
		return err_set(e, ENOMEM, "%s: %s", NETNS, strerror(ENOMEM));
	if (makes)
		r = mkdir_p(AT_FDCWD, p->state_dir, 0755);
	if (r >= 0)
		r = talk_open(NETLINK_ROUTE, &n->outside);
	if (r < 0)
		return err_set(e, -r, "%s: %s", p->state_dir, strerror(-r));
	ns = ready(n, p, path, makes, e);
	if (ns < 0)
		return ns;
	if (makes && o->ports.n_fds && route_has_default(&n->outside) == 0)
		return err_set(
			e, ENETUNREACH,
			"ports can't be published without root's rights on a host that has no default route, which pasta wants");
	r = makes ? rootless_publish(p, path, o, e) : 0;
	if (r < 0)
		return r;
	return setns(ns, CLONE_NEWNET) < 0 ? err_set(e, errno, "enter this user's network namespace: %s", strerror(errno)) : 1;
}
