/* engine.c: the handle that every deed begins with: where things are, and the store with its records. */
#include "engine_impl.h"

int engine_open(const struct paths *p, struct engine **ret, struct err *e)
{
	struct engine *en = calloc(1, sizeof(*en));
	int r;

	if (!en)
		return OUT_OF_MEMORY(e);
	en->paths = p;
	r = store_open(p, &en->store, e);
	if (r < 0) {
		free(en);
		return r;
	}
	en->records = store_records(en->store);
	*ret = en;
	return 0;
}

void engine_close(struct engine *en)
{
	if (!en)
		return;
	store_close(en->store);
	rm_held_close(&en->held);
	free(en);
}

struct store *engine_store(struct engine *en) { return en->store; }

const struct paths *engine_paths(const struct engine *en) { return en->paths; }

char *container_dir(const struct paths *p, const char *id) { return str_fmt("%s/containers/%s", p->root, id); }
