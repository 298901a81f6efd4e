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
 * The monitor runs with the privileges of its starter: it makes and destroys namespaces and cgroups, and the container's
 * set-user-id programs must work, so it can't give up privileges or set no_new_privs. What protects it is what it parses:
 * frames (checked in codec/ and requests.c) from its own user, and bytes of the container that it only copies. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor_impl.h"

#define CONFIG_MAX      (8u << 20)
#define TERM_TO_KILL_MS 10000 /* as docker's default stop timeout */

static int load(struct monitor *m, struct err *e)
{
	const struct paths *p = m->cfg->paths;
	_cleanup_free_ char *dir = str_fmt("%s/containers/%s", p->root, m->cfg->id), *config = NULL, *launch = NULL;
	size_t config_len, launch_len;

	if (!dir)
		return err_set(e, ENOMEM, "out of memory");
	_cleanup_fd_ int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	int r = file_read(fd, "config.json", CONFIG_MAX, &config, &config_len);
	if (r < 0)
		return err_set(e, -r, "%s/config.json: %s", dir, strerror(-r));
	r = file_read(fd, "launch.json", CONFIG_MAX, &launch, &launch_len);
	if (r < 0)
		return err_set(e, -r, "%s/launch.json: %s", dir, strerror(-r));
	r = spec_parse(config, config_len, &m->spec, e);
	if (r < 0)
		return err_push(e, r, "%s/config.json", dir);
	r = launch_parse(launch, launch_len, &m->launch, e);
	if (r < 0)
		return err_push(e, r, "%s/launch.json", dir);
	m->lifefd = life_hold(fd);
	if (m->lifefd < 0)
		return err_set(e, -m->lifefd, "%s/launch.json: lock: %s", dir, strerror(-m->lifefd));
	if (m->launch.log_path)
		return log_file_open(m->launch.log_path, m->launch.log_max_bytes, m->launch.log_max_files, &m->log, e);
	return 0;
}

/* ---- connections ---- */

static void on_connection(struct loop *loop _unused_, int fd, uint32_t events _unused_, void *arg)
{
	struct monitor *m = arg;
	struct err e = { 0 };
	struct ucred who;
	socklen_t len = sizeof(who);
	struct client *c;

	_cleanup_fd_ int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (conn < 0) {
		log_debug("attach", "accept: %s", strerror(errno));
		return;
	}
	/* The directory's mode keeps others out; this also holds when somebody opens it up. */
	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || (who.uid != geteuid() && who.uid != 0)) {
		log_warn("attach", "a connection of uid %u was refused", (unsigned)who.uid);
		return;
	}
	if (client_add(m, conn, &c, &e) < 0) {
		log_warn("attach", "%s", e.msg);
		return;
	}
	conn = -1;
	if (m->n_clients > CLIENTS_MAX) {
		err_set(&e, EAGAIN, "%d clients are connected to this container already", CLIENTS_MAX);
		client_refuse(c, 0, &e, true);
	} else {
		client_flush(c);
	}
	clients_reap(m);
}

static int listen_for_clients(struct monitor *m, struct err *e)
{
	m->listenfd = sock_unix_listen(m->rundirfd, "monitor.sock", 0600);
	if (m->listenfd < 0)
		return err_set(e, -m->listenfd, "%s/monitor.sock: %s", m->rundir, strerror(-m->listenfd));
	int r = loop_add(m->loop, m->listenfd, EPOLLIN, on_connection, m, &m->listen_src);
	return r < 0 ? err_set(e, -r, "watch %s/monitor.sock: %s", m->rundir, strerror(-r)) : 0;
}

static int adopt_first_client(struct monitor *m, struct err *e)
{
	struct client *c;

	if (m->cfg->client_fd < 0)
		return 0;
	int r = fd_cloexec(m->cfg->client_fd, true);
	if (r < 0)
		return err_set(e, -r, "inherited connection %d: %s", m->cfg->client_fd, strerror(-r));
	r = client_add(m, m->cfg->client_fd, &c, e);
	if (r < 0)
		return r;
	struct link *l = link_new(m->main, c, 0);
	if (!l)
		return err_set(e, ENOMEM, "out of memory");
	l->wants_in = m->launch.open_stdin;
	l->wants[0] = l->wants[1] = true;
	return 0;
}

/* ---- the start ---- */

static void tell_started(struct monitor *m)
{
	for (struct client *c = m->clients; c; c = c->next) {
		if (c->is_closing)
			continue;
		frame_put_u32(&c->out, FRAME_STARTED, 0, (uint32_t)m->ops->pid(m->instance));
		client_flush(c);
	}
}

