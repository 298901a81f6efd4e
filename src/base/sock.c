/* Unix stream sockets: file descriptors in messages, and addresses relative to a directory. */
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"

#define FDS_MAX 8

union fd_message {
	struct cmsghdr hdr;
	char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int sock_send_fds(int sock, const void *p, size_t n, const int *fds, size_t n_fds)
{
	union fd_message control = { 0 };
	const char *data = p;
	size_t sent = 0;

	if (n == 0 || n_fds > FDS_MAX) /* the fds ride on the first byte */
		return -EINVAL;
	while (sent < n) {
		struct iovec iov = { .iov_base = (void *)(uintptr_t)(data + sent), .iov_len = n - sent };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		if (sent == 0 && n_fds) {
			msg.msg_control = control.space;
			msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
			control.hdr.cmsg_level = SOL_SOCKET;
			control.hdr.cmsg_type = SCM_RIGHTS;
			control.hdr.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
			memcpy(CMSG_DATA(&control.hdr), fds, n_fds * sizeof(int));
		}
		ssize_t k = sendmsg(sock, &msg, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno == EAGAIN && sent > 0) {
			/* Half a message can't be taken back: wait for room. */
			struct pollfd pfd = { .fd = sock, .events = POLLOUT };
			if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
				return -errno;
			continue;
		}
		if (k < 0)
			return -errno;
		sent += (size_t)k;
	}
	return 0;
}

ssize_t sock_recv_fds(int sock, void *p, size_t n, int *ret_fds, size_t *n_fds)
{
	union fd_message control = { 0 };
	struct iovec iov = { .iov_base = p, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control) };
	int got[FDS_MAX];
	size_t count = 0;
	ssize_t k;

	do
		k = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (count < FDS_MAX)
				got[count++] = fd;
			else
				fd_close(fd);
		}
	}
	size_t room = n_fds ? *n_fds : 0;
	if (count > room || (msg.msg_flags & MSG_CTRUNC)) {
		for (size_t i = 0; i < count; i++)
			fd_close(got[i]);
		return -EMSGSIZE;
	}
	for (size_t i = 0; i < count; i++)
		ret_fds[i] = got[i];
	if (n_fds)
		*n_fds = count;
	return k;
}

static int unix_address(int dirfd, const char *name, struct sockaddr_un *ret)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n;

	if (dirfd == AT_FDCWD || name[0] == '/')
		n = snprintf(a.sun_path, sizeof(a.sun_path), "%s", name);
	else
		n = snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	if (n < 0 || (size_t)n >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	*ret = a;
	return 0;
}

int sock_unix_listen_as(int type, int dirfd, const char *name, mode_t mode)
{
	struct sockaddr_un a;
	int r = unix_address(dirfd, name, &a);

	if (r < 0)
		return r;
	_cleanup_fd_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Before bind, fchmod sets the mode that the file is born with (less the umask): there is no moment of a wider one. */
	if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	if (type != SOCK_DGRAM && listen(fd, 64) < 0) {
		r = -errno;
		unlinkat(dirfd, name, 0);
		return r;
	}
	return TAKE_FD(fd);
}

int sock_unix_connect_as(int type, int dirfd, const char *name)
{
	struct sockaddr_un a;
	int r = unix_address(dirfd, name, &a);

	if (r < 0)
		return r;
	_cleanup_fd_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int sock_unix_listen(int dirfd, const char *name, mode_t mode) { return sock_unix_listen_as(SOCK_STREAM, dirfd, name, mode); }

int sock_unix_connect(int dirfd, const char *name) { return sock_unix_connect_as(SOCK_STREAM, dirfd, name); }
