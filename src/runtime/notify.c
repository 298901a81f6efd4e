/* notify: see notify.h. The socket that systemd listens on can't be given to a container: it tells services apart by the sender's
 * cgroup, and takes orders (MAINPID=, FDSTORE=1) that no container should give. So the container says READY=1 to a socket of ours,
 * and what goes on is our own two lines, as with runc and crun; nothing of the container's bytes.
 *
 *   create, run:  ROOT/ID/notify becomes /run/notify, NOTIFY_SOCKET=/run/notify/notify.sock
 *   start, run:   listens there before the process runs, and while detached waits for it before it returns
 *   checkpoint:   saves it as a mount of the host's
 *   restore:      gives it again to who had it, and says READY=1 itself
 *
 * There is no limit of time: the service's own (TimeoutStartSec=) ends this program too. */
#include "notify.h"

#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DIR_   "notify"
#define SOCKET "notify.sock"

enum { BARRIER_MS = 30000, MESSAGE_MAX = 4096 };

static const char *host_socket(void)
{
	const char *s = getenv("NOTIFY_SOCKET");

	return s && *s ? s : NULL;
}

bool notify_is_wanted(void) { return host_socket() != NULL; }

/* ---- making it ---- */

static int push_mount(struct spec *s, const char *source)
{
	static const char *const options[] = { "bind", "ro", "nosuid", "noexec", "nodev" };
	struct spec_mount *more = reallocarray(s->mounts, s->n_mounts + 1, sizeof(*more)), *m;

	if (!more)
		return -ENOMEM;
	s->mounts = more;
	m = &more[s->n_mounts++];
	*m = (struct spec_mount){ .destination = strdup(NOTIFY_INSIDE), .type = strdup("bind"), .source = strdup(source) };
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strv_push(&m->options, options[i]) < 0)
			return -ENOMEM;
	return m->destination && m->type && m->source ? 0 : -ENOMEM;
}

int notify_add_mount(const struct runtime *rt, const struct held *h, struct spec *s, struct err *e)
{
	_cleanup_free_ char *source = str_fmt("%s/%s/" DIR_, rt->root, h->rec.id);

	return source && push_mount(s, source) == 0 ? 0 : err_set(e, ENOMEM, "out of memory");
}

bool notify_is_configured(const struct spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (s->mounts[i].destination && streq(s->mounts[i].destination, NOTIFY_INSIDE))
			return true;
	return false;
}

int notify_is_lent(const struct held *h) { return file_exists(h->dirfd, DIR_); }

int notify_check(struct err *e)
{
	const char *s = host_socket();

	if (s && ((s[0] != '/' && s[0] != '@') || !s[1] || strlen(s) >= sizeof(((struct sockaddr_un *)0)->sun_path)))
		return err_set(e, EINVAL, "$NOTIFY_SOCKET is \"%.80s\", neither a path nor @NAME: unset it, or set it right", s);
	return 0;
}

int notify_lend(const struct runtime *rt, const struct held *h, struct spec *s, struct err *e)
{
	/* Whoever the process is may look in; our umask must not say otherwise. */
	if (mkdirat(h->dirfd, DIR_, 0755) < 0 || fchmodat(h->dirfd, DIR_, 0755, 0) < 0)
		return err_set(e, errno, "%s/%s/" DIR_ ": %s", rt->root, h->rec.id, strerror(errno));
	return notify_add_mount(rt, h, s, e);
}

int notify_prepare(const struct runtime *rt, const struct held *h, struct bundle *b, bool *ret_passed, struct err *e)
{
	int r;

	if (!notify_is_wanted() || !b->spec.process.cwd) /* a container without a process */
		return 0;
	r = notify_check(e);
	if (r < 0)
		return r;
	if (!b->spec.ns.wanted[NS_MOUNT] || b->spec.ns.path[NS_MOUNT]) {
		log_warn("notify", "$NOTIFY_SOCKET is not passed on: the container has no mount namespace of its own");
		return 0;
	}
	if (env_set(&b->spec.process.env, "NOTIFY_SOCKET=" NOTIFY_INSIDE "/" SOCKET) < 0)
		return err_set(e, ENOMEM, "out of memory");
	r = notify_lend(rt, h, &b->spec, e);
	if (r == 0)
		*ret_passed = true;
	return r;
}

int notify_listen(const struct held *h, int *ret_fd, struct err *e)
{
	_cleanup_fd_ int dir = openat(h->dirfd, DIR_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), fd = -1;

	if (dir < 0)
		return err_set(e, errno, "$NOTIFY_SOCKET: container %s was made without it, and can't say when it is ready",
			       h->rec.id);
	/* Of a start that failed. */
	if (unlinkat(dir, SOCKET, 0) < 0 && errno != ENOENT)
		return err_set(e, errno, DIR_ "/" SOCKET ": %s", strerror(errno));
	fd = sock_unix_listen_as(SOCK_DGRAM, dir, SOCKET, 0777);
	if (fd >= 0 && fchmodat(dir, SOCKET, 0777, 0) < 0)
		return err_set(e, errno, DIR_ "/" SOCKET ": %s", strerror(errno));
	if (fd < 0)
		return err_set(e, -fd, DIR_ "/" SOCKET ": %s", strerror(-fd));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- hearing ---- */

bool notify_heard_ready(int fd)
{
	char text[MESSAGE_MAX + 1], *rest = text;
	/* Without room for descriptors: those that come are closed by the kernel. */
	ssize_t n = recv(fd, text, MESSAGE_MAX, MSG_DONTWAIT);

	if (n <= 0)
		return false;
	text[n] = '\0';
	for (const char *line; (line = strsep(&rest, "\n"));)
		if (streq(line, "READY=1"))
			return true;
	return false;
}

/* ---- telling ---- */

static int connect_host(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *name = host_socket();
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!name)
		return -ENOENT;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", name);
	if (name[0] == '@') /* abstract, unix(7) */
		a.sun_path[0] = '\0';
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* sd_notify_barrier(3): the listener closes our pipe once it has read all that came before. One that does not know of it drops
 * the descriptor with the message, which says the same. */
static int wait_until_taken(int sock)
{
	static const char word[] = "BARRIER=1";
	_cleanup_fd_ int end = -1, sent = -1;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	end = fds[0];
	sent = fds[1];
	r = sock_send_fds(sock, word, strlen(word), &sent, 1);
	if (r < 0)
		return r;
	sent = fd_close(sent);
	struct pollfd p = { .fd = end };
	do
		r = poll(&p, 1, BARRIER_MS);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

void notify_host(pid_t main_pid, bool is_leaving)
{
	_cleanup_fd_ int sock = connect_host();
	char text[48];
	int r = sock;

	snprintf(text, sizeof(text), "READY=1\nMAINPID=%d", (int)main_pid);
	if (sock >= 0)
		r = sock_send_fds(sock, text, strlen(text), NULL, 0);
	if (r >= 0 && is_leaving)
		r = wait_until_taken(sock);
	if (r < 0)
		log_warn("notify", "$NOTIFY_SOCKET %s: %s", host_socket(),
			 r == -ETIMEDOUT ? "its listener does not read" : strerror(-r));
}

int notify_wait(int fd, int pidfd, pid_t pid, struct err *e)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };

	for (;;) {
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return err_set(e, errno, "wait for the container to be ready: %s", strerror(errno));
		/* First what it has said: it may have said so and ended. */
		if (p[0].revents && notify_heard_ready(fd)) {
			notify_host(pid, true);
			return 0;
		}
		if (p[1].revents && !p[0].revents)
			return 0;
	}
}
