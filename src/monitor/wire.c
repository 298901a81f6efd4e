/* The client's side of a connection before it is attached: connecting, and single requests. Reads are exact (header, then
 * payload), so that the bytes behind an answer stay in the socket for attach_run. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "monitor.h"

#define SOCKET_NAME "monitor.sock"

static int send_buf(int fd, const struct buf *b)
{
	if (b->failed)
		return -ENOMEM;
	for (size_t sent = 0; sent < b->len;) {
		ssize_t n = send(fd, b->data + sent, b->len - sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };
			if (poll(&p, 1, -1) < 0 && errno != EINTR)
				return -errno;
			continue;
		}
		if (n < 0)
			return -errno;
		sent += (size_t)n;
	}
	return 0;
}

/* Exactly n bytes. -EPIPE at the end of the stream. */
static int recv_full(int fd, char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = recv(fd, p, n, 0);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno == EAGAIN) {
			struct pollfd pfd = { .fd = fd, .events = POLLIN };
			if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
				return -errno;
			continue;
		}
		if (k <= 0)
			return k == 0 || errno == ECONNRESET ? -EPIPE : -errno;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

/* One whole frame; f points into b. */
static int recv_frame(int fd, struct buf *b, struct frame *f, struct err *e)
{
	char chunk[4096];
	size_t want = FRAME_HDR;
	int r;

	b->len = 0;
	while ((r = frame_peek(b, f)) == 0) {
		size_t n = MIN(want, sizeof(chunk));
		r = recv_full(fd, chunk, n);
		if (r == -EPIPE)
			return err_set(e, EPIPE, "the container's monitor has gone away");
		if (r < 0)
			return err_set(e, -r, "read from the container's monitor: %s", strerror(-r));
		buf_add(b, chunk, n);
		if (b->failed)
			return err_set(e, ENOMEM, "out of memory");
		want -= n;
		if (b->len == FRAME_HDR)
			want = (size_t)(uint8_t)b->data[0] | (size_t)(uint8_t)b->data[1] << 8 |
			       (size_t)(uint8_t)b->data[2] << 16 | (size_t)(uint8_t)b->data[3] << 24;
	}
	return r < 0 ? err_set(e, EPROTO, "the container's monitor does not speak Berth's protocol") : 0;
}

/* The error that a FRAME_ERROR carries. */
static int taken_error(const struct frame *f, struct err *e)
{
	struct err sent = { 0 };

	if (frame_get_error(f, &sent) < 0)
		return err_set(e, EPROTO, "the container's monitor sent a malformed error");
	if (e)
		*e = sent;
	return -sent.no;
}

static int check_hello(const struct frame *f, struct err *e)
{
	if (f->len < 4 || f->payload[0] != FRAME_VERSION || f->payload[1] || f->payload[2] || f->payload[3])
		return err_set(e, EPROTO,
			       "the container's monitor is of another version of Berth (%.*s): restart the container, or use the "
			       "berth it was started with",
			       f->len > 4 ? (int)MIN(f->len - 4, 64u) : 0, (const char *)f->payload + 4);
	return 0;
}

static int say_hello(int fd, struct err *e)
{
	_cleanup_buf_ struct buf hello = { 0 }, out = { 0 };
	const uint8_t version[4] = { FRAME_VERSION };

	buf_add(&hello, version, sizeof(version));
	buf_str(&hello, build_id());
	if (hello.failed)
		return err_set(e, ENOMEM, "out of memory");
	frame_put(&out, FRAME_HELLO, 0, hello.data, (uint32_t)hello.len);
	int r = send_buf(fd, &out);
	return r < 0 ? err_set(e, -r, "greet the container's monitor: %s", strerror(-r)) : 0;
}

int monitor_connect(const struct paths *p, const char *id, int *ret_fd, struct err *e)
{
	_cleanup_free_ char *dir = str_fmt("%s/containers/%s", p->run, id);
	_cleanup_buf_ struct buf in = { 0 };
	struct frame f;

	if (!dir)
		return err_set(e, ENOMEM, "out of memory");
	_cleanup_fd_ int dirfd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0 && errno == ENOENT)
		return err_set(e, ENOENT, "container %.12s is not running", id);
	if (dirfd < 0)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	_cleanup_fd_ int fd = sock_unix_connect(dirfd, SOCKET_NAME);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return err_set(e, -fd, "container %.12s is not running (no monitor answers)", id);
	if (fd < 0)
		return err_set(e, -fd, "%s/" SOCKET_NAME ": %s", dir, strerror(-fd));
	int r = say_hello(fd, e);
	if (r == 0)
		r = recv_frame(fd, &in, &f, e);
	if (r < 0)
		return r;
	if (f.type == FRAME_ERROR)
		return taken_error(&f, e);
	if (f.type != FRAME_HELLO)
		return err_set(e, EPROTO, "the container's monitor began with %s", frame_type_name(f.type));
	r = check_hello(&f, e);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

int monitor_request(int fd, enum frame_type type, uint16_t channel, const void *payload, size_t len, char **ret_reply,
		    struct err *e)
{
	_cleanup_buf_ struct buf out = { 0 }, in = { 0 };
	struct frame f;

	if (len > FRAME_MAX)
		return err_set(e, EMSGSIZE, "this request is too long: %zu bytes, at most %u", len, FRAME_MAX);
	frame_put(&out, type, channel, payload, (uint32_t)len);
	int r = send_buf(fd, &out);
	if (r < 0 && r != -EPIPE)
		return err_set(e, -r, "ask the container's monitor: %s", strerror(-r));
	/* After EPIPE there may still be an answer that tells why. */
	for (;;) {
		r = recv_frame(fd, &in, &f, e);
		if (r < 0)
			return r;
		if (f.type == FRAME_ERROR && (f.channel == channel || f.channel == 0))
			return taken_error(&f, e);
		if (f.type == FRAME_EXIT && f.channel == 0)
			return err_set(e, ESRCH, "the container has ended");
		/* Channel 0's FRAME_STARTED tells of the container's start, unasked; for an exec it is the answer. */
		bool is_answer = type == FRAME_EXEC ? f.type == FRAME_STARTED : f.type == FRAME_OK;
		if (f.channel == channel && is_answer)
			break;
	}
	if (ret_reply) {
		*ret_reply = strndup((const char *)f.payload, f.len);
		if (!*ret_reply)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

int monitor_wait_started(int fd, struct err *e)
{
	_cleanup_buf_ struct buf in = { 0 };
	struct frame f;

	for (;;) {
		int r = recv_frame(fd, &in, &f, e);
		if (r < 0)
			return r;
		if (f.channel == 0 && f.type == FRAME_STARTED)
			return 0;
		if (f.channel == 0 && f.type == FRAME_ERROR)
			return taken_error(&f, e);
		if (f.channel == 0 && f.type == FRAME_EXIT)
			return err_set(e, ECANCELED, "the container was stopped before it had started");
	}
}

int monitor_wait_exit(int fd, struct exit_status *ret, struct err *e)
{
	_cleanup_buf_ struct buf in = { 0 };
	struct frame f;
	uint32_t code, sig;
	bool oom;

	for (;;) {
		int r = recv_frame(fd, &in, &f, e);
		if (r < 0)
			return r;
		if (f.channel != 0)
			continue;
		if (f.type == FRAME_ERROR)
			return taken_error(&f, e);
		if (f.type == FRAME_EXIT && frame_get_exit(&f, &code, &sig, &oom) == 0) {
			*ret = (struct exit_status){ .code = (int)code, .signal = (int)sig, .oom = oom };
			return 0;
		}
	}
}
