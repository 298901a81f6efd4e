/* A user process and its streams: output to the log and to every client that follows it, input from those that may write, and
 * the order of things at its end:
 *
 *   on_exit ── output still open ──▶ read on until its end; a stray process that holds it gets EXIT_GRACE_MS
 *           └─ output at its end ──▶ proc_done: FRAME_EXIT to the client of an exec'd process, or the end of the monitor
 *
 * Output that can't be read is not taken for its end: who follows the process gets an error in the place of its exit status. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "monitor_impl.h"

#define UNWATCHED_MS 10 /* between two looks at what the kernel has no memory to watch */

static void output_hold(struct output *o)
{
	loop_del(o->src);
	o->src = NULL;
}

static void proc_maybe_done(struct proc *p);
static void on_output(struct loop *loop, int fd, uint32_t events, void *arg);

static enum frame_type output_type(const struct output *o) { return o->index ? FRAME_STDERR : FRAME_STDOUT; }

/* What is still to come is lost, and nobody may take what has come for all of it. */
static void output_lose(struct output *o, const char *why)
{
	struct proc *p = o->proc;

	log_warn("output", "%s of %s: %s; the rest of it is lost", o->index ? "standard error" : "standard output",
		 p->is_main ? "the container" : "an exec'd process", why);
	if (!p->lost.no)
		err_set(&p->lost, EIO, "part of the output is lost: %s", why);
}

void proc_put_end(const struct proc *p, struct buf *b, const struct link *l, uint16_t channel, const struct exit_status *st)
{
	struct err e;

	/* Who follows a process takes its status for the program's own. */
	if (p->task.lost.no && l) {
		err_set_exit(&e, st->code, p->task.lost.no, "%s", p->task.lost.msg);
		frame_put_error(b, channel, &e);
	} else if (p->lost.no && l && (l->wants[0] || l->wants[1])) {
		err_set_exit(&e, 125, p->lost.no, "%s; the process ended with status %d", p->lost.msg, st->code);
		frame_put_error(b, channel, &e);
	} else {
		frame_put_exit(b, channel, (uint32_t)st->code, (uint32_t)st->signal, st->oom);
	}
}

static void output_end(struct output *o)
{
	struct proc *p = o->proc;

	output_hold(o);
	o->fd = fd_close(o->fd);
	if (p->is_main && p->m->log)
		log_file_end(p->m->log, o->index + 1);
	if (p->is_main && p->m->journal)
		log_journal_end(p->m->journal, o->index + 1);
	for (struct link *l = p->links; l; l = l->next_of_proc)
		if (l->wants[o->index] && !l->client->is_closing)
			frame_put(&l->client->out, output_type(o), l->channel, NULL, 0);
	for (struct link *l = p->links, *next; l; l = next) {
		next = l->next_of_proc;
		client_flush(l->client);
	}
}

/* What may be read for everybody: 0 = somebody's window is full. */
static size_t output_room(struct output *o)
{
	size_t room = FRAME_DATA_MAX;

	for (struct link *l = o->proc->links; l; l = l->next_of_proc) {
		if (!l->wants[o->index] || l->client->is_closing)
			continue;
		if (l->credit[o->index] == 0)
			link_arm_stall(l);
		room = MIN(room, l->credit[o->index]);
	}
	return room;
}

static void output_pass_on(struct output *o, const char *data, size_t n)
{
	struct proc *p = o->proc;

	if (p->is_probe)
		health_output(p, data, n);
	if (p->is_main && p->m->log)
		log_file_add(p->m->log, o->index + 1, data, n);
	if (p->is_main && p->m->journal)
		log_journal_add(p->m->journal, o->index + 1, data, n);
	for (struct link *l = p->links; l; l = l->next_of_proc) {
		if (!l->wants[o->index] || l->client->is_closing)
			continue;
		frame_put(&l->client->out, output_type(o), l->channel, data, (uint32_t)n);
		l->credit[o->index] -= (uint32_t)n;
	}
	/* Flushing may drop a client and its link; a dropped client is freed later, by clients_reap. */
	for (struct link *l = p->links, *next; l; l = next) {
		next = l->next_of_proc;
		client_flush(l->client);
	}
}

