/* progress: what the user sees of a pull or a push, on stderr. On a terminal one bar a layer, redrawn in place; elsewhere one line an
 * event, and one every 10 s for a layer that takes long. */
#pragma once

#include "base.h"

enum progress_phase {
	PROGRESS_WAITING,
	PROGRESS_LOCKED,
	PROGRESS_DOWNLOADING,
	PROGRESS_UNPACKING,
	PROGRESS_PUSHING,
	PROGRESS_DONE,
	PROGRESS_EXISTS,
	PROGRESS_PUSHED,
	PROGRESS_MOUNTED,
	PROGRESS_THERE,
	PROGRESS_PHASES
};
struct progress_row {
	char name[13]; /* first 12 digits of the digest */
	enum progress_phase phase, shown_phase;
	uint64_t done, total; /* bytes of the compressed layer */
	uint64_t shown_us;    /* when a line was last printed for it */
};
struct progress {
	int fd;
	bool is_quiet, is_tty;
	struct progress_row *rows;
	size_t n_rows;
	size_t drawn; /* lines of the last drawing that stand above the cursor */
	uint64_t drawn_us;
};
/* fd is not owned. */
int progress_init(struct progress *p, int fd, bool is_quiet, size_t n_rows);
/* A line of its own, above the bars. */
void progress_say(struct progress *p, const char *fmt, ...) _printf_(2, 3);
void progress_set(struct progress *p, size_t row, enum progress_phase phase, uint64_t done);
/* Draws if 100 ms have passed since the last drawing, or now if is_final. */
void progress_draw(struct progress *p, bool is_final);
void progress_done(struct progress *p);
