/* Fuzz target: a comparison's JSON. What is read can be shown in each way, and written, and what is written is read. */
#include "compare.h"

#include <fcntl.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int r)
{
	if (r < 0)
		abort();
}

static void show(const struct comparison *c, int fd)
{
	struct recommendation rec = { 0 };
	struct against a = { 0 };
	struct err e = { 0 };

	must(comparison_print_table(c, fd, TABLE_WIDTH, &e));
	must(comparison_against(c, c, &a, &e));
	must(against_print(&a, fd, TABLE_WIDTH, &e));
	if (comparison_recommend(c, NEED_START | NEED_DENSITY | NEED_UNTRUSTED, &rec, &e) == 0)
		must(recommendation_print(&rec, fd, TABLE_WIDTH, &e));
	must(comparison_write_page(c, &a, rec.way ? &rec : NULL, fd, &e));
	recommendation_done(&rec);
	against_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(comparison_done) struct comparison c = { 0 }, again = { 0 };
	_cleanup_fd_ int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct err e = { 0 };

	if (comparison_parse((const char *)data, size, "input", &c, &e) < 0) {
		if (e.no <= 0 || !e.msg[0])
			abort(); /* a refusal has to say why */
		return 0;
	}
	show(&c, nowhere);
	_cleanup_json_ struct json_object *o = comparison_json(&c);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
	if (!text || comparison_parse(text, strlen(text), "again", &again, &e) < 0 || again.n_figures != c.n_figures)
		abort();
	return 0;
}
