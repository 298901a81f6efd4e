/* measure_impl: how `berth compare` comes to its figures. It runs the `berth` program as a user would, in a child each, and looks at what comes
 * of it from outside: nothing here knows the engine. Private to compare; single-threaded. */
#pragma once

#include "measure.h"

/* One way of running the workload: a row of the result. */
struct way {
	const char *name;      /* "host", "container", "vm", "vm-tcg" */
	const char *isolation; /* --isolation; NULL: the bare host, where the probes alone run */
	const char *accel;     /* BERTH_VM_ACCEL; NULL: as the environment has it */
	bool is_vm;
};

/* What the user's command is, as its first run shows. */
enum kind { KIND_JOB, KIND_SERVICE };

struct measure {
	const struct measure_options *o;
	struct comparison *c;
	const struct way *ways[MEASURE_WAYS_MAX]; /* as c->ways, by number */
	size_t n_ways;
	uint64_t boot_ms[MEASURE_WAYS_MAX]; /* how long the first start took */
	enum kind kind[MEASURE_WAYS_MAX];
	bool is_silent[MEASURE_WAYS_MAX]; /* the command: it prints nothing */
	char *program, *probe_program;
	char *owner;           /* this process, as the label of all that it makes has it */
	char *probe_image;     /* the image with the probe in it */
	uint64_t memory_bytes; /* the host's */
	bool has_hw_virt;
	unsigned n_names;
	size_t n_failed; /* parts */
	unsigned failed; /* of enum measure_part: they are not gone on with */
	int64_t round;   /* of o->rounds, from 0 */
	int signals;     /* signalfd of what ends programs */
	bool is_terminal;
};

/* ---- run.c: one child ---- */
#define WORDS(...)  ((const char *const[]){ __VA_ARGS__, NULL })
#define WORDS_OF(v) ((const char *const *)(v))
struct run {
	pid_t pid;
	int pidfd, out, err;
	uint64_t began_us, first_us, ended_us; /* clock_mono_us; first: of the workload's first byte, 0 = none yet */
	struct buf said,
		complained; /* standard output and standard error, the first RUN_TEXT_MAX bytes; without Berth's own notes */
	int status;         /* as from waitpid, once ended_us is set */
};
enum { RUN_TEXT_MAX = 1 << 20 };
/* words: what follows the program's name, NULL-terminated. For way, whose environment it gets; way NULL or the host: ours. Of another program
 * than `berth` where program is not NULL, then words are its. */
int run_begin(struct measure *m, const struct way *way, const char *program, const char *const *words, struct run *ret,
	      struct err *e);
/* Takes what has come until something has or so many ms have passed. -EINTR: the user wants it to end. */
int run_step(struct measure *m, struct run *r, int ms, struct err *e);
/* Until it has ended; -ETIMEDOUT. */
int run_end(struct measure *m, struct run *r, uint64_t within_ms, struct err *e);
/* What it complained of, as an error: of a child that has ended badly. */
int run_failed(const struct run *r, const char *what, struct err *e);
/* Kills it where it still runs. */
void run_done(struct run *r);
#define _cleanup_run_ _cleanup_(run_done)
/* All of it: begin, end, and an error where it failed. *ret_out (may be NULL): what it printed, without the last newline; the caller's. Not ended by
 * a signal that is for us: what it undoes is undone wholly. */
int run_whole(struct measure *m, const struct way *way, const char *const *words, char **ret_out, struct err *e);

/* ---- prepare.c: the image with the probe, names, and what earlier ones have left ---- */
int prepare(struct measure *m, struct err *e);
void prepare_undo(struct measure *m);
/* The words of `run` for this way: the user's options, a name of its own in *ret_name (the caller's), the label; then more. The caller pushes image
 * and command. */
int run_words(struct measure *m, const struct way *way, const char *verb, char ***v, char **ret_name, struct err *e);
/* The same, whole, for a word of the probe. more: options between; NULL: none. */
int probe_words(struct measure *m, const struct way *way, const char *verb, const char *const *more, const char *const *probe,
		char ***v, char **ret_name, struct err *e);
/* Image and command of the user's. */
int command_words(struct measure *m, char ***v, struct err *e);
int remove_container(struct measure *m, const char *name, struct err *e);

/* ---- facts.c: the machine, into the result and into m ---- */
int add_facts(struct measure *m, struct err *e);

/* ---- ready.c: --ready ---- */
enum ready_kind { READY_NONE, READY_TCP, READY_HTTP, READY_LOG };
struct ready {
	enum ready_kind kind;
	unsigned port;    /* the workload's */
	unsigned at;      /* the host's, of this run */
	const char *rest; /* the path, or the text */
};
/* text: --ready's, or NULL. */
int ready_parse(const char *text, struct ready *ret, struct err *e);
/* A port of the host's that is free now, and -p for it. */
int ready_publish(struct ready *r, char ***v, struct err *e);
/* Asks once, in at most some 50 ms; of READY_LOG what the run has said. */
bool ready_ask(const struct ready *r, const struct run *run);

/* ---- the figures, a file each ---- */
/* One start of each and one run of the command, not counted: learns how long they take and what kind of command it is. */
int measure_first(struct measure *m, struct err *e);
/* A round's share of the starts. */
int measure_start(struct measure *m, struct err *e);
uint64_t patience_ms(const struct measure *m, size_t way); /* for one deed */
int measure_memory(struct measure *m, struct err *e);
/* One round. */
int measure_speed(struct measure *m, struct err *e);
int measure_network(struct measure *m, struct err *e);
int measure_walls(struct measure *m, struct err *e);

/* Lets so many ms pass. -EINTR: the user wants an end. */
int stop_is_wanted(struct measure *m, unsigned ms, struct err *e);

/* ---- pss.c: memory of processes ---- */
struct pss {
	uint64_t outside_kib, inside_kib, ram_kib;
	bool is_passing; /* of it is something that ends soon */
};
/* Of the container whose process (or VMM) is pid. ram_bytes: the guest's memory, 0 where there is no guest. */
int pss_of(pid_t pid, uint64_t ram_bytes, struct pss *ret, struct err *e);
/* Bytes on the disk of all below a directory, or of a file. */
int disk_bytes(const char *path, uint64_t *ret, struct err *e);

/* ---- progress.c ---- */
/* "round 3 of 10: vm: starting": on a terminal in place of what it said before. */
void progress(struct measure *m, const char *fmt, ...) _printf_(2, 3);
void progress_end(struct measure *m);

/* ---- figures ---- */
/* One sample, or why there is none, of a figure of figure_kinds. */
int measured(struct measure *m, size_t way, const char *id, double value, struct err *e);
int measured_none(struct measure *m, size_t way, const char *id, const char *why, struct err *e);
