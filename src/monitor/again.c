/* Another life of the same container, when its restart policy says so (on_exited does). Between the two the monitor rests: its
 * wall is down, nothing of the container is left, and who waited for its end has heard of it.
 *
 *   end ──▶ rest ──timer──▶ begin ──▶ running, as the first time; a start that fails is an end like another
 *             └─ a signal that ends programs ──▶ give up ──▶ leave
 */
#include <string.h>

#include "monitor_impl.h"

/* What the life before has left in m. */
static void forget_life(struct monitor *m)
{
	loop_del(m->kill_timer);
	m->kill_timer = NULL;
	log_file_close(m->log);
	m->log = NULL;
	log_journal_close(m->journal);
	m->journal = NULL;
	m->network_fd = m->network_fd > 0 ? fd_close(m->network_fd), 0 : 0;
	m->mounts_fd = fd_close(m->mounts_fd);
	m->start_error = (struct err){ 0 };
	m->is_started = m->is_users_end = false;
	m->began_us = 0;
}

static void begin(struct monitor *m)
{
	m->is_resting = m->is_main_done = m->is_ending_now = false;
	m->is_again = true;
	int r = monitor_reload(m, &m->start_error);
	if (r == 0)
		r = monitor_start(m, &m->start_error);
	if (r < 0)
		monitor_main_done(m);
}

static void on_rest_over(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct monitor *m = arg;

	m->rest_timer = NULL; /* one that has fired is gone */
	begin(m);
}

/* From a timer: it is asked for by a client, who has to get the answer first. */
static void on_give_up(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct monitor *m = arg;

	m->rest_timer = NULL;
	if (m->cfg->on_not_again && m->cfg->on_not_again(m->is_users_end, m->cfg->arg) < 0)
		log_error("state", "that container %.12s is not started again could not be recorded", m->cfg->id);
	monitor_leave(m, &m->exit);
}

void again_give_up(struct monitor *m)
{
	loop_del(m->rest_timer);
	m->rest_timer = NULL;
	if (loop_timer(m->loop, 0, on_give_up, m, &m->rest_timer) < 0)
		loop_stop(m->loop, -ENOMEM); /* its end is recorded, the rest is found by who looks */
}

void again_rest(struct monitor *m, uint64_t ms, const struct exit_status *st)
{
	struct proc *fresh = proc_new(m);
	struct err e = { 0 };
	int r = 0;

	dismiss_clients(m, st); /* while the main process is still there to be told of */
	m->exit = *st;
	if (fresh) {
		proc_free(m->main);
		m->main = fresh;
		m->main->is_main = true;
	} else {
		r = err_set(&e, ENOMEM, "out of memory");
	}
	forget_life(m);
	m->is_resting = m->is_ending_now = true; /* nothing schedules an end */
	m->waited_ms = ms;
	if (r == 0)
		r = state_rest(m->rundirfd, &e);
	if (r == 0 && (r = loop_timer(m->loop, ms, on_rest_over, m, &m->rest_timer)) < 0)
		err_set(&e, -r, "%s", strerror(-r));
	if (r < 0) {
		log_error("restart", "container %.12s is not started again: %s", m->cfg->id, e.msg);
		again_give_up(m);
	}
}
