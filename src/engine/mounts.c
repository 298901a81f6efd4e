/* mounts.c: -v, --mount and --tmpfs as mounts of the spec. Bind mounts are private, nosuid and nodev unless asked otherwise;
 * their sources are resolved here, on the host, once. */
#include "engine_impl.h"

#include <limits.h>
#include <unistd.h>

/* A mount while its parts are being collected. */
struct mount_text {
	const char *what; /* "--volume", for errors */
	const char *text; /* as the user wrote it */
	char *source, *target;
	bool is_readonly, makes_source, is_flat; /* flat: not the mounts below the source */
	bool may_suid, may_dev, no_exec;
	const char *propagation;
};

static void mount_text_done(struct mount_text *d)
{
	free(d->source);
	free(d->target);
}

static int spec_add_mount(struct spec *s, const char *type, const char *source, const char *target, char **options, struct err *e)
{
	struct spec_mount *grown = reallocarray(s->mounts, s->n_mounts + 1, sizeof(*grown));
	struct spec_mount m = {
		.destination = strdup(target), .type = strdup(type), .source = strdup(source), .options = options
	};

	if (grown)
		s->mounts = grown;
	if (!grown || !m.destination || !m.type || !m.source) {
		free(m.destination);
		free(m.type);
		free(m.source);
		strv_free(options);
		return OUT_OF_MEMORY(e);
	}
	s->mounts[s->n_mounts++] = m;
	return 0;
}

static int check_target(const char *what, const char *text, const char *target, struct err *e)
{
	if (!target || *target != '/')
		return err_set(e, EINVAL, "%s: \"%s\": the path inside must be absolute", what, text);
	for (const char *c = target; *c; c += strcspn(c, "/")) {
		c += strspn(c, "/");
		if (strncmp(c, "..", 2) == 0 && (c[2] == '/' || !c[2]))
			return err_set(e, EINVAL, "%s: \"%s\": the path inside can't hold \"..\"", what, text);
	}
	if (target[strspn(target, "/")] == 0)
		return err_set(e, EINVAL, "%s: \"%s\": can't mount over \"/\"", what, text);
	return 0;
}

/* A second mount on one path replaces a default one (-v X:/dev/shm) and is refused against another of the user's. */
static int take_place(struct spec *s, const struct mount_text *d, struct err *e)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		struct spec_mount *m = &s->mounts[i];
		if (!streq(m->destination, d->target))
			continue;
		if (streq0(m->type, "bind") || (streq0(m->type, "tmpfs") && streq0(m->source, "user")))
			return err_set(e, EINVAL, "%s: \"%s\": %s is mounted already by another option", d->what, d->text,
				       d->target);
		free(m->destination);
		free(m->type);
		free(m->source);
		strv_free(m->options);
		memmove(m, m + 1, (--s->n_mounts - i) * sizeof(*m));
		return 0;
	}
	return 0;
}

/* Absolute and free of symlinks. A missing source of -v is made, as docker does; --mount's must exist. */
static int resolve_source(struct mount_text *d, struct err *e)
{
	char *real;

	if (*d->source != '/' && *d->source != '.')
		return err_set(e, EOPNOTSUPP,
			       "%s: \"%s\" names a volume; this version mounts host paths only: write an absolute path or ./%s",
			       d->what, d->source, d->source);
	real = realpath(d->source, NULL);
	if (!real && errno == ENOENT && d->makes_source) {
		int r = mkdir_p(AT_FDCWD, d->source, 0755);
		if (r < 0)
			return err_set(e, -r, "%s: make directory %s: %s", d->what, d->source, strerror(-r));
		real = realpath(d->source, NULL);
	}
	if (!real)
		return err_set(e, errno, "%s: source %s: %s", d->what, d->source,
			       errno == ENOENT ? "does not exist" : strerror(errno));
	free(d->source);
	d->source = real;
	return 0;
}

static int add_bind(struct spec *s, struct mount_text *d, struct err *e)
{
	_cleanup_strv_ char **options = NULL;
	const struct {
		bool wanted;
		const char *name;
	} words[] = {
		{ true, d->is_flat ? "bind" : "rbind" },
		{ true, d->propagation ? d->propagation : "rprivate" },
		{ true, d->is_readonly ? "ro" : "rw" },
		{ !d->may_suid, "nosuid" },
		{ !d->may_dev, "nodev" },
		{ d->no_exec, "noexec" },
	};
	int r = check_target(d->what, d->text, d->target, e);

	if (r >= 0)
		r = resolve_source(d, e);
	if (r >= 0)
		r = take_place(s, d, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].wanted && strv_push(&options, words[i].name) < 0)
			return OUT_OF_MEMORY(e);
	}
	return spec_add_mount(s, "bind", d->source, d->target, TAKE_PTR(options), e);
}

