/* Names on a network: a dnsmasq that listens on the gateway's addresses only, started by the first attach and ended when the bridge has
 * gone. What it knows is files: state_dir/NETWORK/hosts/DEVICE, one an endpoint, which it watches. Beside them: pid, written by it, and
 * bridge, the device whose end is its own. All of it is written by berth-net in its turn. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "impl.h"

/* Where it sees its files: the directory itself is behind others that only root may enter. In a mount namespace of its own. */
#define HOSTS_SEEN   "/mnt"
#define HOSTS_OPTION "--hostsdir=/mnt"
enum { END_MS = 2000, TEXT_MAX = 65536 };

static bool has_resolver(const struct net_network *net) { return net->has_names && streq(net->driver, "bridge"); }

static int open_dir(const char *state_dir, const char *network, bool make, char **ret_path)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", state_dir, network), *hosts = path ? str_fmt("%s/hosts", path) : NULL;
	int r = hosts ? 0 : -ENOMEM, fd;

	if (r >= 0 && make)
		r = mkdir_p(AT_FDCWD, hosts, 0755);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (ret_path)
		*ret_path = TAKE_PTR(path);
	return fd;
}

/* Whether the process has been started with this file for its pid: then it is the one. */
static bool is_resolver(pid_t pid, const char *dir)
{
	_cleanup_free_ char *cmdline = NULL, *wanted = str_fmt("--pid-file=%s/pid", dir);
	char path[64];
	size_t len = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	if (!wanted || file_read(AT_FDCWD, path, TEXT_MAX, &cmdline, &len) < 0)
		return false;
	for (const char *p = cmdline; p < cmdline + len; p += strlen(p) + 1)
		if (streq(p, wanted))
			return true;
	return false;
}

/* Its pidfd; -ESRCH: there is none. */
static int find_resolver(int dirfd, const char *dir)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int pidfd = -1;
	uint64_t pid = 0;

	if (file_read(dirfd, "pid", 32, &text, NULL) < 0)
		return -ESRCH;
	text[strcspn(text, "\n")] = '\0';
	if (str_to_u64(text, &pid) < 0 || pid == 0 || pid > INT32_MAX)
		return -ESRCH;
	pidfd = pidfd_open_((pid_t)pid);
	/* Asked only now: who has the pid keeps it while the pidfd is not readable. */
	if (pidfd < 0 || !is_resolver((pid_t)pid, dir) || poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0) != 0)
		return -ESRCH;
	return TAKE_FD(pidfd);
}

static int arguments(const struct net_network *net, const char *dir, const char *program, char ***ret)
{
	static const char *const always[] = {
		"--conf-file=/dev/null", "--no-hosts",      HOSTS_OPTION,    "--bind-interfaces",
		"--except-interface=lo", "--domain-needed", "--user=nobody", "--resolv-file=/etc/resolv.conf",
		"--cache-size=1000"
	};
	char **v = NULL;
	int r = strv_push(&v, program);

	for (size_t i = 0; i < ARRAY_SIZE(always) && r >= 0; i++)
		r = strv_push(&v, always[i]);
	if (r >= 0)
		r = strv_push_take(&v, str_fmt("--pid-file=%s/pid", dir));
	for (size_t i = 0; i < net->n_subnets && r >= 0; i++)
		if (net->subnets[i].gateway)
			r = strv_push_take(&v, str_fmt("--listen-address=%s", net->subnets[i].gateway));
	if (r >= 0 && (net->is_internal || (net->upstreams && net->upstreams[0])))
		r = strv_push(&v, "--no-resolv");
	for (char **u = net->upstreams; u && *u && r >= 0 && !net->is_internal; u++)
		r = strv_push_take(&v, str_fmt("--server=%s", *u));
	if (r < 0)
		strv_free(v);
	else
		*ret = v;
	return r;
}

_noreturn_ static void become(char **argv, const char *hosts, int words)
{
	static const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* until it is in the background; then its pid is known */
	setsid();
	dup2(words, STDERR_FILENO);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount(hosts, HOSTS_SEEN, NULL, MS_BIND, NULL) < 0) {
		dprintf(STDERR_FILENO, "its files at %s: %s", HOSTS_SEEN, strerror(errno));
		_exit(1);
	}
	syscall(SYS_close_range, 3, ~0U, 0);
	execve(argv[0], argv, (char *const *)(uintptr_t)env);
	dprintf(STDERR_FILENO, "%s", strerror(errno));
	_exit(1);
}

/* It goes to the background by itself once it listens. */
static int start(const struct net_network *net, const char *dir, struct err *e)
{
	_cleanup_free_ char *program = spawn_find("dnsmasq"), *hosts = str_fmt("%s/hosts", dir), *said = NULL;
	_cleanup_fd_ int words = memfd_create("words", MFD_CLOEXEC);
	_cleanup_strv_ char **argv = NULL;
	int status = 0, r;
	pid_t pid;

	if (!program)
		return err_set(e, ENOENT, "names on the network %s need dnsmasq: install it (Debian's package dnsmasq-base)",
			       net->name);
	if (!hosts || words < 0 || arguments(net, dir, program, &argv) < 0)
		return err_set(e, ENOMEM, "the resolver: %s", strerror(ENOMEM));
	pid = fork();
	if (pid == 0)
		become(argv, hosts, words);
	r = pid < 0 ? -errno : spawn_wait(pid, &status);
	if (r < 0)
		return err_set(e, -r, "start %s: %s", program, strerror(-r));
	if (status == 0)
		return 0;
	if (lseek(words, 0, SEEK_SET) < 0 || fd_read_all(words, 4096, &said, NULL) < 0 || !said)
		return err_set(e, EIO, "%s ended with status %d", program, status_to_exit(status));
	said[strcspn(said + strspn(said, "\n"), "\n") + strspn(said, "\n")] = '\0';
	return err_set(e, EIO,
		       "the resolver of the network %s: %.200s (where a program of this host has port 53 of every address, let "
		       "it leave %s out)",
		       net->name, said + strspn(said, "\n"), net->device);
}

