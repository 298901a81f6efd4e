/* inspect.c: `berth inspect`, `container inspect`, `image inspect`. */
#include "cli.h"
#include "output.h"

struct inspect_args {
	char *format, *type;
	bool size;
	struct pick pick;
};
const struct opt inspect_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct inspect_args, format), "FORMAT",
	  "json, or a template such as {{.State.Status}}" },
	{ "type", 't', OPT_STRING, offsetof(struct inspect_args, type), "KIND", "only container, image, volume or network" },
	{ "size", 's', OPT_FLAG, offsetof(struct inspect_args, size), NULL,
	  "of containers also SizeRw and SizeRootFs, in bytes" },
	PICK_LATEST(struct inspect_args, 'l'),
	{ NULL },
};
const struct opt container_inspect_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct inspect_args, format), "FORMAT",
	  "json, or a template such as {{.State.Status}}" },
	{ "size", 's', OPT_FLAG, offsetof(struct inspect_args, size), NULL, "also SizeRw and SizeRootFs, in bytes" },
	PICK_LATEST(struct inspect_args, 'l'),
	{ NULL },
};
const struct opt image_inspect_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct inspect_args, format), "FORMAT",
	  "json, or a template such as {{.Config.Cmd}}" },
	{ NULL },
};

static int add_sizes(struct cli *c, const char *name, struct json_object *o, struct err *e)
{
	uint64_t rw, root;
	struct container_record record;
	int r = engine_get(c->engine, name, &record, e);

	if (r < 0)
		return r;
	r = engine_container_size(c->engine, &record, &rw, &root, e);
	container_record_done(&record);
	if (r < 0)
		return r;
	if (json_add(o, "SizeRw", json_object_new_int64((int64_t)rw)) < 0 ||
	    json_add(o, "SizeRootFs", json_object_new_int64((int64_t)root)) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static int look_up(struct cli *c, const char *name, void *arg, struct json_object **ret, struct err *e)
{
	const struct inspect_args *a = arg;
	const char *type = a->type;
	bool wants_container = !type || streq(type, "container"), wants_image = !type || streq(type, "image"),
	     wants_volume = !type || streq(type, "volume"), wants_network = !type || streq(type, "network");
	int r = -ENOENT;

	if (wants_container) {
		struct json_object *o;
		r = engine_inspect_container(c->engine, name, &o, e);
		if (r >= 0 && a->size && (r = add_sizes(c, name, o, e)) < 0)
			json_object_put(o);
		if (r >= 0)
			*ret = o;
	}
	if (r == -ENOENT && wants_image) {
		*e = (struct err){ 0 };
		r = engine_inspect_image(c->engine, name, ret, e);
	}
	if (r == -ENOENT && wants_volume) {
		*e = (struct err){ 0 };
		r = engine_volume_inspect(c->engine, name, ret, e);
	}
	if (r == -ENOENT && wants_network) {
		*e = (struct err){ 0 };
		r = engine_network_inspect(c->engine, name, ret, e);
	}
	return r == -ENOENT && !type ? err_set(e, ENOENT, "no such object: %s", name) : r;
}

int cmd_inspect(struct cli *c, struct err *e)
{
	struct inspect_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0 && a.type && !streq(a.type, "container") && !streq(a.type, "image") && !streq(a.type, "volume") &&
	    !streq(a.type, "network"))
		r = err_set(e, EINVAL, "--type: \"%s\" is not known; container, image, volume and network are", a.type);
	if (r == 0)
		r = cli_pick(c, &a.pick, 0, CLI_ANY, e);
	r = r == 0 ? inspect_all(c, a.format, look_up, &a, e) : MIN(r, 0);
	opts_done(inspect_options, &a);
	return r;
}

int cmd_container_inspect(struct cli *c, struct err *e)
{
	char type[] = "container";
	struct inspect_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = cli_pick(c, &a.pick, 0, CLI_ANY, e);
	struct inspect_args only = { .format = a.format, .type = type, .size = a.size };
	r = r == 0 ? inspect_all(c, a.format, look_up, &only, e) : MIN(r, 0);
	opts_done(container_inspect_options, &a);
	return r;
}

int cmd_image_inspect(struct cli *c, struct err *e)
{
	char type[] = "image";
	struct inspect_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	struct inspect_args images = { .format = a.format, .type = type };
	r = r == 0 ? inspect_all(c, a.format, look_up, &images, e) : MIN(r, 0);
	opts_done(image_inspect_options, &a);
	return r;
}