static void on_started(void *arg, const struct err *start_error)
{
	struct monitor *m = arg;
	struct err e = { 0 };

	if (start_error) {
		m->start_error = *start_error;
		monitor_main_done(m);
		return;
	}
	m->is_started = m->main->is_started = true;
	if (state_write_started(m->rundirfd, m->ops->pid(m->instance), &e) < 0)
		log_error("state", "%s", e.msg); /* others see it as starting; its end will be right */
	if (m->cfg->on_started)
		m->cfg->on_started(m->cfg->arg);
	tell_started(m);
	proc_feed(m->main);
}

static void on_lost(void *arg, const struct err *e)
{
	struct monitor *m = arg;

	m->lost_error = *e;
	log_error("monitor", "%s", e->msg);
}

static void mark(struct monitor *m, const char *what)
{
	if (m->cfg->timeline)
		timeline_mark(m->cfg->timeline, what);
}

static void on_trace(const char *step, uint64_t us, void *arg)
{
	const struct monitor *m = arg;

	timeline_line(us, m->launch.trace_began_us, "container", step, STDERR_FILENO);
}

static void print_timeline(const struct monitor *m)
{
	if (m->launch.trace_began_us && m->cfg->timeline)
		timeline_print(m->cfg->timeline, m->launch.trace_began_us, "monitor", STDERR_FILENO);
}

static int start(struct monitor *m, struct err *e)
{
	const struct instance_config cfg = {
		.spec = &m->spec,
		.launch = &m->launch,
		.host = &m->host,
		.paths = m->cfg->paths,
		.loop = m->loop,
		.rundirfd = m->rundirfd,
		.rundir = m->rundir,
		.tty_rows = (uint16_t)MIN(m->spec.process.console_rows, UINT16_MAX),
		.tty_cols = (uint16_t)MIN(m->spec.process.console_cols, UINT16_MAX),
		.on_started = on_started,
		.on_lost = on_lost,
		.trace = m->launch.trace_began_us ? on_trace : NULL,
		.arg = m,
	};
	int r = m->find(m->launch.isolation, &m->ops, e);

	if (r == 0)
		r = m->ops->new (&cfg, &m->instance, e);
	if (r < 0)
		return r;
	m->main->task.has_tty = m->spec.process.terminal;
	m->main->keep_stdin = m->launch.open_stdin && !m->launch.stdin_once;
	r = m->ops->start(m->instance, &m->main->task, e);
	if (r == 0)
		r = proc_watch(m->main, e);
	if (r == 0)
		proc_feed(m->main);
	return r;
}

/* ---- the end ---- */

static struct exit_status final_status(const struct monitor *m)
{
	if (m->start_error.no)
		return (struct exit_status){ .code = m->start_error.exit ? m->start_error.exit : 125 };
	return m->exit;
}

/* The last word to everybody, and no more from anybody. */
static void dismiss_clients(struct monitor *m, const struct exit_status *st)
{
	for (struct client *c = m->clients; c; c = c->next) {
		if (c->is_closing)
			continue;
		if (m->start_error.no)
			frame_put_error(&c->out, 0, &m->start_error);
		else
			frame_put_exit(&c->out, 0, (uint32_t)st->code, (uint32_t)st->signal, st->oom);
		while (c->links)
			link_free(c->links);
		c->is_closing = true;
		client_flush(c);
	}
	clients_reap(m);
}

/* exec'd processes that were still there when the wall came down. */
static void end_procs(struct monitor *m)
{
	for (struct proc *p = m->procs, *next; p; p = next) {
		next = p->next;
		if (p->is_main)
			continue;
		for (struct link *l = p->links; l; l = l->next_of_proc)
			if (!l->client->is_closing)
				frame_put_exit(&l->client->out, l->channel, 128 + SIGKILL, SIGKILL, false);
		proc_free(p);
	}
}

static void note_end(struct monitor *m, const struct exit_status *st, const struct err *why)
{
	struct err e = { 0 };

	if (state_write_exited(m->rundirfd, st, why->msg, &e) < 0)
		log_error("state", "%s", e.msg);
}

