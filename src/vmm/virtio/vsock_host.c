/* vsock_host: where connections come from and go to on the host. The words are those that Firecracker's users know: a connection
 * to the listening socket says "CONNECT 1024\n", and reads "OK 1073741824\n", the host's port, once the guest has accepted, or the
 * end of the stream. A guest that connects to port 52 of the host gets the plan's stream for 52, or what listens on vsock_52 in
 * the plan's directory. */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vsock.h"

#define PORT_FIRST 0x40000000u /* of those that we choose; the plan's are below, as a rule */
#define ACCEPTS    16u         /* a turn */

/* ---- the guest connects ---- */

static int connect_in(const struct vmm_vsock_plan *plan, uint32_t port)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (plan->is_root)
		snprintf(a.sun_path, sizeof(a.sun_path), "/vsock_%u", port);
	else
		snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/vsock_%u", plan->dir_fd, port);
	/* Connects at once or not at all: where the queue of the listener is full, that is EAGAIN. */
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : TAKE_FD(fd);
}

int vsock_host_connect(struct vsock *v, uint32_t port, bool *ret_owned)
{
	for (size_t i = 0; i < v->plan->n_streams; i++) {
		if (v->plan->streams[i].port != port)
			continue;
		if (v->stream_used[i])
			return -EBUSY;
		v->stream_used[i] = true;
		*ret_owned = false;
		return v->plan->streams[i].fd;
	}
	*ret_owned = true;
	return v->plan->dir_fd < 0 ? -ECONNREFUSED : connect_in(v->plan, port);
}

/* ---- the host connects ---- */

static uint64_t limit_us(const struct vsock *v)
{
	return 1000ull * (v->plan->connect_limit_ms ? v->plan->connect_limit_ms : VMM_CONNECT_LIMIT_MS);
}

static void on_listener(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct vsock *v = arg;

	(void)l;
	(void)events;
	for (unsigned i = 0; i < ACCEPTS && v->n_used < VSOCK_CONNS; i++) {
		int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct vsock_conn *c;

		if (s < 0)
			break;
		c = vsock_conn_new(v, s, true, false);
		if (!c)
			break; /* not with room in the table */
		c->deadline_us = clock_mono_us() + limit_us(v);
		vsock_conn_watch(c);
		vsock_arm(v);
	}
	if (v->n_used == VSOCK_CONNS)
		vsock_host_unlisten(v);
}

int vsock_host_listen(struct vsock *v)
{
	if (v->plan->listen_fd < 0 || v->listener)
		return 0;
	return loop_add(v->d.vm->loop, v->plan->listen_fd, EPOLLIN, on_listener, v, &v->listener);
}

void vsock_host_unlisten(struct vsock *v)
{
	loop_del(v->listener);
	v->listener = NULL;
}

/* "CONNECT 1024": the port, or -EINVAL. */
static int64_t parse_greeting(char *line)
{
	static const char word[] = "CONNECT ";
	uint64_t port;

	if (strncmp(line, word, sizeof(word) - 1) != 0 || str_to_u64(line + sizeof(word) - 1, &port) < 0 || port >= UINT32_MAX)
		return -EINVAL;
	return (int64_t)port;
}

static void ask_guest(struct vsock_conn *c, uint32_t guest_port)
{
	struct vsock *v = c->v;

	do
		c->host_port = v->next_port =
			v->next_port >= PORT_FIRST && v->next_port < UINT32_MAX - 1 ? v->next_port + 1 : PORT_FIRST;
	while (vsock_conn_find(v, c->host_port, guest_port));
	c->guest_port = guest_port;
	c->state = VSOCK_ASKED;
	vsock_conn_tell(c, VIRTIO_VSOCK_OP_REQUEST);
	vsock_conn_watch(c);
	vsock_send_pending(v);
}

void vsock_host_greeting(struct vsock_conn *c)
{
	/* Byte by byte: what comes behind the line is the guest's. */
	while (c->n_greeting < sizeof(c->greeting) - 1) {
		char *p = &c->greeting[c->n_greeting];
		ssize_t n = read(c->fd, p, 1);
		int64_t port;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			break;
		if (*p != '\n') {
			c->n_greeting++;
			continue;
		}
		*p = '\0';
		port = parse_greeting(c->greeting);
		if (port < 0)
			break;
		ask_guest(c, (uint32_t)port);
		return;
	}
	vsock_conn_free(c);
}

void vsock_host_answer(struct vsock_conn *c)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "OK %u\n", c->host_port);

	/* Nothing was written there before, so there is room. */
	if (send(c->fd, line, (size_t)n, MSG_NOSIGNAL) != n)
		vsock_conn_abort(c);
	else
		vsock_conn_open(c);
}
