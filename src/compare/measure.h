/* measure: the same image, command and limits in a container and in a virtual machine, in alternation. */
#pragma once

#include "figures.h"
#include "str.h"

enum { MEASURE_WAYS_MAX = 4 };
enum measure_part {
	MEASURE_START = 1 << 0,
	MEASURE_MEMORY = 1 << 1, /* and disk, stop, density: of the same instances */
	MEASURE_SPEED = 1 << 2,
	MEASURE_NETWORK = 1 << 3,
	MEASURE_WALLS = 1 << 4,
	MEASURE_ALL = (1 << 5) - 1,
};
struct measure_options {
	const char *root, *run; /* --root and --run as given, or NULL */
	const char *libexec;    /* where berth-probe is */
	char *image;
	char **command;         /* NULL: the image's */
	char **passed;          /* options of `berth run` that all of them get, a word each: --memory=64m */
	char **isolations;      /* "container", "vm", "vm-tcg" */
	unsigned parts;         /* of enum measure_part */
	int64_t count;          /* starts of each */
	int64_t instances;      /* side by side, for memory */
	int64_t rounds;         /* of the probes of speed */
	uint64_t density_bytes; /* 0: the host's memory */
	uint64_t timeout_ms;    /* of one start, beyond what the first took */
	char *ready;            /* --ready, or NULL */
	bool is_quiet;
};
/* Fills *c, which comparison_init has begun and comparison_done frees in any case. *ret_failed: of how many parts that failed, and were said on standard error, its
 * figures only say why they are not there. What ends programs (Ctrl-C) ends the measuring with what there is by then: 0, and was_interrupted.
 * Nothing that it made stays, but where this process is killed: then the next one removes it. */
int compare_measure(const struct measure_options *o, struct comparison *c, size_t *ret_failed, struct err *e);
