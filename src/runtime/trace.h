/* trace: where a start's time goes, for --trace-startup. A mark costs one clock read, so the runtime's own are always taken, the
 * container's steps only where they are wanted, and nothing is printed before all of it is over. */
#pragma once

#include "container.h"

enum { TRACE_MAX = 128 }; /* create's steps and the runtime's own marks */
struct trace {
	bool is_wanted;
	uint64_t began_us, steps_from_us; /* clock_mono_us: of the program, of the container's steps */
	size_t n;
	struct {
		const char *who, *what; /* literals */
		uint64_t us;
	} mark[TRACE_MAX];
};
/* The program begins; or goes on where it executed itself again (seal.c), with the beginning that its first self passed on. */
void trace_begin(struct trace *t);
/* Before that execution, which keeps the environment. trace_sealed takes it away again. */
int trace_pass_on(const struct trace *t, struct err *e);
void trace_sealed(struct trace *t);
/* `what` has just been reached. Beyond TRACE_MAX marks nothing more is kept. */
void trace_mark(struct trace *t, const char *what);
/* What is made with `a` begins now: its steps are marked where they are wanted. */
void trace_steps(struct trace *t, struct container_args *a);
/* All marks since the last call, in their order, as base/timeline.h prints them. */
void trace_print(struct trace *t);
