/* pull.c: images from a registry. berth-transfer fetches and unpacks; what it hands back is recorded here. */
#include "transfer_run.h"

static int text_member(struct json_object *o, const char *key, const char **ret, struct err *e)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
		return err_set(e, EPROTO, "berth-transfer's answer lacks \"%s\"", key);
	*ret = json_object_get_string(v);
	return 0;
}

static int add_args(const char *name, const struct pull_opts *o, char ***args, struct err *e)
{
	if (strv_push(args, name) < 0 || transfer_trust_args(&o->trust, args) < 0 ||
	    (o->platform && (strv_push(args, "--platform") < 0 || strv_push(args, o->platform) < 0)))
		return OUT_OF_MEMORY(e);
	return 0;
}

int pull_locked(struct engine *en, const char *name, const struct pull_opts *o, char **ret_image_id, struct err *e)
{
	_cleanup_(ref_done) struct ref ref = { 0 };
	_cleanup_free_ char *old = NULL, *id = NULL;
	_cleanup_strv_ char **args = NULL;
	_cleanup_json_ struct json_object *answer = NULL;
	const char *manifest = NULL, *config = NULL;
	int r = ref_parse(name, NULL, &ref, e);

	if (r >= 0)
		r = add_args(name, o, &args, e);
	if (r < 0)
		return r;
	const struct transfer_call call = {
		.verb = "pull", .args = args, .stdin_fd = -1, .output_fd = -1, .is_quiet = o->is_quiet
	};
	r = transfer_run(en, &call, &answer, e);
	if (r >= 0)
		r = text_member(answer, "manifest_digest", &manifest, e);
	if (r >= 0)
		r = text_member(answer, "config_digest", &config, e);
	if (r >= 0)
		r = image_record(en->store, manifest, &ref, &old, e);
	if (r < 0)
		return r;
	id = config ? strdup(config) : NULL;
	if (!id)
		return OUT_OF_MEMORY(e);
	if (old && !streq(old, id) && !o->is_quiet)
		log_info("pull", "%s named %s before; that image stays, by its id", name, old);
	_cleanup_free_ char *shown = ref_familiar(&ref);
	note_image_event(en, "pull", id, shown ? shown : name);
	*ret_image_id = TAKE_PTR(id);
	return 0;
}

/* ---- what is here already, and damaged ---- */

struct damage {
	size_t n;
	char *held; /* what is wrong with a layer that can't be replaced */
};

static void on_found(const struct check_finding *f, void *arg)
{
	struct damage *d = arg;

	d->n++;
	if (f->is_held && !d->held)
		d->held = str_fmt("%s %s: %s", f->kind, f->name, f->problem);
	log_debug("pull", "%s %s: %s", f->kind, f->name, f->problem);
}

/* Where that image is here already its blobs and layers are read again, and what is damaged is set aside, so that it comes anew. */
static int heal(struct engine *en, const char *name, struct err *e)
{
	_cleanup_(image_done) struct image i = { 0 };
	struct damage d = { 0 };
	struct check_opts o = { .image = name, .found = on_found, .arg = &d };

	int r = image_find(en->store, name, &i, e);

	if (r == -ENOENT || r == -ENODATA || r == -EINVAL) { /* not here, or with nothing to go by: all of it comes */
		*e = (struct err){ 0 };
		return 0;
	}
	if (r >= 0)
		r = engine_check(en, &o, e);
	if (r > 0) {
		o.repair = true;
		r = engine_check(en, &o, e);
	}
	if (r > 0 && d.held)
		r = err_set(e, EBUSY, "%s; a running container stands on it: stop that first, then pull again", d.held);
	free(d.held);
	return MIN(r, 0);
}

int engine_pull(struct engine *en, const char *name, const struct pull_opts *o, char **ret_image_id, struct err *e)
{
	int r = heal(en, name, e);

	if (r == 0)
		r = store_lock(en->store, STORE_SHARED, e);
	if (r < 0)
		return r;
	r = pull_locked(en, name, o, ret_image_id, e);
	store_lock(en->store, STORE_UNLOCKED, NULL); /* letting go can't fail */
	return r;
}
