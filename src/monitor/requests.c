/* What clients ask for, one function a frame type, and the table that says which types a client may send. An error returned
 * from here is one of protocol and ends the connection; a request that can't be done is answered with FRAME_ERROR. */
#include <signal.h>
#include <string.h>

#include "monitor_impl.h"

static int on_hello(struct client *c _unused_, const struct frame *f, struct err *e)
{
	/* Another build may speak to us: a container outlives an upgrade. Only the protocol has to be the same. */
	if (f->len < 4 || f->payload[0] != FRAME_VERSION || f->payload[1] || f->payload[2] || f->payload[3])
		return err_set(e, EPROTO,
			       "this container's monitor speaks protocol %d only (build %s): restart the container, or use the "
			       "berth it was started with",
			       FRAME_VERSION, build_id());
	return 0;
}

static bool get_bool(struct json_object *o, const char *key, bool fallback)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_boolean) ? json_object_get_boolean(v)
												  : fallback;
}

static void answer_ok(struct client *c, uint16_t channel, const char *json)
{
	frame_put(&c->out, FRAME_OK, channel, json, json ? (uint32_t)strlen(json) : 0);
}

static void answer_error(struct client *c, uint16_t channel, const struct err *e) { client_refuse(c, channel, e, false); }

static int on_attach(struct client *c, const struct frame *f, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct monitor *m = c->m;
	struct err no = { 0 };

	if (f->channel != 0 || link_find(c, 0))
		return err_set(e, EPROTO, "attach: this connection is attached already");
	if (f->len && json_parse((const char *)f->payload, f->len, "attach", &o, e) < 0)
		return -EPROTO;
	if (m->is_resting) {
		err_set(&no, EAGAIN, "container %.12s is restarting: wait until it runs", m->cfg->id);
		answer_error(c, 0, &no);
		return 0;
	}
	if (!m->main || m->is_over) {
		err_set(&no, ESRCH, "container %.12s has ended", m->cfg->id);
		answer_error(c, 0, &no);
		return 0;
	}
	struct link *l = link_new(m->main, c, 0);
	if (!l)
		return err_set(e, ENOMEM, "attach: out of memory");
	l->wants_in = o ? get_bool(o, "stdin", false) : false;
	l->wants[0] = o ? get_bool(o, "stdout", true) : true;
	l->wants[1] = o ? get_bool(o, "stderr", true) : true;
	answer_ok(c, 0, NULL);
	for (int i = 0; i < 2; i++) /* streams that are at their end already */
		if (m->is_started && l->wants[i] && m->main->out[i].fd < 0)
			frame_put(&c->out, i ? FRAME_STDERR : FRAME_STDOUT, 0, NULL, 0);
	proc_resume_output(m->main);
	return 0;
}

static void on_exec_started(struct task *t, const struct err *e)
{
	struct proc *p = t->arg;

	if (e && p->is_starting) { /* from inside ops->exec: start_exec answers */
		p->start_error = *e;
		return;
	}
	if (e) {
		proc_gave_up(p, e);
		return;
	}
	p->is_started = true;
	for (struct link *l = p->links, *next; l; l = next) {
		next = l->next_of_proc;
		frame_put_u32(&l->client->out, FRAME_STARTED, l->channel, 0);
		client_flush(l->client);
	}
	happen_exec(p);
	proc_feed(p);
}

