/* ready.c: --ready: when the workload answers. Asked of the host's end of a published port, as its users would. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure_impl.h"

enum { ASK_MS = 50 };

static int parse_port(const char *s, size_t len, unsigned *ret)
{
	_cleanup_free_ char *digits = strndup(s, len);
	uint64_t n;

	if (!digits || str_to_u64(digits, &n) < 0 || n == 0 || n > UINT16_MAX)
		return -EINVAL;
	*ret = (unsigned)n;
	return 0;
}

/* What is behind "http://": a host, which is the workload whatever it is called, a port, a path. */
static int parse_http(const char *rest, struct ready *ret)
{
	size_t host = strcspn(rest, ":/"), port = strcspn(rest, "/");

	*ret = (struct ready){ .kind = READY_HTTP, .port = 80, .rest = rest[port] ? rest + port : "/" };
	return host < port ? parse_port(rest + host + 1, port - host - 1, &ret->port) : 0;
}

int ready_parse(const char *text, struct ready *ret, struct err *e)
{
	const char *rest;
	int r = -EINVAL;

	*ret = (struct ready){ .kind = READY_NONE };
	if (!text)
		return 0;
	if ((rest = str_after(text, "http://"))) {
		r = parse_http(rest, ret);
	} else if ((rest = str_after(text, "tcp:"))) {
		*ret = (struct ready){ .kind = READY_TCP };
		r = parse_port(rest, strlen(rest), &ret->port);
	} else if ((rest = str_after(text, "log:")) && *rest) {
		*ret = (struct ready){ .kind = READY_LOG, .rest = rest };
		r = 0;
	}
	return r < 0 ? err_set(e, EINVAL,
			       "--ready %s: it is http://localhost:PORT/PATH, tcp:PORT or log:TEXT; the port is the workload's "
			       "own",
			       text)
		     : 0;
}

int ready_publish(struct ready *r, char ***v, struct err *e)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	_cleanup_fd_ int fd = -1;

	if (r->kind != READY_TCP && r->kind != READY_HTTP)
		return 0;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0 || getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return err_set(e, errno, "a free port at 127.0.0.1: %s", strerror(errno));
	r->at = ntohs(at.sin_port);
	return strv_push_option(v, "-p", str_fmt("127.0.0.1:%u:%u", r->at, r->port)) < 0 ? err_set(e, ENOMEM, "out of memory")
											 : 0;
}

/* Connected, or -1. Each try sends a packet of its own: a guest that is not up yet answers none, and TCP itself would wait a second for the next. */
static int reach(unsigned port)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
					.sin_port = htons((uint16_t)port) };
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(int);
	int error = 0;

	if (fd < 0 || (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 && errno != EINPROGRESS))
		return -1;
	if (poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, ASK_MS) != 1 ||
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error)
		return -1;
	return TAKE_FD(fd);
}

/* Any status counts: it is up, and says so. */
static bool ask_http(int fd, const char *path)
{
	_cleanup_free_ char *text = str_fmt("GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
	char start[5] = "";

	if (!text || fd_nonblock(fd, false) < 0 || fd_write_full(fd, text, strlen(text)) < 0)
		return false;
	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 20 * ASK_MS) == 1 &&
	       fd_read_full(fd, start, sizeof(start)) == sizeof(start) && memcmp(start, "HTTP/", sizeof(start)) == 0;
}

bool ready_ask(const struct ready *r, const struct run *run)
{
	_cleanup_fd_ int fd = -1;

	if (r->kind == READY_LOG)
		return (run->said.len && memmem(run->said.data, run->said.len, r->rest, strlen(r->rest))) ||
		       (run->complained.len && memmem(run->complained.data, run->complained.len, r->rest, strlen(r->rest)));
	fd = reach(r->at);
	return fd >= 0 && (r->kind == READY_TCP || ask_http(fd, r->rest));
}
