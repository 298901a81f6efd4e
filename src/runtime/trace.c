/* trace: see trace.h. Parent and child work side by side, and the child's times come all at once: so marks are put in order
 * before they are printed. */
#include "trace.h"

#include <stdio.h>
#include <unistd.h>

#define BEGAN "BERTH_RUNTIME_BEGAN_US"

static void add(struct trace *t, const char *who, const char *what, uint64_t us)
{
	size_t at = t->n;

	if (t->n == TRACE_MAX)
		return;
	for (; at > 0 && t->mark[at - 1].us > us; at--)
		t->mark[at] = t->mark[at - 1];
	t->mark[at].who = who;
	t->mark[at].what = what;
	t->mark[at].us = us;
	t->n++;
}

void trace_begin(struct trace *t)
{
	const char *earlier = getenv(BEGAN);
	uint64_t now = clock_mono_us();

	if (!earlier || str_to_u64(earlier, &t->began_us) < 0 || t->began_us > now)
		t->began_us = now;
	add(t, "runtime", "begin", t->began_us);
}

int trace_pass_on(const struct trace *t, struct err *e)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)t->began_us);
	return setenv(BEGAN, text, 1) < 0 ? err_set(e, errno, "environment: %s", strerror(errno)) : 0;
}

void trace_sealed(struct trace *t)
{
	unsetenv(BEGAN);
	trace_mark(t, "sealed");
}

void trace_mark(struct trace *t, const char *what) { add(t, "runtime", what, clock_mono_us()); }

static void on_step(const char *step, uint64_t ns, void *arg)
{
	struct trace *t = arg;

	add(t, "container", step, t->steps_from_us + ns / 1000);
}

void trace_steps(struct trace *t, struct container_args *a)
{
	if (!t->is_wanted)
		return;
	t->steps_from_us = clock_mono_us();
	a->trace = on_step;
	a->trace_arg = t;
}

void trace_print(struct trace *t)
{
	for (size_t i = 0; t->is_wanted && i < t->n; i++)
		timeline_line(t->mark[i].us, t->began_us, t->mark[i].who, t->mark[i].what, STDERR_FILENO);
	t->n = 0;
}
