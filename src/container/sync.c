/* sync: what parent, stage and child tell each other while a process is made, over one SOCK_SEQPACKET pair, so that every
 * message is whole or absent and the end of either side is seen as end of file. The parent sends struct sync_word, the child
 * struct sync_report. Called by container.c, exec.c and the steps. */
#include <sys/socket.h>
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

int sync_send(int sock, enum sync_kind kind, pid_t pid)
{
	struct sync_word w = { .kind = kind, .pid = pid };
	ssize_t n;

	do
		n = send(sock, &w, sizeof(w), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == sizeof(w) ? 0 : n < 0 ? -errno : -EIO;
}

int sync_wait(struct setup *s, enum sync_kind kind, struct err *e)
{
	struct sync_word w = { 0 };
	ssize_t n;

	do
		n = recv(s->sock, &w, sizeof(w), 0);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return err_set(e, EPIPE, "the process that makes this container has ended");
	if (n < 0)
		return err_set(e, errno, "waiting for the maker of this container: %s", strerror(errno));
	if (n != sizeof(w) || w.kind != kind)
		return err_set(e, EPROTO, "waited for message %d of the maker, got %u", kind, w.kind);
	s->own_pid = w.pid;
	return 0;
}

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
