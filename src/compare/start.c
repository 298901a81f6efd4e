/* start.c: starts, in rounds of all ways in turn: of the probe, and of the user's own command. */
#include "measure_impl.h"

enum { POLL_MS = 1, STEP_MS = 100, JOB_MS = 3000 };

static double ms_since(const struct run *run, uint64_t us) { return (double)(us - run->began_us) / 1000; }

/* Of one start of the probe, whose first instruction writes a byte: how long that took to come here. */
static int start_probe(struct measure *m, size_t way, uint64_t within_ms, double *ret_ms, struct err *e)
{
	_cleanup_run_ struct run run = { .pidfd = -1, .out = -1, .err = -1 };
	_cleanup_strv_ char **v = NULL;
	_cleanup_free_ char *name = NULL;
	int r = probe_words(m, m->ways[way], "--rm", NULL, WORDS("start"), &v, &name, e);

	if (r >= 0)
		r = run_begin(m, m->ways[way], NULL, WORDS_OF(v), &run, e);
	if (r >= 0)
		r = run_end(m, &run, within_ms, e);
	if (r < 0)
		return err_push(e, r, "%s", m->ways[way]->name);
	if (run.status != 0 || run.said.len != 1)
		return run_failed(&run, m->ways[way]->name, e);
	*ret_ms = ms_since(&run, run.first_us);
	return 0;
}

/* The first start is not measured: of it come the guest's kernel and disk, which all others share. */
static int first_start(struct measure *m, size_t way, struct err *e)
{
	double ms = 0;
	int r;

	progress(m, "%s: a first start, which is not measured", m->ways[way]->name);
	r = start_probe(m, way, UINT32_MAX, &ms, e);
	if (r >= 0)
		r = start_probe(m, way, UINT32_MAX, &ms, e);
	m->boot_ms[way] = (uint64_t)ms + 1;
	return r;
}

uint64_t patience_ms(const struct measure *m, size_t way) { return m->o->timeout_ms + 4 * m->boot_ms[way]; }

struct command {
	struct ready ready;
	uint64_t ready_us;
	bool is_first;
};

/* The user's command, until it is known how it goes: it has ended, is ready, or has had time enough. */
static int watch(struct measure *m, size_t way, struct command *c, struct run *run, struct err *e)
{
	const bool asks = c->ready.kind == READY_TCP || c->ready.kind == READY_HTTP;
	const uint64_t ms = c->ready.kind ? patience_ms(m, way) : JOB_MS + 4 * m->boot_ms[way];
	const uint64_t until = run->began_us + 1000 * (c->is_first || c->ready.kind ? ms : MAX(ms, patience_ms(m, way)));
	int r = 0;

	while (r >= 0 && !c->ready_us && clock_mono_us() < until) {
		if (run->ended_us && run->out < 0 && run->err < 0)
			break;
		if (!c->ready.kind && !c->is_first && m->kind[way] == KIND_SERVICE && run->first_us)
			break; /* it goes on, as is known */
		r = run_step(m, run, asks ? POLL_MS : STEP_MS, e);
		if (r >= 0 && c->ready.kind && !run->ended_us && ready_ask(&c->ready, run))
			c->ready_us = clock_mono_us();
	}
	return r;
}

static int count_first_byte(struct measure *m, size_t way, const struct run *run, struct err *e)
{
	if (!run->first_us)
		return measured_none(m, way, "start.first_byte", "the command printed nothing", e);
	return measured(m, way, "start.first_byte", ms_since(run, run->first_us), e);
}

/* What the watching has shown. The first time it is only learnt what kind of command it is. */
static int judge(struct measure *m, size_t way, const struct command *c, const struct run *run, struct err *e)
{
	const char *name = m->ways[way]->name;
	int r = 0;

	if (run->ended_us && run->status != 0)
		return run_failed(run, name, e);
	if (c->ready.kind && run->ended_us)
		return err_set(e, EINVAL, "%s: the command ended before it was ready (--ready %s)", name, m->o->ready);
	if (c->ready.kind && !c->ready_us)
		return err_set(e, ETIMEDOUT, "%s: not ready within %llu seconds (--ready %s); --timeout gives it more", name,
			       (unsigned long long)patience_ms(m, way) / 1000, m->o->ready);
	if (c->is_first) {
		m->kind[way] = run->ended_us ? KIND_JOB : KIND_SERVICE;
		m->is_silent[way] = !run->first_us;
		return 0;
	}
	if (m->kind[way] == KIND_JOB && !run->ended_us)
		return err_set(e, ETIMEDOUT, "%s: the command has ended before, and now does not", name);
	r = count_first_byte(m, way, run, e);
	if (r >= 0 && run->ended_us)
		r = measured(m, way, "run.whole", ms_since(run, run->ended_us), e);
	return r >= 0 && c->ready_us ? measured(m, way, "start.ready", ms_since(run, c->ready_us), e) : r;
}

