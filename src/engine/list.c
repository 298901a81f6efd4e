/* list.c: containers, as they truly are. */
#include "engine_impl.h"

void engine_list_free(struct container_record *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		container_record_done(&list[i]);
	free(list);
}

int engine_record_options(const struct container_record *c, struct run_opts *ret, struct err *e)
{
	return options_parse(c->options_json, ret, e);
}

/* All records are looked at, also for `ps` without -a: what is said to be exited may run, and the other way round. */
int engine_list(struct engine *en, bool all, struct container_record **ret, size_t *ret_n, struct err *e)
{
	struct container_record *list = NULL;
	size_t n = 0, kept = 0;
	int r = records_container_list(en->records, true, &list, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct err why = { 0 };
		bool gone = false;
		/* One that can't be set right is shown as recorded: it must not hide the others. */
		if (reconcile_one(en, &list[i], &gone, &why) < 0)
			log_debug("list", "%s: %s", list[i].name, why.msg);
		if (gone || (!all && !container_is_up(list[i].state)))
			container_record_done(&list[i]);
		else
			list[kept++] = list[i];
	}
	*ret = list;
	*ret_n = kept;
	return 0;
}
