/* comparison_page: shows a comparison's JSON in each way that there is, for tests.
 *   comparison_page json|table|page|against|recommend FILE [EARLIER|- [NEED,...]] */
#include <stdio.h>
#include <unistd.h>

#include "compare.h"

static int parse_needs(const char *list, unsigned *needs, struct err *e)
{
	_cleanup_strv_ char **words = strv_split(list, ',');
	int r = words ? 0 : -ENOMEM;

	for (char **w = words; w && *w && r == 0; w++)
		r = need_parse(*w, needs, e);
	return r;
}

static int show(const char *how, const struct comparison *c, const struct against *a, const struct recommendation *rec,
		struct err *e)
{
	if (streq(how, "json"))
		return comparison_write_json(c, STDOUT_FILENO, e);
	if (streq(how, "table"))
		return comparison_print_table(c, STDOUT_FILENO, TABLE_WIDTH, e);
	if (streq(how, "page"))
		return comparison_write_page(c, a, rec, STDOUT_FILENO, e);
	if (streq(how, "against") && a)
		return against_print(a, STDOUT_FILENO, TABLE_WIDTH, e);
	if (streq(how, "recommend") && rec)
		return recommendation_print(rec, STDOUT_FILENO, TABLE_WIDTH, e);
	return err_set(e, EINVAL, "%s: not that way, or without what it needs", how);
}

int main(int argc, char **argv)
{
	_cleanup_(comparison_done) struct comparison c = { 0 }, earlier = { 0 };
	_cleanup_(recommendation_done) struct recommendation rec = { 0 };
	_cleanup_(against_done) struct against a = { 0 };
	bool has_earlier = argc > 3 && !streq(argv[3], "-"), has_needs = argc > 4;
	struct err e = { 0 };
	unsigned needs = 0;
	int r = argc > 2 ? comparison_read(argv[2], &c, &e)
			 : err_set(&e, EINVAL, "usage: comparison_page HOW FILE [EARLIER|- [NEED,...]]");

	if (r == 0 && has_earlier)
		r = comparison_read(argv[3], &earlier, &e);
	if (r == 0 && has_earlier)
		r = comparison_against(&c, &earlier, &a, &e);
	if (r == 0 && has_needs)
		r = parse_needs(argv[4], &needs, &e);
	if (r == 0 && has_needs)
		r = comparison_recommend(&c, needs, &rec, &e);
	if (r == 0)
		r = show(argv[1], &c, has_earlier ? &a : NULL, has_needs ? &rec : NULL, &e);
	if (r < 0)
		fprintf(stderr, "comparison_page: %s\n", e.msg);
	return r < 0;
}