/* One read. 1 = more may be there, 0 = nothing now or held back, -1 = at its end. */
static int output_read(struct output *o)
{
	char data[FRAME_DATA_MAX];
	size_t room = output_room(o);

	if (room == 0) {
		output_hold(o);
		return 0;
	}
	ssize_t n = read(o->fd, data, room);
	if (n > 0) {
		output_pass_on(o, data, (size_t)n);
		return 1;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* A pty master answers EIO once no slave is open: its end of file. */
	if (n < 0 && !(errno == EIO && o->proc->task.has_tty))
		output_lose(o, strerror(errno));
	output_end(o);
	return -1;
}

static void on_output(struct loop *loop _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct output *o = arg;
	struct proc *p = o->proc;
	struct monitor *m = p->m;

	if (output_read(o) < 0)
		proc_maybe_done(p); /* may free it */
	clients_reap(m);
}

static void output_resume(struct output *o);

static void on_unwatched(struct loop *loop, int fd _unused_, uint32_t events, void *arg)
{
	struct output *o = arg;

	o->src = NULL; /* a timer that has fired is gone */
	output_resume(o);
	on_output(loop, o->fd, events, o); /* may free it */
}

static void output_resume(struct output *o)
{
	struct loop *loop = o->proc->m->loop;

	if (o->fd < 0 || o->src || output_room(o) == 0)
		return;
	int r = loop_add(loop, o->fd, EPOLLIN, on_output, o, &o->src);
	/* Not watched for want of memory: looked at now and then, until it can be. */
	if (r < 0 && loop_timer(loop, UNWATCHED_MS, on_unwatched, o, &o->src) < 0) {
		output_lose(o, strerror(-r));
		output_end(o);
	}
}

void proc_resume_output(struct proc *p)
{
	output_resume(&p->out[0]);
	output_resume(&p->out[1]);
}

/* ---- input ---- */

static void on_input(struct loop *loop _unused_, int fd _unused_, uint32_t events, void *arg)
{
	struct proc *p = arg;

	if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLOUT)) {
		loop_del(p->in_src);
		p->in_src = NULL;
		p->in_fd = fd_close(p->in_fd);
	}
	proc_feed(p);
	clients_reap(p->m);
}

static void input_close(struct proc *p)
{
	struct err e = { 0 };

	if (p->in_fd < 0)
		return;
	loop_del(p->in_src);
	p->in_src = NULL;
	if (p->m->instance && !p->has_exited && p->m->ops->close_stdin(p->m->instance, &p->task, &e) < 0)
		log_debug("input", "close: %s", e.msg);
	p->in_fd = fd_close(p->in_fd);
}

/* Bytes of one link to the process: 0 = all of them, 1 = the process takes no more now. */
static int feed_link(struct proc *p, struct link *l)
{
	while (l->in_queue.len > 0) {
		/* A process that has closed its input swallows no data, but neither may the client wait for credit. */
		ssize_t n = p->in_fd < 0 ? (ssize_t)l->in_queue.len : write(p->in_fd, l->in_queue.data, l->in_queue.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 1;
		if (n < 0) { /* EPIPE: nobody reads */
			input_close(p);
			continue;
		}
		buf_consume(&l->in_queue, (size_t)n);
		if (!l->client->is_closing)
			frame_put_credit(&l->client->out, l->channel, FRAME_STDIN, (uint32_t)n);
	}
	return 0;
}

void proc_feed(struct proc *p)
{
	bool full = false, is_over = p->is_without_client && !p->task.has_tty;

	if (!p->is_started)
		return;
	for (struct link *l = p->links; l && !full; l = l->next_of_proc) {
		full = feed_link(p, l) > 0;
		is_over |= l->in_eof && l->in_queue.len == 0;
	}
	if (is_over && !full && !p->keep_stdin)
		input_close(p);
	if (p->in_fd >= 0 && full && !p->in_src) {
		int r = loop_add(p->m->loop, p->in_fd, EPOLLOUT, on_input, p, &p->in_src);
		if (r < 0) {
			log_error("input", "watch a process's input: %s", strerror(-r));
			input_close(p);
		}
	} else if (!full) {
		loop_del(p->in_src);
		p->in_src = NULL;
	}
	for (struct link *l = p->links, *next; l; l = next) {
		next = l->next_of_proc;
		client_flush(l->client);
	}
}

/* ---- life ---- */

static void on_task_exit(struct task *t, const struct exit_status *st) { proc_ended(t->arg, st); }

struct proc *proc_new(struct monitor *m)
{
	struct proc *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct proc){ .m = m, .next = m->procs, .in_fd = -1 };
	p->task = (struct task){ .in = -1, .out = -1, .err = -1, .on_exit = on_task_exit, .arg = p };
	for (int i = 0; i < 2; i++)
		p->out[i] = (struct output){ .proc = p, .fd = -1, .index = i };
	m->procs = p;
	m->n_procs++;
	return p;
}

