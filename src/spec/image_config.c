/* The image config (OCI image spec 1.1, config.md): what the image's author asks for.
 *
 * Untrusted (the author is a stranger). Labels under Berth's own prefix steer the engine, so an image can't carry them
 * (CVE-2026-53488's root cause in a peer): they are dropped here, where every reader passes. Numbers like a health
 * check's interval are the author's wish and are judged where they are used. */
#include "image_spec.h"
#include "spec_rows.h"

#define RESERVED_LABELS "dev.berth."
#define MAX_HISTORY     4096

/* An object whose keys matter ({"80/tcp": {}}) as a list of strings. */
static int read_keys(struct json_object *v, void *member, const char *path, struct err *e)
{
	if (!json_object_is_type(v, json_type_object))
		return json_expected(v, path, "an object", e);
	char **keys = calloc((size_t)json_object_object_length(v) + 1, sizeof *keys);
	size_t n = 0;
	if (!keys)
		return err_set(e, ENOMEM, "%s: out of memory", path);
	*(char ***)member = keys;
	json_object_object_foreach(v, key, item)
	{
		(void)item;
		keys[n] = strdup(key);
		if (!keys[n++])
			return err_set(e, ENOMEM, "%s: out of memory", path);
	}
	return 0;
}

static struct json_object *print_keys(const void *member)
{
	char **keys = *(char **const *)member;

	if (!keys || !keys[0])
		return NULL;
	struct json_object *o = json_object_new_object();
	for (size_t i = 0; o && keys[i]; i++) {
		if (json_add(o, keys[i], json_object_new_object()) < 0) {
			json_object_put(o);
			return NULL;
		}
	}
	return o;
}

static void free_keys(void *member)
{
	strv_free(*(char ***)member);
	*(char ***)member = NULL;
}

static int read_rootfs_type(struct json_object *v, void *member, const char *path, struct err *e)
{
	(void)member;
	const char *s = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
	return streq(s, "layers") ? 0 : json_expected(v, path, "\"layers\"", e);
}

static struct json_object *print_rootfs_type(const void *member)
{
	(void)member;
	return json_object_new_string("layers");
}

static const struct field healthcheck_fields[] = {
	SPEC_ROW("Test", FIELD_STRV, healthcheck, test),
	SPEC_ROW("Interval", FIELD_U64, healthcheck, interval_ns, FIELD_OMIT_EMPTY),
	SPEC_ROW("Timeout", FIELD_U64, healthcheck, timeout_ns, FIELD_OMIT_EMPTY),
	SPEC_ROW("StartPeriod", FIELD_U64, healthcheck, start_period_ns, FIELD_OMIT_EMPTY),
	SPEC_ROW("StartInterval", FIELD_U64, healthcheck, start_interval_ns, FIELD_OMIT_EMPTY),
	SPEC_ROW("Retries", FIELD_I64, healthcheck, retries, FIELD_OMIT_EMPTY),
	{ NULL },
};
/* The rows of `config` and `rootfs` fill members of struct image_config itself: their tables stand at offset 0. */
static const struct field settings_fields[] = {
	SPEC_ROW("User", FIELD_STRING, image_config, config.user),
	SPEC_ROW("ExposedPorts", FIELD_CUSTOM, image_config, config.exposed_ports, .parse = read_keys, .print = print_keys,
		 .free = free_keys),
	SPEC_ROW("Env", FIELD_STRV, image_config, config.env),
	SPEC_ROW("Entrypoint", FIELD_STRV, image_config, config.entrypoint),
	SPEC_ROW("Cmd", FIELD_STRV, image_config, config.cmd),
	SPEC_ROW("Shell", FIELD_STRV, image_config, config.shell, FIELD_OMIT_EMPTY),
	SPEC_ROW("Volumes", FIELD_CUSTOM, image_config, config.volumes, .parse = read_keys, .print = print_keys,
		 .free = free_keys),
	SPEC_ROW("WorkingDir", FIELD_STRING, image_config, config.working_dir),
	SPEC_ROW("Labels", FIELD_MAP, image_config, config.labels, FIELD_OMIT_EMPTY),
	SPEC_ROW("StopSignal", FIELD_STRING, image_config, config.stop_signal),
	SPEC_ROW("Healthcheck", FIELD_OBJECT_PTR, image_config, config.healthcheck, 0, healthcheck_fields,
		 sizeof(struct healthcheck)),
	{ NULL },
};
static const struct field rootfs_fields[] = {
	{ "type", FIELD_CUSTOM, 0, FIELD_REQUIRED, .parse = read_rootfs_type, .print = print_rootfs_type },
	SPEC_ROW("diff_ids", FIELD_STRV, image_config, diff_ids, FIELD_REQUIRED),
	{ NULL },
};
static const struct field history_fields[] = {
	SPEC_ROW("created", FIELD_STRING, history, created),
	SPEC_ROW("created_by", FIELD_STRING, history, created_by),
	SPEC_ROW("comment", FIELD_STRING, history, comment),
	SPEC_ROW("empty_layer", FIELD_BOOL, history, empty_layer, FIELD_OMIT_EMPTY),
	{ NULL },
};
static const struct field config_fields[] = {
	SPEC_ROW("created", FIELD_STRING, image_config, created),
	SPEC_ROW("author", FIELD_STRING, image_config, author),
	SPEC_ROW("architecture", FIELD_STRING, image_config, architecture, FIELD_REQUIRED),
	SPEC_ROW("os", FIELD_STRING, image_config, os, FIELD_REQUIRED),
	SPEC_ROW("variant", FIELD_STRING, image_config, variant),
	{ "config", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, settings_fields },
	{ "rootfs", FIELD_OBJECT, 0, FIELD_REQUIRED, rootfs_fields },
	SPEC_ARRAY("history", image_config, history, history, history_fields),
	{ NULL },
};

/* Removes the labels of our own name space, keeping the order of the others. */
static void drop_reserved_labels(struct string_map *m)
{
	size_t kept = 0;

	for (size_t i = 0; m->keys && m->keys[i]; i++) {
		if (str_after(m->keys[i], RESERVED_LABELS)) {
			free(m->keys[i]);
			free(m->values[i]);
			continue;
		}
		m->keys[kept] = m->keys[i];
		m->values[kept++] = m->values[i];
	}
	if (m->keys)
		m->keys[kept] = m->values[kept] = NULL;
}

static int check_config(const struct image_config *c, struct err *e)
{
	for (size_t i = 0; c->diff_ids[i]; i++) {
		int r = digest_check(c->diff_ids[i], e);
		if (r < 0)
			return err_push(e, r, ".rootfs.diff_ids[%zu]", i);
	}
	if (c->n_history > MAX_HISTORY)
		return err_set(e, E2BIG, ".history: %zu entries, at most %d are accepted", c->n_history, MAX_HISTORY);
	return 0;
}

int image_config_parse(const char *text, size_t len, struct image_config *ret, struct err *e)
{
	_cleanup_(image_config_done) struct image_config c = {};
	_cleanup_json_ struct json_object *o = NULL;
	int r;

	r = json_parse(text, len, "image config", &o, e);
	if (r < 0)
		return r;
	r = json_read(o, config_fields, &c, "", e);
	if (r == 0)
		r = check_config(&c, e);
	if (r < 0)
		return err_push(e, r, "image config");
	drop_reserved_labels(&c.config.labels);
	*ret = c;
	c = (struct image_config){};
	return 0;
}

void image_config_done(struct image_config *c) { json_free_fields(config_fields, c); }

struct json_object *image_config_json(const struct image_config *c) { return json_write(config_fields, c); }
