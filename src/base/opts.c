/* opts.c: the option parser; see opts.h for its grammar. No state: everything lives in argv and in the verb's struct. */
#include "opts.h"

#include <math.h>

#include "str.h"

/* ---- values: one reader a type ---- */

static int set_flag(const char *v, void *member)
{
	static const char *const yes[] = { "true", "1", "t", "T", "TRUE", "True" };
	static const char *const no[] = { "false", "0", "f", "F", "FALSE", "False" };
	bool *b = member;

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!v || streq(v, yes[i])) {
			*b = true;
			return 0;
		}
		if (streq(v, no[i])) {
			*b = false;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_flag_off(const char *v, void *member)
{
	bool on;
	int r = set_flag(v, &on);
	if (r < 0)
		return r;
	*(bool *)member = !on;
	return 0;
}

static int set_string(const char *v, void *member)
{
	char **s = member, *copy = strdup(v);
	if (!copy)
		return -ENOMEM;
	free(*s);
	*s = copy;
	return 0;
}

static int set_list(const char *v, void *member) { return strv_push(member, v); }

static int set_i64(const char *v, void *member) { return str_to_i64(v, member); }

static int set_bytes(const char *v, void *member)
{
	uint64_t n;
	int r = str_to_bytes(v, &n);
	if (r < 0)
		return r;
	if (n > INT64_MAX)
		return -ERANGE;
	*(int64_t *)member = (int64_t)n;
	return 0;
}

static int set_bytes_any(const char *v, void *member)
{
	if (streq(v, "-1")) {
		*(int64_t *)member = -1;
		return 0;
	}
	return set_bytes(v, member);
}

static int set_double(const char *v, void *member)
{
	char *end;
	double d;

	if (!(*v >= '0' && *v <= '9') && *v != '.')
		return -EINVAL; /* strtod also reads "inf", "nan" and hexadecimal */
	if (v[0] == '0' && (v[1] == 'x' || v[1] == 'X'))
		return -EINVAL;
	errno = 0;
	d = strtod(v, &end);
	if (errno || *end || end == v || !isfinite(d))
		return -EINVAL;
	*(double *)member = d;
	return 0;
}

int opt_read_double(const char *v, double *ret) { return set_double(v, ret); }

static int set_seconds(const char *v, void *member)
{
	uint64_t ms;
	int r;

	if (streq(v, "-1")) {
		*(int64_t *)member = -1;
		return 0;
	}
	r = str_to_duration_ms(v, &ms);
	if (r < 0)
		return r;
	*(int64_t *)member = (int64_t)((ms + 999) / 1000);
	return 0;
}

static const struct {
	int (*set)(const char *v, void *member);
	const char *wanted;
} types[] = {
	[OPT_FLAG] = { set_flag, "true or false" },
	[OPT_FLAG_OFF] = { set_flag_off, "true or false" },
	[OPT_STRING] = { set_string, "a text" },
	[OPT_LIST] = { set_list, "a text" },
	[OPT_I64] = { set_i64, "a whole number" },
	[OPT_BYTES] = { set_bytes, "a size such as 512m or 2g" },
	[OPT_BYTES_ANY] = { set_bytes_any, "a size such as 512m or 2g, or -1 for no limit" },
	[OPT_DOUBLE] = { set_double, "a number such as 1.5" },
	[OPT_SECONDS] = { set_seconds, "seconds or a time such as 1m30s" },
};
_Static_assert(ARRAY_SIZE(types) == OPT_TYPE_COUNT_, "every type needs its reader");

static bool is_flag(const struct opt *o) { return o->type == OPT_FLAG || o->type == OPT_FLAG_OFF; }

/* shown: the option as the user wrote it, "--memory" or "-m". v NULL: a flag without a value. */
static int apply(const struct opt *o, const char *shown, const char *v, void *args, struct err *e)
{
	int r;

	if (o->set) {
		r = o->set(args, v, e);
		return r < 0 ? err_push(e, r, "%s", shown) : 0;
	}
	r = types[o->type].set(v, (char *)args + o->offset);
	if (r == -ENOMEM)
		return err_set(e, ENOMEM, "out of memory");
	if (r < 0)
		return err_set(e, EINVAL, "%s: \"%s\" is not %s", shown, v ? v : "", types[o->type].wanted);
	return 0;
}

/* ---- near misses ---- */

#define WORD_MAX 40

/* Edits (insert, delete, replace, swap of neighbours) from a to b: optimal string alignment. */
static size_t distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), row[3][WORD_MAX + 1];

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= m; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *now = row[i % 3], *last = row[(i - 1) % 3], *before = row[(i + 1) % 3];
		now[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t replace = last[j - 1] + (a[i - 1] != b[j - 1]);
			now[j] = MIN(MIN(now[j - 1] + 1, last[j] + 1), replace);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
	}
	return row[n % 3][m];
}

