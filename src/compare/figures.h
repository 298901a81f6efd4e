/* figures: what a comparison has measured, and where: plain data that owns all it points to, and no I/O. All texts are UTF-8: what is
 * given that is none is mended. Whoever measures fills it (the add
 * functions), whoever shows it reads the members. A figure's or a wall's place may change with the next add: ids and the numbers of ways stay. */
#pragma once

#include "base.h"
#include "json.h"

/* One way of running what is compared. */
struct figure_way {
	char *name;        /* "host" (bare), "container", "vm", "vm-tcg", or a peer's: "docker" */
	char *accelerator; /* "KVM hardware", "KVM paravirtual", "TCG"; NULL: there is no virtual machine */
};
/* What one figure is in one way. */
struct figure_cell {
	double *samples; /* as measured, in the figure's unit, in the order in which they came */
	size_t n;
	char *why_not; /* why there are none, for people; NULL where there are some, or nobody has tried */
};
struct figure {
	char *group, *id, *title; /* "Start-up", "start.first_byte", "To the first byte of output" */
	char *unit;               /* "ms", "µs", "ns", "KiB", "MiB", "MB/s", "count" */
	char *how;                /* a sentence on how it is measured, or NULL */
	bool more_is_better;
	struct figure_cell *cells; /* one a way */
};
/* Something that stands between the workload and the host, as it was found from inside or from outside. */
struct wall {
	char *id, *title;
	char **of_way; /* one a way: words, or a number as text; NULL: not known */
	bool less_is_better;
};
struct comparison {
	char *title;               /* of people's pages: "nginx: nginx -g …" */
	char *image;               /* the image's id, or NULL */
	char *began;               /* RFC 3339 */
	char *berth;               /* version */
	struct string_map machine; /* facts of it, in the order in which they are to be read: "processors": "2 x AMD EPYC" */
	struct figure_way *ways;
	size_t n_ways;
	struct figure *figures;
	size_t n_figures;
	struct wall *walls;
	size_t n_walls;
	bool was_interrupted; /* what is here is what had been measured by then */
};

/* The figures of `berth compare`: ids are stable, titles and sentences are not. Ends with id NULL. In the order in which they are shown. */
struct figure_kind {
	const char *group, *id, *title, *unit, *how;
	bool more_is_better;
};
extern const struct figure_kind figure_kinds[];
const struct figure_kind *figure_kind_of(const char *id); /* NULL: none of them */

/* Empty, of now and of this version. image may be NULL. 0 or -ENOMEM. comparison_done it also after a failure. */
int comparison_init(struct comparison *c, const char *title, const char *image);
void comparison_done(struct comparison *c);
/* Replaces what the key had. 0 or -ENOMEM. */
int comparison_add_fact(struct comparison *c, const char *key, const char *value);
/* All ways come before figures and walls (-EBUSY), and none twice (-EEXIST). accelerator: NULL without a virtual machine. The way's number or -errno. */
int comparison_add_way(struct comparison *c, const char *name, const char *accelerator);
/* A figure that figure_kinds has not. -EEXIST: there is one of that id. 0 or -errno. */
int comparison_add_figure(struct comparison *c, const struct figure_kind *kind);
/* One more sample of a figure, which is added in its place where it is one of figure_kinds and not there yet. -ENOENT: no such figure or way;
 * -EDOM: no finite number. 0 or -errno. */
int comparison_add_sample(struct comparison *c, const char *id, size_t way, double value);
/* Why the figure has no samples in this way; said of one that has some it changes nothing. Errors as above. */
int comparison_say_why_not(struct comparison *c, const char *id, size_t way, const char *why);
/* What one wall is in one way; a wall that is not there yet is added behind the others (title, less_is_better). -ENOENT: no such way. */
int comparison_add_wall(struct comparison *c, const char *id, const char *title, bool less_is_better, size_t way,
			const char *value);

/* Borrowed, NULL where there is none. */
const struct figure *comparison_figure(const struct comparison *c, const char *id);
const struct wall *comparison_wall(const struct comparison *c, const char *id);
/* Whether any wall, any figure is known of that way. */
bool comparison_has_walls(const struct comparison *c, size_t way);
bool comparison_has_figures(const struct comparison *c, size_t way);
/* -1: no way has that name. */
int comparison_way(const struct comparison *c, const char *name);
/* "vm (TCG)", "container"; caller frees. NULL on ENOMEM. */
char *way_label(const struct figure_way *w);
