/* mounts.c: -v, and what all mounts of the user's have in common. Bind mounts, volumes too, are private, nosuid and nodev unless asked
 * otherwise; sources are resolved here, on the host, once. mounts_option.c has --mount, mounts_tmpfs.c --tmpfs, volumes_plan.c what
 * becomes of volumes. */
#include "mounts.h"

#include <limits.h>
#include <unistd.h>

#include "volumes_impl.h"

void mount_draft_done(struct mount_draft *d)
{
	free(d->source);
	free(d->target);
	strv_free(d->labels);
	strv_free(d->options);
}

void mounts_done(struct mounts *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->wishes[i].target);
		free(m->wishes[i].name);
		strv_free(m->wishes[i].labels);
		strv_free(m->wishes[i].options);
	}
	free(m->wishes);
	m->wishes = NULL;
	m->n = 0;
}

int mount_add_wish(struct mounts *m, const struct mount_wish *w, struct err *e)
{
	struct mount_wish *grown = reallocarray(m->wishes, m->n + 1, sizeof(*grown)), *at;

	if (!grown)
		return OUT_OF_MEMORY(e);
	m->wishes = grown;
	at = &grown[m->n++];
	*at = *w;
	at->target = strdup(w->target);
	at->name = w->name ? strdup(w->name) : NULL;
	at->labels = w->labels ? strv_copy(w->labels) : NULL;
	at->options = w->options ? strv_copy(w->options) : NULL;
	return at->target && !at->name == !w->name && !at->labels == !w->labels && !at->options == !w->options ? 0
													       : OUT_OF_MEMORY(e);
}

int mount_add(struct mounts *m, const char *type, const char *source, const char *target, char **options, struct err *e)
{
	struct spec *s = m->s;
	struct spec_mount *grown = reallocarray(s->mounts, s->n_mounts + 1, sizeof(*grown));
	struct spec_mount made = {
		.destination = strdup(target), .type = strdup(type), .source = strdup(source), .options = options
	};

	if (grown)
		s->mounts = grown;
	if (!grown || !made.destination || !made.type || !made.source) {
		free(made.destination);
		free(made.type);
		free(made.source);
		strv_free(options);
		return OUT_OF_MEMORY(e);
	}
	s->mounts[s->n_mounts++] = made;
	return 0;
}

static void make_plain(char *path)
{
	char *to = path;

	for (const char *from = path; *from;) {
		size_t n = strcspn(from + 1, "/") + 1; /* "/name" */

		if (n > 2 || (n == 2 && from[1] != '.')) {
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	*to = 0;
}

int mount_check_target(const struct mount_draft *d, struct err *e)
{
	if (!d->target || *d->target != '/')
		return err_set(e, EINVAL, "%s: \"%s\": the path inside must be absolute", d->what, d->text);
	for (const char *c = d->target; *c; c += strcspn(c, "/")) {
		c += strspn(c, "/");
		if (strncmp(c, "..", 2) == 0 && (c[2] == '/' || !c[2]))
			return err_set(e, EINVAL, "%s: \"%s\": the path inside can't hold \"..\"", d->what, d->text);
	}
	make_plain(d->target);
	if (!*d->target)
		return err_set(e, EINVAL, "%s: \"%s\": can't mount over \"/\"", d->what, d->text);
	return 0;
}

bool mount_is_users(const struct spec_mount *m)
{
	return streq0(m->type, "bind") || (streq0(m->type, "tmpfs") && streq0(m->source, "user"));
}

bool mounts_has(const struct mounts *m, const char *target)
{
	for (size_t i = 0; i < m->s->n_mounts; i++)
		if (streq(m->s->mounts[i].destination, target) && mount_is_users(&m->s->mounts[i]))
			return true;
	return false;
}

void mounts_remove(struct mounts *m, const char *target)
{
	struct spec *s = m->s;

	for (size_t i = 0; i < s->n_mounts; i++) {
		struct spec_mount *at = &s->mounts[i];
		if (!streq(at->destination, target))
			continue;
		free(at->destination);
		free(at->type);
		free(at->source);
		strv_free(at->options);
		memmove(at, at + 1, (--s->n_mounts - i) * sizeof(*at));
		return;
	}
}

/* A second mount on one path replaces a default one (-v X:/dev/shm) and is refused against another of the user's. */
int mount_take_place(struct mounts *m, const struct mount_draft *d, struct err *e)
{
	if (mounts_has(m, d->target))
		return err_set(e, EINVAL, "%s: \"%s\": %s is mounted already by another option", d->what, d->text, d->target);
	mounts_remove(m, d->target);
	return 0;
}

/* Absolute and free of symlinks. A missing source of -v is made, as docker does; --mount's must exist. */
static int resolve_source(struct mount_draft *d, struct err *e)
{
	char *real;

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

/* What is left to be done when all mounts are known. */
static int note_wish(struct mounts *m, const struct mount_draft *d, struct err *e)
{
	const struct mount_wish w = { .target = d->target,
				      .is_volume = d->is_volume,
				      .name = d->is_volume ? d->source : NULL,
				      .no_copy = d->no_copy,
				      .chowns = d->chowns,
				      .labels = d->labels,
				      .options = d->options };

	return d->is_volume || d->chowns ? mount_add_wish(m, &w, e) : 0;
}

int mount_add_bind(struct mounts *m, struct mount_draft *d, struct err *e)
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
		{ d->trust, d->trust },
	};
	int r = mount_check_target(d, e);

	if (r >= 0 && d->is_volume)
		r = d->source ? volume_check_name(d->source, e) : 0;
	else if (r >= 0)
		r = resolve_source(d, e);
	if (r >= 0)
		r = mount_take_place(m, d, e);
	if (r >= 0)
		r = note_wish(m, d, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].wanted && strv_push(&options, words[i].name) < 0)
			return OUT_OF_MEMORY(e);
	}
	return mount_add(m, "bind", d->is_volume ? "" : d->source, d->target, TAKE_PTR(options), e);
}

