/* bundle: see bundle.h. */
#include "bundle.h"

#include <stdio.h>
#include <unistd.h>

#define CONFIG_MAX (16u << 20)

void bundle_done(struct bundle *b)
{
	seccomp_prog_done(&b->seccomp);
	free_ptr(&b->text);
	spec_done(&b->spec);
	host_done(&b->host);
}

static void mark(const struct bundle *b, const char *what)
{
	if (b->trace)
		trace_mark(b->trace, what);
}

int bundle_read(int dirfd, struct bundle *ret, struct err *e)
{
	int r = file_read(dirfd, "config.json", CONFIG_MAX, &ret->text, &ret->len);

	spec_init(&ret->spec);
	if (r == -ENOENT)
		return err_set(e, ENOENT,
			       "JSON specification file config.json not found: give the bundle's directory by --bundle");
	if (r < 0)
		return err_set(e, -r, "config.json: %s", strerror(-r));
	if (ret->network)
		container_network_guess(ret->network, ret->text, ret->len);
	r = spec_parse(ret->text, ret->len, &ret->spec, e);
	mark(ret, "config.json read");
	ret->args = (struct container_args){
		.spec = &ret->spec, .host = &ret->host, .seccomp = &ret->seccomp, .rootfd = -1, .stdio = { 0, 1, 2 }
	};
	return r;
}

int bundle_probe(struct bundle *b, struct err *e)
{
	int r = host_probe_cgroup(&b->host, e);

	mark(b, "cgroups probed");
	return r;
}

int bundle_load(int dirfd, struct bundle *ret, struct err *e)
{
	int r = bundle_read(dirfd, ret, e);

	return r < 0 ? r : bundle_probe(ret, e);
}

/* One place for all roots, so that the next container of whatever engine finds what this one has compiled. */
static char *cache_dir(const struct runtime *rt)
{
	return rt->is_rootless ? str_fmt("%s/.seccomp", rt->root) : strdup("/run/berth/seccomp");
}

int bundle_seccomp(const struct runtime *rt, struct bundle *b, struct err *e)
{
	_cleanup_free_ char *dir = cache_dir(rt);
	int r;

	if (!dir)
		return err_set(e, ENOMEM, "out of memory");
	if (!b->spec.seccomp)
		return 0;
	r = container_seccomp_get(&b->spec, dir, &b->seccomp, e);
	mark(b, "seccomp filter ready");
	return r;
}

int bundle_place_cgroup(struct bundle *b, const char *id, struct err *e)
{
	const char *given = b->spec.cgroups_path;
	_cleanup_buf_ struct buf path = { 0 };

	if (!given || !*given) {
		buf_fmt(&path, "/berth-%s", id); /* no parent of its own: nobody could tell when to remove it */
	} else {
		/* "a//b" is "a/b"; ".." is left in, for cgroup_create to refuse. */
		for (const char *p = given; *p;) {
			size_t n;

			p += strspn(p, "/");
			n = strcspn(p, "/");
			if (n > 0 && !(n == 1 && *p == '.'))
				buf_fmt(&path, "/%.*s", (int)n, p);
			p += n;
		}
		if (!path.data)
			return err_set(e, EINVAL, ".linux.cgroupsPath: \"%.80s\" is the root of all cgroups", given);
	}
	free(b->spec.cgroups_path);
	b->spec.cgroups_path = buf_take(&path);
	return b->spec.cgroups_path ? 0 : err_set(e, ENOMEM, "out of memory");
}

int bundle_adopt(const struct held *h, struct bundle *b, int start_fd, struct container **ret, struct err *e)
{
	const struct record *rec = &h->rec;
	const struct container_handle handle = {
		.pid = (pid_t)rec->pid, .start_time = rec->start_time, .cgroup_path = rec->cgroup_path, .start_fd = start_fd
	};

	b->args.id = rec->id;
	b->args.bundle = rec->bundle;
	if (b->trace)
		trace_steps(b->trace, &b->args);
	return container_adopt(&b->args, &handle, ret, e);
}

