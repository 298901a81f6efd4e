/* The model: what is added stays in its place, and what can't be added says so. */
#include <math.h>

#include "figures.h"
#include "tap.h"

static void two_ways(struct comparison *c)
{
	is_int(comparison_init(c, "nginx: nginx -g x", "sha256:1"), 0);
	is_int(comparison_add_way(c, "container", NULL), 0);
	is_int(comparison_add_way(c, "vm", "TCG"), 1);
}

TEST(samples_gather_in_their_cell)
{
	_cleanup_(comparison_done) struct comparison c;

	two_ways(&c);
	is_int(comparison_say_why_not(&c, "start.ready", 1, "nothing answered"), 0);
	is_int(comparison_add_sample(&c, "start.ready", 0, 5.5), 0);
	is_int(comparison_add_sample(&c, "start.ready", 0, 6.5), 0);
	const struct figure *f = comparison_figure(&c, "start.ready");
	ok(f && f->cells[0].n == 2 && f->cells[0].samples[1] == 6.5 && f->cells[1].n == 0);
	is_str(f->cells[1].why_not, "nothing answered");
	is_str(f->group, "Start-up");
	is_str(f->unit, "ms");
	ok(!comparison_figure(&c, "start.first_byte"));
}

TEST(figures_stand_in_the_tables_order_however_they_come)
{
	_cleanup_(comparison_done) struct comparison c;
	size_t n = 0;

	two_ways(&c);
	is_int(comparison_add_figure(&c, &(struct figure_kind){ "Peers", "peers.pull", "Pull", "ms", NULL }), 0);
	for (const struct figure_kind *k = figure_kinds; k->id; k++)
		n++;
	for (size_t i = n; i-- > 0;)
		is_int(comparison_add_sample(&c, figure_kinds[i].id, 1, 1), 0);
	is_int(c.n_figures, n + 1);
	for (size_t i = 1, at = 0; i < c.n_figures; i++) {
		const struct figure_kind *k = figure_kind_of(c.figures[i].id);
		ok(k && (size_t)(k - figure_kinds) >= at);
		at = (size_t)(k - figure_kinds);
	}
	is_int(comparison_add_figure(&c, figure_kinds), -EEXIST);
}

TEST(a_sample_ends_the_reason_why_there_is_none)
{
	_cleanup_(comparison_done) struct comparison c;

	two_ways(&c);
	is_int(comparison_say_why_not(&c, "stop", 0, "not yet"), 0);
	is_int(comparison_add_sample(&c, "stop", 0, 1), 0);
	is_int(comparison_say_why_not(&c, "stop", 0, "too late"), 0);
	is_str(comparison_figure(&c, "stop")->cells[0].why_not, NULL);
}

TEST(what_has_no_place_is_refused)
{
	_cleanup_(comparison_done) struct comparison c;

	two_ways(&c);
	is_int(comparison_add_way(&c, "vm", "KVM hardware"), -EEXIST);
	is_int(comparison_add_sample(&c, "no.such", 0, 1), -ENOENT);
	is_int(comparison_add_sample(&c, "stop", 2, 1), -ENOENT);
	is_int(comparison_add_sample(&c, "stop", 0, NAN), -EDOM);
	is_int(comparison_add_sample(&c, "stop", 0, INFINITY), -EDOM);
	is_int(comparison_say_why_not(&c, "no.such", 0, "x"), -ENOENT);
	is_int(comparison_add_wall(&c, "kernel", "Kernel", true, 2, "own"), -ENOENT);
	is_int(c.n_figures, 0);
	is_int(c.n_walls, 0);
	is_int(comparison_add_wall(&c, "kernel", "Kernel", true, 1, "own"), 0);
	is_int(comparison_add_way(&c, "host", NULL), -EBUSY);
}

TEST(a_wall_is_said_of_each_way_and_said_anew)
{
	_cleanup_(comparison_done) struct comparison c;

	two_ways(&c);
	is_int(comparison_add_wall(&c, "syscalls", "System calls", true, 0, "300"), 0);
	is_int(comparison_add_wall(&c, "syscalls", "System calls", true, 0, "301"), 0);
	const struct wall *w = comparison_wall(&c, "syscalls");
	is_str(w->of_way[0], "301");
	is_str(w->of_way[1], NULL);
	ok(w->less_is_better && c.n_walls == 1);
	ok(comparison_has_walls(&c, 0) && !comparison_has_walls(&c, 1) && !comparison_has_figures(&c, 0));
	is_int(comparison_add_sample(&c, "stop", 1, 1), 0);
	ok(comparison_has_figures(&c, 1) && !comparison_has_figures(&c, 0));
}

TEST(texts_become_utf8_and_ways_have_labels)
{
	_cleanup_(comparison_done) struct comparison c;

	is_int(comparison_init(&c,
			       "a\xff"
			       "b\xc3\xa9",
			       NULL),
	       0);
	is_str(c.title, "a\xef\xbf\xbd"
			"b\xc3\xa9");
	is_int(comparison_add_way(&c, "vm", "TCG"), 0);
	is_int(comparison_add_way(&c, "host", NULL), 1);
	_cleanup_free_ char *vm = way_label(&c.ways[0]), *host = way_label(&c.ways[1]);
	is_str(vm, "vm (TCG)");
	is_str(host, "host");
	is_int(comparison_way(&c, "host"), 1);
	is_int(comparison_way(&c, "docker"), -1);
	is_int(comparison_add_fact(&c, "kernel", "6.1"), 0);
	is_int(comparison_add_fact(&c, "kernel", "6.2\xfe"), 0);
	is_str(map_get(&c.machine, "kernel"), "6.2\xef\xbf\xbd");
}

TEST(each_kind_has_an_id_of_its_own_and_says_how_it_is_measured)
{
	for (const struct figure_kind *k = figure_kinds; k->id; k++) {
		ok(figure_kind_of(k->id) == k);
		ok(*k->group && *k->title && *k->unit && k->how && *k->how);
	}
}
TAP_MAIN()
