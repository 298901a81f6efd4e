/* push.c: images to a registry. berth-transfer sends; which image, and what the registry may have already, is found here. */
#include "transfer_run.h"

/* Images with a name in another repository of the same registry: layers that they share need not be sent. */
static int add_siblings(struct engine *en, const struct ref *to, char ***args, struct err *e)
{
	_cleanup_strv_ char **refs = NULL, **ids = NULL;
	int r = records_tags(store_records(en->store), NULL, &refs, &ids, e);

	for (size_t i = 0; r >= 0 && refs && refs[i]; i++) {
		_cleanup_(image_record_done) struct image_record image = { 0 };
		_cleanup_(ref_done) struct ref there = { 0 };
		_cleanup_free_ char *sibling = NULL;

		if (ref_parse(refs[i], NULL, &there, NULL) < 0 || !streq(there.domain, to->domain) || streq(there.path, to->path))
			continue;
		if (records_image_get(store_records(en->store), ids[i], &image, NULL) < 0)
			continue; /* removed meanwhile */
		sibling = str_fmt("%s=%s", there.path, image.manifest_digest);
		if (!sibling || strv_push(args, "--sibling") < 0 || strv_push(args, sibling) < 0)
			return OUT_OF_MEMORY(e);
	}
	return r;
}

/* An id says which image, and not where to. */
static int check_is_name(struct engine *en, const char *name, struct err *e)
{
	_cleanup_strv_ char **refs = NULL, **ids = NULL;
	_cleanup_(ref_done) struct ref ref = { 0 };
	_cleanup_free_ char *whole = NULL;
	int r = ref_parse(name, NULL, &ref, e);

	if (r >= 0)
		r = records_tags(store_records(en->store), NULL, &refs, &ids, e);
	if (r < 0)
		return r;
	whole = ref_str(&ref);
	if (!whole)
		return OUT_OF_MEMORY(e);
	for (char **at = refs; at && *at; at++)
		if (streq(*at, whole))
			return 0;
	return err_set(e, EINVAL, "push: %s is an image's id; say as well where it goes: berth push %s REGISTRY/NAME:TAG", name,
		       name);
}

static int build_args(struct engine *en, const char *to, const struct image *i, const struct push_opts *o, char ***args,
		      struct err *e)
{
	_cleanup_(ref_done) struct ref ref = { 0 };
	int r = ref_parse(to, NULL, &ref, e);

	if (r < 0)
		return r;
	if (strv_push(args, to) < 0 || strv_push(args, "--manifest") < 0 || strv_push(args, i->manifest_digest) < 0 ||
	    transfer_trust_args(&o->trust, args) < 0)
		return OUT_OF_MEMORY(e);
	return add_siblings(en, &ref, args, e);
}

static int push_locked(struct engine *en, const char *name, const char *to, const struct push_opts *o, struct pushed *ret,
		       struct err *e)
{
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_(image_done) struct image image = { 0 };
	_cleanup_strv_ char **args = NULL;
	struct json_object *ref = NULL, *size = NULL;
	int r = image_find(en->store, name, &image, e);

	if (r >= 0 && name == to)
		r = check_is_name(en, name, e);
	if (r >= 0)
		r = build_args(en, to, &image, o, &args, e);
	if (r < 0)
		return r;
	const struct transfer_call call = {
		.verb = "push", .args = args, .stdin_fd = -1, .output_fd = -1, .is_quiet = o->is_quiet
	};
	r = transfer_run(en, &call, &answer, e);
	if (r < 0)
		return r;
	if (!json_object_object_get_ex(answer, "ref", &ref) || !json_object_object_get_ex(answer, "size", &size))
		return err_set(e, EPROTO, "berth-transfer's answer lacks \"ref\" and \"size\"");
	ret->digest = TAKE_PTR(image.manifest_digest);
	ret->manifest_bytes = (uint64_t)json_object_get_int64(size);
	ret->ref = strdup(json_object_get_string(ref));
	return ret->ref ? 0 : OUT_OF_MEMORY(e);
}

int engine_push(struct engine *en, const char *name, const char *to, const struct push_opts *o, struct pushed *ret, struct err *e)
{
	int r = store_lock(en->store, STORE_SHARED, e);

	if (r < 0)
		return r;
	r = push_locked(en, name, to, o, ret, e);
	store_lock(en->store, STORE_UNLOCKED, NULL); /* letting go can't fail */
	return r;
}

void pushed_done(struct pushed *p)
{
	free(p->ref);
	free(p->digest);
	*p = (struct pushed){ 0 };
}
