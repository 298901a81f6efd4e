/* engine.c: the handle that every deed begins with: where things are, and the store with its records. */
#include "engine_impl.h"

int engine_new(const struct paths *p, struct engine **ret, struct err *e)
{
	struct engine *en = calloc(1, sizeof(*en));

	if (!en)
		return OUT_OF_MEMORY(e);
	en->paths = p;
	timeline_mark(&en->timeline, "begin");
	*ret = en;
	return 0;
}

int engine_open_store(struct engine *en, struct err *e)
{
	int r = en->store ? 0 : store_open(en->paths, &en->store, e);

	if (r < 0)
		return r;
	en->records = store_records(en->store);
	timeline_mark(&en->timeline, "store open");
	return 0;
}

int engine_open(const struct paths *p, struct engine **ret, struct err *e)
{
	_cleanup_(engine_close_ptr) struct engine *en = NULL;
	int r = engine_new(p, &en, e);

	if (r == 0)
		r = engine_open_store(en, e);
	if (r == 0)
		*ret = TAKE_PTR(en);
	return r;
}

void engine_close(struct engine *en)
{
	if (!en)
		return;
	store_close(en->store);
	for (size_t i = 0; i < ARRAY_SIZE(en->doomed); i++) {
		int r = en->doomed[i] ? rm_rf(AT_FDCWD, en->doomed[i]) : 0;
		if (r < 0)
			log_warn("rm", "%s: %s; `berth system prune` removes it", en->doomed[i], strerror(-r));
		free(en->doomed[i]);
	}
	free(en);
}

const struct paths *engine_paths(const struct engine *en) { return en->paths; }

struct store *engine_store(struct engine *en) { return en->store; }

char *container_dir(const struct paths *p, const char *id) { return str_fmt("%s/containers/%s", p->root, id); }
