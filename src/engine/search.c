/* search.c: what registries have. berth-transfer asks them. */
#include "transfer_run.h"

#include <stdio.h>

/* As of an image's name: what stands before the first slash is a registry where it can be a host's name. */
static const char *split_registry(const char *text, char **ret_domain)
{
	size_t n = strcspn(text, "/");
	bool is_registry =
		text[n] && n && (memchr(text, '.', n) || memchr(text, ':', n) || (n == 9 && strncmp(text, "localhost", n) == 0));

	*ret_domain = is_registry ? strndup(text, n) : strdup("docker.io");
	return is_registry ? text + n + 1 : text;
}

struct target {
	char *domain, *below;
	char **args;
};

static void target_done(struct target *t)
{
	free(t->domain);
	free(t->below);
	strv_free(t->args);
}

static int target_of_tags(const char *text, struct target *t, struct err *e)
{
	_cleanup_(ref_done) struct ref ref = { 0 };
	int r = ref_parse(text, NULL, &ref, e);

	if (r < 0)
		return r;
	if (ref.digest || (ref.tag && !streq(ref.tag, "latest")))
		return err_set(e, EINVAL, "--list-tags: \"%s\": give a repository's name, without a tag", text);
	free_ptr(&ref.tag);
	t->below = ref_familiar(&ref);
	t->domain = TAKE_PTR(ref.domain);
	return t->below && strv_push(&t->args, t->domain) >= 0 && strv_push_option(&t->args, "--tags", TAKE_PTR(ref.path)) >= 0
		       ? 0
		       : OUT_OF_MEMORY(e);
}

static int target_of_term(const char *text, struct target *t, struct err *e)
{
	const char *term = split_registry(text, &t->domain);
	bool is_hub = t->domain && (streq(t->domain, "docker.io") || streq(t->domain, "index.docker.io"));

	if (is_hub && !*term)
		return err_set(e, EINVAL, "docker.io is searched for a word: berth search [REGISTRY/]TERM");
	t->below = is_hub ? strdup("") : str_fmt("%s/", t->domain ? t->domain : "");
	return t->domain && t->below && strv_push(&t->args, is_hub ? "docker.io" : t->domain) >= 0 &&
			       strv_push_option(&t->args, "--term", strdup(term)) >= 0
		       ? 0
		       : OUT_OF_MEMORY(e);
}

int engine_search(struct engine *en, const char *text, const struct search_opts *o, struct json_object **ret, char **ret_name,
		  struct err *e)
{
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_(target_done) struct target t = { 0 };
	struct json_object *found;
	int r = o->tags ? target_of_tags(text, &t, e) : target_of_term(text, &t, e);

	if (r < 0)
		return r;
	if (strv_push_option(&t.args, "--limit", str_fmt("%u", o->limit)) < 0 || transfer_trust_args(&o->trust, &t.args) < 0)
		return OUT_OF_MEMORY(e);
	const struct transfer_call call = { .verb = "search", .args = t.args, .stdin_fd = -1, .output_fd = -1 };
	r = transfer_run(en, &call, &answer, e);
	if (r < 0)
		return r;
	if (!json_object_object_get_ex(answer, "found", &found) || !json_object_is_type(found, json_type_array))
		return err_set(e, EPROTO, "berth-transfer's answer lacks \"found\"");
	*ret = json_object_get(found);
	*ret_name = TAKE_PTR(t.below);
	return 0;
}