static void end(struct monitor *m)
{
	const struct paths *p = m->cfg->paths;
	struct exit_status st = final_status(m);
	const struct err *why = m->start_error.no ? &m->start_error : &m->lost_error;
	struct err e = { 0 };

	mark(m, "ended");
	/* With --rm nothing is left for which to remember it: who finds this process dead removes the container either way. */
	if (!m->launch.auto_remove)
		note_end(m, &st, why);
	end_procs(m);
	if (m->instance)
		m->ops->destroy(TAKE_PTR(m->instance));
	mark(m, "wall taken down");
	loop_del(m->listen_src);
	m->listen_src = NULL;
	m->listenfd = fd_close(m->listenfd);
	/* Without a record of the end, the run directory stays: exited.json tells whoever looks next. */
	if (m->cfg->on_exited(&st, why->no ? why : NULL, m->cfg->arg) < 0) {
		if (m->launch.auto_remove)
			note_end(m, &st, why);
		log_error("state", "the end of container %.12s could not be recorded; its run state stays", m->cfg->id);
	} else if (state_release(p, m->cfg->id, &e) < 0) {
		log_error("state", "%s", e.msg);
	}
	m->is_over = true;
	mark(m, "end recorded");
	print_timeline(m);
	dismiss_clients(m, &st);
	monitor_maybe_leave(m);
}

static void on_end(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct monitor *m = arg;

	m->end_timer = NULL;
	end(m);
}

/* From a timer, because the caller is inside a callback of the instance that is about to be destroyed. */
static void schedule_end(struct monitor *m, uint64_t ms)
{
	loop_del(m->end_timer);
	m->end_timer = NULL;
	if (loop_timer(m->loop, ms, on_end, m, &m->end_timer) < 0) {
		/* No memory for a timer: the kernel takes down what we can't, since everything is tied to this process. */
		log_error("monitor", "out of memory at the end of container %.12s", m->cfg->id);
		loop_stop(m->loop, -ENOMEM);
	}
}

void monitor_main_done(struct monitor *m)
{
	if (m->is_main_done)
		return;
	m->is_main_done = true;
	m->exit = m->main->has_exited ? m->main->exit : m->exit;
	m->is_ending_now = m->n_procs == 1;
	schedule_end(m, m->is_ending_now ? 0 : EXIT_GRACE_MS);
}

void monitor_maybe_leave(struct monitor *m)
{
	if (m->is_main_done && !m->is_over && !m->is_ending_now && m->n_procs == 1) {
		m->is_ending_now = true;
		schedule_end(m, 0);
	}
	if (m->is_over && !m->clients)
		loop_stop(m->loop, 0);
}

/* ---- signals ---- */

static bool ends_a_program(int sig)
{
	return sig == SIGHUP || sig == SIGINT || sig == SIGQUIT || sig == SIGTERM || sig == SIGKILL;
}

int monitor_signal_main(struct monitor *m, int sig, struct err *e)
{
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
		r = host_probe_cgroup(&m->host, e);
	if (r == 0)
		r = state_claim(m->cfg->paths, m->cfg->id, &m->rundirfd, e);
	if (r < 0)
		return r;
	r = listen_for_clients(m, e);
	if (r < 0)
		state_release(m->cfg->paths, m->cfg->id, NULL);
	mark(m, "ready");
	return r;
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
	mark(m, "go");
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
	log_file_close(m->log);
	fd_close(m->listenfd);
	fd_close(m->rundirfd);
	loop_free(m->loop);
	launch_done(&m->launch);
	spec_done(&m->spec);
	host_done(&m->host);
	free(m->rundir);
}

/* From here on a failure is the container's, and takes the same way out as its end. */
static int live(struct monitor *m, struct err *e)
{
	int r = load(m, &m->start_error);
	int adopted = adopt_first_client(m, &m->start_error);

	mark(m, "loaded");
	if (r == 0)
		r = adopted;
	if (r == 0)
		r = start(m, &m->start_error);
	if (r < 0)
		monitor_main_done(m);
	r = loop_run(m->loop);
	return r < 0 ? err_set(e, -r, "monitor of container %.12s: %s", m->cfg->id, strerror(-r)) : 0;
}

int monitor_run_with(const struct monitor_config *cfg, find_isolation find, uint64_t stall_ms, struct err *e)
{
	struct monitor m = { .cfg = cfg, .find = find, .stall_ms = stall_ms, .rundirfd = -1, .listenfd = -1, .lifefd = -1 };
	int r;

	spec_init(&m.spec);
	r = prepare(&m, e);
	if (r < 0) {
		tell_failure(cfg->client_fd, e);
		fd_close(cfg->client_fd);
		monitor_done(&m);
		return r;
	}
	r = wait_for_go(&m, e);
	if (r > 0)
		r = live(&m, e);
	else
		state_release(cfg->paths, cfg->id, NULL); /* an empty claim left by a failure here is swept as any dead one */
	monitor_done(&m);
	return r;
}
