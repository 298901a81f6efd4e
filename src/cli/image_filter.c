/* image_filter.c: see image_row.h. */
#include "filter.h"
#include "image_row.h"

/* 0 where it is not known. */
static uint64_t made_ns(const struct image_record *i)
{
	uint64_t ns = 0;

	return i->created && clock_parse(i->created, &ns) == 0 ? ns : 0;
}

static int made_of(struct cli *c, const char *name, uint64_t *ret_ns, struct err *e)
{
	struct image image = { 0 };
	uint64_t ns = 0;
	int r = image_find(engine_store(c->engine), name, &image, e);

	if (r < 0)
		return r;
	if (image.config.created && clock_parse(image.config.created, &ns) < 0)
		ns = 0;
	image_done(&image);
	*ret_ns = ns;
	return 0;
}

int image_filters_read(struct cli *c, char *const *filters, struct image_span *ret, struct err *e)
{
	struct image_span s = { 0 };
	const char *v;
	uint64_t ns = 0;
	int r = 0;

	for (char *const *at = filters; r == 0 && (v = filter_next(&at, "dangling"));)
		if (filter_bool(v) < 0)
			r = err_set(e, EINVAL, "--filter: \"dangling=%s\": it is true or false", v);
	for (char *const *at = filters; r == 0 && (v = filter_next(&at, "since")); s.after_ns = MAX(s.after_ns, ns))
		r = made_of(c, v, &ns, e);
	for (char *const *at = filters; r == 0 && (v = filter_next(&at, "before"));) {
		r = made_of(c, v, &ns, e);
		s.before_ns = s.before_ns ? MIN(s.before_ns, ns) : ns;
	}
	for (char *const *at = filters; r == 0 && (v = filter_next(&at, "until"));) {
		r = cli_read_time("--filter until", v, &ns, e);
		s.before_ns = s.before_ns ? MIN(s.before_ns, ns) : ns;
	}
	*ret = s;
	return r;
}

bool image_in_span(const struct image_record *i, const struct image_span *s)
{
	uint64_t made = made_ns(i);

	return (!s->after_ns || made > s->after_ns) && (!s->before_ns || made < s->before_ns);
}

bool image_filter_matches(const struct image_record *i, const char *key, const char *value)
{
	struct image_config config = { 0 };
	bool has;

	if (!streq(key, "label") && !streq(key, "label!"))
		return true;
	if (!i->config_json || image_config_parse(i->config_json, strlen(i->config_json), &config, NULL) < 0)
		return streq(key, "label!");
	has = filter_label(&config.config.labels, value);
	image_config_done(&config);
	return has == streq(key, "label");
}
