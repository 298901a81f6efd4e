/* cdi_apply.c: what a file wants edited, done to a container's configuration. What is there of the same name or on the same path already
 * gives way, as other engines have it. */
#include "cdi.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mounts.h"

/* ---- device nodes ---- */

/* "1000:100"; ids of names are the image's, which nobody has read yet. */
static void owner_of(const char *user, struct spec_device *d)
{
	const char *colon = user ? strchr(user, ':') : NULL;
	_cleanup_free_ char *first = user ? strndup(user, colon ? (size_t)(colon - user) : strlen(user)) : NULL;
	uint64_t id;

	if (first && str_to_u64(first, &id) >= 0 && id < UINT32_MAX)
		d->uid = (uint32_t)id;
	if (colon && str_to_u64(colon + 1, &id) >= 0 && id < UINT32_MAX)
		d->gid = (uint32_t)id;
}

static char type_of(const struct stat *st)
{
	return S_ISBLK(st->st_mode) ? 'b' : S_ISCHR(st->st_mode) ? 'c' : S_ISFIFO(st->st_mode) ? 'p' : 0;
}

/* What the file doesn't say is the host's node's; one that is described in full needn't be there. */
static int fill_device(const struct cdi_node *n, struct spec_device *d, struct err *e)
{
	const char *host = n->host_path && *n->host_path ? n->host_path : n->path;
	bool is_whole = n->type && *n->type && (n->major || *n->type == 'p');
	struct stat st;

	d->type = n->type && *n->type ? (char)(*n->type == 'u' ? 'c' : *n->type) : 0;
	d->major = n->major;
	d->minor = n->minor;
	d->has_mode = n->has_mode;
	d->mode = n->mode & 07777;
	if (lstat(host, &st) < 0)
		return is_whole ? 0 : err_set(e, errno, "device node %s: %s", host, strerror(errno));
	if (!d->has_mode) {
		d->has_mode = true;
		d->mode = st.st_mode & 07777;
	}
	if (is_whole)
		return 0;
	if (!type_of(&st))
		return err_set(e, ENODEV, "device node %s: is not a device", host);
	if (d->type && d->type != type_of(&st))
		return err_set(e, EINVAL, "device node %s: is of type %c, and the file says %c", host, type_of(&st), d->type);
	d->type = type_of(&st);
	if (d->type != 'p') {
		d->major = major(st.st_rdev);
		d->minor = minor(st.st_rdev);
	}
	return 0;
}

static int put_device(struct spec *s, const struct spec_device *d, struct err *e)
{
	struct spec_device *grown;

	for (size_t i = 0; i < s->n_devices; i++) {
		if (!streq(s->devices[i].path, d->path))
			continue;
		free(s->devices[i].path);
		s->devices[i] = *d;
		return 0;
	}
	grown = reallocarray(s->devices, s->n_devices + 1, sizeof(*grown));
	if (!grown)
		return OUT_OF_MEMORY(e);
	s->devices = grown;
	grown[s->n_devices++] = *d;
	return 0;
}

static int add_node(const struct cdi_node *n, const char *user, struct spec *s, struct err *e)
{
	const char *access = n->permissions && *n->permissions ? n->permissions : "rwm";
	struct spec_device d = { 0 };
	int r;

	owner_of(user, &d);
	if (n->has_uid)
		d.uid = n->uid;
	if (n->has_gid)
		d.gid = n->gid;
	r = fill_device(n, &d, e);
	if (r < 0)
		return r;
	d.path = strdup(n->path);
	r = d.path ? put_device(s, &d, e) : OUT_OF_MEMORY(e);
	if (r < 0) {
		free(d.path);
		return r;
	}
	return d.type == 'p' || streq(access, "none") ? 0 : device_allow(&s->resources, d.type, d.major, d.minor, access, e);
}

/* ---- mounts ---- */

static bool has_word(char *const *v, const char *word)
{
	for (; v && *v; v++)
		if (streq(*v, word))
			return true;
	return false;
}

static int add_mount(const struct cdi_mount *c, struct mounts *m, struct err *e)
{
	bool is_bind = has_word(c->options, "bind") || has_word(c->options, "rbind");
	bool has_type = c->type && *c->type && !streq(c->type, "none") && !streq(c->type, "bind");
	_cleanup_strv_ char **options = c->options ? strv_copy(c->options) : NULL;
	int r = c->options && !options ? -ENOMEM : 0;

	/* A file or directory of the host without another word: shown as it is. */
	if (r >= 0 && !is_bind && !has_type) {
		r = strv_push(&options, "rbind");
		is_bind = true;
	}
	if (r < 0)
		return OUT_OF_MEMORY(e);
	if (is_bind && access(c->host_path, F_OK) < 0)
		return err_set(e, errno, "mount of %s: %s", c->host_path, strerror(errno));
	mounts_remove(m, c->path);
	return mount_add(m, is_bind ? "bind" : c->type, c->host_path, c->path, TAKE_PTR(options), e);
}

