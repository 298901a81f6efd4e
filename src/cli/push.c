/* push.c: `berth push`. */
#include "cli.h"
#include "registry_options.h"

struct push_args {
	struct registry_trust trust;
	bool quiet, all_tags;
};
const struct opt push_options[] = {
	{ "all-tags", 'a', OPT_FLAG, offsetof(struct push_args, all_tags), NULL, "every tag of the repository that IMAGE names" },
	{ "quiet", 'q', OPT_FLAG, offsetof(struct push_args, quiet), NULL, "no progress" },
	REGISTRY_OPTIONS(struct push_args, trust),
	{ NULL },
};

static int push_one(struct cli *c, const char *name, const char *to, const struct push_args *a, struct err *e)
{
	const struct push_opts o = { .is_quiet = a->quiet, .trust = a->trust };
	_cleanup_(ref_done) struct ref ref = { 0 };
	_cleanup_(pushed_done) struct pushed p = { 0 };
	int r = engine_push(c->engine, name, to, &o, &p, e);

	if (r >= 0)
		r = ref_parse(p.ref, NULL, &ref, e);
	if (r < 0)
		return r;
	if (a->quiet)
		puts(p.ref);
	else /* docker's last line */
		printf("%s: digest: %s size: %llu\n", ref.tag, p.digest, (unsigned long long)p.manifest_bytes);
	return 0;
}

/* All of the records' names in the repository of `name`. */
static int push_all(struct cli *c, const char *name, const struct push_args *a, struct err *e)
{
	_cleanup_strv_ char **refs = NULL, **ids = NULL;
	_cleanup_(ref_done) struct ref wanted = { 0 };
	const char *slash = strrchr(name, '/');
	unsigned n = 0;
	int r = ref_parse(name, NULL, &wanted, e);

	if (r >= 0 && (wanted.digest || strchr(slash ? slash : name, ':')))
		return err_set(e, EINVAL, "tag can't be used with --all-tags/-a: \"%s\"", name);
	if (r >= 0)
		r = records_tags(store_records(engine_store(c->engine)), NULL, &refs, &ids, e);
	for (size_t i = 0; r >= 0 && refs && refs[i]; i++) {
		_cleanup_(ref_done) struct ref one = { 0 };

		if (ref_parse(refs[i], NULL, &one, NULL) < 0 || !one.tag || !streq(one.domain, wanted.domain) ||
		    !streq(one.path, wanted.path))
			continue;
		r = push_one(c, refs[i], refs[i], a, e);
		n++;
	}
	return r < 0 || n ? r : err_set(e, ENOENT, "no image here has a name in the repository %s", name);
}

int cmd_push(struct cli *c, struct err *e)
{
	struct push_args a = { 0 };
	int r = cli_parse(c, &a, 1, 2, e);

	if (r == 0 && a.all_tags && c->n_operands == 2)
		r = err_set(e, EINVAL, "--all-tags pushes names as they are, and takes no second one");
	if (r == 0)
		r = a.all_tags ? push_all(c, c->operands[0], &a, e)
			       : push_one(c, c->operands[0], c->operands[c->n_operands - 1], &a, e);
	opts_done(push_options, &a);
	return MIN(r, 0);
}
