/* The page: nothing of a stranger's becomes markup, and what is measured is on it. */
#include <sys/mman.h>

#include "fixture.h"
#include "html.h"

static const char *page_of(const struct comparison *c) { return FIXTURE_PRINTED(comparison_write_page(c, NULL, NULL, _fd, &_e)); }

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, what)); at++)
		n++;
	return n;
}

TEST(text_is_escaped_and_drives_nothing)
{
	static const struct {
		const char *text, *html;
	} rows[] = {
		{ "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;" },
		{ "\" onload='x' &amp;", "&quot; onload=&#39;x&#39; &amp;amp;" },
		{ "a\nb\tc\033d", "a b c\xef\xbf\xbd"
				  "d" },
		{ "\xc3\xa9\xff!", "\xc3\xa9\xef\xbf\xbd!" },
		{ "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_buf_ struct buf b = { 0 };
		buf_str(&b, "");
		html_text(&b, rows[i].text);
		is_str(b.data, rows[i].html);
	}
}

TEST(what_turns_the_direction_of_text_is_replaced)
{
	/* U+200E, U+202E, U+2066, and the control U+0085 */
	static const char turning[][4] = { { (char)0xe2, (char)0x80, (char)0x8e },
					   { (char)0xe2, (char)0x80, (char)0xae },
					   { (char)0xe2, (char)0x81, (char)0xa6 },
					   { (char)0xc2, (char)0x85 } };

	for (size_t i = 0; i < ARRAY_SIZE(turning); i++) {
		_cleanup_buf_ struct buf b = { 0 };
		html_text(&b, turning[i]);
		is_str(b.data, "\xef\xbf\xbd");
	}
	_cleanup_buf_ struct buf b = { 0 };
	html_text(&b, "a\xe2\x80\xa6");
	is_str(b.data, "a\xe2\x80\xa6");
}

TEST(prose_has_code_and_places_to_break)
{
	_cleanup_buf_ struct buf b = { 0 }, odd = { 0 };

	html_prose(&b, "a/b `x <y>` c`");
	is_str(b.data, "a/<wbr>b <code>x &lt;y&gt;</code> c`");
	html_prose(&odd, "`a/`");
	is_str(odd.data, "<code>a/<wbr></code>");
}

TEST(formats_escape_what_they_are_given_and_nothing_else)
{
	_cleanup_buf_ struct buf b = { 0 }, wrong = { 0 };

	html_fmt(&b, "<p class=\"%s\">%s 95%%</p>", "\"", "<");
	is_str(b.data, "<p class=\"&quot;\">&lt; 95%</p>");
	html_fmt(&wrong, "%d", 5);
	ok(wrong.failed);
}

/* Wherever a text can come from. */
static void make_hostile(struct comparison *c)
{
	static const char bad[] = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";

	is_int(comparison_init(c, bad, bad), 0);
	is_int(comparison_add_fact(c, bad, bad), 0);
	is_int(comparison_add_way(c, bad, bad), 0);
	is_int(comparison_add_way(c, "b", NULL), 1);
	is_int(comparison_add_figure(c, &(struct figure_kind){ bad, "x", bad, bad, bad }), 0);
	fixture_samples(c, "x", 0, 10, 1, 1);
	fixture_samples(c, "x", 1, 10, 100, 1);
	is_int(comparison_say_why_not(c, "stop", 0, bad), 0);
	is_int(comparison_add_wall(c, "w", bad, true, 0, bad), 0);
	free(c->began);
	free(c->berth);
	c->began = strdup(bad);
	c->berth = strdup(bad);
}

TEST(no_text_becomes_markup)
{
	_cleanup_(comparison_done) struct comparison c;
	_cleanup_(against_done) struct against a = { 0 };
	struct err e = { 0 };

	make_hostile(&c);
	is_int(comparison_against(&c, &c, &a, &e), 0);
	is_int(strv_push(&a.differences, "<script>"), 0);
	const char *page = FIXTURE_PRINTED(comparison_write_page(&c, &a, NULL, _fd, &_e));
	is_int(count(page, "<script"), 0);
	is_int(count(page, "<img"), 0);
	ok(count(page, "&lt;script&gt;") > 15);
	is_int(count(page, "onerror=alert(1)>"), 0);
	is_int(count(page, "onerror=alert(1)&gt;"),
	       count(page, "&lt;script&gt;alert(1)&lt;/script&gt;") + count(page, "&lt;script&gt;alert(1)&lt;/<wbr>script&gt;"));
}

TEST(all_that_is_measured_is_drawn_and_written)
{
	_cleanup_(comparison_done) struct comparison c;

	fixture_make(&c);
	const char *page = page_of(&c);
	/* four figures, the glance at all of them; one stage alone is no journey */
	is_int(count(page, "<svg class=\"plot\""), 5);
	is_int(count(page, "role=\"img\""), 5);
	is_int(count(page, "<title id="), 5);
	is_int(count(page, "<circle cx="), 20 * 2 + 6 * 4);
	has_str(page, "its disk is not of this host");
	has_str(page, "vm (TCG)");
	has_str(page, "219\u00d7");
	has_str(page, "Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-");
	is_int(count(page, "http"), 1); /* http-equiv */
	is_int(count(page, " style="), 0);
	ok(!strstr(page, "Stopped before its end"));
	c.was_interrupted = true;
	has_str(page_of(&c), "Stopped before its end");
}

TEST(a_page_of_nothing_says_so)
{
	_cleanup_(comparison_done) struct comparison c;

	is_int(comparison_init(&c, "t", NULL), 0);
	is_int(comparison_add_way(&c, "container", NULL), 0);
	has_str(page_of(&c), "Nothing was measured.");
	is_int(comparison_say_why_not(&c, "stop", 0, "it never ended"), 0);
	has_str(page_of(&c), "it never ended");
}

TEST(of_very_many_runs_some_are_drawn)
{
	_cleanup_(comparison_done) struct comparison c;

	is_int(comparison_init(&c, "t", NULL), 0);
	is_int(comparison_add_way(&c, "container", NULL), 0);
	fixture_samples(&c, "stop", 0, 5000, 1, 1);
	is_int(count(page_of(&c), "<circle cx="), 300);
}

TEST(conclusions_are_on_the_page)
{
	_cleanup_(comparison_done) struct comparison c;
	_cleanup_(recommendation_done) struct recommendation r = { 0 };
	_cleanup_(against_done) struct against a = { 0 };
	struct err e = { 0 };

	fixture_make(&c);
	is_int(comparison_recommend(&c, NEED_UNTRUSTED, &r, &e), 0);
	is_int(comparison_against(&c, &c, &a, &e), 0);
	const char *page = FIXTURE_PRINTED(comparison_write_page(&c, &a, &r, _fd, &_e));
	has_str(page, "Recommendation: a virtual machine");
	has_str(page, "asked for; it decides");
	has_str(page, "0 better, 0 worse, 7 without a difference");
}

TEST(a_page_that_can_not_be_written_is_an_error)
{
	_cleanup_(comparison_done) struct comparison c;
	_cleanup_fd_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct err e = { 0 };

	fixture_make(&c);
	is_int(comparison_write_page(&c, NULL, NULL, full, &e), -ENOSPC);
	has_str(e.msg, "writing the page: No space left");
}
TAP_MAIN()
