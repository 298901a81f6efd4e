/* Drawing the progress of a pull or a push. One writer of stderr: berth-transfer's main thread. Called by layers.c, pull.c and push.c. */
#include "progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_US 100000u
#define LINE_US 10000000u
#define BAR_MAX 40u

static const char *const phase_words[] = {
	[PROGRESS_WAITING] = "waiting",
	[PROGRESS_LOCKED] = "being pulled by another process",
	[PROGRESS_DOWNLOADING] = "downloading",
	[PROGRESS_UNPACKING] = "unpacking",
	[PROGRESS_PUSHING] = "pushing",
	[PROGRESS_DONE] = "done",
	[PROGRESS_EXISTS] = "already here",
	[PROGRESS_PUSHED] = "pushed",
	[PROGRESS_MOUNTED] = "taken over from another repository there",
	[PROGRESS_THERE] = "already there",
};
_Static_assert(ARRAY_SIZE(phase_words) == PROGRESS_PHASES, "a word for each phase");

/* With bytes that grow. */
static bool is_moving(enum progress_phase p) { return p == PROGRESS_DOWNLOADING || p == PROGRESS_PUSHING; }

int progress_init(struct progress *p, int fd, bool is_quiet, size_t n_rows)
{
	*p = (struct progress){ .fd = fd, .is_quiet = is_quiet, .is_tty = isatty(fd) == 1, .n_rows = n_rows };
	p->rows = calloc(MAX(n_rows, (size_t)1), sizeof(*p->rows));
	return p->rows ? 0 : -ENOMEM;
}

void progress_done(struct progress *p) { free_ptr(&p->rows); }

/* Progress is a courtesy: when stderr is gone the pull goes on. */
static void put(struct progress *p, struct buf *b)
{
	if (!b->failed && b->len && fd_write_full(p->fd, b->data, b->len) < 0)
		p->is_quiet = true;
	buf_done(b);
}

static void go_up(struct progress *p, struct buf *b)
{
	if (p->drawn)
		buf_fmt(b, "\033[%zuA\r\033[J", p->drawn);
	p->drawn = 0;
}

void progress_say(struct progress *p, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	struct buf b = {};
	va_list ap;

	if (p->is_quiet)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (!text)
		return;
	go_up(p, &b);
	buf_fmt(&b, "%s\n", text);
	put(p, &b);
	p->drawn_us = 0;
}

void progress_set(struct progress *p, size_t row, enum progress_phase phase, uint64_t done)
{
	p->rows[row].phase = phase;
	p->rows[row].done = done;
}

static void sizes(const struct progress_row *r, char buf[48])
{
	char done[16], total[16];

	snprintf(buf, 48, "%s/%s", str_human_size(r->done, done), str_human_size(r->total, total));
}

static void draw_bar(const struct progress_row *r, unsigned columns, struct buf *b)
{
	char text[48];
	unsigned room = columns > 50 ? MIN(columns - 50, BAR_MAX) : 0, full;

	if (!is_moving(r->phase) || room < 8) { /* a line that wraps would be two to go up by */
		size_t start = b->len;
		buf_fmt(b, "%s: %s", r->name, phase_words[r->phase]);
		b->len = MIN(b->len, start + columns);
		buf_str(b, "\n");
		return;
	}
	full = r->total ? (unsigned)((double)r->done / (double)r->total * room) : room;
	sizes(r, text);
	buf_fmt(b, "%s: %s [", r->name, phase_words[r->phase]);
	for (unsigned i = 0; i < room; i++)
		buf_str(b, i < full ? "=" : i == full ? ">" : " ");
	buf_fmt(b, "] %s\n", text);
}

/* At most as many rows as the terminal is high; the ones at work come first. */
static void draw_bars(struct progress *p, struct buf *b)
{
	struct winsize w = {};
	size_t room, left;

	if (ioctl(p->fd, TIOCGWINSZ, &w) < 0 || w.ws_row == 0 || w.ws_col == 0)
		w = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	room = w.ws_row > 2 ? w.ws_row - 2u : 1;
	go_up(p, b);
	left = p->n_rows > room ? p->n_rows - room : 0;
	for (size_t i = 0; i < p->n_rows; i++) {
		const struct progress_row *r = &p->rows[i];

		if (left && !is_moving(r->phase) && r->phase != PROGRESS_UNPACKING) {
			left--;
			continue;
		}
		if (p->drawn == room)
			break;
		draw_bar(r, w.ws_col, b);
		p->drawn++;
	}
}

static void draw_lines(struct progress *p, uint64_t now, struct buf *b)
{
	for (size_t i = 0; i < p->n_rows; i++) {
		struct progress_row *r = &p->rows[i];
		bool is_news = r->phase != r->shown_phase;
		char text[48];

		if (!is_news && !(is_moving(r->phase) && now >= r->shown_us + LINE_US))
			continue;
		r->shown_phase = r->phase;
		r->shown_us = now;
		sizes(r, text);
		buf_fmt(b, is_moving(r->phase) ? "%s: %s %s\n" : "%s: %s\n", r->name, phase_words[r->phase], text);
	}
}

void progress_draw(struct progress *p, bool is_final)
{
	uint64_t now = clock_mono_us();
	struct buf b = {};

	if (p->is_quiet || (!is_final && now < p->drawn_us + DRAW_US))
		return;
	p->drawn_us = now;
	if (p->is_tty)
		draw_bars(p, &b);
	else
		draw_lines(p, now, &b);
	if (is_final)
		p->drawn = 0; /* what follows goes below */
	put(p, &b);
}
