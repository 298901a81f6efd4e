/* The monitor's life. Called by main/berth-monitor.c.
 *
 *   claim ─▶ listen ─▶ go ─▶ load ─▶ start ──▶ running ──▶ main done ──▶ end ──▶ leave
 *              │         │     │        └ on_started(error) ──┘  ▲         │
 *              │         │     └─ an error before the start ─────┘         └ waits only for clients to read what is theirs
 *              └─────────┴─ nothing was made: release, leave
 *
 * claim     state_claim: the run directory with monitor.json, at once ours
 * go        the starter has written bundle and record (engine/run.c); all before it goes on beside that
 * load      config.json, launch.json: the plan
 * start     the isolation's; started.json
 * main done the main process has ended and its output is drained; exec'd processes get a moment to end with it
 * end       exited.json (with --rm only where the removal fails), the wall is taken down, the engine's bookkeeping, the run
 *           directory goes: all of that before FRAME_EXIT, so that whoever waits for it finds everything in order and nothing
 *           left behind
 *
 * With a restart policy `end` leads to `start` again (again.c): what listens and who is connected stays, all else is made anew.
 *
 * The monitor runs with the privileges of its starter: it makes and destroys namespaces and cgroups, and the container's
 * set-user-id programs must work, so it can't give up privileges or set no_new_privs. What protects it is what it parses:
 * frames (checked in codec/ and requests.c) from its own user, and bytes of the container that it only copies. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor_impl.h"

#define TERM_TO_KILL_MS 10000 /* as docker's default stop timeout */

void monitor_mark(struct monitor *m, const char *what)
{
	if (m->cfg->timeline)
		timeline_mark(m->cfg->timeline, what);
}

/* ---- signals ---- */

static bool ends_a_program(int sig)
{
	return sig == SIGHUP || sig == SIGINT || sig == SIGQUIT || sig == SIGTERM || sig == SIGKILL;
}

int monitor_signal_main(struct monitor *m, int sig, struct err *e)
{
	if (m->is_resting && ends_a_program(sig)) {
		again_give_up(m);
		return 0;
	}
	if (m->is_resting)
		return err_set(e, EAGAIN, "container %.12s is restarting", m->cfg->id);
	if (m->is_main_done || m->main->has_exited)
		return err_set(e, ESRCH, "container %.12s has ended", m->cfg->id);
	if (m->is_started)
		return m->ops->signal(m->instance, &m->main->task, sig, e);
	if (!ends_a_program(sig))
		return err_set(e, EAGAIN, "container %.12s is still starting", m->cfg->id);
	m->exit = (struct exit_status){ .code = 128 + sig, .signal = sig };
	monitor_main_done(m);
	return 0;
}

static void on_kill_timer(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct monitor *m = arg;
	struct err e = { 0 };

	m->kill_timer = NULL;
	if (monitor_signal_main(m, SIGKILL, &e) < 0 && e.no != ESRCH)
		log_error("monitor", "%s", e.msg);
}

/* SIGTERM or SIGINT to the monitor itself, as at the host's shutdown: stop the container as `berth stop` would. */
static void on_signal(struct loop *l _unused_, int sig _unused_, void *arg)
{
	struct monitor *m = arg;
	struct err e = { 0 };

	m->is_last = true;
	if (m->kill_timer)
		return;
	if (monitor_signal_main(m, SIGTERM, &e) < 0 && e.no != ESRCH)
		log_error("monitor", "%s", e.msg);
	if (!m->is_main_done && loop_timer(m->loop, TERM_TO_KILL_MS, on_kill_timer, m, &m->kill_timer) < 0)
		on_kill_timer(m->loop, -1, 0, m);
}

static int set_signals(struct monitor *m, struct err *e)
{
	sigset_t set;

	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	int r = loop_signals(m->loop, &set, on_signal, m);
	return r < 0 ? err_set(e, -r, "set up signals: %s", strerror(-r)) : 0;
}

/* ---- all of it ---- */

/* Before there is a loop, the waiting client is told directly. */
static void tell_failure(int fd, const struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };

	frame_put_error(&b, 0, e);
	if (fd >= 0 && !b.failed && send(fd, b.data, b.len, MSG_NOSIGNAL) < 0)
		log_debug("monitor", "tell the client: %s", strerror(errno));
}

