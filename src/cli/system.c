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

int cmd_version(struct cli *c, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *client = json_object_new_object();
	struct format_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (json_add(o, "Client", client) < 0 || json_add(client, "Version", json_object_new_string(berth_version())) < 0 ||
	    json_add(client, "BuildId", json_object_new_string(build_id())) < 0 ||
	    json_add(client, "Os", json_object_new_string("linux")) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0)
		r = print_info(o, a.format, e);
	opts_done(version_options, &a);
	return MIN(r, 0);
}

const struct opt image_prune_options[] = {
	{ "all", 'a', OPT_FLAG, offsetof(struct prune_args, all), NULL, "also tagged images that no container uses" },
	{ "force", 'f', OPT_FLAG, offsetof(struct prune_args, force), NULL, "for docker's sake: nothing is ever asked" },
	{ NULL },
};
const struct opt system_prune_options[] = {
	{ "all", 'a', OPT_FLAG, offsetof(struct prune_args, all), NULL, "also tagged images that no container uses" },
	{ "volumes", 0, OPT_FLAG, offsetof(struct prune_args, volumes), NULL,
	  "also volumes without a name that no container uses" },
	{ "force", 'f', OPT_FLAG, offsetof(struct prune_args, force), NULL, "for docker's sake: nothing is ever asked" },
	{ NULL },
};

int cmd_image_prune(struct cli *c, struct err *e)
{
	struct prune_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = prune_images(c, a.all, e);
	if (r == 0)
		r = engine_sweep(c->engine, e);
	return MIN(r, 0);
}

int cmd_system_prune(struct cli *c, struct err *e)
{
	struct prune_args a = { 0 };
	uint64_t freed = 0;
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = prune_containers(c, e);
	if (r == 0 && a.volumes)
		r = prune_volumes(c, false, NULL, &freed, e);
	if (r == 0)
		r = prune_images(c, a.all, e);
	if (r == 0)
		r = engine_sweep(c->engine, e);
	return MIN(r, 0);
}
