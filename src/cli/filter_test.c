/* Filters: alternatives within a key, conditions among keys, labels that must all hold. */
#include "filter.h"

#include "tap.h"

struct thing {
	const char *name, *kind;
	struct string_map labels;
};

static bool matches(const void *arg, const char *key, const char *v)
{
	const struct thing *t = arg;

	if (streq(key, "name"))
		return filter_name(t->name, v);
	if (streq(key, "kind"))
		return streq(t->kind, v);
	if (streq(key, "label!"))
		return !filter_label(&t->labels, v);
	return streq(key, "label") && filter_label(&t->labels, v);
}

TEST(filters_of_one_key_are_alternatives_and_labels_and_keys_are_conditions)
{
	struct thing t = { .name = "web-1", .kind = "a" };
	static const struct {
		const char *filters[4];
		bool want;
	} rows[] = {
		{ { NULL }, true },
		{ { "name=web" }, true },
		{ { "name=db" }, false },
		{ { "name=^web" }, true },
		{ { "name=^web$" }, false },
		{ { "name=^/web-[0-9]+$" }, true },
		{ { "name=/web" }, true },
		{ { "name=^eb" }, false },
		{ { "name=db|web" }, true },
		{ { "name=we(" }, false },
		{ { "name=db", "name=web" }, true },
		{ { "name=db", "name=web", "kind=b" }, false },
		{ { "name=", "kind=a" }, true },
		{ { "label=colour" }, true },
		{ { "label=colour=red" }, true },
		{ { "label=colour=red", "label=size=1" }, false },
		{ { "label=colour=re" }, false },
		{ { "label=colour=red=x" }, false },
		{ { "label!=size", "label=colour" }, true },
		{ { "label!=size", "label!=colour" }, false },
	};

	map_set(&t.labels, "colour", "red");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (filters_pass((char *const *)(uintptr_t)rows[i].filters, matches, &t) != rows[i].want)
			TAP_FAIL("row %zu: %s...", i, rows[i].filters[0] ? rows[i].filters[0] : "none");
	map_done(&t.labels);
}

TEST(a_filter_without_value_or_of_another_key_is_refused)
{
	static const char *const keys[] = { "name", "label", NULL }, *const wrong[] = { "name", "names=x", "label!=x", "", "=x" };
	static const char *const right[] = { "name=", "label=a=b", NULL };
	struct err e = { 0 };

	is_int(filters_check(NULL, keys, &e), 0);
	is_int(filters_check((char *const *)(uintptr_t)right, keys, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const char *const one[] = { wrong[i], NULL };
		is_int(filters_check((char *const *)(uintptr_t)one, keys, &e), -EINVAL);
		has_str(e.msg, "is not KEY=VALUE with one of name, label");
	}
}

TEST(truth_is_said_in_four_ways)
{
	is_int(filter_bool("true"), 1);
	is_int(filter_bool("1"), 1);
	is_int(filter_bool("false"), 0);
	is_int(filter_bool("0"), 0);
	is_int(filter_bool("yes"), -EINVAL);
	is_int(filter_bool(""), -EINVAL);
}

TAP_MAIN()
