/* inspect_image.c: one image in Docker's JSON shape (engine API, ImageInspect). */
#include "docker_json.h"

static void add_config(struct doc d, const struct image_config *ic)
{
	struct doc s = doc_sub(d, "Config");

	doc_text(s, "User", ic->config.user);
	doc_set(s, "ExposedPorts", ic->config.exposed_ports);
	doc_list(s, "Env", ic->config.env);
	doc_list(s, "Cmd", ic->config.cmd);
	doc_set(s, "Volumes", ic->config.volumes);
	doc_text(s, "WorkingDir", ic->config.working_dir);
	doc_list(s, "Entrypoint", ic->config.entrypoint);
	doc_map(s, "Labels", &ic->config.labels);
	if (ic->config.stop_signal)
		doc_text(s, "StopSignal", ic->config.stop_signal);
}

/* RepoTags: as docker shows them; RepoDigests: the same names with the manifest's digest. */
static int add_names(struct doc d, struct engine *en, const struct image *i, struct err *e)
{
	_cleanup_strv_ char **refs = NULL, **ids = NULL, **tags = NULL, **digests = NULL;
	int r = records_tags(en->records, i->id, &refs, &ids, e);

	for (char **t = refs; r >= 0 && t && *t; t++) {
		_cleanup_(ref_done) struct ref ref = { 0 };
		r = ref_parse(*t, NULL, &ref, e);
		if (r < 0)
			break;
		_cleanup_free_ char *shown = ref_familiar(&ref);
		char *slash = shown ? strrchr(shown, '/') : NULL, *end = shown ? strpbrk(slash ? slash : shown, ":@") : NULL;
		_cleanup_free_ char *name = shown ? strndup(shown, end ? (size_t)(end - shown) : strlen(shown)) : NULL;
		_cleanup_free_ char *digest = name ? str_fmt("%s@%s", name, i->manifest_digest) : NULL;
		if (!digest || (ref.tag && strv_push(&tags, shown) < 0) || strv_push(&digests, digest) < 0)
			r = OUT_OF_MEMORY(e);
	}
	if (r < 0)
		return r;
	doc_put(d, "RepoTags", json_from_strv(tags));
	doc_put(d, "RepoDigests", json_from_strv(digests));
	return 0;
}

static void add_rest(struct doc d, const struct image *i)
{
	const struct image_config *ic = &i->config;
	struct doc fs;

	doc_text(d, "Parent", "");
	doc_text(d, "Comment", ic->n_history ? ic->history[ic->n_history - 1].comment : "");
	doc_text(d, "Created", ic->created);
	doc_text(d, "DockerVersion", "");
	doc_text(d, "Author", ic->author);
	add_config(d, ic);
	doc_text(d, "Architecture", ic->architecture);
	if (ic->variant)
		doc_text(d, "Variant", ic->variant);
	doc_text(d, "Os", ic->os);
	doc_int(d, "Size", (int64_t)i->size_bytes);
	fs = doc_sub(d, "RootFS");
	doc_text(fs, "Type", "layers");
	doc_list(fs, "Layers", ic->diff_ids);
}

int engine_inspect_image(struct engine *en, const char *name, struct json_object **ret, struct err *e)
{
	struct image i;
	bool failed = false;
	int r = image_find(en->store, name, &i, e);

	if (r < 0)
		return r;
	struct doc d = doc_new(&failed);
	doc_text(d, "Id", i.id);
	r = add_names(d, en, &i, e);
	add_rest(d, &i);
	image_done(&i);
	if (r >= 0 && failed)
		r = OUT_OF_MEMORY(e);
	if (r < 0) {
		json_object_put(d.o);
		return r;
	}
	*ret = d.o;
	return 0;
}
