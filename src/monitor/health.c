/* Is the container well? A command is run in it now and then, with docker's rules for what its answers mean:
 *
 *   STARTING ──0──▶ HEALTHY ◀──0── UNHEALTHY
 *      └─ `retries` failures in a row ──▶ UNHEALTHY, from HEALTHY too; within the start period failures don't count while it is STARTING
 *
 * One check at a time; the next comes an interval after the last has ended. One that takes too long is killed with its process
 * group. While the container stands still, so do the checks: one that ran has all its time again when it goes on. Checks are no
 * events and belong to no client; what they say is kept, the last few, in health.json. */
#include <signal.h>
#include <string.h>

#include "monitor_impl.h"

#define ASK_AGAIN_MS 200 /* whether a pod or a VM that is being copied goes on */

static void arm(struct monitor *m, uint64_t ms);

/* ---- what is known ---- */

/* Bytes of the container's as a JSON string has to have them. */
static char *readable(const struct buf *b)
{
	_cleanup_buf_ struct buf text = { 0 };

	buf_str(&text, "");
	for (size_t i = 0; i < b->len;) {
		int n = utf8_len(b->data + i, b->len - i);
		if (n < 1 || b->data[i] == 0)
			buf_str(&text, "\xef\xbf\xbd");
		else
			buf_add(&text, b->data + i, (size_t)n);
		i += n < 1 ? 1 : (size_t)n;
	}
	return text.failed ? NULL : buf_take(&text);
}

static struct json_object *log_json(const struct health_log *l)
{
	struct json_object *o = json_object_new_object();
	char start[RFC3339_LEN], end[RFC3339_LEN];