const char *mount_propagation(const char *word)
{
	static const char *const kinds[] = { "private", "rprivate", "shared", "rshared", "slave", "rslave" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (streq(word, kinds[i]))
			return kinds[i];
	}
	return NULL;
}

/* Docker's words. delegated, there the guest's side as the one that is believed, is cached here: what the guest writes is the host's
 * at once in any case. */
int mount_consistency(struct mount_draft *d, const char *word)
{
	static const struct {
		const char *word, *trust;
	} rows[] = { { "default", NULL }, { "consistent", "consistent" }, { "cached", "cached" }, { "delegated", "cached" } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (streq(rows[i].word, word)) {
			d->trust = rows[i].trust;
			return 0;
		}
	return -EINVAL;
}

/* One word of -v's third part. */
static int volume_word(struct mount_draft *d, const char *w, struct err *e)
{
	const char *propagation = mount_propagation(w);

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
	else if (streq(w, "nocopy"))
		d->no_copy = true;
	else if (streq(w, "copy"))
		d->no_copy = false;
	else if (streq(w, "U"))
		d->chowns = true;
	else if (streq(w, "z") || streq(w, "Z") || streq(w, "rbind") || streq(w, "exec") || streq(w, "nosuid") ||
		 streq(w, "nodev"))
		return 0; /* the default already, or of no meaning without SELinux labels */
	else if (mount_consistency(d, w) < 0)
		return err_set(
			e, EINVAL,
			"--volume: \"%s\": unknown option \"%s\"; ro, rw, nocopy, U, z, Z, rprivate, rslave, rshared, noexec, "
			"suid, dev, cached and consistent are known",
			d->text, w);
	return 0;
}

int mounts_add_volume(struct mounts *m, const char *text, struct err *e)
{
	_cleanup_(mount_draft_done) struct mount_draft d = { .what = "--volume", .text = text, .makes_source = true };
	_cleanup_strv_ char **parts = strv_split(text, ':');
	size_t n = strv_len(parts);

	if (!parts)
		return OUT_OF_MEMORY(e);
	if (n > 3 || (n == 1 && *parts[0] != '/') || !*parts[0] || (n > 1 && !*parts[1]))
		return err_set(e, EINVAL, "--volume: \"%s\" is not PATH or SOURCE:PATH[:OPTIONS]", text);
	d.is_volume = n == 1 || (*parts[0] != '/' && *parts[0] != '.');
	if (n > 1)
		d.source = strdup(parts[0]);
	d.target = strdup(parts[n > 1]);
	_cleanup_strv_ char **words = n == 3 ? strv_split(parts[2], ',') : NULL;
	if ((n > 1 && !d.source) || !d.target || (n == 3 && !words))
		return OUT_OF_MEMORY(e);
	for (char **w = words; w && *w; w++) {
		int r = volume_word(&d, *w, e);
		if (r < 0)
			return r;
	}
	return mount_add_bind(m, &d, e);
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

static size_t depth_of(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* As docker does: what lies below another mount comes after it, whichever was named first, or it would be hidden; else in the order that
 * they were named in. The defaults stay where they are. */
void mounts_sort(struct mounts *m)
{
	struct spec_mount *all = m->s->mounts;

	for (size_t i = 1; i < m->s->n_mounts; i++) {
		struct spec_mount at = all[i];
		size_t k = i;
		if (!mount_is_users(&at))
			continue;
		for (; k > 0 && mount_is_users(&all[k - 1]) && depth_of(all[k - 1].destination) > depth_of(at.destination); k--)
			all[k] = all[k - 1];
		all[k] = at;
	}
}

int plan_mounts(struct plan *p, struct err *e)
{
	static const struct {
		size_t offset;
		int (*add)(struct mounts *m, const char *text, struct err *e);
	} kinds[] = {
		{ offsetof(struct run_opts, volumes), mounts_add_volume },
		{ offsetof(struct run_opts, mounts), mounts_add_mount },
		{ offsetof(struct run_opts, tmpfs), mounts_add_tmpfs },
	};
	_cleanup_(mounts_done) struct mounts m = { .s = &p->spec };
	int r = 0;

	if (p->o->shm_size != SPEC_UNSET)
		r = mounts_set_shm_size(&p->spec, p->o->shm_size, e);
	else if (p->pod.id && p->pod_shares[NS_IPC] && p->pod_o.shm_size != SPEC_UNSET)
		r = mounts_set_shm_size(&p->spec, p->pod_o.shm_size, e);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char *const *list = *(char *const *const *)(const void *)((const char *)p->o + kinds[i].offset);
		for (; r >= 0 && list && *list; list++)
			r = kinds[i].add(&m, *list, e);
	}
	/* What is named nearer to the user comes first, and keeps its place. */
	if (r >= 0)
		r = mounts_add_from(p, &m, e);
	if (r >= 0)
		r = mounts_add_image(p, &m, e);
	if (r >= 0)
		r = mounts_fulfil(p, &m, e);
	mounts_sort(&m);
	p->spec.root_readonly = p->o->is_readonly;
	return r;
}