/* sd_listen_fds(3): meant for this process only where LISTEN_PID says so. */
static unsigned listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	uint64_t p, count;

	if (!pid || !n || str_to_u64(pid, &p) < 0 || p != (uint64_t)getpid() || str_to_u64(n, &count) < 0 || count > 1024)
		return 0;
	return (unsigned)count;
}

/* The process is the container's first, whatever it is called outside. */
static int pass_listen_env(unsigned n, char ***env)
{
	const char *names = getenv("LISTEN_FDNAMES");
	_cleanup_free_ char *count = str_fmt("LISTEN_FDS=%u", n), *named = names ? str_fmt("LISTEN_FDNAMES=%s", names) : NULL;

	if (!count || (names && !named) || env_set(env, count) < 0 || (named && env_set(env, named) < 0))
		return -ENOMEM;
	return env_set(env, "LISTEN_PID=1");
}

int preserve_fds(int64_t n, char ***env, unsigned *ret_n, struct err *e)
{
	unsigned listening = listen_fds();

	if (n < 0 || n > 1024)
		return err_set(e, EINVAL, "--preserve-fds: %lld is not a number from 0 to 1024", (long long)n);
	/* All that this program opens is close-on-exec: what is not has come from the caller. */
	for (int fd = 3; fd < 3 + (int)listening + (int)n; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags < 0 || flags & FD_CLOEXEC)
			return err_set(e, EBADF, "--preserve-fds: descriptor %d is not open: pass it, or ask for fewer", fd);
	}
	if (listening && pass_listen_env(listening, env) < 0)
		return err_set(e, ENOMEM, "out of memory");
	*ret_n = listening + (unsigned)n;
	return 0;
}

static int replace_at(const char *path, const char *text)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	_cleanup_fd_ int fd = -1;

	if (!dir)
		return -ENOMEM;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : file_replace_clean(fd, slash ? slash + 1 : path, text, strlen(text), 0644);
}

int pid_file_write(const char *path, pid_t pid, struct err *e)
{
	char text[16];
	int r;

	if (!path || !*path)
		return 0;
	snprintf(text, sizeof(text), "%d", (int)pid);
	r = replace_at(path, text);
	return r < 0 ? err_set(e, -r, "--pid-file %s: %s", path, strerror(-r)) : 0;
}

int console_send(const char *path, int master, struct err *e)
{
	_cleanup_fd_ int fd = master, sock = sock_unix_connect(AT_FDCWD, path);
	static const char name[] = "/dev/ptmx";
	int r = sock < 0 ? sock : master < 0 ? -ENOTTY : sock_send_fds(sock, name, strlen(name), &fd, 1);

	return r < 0 ? err_set(e, -r, "--console-socket %s: %s", path, strerror(-r)) : 0;
}

int pidfd_send(const char *path, int pidfd, const char *kind, struct err *e)
{
	_cleanup_fd_ int sock = -1;
	int r;

	if (!path || !*path)
		return 0;
	sock = sock_unix_connect(AT_FDCWD, path);
	r = sock < 0 ? sock : sock_send_fds(sock, kind, strlen(kind), &pidfd, 1);
	return r < 0 ? err_set(e, -r, "--pidfd-socket %s: %s", path, strerror(-r)) : 0;
}

int console_check(const struct spec_process *p, const char *console_socket, bool is_detached, struct err *e)
{
	bool has_socket = console_socket && *console_socket;

	if (p->terminal && is_detached && !has_socket)
		return err_set(
			e, EINVAL,
			"cannot allocate tty without a console socket: give --console-socket, or set process.terminal to false");
	if (has_socket && !(p->terminal && is_detached))
		return err_set(e, EINVAL, "cannot use console socket: %s",
			       p->terminal ? "the terminal is served by this command unless it detaches"
					   : "process.terminal is false");
	return 0;
}