static int run_command(struct measure *m, size_t way, bool is_first, struct err *e)
{
	_cleanup_run_ struct run run = { .pidfd = -1, .out = -1, .err = -1 };
	_cleanup_strv_ char **v = NULL;
	_cleanup_free_ char *name = NULL;
	struct command c = { .is_first = is_first };
	int r = ready_parse(m->o->ready, &c.ready, e);

	if (r >= 0)
		r = run_words(m, m->ways[way], "--rm", &v, &name, e);
	if (r >= 0)
		r = ready_publish(&c.ready, &v, e);
	if (r >= 0)
		r = command_words(m, &v, e);
	if (r >= 0)
		r = run_begin(m, m->ways[way], NULL, WORDS_OF(v), &run, e);
	if (r >= 0)
		r = watch(m, way, &c, &run, e);
	if (r >= 0)
		r = judge(m, way, &c, &run, e);
	if (r >= 0 && !run.ended_us)
		r = remove_container(m, name, e);
	return r;
}

/* What goes on for ever and says nothing has no moment to measure but its probe's. */
static bool is_worth_running(const struct measure *m, size_t way)
{
	return m->o->ready || m->kind[way] == KIND_JOB || !m->is_silent[way];
}

static int say_what_is_not(struct measure *m, size_t way, struct err *e)
{
	int r = 0;

	if (!is_worth_running(m, way))
		r = measured_none(m, way, "start.first_byte", "the command printed nothing, and does not end", e);
	if (r >= 0 && m->kind[way] == KIND_SERVICE)
		r = measured_none(m, way, "run.whole", "the command does not end by itself", e);
	return r < 0 || m->o->ready ? r : measured_none(m, way, "start.ready", "--ready was not given", e);
}

/* The probe's start and the command's, in turns: who comes behind a pause pays for what the kernel has let go of meanwhile. */
static int start_both(struct measure *m, size_t way, bool probe_first, struct err *e)
{
	double ms = 0;
	int r = 0;

	for (int i = 0; i < 2 && r >= 0; i++) {
		if ((i == 0) != probe_first) {
			if (is_worth_running(m, way))
				r = run_command(m, way, false, e);
			continue;
		}
		r = start_probe(m, way, patience_ms(m, way), &ms, e);
		if (r >= 0)
			r = measured(m, way, "start.first_instruction", ms, e);
	}
	return r;
}

int measure_start(struct measure *m, struct err *e)
{
	const int64_t count = m->o->count, end = count * (m->round + 1) / m->o->rounds;
	int r = 0;

	for (int64_t i = count * m->round / m->o->rounds; i < end && r >= 0; i++)
		for (size_t w = 0; w < m->n_ways && r >= 0; w++) {
			if (!m->ways[w]->isolation)
				continue;
			progress(m, "start %lld of %lld: %s", (long long)i + 1, (long long)count, m->ways[w]->name);
			r = start_both(m, w, i % 2 == 0, e);
		}
	for (size_t w = 0; w < m->n_ways && r >= 0; w++)
		if (m->ways[w]->isolation)
			r = say_what_is_not(m, w, e);
	return r;
}

int measure_first(struct measure *m, struct err *e)
{
	int r = 0;

	for (size_t w = 0; w < m->n_ways && r >= 0; w++) {
		if (!m->ways[w]->isolation)
			continue;
		r = first_start(m, w, e);
		if (r >= 0) {
			progress(m, "%s: a first run of the command, which is not measured", m->ways[w]->name);
			r = run_command(m, w, true, e);
		}
	}
	return r;
}
