/* network_server: see probe_network.h. A process a connection; one that stays silent ends by itself. */
#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe_network.h"
#include "probe.h"

#define CHUNK (256u << 10)

static int listen_on(int family, const struct sockaddr *a, socklen_t n)
{
	_cleanup_fd_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = 1, off = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0) || bind(fd, a, n) < 0 ||
	    listen(fd, NETWORK_CLIENTS_MAX) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int network_listen(uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t n = sizeof(six);
	int fd = listen_on(AF_INET6, (struct sockaddr *)&six, sizeof(six));

	if (fd < 0 && fd != -EADDRINUSE) /* no IPv6 here */
		fd = listen_on(AF_INET, (struct sockaddr *)&four, sizeof(four));
	if (fd >= 0 && getsockname(fd, (struct sockaddr *)&six, &n) < 0) {
		int r = -errno;
		fd_close(fd);
		return r;
	}
	if (fd >= 0)
		*ret_port = ntohs(six.sin6_port); /* at the same place in both */
	return fd;
}

static int echo(int fd, char *chunk)
{
	ssize_t n;
	int r = 0;

	while (r >= 0 && (n = read(fd, chunk, CHUNK)) > 0)
		r = fd_write_full(fd, chunk, (size_t)n);
	return r < 0 ? r : n < 0 ? -errno : 0;
}

static int sink(int fd, char *chunk)
{
	uint64_t total = 0, wire;
	ssize_t n;

	while ((n = read(fd, chunk, CHUNK)) > 0)
		total += (uint64_t)n;
	if (n < 0)
		return -errno;
	wire = htobe64(total);
	return fd_write_full(fd, &wire, sizeof(wire));
}

static int source(int fd, char *chunk)
{
	int r;

	memset(chunk, 0, CHUNK);
	do
		r = fd_write_full(fd, chunk, CHUNK);
	while (r >= 0);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

int network_answer(int fd)
{
	static char chunk[CHUNK];
	const struct timeval patience = { .tv_sec = NETWORK_PATIENCE_S };
	const int on = 1;
	char what;
	ssize_t n;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return -errno;
	n = read(fd, &what, 1);
	if (n != 1)
		return n < 0 ? -errno : 0;
	switch (what) {
	case NETWORK_ECHO: return echo(fd, chunk);
	case NETWORK_SINK: return sink(fd, chunk);
	case NETWORK_SOURCE: return source(fd, chunk);
	default: return -EPROTO;
	}
}

static unsigned reap(unsigned clients, bool waits)
{
	while (clients > 0 && waitpid(-1, NULL, waits ? 0 : WNOHANG) > 0) {
		clients--;
		waits = false;
	}
	return clients;
}

static int serve(int listening)
{
	unsigned clients = 0;

	for (;;) {
		int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
		pid_t pid;

		if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
			return -errno;
		if (fd < 0)
			continue;
		clients = reap(clients, clients == NETWORK_CLIENTS_MAX);
		pid = fork();
		if (pid == 0) {
			fd_close(listening);
			_exit(network_answer(fd) < 0);
		}
		fd_close(fd);
		if (pid < 0)
			return -errno;
		clients++;
	}
}

int probe_serve(const char *port)
{
	_cleanup_fd_ int fd = -1;
	uint16_t bound = 0;
	uint64_t v;
	int r = str_to_u64(port, &v);

	if (r < 0 || v > UINT16_MAX) {
		fprintf(stderr, PROBE_PROGRAM ": serve: \"%s\" is not a port, 0..65535\n", port);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	r = fd = network_listen((uint16_t)v, &bound);
	if (r >= 0) {
		printf(PROBE_READY " %u\n", bound);
		r = fflush(stdout) == 0 ? serve(fd) : -errno;
	}
	fprintf(stderr, PROBE_PROGRAM ": serve: port %s: %s\n", port, strerror(-r));
	return 1;
}
