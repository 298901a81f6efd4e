/* The table on a terminal: what stands in it, and that it fits. */
#include <sys/mman.h>

#include "fixture.h"
#include "grid.h"
#include "number.h"

static size_t widest_line(const char *text)
{
	size_t most = 0;

	for (const char *s = text; *s; s += strcspn(s, "\n") + (s[strcspn(s, "\n")] == '\n'))
		most = MAX(most, text_columns(s, strcspn(s, "\n")));
	return most;
}

TEST(two_ways_fit_a_terminal)
{
	_cleanup_(comparison_done) struct comparison c;

	fixture_make(&c);
	const char *text = FIXTURE_PRINTED(comparison_print_table(&c, _fd, TABLE_WIDTH, &_e));
	ok(widest_line(text) <= TABLE_WIDTH);
	has_str(text, "START-UP");
	has_str(text, "vm (TCG)");
	has_str(text, "5.90 [5.50\u20136.40]");
	has_str(text, "p95 6.80, most 6.90");
	has_str(text, "n 20, 219\u00d7");
	has_str(text, "times container");
	has_str(text, "none (1)");
	has_str(text, "(1) its disk is not of this host");
	has_str(text, "the host's");
}

TEST(more_ways_come_below_each_other)
{
	_cleanup_(comparison_done) struct comparison c;

	is_int(comparison_init(&c, "t", NULL), 0);
	for (int i = 0; i < 6; i++) {
		char name[16];
		snprintf(name, sizeof(name), "way-%d", i);
		is_int(comparison_add_way(&c, name, "KVM paravirtual"), i);
	}
	for (size_t i = 0; i < 6; i++)
		fixture_samples(&c, "stop", i, 20, 100, 1);
	const char *text = FIXTURE_PRINTED(comparison_print_table(&c, _fd, TABLE_WIDTH, &_e));
	ok(widest_line(text) <= TABLE_WIDTH);
	has_str(text, "way-0 (KVM paravirtual)");
	has_str(text, "way-5 (KVM paravirtual)");
}

TEST(a_strangers_text_drives_no_terminal)
{
	_cleanup_(comparison_done) struct comparison c;

	is_int(comparison_init(&c, "a\033[31mb\nc", NULL), 0);
	is_int(comparison_add_way(&c, "w\033", NULL), 0);
	is_int(comparison_add_fact(&c, "k\033", "v\033\n"), 0);
	is_int(comparison_say_why_not(&c, "stop", 0, "no\033\ngood"), 0);
	const char *text = FIXTURE_PRINTED(comparison_print_table(&c, _fd, TABLE_WIDTH, &_e));
	ok(!strchr(text, '\033'));
	has_str(text, "a?[31mb c\n");
	has_str(text, "no? good");
}

TEST(cells_are_wrapped_at_blanks_and_long_words_cut)
{
	_cleanup_(grid_done) struct grid g = { .n_columns = 2 };
	_cleanup_buf_ struct buf out = { 0 };

	grid_add(&g, "a title of many words");
	grid_add(&g, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx yy");
	grid_put(&g, 24, 10, &out);
	is_str(out.data, "a title of  xxxxxxxxxxxx\nmany words  xxxxxxxxxxxx\n            xxxxxx yy\n");
}

TEST(numbers_have_three_digits)
{
	static const struct {
		double v;
		const char *text;
	} rows[] = { { 0, "0" },        { 0.03125, "0.0312" }, { 5.208, "5.21" },     { 52.08, "52.1" },
		     { 520.8, "521" },  { 5208, "5208" },      { 52080.4, "52_080" }, { 9.999, "10.0" },
		     { 99.96, "100" },  { -5.208, "-5.21" },   { -52080, "-52_080" }, { 1234567.8, "1_234_568" },
		     { 1e16, "1e+16" }, { 1e-9, "0.000000" } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char buf[NUMBER_LEN];
		is_str(number_text(rows[i].v, "_", buf), rows[i].text);
	}
}

TEST(units_suit_what_is_shown)
{
	is_str(unit_shown("ms", 999).unit, "ms");
	is_str(unit_shown("ms", 1200).unit, "s");
	ok(unit_shown("ms", 1200).times == 1 / 1000.);
	is_str(unit_shown("ns", 5e6).unit, "ms");
	is_str(unit_shown("KiB", 2048).unit, "MiB");
	is_str(unit_shown("KiB", 3 << 20).unit, "GiB");
	is_str(unit_shown("count", 1e9).unit, "count");
	is_str(unit_shown("furlongs", 1e9).unit, "furlongs");
}
TAP_MAIN()
