/* walls_print: walls as a table. */
#include "grid.h"
#include "walls.h"

#define TITLE_WIDTH 34u
#define GAP         2u
#define LEAST_WIDTH 30u /* of a way, else they come below each other */

int walls_print(const struct comparison *c, int fd, size_t width, struct err *e)
{
	size_t rest = width > TITLE_WIDTH ? width - TITLE_WIDTH : 0, share = c->n_ways ? rest / c->n_ways : rest;
	struct grid g = { .n_columns = c->n_ways + 1, .widest = share > LEAST_WIDTH + GAP ? share - GAP : 0 };
	_cleanup_buf_ struct buf out = { 0 };
	int r;

	grid_add(&g, "");
	for (size_t i = 0; i < c->n_ways; i++) {
		_cleanup_free_ char *label = way_label(&c->ways[i]);
		grid_add(&g, label ? label : c->ways[i].name);
	}
	for (size_t k = 0; k < c->n_walls; k++) {
		grid_add(&g, c->walls[k].title);
		for (size_t i = 0; i < c->n_ways; i++)
			grid_add(&g, c->walls[k].of_way[i] ? c->walls[k].of_way[i] : "-");
	}
	grid_put(&g, width, MIN(TITLE_WIDTH, width / 3), &out);
	grid_done(&g);
	if (out.failed)
		return err_set(e, ENOMEM, "out of memory");
	r = fd_write_full(fd, out.data, out.len);
	return r < 0 ? err_set(e, -r, "the table: %s", strerror(-r)) : 0;
}
