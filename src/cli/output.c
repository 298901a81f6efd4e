/* output.c: see output.h. */
#include "output.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define GAP 3 /* blanks between columns, as docker's */

/* Characters, not bytes: UTF-8 continuation bytes have no width. */
static size_t width_of(const char *s, size_t n)
{
	size_t w = 0;

	for (size_t i = 0; i < n; i++)
		w += ((unsigned char)s[i] & 0xc0) != 0x80;
	return w;
}

/* Lines of tab-separated cells -> aligned columns; the last cell of a line is not padded. */
static void put_aligned(const char *text, struct buf *out)
{
	size_t widths[32] = { 0 };

	for (int pass = 0; pass < 2; pass++) {
		size_t column = 0;
		for (const char *c = text; *c;) {
			size_t n = strcspn(c, "\t\n"), w = width_of(c, n), i = MIN(column, ARRAY_SIZE(widths) - 1);
			bool is_last = c[n] != '\t';
			if (pass == 0 && !is_last)
				widths[i] = MAX(widths[i], w);
			if (pass == 1)
				buf_add(out, c, n);
			if (pass == 1 && !is_last)
				buf_fmt(out, "%*s", (int)(widths[i] - w + GAP), "");
			if (pass == 1 && c[n] == '\n')
				buf_str(out, "\n");
			column = is_last ? 0 : column + 1;
			c += n + (c[n] != 0);
		}
	}
}

static void add_cell(struct buf *b, struct json_object *row, const char *key, bool is_last)
{
	_cleanup_buf_ struct buf cell = { 0 };
	struct json_object *v = NULL;

	if (json_object_object_get_ex(row, key, &v))
		template_value(v, &cell);
	for (size_t i = 0; i < cell.len; i++) {
		if (cell.data[i] == '\t' || cell.data[i] == '\n')
			cell.data[i] = ' ';
	}
	buf_fmt(b, "%s%s", cell.data ? cell.data : "", is_last ? "\n" : "\t");
}

static void put_table(const struct listing *l, struct json_object *rows, struct buf *out)
{
	_cleanup_buf_ struct buf b = { 0 };

	for (const struct column *c = l->columns; c->title; c++)
		buf_fmt(&b, "%s%s", c->title, c[1].title ? "\t" : "\n");
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		for (const struct column *c = l->columns; c->title; c++)
			add_cell(&b, json_object_array_get_idx(rows, i), c->key, !c[1].title);
	}
	out->failed |= b.failed;
	if (!b.failed)
		put_aligned(text_defuse(b.data), out);
}

/* {"ID": "CONTAINER ID", ...}: rendered with the user's template it gives the heading. */
static struct json_object *titles(const struct listing *l)
{
	struct json_object *o = json_object_new_object();

	for (const struct column *c = l->columns; o && c->title; c++)
		json_add(o, c->key, json_object_new_string(c->title));
	for (const struct column *c = l->others; o && c && c->title; c++)
		json_add(o, c->key, json_object_new_string(c->title));
	return o;
}

static int put_template(const struct listing *l, struct json_object *rows, const char *tmpl, bool is_table, struct buf *out,
			struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	_cleanup_json_ struct json_object *head = is_table ? titles(l) : NULL;
	int r = 0;

	if (is_table) {
		r = head ? template_render(tmpl, head, &b, e) : err_set(e, ENOMEM, "out of memory");
		buf_str(&b, "\n");
	}
	for (size_t i = 0; r >= 0 && i < json_object_array_length(rows); i++) {
		r = template_render(tmpl, json_object_array_get_idx(rows, i), &b, e);
		buf_str(&b, "\n");
	}
	if (r < 0)
		return r;
	if (!b.data)
		return 0;
	if (isatty(STDOUT_FILENO))
		text_defuse(b.data);
	if (is_table)
		put_aligned(b.data, out);
	else
		buf_add(out, b.data, b.len);
	return 0;
}

static void free_map(struct json_object *text, void *map)
{
	(void)text;
	json_object_put(map);
}

struct json_object *labels_json(const struct string_map *m)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; o && m->keys && m->keys[i]; i++) {
		if (json_add(o, m->keys[i], json_object_new_string(m->values[i])) == 0)
			continue;
		json_object_put(o);
		return NULL;
	}
	return o;
}

int listing_add_labels(struct json_object *row, const struct string_map *m)
{
	_cleanup_buf_ struct buf b = { 0 };
	_cleanup_json_ struct json_object *map = labels_json(m);
	struct json_object *text;

	buf_str(&b, "");
	for (size_t i = 0; m->keys && m->keys[i]; i++)
		buf_fmt(&b, "%s%s=%s", i ? "," : "", m->keys[i], m->values[i]);
	text = map && !b.failed ? json_object_new_string(b.data) : NULL;
	if (text)
		json_object_set_userdata(text, TAKE_PTR(map), free_map);
	return json_add(row, "Labels", text);
}

static void free_number(struct json_object *text, void *number)
{
	(void)text;
	free(number);
}

int listing_add_size(struct json_object *row, uint64_t bytes, const char *text)
{
	struct json_object *o = json_object_new_string(text);
	uint64_t *number = malloc(sizeof(*number));

	if (!o || !number) {
		free(number);
		json_object_put(o);
		return -ENOMEM;
	}
	*number = bytes;
	json_object_set_userdata(o, number, free_number);
	return json_add(row, "Size", o);
}

/* qsort has no argument; what is sorted by goes before each row. */
struct sorted {
	struct json_object *row;
	const char *text;
	uint64_t number;
	size_t place;
};

/* Texts from a to z, numbers the largest first, equals as they were. */
static int compare_sorted(const void *x, const void *y)
{
	const struct sorted *a = x, *b = y;
	int order = strcmp(a->text, b->text);

	if (a->number != b->number)
		return a->number > b->number ? -1 : 1;
	return order ? order : a->place < b->place ? -1 : 1;
}

