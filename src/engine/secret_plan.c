/* secret_plan.c: --secret NAME[,OPTION...]: a copy of what the secret is now goes into the bundle, as secrets.json, and nowhere else. */
#include "docker_json.h"
#include "secret_store.h"

#define SECRETS_PLACE "/run/secrets/"

struct wish {
	char *name, *target;
	uint32_t mode, uid, gid;
	bool is_env, has_place; /* has_place: of a file, which a variable has not */
};

static void wish_done(struct wish *w)
{
	free(w->name);
	free(w->target);
}

static int set_text(char **to, const char *value, struct err *e)
{
	free(*to);
	*to = strdup(value);
	return *to ? 0 : OUT_OF_MEMORY(e);
}

static int read_number(const char *key, const char *value, uint32_t *ret, struct err *e)
{
	uint64_t v;

	if (str_to_u64(value, &v) < 0 || v >= UINT32_MAX)
		return err_set(e, EINVAL, "--secret: %s %s invalid: a number is needed", key, value);
	*ret = (uint32_t)v;
	return 0;
}

static int read_word(const char *word, struct wish *w, struct err *e)
{
	const char *v;

	if ((v = str_after(word, "source=")))
		return set_text(&w->name, v, e);
	if ((v = str_after(word, "target=")))
		return set_text(&w->target, v, e);
	if ((v = str_after(word, "type="))) {
		w->is_env = streq(v, "env");
		return w->is_env || streq(v, "mount")
			       ? 0
			       : err_set(e, EINVAL, "--secret: type %s is invalid; mount and env are not", v);
	}
	if (str_after(word, "id="))
		return err_set(
			e, EINVAL,
			"--secret: \"%s\" is how a build is given a secret; a container is given one of `berth secret ls` by its "
			"name: --secret NAME[,target=PATH]",
			word);
	w->has_place |= str_after(word, "uid=") || str_after(word, "gid=") || str_after(word, "mode=");
	if ((v = str_after(word, "uid=")))
		return read_number("uid", v, &w->uid, e);
	if ((v = str_after(word, "gid=")))
		return read_number("gid", v, &w->gid, e);
	if ((v = str_after(word, "mode="))) {
		if (!*v || strlen(v) > 5 || v[strspn(v, "01234567")] || strtoul(v, NULL, 8) > 07777)
			return err_set(e, EINVAL, "--secret: mode %s invalid: an octal number such as 0400 is needed", v);
		w->mode = (uint32_t)strtoul(v, NULL, 8);
		return 0;
	}
	return err_set(e, EINVAL, "--secret: option %s invalid; type, target, uid, gid and mode are known", word);
}

static int read_wish(const char *text, struct wish *w, struct err *e)
{
	_cleanup_strv_ char **words = strv_split(text, ',');
	int r = words ? 0 : OUT_OF_MEMORY(e);

	for (char **word = words; r >= 0 && word && *word; word++)
		r = word == words && !strchr(*word, '=') ? set_text(&w->name, *word, e) : read_word(*word, w, e);
	if (r < 0)
		return r;
	if (!w->name || !*w->name)
		return err_set(e, EINVAL, "--secret: \"%s\": no source found", text);
	if (w->is_env && w->has_place)
		return err_set(e, EINVAL, "--secret: UID, GID, Mode options cannot be set with secret type env");
	return 0;
}

static int add_env(struct secrets *all, struct launch *l, const struct wish *w, const struct secret *s, struct err *e)
{
	const char *name = w->target ? w->target : s->name;
	struct secret_env *grown = reallocarray(all->env, all->n_env + 1, sizeof(*grown));
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t n = 0;

	if (!grown)
		return OUT_OF_MEMORY(e);
	all->env = grown;
	if (!*name || strchr(name, '='))
		return err_set(e, EINVAL, "--secret: \"%s\" is no name of a variable", name);
	if (base64_decode(s->data, &bytes, &n) < 0)
		return err_set(e, EINVAL, "secret %s: its file is damaged", s->name);
	bool fits = !memchr(bytes, 0, n);
	explicit_bzero(bytes, n);
	if (!fits)
		return err_set(e, EINVAL, "--secret: %s holds a NUL byte and can't be a variable; type=mount can take it",
			       s->name);
	grown[all->n_env] = (struct secret_env){ .name = strdup(name), .value = strdup(s->data) };
	all->n_env++;
	return !grown[all->n_env - 1].name || !grown[all->n_env - 1].value || strv_push(&l->secret_env, name) < 0
		       ? OUT_OF_MEMORY(e)
		       : 0;
}

static int add_file(struct secrets *all, struct launch *l, const struct wish *w, const struct secret *s, struct err *e)
{
	const char *target = w->target ? w->target : s->name;
	_cleanup_free_ char *path = *target == '/' ? strdup(target) : str_fmt(SECRETS_PLACE "%s", target);
	struct launch_file *grown = reallocarray(all->files, all->n_files + 1, sizeof(*grown));

	if (!path || !grown)
		return OUT_OF_MEMORY(e);
	all->files = grown;
	if (!*target || strstr(path, "/../") || str_ends(path, "/..") || str_ends(path, "/"))
		return err_set(e, EINVAL, "--secret: \"%s\" is no place for a file", target);
	for (char **other = l->secret_paths; other && *other; other++)
		if (streq(*other, path))
			return err_set(e, EINVAL, "--secret: %s is given twice", path);
	grown[all->n_files] = (struct launch_file){
		.path = strdup(path), .content = strdup(s->data), .is_base64 = true, .mode = w->mode, .uid = w->uid, .gid = w->gid
	};
	all->n_files++;
	return !grown[all->n_files - 1].path || !grown[all->n_files - 1].content || strv_push(&l->secret_paths, path) < 0
		       ? OUT_OF_MEMORY(e)
		       : 0;
}

static int add_wish(struct plan *p, const char *text, struct secrets *all, struct err *e)
{
	_cleanup_(wish_done) struct wish w = { .mode = 0444 };
	_cleanup_(secret_done) struct secret s = { 0 };
	int r = read_wish(text, &w, e);

	if (r >= 0)
		r = engine_secret_get(p->en, w.name, &s, e);
	if (r < 0)
		return r;
	return w.is_env ? add_env(all, &p->launch, &w, &s, e) : add_file(all, &p->launch, &w, &s, e);
}

int plan_secrets(struct plan *p, struct err *e)
{
	int r = 0;

	for (char **s = p->o->secrets; r >= 0 && s && *s; s++)
		r = add_wish(p, *s, &p->secrets, e);
	p->secrets.version = SECRETS_VERSION;
	return r;
}

void secrets_inspect(struct doc d, const struct run_opts *o)
{
	struct json_object *list = o->secrets ? json_object_new_array() : NULL;

	for (char **text = o->secrets; text && *text; text++) {
		_cleanup_(wish_done) struct wish w = { .mode = 0444 };
		struct doc one;

		if (read_wish(*text, &w, NULL) < 0) /* create would not have taken it */
			continue;
		one = doc_new(d.failed);
		doc_text(one, "Name", w.name);
		doc_text(one, "Type", w.is_env ? "env" : "mount");
		doc_text(one, "Target", w.target ? w.target : w.name);
		if (!w.is_env) {
			doc_int(one, "UID", w.uid);
			doc_int(one, "GID", w.gid);
			doc_int(one, "Mode", w.mode);
		}
		if (list)
			json_object_array_add(list, one.o);
		else
			json_object_put(one.o);
	}
	if (o->secrets)
		doc_put(d, "Secrets", list);
}