/* Makes the process object of the payload run. Errors are the request's. */
static int start_exec(struct client *c, const struct frame *f, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct monitor *m = c->m;
	struct spec_process sp;
	struct json_object *extra = NULL;

	int r = json_parse((const char *)f->payload, f->len, "exec", &o, e);
	if (r < 0)
		return r;
	if (m->n_procs >= PROCS_MAX)
		return err_set(e, EAGAIN, "exec: %d processes run in this container already", PROCS_MAX);
	json_object_object_get_ex(o, "berth", &extra);
	bool wants_in = extra && get_bool(extra, "stdin", false), is_detached = extra && get_bool(extra, "detach", false);
	bool is_silent = extra && get_bool(extra, "silent", false);
	spec_process_init(&sp);
	r = spec_process_parse(o, &sp, e);
	if (r == 0)
		r = monitor_secrets_env(m, &sp.env, e);
	if (r < 0) {
		spec_process_done(&sp);
		return r;
	}
	struct proc *p = proc_new(m);
	struct link *l = p ? link_new(p, c, f->channel) : NULL;
	if (!l) {
		if (p)
			proc_free(p);
		spec_process_done(&sp);
		return err_set(e, ENOMEM, "exec: out of memory");
	}
	p->task.has_tty = sp.terminal;
	r = happen_exec_named(p, is_silent ? NULL : sp.args);
	if (r < 0) {
		proc_free(p);
		spec_process_done(&sp);
		return err_set(e, -r, "exec: give it an id: %s", strerror(-r));
	}
	l->wants_in = wants_in;
	l->wants[0] = l->wants[1] = !is_detached;
	l->in_eof = !wants_in;
	p->is_starting = true;
	r = m->ops->exec(m->instance, &sp, &p->task, on_exec_started, e);
	p->is_starting = false;
	spec_process_done(&sp);
	if (r == 0 && (r = proc_watch(p, e)) < 0 && !p->start_error.no) {
		proc_abandon(p);
		return r;
	}
	if (p->start_error.no) {
		*e = p->start_error;
		r = -e->no;
	}
	if (r < 0) {
		proc_free(p);
		return r;
	}
	proc_feed(p);
	return 0;
}

static int on_exec(struct client *c, const struct frame *f, struct err *e)
{
	struct err no = { 0 };

	if (f->channel == 0 || link_find(c, f->channel))
		return err_set(e, EPROTO, "exec: channel %u is in use", f->channel);
	if (!c->m->is_started || c->m->is_over || c->m->main->has_exited)
		err_set(&no, ESRCH, "container %.12s is not running", c->m->cfg->id);
	else if (start_exec(c, f, &no) == 0)
		return 0;
	answer_error(c, f->channel, &no);
	return 0;
}

static int on_stdin(struct client *c, const struct frame *f, struct err *e)
{
	struct link *l = link_find(c, f->channel);

	/* It may have ended while this was under way; or it has no input, and whoever types gets no credit for more. */
	if (!l || !l->wants_in || l->proc->has_exited)
		return 0;
	if (f->len > FRAME_WINDOW - l->in_queue.len)
		return err_set(e, EPROTO, "input on channel %u beyond the window of %u bytes", f->channel, FRAME_WINDOW);
	if (f->len == 0) {
		/* docker's rule: without StdinOnce the container's input outlives those who write to it. */
		l->in_eof = !l->proc->is_main || c->m->launch.stdin_once;
	} else {
		buf_add(&l->in_queue, f->payload, f->len);
		if (l->in_queue.failed)
			return err_set(e, ENOMEM, "input: out of memory");
	}
	proc_feed(l->proc);
	return 0;
}

static int on_credit(struct client *c, const struct frame *f, struct err *e)
{
	struct link *l = link_find(c, f->channel);
	enum frame_type stream;
	uint32_t bytes;

	if (frame_get_credit(f, &stream, &bytes) < 0 || stream == FRAME_STDIN)
		return err_set(e, EPROTO, "malformed credit");
	if (!l)
		return 0;
	int i = stream == FRAME_STDERR;
	if (bytes > FRAME_WINDOW - l->credit[i])
		return err_set(e, EPROTO, "credit on channel %u for more than was sent", f->channel);
	l->credit[i] += bytes;
	loop_del(l->stall);
	l->stall = NULL;
	proc_resume_output(l->proc);
	return 0;
}

static int on_resize(struct client *c, const struct frame *f, struct err *e)
{
	struct link *l = link_find(c, f->channel);
	uint16_t rows, cols;
	struct err no = { 0 };

	if (frame_get_resize(f, &rows, &cols) < 0)
		return err_set(e, EPROTO, "malformed size of a terminal");
	struct proc *p = l ? l->proc : f->channel == 0 ? c->m->main : NULL;
	/* Sizes change at any time; one that comes too early or late for its terminal is no fault of the user's. */
	if (p && p->task.has_tty && p->is_started && !p->has_exited &&
	    c->m->ops->resize(c->m->instance, &p->task, rows, cols, &no) < 0)
		log_debug("resize", "%s", no.msg);
	return 0;
}

