/* client.c: short conversations with a monitor: a signal, and its end within a time. Streams are attach_run's. */
#include "engine_impl.h"

#include <poll.h>

#define CONNECT_TIMEOUT_MS 10000
#define RETRY_MS           5

int client_want_streams(int fd, bool want_stdin, struct err *e)
{
	static const char with[] = "{\"stdin\":true,\"stdout\":true,\"stderr\":true}",
			  without[] = "{\"stdin\":false,\"stdout\":true,\"stderr\":true}";
	const char *json = want_stdin ? with : without;

	return monitor_request(fd, FRAME_ATTACH, 0, json, strlen(json), NULL, e);
}

int client_signal(int fd, int sig, struct err *e)
{
	const uint32_t n = (uint32_t)sig;
	const uint8_t payload[4] = { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24) };

	return monitor_request(fd, FRAME_SIGNAL, 0, payload, sizeof(payload), NULL, e);
}

bool client_is_gone(int r) { return r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE || r == -ESRCH; }

int client_wait_exit(int fd, int timeout_ms, struct exit_status *ret_exit, struct err *e)
{
	uint64_t until = clock_mono_us() + (timeout_ms > 0 ? (uint64_t)timeout_ms * 1000 : 0);
	int r;

	/* Nothing but the end is ever sent on a connection that is not attached. */
	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_mono_us();
		r = poll(&pfd, 1, timeout_ms < 0 ? -1 : now >= until ? 0 : (int)((until - now + 999) / 1000));
		if (r == 0)
			return 0;
		if (r > 0)
			break;
		if (errno != EINTR)
			return err_set(e, errno, "wait for the container's monitor: %s", strerror(errno));
	}
	r = monitor_wait_exit(fd, ret_exit, e);
	return r < 0 ? r : 1;
}

bool monitor_ends_within(int pidfd, int timeout_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	while (poll(&p, 1, timeout_ms) < 0)
		if (errno != EINTR)
			return true; /* nothing to wait on */
	return p.revents != 0;
}

int client_connect(struct engine *en, const char *id, int monitor, int *ret_fd, struct err *e)
{
	uint64_t until = clock_mono_us() + CONNECT_TIMEOUT_MS * 1000ull;
	int r;

	while (client_is_gone(r = monitor_connect(en->paths, id, ret_fd, e)))
		if (monitor < 0 || monitor_ends_within(monitor, RETRY_MS) || clock_mono_us() > until)
			return r;
	return r;
}

int container_life(struct engine *en, const struct container_record *c, const char **ret_what, struct err *e)
{
	struct monitor_state m = { 0 };
	int r = 0;

	*ret_what = container_is_up(c->state) ? container_state_name(c->state) : NULL;
	if (!*ret_what) {
		r = monitor_inspect(en->paths, c->id, &m, e);
		if (r >= 0 && m.truth == MONITOR_STARTING)
			*ret_what = "starting";
	}
	return r;
}