/* ---- the rest ---- */

static int add_hook(const struct cdi_hook *h, struct spec_hooks *all, struct err *e)
{
	int kind = spec_hook_kind(h->name);
	struct spec_hook *grown;
	struct spec_hook made = { .timeout_s = h->hook.timeout_s };

	if (access(h->hook.path, X_OK) < 0)
		return err_set(e, errno, "hook %s: %s", h->hook.path, strerror(errno));
	grown = reallocarray(all->list[kind], all->n[kind] + 1, sizeof(*grown));
	if (!grown)
		return OUT_OF_MEMORY(e);
	all->list[kind] = grown;
	made.path = strdup(h->hook.path);
	made.args = h->hook.args ? strv_copy(h->hook.args) : NULL;
	made.env = h->hook.env ? strv_copy(h->hook.env) : NULL;
	grown[all->n[kind]++] = made;
	return made.path && !made.args == !h->hook.args && !made.env == !h->hook.env ? 0 : OUT_OF_MEMORY(e);
}

static int add_net_device(const struct spec_net_device *n, struct spec *s, struct err *e)
{
	struct spec_net_device *grown = reallocarray(s->net_devices, s->n_net_devices + 1, sizeof(*grown));

	if (!grown)
		return OUT_OF_MEMORY(e);
	s->net_devices = grown;
	struct spec_net_device *made = &grown[s->n_net_devices++];
	*made = (struct spec_net_device){ .host_name = strdup(n->host_name), .name = strdup(n->name) };
	return made->host_name && made->name ? 0 : OUT_OF_MEMORY(e);
}

static int copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

static int set_rdt(const struct spec_rdt *from, struct spec *s, struct err *e)
{
	struct spec_rdt *to = calloc(1, sizeof(*to));

	if (!to)
		return OUT_OF_MEMORY(e);
	spec_rdt_free(s->rdt);
	s->rdt = to;
	to->monitoring = from->monitoring;
	to->cmt = from->cmt;
	to->mbm = from->mbm;
	to->schemata = from->schemata ? strv_copy(from->schemata) : NULL;
	if (copy_text(&to->clos_id, from->clos_id) < 0 || copy_text(&to->l3_schema, from->l3_schema) < 0 ||
	    copy_text(&to->mb_schema, from->mb_schema) < 0 || !to->schemata != !from->schemata)
		return OUT_OF_MEMORY(e);
	return 0;
}

static int add_gid(uint32_t gid, struct spec_user *u, struct err *e)
{
	uint32_t *grown;

	for (size_t i = 0; i < u->n_additional_gids; i++)
		if (u->additional_gids[i] == gid)
			return 0;
	if (gid == 0) /* counts as not given */
		return 0;
	grown = reallocarray(u->additional_gids, u->n_additional_gids + 1, sizeof(*grown));
	if (!grown)
		return OUT_OF_MEMORY(e);
	u->additional_gids = grown;
	grown[u->n_additional_gids++] = gid;
	return 0;
}

int cdi_apply(const struct cdi_edits *d, const char *user, struct spec *s, struct err *e)
{
	struct mounts m = { .s = s };
	int r = 0;

	for (char **v = d->env; r >= 0 && v && *v; v++)
		if (env_set(&s->process.env, *v) < 0)
			return OUT_OF_MEMORY(e);
	for (size_t i = 0; r >= 0 && i < d->n_nodes; i++)
		r = add_node(&d->nodes[i], user, s, e);
	for (size_t i = 0; r >= 0 && i < d->n_mounts; i++)
		r = add_mount(&d->mounts[i], &m, e);
	mounts_sort(&m);
	for (size_t i = 0; r >= 0 && i < d->n_hooks; i++)
		r = add_hook(&d->hooks[i], &s->hooks, e);
	for (size_t i = 0; r >= 0 && i < d->n_net_devices; i++)
		r = add_net_device(&d->net_devices[i], s, e);
	if (r >= 0 && d->rdt)
		r = set_rdt(d->rdt, s, e);
	for (size_t i = 0; r >= 0 && i < d->user.n_additional_gids; i++)
		r = add_gid(d->user.additional_gids[i], &s->process.user, e);
	return r;
}