void proc_free(struct proc *p)
{
	struct proc **at = &p->m->procs;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->m->n_procs--;
	while (p->links)
		link_free(p->links);
	free(p->command);
	loop_del(p->grace);
	loop_del(p->in_src);
	fd_close(p->in_fd);
	for (int i = 0; i < 2; i++) {
		output_hold(&p->out[i]);
		fd_close(p->out[i].fd);
	}
	free(p);
}

int proc_watch(struct proc *p, struct err *e)
{
	struct task *t = &p->task;

	p->out[0].fd = t->out;
	p->out[1].fd = t->err;
	p->in_fd = t->in;
	if (t->in >= 0 && t->in == t->out) {
		p->in_fd = fcntl(t->in, F_DUPFD_CLOEXEC, 3);
		if (p->in_fd < 0)
			return err_set(e, errno, "duplicate the terminal: %s", strerror(errno));
	}
	proc_resume_output(p);
	return 0;
}

/* Everything that a process had to say has been said. */
static void proc_done(struct proc *p)
{
	struct monitor *m = p->m;

	loop_del(p->grace);
	p->grace = NULL;
	if (p->is_main) {
		monitor_main_done(m);
		return;
	}
	happen_exec_end(p); /* first: who is told of the end finds it among the events */
	for (struct link *l = p->links, *next; l; l = next) {
		struct client *c = l->client;
		next = l->next_of_proc;
		if (!c->is_closing)
			proc_put_end(p, &c->out, l, l->channel, &p->exit);
		client_flush(c);
	}
	if (p->is_probe)
		health_probe_done(p);
	proc_free(p);
	monitor_maybe_leave(m);
}

static void proc_maybe_done(struct proc *p)
{
	if (p->has_exited && p->out[0].fd < 0 && p->out[1].fd < 0)
		proc_done(p);
}

/* Takes what is there without waiting, at most a pipe's worth, and ends the stream. */
static void output_cut(struct output *o)
{
	for (int i = 0; i < 64 && o->fd >= 0; i++)
		if (output_read(o) <= 0)
			break;
	if (o->fd >= 0 && output_room(o) == 0)
		output_lose(o, "no memory to wait for a slow reader");
	if (o->fd >= 0)
		output_end(o);
}

static void on_grace(struct loop *loop, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct proc *p = arg;
	bool held = false;

	p->grace = NULL;
	/* A stream that waits for a slow reader is not stray: its time has not begun. */
	for (int i = 0; i < 2; i++)
		held |= p->out[i].fd >= 0 && !p->out[i].src;
	if (held && loop_timer(loop, EXIT_GRACE_MS, on_grace, p, &p->grace) == 0)
		return;
	output_cut(&p->out[0]);
	output_cut(&p->out[1]);
	clients_reap(p->m);
	proc_maybe_done(p);
}

void proc_ended(struct proc *p, const struct exit_status *st)
{
	if (p->has_exited)
		return;
	p->has_exited = true;
	p->exit = *st;
	if (p->task.lost.no)
		log_error("monitor", "%s", p->task.lost.msg);
	input_close(p);
	if ((p->out[0].fd >= 0 || p->out[1].fd >= 0) && loop_timer(p->m->loop, EXIT_GRACE_MS, on_grace, p, &p->grace) < 0) {
		output_cut(&p->out[0]);
		output_cut(&p->out[1]);
	}
	proc_maybe_done(p);
}

void proc_abandon(struct proc *p)
{
	struct err e = { 0 };

	while (p->links)
		link_free(p->links);
	output_end(&p->out[0]);
	output_end(&p->out[1]);
	if (p->m->ops->signal(p->m->instance, &p->task, SIGKILL, &e) < 0)
		log_error("exec", "%s", e.msg);
}

void proc_gave_up(struct proc *p, const struct err *e)
{
	struct monitor *m = p->m;

	for (struct link *l = p->links, *next; l; l = next) {
		next = l->next_of_proc;
		client_refuse(l->client, l->channel, e, false);
	}
	if (p->is_probe)
		health_probe_failed(p, e);
	proc_free(p);
	monitor_maybe_leave(m);
}
