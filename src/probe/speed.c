/* speed: see probe_speed.h for what it is. Here the table, the calibration, and the words of the command line. */
#include <stdio.h>
#include <time.h>

#include "probe.h"
#include "probe_speed.h"

#define REPEATS_MIN 3

const struct speed_probe speed_probes[] = {
	{ "cpu", "ns", .work = speed_cpu, .ns_per_unit = 1 },
	{ "syscall", "ns", .work = speed_syscall, .ns_per_unit = 1 },
	{ "context_switch", "ns", .work = speed_context_switch, .ns_per_unit = 1 },
	{ "page_fault", "ns", .work = speed_page_fault, .ns_per_unit = 1 },
	{ "process", "µs", .work = speed_process, .ns_per_unit = 1000 },
	{ "file.create", "µs", .work = speed_file_create, .ns_per_unit = 1000 },
	{ "file.write", "MB/s", .run = speed_file_write },
	{ "file.read", "MB/s", .run = speed_file_read },
};
const size_t speed_n_probes = ARRAY_SIZE(speed_probes);

uint64_t speed_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int speed_fails(char why[SPEED_REASON_BYTES], const char *what, int no)
{
	snprintf(why, SPEED_REASON_BYTES, "%s: %s", what, strerror(no));
	return -no;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double speed_median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* So many units at a time that one repetition takes a tenth of what all may take. */
static int calibrate(const struct speed_probe *p, const struct speed *s, uint64_t *ret_n, char why[SPEED_REASON_BYTES])
{
	double want_ns = s->seconds * 1e9 / 10;
	uint64_t n = 1, ns = 0;
	int r = 0;

	while ((r = p->work(s, n, &ns, why)) >= 0 && (double)ns * 2 < want_ns && n < UINT64_C(1) << 40)
		n *= 2;
	*ret_n = n;
	return r;
}

static int repeat(const struct speed_probe *p, const struct speed *s, struct speed_figure *ret, char why[SPEED_REASON_BYTES])
{
	double values[SPEED_REPEATS_MAX];
	uint64_t n, ns, end;
	size_t k = 0;
	int r = calibrate(p, s, &n, why);

	for (end = speed_now_ns() + (uint64_t)(s->seconds * 1e9); r >= 0 && k < SPEED_REPEATS_MAX; k++) {
		if (k >= REPEATS_MIN && speed_now_ns() >= end)
			break;
		r = p->work(s, n, &ns, why);
		values[k] = (double)ns / (double)n / p->ns_per_unit;
	}
	if (r < 0)
		return r;
	*ret = (struct speed_figure){ .value = speed_median(values, k) };
	return 0;
}

int speed_measure(const struct speed_probe *p, const struct speed *s, struct speed_figure *ret, char why[SPEED_REASON_BYTES])
{
	return p->run ? p->run(s, ret, why) : repeat(p, s, ret, why);
}

static int print(const struct speed_probe *p, const struct speed *s)
{
	char why[SPEED_REASON_BYTES] = "";
	struct speed_figure f = { 0 };

	if (speed_measure(p, s, &f, why) < 0)
		printf("%s - %s\n", p->name, why);
	else
		printf("%s %.6g %s%s%s\n", p->name, f.value, p->unit, f.note ? " " : "", f.note ? f.note : "");
	return fflush(stdout) == 0 ? 0 : 1;
}

static const struct speed_probe *find(const char *name)
{
	for (size_t i = 0; i < speed_n_probes; i++)
		if (streq(speed_probes[i].name, name))
			return &speed_probes[i];
	return NULL;
}

/* 1: it was such a word; 0: it is a probe's name; -EINVAL. */
static int read_setting(struct speed *s, const char *word)
{
	const char *v = str_after(word, "seconds=");
	char *end;

	if (v) {
		s->seconds = strtod(v, &end);
		return *v && !*end && s->seconds > 0 && s->seconds <= 60 ? 1 : -EINVAL;
	}
	v = str_after(word, "dir=");
	if (v) {
		s->dir = v;
		return *v == '/' ? 1 : -EINVAL;
	}
	return find(word) ? 0 : -EINVAL;
}

int probe_speed(int argc, char **argv)
{
	struct speed s = { .seconds = SPEED_SECONDS, .dir = "/" };
	bool is_named = false;
	int r = 0;

	for (int i = 0; i < argc; i++) {
		int is_setting = read_setting(&s, argv[i]);
		if (is_setting < 0) {
			fprintf(stderr, PROBE_PROGRAM ": speed: \"%s\" is no probe, no seconds=0..60 and no dir=/PATH\n",
				argv[i]);
			return 2;
		}
		is_named = is_named || !is_setting;
	}
	for (size_t i = 0; i < speed_n_probes && !is_named && !r; i++)
		r = print(&speed_probes[i], &s);
	for (int i = 0; i < argc && !r; i++) {
		const struct speed_probe *p = find(argv[i]);
		r = p ? print(p, &s) : 0;
	}
	return r;
}
