/* container_bench: what one container costs, create + start + exit of a static program, in this process alone. By hand:
 *   container_bench ROOTFS [-n RUNS] [-c cgroup] [-s seccomp] [-t trace] [-i ms idle between runs] PROGRAM
 * Prints minimum, median and 95th percentile in microseconds; with -t, for each step, minimum and median of what it took: the time
 * since the line above it. Parent and child work side by side, so the first of the child's may seem to take less than none. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container.h"

enum { RUNS_MAX = 10000, STEPS = 64 };

struct trace {
	const char *name[STEPS];
	uint64_t ns[STEPS];
	size_t n;
};

static uint64_t total[RUNS_MAX];
static int64_t step_ns[STEPS][RUNS_MAX];

static void on_step(const char *step, uint64_t ns, void *arg)
{
	struct trace *t = arg;

	if (t->n < STEPS) {
		t->name[t->n] = step;
		t->ns[t->n++] = ns;
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int by_signed_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int run_once(struct container_args *a, struct err *e)
{
	uint64_t begin = clock_mono_us();
	struct container *c;
	bool oom;
	int status = -1, r = container_create(a, &c, e);

	if (r < 0)
		return r;
	r = container_start(c, e);
	if (r == 0)
		r = container_reap(c, &status, &oom, e);
	if (r == 0 && status != 0)
		r = err_set(e, EIO, "program ended with %d", status_to_exit(status));
	if (a->trace)
		a->trace("reaped", (clock_mono_us() - begin) * 1000, a->trace_arg);
	container_destroy(c);
	if (a->trace)
		a->trace("destroyed", (clock_mono_us() - begin) * 1000, a->trace_arg);
	return r;
}

int main(int argc, char **argv)
{
	struct seccomp_prog prog = { 0 };
	struct trace trace = { .n = 0 };
	struct container_args a = {
		.id = "bench", .rootfd = -1, .stdio = { 0, 1, 2 }, .no_cgroup = true, .die_with_parent = true
	};
	bool want_seccomp = false, want_trace = false;
	size_t runs = 300, idle_ms = 0;
	struct host host = { 0 };
	struct spec spec;
	struct err e = { 0 };
	int opt;

	while ((opt = getopt(argc, argv, "n:i:cst")) >= 0) {
		switch (opt) {
		case 'n': runs = MIN(strtoul(optarg, NULL, 10), (size_t)RUNS_MAX); break;
		case 'i': idle_ms = strtoul(optarg, NULL, 10); break;
		case 'c': a.no_cgroup = false; break;
		case 's': want_seccomp = true; break;
		case 't': want_trace = true; break;
		default: return 2;
		}
	}
	if (argc - optind != 2 || runs == 0) {
		fprintf(stderr, "usage: container_bench [-n RUNS] [-i IDLE_MS] [-c] [-s] [-t] ROOTFS PROGRAM\n");
		return 2;
	}
	if (spec_default(&spec, &e) < 0 || host_probe_cgroup(&host, &e) < 0 ||
	    strv_push(&spec.process.args, argv[optind + 1]) < 0)
		goto failed;
	free(spec.root_path);
	spec.root_path = strdup(argv[optind]);
	if (want_seccomp && (container_seccomp_default(spec.process.caps.bounding, &spec.seccomp, &e) < 0 ||
			     container_seccomp_get(&spec, NULL, &prog, &e) < 0))
		goto failed;
	a.spec = &spec;
	a.host = &host;
	a.seccomp = &prog;
	a.trace = want_trace ? on_step : NULL;
	a.trace_arg = &trace;
	for (size_t i = 0; i < runs + 3; i++) {
		uint64_t begin;

		usleep((useconds_t)idle_ms * 1000);
		trace.n = 0;
		begin = clock_mono_us();
		if (run_once(&a, &e) < 0)
			goto failed;
		/* The first three warm the caches. */
		if (i < 3)
			continue;
		total[i - 3] = clock_mono_us() - begin;
		for (size_t k = 0; k < trace.n; k++)
			step_ns[k][i - 3] = (int64_t)trace.ns[k] - (k ? (int64_t)trace.ns[k - 1] : 0);
	}
	qsort(total, runs, sizeof(*total), by_value);
	printf("%zu runs: min %llu  median %llu  p95 %llu us\n", runs, (unsigned long long)total[0],
	       (unsigned long long)total[runs / 2], (unsigned long long)total[runs * 95 / 100]);
	for (size_t k = 0; k < trace.n; k++) {
		qsort(step_ns[k], runs, sizeof(**step_ns), by_signed_value);
		printf("%6lld %6lld us  %s\n", (long long)step_ns[k][0] / 1000, (long long)step_ns[k][runs / 2] / 1000,
		       trace.name[k]);
	}
	seccomp_prog_done(&prog);
	spec_done(&spec);
	host_done(&host);
	return 0;
failed:
	fprintf(stderr, "container_bench: %s\n", e.msg);
	return 1;
}
