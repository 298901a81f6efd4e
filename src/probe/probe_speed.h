/* probe_speed: the built-in measurements, a row each. A unit of work is repeated until it takes long enough to be timed, and that several
 * times; the median is what is told. */
#pragma once

#include "base.h"

#define SPEED_SECONDS      0.2
#define SPEED_REPEATS_MAX  25
#define SPEED_FILE_BYTES   (16u << 20)
#define SPEED_REASON_BYTES 160

struct speed {
	double seconds;  /* about how long each may take */
	const char *dir; /* where files are written */
};

/* How long n units of the work take, in ns. 0 or -errno with why. */
typedef int speed_work(const struct speed *s, uint64_t n, uint64_t *ret_ns, char why[SPEED_REASON_BYTES]);
struct speed_figure {
	double value;
	const char *note; /* a word, or NULL */
};
struct speed_probe {
	const char *name, *unit;
	speed_work *work;   /* value: `unit`s a unit of work, of which there are `ns` ns each */
	double ns_per_unit; /* 1: ns; 1000: µs */
	/* In the place of work: does all by itself. */
	int (*run)(const struct speed *s, struct speed_figure *ret, char why[SPEED_REASON_BYTES]);
};
extern const struct speed_probe speed_probes[];
extern const size_t speed_n_probes;

/* One probe, calibrated. 0 or -errno with why. */
int speed_measure(const struct speed_probe *p, const struct speed *s, struct speed_figure *ret, char why[SPEED_REASON_BYTES]);
/* Of n > 0 values, which are sorted in place. */
double speed_median(double *v, size_t n);
uint64_t speed_now_ns(void);
/* "WHAT: MESSAGE" into why; returns -no. */
int speed_fails(char why[SPEED_REASON_BYTES], const char *what, int no);

speed_work speed_cpu, speed_syscall, speed_context_switch, speed_page_fault, speed_process, speed_file_create;
int speed_file_write(const struct speed *s, struct speed_figure *ret, char why[SPEED_REASON_BYTES]);
int speed_file_read(const struct speed *s, struct speed_figure *ret, char why[SPEED_REASON_BYTES]);
