/* page: the parts of the page, one a file; page.c puts them together. Each appends to p->out, and marks a failure there. */
#pragma once

#include "compare.h"
#include "html.h"
#include "shown.h"

struct page {
	struct buf *out;
	const struct comparison *c;
	const struct shown *shown; /* one a figure, in the comparison's order */
	char **labels;             /* strv: one a way, "vm (TCG)" */
	size_t base;               /* the way that the others are compared with */
};
extern const char page_style[];

/* "2026-11-23, 00:15 UTC" of RFC 3339; caller frees. NULL on ENOMEM. */
char *page_when(const char *rfc3339);

/* page_story.c: what a reader sees first: how long it takes until it runs. */
void page_put_story(const struct page *p);
/* page_cost.c: all figures as multiples of the first way's. */
void page_put_costs(const struct page *p);
/* page_figures.c: each group with its figures' plots and numbers. */
void page_put_groups(const struct page *p);
/* The id of a group's heading: "group-3"; the group is known by the place of its first figure. */
bool page_begins_group(const struct comparison *c, size_t figure);
/* page_said.c: what was concluded. */
void page_put_against(const struct page *p, const struct against *a);
void page_put_recommendation(const struct page *p, const struct recommendation *r);
/* page_facts.c: walls, the machine, how it was measured. */
void page_put_walls(const struct page *p);
void page_put_machine(const struct page *p);
void page_put_method(const struct page *p);
