/* This run beside an earlier one. */
#include <sys/mman.h>

#include "fixture.h"

static const struct against_row *row_of(const struct against *a, const char *figure, const char *way)
{
	for (size_t i = 0; i < a->n_rows; i++)
		if (streq(a->rows[i].figure->id, figure) && streq(a->rows[i].way->name, way))
			return &a->rows[i];
	TAP_FAIL("no row of %s in %s", figure, way);
}

static bool tells(const struct against *a, const char *text)
{
	for (size_t i = 0; a->differences && a->differences[i]; i++)
		if (strstr(a->differences[i], text))
			return true;
	return false;
}

TEST(a_run_beside_itself_shows_no_difference)
{
	_cleanup_(comparison_done) struct comparison c;
	_cleanup_(against_done) struct against a = { 0 };
	struct err e = { 0 };

	fixture_make(&c);
	is_int(comparison_against(&c, &c, &a, &e), 0);
	is_int(a.n_rows, 7);
	is_int(a.n_of[AGAINST_UNSURE], 7);
	is_int(strv_len(a.differences), 0);
	ok(row_of(&a, "start.first_byte", "vm")->ratio == 1);
}

TEST(faster_and_slower_are_said_only_beyond_the_spread)
{
	_cleanup_(comparison_done) struct comparison now, then;
	_cleanup_(against_done) struct against a = { 0 };
	struct err e = { 0 };

	is_int(comparison_init(&now, "t", NULL), 0);
	is_int(comparison_init(&then, "t", NULL), 0);
	is_int(comparison_add_way(&now, "container", NULL), 0);
	is_int(comparison_add_way(&then, "container", NULL), 0);
	fixture_samples(&now, "start.first_byte", 0, 10, 200, 1);
	fixture_samples(&then, "start.first_byte", 0, 10, 100, 1);
	fixture_samples(&now, "stop", 0, 10, 100, 1);
	fixture_samples(&then, "stop", 0, 10, 200, 1);
	fixture_samples(&now, "file.write", 0, 10, 200, 1); /* more is better */
	fixture_samples(&then, "file.write", 0, 10, 100, 1);
	fixture_samples(&now, "syscall", 0, 10, 101, 1);
	fixture_samples(&then, "syscall", 0, 10, 100, 1);
	fixture_samples(&now, "cpu", 0, 3, 200, 1); /* far apart, but three runs show nothing */
	fixture_samples(&then, "cpu", 0, 3, 100, 1);
	is_int(comparison_against(&now, &then, &a, &e), 0);
	is_int(row_of(&a, "start.first_byte", "container")->verdict, AGAINST_WORSE);
	is_int(row_of(&a, "stop", "container")->verdict, AGAINST_BETTER);
	is_int(row_of(&a, "file.write", "container")->verdict, AGAINST_BETTER);
	is_int(row_of(&a, "syscall", "container")->verdict, AGAINST_UNSURE);
	is_int(row_of(&a, "cpu", "container")->verdict, AGAINST_UNSURE);
	is_str(against_words(row_of(&a, "start.first_byte", "container")), "slower, beyond the spread");
	is_str(against_words(row_of(&a, "stop", "container")), "faster, beyond the spread");
	is_str(against_words(row_of(&a, "file.write", "container")), "better, beyond the spread");
	is_str(against_words(row_of(&a, "cpu", "container")), "no difference that this many runs can show");
	ok(a.n_of[AGAINST_WORSE] == 1 && a.n_of[AGAINST_BETTER] == 2 && a.n_of[AGAINST_UNSURE] == 2);
	const struct against_row *r = row_of(&a, "start.first_byte", "container");
	ok(r->low < r->ratio && r->ratio < r->high && r->ratio > 1.9 && r->ratio < 2);
}

TEST(another_machine_image_or_accelerator_is_said)
{
	_cleanup_(comparison_done) struct comparison now, then;
	_cleanup_(against_done) struct against a = { 0 };
	struct err e = { 0 };

	fixture_make(&now);
	fixture_make(&then);
	is_int(comparison_add_fact(&then, "kernel", "5.10"), 0);
	is_int(comparison_add_fact(&then, "load", "9.00"), 0);
	is_int(comparison_add_fact(&then, "memory", "24 GiB"), 0);
	free(then.image);
	then.image = strdup("sha256:9999");
	free(then.ways[1].accelerator);
	then.ways[1].accelerator = strdup("KVM hardware");
	then.was_interrupted = true;
	is_int(comparison_against(&now, &then, &a, &e), 0);
	ok(tells(&a, "kernel: 6.1.0 now, 5.10 then"));
	ok(tells(&a, "memory: not known now, 24 GiB then"));
	ok(tells(&a, "image: sha256:0123 now, sha256:9999 then"));
	ok(tells(&a, "accelerator of vm: TCG now, KVM hardware then"));
	ok(tells(&a, "the earlier run was stopped"));
	ok(!tells(&a, "load"));
	const struct against_row *r = row_of(&a, "start.first_byte", "vm");
	is_int(r->verdict, AGAINST_APART);
	is_str(r->why, "TCG now, KVM hardware then");
	is_int(row_of(&a, "start.first_byte", "container")->verdict, AGAINST_UNSURE);
	const char *text = FIXTURE_PRINTED(against_print(&a, _fd, 80, &_e));
	has_str(text, "NOT THE SAME RUN: ");
	has_str(text, "not compared: TCG now, KVM");
}

TEST(what_one_of_them_has_not_is_told)
{
	_cleanup_(comparison_done) struct comparison now, then;
	_cleanup_(against_done) struct against a = { 0 };
	struct err e = { 0 };

	is_int(comparison_init(&now, "t", NULL), 0);
	is_int(comparison_init(&then, "t", NULL), 0);
	is_int(comparison_add_way(&now, "container", NULL), 0);
	is_int(comparison_add_way(&then, "vm", "TCG"), 0);
	is_int(comparison_add_way(&then, "container", NULL), 1);
	fixture_samples(&now, "stop", 0, 6, 1, 1);
	fixture_samples(&then, "stop", 0, 6, 1, 1);
	fixture_samples(&then, "cpu", 1, 6, 1, 1);
	is_int(comparison_add_figure(&now, &(struct figure_kind){ "g", "x", "X", "ms", NULL }), 0);
	is_int(comparison_add_figure(&then, &(struct figure_kind){ "g", "x", "X", "ns", NULL }), 0);
	is_int(comparison_add_sample(&now, "x", 0, 1), 0);
	is_int(comparison_add_sample(&then, "x", 1, 1), 0);
	is_int(comparison_against(&now, &then, &a, &e), 0);
	is_int(row_of(&a, "stop", "container")->verdict, AGAINST_NEW);
	is_int(row_of(&a, "stop", "vm")->verdict, AGAINST_GONE);
	is_int(row_of(&a, "cpu", "container")->verdict, AGAINST_GONE);
	is_int(row_of(&a, "x", "container")->verdict, AGAINST_APART);
	is_str(row_of(&a, "x", "container")->why, "in ms now, in ns then");
	is_int(a.n_rows, 4);
}
TAP_MAIN()