static int prepare(struct monitor *m, struct err *e)
{
	int r = loop_new(&m->loop);

	if (r < 0)
		return err_set(e, -r, "event loop: %s", strerror(-r));
	m->rundir = str_fmt("%s/containers/%s", m->cfg->paths->run, m->cfg->id);
	m->main = proc_new(m);
	if (!m->rundir || !m->main)
		return err_set(e, ENOMEM, "out of memory");
	m->main->is_main = true;
	r = set_signals(m, e);
	if (r == 0)
		r = host_probe_cgroup_ours(&m->host, e);
	if (r == 0)
		r = state_claim(m->cfg->paths, m->cfg->id, &m->rundirfd, e);
	if (r < 0)
		return r;
	r = monitor_listen(m, e);
	if (r < 0)
		state_release(m->cfg->paths, m->cfg->id, NULL);
	monitor_mark(m, "ready");
	return r;
}

static bool has_word(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) != 0;
}

/* What is made here is never missed: without it the container's own process makes one. */
static int make_network(struct monitor *m, struct err *e)
{
	struct err why = { 0 };

	if (!m->cfg->makes_network || !m->cfg->waits_for_go || has_word(m->cfg->client_fd))
		return 0;
	int r = container_make_network(&m->network_fd, &why);
	monitor_mark(m, "network made");
	if (r == -ENOTRECOVERABLE) {
		*e = why;
		return r;
	}
	if (r < 0)
		log_debug("monitor", "%s", why.msg);
	return 0;
}

/* 1 = go; 0 = the starter is gone, or has made nothing. */
static int wait_for_go(struct monitor *m, struct err *e)
{
	char word;
	ssize_t n = 1;

	if (!m->cfg->waits_for_go)
		return 1;
	do
		n = recv(m->cfg->client_fd, &word, 1, 0);
	while (n < 0 && errno == EINTR);
	monitor_mark(m, "go");
	if (n < 0 && errno != ECONNRESET)
		return err_set(e, errno, "wait for the container to be made: %s", strerror(errno));
	if (n == 1 && word != MONITOR_GO)
		return err_set(e, EPROTO, "wait for the container to be made: byte 0x%02x was not expected",
			       (unsigned)word & 0xff);
	return n == 1;
}

static void monitor_done(struct monitor *m)
{
	clients_free(m);
	while (m->procs)
		proc_free(m->procs);
	if (m->instance)
		m->ops->destroy(m->instance);
	net_leave(m);
	pod_leave(&m->pod, m);
	join_leave(&m->join);
	log_file_close(m->log);
	log_journal_close(m->journal);
	fd_close(m->listenfd);
	if (m->network_fd > 0)
		fd_close(m->network_fd);
	fd_close(m->mounts_fd);
	fd_close(m->rundirfd);
	health_end(m);
	timeout_end(m);
	loop_free(m->loop);
	launch_done(&m->launch);
	secrets_done(&m->secrets);
	spec_done(&m->spec);
	host_done(&m->host);
	free(m->rundir);
}

/* From here on a failure is the container's, and takes the same way out as its end. */
static int live(struct monitor *m, struct err *e)
{
	int r = monitor_load(m, &m->start_error);
	int adopted = monitor_adopt_first_client(m, &m->start_error);

	monitor_mark(m, "loaded");
	if (r == 0)
		r = adopted;
	if (r == 0)
		r = monitor_start(m, &m->start_error);
	if (r < 0)
		monitor_main_done(m);
	r = loop_run(m->loop);
	return r < 0 ? err_set(e, -r, "monitor of container %.12s: %s", m->cfg->id, strerror(-r)) : 0;
}

int monitor_run_with(const struct monitor_config *cfg, find_isolation find, uint64_t stall_ms, struct err *e)
{
	struct monitor m = {
		.cfg = cfg, .find = find, .stall_ms = stall_ms, .rundirfd = -1, .listenfd = -1, .lifefd = -1, .mounts_fd = -1
	};
	int r;

	spec_init(&m.spec);
	r = prepare(&m, e);
	if (r < 0) {
		tell_failure(cfg->client_fd, e);
		fd_close(cfg->client_fd);
		monitor_done(&m);
		return r;
	}
	r = make_network(&m, e);
	if (r < 0)
		tell_failure(cfg->client_fd, e);
	else
		r = wait_for_go(&m, e);
	if (r == 0 && cfg->all_fd > 0)
		cfg->on_given_up(cfg->arg); /* killed on its way, it may have made half of it */
	if (r > 0)
		r = live(&m, e);
	else
		state_release(cfg->paths, cfg->id, NULL); /* an empty claim left by a failure here is swept as any dead one */
	monitor_done(&m);
	return r;
}
