/* inspect.c: `berth inspect` and `berth image inspect`. */
#include "cli.h"
#include "output.h"

struct inspect_args {
	char *format, *type;
	bool size;
};
const struct opt inspect_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct inspect_args, format), "FORMAT",
	  "json, or a template such as {{.State.Status}}" },
	{ "type", 0, OPT_STRING, offsetof(struct inspect_args, type), "KIND", "only container or only image" },
	{ "size", 's', OPT_FLAG, offsetof(struct inspect_args, size), NULL, NULL },
	{ NULL },
};
const struct opt image_inspect_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct inspect_args, format), "FORMAT",
	  "json, or a template such as {{.Config.Cmd}}" },
	{ NULL },
};

static int look_up(struct cli *c, const char *name, const char *type, struct json_object **ret, struct err *e)
{
	bool wants_container = !type || streq(type, "container"), wants_image = !type || streq(type, "image");
	int r = -ENOENT;

	if (wants_container)
		r = engine_inspect_container(c->engine, name, ret, e);
	if (r == -ENOENT && wants_image) {
		*e = (struct err){ 0 };
		r = engine_inspect_image(c->engine, name, ret, e);
	}
	return r == -ENOENT && !type ? err_set(e, ENOENT, "no such object: %s", name) : r;
}

/* All that is found is printed, also when a name is wrong: docker prints the list and then the error. */
static int inspect_all(struct cli *c, const struct inspect_args *a, struct err *e)
{
	_cleanup_json_ struct json_object *all = json_object_new_array();
	int status = 0, r = 0;

	if (!all)
		return err_set(e, ENOMEM, "out of memory");
	for (int i = 0; i < c->n_operands; i++) {
		struct json_object *o = NULL;
		struct err why = { 0 };
		if (look_up(c, c->operands[i], a->type, &o, &why) < 0)
			status = cli_report(c, &why);
		else if (json_object_array_add(all, o) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	if (!a->format)
		return document_print(all, NULL, e) < 0 ? -EIO : status;
	for (size_t i = 0; r >= 0 && i < json_object_array_length(all); i++)
		r = document_print(json_object_array_get_idx(all, i), a->format, e);
	return r < 0 ? r : status;
}

int cmd_inspect(struct cli *c, struct err *e)
{
	struct inspect_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	if (r == 0 && a.type && !streq(a.type, "container") && !streq(a.type, "image"))
		r = err_set(e, EINVAL, "--type: \"%s\" is not known; container and image are", a.type);
	r = r == 0 ? inspect_all(c, &a, e) : MIN(r, 0);
	opts_done(inspect_options, &a);
	return r;
}

int cmd_image_inspect(struct cli *c, struct err *e)
{
	char type[] = "image";
	struct inspect_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	a.type = type;
	r = r == 0 ? inspect_all(c, &a, e) : MIN(r, 0);
	opts_done(image_inspect_options, &a);
	return r;
}