const char *nearest_word(const char *s, const char *const *words, size_t n)
{
	const char *best = NULL;
	size_t best_distance = strlen(s) / 3 + 2; /* farther than that is no misspelling */

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(s, words[i]);
		/* "det" for "detach": what was meant is plain although many letters are missing. */
		if (strlen(s) >= 3 && str_after(words[i], s))
			d = MIN(d, (size_t)1);
		if (d < best_distance) {
			best_distance = d;
			best = words[i];
		}
	}
	return best;
}

static int unknown_long(const struct opt *table, const char *name, struct err *e)
{
	const char *words[128];
	size_t n = 0;

	for (const struct opt *o = table; o && o->name && n < ARRAY_SIZE(words); o++) {
		if (o->help)
			words[n++] = o->name;
	}
	const char *near = nearest_word(name, words, n);
	if (near)
		return err_set(e, EINVAL, "unknown option --%s; did you mean --%s?", name, near);
	return err_set(e, EINVAL, "unknown option --%s; --help lists the known ones", name);
}

/* ---- argv ---- */

struct parser {
	const struct opt *table;
	void *args;
	int argc;
	char **argv;
	int at; /* index of the word being read */
	bool *help;
};

/* The value of o: behind '=' (or glued to its letter), else the next word. */
static int take_value(struct parser *p, const char *shown, const char *glued, const char **ret, struct err *e)
{
	if (glued) {
		*ret = glued;
		return 0;
	}
	if (p->at + 1 >= p->argc)
		return err_set(e, EINVAL, "%s needs a value", shown);
	*ret = p->argv[++p->at];
	return 0;
}

static int read_long(struct parser *p, const char *word, struct err *e)
{
	const char *eq = strchr(word, '=');
	_cleanup_free_ char *name = strndup(word, eq ? (size_t)(eq - word) : strlen(word));
	_cleanup_free_ char *shown = name ? str_fmt("--%s", name) : NULL;
	const struct opt *o = p->table;
	const char *v = eq ? eq + 1 : NULL;
	int r;

	if (!shown)
		return err_set(e, ENOMEM, "out of memory");
	while (o && o->name && !streq(o->name, name))
		o++;
	if (!o || !o->name) {
		if (!streq(name, "help"))
			return unknown_long(p->table, name, e);
		*p->help = true;
		return 0;
	}
	if (!is_flag(o)) {
		r = take_value(p, shown, v, &v, e);
		if (r < 0)
			return r;
	}
	return apply(o, shown, v, p->args, e);
}

/* -it, -eNAME=x, -e NAME=x, -m=1g */
static int read_letters(struct parser *p, const char *letters, struct err *e)
{
	for (const char *c = letters; *c; c++) {
		char shown[3] = { '-', *c, 0 };
		const struct opt *o = p->table;
		const char *v = NULL;
		int r;

		while (o && o->name && o->letter != *c)
			o++;
		if (!o || !o->name) {
			if (*c != 'h')
				return err_set(e, EINVAL, "unknown option -%c%s%s; --help lists the known ones", *c,
					       letters[1] ? " in -" : "", letters[1] ? letters : "");
			*p->help = true;
			continue;
		}
		if (!is_flag(o)) {
			r = take_value(p, shown, c[1] == '=' ? c + 2 : c[1] ? c + 1 : NULL, &v, e);
			return r < 0 ? r : apply(o, shown, v, p->args, e);
		}
		if (c[1] == '=')
			return apply(o, shown, c + 2, p->args, e);
		r = apply(o, shown, NULL, p->args, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int opts_parse(const struct opt *table, bool stop_at_operand, int argc, char **argv, void *args, int *ret_n, bool *ret_help,
	       struct err *e)
{
	struct parser p = { table, args, argc, argv, 1, ret_help };
	bool only_operands = false;
	int n = 0;

	*ret_help = false;
	for (; p.at < argc; p.at++) {
		char *word = argv[p.at];
		int r = 0;

		if (only_operands || word[0] != '-' || !word[1]) {
			argv[n++] = word;
			only_operands |= stop_at_operand;
		} else if (streq(word, "--")) {
			only_operands = true;
		} else if (word[1] == '-') {
			r = read_long(&p, word + 2, e);
		} else {
			r = read_letters(&p, word + 1, e);
		}
		if (r < 0)
			return r;
	}
	argv[n] = NULL;
	*ret_n = n;
	return 0;
}

void opts_done(const struct opt *table, void *args)
{
	for (const struct opt *o = table; o && o->name; o++) {
		void *member = (char *)args + o->offset;
		if (o->set)
			continue;
		if (o->type == OPT_STRING)
			free_ptr(member);
		if (o->type == OPT_LIST) {
			strv_free(*(char ***)member);
			*(char ***)member = NULL;
		}
	}
}
