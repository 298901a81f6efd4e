/* prune.c: see prune.h; `berth container prune`. */
#include "prune.h"

#include "filter.h"
#include "image_row.h"

#include <unistd.h>

const struct opt container_prune_options[] = {
	{ "filter", 0, OPT_LIST, offsetof(struct prune_args, filters), "KEY=VALUE", "only some: label, label! or until" },
	{ "force", 'f', OPT_FLAG, offsetof(struct prune_args, force), NULL, PRUNE_FORCE_HELP },
	{ NULL },
};

int prune_asked(const char *what, bool force, struct err *e)
{
	_cleanup_free_ char *line = NULL;
	size_t n = 0;

	if (force || !isatty(STDIN_FILENO))
		return 1;
	printf("WARNING! This will remove %s.\nAre you sure you want to continue? [y/N] ", what);
	int r = cli_flush(e);
	if (r < 0)
		return r;
	return getline(&line, &n, stdin) > 0 && (strcasecmp(line, "y\n") == 0 || strcasecmp(line, "yes\n") == 0);
}

static bool container_matches(const void *thing, const char *key, const char *value)
{
	const struct container_record *c = thing;
	uint64_t ns = 0;
	struct err e = { 0 };

	if (streq(key, "until"))
		return cli_read_time("until", value, &ns, &e) == 0 && c->created_ns < ns;
	return filter_label(&c->labels, value) == streq(key, "label");
}

int prune_check_filters(char *const *filters, struct err *e)
{
	static const char *const known[] = { "label", "label!", "until", NULL };
	const char *v;
	uint64_t ns;
	int r = filters_check(filters, known, e);

	for (char *const *at = filters; r == 0 && (v = filter_next(&at, "until"));)
		r = cli_read_time("--filter until", v, &ns, e);
	return r;
}

int prune_containers(struct cli *c, char *const *filters, struct err *e)
{
	struct container_record *list = NULL;
	size_t n = 0;
	int r = prune_check_filters(filters, e);

	if (r >= 0)
		r = engine_list(c->engine, true, &list, &n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (container_is_up(list[i].state) || !filters_pass(filters, container_matches, &list[i]))
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

static bool image_matches(const void *thing, const char *key, const char *value)
{
	return image_filter_matches(thing, key, value);
}

/* By its tags, so that each is reported. */
static int prune_image(struct cli *c, const struct image_record *i, bool all, struct err *e)
{
	_cleanup_strv_ char **refs = NULL, **ids = NULL;
	int r = records_tags(store_records(engine_store(c->engine)), i->id, &refs, &ids, e);

	if (r < 0 || (strv_len(refs) > 0 && !all))
		return r;
	for (char **ref = refs; r >= 0 && ref && *ref; ref++)
		r = image_remove(engine_store(c->engine), *ref, false, print_line, NULL, e);
	if (r >= 0 && strv_len(refs) == 0)
		r = image_remove(engine_store(c->engine), i->id, false, print_line, NULL, e);
	return r == -EBUSY || r == -ENOENT ? 0 : r; /* a container uses it, or it is gone */
}

int prune_images(struct cli *c, bool all, char *const *filters, struct err *e)
{
	struct image_record *images = NULL;
	struct image_span span = { 0 };
	size_t n = 0;
	int r = prune_check_filters(filters, e);

	if (r >= 0)
		r = image_filters_read(c, filters, &span, e);
	if (r >= 0)
		r = records_image_list(store_records(engine_store(c->engine)), &images, &n, e);
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (image_in_span(&images[i], &span) && filters_pass(filters, image_matches, &images[i]))
			r = prune_image(c, &images[i], all, e);
	for (size_t i = 0; i < n; i++)
		image_record_done(&images[i]);
	free(images);
	return r;
}

int cmd_container_prune(struct cli *c, struct err *e)
{
	struct prune_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0 && (r = prune_asked("all containers that do not run", a.force, e)) > 0)
		r = prune_containers(c, a.filters, e);
	opts_done(container_prune_options, &a);
	return MIN(r, 0);
}
