/* stats.c: `berth stats`: a table once a second. On a terminal it is drawn over the one before; elsewhere they follow each other as plain
 * text. No colours. */
#include "cli.h"
#include "output.h"

#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_MS 1000

struct stats_args {
	bool all, no_stream, no_trunc;
	char *format;
};
const struct opt stats_options[] = {
	{ "all", 'a', OPT_FLAG, offsetof(struct stats_args, all), NULL, "also those that do not run" },
	{ "no-stream", 0, OPT_FLAG, offsetof(struct stats_args, no_stream), NULL, "once, and end" },
	{ "no-trunc", 0, OPT_FLAG, offsetof(struct stats_args, no_trunc), NULL, "do not shorten ids" },
	{ "format", 0, OPT_STRING, offsetof(struct stats_args, format), "FORMAT",
	  "json, table, or a template such as {{.Name}} {{.CPUPerc}}" },
	{ NULL },
};

static const struct column columns[] = {
	{ "CONTAINER ID", "ID" },
	{ "NAME", "Name" },
	{ "CPU %", "CPUPerc" },
	{ "MEM USAGE / LIMIT", "MemUsage" },
	{ "MEM %", "MemPerc" },
	{ "NET I/O", "NetIO" },
	{ "BLOCK I/O", "BlockIO" },
	{ "PIDS", "PIDs" },
	{ NULL },
};
static const struct column others[] = { { "CONTAINER", "Container" }, { NULL } };

/* ---- samples ---- */

struct sample {
	struct container_record record;
	struct container_stats now;
	char *asked; /* the word it was asked for by; NULL: it was found */
};
struct samples {
	struct sample *list;
	size_t n;
};

static void samples_done(struct samples *s)
{
	for (size_t i = 0; i < s->n; i++) {
		container_record_done(&s->list[i].record);
		free(s->list[i].asked);
	}
	free(s->list);
	*s = (struct samples){ 0 };
}

/* Those of the command line. One that goes after the first look is no error: its row goes. */
static int take_named(struct cli *c, bool is_first, struct samples *ret, struct err *e)
{
	struct samples s = { .list = calloc((size_t)c->n_operands, sizeof(*s.list)) };
	int r = s.list ? 0 : err_set(e, ENOMEM, "out of memory");

	for (int i = 0; r >= 0 && i < c->n_operands; i++) {
		r = engine_get(c->engine, c->operands[i], &s.list[s.n].record, e);
		if (r == -ENOENT && !is_first) {
			r = 0;
			continue;
		}
		if (r >= 0 && !(s.list[s.n++].asked = strdup(c->operands[i])))
			r = err_set(e, ENOMEM, "out of memory");
	}
	if (r < 0)
		samples_done(&s);
	else
		*ret = s;
	return r;
}

static int take_all(struct cli *c, bool all, struct samples *ret, struct err *e)
{
	struct container_record *list = NULL;
	struct samples s = { 0 };
	size_t n = 0;
	int r = engine_list(c->engine, all, &list, &n, e);

	if (r < 0)
		return r;
	s.list = calloc(n + 1, sizeof(*s.list));
	if (!s.list) {
		engine_list_free(list, n);
		return err_set(e, ENOMEM, "out of memory");
	}
	for (; s.n < n; s.n++)
		s.list[s.n].record = list[s.n];
	free(list);
	*ret = s;
	return 0;
}

static int take(struct cli *c, const struct stats_args *a, bool is_first, struct samples *ret, struct err *e)
{
	struct samples s;
	int r = c->n_operands ? take_named(c, is_first, &s, e) : take_all(c, a->all, &s, e);

	for (size_t i = 0; r >= 0 && i < s.n; i++) {
		r = engine_stats(c->engine, &s.list[i].record, &s.list[i].now, e);
		if (r < 0)
			samples_done(&s);
	}
	if (r >= 0)
		*ret = s;
	return r;
}

static const struct container_stats *before(const struct samples *s, const char *id)
{
	for (size_t i = 0; i < s->n; i++)
		if (streq(s->list[i].record.id, id) && s->list[i].now.is_known)
			return &s->list[i].now;
	return NULL;
}

/* ---- rows ---- */

/* As docker prints memory: binary units, four significant digits. */
static const char *binary_size(uint64_t bytes, char buf[24])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double v = (double)bytes;
	size_t i = 0;

	for (; v >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
		v /= 1024;
	snprintf(buf, 24, "%.4g%s", v, units[i]);
	return buf;
}

static char *pair(uint64_t a, uint64_t b)
{
	char x[16], y[16];

	return str_fmt("%s / %s", str_human_size(a, x), str_human_size(b, y));
}

static char *cpu_text(const struct container_stats *then, const struct container_stats *now)
{
	if (!then || now->when_us <= then->when_us || now->cpu_ns < then->cpu_ns)
		return strdup(now->is_known ? "--" : "0.00%");
	return str_fmt("%.2f%%", (double)(now->cpu_ns - then->cpu_ns) / 10 / (double)(now->when_us - then->when_us));
}

