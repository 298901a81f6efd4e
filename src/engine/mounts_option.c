/* mounts_option.c: --mount type=...,key=value */
#include "mounts.h"
#include "volumes_impl.h"

struct mount_args {
	struct mount_draft d;
	char *type;
	char **tmpfs_words;
	const char *volume_key, *bind_key; /* one that only a volume, or a bind mount, can have */
};

static void mount_args_done(struct mount_args *a)
{
	mount_draft_done(&a->d);
	free(a->type);
	strv_free(a->tmpfs_words);
}

static int mount_bool(const char *text, const char *key, const char *v, bool *ret, struct err *e)
{
	if (!v || streq(v, "true") || streq(v, "1"))
		*ret = true;
	else if (streq(v, "false") || streq(v, "0"))
		*ret = false;
	else
		return err_set(e, EINVAL, "--mount: \"%s\": %s is true or false", text, key);
	return 0;
}

static int mount_string(const char *text, const char *key, const char *v, char **ret, struct err *e)
{
	if (!v || !*v)
		return err_set(e, EINVAL, "--mount: \"%s\": %s has no value", text, key);
	free(*ret);
	*ret = strdup(v);
	return *ret ? 0 : OUT_OF_MEMORY(e);
}

static int mount_tmpfs_word(struct mount_args *a, const char *key, const char *v, struct err *e)
{
	char *word;
	int r;

	if (!v || !*v)
		return err_set(e, EINVAL, "--mount: \"%s\": %s has no value", a->d.text, key);
	word = str_fmt("%s=%s", str_after(key, "tmpfs-"), v);
	if (!word)
		return OUT_OF_MEMORY(e);
	r = mount_tmpfs_check(a->d.text, &word, e);
	if (r < 0) {
		free(word);
		return r;
	}
	return strv_push_take(&a->tmpfs_words, word) < 0 ? OUT_OF_MEMORY(e) : 0;
}

/* The keys of volumes. 1: it was one. */
static int volume_pair(struct mount_args *a, const char *key, const char *v, struct err *e)
{
	const char *text = a->d.text;
	bool value;
	int r = 1;

	if (streq(key, "volume-nocopy")) {
		r = mount_bool(text, key, v, &value, e);
		if (r == 0)
			a->d.no_copy = value;
	} else if (streq(key, "volume-driver")) {
		r = volume_check_driver(text, v, e);
	} else if (streq(key, "volume-opt")) {
		char *const one[] = { (char *)(uintptr_t)(v ? v : ""), NULL };
		r = volume_check_words(text, one, e);
		if (r >= 0 && strv_push(&a->d.options, v) < 0)
			r = OUT_OF_MEMORY(e);
	} else if (streq(key, "volume-label")) {
		r = !v || !*v || *v == '='           ? err_set(e, EINVAL, "--mount: \"%s\": %s has no name", text, key)
		    : strv_push(&a->d.labels, v) < 0 ? OUT_OF_MEMORY(e)
						     : 0;
	} else if (streq(key, "volume-subpath")) {
		r = err_set(e, EOPNOTSUPP, "--mount: \"%s\": %s is not possible; mount the whole volume", text, key);
	} else {
		return 0;
	}
	a->volume_key = "volume-*";
	return r < 0 ? r : 1;
}

static int mount_pair(struct mount_args *a, const char *key, const char *v, struct err *e)
{
	const char *text = a->d.text;
	int r = volume_pair(a, key, v, e);

	if (r != 0)
		return MIN(r, 0);
	if (str_after(key, "bind-"))
		a->bind_key = "bind-*";
	if (streq(key, "type"))
		return mount_string(text, key, v, &a->type, e);
	if (streq(key, "source") || streq(key, "src"))
		return mount_string(text, key, v, &a->d.source, e);
	if (streq(key, "target") || streq(key, "dst") || streq(key, "destination"))
		return mount_string(text, key, v, &a->d.target, e);
	if (streq(key, "readonly") || streq(key, "ro"))
		return mount_bool(text, key, v, &a->d.is_readonly, e);
	if (streq(key, "bind-nonrecursive"))
		return mount_bool(text, key, v, &a->d.is_flat, e);
	if (streq(key, "tmpfs-size") || streq(key, "tmpfs-mode"))
		return mount_tmpfs_word(a, key, v, e);
	if (streq(key, "consistency"))
		return v && mount_consistency(&a->d, v) >= 0
			       ? 0
			       : err_set(e, EINVAL,
					 "--mount: \"%s\": consistency is one of default, consistent, cached, delegated", text);
	if (streq(key, "bind-propagation")) {
		a->d.propagation = v ? mount_propagation(v) : NULL;
		return a->d.propagation ? 0
					: err_set(e, EINVAL,
						  "--mount: \"%s\": bind-propagation is one of private, rprivate, shared, "
						  "rshared, slave, rslave",
						  text);
	}
	return err_set(e, EINVAL,
		       "--mount: \"%s\": unknown key \"%s\"; type, source, target, readonly, bind-propagation, consistency, "
		       "volume-nocopy, volume-label, tmpfs-size and tmpfs-mode are known",
		       text, key);
}

int mounts_add_mount(struct mounts *m, const char *text, struct err *e)
{
	_cleanup_(mount_args_done) struct mount_args a = { .d = { .what = "--mount", .text = text } };
	_cleanup_strv_ char **pairs = strv_split(text, ',');

	if (!pairs)
		return OUT_OF_MEMORY(e);
	for (char **p = pairs; *p; p++) {
		char *v = strchr(*p, '=');
		if (v)
			*v++ = 0;
		int r = mount_pair(&a, *p, v, e);
		if (r < 0)
			return r;
	}
	if (!a.d.target)
		return err_set(e, EINVAL, "--mount: \"%s\": target=PATH is missing", text);
	a.d.is_volume = !a.type || streq(a.type, "volume");
	if (a.volume_key && !a.d.is_volume)
		return err_set(e, EINVAL, "--mount: \"%s\": cannot mix '%s' options with mount type '%s'", text, a.volume_key,
			       a.type);
	if (a.bind_key && (a.d.is_volume || !streq(a.type, "bind")))
		return err_set(e, EINVAL, "--mount: \"%s\": cannot mix '%s' options with mount type '%s'", text, a.bind_key,
			       a.type ? a.type : "volume");
	if (a.type && streq(a.type, "tmpfs")) {
		if (a.d.source)
			return err_set(e, EINVAL, "--mount: \"%s\": a tmpfs has no source", text);
		if (a.d.is_readonly && strv_push(&a.tmpfs_words, "ro") < 0)
			return OUT_OF_MEMORY(e);
		return mount_add_tmpfs(m, &a.d, a.tmpfs_words, e);
	}
	if (!a.d.is_volume && !streq(a.type, "bind"))
		return err_set(e, EINVAL, "--mount: \"%s\": unknown type \"%s\"; volume, bind and tmpfs are known", text, a.type);
	if (!a.d.is_volume && !a.d.source)
		return err_set(e, EINVAL, "--mount: \"%s\": source=PATH is missing", text);
	if (!a.d.is_volume && *a.d.source != '/' && *a.d.source != '.')
		return err_set(e, EINVAL, "--mount: \"%s\": a bind mount's source must be an absolute path, or begin with ./",
			       text);
	return mount_add_bind(m, &a.d, e);
}
