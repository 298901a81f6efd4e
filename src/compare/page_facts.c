/* page_facts.c: what stands between the workload and the host, where it was measured, and how. */
#include "page.h"

static void put_wall(const struct page *p, const struct wall *w)
{
	html_fmt(p->out, "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">%s</th>", w->title);
	for (size_t i = 0; i < p->c->n_ways; i++)
		if (comparison_has_walls(p->c, i))
			html_fmt(p->out, "<td role=\"cell\" data-way=\"%s\">%s</td>", p->labels[i],
				 w->of_way[i] ? w->of_way[i] : "not known");
	buf_str(p->out, "</tr>\n");
}

void page_put_walls(const struct page *p)
{
	if (!p->c->n_walls)
		return;
	buf_str(p->out, "<section id=\"walls\">\n<h2>Walls</h2>\n<p>What stands between the workload and the host, as it was "
			"found from inside the "
			"workload and from outside it.</p>\n<table class=\"ways walls\" role=\"table\">\n<thead "
			"role=\"rowgroup\"><tr role=\"row\">"
			"<th scope=\"col\" role=\"columnheader\">Wall</th>");
	for (size_t i = 0; i < p->c->n_ways; i++)
		if (comparison_has_walls(p->c, i))
			html_fmt(p->out, "<th scope=\"col\" role=\"columnheader\">%s</th>", p->labels[i]);
	buf_str(p->out, "</tr></thead>\n<tbody role=\"rowgroup\">\n");
	for (size_t i = 0; i < p->c->n_walls; i++)
		put_wall(p, &p->c->walls[i]);
	buf_str(p->out, "</tbody>\n</table>\n</section>\n");
}

void page_put_machine(const struct page *p)
{
	const struct string_map *m = &p->c->machine;

	buf_str(p->out, "<section id=\"machine\">\n<h2>The machine</h2>\n<dl class=\"facts\">\n");
	for (size_t i = 0; m->keys && m->keys[i]; i++)
		html_fmt(p->out, "<div><dt>%s</dt><dd>%s</dd></div>\n", m->keys[i], m->values[i]);
	if (p->c->image)
		html_fmt(p->out, "<div><dt>Image</dt><dd>%s</dd></div>\n", p->c->image);
	html_fmt(p->out, "<div><dt>Began</dt><dd>%s</dd></div>\n<div><dt>Berth</dt><dd>%s</dd></div>\n</dl>\n</section>\n",
		 p->c->began, p->c->berth);
}

void page_put_method(const struct page *p)
{
	buf_str(p->out, "<section id=\"method\">\n<h2>How it was measured</h2>\n"
			"<p>The ways took turns on this machine: the first, the second and so on, and then the first again, so "
			"that what changes on "
			"the machine meanwhile meets them all. What each figure is stands above it.</p>\n"
			"<dl class=\"terms\">\n"
			"<div><dt>median, p95, p99</dt><dd>Percentiles by nearest rank: each is a run that happened. A p95 needs "
			"20 runs, a p99 100; "
			"of fewer the most is given.</dd></div>\n"
			"<div><dt>spread</dt><dd>Two of the runs, between which the median of all possible runs lies with at "
			"least 95\u202f% confidence, "
			"however they are distributed. Of fewer than six runs no two can say as much; then it is the least and "
			"the most, with the "
			"confidence that they have.</dd></div>\n"
			"<div><dt>times</dt><dd>The median over the median of the way that the others are compared with: the "
			"first that has the first figure.</dd></div>\n"
			"<div><dt>accelerator</dt><dd>What runs a virtual machine's instructions: KVM with the processor's own "
			"support (hardware), KVM in a "
			"host that is itself a guest without it (paravirtual), or QEMU's emulation (TCG), whose figures say "
			"little about VMs on "
			"hosts with KVM.</dd></div>\n"
			"<div><dt>the drawings</dt><dd>A dot is a run; the box is the middle half of them (from five runs on), "
			"the upright line the "
			"median, the bar below its spread. Of more than 300 runs 300 are drawn, evenly from the least to the "
			"most.</dd></div>\n"
			"</dl>\n</section>\n");
}