static const char *propagation_find(const char *word)
{
	static const char *const kinds[] = { "private", "rprivate", "shared", "rshared", "slave", "rslave" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (streq(word, kinds[i]))
			return kinds[i];
	}
	return NULL;
}

/* One word of -v's third part. */
static int volume_word(struct mount_text *d, const char *w, struct err *e)
{
	const char *propagation = propagation_find(w);

	if (propagation)
		d->propagation = propagation;
	else if (streq(w, "ro"))
		d->is_readonly = true;
	else if (streq(w, "rw"))
		d->is_readonly = false;
	else if (streq(w, "suid"))
		d->may_suid = true;
	else if (streq(w, "dev"))
		d->may_dev = true;
	else if (streq(w, "noexec"))
		d->no_exec = true;
	else if (streq(w, "bind"))
		d->is_flat = true;
	else if (streq(w, "z") || streq(w, "Z") || streq(w, "rbind") || streq(w, "exec") || streq(w, "nosuid") ||
		 streq(w, "nodev") || streq(w, "nocopy") || streq(w, "cached") || streq(w, "delegated") || streq(w, "consistent"))
		return 0; /* the default already, or of no meaning for a host path on this kind of host (SELinux labels, macOS caching) */
	else
		return err_set(e, EINVAL,
			       "--volume: \"%s\": unknown option \"%s\"; ro, rw, rprivate, rslave, rshared, noexec, suid and dev "
			       "are known",
			       d->text, w);
	return 0;
}

int mounts_add_volume(struct spec *s, const char *text, struct err *e)
{
	_cleanup_(mount_text_done) struct mount_text d = { .what = "--volume", .text = text, .makes_source = true };
	_cleanup_strv_ char **parts = strv_split(text, ':');
	size_t n = strv_len(parts);

	if (!parts)
		return OUT_OF_MEMORY(e);
	if (n == 1 && *parts[0] == '/')
		return err_set(e, EOPNOTSUPP,
			       "--volume: \"%s\" asks for an anonymous volume; this version mounts host paths only: HOST:%s",
			       text, text);
	if (n < 2 || n > 3 || !*parts[0] || !*parts[1])
		return err_set(e, EINVAL, "--volume: \"%s\" is not HOST:PATH[:OPTIONS]", text);
	d.source = TAKE_PTR(parts[0]);
	d.target = TAKE_PTR(parts[1]);
	_cleanup_strv_ char **words = n == 3 ? strv_split(parts[2], ',') : NULL;
	free(TAKE_PTR(parts[2]));
	if (!d.source || !d.target || (n == 3 && !words))
		return OUT_OF_MEMORY(e);
	for (char **w = words; w && *w; w++) {
		int r = volume_word(&d, *w, e);
		if (r < 0)
			return r;
	}
	return add_bind(s, &d, e);
}

/* ---- tmpfs ---- */

static int add_tmpfs(struct spec *s, struct mount_text *d, char *const *more, struct err *e)
{
	static const char *const base[] = { "noexec", "nosuid", "nodev" };
	_cleanup_strv_ char **options = NULL;
	int r = check_target(d->what, d->text, d->target, e);

	if (r >= 0)
		r = take_place(s, d, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(base); i++) {
		bool undone = false;
		for (char *const *m = more; m && *m; m++)
			undone |= streq(*m, base[i] + 2); /* "exec" undoes "noexec" */
		if (!undone && strv_push(&options, base[i]) < 0)
			return OUT_OF_MEMORY(e);
	}
	for (char *const *m = more; m && *m; m++) {
		if (**m && strv_push(&options, *m) < 0)
			return OUT_OF_MEMORY(e);
	}
	return spec_add_mount(s, "tmpfs", "user", d->target, TAKE_PTR(options), e);
}

static int tmpfs_word(const char *text, char **word, struct err *e)
{
	static const char *const flags[] = { "rw",  "ro",    "exec",    "noexec",   "suid",      "nosuid",
					     "dev", "nodev", "noatime", "relatime", "nodiratime" };
	static const char *const keys[] = { "size=", "mode=", "uid=", "gid=", "nr_inodes=", "nr_blocks=" };
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (streq(*word, flags[i]))
			return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *v = str_after(*word, keys[i]);
		if (!v)
			continue;
		if (i != 0 || str_ends(v, "%"))
			return *v ? 0 : err_set(e, EINVAL, "--tmpfs: \"%s\": %s has no value", text, keys[i]);
		if (str_to_bytes(v, &n) < 0)
			return err_set(e, EINVAL, "--tmpfs: \"%s\": \"%s\" is not a size such as 64m", text, v);
		char *plain = str_fmt("size=%llu", (unsigned long long)n);
		if (!plain)
			return OUT_OF_MEMORY(e);
		free(*word);
		*word = plain;
		return 0;
	}
	return err_set(e, EINVAL,
		       "--tmpfs: \"%s\": unknown option \"%s\"; size=, mode=, uid=, gid=, ro, exec, suid and dev are known", text,
		       *word);
}

