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
	if (strv_push(args, name) < 0 || (o->plain_http && strv_push(args, "--plain-http") < 0) ||
	    (o->tls_skip_verify && strv_push(args, "--tls-skip-verify") < 0) ||
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
	*ret_image_id = TAKE_PTR(id);
	return 0;
}

int engine_pull(struct engine *en, const char *name, const struct pull_opts *o, char **ret_image_id, struct err *e)
{
	int r = store_lock(en->store, STORE_SHARED, e);

	if (r < 0)
		return r;
	r = pull_locked(en, name, o, ret_image_id, e);
	store_lock(en->store, STORE_UNLOCKED, NULL); /* letting go can't fail */
	return r;
}