static int add_text(struct json_object *row, const char *key, char *text)
{
	int r = text ? json_add(row, key, json_object_new_string(text)) : -ENOMEM;

	free(text);
	return r;
}

static struct json_object *row_of(const struct sample *s, const struct container_stats *then, bool no_trunc)
{
	const struct container_stats *now = &s->now;
	struct json_object *row = json_object_new_object();
	double part = now->mem_limit_bytes ? (double)now->mem_bytes * 100 / (double)now->mem_limit_bytes : 0;
	char used[24], limit[24];

	if (add_text(row, "Container", strdup(s->asked ? s->asked : s->record.id)) >= 0 &&
	    add_text(row, "ID", strndup(s->record.id, no_trunc ? strlen(s->record.id) : 12)) >= 0 &&
	    add_text(row, "Name", strdup(s->record.name)) >= 0 && add_text(row, "CPUPerc", cpu_text(then, now)) >= 0 &&
	    add_text(row, "MemUsage",
		     str_fmt("%s / %s", binary_size(now->mem_bytes, used), binary_size(now->mem_limit_bytes, limit))) >= 0 &&
	    add_text(row, "MemPerc", str_fmt("%.2f%%", part)) >= 0 &&
	    add_text(row, "NetIO", pair(now->net_rx_bytes, now->net_tx_bytes)) >= 0 &&
	    add_text(row, "BlockIO", pair(now->io_read_bytes, now->io_write_bytes)) >= 0 &&
	    add_text(row, "PIDs", str_fmt("%llu", (unsigned long long)now->pids)) >= 0)
		return row;
	json_object_put(row);
	return NULL;
}

static int render(const struct stats_args *a, const struct samples *then, const struct samples *now, struct buf *out,
		  struct err *e)
{
	const struct listing l = { columns, others, a->format, NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();

	for (size_t i = 0; rows && i < now->n; i++) {
		struct json_object *row = row_of(&now->list[i], before(then, now->list[i].record.id), a->no_trunc);
		if (!row || json_object_array_add(rows, row) < 0) {
			json_object_put(row);
			return err_set(e, ENOMEM, "out of memory");
		}
	}
	return rows ? listing_render(&l, rows, out, e) : err_set(e, ENOMEM, "out of memory");
}

/* ---- drawing ---- */

static bool draws(const struct stats_args *a)
{
	const char *term = getenv("TERM");

	return !a->no_stream && isatty(STDOUT_FILENO) && term && *term && !streq(term, "dumb");
}

/* In place: the screen is cleared once; then each line is written over the one that was there, and what is left over goes. No more
 * lines than there are, and none wider: a screen that scrolls can't be written over. */
static void draw(const char *text, bool is_first)
{
	struct winsize ws = { 0 };
	_cleanup_buf_ struct buf b = { 0 };
	size_t rows, width;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || !ws.ws_row || !ws.ws_col)
		ws = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	rows = ws.ws_row;
	buf_str(&b, is_first ? "\033[2J\033[H" : "\033[H");
	for (; *text && rows > 1; rows--) {
		size_t n = strcspn(text, "\n");
		width = 0;
		for (size_t i = 0; i < n; i++) {
			width += ((unsigned char)text[i] & 0xc0) != 0x80;
			if (width > ws.ws_col)
				break;
			buf_add(&b, text + i, 1);
		}
		buf_str(&b, "\033[K\r\n");
		text += n + (text[n] != 0);
	}
	buf_str(&b, "\033[J");
	if (!b.failed)
		fwrite(b.data, 1, b.len, stdout);
}

static int show(const struct stats_args *a, const struct samples *then, const struct samples *now, bool is_first, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };
	int r = render(a, then, now, &text, e);

	if (r < 0)
		return r;
	if (draws(a))
		draw(text.data ? text.data : "", is_first);
	else
		fwrite(text.data ? text.data : "", 1, text.len, stdout);
	r = cli_flush(e);
	return r < 0 ? r : ferror(stdout) != 0; /* 1: the reader has gone */
}

static void nap(void)
{
	const struct timespec t = { .tv_sec = PERIOD_MS / 1000, .tv_nsec = PERIOD_MS % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

static int watch(struct cli *c, const struct stats_args *a, struct err *e)
{
	struct samples then = { 0 }, now = { 0 };
	int r = take(c, a, true, &then, e);

	/* A share of processors is one of a time: a first look alone knows none. */
	if (r >= 0 && !a->no_stream)
		r = show(a, &now, &then, true, e);
	while (r == 0) {
		nap();
		r = take(c, a, false, &now, e);
		if (r < 0 || (c->n_operands && !now.n))
			break;
		r = show(a, &then, &now, false, e);
		samples_done(&then);
		then = now;
		now = (struct samples){ 0 };
		if (a->no_stream)
			break;
	}
	samples_done(&then);
	samples_done(&now);
	return MIN(r, 0);
}

int cmd_stats(struct cli *c, struct err *e)
{
	struct stats_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = watch(c, &a, e);
	opts_done(stats_options, &a);
	return MIN(r, 0);
}