static int on_signal(struct client *c, const struct frame *f, struct err *e)
{
	struct link *l = link_find(c, f->channel);
	struct monitor *m = c->m;
	struct err no = { 0 };
	uint32_t sig;
	int r;

	if (frame_get_u32(f, &sig) < 0 || sig < 1 || sig > 64)
		return err_set(e, EPROTO, "malformed signal");
	if (f->channel == 0) {
		if (m->is_started && !m->is_main_done && !m->main->has_exited)
			happen_kill(m, (int)sig);
		/* Docker's rule for restart policies, but for signals that programs are used to live on with. */
		if (sig == SIGTERM || sig == SIGKILL || sig == SIGINT || sig == SIGQUIT)
			m->is_users_end = true;
		r = monitor_signal_main(m, (int)sig, &no);
	} else if (l && l->proc->is_started && !l->proc->has_exited) {
		r = m->ops->signal(m->instance, &l->proc->task, (int)sig, &no);
	} else {
		r = err_set(&no, ESRCH, "no process on channel %u", f->channel);
	}
	if (r < 0 && no.no != ESRCH)
		answer_error(c, f->channel, &no);
	else
		answer_ok(c, f->channel, NULL); /* to a process that has just ended every signal came too late */
	return 0;
}

/* The client may have gone meanwhile; `n_pending` keeps its struct. */
static void on_stats_ready(struct instance *i _unused_, struct json_object *stats, const struct err *e, void *arg)
{
	struct client *c = arg;

	c->n_pending--;
	if (c->is_closing)
		return;
	if (e)
		answer_error(c, 0, e);
	else
		answer_ok(c, 0, json_object_to_json_string_ext(stats, JSON_C_TO_STRING_PLAIN));
	client_flush(c);
}

static int on_stats(struct client *c, const struct frame *f _unused_, struct err *e _unused_)
{
	struct err no = { 0 };

	if (!c->m->is_started || c->m->is_over) {
		err_set(&no, ESRCH, "container %.12s is not running", c->m->cfg->id);
		answer_error(c, 0, &no);
		return 0;
	}
	c->n_pending++;
	if (c->m->ops->stats(c->m->instance, on_stats_ready, c, &no) < 0) {
		c->n_pending--;
		answer_error(c, 0, &no);
	}
	return 0;
}

static void on_update_done(struct instance *i _unused_, const struct err *e, void *arg)
{
	struct client *c = arg;

	c->n_pending--;
	if (c->is_closing)
		return;
	if (e)
		answer_error(c, 0, e);
	else
		answer_ok(c, 0, NULL);
	client_flush(c);
}

static int start_update(struct client *c, const struct frame *f, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct spec_resources r;
	int k;

	if (!c->m->is_started || c->m->is_over)
		return err_set(e, ESRCH, "container %.12s is not running", c->m->cfg->id);
	k = json_parse((const char *)f->payload, f->len, "update", &o, e);
	if (k >= 0)
		k = spec_resources_parse(o, &r, e);
	if (k < 0)
		return k;
	c->n_pending++;
	k = c->m->ops->update(c->m->instance, &r, on_update_done, c, e);
	if (k < 0)
		c->n_pending--;
	spec_resources_done(&r);
	return k;
}

static int on_update(struct client *c, const struct frame *f, struct err *e _unused_)
{
	struct err no = { 0 };

	if (start_update(c, f, &no) < 0)
		answer_error(c, 0, &no);
	return 0;
}

int client_request(struct client *c, const struct frame *f, struct err *e)
{
	static int (*const handlers[FRAME_TYPE_MAX_])(struct client *, const struct frame *, struct err *) = {
		[FRAME_HELLO] = on_hello,   [FRAME_ATTACH] = on_attach,     [FRAME_EXEC] = on_exec,
		[FRAME_STDIN] = on_stdin,   [FRAME_CREDIT] = on_credit,     [FRAME_RESIZE] = on_resize,
		[FRAME_SIGNAL] = on_signal, [FRAME_STATS] = on_stats,       [FRAME_UPDATE] = on_update,
		[FRAME_PAUSE] = copy_pause, [FRAME_QUIESCE] = copy_quiesce, [FRAME_RELEASE] = copy_release,
	};

	if (!handlers[f->type])
		return err_set(e, EPROTO, "a client may not send %s", frame_type_name(f->type));
	return handlers[f->type](c, f, e);
}