int resolver_up(const char *state_dir, const struct net_network *net, struct err *e)
{
	_cleanup_free_ char *dir = NULL;
	_cleanup_fd_ int dirfd = -1, pidfd = -1;
	int r;

	if (!has_resolver(net))
		return 0;
	dirfd = open_dir(state_dir, net->id, true, &dir);
	r = dirfd < 0 ? dirfd : file_replace(dirfd, "bridge", net->device, strlen(net->device), 0644, false);
	if (r < 0)
		return err_set(e, -r, "%s/%s: %s", state_dir, net->id, strerror(-r));
	pidfd = find_resolver(dirfd, dir);
	return pidfd >= 0 ? 0 : start(net, dir, e);
}

static int write_names(const char *state_dir, const struct net_endpoint *ep)
{
	_cleanup_fd_ int dirfd = open_dir(state_dir, ep->network.id, false, NULL);
	_cleanup_free_ char *to = str_fmt("hosts/%s", ep->device);
	_cleanup_buf_ struct buf text = { 0 };
	int r;

	if (dirfd < 0 || !to)
		return dirfd < 0 ? dirfd : -ENOMEM;
	for (char **a = ep->addresses; a && *a; a++) {
		buf_add(&text, *a, strcspn(*a, "/"));
		for (char **name = ep->names; *name; name++)
			buf_fmt(&text, " %s", *name);
		buf_str(&text, "\n");
	}
	if (text.failed)
		return -ENOMEM;
	/* It watches for whole files that come into the directory. */
	r = file_replace(dirfd, "next", text.data ? text.data : "", text.len, 0644, false);
	if (r >= 0 && renameat(dirfd, "next", dirfd, to) < 0)
		r = -errno;
	return r;
}

int resolver_names(const char *state_dir, const struct net_endpoint *ep, struct err *e)
{
	int r;

	if (!has_resolver(&ep->network) || !ep->names || !ep->names[0])
		return 0;
	r = write_names(state_dir, ep);
	return r < 0 ? err_set(e, -r, "names of %s in %s/%s: %s", ep->name, state_dir, ep->network.id, strerror(-r)) : 0;
}

int resolver_forget(const char *state_dir, const struct net_endpoint *ep, struct err *e)
{
	_cleanup_free_ char *to = str_fmt("hosts/%s", ep->device);
	_cleanup_fd_ int dirfd = -1;
	int r;

	if (!has_resolver(&ep->network))
		return 0;
	dirfd = open_dir(state_dir, ep->network.id, false, NULL);
	r = dirfd < 0 ? dirfd : !to ? -ENOMEM : unlinkat(dirfd, to, 0) < 0 ? -errno : 0;
	return r < 0 && r != -ENOENT ? err_set(e, -r, "names in %s/%s: %s", state_dir, ep->network.id, strerror(-r)) : 0;
}

/* One that has not come to write its pid, because we were killed beside it. */
static int search_resolver(const char *dir)
{
	DIR *d = opendir("/proc");
	struct dirent *entry;
	uint64_t pid;
	int fd = -ESRCH;

	while (d && fd < 0 && dir_next(d, &entry) > 0)
		if (str_to_u64(entry->d_name, &pid) >= 0 && pid <= INT32_MAX && is_resolver((pid_t)pid, dir))
			fd = pidfd_open_((pid_t)pid);
	if (d)
		closedir(d);
	return fd;
}

/* Ends it, and waits: what it had open is gone then. */
static void end(int dirfd, const char *dir)
{
	_cleanup_fd_ int pidfd = find_resolver(dirfd, dir);

	if (pidfd < 0)
		pidfd = search_resolver(dir);
	if (pidfd < 0 || pidfd_kill(pidfd, SIGTERM) < 0)
		return;
	if (poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, END_MS) == 0 && pidfd_kill(pidfd, SIGKILL) >= 0)
		(void)poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, END_MS);
}

static int sweep_one(struct nets *n, const char *state_dir, int statefd, const char *name)
{
	_cleanup_free_ char *dir = NULL, *device = NULL;
	_cleanup_fd_ int dirfd = open_dir(state_dir, name, false, &dir);
	struct link l;

	if (dirfd < 0)
		return dirfd == -ENOTDIR ? 0 : dirfd;
	if (file_read(dirfd, "bridge", IFNAMSIZ, &device, NULL) >= 0 && link_find(&n->route, device, &l) >= 0)
		return 0;
	end(dirfd, dir);
	return rm_rf(statefd, name);
}

int resolver_sweep(struct nets *n, const char *state_dir, struct err *e)
{
	DIR *d = opendir(state_dir);
	struct dirent *entry;
	int r = d ? 0 : -errno;

	if (r == -ENOENT)
		return 0;
	while (d && r >= 0 && (r = dir_next(d, &entry)) > 0)
		r = sweep_one(n, state_dir, dirfd(d), entry->d_name);
	if (d)
		closedir(d);
	return r < 0 ? err_set(e, -r, "%s: %s", state_dir, strerror(-r)) : 0;
}