static int sort_rows(struct json_object *rows, const char *key)
{
	size_t n = json_object_array_length(rows);
	struct sorted *list = calloc(n + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i), *cell = json_object_object_get(row, key);
		const uint64_t *number = streq(key, "Size") ? json_object_get_userdata(cell) : NULL;
		list[i] = (struct sorted){ json_object_get(row), number ? "" : json_object_get_string(cell), number ? *number : 0,
					   i };
	}
	qsort(list, n, sizeof(*list), compare_sorted);
	for (size_t i = 0; i < n; i++)
		json_object_array_put_idx(rows, i, list[i].row);
	free(list);
	return 0;
}

int listing_sort(struct json_object *rows, const struct sort_key *keys, const char *word, struct err *e)
{
	_cleanup_buf_ struct buf known = { 0 };

	if (!word)
		return 0;
	for (const struct sort_key *k = keys; k->word; k++) {
		if (streq(k->word, word))
			return !k->key || sort_rows(rows, k->key) == 0 ? 0 : err_set(e, ENOMEM, "out of memory");
		buf_fmt(&known, "%s%s", known.len ? ", " : "", k->word);
	}
	return err_set(e, EINVAL, "--sort: \"%s\" is none of %s", word, known.data ? known.data : "");
}

int listing_render(const struct listing *l, struct json_object *rows, struct buf *out, struct err *e)
{
	const char *format = l->format && *l->format ? l->format : NULL, *tmpl = format ? str_after(format, "table ") : NULL;
	int r = 0;

	if (l->quiet_key && !format) {
		_cleanup_free_ char *only = str_fmt("{{.%s}}", l->quiet_key);
		r = only ? put_template(l, rows, only, false, out, e) : err_set(e, ENOMEM, "out of memory");
	} else if (!format || streq(format, "table")) {
		put_table(l, rows, out);
	} else if (streq(format, "json")) {
		r = put_template(l, rows, "{{json .}}", false, out, e);
	} else {
		r = put_template(l, rows, tmpl ? tmpl : format, tmpl, out, e);
	}
	return r < 0 ? r : out->failed ? err_set(e, ENOMEM, "out of memory") : 0;
}

int listing_print(const struct listing *l, struct json_object *rows, struct err *e)
{
	_cleanup_buf_ struct buf out = { 0 };
	int r = listing_render(l, rows, &out, e);

	if (r >= 0)
		fwrite(out.data ? out.data : "", 1, out.len, stdout);
	return r;
}

int document_print(struct json_object *o, const char *format, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	int r;

	if (!format || !*format || streq(format, "json")) {
		int how = JSON_C_TO_STRING_NOSLASHESCAPE | (format && *format ? JSON_C_TO_STRING_PLAIN : JSON_C_TO_STRING_PRETTY);
		bool is_empty = json_object_is_type(o, json_type_array) && json_object_array_length(o) == 0;
		puts(is_empty ? "[]" : json_object_to_json_string_ext(o, how));
		return 0;
	}
	r = template_render(format, o, &b, e);
	if (r < 0)
		return r;
	puts(b.data ? (isatty(STDOUT_FILENO) ? text_defuse(b.data) : b.data) : "");
	return 0;
}

/* On one line, or objects on one each. */
static void print_items(struct json_object *list, int depth, struct buf *b)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *v = json_object_array_get_idx(list, i);

		if (json_object_is_type(v, json_type_object)) {
			const char *sep = "";

			buf_fmt(b, "\n%*s", depth * 2 + 2, "");
			json_object_object_foreach(v, key, member)
			{
				buf_fmt(b, "%s%s ", sep, key);
				template_value(member, b);
				sep = ", ";
			}
			continue;
		}
		buf_str(b, i ? ", " : "");
		template_value(v, b);
	}
}

/* "Name: value" lines; lists and objects one deeper. */
static void print_lines(struct json_object *o, int depth, struct buf *b)
{
	json_object_object_foreach(o, key, v)
	{
		buf_fmt(b, "%*s%s:", depth * 2, "", key);
		if (json_object_is_type(v, json_type_object)) {
			buf_str(b, "\n");
			print_lines(v, depth + 1, b);
			continue;
		}
		buf_str(b, " ");
		if (json_object_is_type(v, json_type_array)) {
			print_items(v, depth, b);
		} else {
			template_value(v, b);
		}
		buf_str(b, "\n");
	}
}

int document_print_lines(struct json_object *o, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };

	print_lines(o, 0, &b);
	if (b.failed)
		return err_set(e, ENOMEM, "out of memory");
	fputs(b.data ? text_defuse(b.data) : "", stdout);
	return 0;
}

#define TEXT_SHORT 45 /* docker's */

char *text_for_table(const char *s, bool no_trunc)
{
	_cleanup_free_ char *text = strdup(s ? s : "");
	size_t at = 0, characters = 0;

	for (char *c = text; c && *c; c++)
		*c = *c == '\t' || *c == '\n' || *c == '\r' ? ' ' : *c;
	if (!text)
		return NULL;
	text_defuse(text);
	while (text[at] && characters < TEXT_SHORT - 1) {
		at++;
		characters += ((unsigned char)text[at] & 0xc0) != 0x80;
	}
	if (no_trunc || !text[at] || !text[at + 1])
		return TAKE_PTR(text);
	return str_fmt("%.*s\u2026", (int)at, text);
}

const char *created_at(uint64_t ns, char text[CREATED_AT_LEN])
{
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(text, CREATED_AT_LEN, "%Y-%m-%d %H:%M:%S %z %Z", &tm) == 0)
		*text = 0;
	return text;
}
