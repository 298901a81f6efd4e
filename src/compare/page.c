/* page.c: a comparison as one HTML page that needs nothing else: no script, no picture, no font from elsewhere, which its own policy forbids as well.
 * The one style sheet is allowed by its hash, so that no style of anybody else's would be. */
#include "page.h"

#include <stdio.h>

#include <nettle/sha2.h>

#include "base64.h"

static char *style_hash(void)
{
	struct sha256_ctx ctx;
	uint8_t sum[SHA256_DIGEST_SIZE];

	sha256_init(&ctx);
	sha256_update(&ctx, strlen(page_style), (const uint8_t *)page_style);
	sha256_digest(&ctx, sizeof(sum), sum);
	return base64_encode(sum, sizeof(sum));
}

static void put_head(const struct page *p)
{
	_cleanup_free_ char *hash = style_hash();

	p->out->failed |= !hash;
	buf_fmt(p->out,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-%s'; base-uri "
		"'none'; "
		"form-action 'none'\">\n"
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" "
		"content=\"light dark\">\n"
		"<meta name=\"referrer\" content=\"no-referrer\">\n",
		hash ? hash : "");
	html_fmt(p->out, "<title>%s</title>\n", p->c->title);
	buf_fmt(p->out, "<style>%s</style>\n</head>\n<body>\n", page_style);
}

/* "2026-11-23, 00:15 UTC" of RFC 3339; what is not in UTC stays as it is. */
char *page_when(const char *rfc3339)
{
	size_t n = strlen(rfc3339);

	return n > 17 && rfc3339[n - 1] == 'Z' ? str_fmt("%.10s, %.5s UTC", rfc3339, rfc3339 + 11) : strdup(rfc3339);
}

static void put_header(const struct page *p)
{
	const struct comparison *c = p->c;
	_cleanup_free_ char *began = page_when(c->began);

	html_fmt(p->out, "<header>\n<p class=\"kind\">Comparison by Berth %s</p>\n<h1><bdi>", c->berth);
	html_prose(p->out, c->title);
	buf_str(p->out, "</bdi></h1>\n<p class=\"what\">");
	for (size_t i = 0; i < c->n_ways; i++) {
		buf_str(p->out, !i ? "" : i + 1 < c->n_ways ? ", " : " and ");
		html_fmt(p->out, "<b>%s</b>", p->labels[i]);
	}
	html_fmt(p->out, " \u00b7 <time datetime=\"%s\">%s</time></p>\n", c->began, began ? began : c->began);
	if (c->was_interrupted)
		buf_str(p->out, "<p class=\"notice\"><b>Stopped before its end.</b> What is here was measured until then; "
				"figures may be of fewer "
				"runs than were asked for, or missing.</p>\n");
	buf_str(p->out, "</header>\n");
}

static void put_link(const struct page *p, const char *id, const char *text)
{
	html_fmt(p->out, "<li><a href=\"#%s\">%s</a></li>\n", id, text);
}

static void put_contents(const struct page *p, bool has_against, bool has_recommendation)
{
	buf_str(p->out, "<nav aria-label=\"Contents\"><ul>\n");
	if (has_recommendation)
		put_link(p, "recommendation", "Recommendation");
	if (has_against)
		put_link(p, "against", "Against the earlier run");
	for (size_t i = 0; i < p->c->n_figures; i++) {
		char id[32];
		snprintf(id, sizeof(id), "group-%zu", i);
		if (page_begins_group(p->c, i))
			put_link(p, id, p->c->figures[i].group);
	}
	if (p->c->n_walls)
		put_link(p, "walls", "Walls");
	put_link(p, "machine", "The machine");
	put_link(p, "method", "How it was measured");
	buf_str(p->out, "</ul></nav>\n");
}

static void put_body(const struct page *p, const struct against *a, const struct recommendation *r)
{
	put_header(p);
	put_contents(p, a, r);
	buf_str(p->out, "<main>\n");
	page_put_story(p);
	if (r)
		page_put_recommendation(p, r);
	if (a)
		page_put_against(p, a);
	page_put_costs(p);
	page_put_groups(p);
	page_put_walls(p);
	page_put_machine(p);
	page_put_method(p);
	buf_str(p->out, "</main>\n</body>\n</html>\n");
}

static int make_shown(const struct comparison *c, struct shown *shown)
{
	int r = shown ? 0 : -ENOMEM;

	for (size_t i = 0; i < c->n_figures && r == 0; i++)
		r = shown_of(&c->figures[i], c->n_ways, comparison_base(c), &shown[i]);
	return r;
}

int comparison_write_page(const struct comparison *c, const struct against *a, const struct recommendation *r, int fd,
			  struct err *e)
{
	struct shown *shown = calloc(c->n_figures + 1, sizeof(*shown));
	_cleanup_strv_ char **labels = NULL;
	_cleanup_buf_ struct buf out = { 0 };
	int status = make_shown(c, shown);

	for (size_t i = 0; i < c->n_ways && status == 0; i++)
		status = strv_push_take(&labels, way_label(&c->ways[i]));
	if (status == 0) {
		struct page p = { &out, c, shown, labels, comparison_base(c) };
		put_head(&p);
		put_body(&p, a, r);
		status = out.failed ? -ENOMEM : fd_write_full(fd, out.data, out.len);
	}
	for (size_t i = 0; shown && i < c->n_figures; i++)
		shown_done(&shown[i]);
	free(shown);
	return status < 0 ? err_set(e, -status, "writing the page: %s", strerror(-status)) : 0;
}
