/* sync: what parent, stage and child tell each other while a process is made, over one SOCK_SEQPACKET pair, so that every
 * message is whole or absent and the end of either side is seen as end of file. The parent sends struct sync_word, the child
 * struct sync_report. Called by container.c, exec.c and the steps. */
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "setup.h"

int sync_pair(int ret_fds[2], struct err *e)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_set(e, errno, "socket pair: %s", strerror(errno));
	for (int i = 0; i < 2; i++) {
		/* The child dups its standard streams over 0 to 2: nothing else may live there. */
		int high = fcntl(fds[i], F_DUPFD_CLOEXEC, 10);

		if (high < 0) {
			int no = errno;

			close(fds[0]);
			close(fds[1]);
			return err_set(e, no, "socket pair: %s", strerror(no));
		}
		close(fds[i]);
		fds[i] = high;
	}
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}

int sync_send(int sock, enum sync_kind kind)
{
	struct sync_word w = { .kind = kind };
	ssize_t n;

	do
		n = send(sock, &w, sizeof(w), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == sizeof(w) ? 0 : n < 0 ? -errno : -EIO;
}

int sync_send_fd(int sock, enum sync_kind kind, int fd)
{
	struct sync_word w = { .kind = kind };

	return sock_send_fds(sock, &w, sizeof(w), &fd, 1);
}

/* With a descriptor: 1 = always, -1 = perhaps. */
static int brings_fd(uint32_t kind) { return kind == SYNC_ROOT ? 1 : kind == SYNC_NETWORK ? -1 : 0; }

static int hear(struct setup *s, struct err *e)
{
	struct sync_word w = { 0 };
	_cleanup_fd_ int fd = -1;
	size_t n_fds;
	ssize_t n;

	do {
		n_fds = 1;
		n = sock_recv_fds(s->sock, &w, sizeof(w), &fd, &n_fds);
	} while (n == -EINTR);
	if (n_fds == 0 || n <= 0)
		fd = -1;
	if (n == 0)
		return err_set(e, EPIPE, "the process that makes this container has ended");
	if (n < 0)
		return err_set(e, (int)-n, "waiting for the maker of this container: %s", strerror((int)-n));
	if (n != sizeof(w) || w.kind == 0 || w.kind >= SYNC_KINDS || (brings_fd(w.kind) >= 0 && brings_fd(w.kind) != (fd >= 0)))
		return err_set(e, EPROTO, "message %u of the maker was not expected", w.kind);
	s->heard |= 1u << w.kind;
	if (fd >= 0)
		*(w.kind == SYNC_ROOT ? &s->rootfd : &s->netfd) = TAKE_FD(fd);
	return 0;
}

int sync_wait(struct setup *s, enum sync_kind kind, struct err *e)
{
	int r = 0;

	while (r == 0 && !(s->heard & 1u << kind))
		r = hear(s, e);
	return r;
}

enum { START_WORD_S = 10, START_NAP_MS = 5, START_TRIES = 1000 };

/* One who has connected: 1 = it said START, and is the other side from now on; 0 = it said nothing of use. */
static int take_start(struct setup *s, int conn)
{
	struct timeval limit = { .tv_sec = START_WORD_S };
	struct sync_word w = { 0 };
	ssize_t n;

	/* A silent one must not keep the others waiting. */
	if (setsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return 0;
	do
		n = recv(conn, &w, sizeof(w), 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(w) || w.kind != SYNC_START)
		return 0;
	fd_close(s->sock);
	s->sock = conn;
	return 1;
}

/* The host may be short of memory or descriptors for a moment: nobody would learn of a failure here, so it takes its time. */
static bool is_passing(int no)
{
	return no == EINTR || no == ECONNABORTED || no == ENOMEM || no == ENOBUFS || no == ENFILE || no == EMFILE || no == EPERM;
}

int sync_wait_start(struct setup *s, struct err *e)
{
	const struct timespec nap = { .tv_nsec = START_NAP_MS * 1000L * 1000 };
	int tries = 0, r = sync_wait(s, SYNC_KEPT, e);

	if (r == 0)
		r = sync_report(s, s->sock, SYNC_WAITS, 0, NULL, -1);
	while (r == 0) {
		int conn = accept4(s->args->start_fd, NULL, NULL, SOCK_CLOEXEC);

		if (conn < 0 && is_passing(errno) && tries++ < START_TRIES) {
			nanosleep(&nap, NULL);
			continue;
		}
		if (conn < 0)
			return err_set(e, errno, "waiting to be started: %s", strerror(errno));
		if (take_start(s, conn))
			return 0;
		close(conn);
	}
	return r;
}

int container_start_listen(int dirfd, const char *name) { return sock_unix_listen_as(SOCK_SEQPACKET, dirfd, name, 0600); }

int container_start_connect(int dirfd, const char *name) { return sock_unix_connect_as(SOCK_SEQPACKET, dirfd, name); }

int sync_report(const struct setup *s, int sock, enum sync_kind kind, pid_t pid, const struct err *err, int fd)
{
	struct sync_report rep = { .kind = kind, .pid = pid };

	if (err)
		rep.err = *err;
	memcpy(rep.step_us, s->step_us, sizeof(rep.step_us));
	return sock_send_fds(sock, &rep, sizeof(rep), &fd, fd >= 0 ? 1 : 0);
}

int sync_next(int sock, struct sync_report *ret, int *ret_fd, struct err *e)
{
	bool was_reset = false;
	struct sync_report rep;
	size_t n_fds;
	int fd = -1;
	ssize_t n;

	/* ECONNRESET: the child ended without reading all that it was told. The kernel says so once, and before it hands out
	 * what the child has sent (net/core/datagram.c: sock_error comes first), so its last report is read after that. */
	do {
		n_fds = 1;
		n = sock_recv_fds(sock, &rep, sizeof(rep), &fd, &n_fds);
	} while (n == -EINTR || (n == -ECONNRESET && !was_reset && (was_reset = true)));
	if (n_fds == 0 || n <= 0)
		fd = -1;
	if (n == 0 || n == -ECONNRESET)
		return 0;
	if (n != sizeof(rep)) {
		fd_close(fd);
		return n < 0 ? err_set(e, (int)-n, "report of the new process: %s", strerror((int)-n))
			     : err_set(e, EPROTO, "report of the new process: %zd bytes", n);
	}
	rep.err.msg[sizeof(rep.err.msg) - 1] = 0;
	*ret = rep;
	*ret_fd = fd;
	return 1;
}
