/* prune.c: see prune.h; `berth container prune`. */
#include "prune.h"

const struct opt container_prune_options[] = {
	{ "force", 'f', OPT_FLAG, offsetof(struct prune_args, force), NULL, "for docker's sake: nothing is ever asked" },
	{ NULL },
};

int prune_containers(struct cli *c, struct err *e)
{
	struct container_record *list;
	size_t n = 0;
	int r = engine_list(c->engine, true, &list, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (container_is_up(list[i].state))
			continue;
		r = engine_remove(c->engine, list[i].id, false, false, e);
		if (r >= 0)
			puts(list[i].id);
		else if (r == -ENOENT || r == -EBUSY) /* gone or started meanwhile */
			r = 0;
	}
	engine_list_free(list, n);
	return r;
}

static void print_line(const char *line, void *arg)
{
	(void)arg;
	puts(line);
}

int prune_images(struct cli *c, bool all, struct err *e)
{
	struct records *records = store_records(engine_store(c->engine));
	struct image_record *images = NULL;
	size_t n = 0;
	int r = records_image_list(records, &images, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		_cleanup_strv_ char **refs = NULL, **ids = NULL;
		r = records_tags(records, images[i].id, &refs, &ids, e);
		if (r < 0 || (strv_len(refs) > 0 && !all))
			continue;
		/* By its tags, so that each is reported; -EBUSY: a container uses it. */
		for (char **ref = refs; r >= 0 && ref && *ref; ref++)
			r = image_remove(engine_store(c->engine), *ref, false, print_line, NULL, e);
		if (r >= 0 && strv_len(refs) == 0)
			r = image_remove(engine_store(c->engine), images[i].id, false, print_line, NULL, e);
		if (r == -EBUSY || r == -ENOENT)
			r = 0;
	}
	for (size_t i = 0; i < n; i++)
		image_record_done(&images[i]);
	free(images);
	return r;
}

int cmd_container_prune(struct cli *c, struct err *e)
{
	struct prune_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	return r == 0 ? prune_containers(c, e) : MIN(r, 0);
}
