/* network_client: see probe_network.h. */
#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "probe_network.h"
#include "probe_speed.h"

#define CHUNK (256u << 10)

static int parse_address(const struct network_peer *p, struct sockaddr_storage *ret, socklen_t *ret_n)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(p->port) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(p->port) };

	if (inet_pton(AF_INET, p->address, &four.sin_addr) == 1) {
		memcpy(ret, &four, sizeof(four));
		*ret_n = sizeof(four);
	} else if (inet_pton(AF_INET6, p->address, &six.sin6_addr) == 1) {
		memcpy(ret, &six, sizeof(six));
		*ret_n = sizeof(six);
	} else {
		return -EINVAL;
	}
	return 0;
}

static int fails(const struct network_peer *p, const char *deed, int r, struct err *e)
{
	if (r == -EAGAIN || r == -EINPROGRESS || r == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "%s %s port %u: no answer within %u ms", deed, p->address, p->port, p->timeout_ms);
	return err_set(e, r < 0 ? -r : EPIPE, "%s %s port %u: %s", deed, p->address, p->port,
		       r < 0 ? strerror(-r) : "the connection has ended");
}

static int set_up(int fd, const struct network_peer *p)
{
	const struct timeval t = { .tv_sec = p->timeout_ms / 1000, .tv_usec = p->timeout_ms % 1000 * 1000 };
	const int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0 || /* connect(2) heeds it too */
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return -errno;
	return 0;
}

static int send_all(int fd, const char *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = send(fd, p + done, n - done, MSG_NOSIGNAL);

		if (r < 0 && errno != EINTR)
			return -errno;
		done += r > 0 ? (size_t)r : 0;
	}
	return 0;
}

/* An fd on which the first byte has been sent, or -errno with e. */
static int open_peer(const struct network_peer *p, char what, struct err *e)
{
	struct sockaddr_storage a;
	_cleanup_fd_ int fd = -1;
	socklen_t n;
	int r = parse_address(p, &a, &n);

	if (r < 0)
		return err_set(e, EINVAL, "\"%s\" is not an address such as 10.0.0.2 or fd00::2", p->address);
	fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = fd < 0 ? -errno : set_up(fd, p);
	if (r >= 0 && connect(fd, (struct sockaddr *)&a, n) < 0)
		r = -errno;
	if (r >= 0)
		r = send_all(fd, &what, 1);
	return r < 0 ? fails(p, "connect to", r, e) : TAKE_FD(fd);
}

static ssize_t receive(int fd, void *to, size_t n)
{
	ssize_t r;

	do
		r = recv(fd, to, n, 0);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int network_latency_us(const struct network_peer *p, double *samples, size_t n, struct err *e)
{
	_cleanup_fd_ int fd = open_peer(p, NETWORK_ECHO, e);

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < n; i++) {
		uint64_t begin = speed_now_ns();
		char c = (char)i, back;
		int r = send_all(fd, &c, 1);

		if (r >= 0)
			r = (int)receive(fd, &back, 1);
		if (r != 1)
			return fails(p, "a byte to", r, e);
		if (back != c)
			return err_set(e, EPROTO, "%s port %u sends other bytes back than it was sent", p->address, p->port);
		samples[i] = (double)(speed_now_ns() - begin) / 1e3;
	}
	return 0;
}

/* Until the server says that all has arrived. */
static int push(int fd, unsigned duration_ms, uint64_t *ret_bytes)
{
	static char chunk[CHUNK];
	uint64_t end = clock_mono_us() + (uint64_t)duration_ms * 1000, sent = 0, wire = 0;
	size_t got = 0;
	int r;

	for (r = 0; r >= 0 && clock_mono_us() < end; sent += CHUNK)
		r = send_all(fd, chunk, CHUNK);
	if (r >= 0 && shutdown(fd, SHUT_WR) < 0)
		r = -errno;
	while (r >= 0 && got < sizeof(wire)) {
		ssize_t n = receive(fd, (char *)&wire + got, sizeof(wire) - got);
		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
		got += (size_t)n;
	}
	if (r >= 0 && be64toh(wire) != sent)
		r = -EPROTO;
	*ret_bytes = sent;
	return r;
}

static int pull(int fd, unsigned duration_ms, uint64_t *ret_bytes)
{
	static char chunk[CHUNK];
	uint64_t end = clock_mono_us() + (uint64_t)duration_ms * 1000, got = 0;

	while (clock_mono_us() < end) {
		ssize_t n = receive(fd, chunk, CHUNK);
		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
		got += (uint64_t)n;
	}
	*ret_bytes = got;
	return 0;
}

int network_mb_s(const struct network_peer *p, bool is_towards, unsigned duration_ms, double *ret, struct err *e)
{
	_cleanup_fd_ int fd = open_peer(p, is_towards ? NETWORK_SINK : NETWORK_SOURCE, e);
	uint64_t bytes = 0, begin = clock_mono_us();
	int r;

	if (fd < 0)
		return fd;
	r = is_towards ? push(fd, duration_ms, &bytes) : pull(fd, duration_ms, &bytes);
	if (r < 0)
		return fails(p, is_towards ? "bytes to" : "bytes from", r, e);
	*ret = (double)bytes / (double)MAX(clock_mono_us() - begin, 1u); /* bytes a µs are MB/s */
	return 0;
}
