/* compare: one image, run in several ways, and what was measured (figures.h); its JSON, its table, its page, an earlier run beside it, and which
 * isolation it speaks for. Texts of a comparison may come from strangers (an image's name, a file): each printer defuses them for its medium. */
#pragma once

#include "figures.h"

/* ---- JSON: docs/FORMATS.md ---- */

#define COMPARISON_SCHEMA "berth.comparison/1"
/* The document; caller json_object_put()s. NULL on ENOMEM. */
struct json_object *comparison_json(const struct comparison *c);
int comparison_write_json(const struct comparison *c, int fd, struct err *e);
/* A file from anywhere: what is not as it should be is named, with the file and the field. what: the file's name in errors. *ret is comparison_done()
 * by the caller after success. */
int comparison_parse(const char *text, size_t len, const char *what, struct comparison *ret, struct err *e);
/* path "-": standard input. */
int comparison_read(const char *path, struct comparison *ret, struct err *e);

/* ---- an earlier run ---- */

enum against_verdict {
	AGAINST_UNSURE, /* no difference that this many runs can show */
	AGAINST_BETTER, /* beyond both spreads: stats_differ */
	AGAINST_WORSE,  /* likewise */
	AGAINST_APART,  /* can't be compared: another accelerator, or another unit */
	AGAINST_NEW,    /* the earlier run has no such samples */
	AGAINST_GONE,   /* this one has none */
};
struct against_row {
	const struct figure
		*figure; /* of this run, of the earlier one where this one has it not; borrowed from them, as way is */
	const struct figure_way *way;
	double before, now; /* medians; as .verdict allows */
	size_t n_before, n_now;
	double ratio, low, high; /* now over before; the spreads' extremes. 0 where there is none */
	enum against_verdict verdict;
	char *why; /* of AGAINST_APART, else NULL */
};
struct against {
	char *earlier;      /* when that was: RFC 3339 */
	char **differences; /* strv: what else is not the same, a sentence each: "the machine's processors: 2 x A here, 4 x B then" */
	struct against_row *rows;
	size_t n_rows;
	size_t n_of[AGAINST_GONE + 1]; /* rows by verdict */
};
/* Ways are paired by name. *ret borrows from both; against_done it before them. */
int comparison_against(const struct comparison *now, const struct comparison *earlier, struct against *ret, struct err *e);
void against_done(struct against *a);
/* The verdict: "slower, beyond the spread"; static. */
const char *against_words(const struct against_row *row);

/* ---- which isolation ---- */

enum need {
	NEED_UNTRUSTED = 1 << 0,
	NEED_KERNEL = 1 << 1,
	NEED_OTHER_OS = 1 << 2,
	NEED_DENSITY = 1 << 3,
	NEED_START = 1 << 4,
};
struct need_word {
	const char *word, *meaning;
	enum need need;
};
extern const struct need_word need_words[]; /* for --need, its completion and its help; ends with word NULL */
/* Adds the word's bit to *needs. -EINVAL names the words that there are. */
int need_parse(const char *word, unsigned *needs, struct err *e);

enum voice_weight { VOICE_AGAINST, VOICE_SPEAKS, VOICE_DECIDES }; /* against: a cost of the one that is recommended */
struct voice {
	const char *rule;    /* its name in the table */
	const char *for_way; /* "container" or "vm"; static */
	enum voice_weight weight;
	bool is_asked; /* a need was declared that it serves */
	char *reason;  /* with the numbers that it used */
};
struct recommendation {
	const char *way; /* "container" or "vm" */
	struct voice *voices;
	size_t n_voices;
	char **unknown; /* strv: what was asked for and has not been measured, with the remedy */
};
/* By the table in recommend.c. needs: bits of enum need, 0: none declared. -EINVAL where the comparison has no container beside a VM. */
int comparison_recommend(const struct comparison *c, unsigned needs, struct recommendation *ret, struct err *e);
void recommendation_done(struct recommendation *r);

/* For tools, docs/FORMATS.md; the caller's, NULL on ENOMEM. */
struct json_object *against_json(const struct against *a);
struct json_object *recommendation_json(const struct recommendation *r);

/* ---- for people ---- */

#define TABLE_WIDTH 80
/* width: columns of the terminal; more ways than fit come below each other. All three to fd; 0 or -errno. */
int comparison_print_table(const struct comparison *c, int fd, size_t width, struct err *e);
int against_print(const struct against *a, int fd, size_t width, struct err *e);
int recommendation_print(const struct recommendation *r, int fd, size_t width, struct err *e);
/* One self-contained page: no script, nothing from elsewhere. against, recommendation: shown where they are given. */
int comparison_write_page(const struct comparison *c, const struct against *a, const struct recommendation *r, int fd,
			  struct err *e);
