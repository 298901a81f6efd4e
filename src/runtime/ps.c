/* ps: the processes of a container, as numbers or as the host's ps(1) shows them. */
#include <stdio.h>

#include "ps_table.h"
#include "record.h"

const struct opt ps_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(union verb_opts, ps_format), "FORMAT", "table or json" },
	{ NULL },
};

struct pids {
	pid_t *v;
	size_t n;
};

static void print_json(const struct pids *p)
{
	putchar('[');
	for (size_t i = 0; i < p->n; i++)
		printf("%s%d", i ? "," : "", (int)p->v[i]);
	puts("]");
}

int verb_ps(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	const char *format = opts->ps_format ? opts->ps_format : "table";
	_cleanup_held_ struct held h = HELD_NONE;
	struct host host = { 0 };
	struct pids p = { 0 };
	int r;

	if (!streq(format, "json") && !streq(format, "table"))
		return err_set(e, EINVAL, "--format: \"%s\" is neither table nor json", format);
	r = record_open(rt, rt->operands[0], UNLOCKED, &h, e);
	if (r == 0)
		r = host_probe_cgroup(&host, e);
	if (r == 0)
		r = record_pids(&h.rec, &host, &p.v, &p.n, e);
	if (r == 0 && streq(format, "json"))
		print_json(&p);
	else if (r == 0)
		r = ps_table_print(p.v, p.n, rt->operands + 1, e);
	free(p.v);
	host_done(&host);
	return r;
}
