/* speed.c: what the wall costs a program that runs: the probe's own loops on the bare host and in each way, in turns. */
#include <stdio.h>

#include "measure_impl.h"
#include "probe_network.h"
#include "opts.h"

enum { TRIPS = 200, STREAM_MS = 1000, ASK_MS = 2000, PORT = 7000, SPEED_MS = 60000 };

/* "syscall 112 ns", "file.write - Read-only file system": of the probe, and so of the workload's world: nothing of it is believed but numbers. */
static int take_line(struct measure *m, size_t way, char *line, struct err *e)
{
	char *save = NULL, *name = strtok_r(line, " ", &save), *value = strtok_r(NULL, " ", &save);
	const struct figure_kind *kind = name ? figure_kind_of(name) : NULL;
	double v;

	if (!kind || !value)
		return err_set(e, EPROTO, "%s: the probe said \"%.60s\", which is no figure", m->ways[way]->name, line);
	if (streq(value, "-"))
		return measured_none(m, way, kind->id, save && *save ? save : "not measured", e);
	if (opt_read_double(value, &v) < 0)
		return err_set(e, EPROTO, "%s: the probe said that %s is \"%.40s\", which is no number", m->ways[way]->name,
			       kind->id, value);
	return measured(m, way, kind->id, v, e);
}

static int take_lines(struct measure *m, size_t way, struct run *run, struct err *e)
{
	char *save = NULL;
	int r = 0;

	if (run->status != 0 || !run->said.len)
		return run_failed(run, m->ways[way]->name, e);
	for (char *line = strtok_r(run->said.data, "\n", &save); line && r >= 0; line = strtok_r(NULL, "\n", &save))
		r = take_line(m, way, line, e);
	return r;
}

static int speed_once(struct measure *m, size_t way, const char *host_dir, struct err *e)
{
	_cleanup_run_ struct run run = { .pidfd = -1, .out = -1, .err = -1 };
	_cleanup_free_ char *name = NULL, *dir = str_fmt("dir=%s", host_dir);
	_cleanup_strv_ char **v = NULL;
	int r = dir ? 0 : err_set(e, ENOMEM, "out of memory");

	/* What is to go at its end has its files flushed by nobody. */
	if (r >= 0 && m->ways[way]->isolation)
		r = probe_words(m, m->ways[way], "--rm=false", NULL, WORDS("speed"), &v, &name, e);
	if (r >= 0)
		r = v ? run_begin(m, m->ways[way], NULL, WORDS_OF(v), &run, e)
		      : run_begin(m, NULL, m->probe_program, WORDS("speed", dir), &run, e);
	if (r >= 0)
		r = run_end(m, &run, SPEED_MS + patience_ms(m, way), e);
	if (r >= 0)
		r = take_lines(m, way, &run, e);
	return r >= 0 && name ? remove_container(m, name, e) : r;
}

int measure_speed(struct measure *m, struct err *e)
{
	_cleanup_free_ char *dir = NULL;
	int r = run_whole(m, NULL, WORDS("info", "--format", "{{.DockerRootDir}}"), &dir, e);

	for (size_t w = 0; w < m->n_ways && r >= 0; w++) {
		progress(m, "speed %lld of %lld: %s", (long long)m->round + 1, (long long)m->o->rounds, m->ways[w]->name);
		r = speed_once(m, w, dir, e);
	}
	return r;
}

static int stream_and_trips(struct measure *m, size_t way, const struct network_peer *p, struct err *e)
{
	double trips[TRIPS], mb_s, sum = 0;
	int r = network_latency_us(p, trips, TRIPS, e);

	for (size_t i = 0; i < TRIPS; i++)
		sum += trips[i];
	if (r >= 0)
		r = measured(m, way, "network.latency", sum / TRIPS, e);
	if (r >= 0)
		r = network_mb_s(p, false, STREAM_MS, &mb_s, e);
	return r < 0 ? r : measured(m, way, "network.throughput", mb_s, e);
}

