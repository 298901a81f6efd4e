/* system.c: `berth info`, `version`, `system prune`, `image prune`. */
#include "cli.h"
#include "output.h"
#include "prune.h"

struct format_args {
	char *format;
};
const struct opt info_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct format_args, format), "FORMAT",
	  "json, or a template such as {{.Containers}}" },
	{ NULL },
};
const struct opt version_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct format_args, format), "FORMAT",
	  "json, or a template such as {{.Client.Version}}" },
	{ NULL },
};

static int print_info(struct json_object *o, const char *format, struct err *e)
{
	return format ? document_print(o, format, e) : document_print_lines(o, e);
}

int cmd_info(struct cli *c, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct format_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = engine_info(c->engine, &o, e);
	if (r == 0)
		r = print_info(o, a.format, e);
	opts_done(info_options, &a);
	return MIN(r, 0);
}

static int add_program(struct json_object *o, const char *key)
{
	struct json_object *p = json_object_new_object();
	struct platform host;
	int r = platform_parse(NULL, &host, NULL);

	if (r >= 0 && (json_add(p, "Version", json_object_new_string(berth_version())) < 0 ||
		       json_add(p, "BuildId", json_object_new_string(build_id())) < 0 ||
		       json_add(p, "Os", json_object_new_string("linux")) < 0 ||
		       json_add(p, "Arch", json_object_new_string(host.arch)) < 0))
		r = -ENOMEM;
	if (r < 0) {
		json_object_put(p);
		return r;
	}
	return json_add(o, key, p);
}

/* There is no daemon: Server, which docker's users ask for, is the same program. */
int cmd_version(struct cli *c, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct format_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0 && (add_program(o, "Client") < 0 || (a.format && add_program(o, "Server") < 0)))
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0)
		r = print_info(o, a.format, e);
	opts_done(version_options, &a);
	return MIN(r, 0);
}

const struct opt image_prune_options[] = {
	{ "all", 'a', OPT_FLAG, offsetof(struct prune_args, all), NULL, "also tagged images that no container uses" },
	{ "filter", 0, OPT_LIST, offsetof(struct prune_args, filters), "KEY=VALUE", "only some: label, label! or until" },
	{ "force", 'f', OPT_FLAG, offsetof(struct prune_args, force), NULL, PRUNE_FORCE_HELP },
	{ NULL },
};
const struct opt system_prune_options[] = {
	{ "all", 'a', OPT_FLAG, offsetof(struct prune_args, all), NULL, "also tagged images that no container uses" },
	{ "volumes", 0, OPT_FLAG, offsetof(struct prune_args, volumes), NULL,
	  "also volumes without a name that no container uses" },
	{ "filter", 0, OPT_LIST, offsetof(struct prune_args, filters), "KEY=VALUE", "only some: label, label! or until" },
	{ "force", 'f', OPT_FLAG, offsetof(struct prune_args, force), NULL, PRUNE_FORCE_HELP },
	{ NULL },
};

static const char *images_text(const struct prune_args *a)
{
	return a->all ? "all images that no container uses" : "all images without a name that no container uses";
}

int cmd_image_prune(struct cli *c, struct err *e)
{
	struct prune_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0 && (r = prune_asked(images_text(&a), a.force, e)) > 0) {
		r = prune_images(c, a.all, a.filters, e);
		if (r == 0)
			r = engine_sweep(c->engine, e);
	}
	opts_done(image_prune_options, &a);
	return MIN(r, 0);
}

static int prune_system(struct cli *c, const struct prune_args *a, struct err *e)
{
	uint64_t freed = 0;
	int r = prune_containers(c, a->filters, e);

	if (r == 0)
		r = prune_networks(c, a->filters, e);
	if (r == 0 && a->volumes)
		r = prune_volumes(c, false, a->filters, &freed, e);
	if (r == 0)
		r = prune_images(c, a->all, a->filters, e);
	return r == 0 ? engine_sweep(c->engine, e) : r;
}

int cmd_system_prune(struct cli *c, struct err *e)
{
	struct prune_args a = { 0 };
	_cleanup_free_ char *what = NULL;
	int r = cli_parse(c, &a, 0, 0, e);

	for (char **f = a.filters; r == 0 && a.volumes && f && *f; f++)
		if (str_after(*f, "until="))
			r = err_set(e, EINVAL, "--filter until is not for volumes; leave --volumes out");
	what = str_fmt("all containers that do not run, all networks that no container is on, %s%s", images_text(&a),
		       a.volumes ? ", all volumes without a name that no container uses" : "");
	if (r == 0 && !what)
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0 && (r = prune_asked(what, a.force, e)) > 0)
		r = prune_system(c, &a, e);
	opts_done(system_prune_options, &a);
	return MIN(r, 0);
}
