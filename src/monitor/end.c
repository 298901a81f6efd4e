/* The end: main done, end and leave of run.c's diagram. */
#include <string.h>
#include <unistd.h>

#include "monitor_impl.h"

static void print_timeline(const struct monitor *m)
{
	if (m->launch.trace_began_us && m->cfg->timeline)
		timeline_print(m->cfg->timeline, m->launch.trace_began_us, "monitor", STDERR_FILENO);
}

static struct exit_status final_status(const struct monitor *m)
{
	if (m->start_error.no)
		return (struct exit_status){ .code = m->start_error.exit ? m->start_error.exit : 125 };
	return m->exit;
}

/* The last word to everybody, and no more from anybody. */
void dismiss_clients(struct monitor *m, const struct exit_status *st)
{
	for (struct client *c = m->clients; c; c = c->next) {
		if (c->is_closing)
			continue;
		if (m->start_error.no)
			frame_put_error(&c->out, 0, &m->start_error);
		else
			proc_put_end(m->main, &c->out, link_find(c, 0), 0, st);
		while (c->links)
			link_free(c->links);
		c->is_closing = c != m->starter; /* whose own end has a meaning */
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

static void be_over(struct monitor *m, const struct exit_status *st)
{
	loop_del(m->listen_src);
	m->listen_src = NULL;
	m->listenfd = fd_close(m->listenfd);
	m->is_over = true;
	print_timeline(m);
	dismiss_clients(m, st);
	monitor_maybe_leave(m);
}

void monitor_leave(struct monitor *m, const struct exit_status *st)
{
	struct err e = { 0 };

	if (state_release(m->cfg->paths, m->cfg->id, &e) < 0)
		log_error("state", "%s", e.msg);
	be_over(m, st);
}

static void end(struct monitor *m)
{
	struct exit_status st = final_status(m);
	const struct err *why = m->start_error.no       ? &m->start_error
				: m->main->task.lost.no ? &m->main->task.lost
							: &m->main->lost;
	const struct life_end life = {
		.st = st,
		.why = why->no ? why : NULL,
		.is_first = !m->is_again,
		.has_run = m->began_us,
		.is_users = m->is_users_end,
		.is_last = m->is_last || m->starter, /* one that dies before all are there is a failure of them all */
		.ran_ms = m->began_us ? (clock_mono_us() - m->began_us) / 1000 : 0,
		.waited_ms = m->waited_ms,
	};
	bool is_recorded = true;
	uint64_t again_ms = 0;

	monitor_mark(m, "ended");
	/* With --rm nothing is left for which to remember it: who finds this process dead removes the container either way. */
	if (!m->launch.auto_remove)
		note_end(m, &st, why);
	end_procs(m);
	pidfile_remove(m);
	if (m->instance)
		m->ops->destroy(TAKE_PTR(m->instance));
	net_leave(m);
	pod_leave(&m->pod, m);
	join_leave(&m->join);
	monitor_mark(m, "wall taken down");
	/* Without a record of the end, the run directory stays: exited.json tells whoever looks next. */
	if (m->is_given_up) {
		m->cfg->on_given_up(m->cfg->arg);
	} else if (m->cfg->on_exited(&life, &again_ms, m->cfg->arg) < 0) {
		if (m->launch.auto_remove)
			note_end(m, &st, why);
		log_error("state", "the end of container %.12s could not be recorded; its run state stays", m->cfg->id);
		is_recorded = false;
	} else if (again_ms) {
		again_rest(m, again_ms, &st);
		return;
	}
	monitor_mark(m, "end recorded");
	if (is_recorded)
		monitor_leave(m, &st);
	else
		be_over(m, &st);
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
	health_end(m);
	timeout_end(m);
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
