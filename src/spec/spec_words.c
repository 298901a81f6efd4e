/* Words and lists of numbers in config.json: tables of words that stand for kernel values ("SCHED_FIFO"), one or several of
 * them, and lists of CPUs or memory nodes ("0-3,7"). Called by the other parts of the document. */
#include <ctype.h>
#include <stdio.h>

#include "spec_rows.h"

static const struct spec_word *word_find(const struct spec_word *words, const char *name)
{
	while (words->name && !streq(words->name, name))
		words++;
	return words->name ? words : NULL;
}

/* "PATH: expected one of A, B, C, found "X"". */
static int word_unknown(struct json_object *v, const struct spec_word *words, const char *path, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };

	buf_fmt(&b, "one of ");
	for (const struct spec_word *w = words; w->name; w++)
		buf_fmt(&b, "%s%s", w == words ? "" : ", ", w->name);
	return json_expected(v, path, b.failed ? "a known word" : b.data, e);
}

int spec_word_read(struct json_object *v, const struct spec_word *words, uint64_t *ret, const char *path, struct err *e)
{
	const struct spec_word *w = json_object_is_type(v, json_type_string) ? word_find(words, json_object_get_string(v)) : NULL;

	if (!w)
		return word_unknown(v, words, path, e);
	*ret = w->value;
	return 0;
}

struct json_object *spec_word_print(const struct spec_word *words, uint64_t value)
{
	while (words->name && words->value != value)
		words++;
	return words->name ? json_object_new_string(words->name) : NULL;
}

int spec_words_read(struct json_object *v, const struct spec_word *words, uint64_t *ret, const char *path, struct err *e)
{
	uint64_t all = 0;

	if (!json_object_is_type(v, json_type_array))
		return json_expected(v, path, "an array", e);
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		char sub[96];
		uint64_t one = 0;

		snprintf(sub, sizeof sub, "%s[%zu]", path, i);
		int r = spec_word_read(json_object_array_get_idx(v, i), words, &one, sub, e);
		if (r < 0)
			return r;
		all |= one;
	}
	*ret = all;
	return 0;
}

struct json_object *spec_words_print(const struct spec_word *words, uint64_t value)
{
	struct json_object *a = value ? json_object_new_array() : NULL;

	for (; a && words->name; words++)
		if ((value & words->value) && json_object_array_add(a, json_object_new_string(words->name)) < 0) {
			json_object_put(a);
			return NULL;
		}
	return a;
}

/* One number of a list; *s is moved behind it. */
static bool list_number(const char **s, size_t n_bits, size_t *ret)
{
	size_t v = 0;

	if (!isdigit((unsigned char)**s))
		return false;
	for (; isdigit((unsigned char)**s); (*s)++) {
		v = v * 10 + (size_t)(**s - '0');
		if (v >= n_bits)
			return false;
	}
	*ret = v;
	return true;
}

int spec_list_parse(const char *list, unsigned long *bits, size_t n_bits)
{
	enum { WORD_BITS = 8 * sizeof(*bits) };

	memset(bits, 0, n_bits / 8);
	while (*list) {
		size_t from, to;

		if (!list_number(&list, n_bits, &from))
			return -EINVAL;
		to = from;
		if (*list == '-') {
			list++;
			if (!list_number(&list, n_bits, &to) || to < from)
				return -EINVAL;
		}
		for (size_t i = from; i <= to; i++)
			bits[i / WORD_BITS] |= 1UL << i % WORD_BITS;
		/* A comma at the end is no list either. */
		if (*list == ',' && list[1])
			list++;
		else if (*list)
			return -EINVAL;
	}
	return 0;
}

int spec_check_list(const char *list, const char *path, struct err *e)
{
	unsigned long bits[SPEC_LIST_BITS / (8 * sizeof(unsigned long))];

	if (!list || spec_list_parse(list, bits, SPEC_LIST_BITS) == 0)
		return 0;
	return err_set(e, EINVAL, "%s: expected numbers below %d such as \"0-3,7\", found \"%.60s\"", path, SPEC_LIST_BITS, list);
}
