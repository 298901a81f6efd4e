/* pick.c: the containers that --all and --latest mean, in the place of names. */
#include "cli.h"

static int pick_latest(struct cli *c, int others, struct err *e)
{
	_cleanup_strv_ char **picked = NULL;
	struct container_record *list = NULL;
	size_t n = 0;
	int r;

	if (others >= 0 && c->n_operands > others)
		return err_set(e, EINVAL, "--latest names the container; leave \"%s\" out", c->operands[0]);
	r = engine_list(c->engine, true, &list, &n, e); /* the newest first */
	if (r < 0)
		return r;
	if (n == 0)
		r = err_set(e, ENOENT, "--latest: there is no container");
	else if (strv_push(&picked, list[0].id) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	engine_list_free(list, n);
	for (int i = 0; r >= 0 && i < c->n_operands; i++)
		if (strv_push(&picked, c->operands[i]) < 0)
			r = err_set(e, ENOMEM, "out of memory");
	if (r < 0)
		return r;
	c->picked = TAKE_PTR(picked);
	c->n_operands++;
	return 0;
}

static int pick_all(struct cli *c, unsigned states, struct err *e)
{
	_cleanup_strv_ char **picked = NULL;
	struct container_record *list = NULL;
	size_t n = 0;
	int r;

	if (c->n_operands)
		return err_set(e, EINVAL, "--all names the containers; leave \"%s\" out", c->operands[0]);
	r = engine_list(c->engine, true, &list, &n, e);
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (states & 1u << list[i].state && strv_push(&picked, list[i].id) < 0)
			r = err_set(e, ENOMEM, "out of memory");
	engine_list_free(list, n);
	if (r < 0)
		return r;
	c->n_operands = (int)strv_len(picked);
	c->picked = TAKE_PTR(picked);
	return 0;
}

int cli_pick(struct cli *c, const struct pick *p, unsigned states, int others, struct err *e)
{
	int r = 0;

	if (p->all && p->latest)
		return err_set(e, EINVAL, "--all and --latest exclude each other");
	if (p->latest)
		r = pick_latest(c, others, e);
	else if (p->all)
		r = pick_all(c, states, e);
	else if (c->n_operands < 1)
		r = err_set(e, EINVAL, "an operand is missing; usage: berth %s [OPTION...] %s", c->command->name,
			    c->command->operands);
	if (r >= 0 && c->picked)
		c->operands = c->picked;
	return r;
}