	if (json_add(o, "Start", json_object_new_string(clock_rfc3339(l->start_ns, start))) < 0 ||
	    json_add(o, "End", json_object_new_string(clock_rfc3339(l->end_ns, end))) < 0 ||
	    json_add(o, "ExitCode", json_object_new_int(l->code)) < 0 ||
	    json_add(o, "Output", json_object_new_string(l->output ? l->output : "")) < 0) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

static int write_file(struct monitor *m)
{
	const struct health *h = &m->health;
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *logs = json_object_new_array();
	_cleanup_free_ char *dir = str_fmt("%s/containers/%s", m->cfg->paths->root, m->cfg->id);
	_cleanup_fd_ int fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	for (size_t i = 0; i < h->n_logs; i++) {
		struct json_object *one = log_json(&h->logs[i]);
		if (!one || json_object_array_add(logs, one) < 0) {
			json_object_put(one);
			json_object_put(logs);
			return -ENOMEM;
		}
	}
	if (json_add(o, "Log", logs) < 0 || json_add(o, "FailingStreak", json_object_new_int64(h->streak)) < 0 ||
	    json_add(o, "Status", json_object_new_string(container_health_name(h->status))) < 0 || !dir)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	return file_replace(fd, "health.json", text, strlen(text), 0600, false);
}

static void keep(struct monitor *m, enum container_health before)
{
	int r;

	if (m->health.status != before && m->cfg->on_health)
		m->cfg->on_health(m->health.status, m->cfg->arg);
	r = write_file(m);
	if (r < 0)
		log_warn("health", "health.json: %s", strerror(-r));
}

static void add_log(struct health *h, int code, char *output)
{
	if (h->n_logs == HEALTH_LOGS) {
		free(h->logs[0].output);
		memmove(h->logs, h->logs + 1, sizeof(h->logs) - sizeof(h->logs[0]));
		h->n_logs--;
	}
	h->logs[h->n_logs++] =
		(struct health_log){ .start_ns = h->probe_began_ns, .end_ns = clock_real_ns(), .code = code, .output = output };
}

/* ---- what an answer means ---- */

static bool in_start_period(const struct monitor *m, uint64_t when_us)
{
	return when_us < m->began_us + m->launch.health_start_period_ms * 1000;
}

static uint64_t next_ms(const struct monitor *m)
{
	return m->health.status == HEALTH_STARTING && in_start_period(m, clock_mono_us()) ? m->launch.health_start_interval_ms
											  : m->launch.health_interval_ms;
}

/* --health-on-failure=kill, the only one but none. What comes of the end is the restart policy's. */
static void give_up(struct monitor *m)
{
	struct err e = { 0 };

	log_warn("health", "container %.12s is unhealthy: it is killed", m->cfg->id);
	if (monitor_signal_main(m, SIGKILL, &e) < 0 && e.no != ESRCH)
		log_error("health", "%s", e.msg);
}

/* Takes output. */
static void judge(struct monitor *m, int code, char *output)
{
	struct health *h = &m->health;
	enum container_health before = h->status;

	loop_del(h->timer);
	h->timer = NULL;
	h->probe = NULL;
	add_log(h, code, output);
	if (code == 0) {
		h->streak = 0;
		h->status = HEALTH_HEALTHY;
	} else if (h->status != HEALTH_STARTING || !in_start_period(m, h->probe_began_us)) {
		if (++h->streak >= m->launch.health_retries)
			h->status = HEALTH_UNHEALTHY;
	}
	keep(m, before);
	if (h->status == HEALTH_UNHEALTHY && before != HEALTH_UNHEALTHY && m->launch.health_on_failure)
		give_up(m);
	if (!h->is_paused)
		arm(m, next_ms(m));
}

/* ---- a check ---- */

void health_output(struct proc *p, const char *data, size_t n)
{
	struct buf *b = &p->m->health.output;

	if (b->len < HEALTH_OUTPUT)
		buf_add(b, data, MIN(n, HEALTH_OUTPUT - b->len));
}

void health_probe_done(struct proc *p)
{
	struct monitor *m = p->m;
	struct health *h = &m->health;
	_cleanup_free_ char *said = readable(&h->output);

	if (h->probe != p || m->is_main_done)
		return;
	if (h->is_late)
		judge(m, -1,
		      str_fmt("Health check exceeded timeout (%llums): %s", (unsigned long long)m->launch.health_timeout_ms,
			      said ? said : ""));
	else
		judge(m, p->exit.code, TAKE_PTR(said));
}

/* EBUSY: the container stands still for a moment, which says nothing of its health. */
static void judge_unstarted(struct monitor *m, const struct err *e)
{
	if (e->no == EBUSY && !m->health.is_paused) {
		m->health.probe = NULL;
		arm(m, ASK_AGAIN_MS);
	} else {
		judge(m, -1, strdup(e->msg));
	}
}

void health_probe_failed(struct proc *p, const struct err *e)
{
	if (p->m->health.probe == p && !p->m->is_main_done)
		judge_unstarted(p->m, e);
}

static void on_probe_started(struct task *t, const struct err *e)
{
	struct proc *p = t->arg;

	if (e && p->is_starting) /* from inside ops->exec */
		p->start_error = *e;
	else if (e)
		proc_gave_up(p, e);
	else
		p->is_started = true;
}

static int start_probe(struct monitor *m, struct err *e)
{
	struct health *h = &m->health;
	struct spec_process sp = m->spec.process; /* all but the command is the container's own process's */
	struct proc *p = proc_new(m);

	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	sp.args = m->launch.health_args;
	sp.terminal = sp.has_caps = false;
	p->is_probe = p->is_starting = true;
	h->probe = p;
	int r = m->ops->exec(m->instance, &sp, &p->task, on_probe_started, e);
	p->is_starting = false;
	if (r == 0 && (r = proc_watch(p, e)) < 0 && !p->start_error.no) {
		p->is_probe = false; /* its end says nothing */
		proc_abandon(p);
		return r;
	}
	if (p->start_error.no) {
		*e = p->start_error;
		r = -e->no;
	}
	if (r < 0)
		proc_free(p);
	return r;
}

static bool stands_still(const struct monitor *m)
{
	return m->holder || (m->launch.pod && pod_is_frozen(m->cfg->paths, m->launch.pod));
}

static void check(struct monitor *m)
{
	struct health *h = &m->health;
	struct err e = { 0 };

	h->output.len = 0;
	h->output.failed = h->is_late = false;
	h->probe_began_ns = clock_real_ns();
	h->probe_began_us = clock_mono_us();
	if (start_probe(m, &e) < 0)
		judge_unstarted(m, &e);
	else
		arm(m, m->launch.health_timeout_ms);
}

static void on_timer(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct monitor *m = arg;
	struct health *h = &m->health;
	struct err e = { 0 };

	h->timer = NULL;
	if (stands_still(m)) {
		arm(m, ASK_AGAIN_MS);
	} else if (!h->probe) {
		check(m);
	} else {
		h->is_late = true;
		if (m->ops->signal(m->instance, &h->probe->task, SIGKILL, &e) < 0 && e.no != ESRCH)
			log_warn("health", "end a check that takes too long: %s", e.msg);
	}
}

static void arm(struct monitor *m, uint64_t ms)
{
	struct health *h = &m->health;

	loop_del(h->timer);
	h->timer = NULL;
	if (loop_timer(m->loop, ms, on_timer, m, &h->timer) < 0)
		log_error("health", "out of memory: container %.12s is checked no more", m->cfg->id);
}

/* ---- life ---- */

void health_begin(struct monitor *m)
{
	if (!m->launch.health_args)
		return;
	m->health = (struct health){ .status = HEALTH_STARTING };
	keep(m, HEALTH_STARTING);
	arm(m, next_ms(m));
}

void health_end(struct monitor *m)
{
	struct health *h = &m->health;

	loop_del(h->timer);
	buf_done(&h->output);
	for (size_t i = 0; i < h->n_logs; i++)
		free(h->logs[i].output);
	if (h->probe)
		h->probe->is_probe = false; /* it goes with the container */
	*h = (struct health){ 0 };
}

void health_pause(struct monitor *m, bool on)
{
	struct health *h = &m->health;

	if (h->status == HEALTH_NONE || h->is_paused == on)
		return;
	h->is_paused = on;
	loop_del(h->timer);
	h->timer = NULL;
	if (!on)
		arm(m, h->probe ? m->launch.health_timeout_ms : next_ms(m));
}