/* The probe that serves in one way, as long as the run lives. */
struct server {
	struct run run;
	char *name; /* NULL: on the host */
	unsigned port;
};

static int begin_here(struct measure *m, struct server *s, struct err *e)
{
	const struct ready ready = { .kind = READY_LOG, .rest = "\n" };
	uint64_t until = clock_mono_us() + ASK_MS * 1000;
	int r = run_begin(m, NULL, m->probe_program, WORDS("serve", "0"), &s->run, e);

	while (r >= 0 && !ready_ask(&ready, &s->run) && clock_mono_us() < until && !s->run.ended_us)
		r = run_step(m, &s->run, 100, e);
	if (r >= 0 && (!s->run.said.len || sscanf(s->run.said.data, "ready %u", &s->port) != 1))
		r = run_failed(&s->run, "berth-probe serve", e);
	return r;
}

static int begin_there(struct measure *m, size_t way, struct server *s, struct err *e)
{
	struct ready ready = { .kind = READY_TCP, .port = PORT };
	_cleanup_strv_ char **publish = NULL, **v = NULL;
	uint64_t until = clock_mono_us() + patience_ms(m, way) * 1000;
	int r = ready_publish(&ready, &publish, e);

	if (r >= 0)
		r = probe_words(m, m->ways[way], "-d", WORDS_OF(publish), WORDS("serve", "7000"), &v, &s->name, e);
	if (r >= 0)
		r = run_whole(m, m->ways[way], WORDS_OF(v), NULL, e);
	s->port = ready.at;
	while (r >= 0 && !ready_ask(&ready, NULL)) {
		if (clock_mono_us() > until)
			return err_set(e, ETIMEDOUT, "%s: its published port does not answer within %llu seconds",
				       m->ways[way]->name, (unsigned long long)patience_ms(m, way) / 1000);
		r = stop_is_wanted(m, 20, e);
	}
	return r;
}

/* The network that all get, where nothing is published on it; else NULL. */
static const char *no_network(const struct measure *m)
{
	const char *name = getenv("BERTH_NETWORK");

	for (char **p = m->o->passed; p && *p; p++)
		if (str_after(*p, "--network="))
			name = str_after(*p, "--network=");
	return name && (streq(name, "none") || streq(name, "host") || strchr(name, ':')) ? name : NULL;
}

static int network_of(struct measure *m, size_t way, struct err *e)
{
	struct server s = { .run = { .pidfd = -1, .out = -1, .err = -1 } };
	int r;

	progress(m, "network %lld of %lld: %s", (long long)m->round + 1, (long long)m->o->rounds, m->ways[way]->name);
	r = m->ways[way]->isolation ? begin_there(m, way, &s, e) : begin_here(m, &s, e);
	if (r >= 0) {
		const struct network_peer p = { .address = "127.0.0.1",
						.port = (uint16_t)s.port,
						.timeout_ms = (unsigned)patience_ms(m, way) };

		r = stream_and_trips(m, way, &p, e);
	}
	if (r >= 0)
		r = stop_is_wanted(m, 0, e);
	run_done(&s.run);
	if (r >= 0 && s.name)
		r = remove_container(m, s.name, e);
	free(s.name);
	return r;
}

int measure_network(struct measure *m, struct err *e)
{
	const char *none = no_network(m);
	int r = 0;

	for (size_t w = 0; w < m->n_ways && r >= 0; w++) {
		if (!none || !m->ways[w]->isolation) {
			r = network_of(m, w, e);
			continue;
		}
		_cleanup_free_ char *why = str_fmt("--network %s publishes no ports", none);
		r = why ? measured_none(m, w, "network.latency", why, e) : err_set(e, ENOMEM, "out of memory");
		if (r >= 0)
			r = measured_none(m, w, "network.throughput", why, e);
	}
	return r;
}