int mounts_add_tmpfs(struct spec *s, const char *text, struct err *e)
{
	const char *colon = strchr(text, ':');
	_cleanup_(mount_text_done) struct mount_text d = { .what = "--tmpfs", .text = text };
	_cleanup_strv_ char **words = colon ? strv_split(colon + 1, ',') : NULL;

	d.target = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
	if (!d.target || (colon && !words))
		return OUT_OF_MEMORY(e);
	for (char **w = words; w && *w; w++) {
		int r = **w ? tmpfs_word(text, w, e) : 0;
		if (r < 0)
			return r;
	}
	return add_tmpfs(s, &d, words, e);
}

/* ---- --mount type=...,key=value ---- */

struct mount_args {
	struct mount_text d;
	char *type;
	_Bool has_source;
	char **tmpfs_words;
};

static void mount_args_done(struct mount_args *a)
{
	mount_text_done(&a->d);
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
	r = tmpfs_word(a->d.text, &word, e);
	if (r < 0) {
		free(word);
		return r;
	}
	return strv_push_take(&a->tmpfs_words, word) < 0 ? OUT_OF_MEMORY(e) : 0;
}

static int mount_pair(struct mount_args *a, const char *key, const char *v, struct err *e)
{
	const char *text = a->d.text;

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
		return 0; /* of macOS only */
	if (streq(key, "bind-propagation")) {
		a->d.propagation = v ? propagation_find(v) : NULL;
		return a->d.propagation ? 0
					: err_set(e, EINVAL,
						  "--mount: \"%s\": bind-propagation is one of private, rprivate, shared, "
						  "rshared, slave, rslave",
						  text);
	}
	return err_set(e, EINVAL,
		       "--mount: \"%s\": unknown key \"%s\"; type, source, target, readonly, bind-propagation, tmpfs-size and "
		       "tmpfs-mode are known",
		       text, key);
}

int mounts_add_mount(struct spec *s, const char *text, struct err *e)
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
	if (a.type && streq(a.type, "tmpfs")) {
		if (a.d.source)
			return err_set(e, EINVAL, "--mount: \"%s\": a tmpfs has no source", text);
		if (a.d.is_readonly && strv_push(&a.tmpfs_words, "ro") < 0)
			return OUT_OF_MEMORY(e);
		return add_tmpfs(s, &a.d, a.tmpfs_words, e);
	}
	if (!a.type || streq(a.type, "volume"))
		return err_set(e, EOPNOTSUPP,
			       "--mount: \"%s\" asks for a volume; this version mounts host paths (type=bind) and memory "
			       "(type=tmpfs) only",
			       text);
	if (!streq(a.type, "bind"))
		return err_set(e, EINVAL, "--mount: \"%s\": unknown type \"%s\"; bind and tmpfs are known", text, a.type);
	if (!a.d.source)
		return err_set(e, EINVAL, "--mount: \"%s\": source=PATH is missing", text);
	return add_bind(s, &a.d, e);
}

/* ---- all of them ---- */

int mounts_set_shm_size(struct spec *s, int64_t bytes, struct err *e)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		struct spec_mount *m = &s->mounts[i];
		if (!streq(m->destination, "/dev/shm"))
			continue;
		for (char **o = m->options; o && *o; o++) {
			if (!str_after(*o, "size="))
				continue;
			char *size = str_fmt("size=%lld", (long long)bytes);
			if (!size)
				return OUT_OF_MEMORY(e);
			free(*o);
			*o = size;
			return 0;
		}
	}
	return err_set(e, EINVAL, "--shm-size: there is no /dev/shm to size");
}

int plan_mounts(struct plan *p, struct err *e)
{
	static const struct {
		size_t offset;
		int (*add)(struct spec *s, const char *text, struct err *e);
	} kinds[] = {
		{ offsetof(struct run_opts, volumes), mounts_add_volume },
		{ offsetof(struct run_opts, mounts), mounts_add_mount },
		{ offsetof(struct run_opts, tmpfs), mounts_add_tmpfs },
	};
	int r = 0;

	if (p->o->shm_size != SPEC_UNSET)
		r = mounts_set_shm_size(&p->spec, p->o->shm_size, e);
	else if (p->pod.id && p->pod_shares[NS_IPC] && p->pod_o.shm_size != SPEC_UNSET)
		r = mounts_set_shm_size(&p->spec, p->pod_o.shm_size, e);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char *const *list = *(char *const *const *)(const void *)((const char *)p->o + kinds[i].offset);
		for (; r >= 0 && list && *list; list++)
			r = kinds[i].add(&p->spec, *list, e);
	}
	p->spec.root_readonly = p->o->is_readonly;
	return r;
}
