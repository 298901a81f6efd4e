/* JSON: what is written is read, and what others have written is taken for nothing. */
#include <sys/mman.h>

#include "fixture.h"
#include "stats.h"

static const char *written(const struct comparison *c) { return FIXTURE_PRINTED(comparison_write_json(c, _fd, &_e)); }

TEST(what_is_written_is_read)
{
	_cleanup_(comparison_done) struct comparison c, again = { 0 };
	struct err e = { 0 };

	fixture_make(&c);
	c.was_interrupted = true;
	const char *text = written(&c);
	if (comparison_parse(text, strlen(text), "x.json", &again, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_str(written(&again), text);
	ok(again.was_interrupted && again.n_ways == 2 && again.n_figures == c.n_figures && again.n_walls == 2);
	is_str(again.title, c.title);
	is_str(again.image, c.image);
	is_str(again.began, c.began);
	is_str(again.ways[0].accelerator, NULL);
	is_str(again.ways[1].accelerator, "TCG");
	is_str(map_get(&again.machine, "kernel"), "6.1.0");
	is_str(comparison_figure(&again, "disk.own")->cells[1].why_not, "its disk is not of this host");
	is_str(comparison_wall(&again, "syscalls")->of_way[1], NULL);
	ok(comparison_figure(&again, "file.write")->more_is_better);
	for (size_t i = 0; i < 20; i++)
		ok(comparison_figure(&again, "start.first_byte")->cells[1].samples[i] ==
		   comparison_figure(&c, "start.first_byte")->cells[1].samples[i]);
}

TEST(numbers_come_back_as_they_were)
{
	static const double numbers[] = { 0, -0.1, 1.0 / 3, 1e-300, 123456789.123456789, 9007199254740993.0, 5 };
	_cleanup_(comparison_done) struct comparison c, again = { 0 };
	struct err e = { 0 };

	fixture_make(&c);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		is_int(comparison_add_sample(&c, "cpu", 0, numbers[i]), 0);
	const char *text = written(&c);
	is_int(comparison_parse(text, strlen(text), "x.json", &again, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		ok(comparison_figure(&again, "cpu")->cells[0].samples[i] == numbers[i]);
}

TEST(other_tools_find_percentiles_and_the_spread)
{
	_cleanup_(comparison_done) struct comparison c;

	fixture_make(&c);
	const char *text = written(&c);
	has_str(text, "\"p50\": 5.9");
	has_str(text, "\"p95\": 6.8");
	ok(!strstr(text, "\"p99\""));
	has_str(text, "\"confidence\": 0.9586");
	has_str(text, "\"better\": \"more\"");
	has_str(text, "\"n\": 20");
}

TEST(derived_numbers_of_a_file_are_not_believed)
{
	static const char text[] =
		"{\"schema\":\"berth.comparison/1\",\"title\":\"t\",\"began\":\"2026-01-02T03:04:05Z\",\"berth\":\"1\","
		"\"machine\":{},\"ways\":[{\"name\":\"a\"}],\"later\":1,\"figures\":[{\"group\":\"g\",\"id\":\"x\","
		"\"title\":\"t\",\"unit\":\"ms\",\"better\":\"less\",\"cells\":[{\"samples\":[3,1,2],\"p50\":99,\"n\":7}]}]}";
	_cleanup_(comparison_done) struct comparison c = { 0 };
	_cleanup_(stats_done) struct stats s = { 0 };
	struct err e = { 0 };

	is_int(comparison_parse(text, strlen(text), "x.json", &c, &e), 0);
	is_int(c.figures[0].cells[0].n, 3);
	is_int(stats_of(c.figures[0].cells[0].samples, 3, &s), 0);
	ok(s.p50 == 2);
}

/* A document that is right, but for one part. */
#define HEAD   "{\"schema\":\"berth.comparison/1\",\"title\":\"t\",\"berth\":\"1\",\"machine\":{},"
#define BEGAN  "\"began\":\"2026-01-02T03:04:05Z\","
#define WAYS   "\"ways\":[{\"name\":\"a\"},{\"name\":\"b\"}],"
#define FIGURE "\"group\":\"g\",\"title\":\"t\",\"unit\":\"ms\",\"better\":\"less\","
#define LONG   "0123456789abcdef0123456789abcdef!"
#define CELLS  "\"cells\":[{},{}]"

TEST(what_is_wrong_is_named_with_the_file_the_field_and_the_remedy)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "empty" },
		{ "[1]", ".schema: missing" },
		{ "{\"schema\":\"berth.comparison/2\"}", "\"berth.comparison/2\", and this berth reads \"berth.comparison/1\"" },
		{ HEAD WAYS "\"figures\":[]}", ".began: missing" },
		{ HEAD WAYS "\"began\":\"yesterday\",\"figures\":[]}", ".began: expected a time" },
		{ HEAD BEGAN "\"ways\":[],\"figures\":[]}", ".ways: expected 1 to 64" },
		{ HEAD BEGAN "\"ways\":[{\"name\":\"a\"},{\"name\":\"a\"}],\"figures\":[]}",
		  ".ways[1].name: empty, or there twice" },
		{ HEAD BEGAN "\"ways\":[{\"name\":\"a\",\"accelerator\":7}],\"figures\":[]}",
		  ".ways[0].accelerator: expected a string, found 7" },
		{ HEAD BEGAN "\"ways\":[{\"name\":\"" LONG LONG "\"}],\"figures\":[]}",
		  ".ways[0]: a name or an accelerator of more than 64" },
		{ HEAD BEGAN "\"ways\":[{\"name\":\"a\",\"accelerator\":\"" LONG LONG "\"}],\"figures\":[]}",
		  ".ways[0]: a name or an" },
		{ HEAD BEGAN WAYS "\"figures\":[{\"id\":\"x\",\"group\":\"g\",\"title\":\"t\",\"unit\":\"" LONG
				  "\",\"better\":\"less\"," CELLS "}]}",
		  ".figures[0].unit: more than 16 bytes" },
		{ HEAD BEGAN WAYS "\"figures\":[{" FIGURE CELLS "}]}", ".figures[0].id: missing" },
		{ HEAD BEGAN WAYS "\"figures\":[{\"id\":\"<script>\"," FIGURE CELLS "}]}",
		  ".figures[0].id: expected 1 to 64 of a-z" },
		{ HEAD BEGAN WAYS "\"figures\":[{\"id\":\"x\"," FIGURE CELLS "},{\"id\":\"x\"," FIGURE CELLS "}]}",
		  ".figures[1].id: there twice" },
		{ HEAD BEGAN WAYS "\"figures\":[{\"id\":\"x\"," FIGURE "\"cells\":[{}]}]}",
		  ".figures[0].cells: expected 2, one a way, found 1" },
		{ HEAD BEGAN WAYS "\"figures\":[{\"id\":\"x\"," FIGURE "\"cells\":[{},{\"samples\":[1,\"2\"]}]}]}",
		  ".figures[0].cells[1].samples[1]: expected a finite number, found \"2\"" },
		{ HEAD BEGAN WAYS "\"figures\":[{\"id\":\"x\"," FIGURE "\"cells\":[{},{\"samples\":[1e999]}]}]}",
		  ".samples[0]: expected a finite number" },
		{ HEAD BEGAN WAYS "\"figures\":[{\"id\":\"x\"," FIGURE "\"cells\":[{\"samples\":{}},{}]}]}",
		  ".samples: expected an array of numbers" },
		{ HEAD BEGAN WAYS
		  "\"figures\":[{\"id\":\"x\",\"group\":\"g\",\"title\":\"t\",\"unit\":\"ms\",\"better\":\"big\"," CELLS "}]}",
		  ".figures[0].better: expected \"less\" or \"more\"" },
		{ HEAD BEGAN WAYS
		  "\"figures\":[],\"walls\":[{\"id\":\"k\",\"title\":\"t\",\"better\":\"less\",\"values\":[null]}]}",
		  ".walls[0].values: expected 2, one a way, found 1" },
		{ HEAD BEGAN WAYS
		  "\"figures\":[],\"walls\":[{\"id\":\"k\",\"title\":\"t\",\"better\":\"less\",\"values\":[null,3]}]}",
		  ".walls[0].values[1]: expected a string, found 3" },
		{ HEAD BEGAN WAYS
		  "\"figures\":[],\"walls\":[{\"id\":\"k\",\"title\":\"t\",\"better\":\"no\",\"values\":[null,null]}]}",
		  ".walls[0].better: expected" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct comparison c;
		struct err e = { 0 };
		if (comparison_parse(rows[i].text, strlen(rows[i].text), "x.json", &c, &e) >= 0)
			TAP_FAIL("taken: %s", rows[i].text);
		has_str(e.msg, "x.json: ");
		has_str(e.msg, rows[i].says);
		if (i > 0)
			has_str(e.msg, "berth compare --save");
	}
}

TEST(too_much_is_refused)
{
	_cleanup_buf_ struct buf many = { 0 }, longest = { 0 };
	struct comparison c;
	struct err e = { 0 };

	buf_str(&many, HEAD BEGAN WAYS "\"figures\":[");
	for (int i = 0; i <= 1000; i++)
		buf_fmt(&many, "%s{\"id\":\"x%d\"," FIGURE CELLS "}", i ? "," : "", i);
	buf_str(&many, "]}");
	ok(comparison_parse(many.data, many.len, "x.json", &c, &e) < 0);
	has_str(e.msg, ".figures: 1001 of them: 1000 at most are read");
	buf_str(&longest, HEAD BEGAN WAYS "\"figures\":[],\"image\":\"");
	for (int i = 0; i < 4097; i++)
		buf_str(&longest, "x");
	buf_str(&longest, "\"}");
	ok(comparison_parse(longest.data, longest.len, "x.json", &c, &e) < 0);
	has_str(e.msg, "a text of 4097 bytes");
}

TEST(a_file_that_can_not_be_read_is_named)
{
	struct comparison c;
	struct err e = { 0 };

	is_int(comparison_read("/no/such/file.json", &c, &e), -ENOENT);
	has_str(e.msg, "/no/such/file.json: No such file");
	is_int(comparison_read("/", &c, &e), -EISDIR);
	is_int(comparison_read("/dev/zero", &c, &e), -EFBIG);
	has_str(e.msg, "/dev/zero: more than 64 MiB");
}

TEST(a_file_that_can_not_be_written_is_an_error)
{
	_cleanup_(comparison_done) struct comparison c;
	_cleanup_fd_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct err e = { 0 };

	fixture_make(&c);
	is_int(comparison_write_json(&c, full, &e), -ENOSPC);
	is_int(comparison_print_table(&c, full, 80, &e), -ENOSPC);
	has_str(e.msg, "No space left");
}
TAP_MAIN()
