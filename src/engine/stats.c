/* stats.c: what a running container uses: its cgroup's figures, asked of its monitor (v1, v2 and hybrid alike: container/cgroup_stats.c), and its
 * network's, which its own /proc tells. A VM answers for what is inside of it. */
#include "engine_impl.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 3 /* a guest may not answer; who looks at many waits for none of them for long */

static uint64_t number(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_int) ? json_object_get_uint64(v) : 0;
}

/* Lines "  eth0: RX-BYTES packets errs drop fifo frame compressed multicast TX-BYTES ..." behind two of headings. */
static void add_network(const char *text, struct container_stats *st)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		const char *name = line + strspn(line, " "), *colon = strpbrk(name, ":\n");
		char *at;
		uint64_t rx, tx = 0;

		if (!colon || *colon != ':' || (colon - name == 2 && strncmp(name, "lo", 2) == 0))
			continue;
		rx = strtoull(colon + 1, &at, 10);
		for (int i = 0; i < 8; i++)
			tx = strtoull(at, &at, 10);
		st->net_rx_bytes += rx;
		st->net_tx_bytes += tx;
	}
}

static void read_network(struct engine *en, const struct container_record *c, struct container_stats *st)
{
	struct monitor_state m = { 0 };
	_cleanup_free_ char *path = NULL, *text = NULL;
	struct run_opts o;

	/* With the host's network the figures would be the host's; docker shows none there. A VM's process is its VMM. */
	if (streq(c->isolation, "vm") || options_parse(c->options_json, &o, NULL) < 0)
		return;
	bool is_hosts = streq0(o.network, "host");
	run_opts_done(&o);
	if (is_hosts || monitor_inspect(en->paths, c->id, &m, NULL) < 0 || m.truth != MONITOR_RUNNING)
		return;
	path = str_fmt("/proc/%d/net/dev", (int)m.pid);
	if (path && file_read(AT_FDCWD, path, 1u << 20, &text, NULL) >= 0)
		add_network(text, st);
}

static int ask(struct engine *en, const struct container_record *c, struct json_object **ret, struct err *e)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = -1;
	int r = monitor_connect(en->paths, c->id, &fd, e);

	if (r >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return err_set(e, errno, "talk to the monitor of container %s: %s", c->name, strerror(errno));
	if (r >= 0)
		r = monitor_request(fd, FRAME_STATS, 0, NULL, 0, &text, e);
	return r < 0 ? r : json_parse(text, strlen(text), "statistics", ret, e);
}

int engine_stats(struct engine *en, const struct container_record *c, struct container_stats *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct container_stats st = { 0 };
	uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), cache;
	bool stands_still = c->state == CS_PAUSED && streq(c->isolation, "vm");
	int r;

	*ret = st;
	if (stands_still || (c->state != CS_RUNNING && c->state != CS_PAUSED))
		return 0;
	r = ask(en, c, &o, e);
	if (client_is_gone(r) || r == -EAGAIN)
		return 0; /* it has just ended, or is busy with something else */
	if (r < 0)
		return r;
	st.is_known = true;
	st.when_us = clock_mono_us();
	st.cpu_ns = number(o, "cpu_ns");
	st.mem_bytes = number(o, "mem_bytes");
	cache = number(o, "mem_inactive_file_bytes");
	st.mem_bytes -= MIN(cache, st.mem_bytes);
	st.mem_limit_bytes = number(o, "mem_limit_bytes");
	if (!st.mem_limit_bytes || st.mem_limit_bytes > total)
		st.mem_limit_bytes = total;
	st.io_read_bytes = number(o, "io_read_bytes");
	st.io_write_bytes = number(o, "io_write_bytes");
	st.pids = number(o, "pids");
	read_network(en, c, &st);
	*ret = st;
	return 0;
}
