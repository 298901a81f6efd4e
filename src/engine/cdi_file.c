/* cdi_file.c: one file of the Container Device Interface, by tables. Stricter than most documents, as the interface wants: a key that is
 * unknown, or younger than the file's cdiVersion, may be what the device can't do without. */
#include "cdi.h"

#include <stdio.h>
#include <sys/stat.h>

#define ROW(json_name, kind, s, m, ...)                               \
	{                                                             \
		json_name, kind, offsetof(struct s, m), ##__VA_ARGS__ \
	}
#define ARRAY(json_name, s, m, item, rows, ...)                                                         \
	{                                                                                               \
		.name = json_name, .type = FIELD_ARRAY, .offset = offsetof(struct s, m), .table = rows, \
		.size = sizeof(struct item), .count_offset = offsetof(struct s, n_##m), ##__VA_ARGS__   \
	}
#define HAS(s, m) FIELD_HAS, .count_offset = offsetof(struct s, m)
#define NO_OTHERS                      \
	{                              \
		.flags = FIELD_STRICT, \
	}

static void hook_init(void *item)
{
	struct cdi_hook *h = item;

	h->hook.timeout_s = SPEC_UNSET;
}

static const struct field node_fields[] = {
	ROW("path", FIELD_STRING, cdi_node, path, FIELD_REQUIRED),
	ROW("hostPath", FIELD_STRING, cdi_node, host_path),
	ROW("type", FIELD_STRING, cdi_node, type),
	ROW("major", FIELD_I64, cdi_node, major),
	ROW("minor", FIELD_I64, cdi_node, minor),
	ROW("fileMode", FIELD_U32, cdi_node, mode, HAS(cdi_node, has_mode)),
	ROW("permissions", FIELD_STRING, cdi_node, permissions),
	ROW("uid", FIELD_U32, cdi_node, uid, HAS(cdi_node, has_uid)),
	ROW("gid", FIELD_U32, cdi_node, gid, HAS(cdi_node, has_gid)),
	NO_OTHERS,
};
static const struct field mount_fields[] = {
	ROW("hostPath", FIELD_STRING, cdi_mount, host_path, FIELD_REQUIRED),
	ROW("containerPath", FIELD_STRING, cdi_mount, path, FIELD_REQUIRED),
	ROW("type", FIELD_STRING, cdi_mount, type),
	ROW("options", FIELD_STRV, cdi_mount, options),
	NO_OTHERS,
};
static const struct field hook_fields[] = {
	ROW("hookName", FIELD_STRING, cdi_hook, name, FIELD_REQUIRED),
	ROW("path", FIELD_STRING, cdi_hook, hook.path, FIELD_REQUIRED),
	ROW("args", FIELD_STRV, cdi_hook, hook.args),
	ROW("env", FIELD_STRV, cdi_hook, hook.env),
	ROW("timeout", FIELD_I64, cdi_hook, hook.timeout_s),
	NO_OTHERS,
};
static const struct field net_device_fields[] = {
	ROW("hostInterfaceName", FIELD_STRING, spec_net_device, host_name, FIELD_REQUIRED),
	ROW("name", FIELD_STRING, spec_net_device, name, FIELD_REQUIRED),
	NO_OTHERS,
};
static const struct field rdt_fields[] = {
	ROW("closID", FIELD_STRING, spec_rdt, clos_id),
	ROW("l3CacheSchema", FIELD_STRING, spec_rdt, l3_schema),
	ROW("memBwSchema", FIELD_STRING, spec_rdt, mb_schema),
	ROW("schemata", FIELD_STRV, spec_rdt, schemata),
	ROW("enableMonitoring", FIELD_BOOL, spec_rdt, monitoring),
	ROW("enableCMT", FIELD_BOOL, spec_rdt, cmt),
	ROW("enableMBM", FIELD_BOOL, spec_rdt, mbm),
	NO_OTHERS,
};
static const struct field edits_fields[] = {
	ROW("env", FIELD_STRV, cdi_edits, env),
	ARRAY("deviceNodes", cdi_edits, nodes, cdi_node, node_fields),
	ARRAY("mounts", cdi_edits, mounts, cdi_mount, mount_fields),
	ARRAY("hooks", cdi_edits, hooks, cdi_hook, hook_fields, .init = hook_init),
	ARRAY("netDevices", cdi_edits, net_devices, spec_net_device, net_device_fields),
	ROW("intelRdt", FIELD_OBJECT_PTR, cdi_edits, rdt, 0, rdt_fields, sizeof(struct spec_rdt)),
	ROW("additionalGids", FIELD_CUSTOM, cdi_edits, user, .parse = spec_gids_read, .free = spec_gids_free),
	NO_OTHERS,
};
static const struct field device_fields[] = {
	ROW("name", FIELD_STRING, cdi_device, name, FIELD_REQUIRED),
	ROW("annotations", FIELD_MAP, cdi_device, annotations),
	ROW("containerEdits", FIELD_OBJECT, cdi_device, edits, 0, edits_fields),
	NO_OTHERS,
};
static const struct field file_fields[] = {
	ROW("cdiVersion", FIELD_STRING, cdi_file, version, FIELD_REQUIRED),
	ROW("kind", FIELD_STRING, cdi_file, kind, FIELD_REQUIRED),
	ROW("annotations", FIELD_MAP, cdi_file, annotations),
	ARRAY("devices", cdi_file, devices, cdi_device, device_fields, .flags = FIELD_REQUIRED),
	ROW("containerEdits", FIELD_OBJECT, cdi_file, edits, 0, edits_fields),
	NO_OTHERS,
};

/* ---- versions ---- */

enum version { V0_3, V0_4, V0_5, V0_6, V0_7, V0_8, V1_0, V1_1, VERSION_COUNT };
static const char *const versions[] = {
	[V0_3] = "0.3.0", [V0_4] = "0.4.0", [V0_5] = "0.5.0", [V0_6] = "0.6.0",
	[V0_7] = "0.7.0", [V0_8] = "0.8.0", [V1_0] = "1.0.0", [V1_1] = "1.1.0",
};
_Static_assert(ARRAY_SIZE(versions) == VERSION_COUNT, "each has its name");

struct need {
	enum version least;
	const char *what; /* it came with */
};

static void needs(struct need *n, bool is_used, enum version v, const char *what)
{
	if (is_used && v > n->least)
		*n = (struct need){ v, what };
}

static void edits_need(const struct cdi_edits *d, struct need *n)
{
	for (size_t i = 0; i < d->n_mounts; i++)
		needs(n, d->mounts[i].type && *d->mounts[i].type, V0_4, "type of a mount");
	for (size_t i = 0; i < d->n_nodes; i++)
		needs(n, d->nodes[i].host_path && *d->nodes[i].host_path, V0_5, "hostPath of a device node");
	needs(n, d->user.n_additional_gids > 0, V0_7, "additionalGids");
	needs(n, d->rdt, V0_7, "intelRdt");
	needs(n, d->rdt && d->rdt->schemata, V1_1, "schemata");
	needs(n, d->rdt && d->rdt->monitoring, V1_1, "enableMonitoring");
	needs(n, d->n_net_devices > 0, V1_1, "netDevices");
}

static int check_version(const struct cdi_file *f, struct err *e)
{
	const char *given = *f->version == 'v' ? f->version + 1 : f->version;
	struct need n = { V0_3, NULL };
	size_t is = 0;

	while (is < VERSION_COUNT && !streq(versions[is], given))
		is++;
	if (is == VERSION_COUNT)
		return err_set(e, EOPNOTSUPP, ".cdiVersion: \"%.40s\" is not known; %s to %s are", f->version, versions[0],
			       versions[VERSION_COUNT - 1]);
	edits_need(&f->edits, &n);
	needs(&n, f->annotations.keys && f->annotations.keys[0], V0_6, "annotations");
	needs(&n, strchr(strchr(f->kind, '/'), '.') != NULL, V0_6, "a dot in the class of kind");
	for (size_t i = 0; i < f->n_devices; i++) {
		const struct cdi_device *d = &f->devices[i];
		edits_need(&d->edits, &n);
		needs(&n, *d->name >= '0' && *d->name <= '9', V0_5, "a device's name that begins with a digit");
		needs(&n, d->annotations.keys && d->annotations.keys[0], V0_6, "annotations");
	}
	if (n.least > is)
		return err_set(e, EINVAL, ".cdiVersion: %s, but %s came with %s", given, n.what, versions[n.least]);
	return 0;
}

/* ---- what tables can't say ---- */

static int check_env(char *const *env, const char *at, struct err *e)
{
	for (size_t i = 0; env && env[i]; i++)
		if (!strchr(env[i], '=') || *env[i] == '=')
			return err_set(e, EINVAL, "%s.env[%zu]: expected NAME=VALUE, found \"%.60s\"", at, i, env[i]);
	return 0;
}

/* No path of a device or a mount has any business with "..". */
static int check_path(const char *path, const char *at, const char *list, size_t i, const char *key, struct err *e)
{
	if (*path != '/' || strstr(path, "/../") || str_ends(path, "/.."))
		return err_set(e, EINVAL, "%s.%s[%zu].%s: expected an absolute path without \"..\", found \"%.60s\"", at, list, i,
			       key, path);
	return 0;
}

static int check_node(const struct cdi_node *n, const char *at, size_t i, struct err *e)
{
	int r = check_path(n->path, at, "deviceNodes", i, "path", e);

	if (r >= 0 && n->host_path && *n->host_path)
		r = check_path(n->host_path, at, "deviceNodes", i, "hostPath", e);
	if (r < 0)
		return r;
	if (n->type && *n->type && (strlen(n->type) != 1 || !strchr("bcup", *n->type)))
		return err_set(e, EINVAL, "%s.deviceNodes[%zu].type: expected b, c, u or p, found \"%.20s\"", at, i, n->type);
	if (n->permissions && !streq(n->permissions, "none") &&
	    (strlen(n->permissions) > 3 || n->permissions[strspn(n->permissions, "rwm")]))
		return err_set(e, EINVAL, "%s.deviceNodes[%zu].permissions: expected letters of rwm, or none, found \"%.20s\"",
			       at, i, n->permissions);
	if (n->has_mode && n->mode & ~(uint32_t)(S_IFMT | 07777))
		return err_set(e, EINVAL, "%s.deviceNodes[%zu].fileMode: %u is not a file mode", at, i, n->mode);
	return 0;
}

static int check_hook(const struct cdi_hook *h, const char *at, size_t i, struct err *e)
{
	char here[128];

	snprintf(here, sizeof(here), "%s.hooks[%zu]", at, i);
	if (spec_hook_kind(h->name) < 0)
		return err_set(e, EINVAL, "%s.hookName: \"%.40s\" is not a hook's name such as createContainer", here, h->name);
	if (*h->hook.path != '/')
		return err_set(e, EINVAL, "%s.path: expected an absolute path, found \"%.60s\"", here, h->hook.path);
	if (h->hook.timeout_s != SPEC_UNSET && h->hook.timeout_s <= 0)
		return err_set(e, EINVAL, "%s.timeout: expected seconds above 0, found %lld", here, (long long)h->hook.timeout_s);
	return check_env(h->hook.env, here, e);
}

static int check_net_devices(const struct cdi_edits *d, const char *at, struct err *e)
{
	for (size_t i = 0; i < d->n_net_devices; i++) {
		const struct spec_net_device *n = &d->net_devices[i];
		if (!*n->host_name || !*n->name)
			return err_set(e, EINVAL, "%s.netDevices[%zu]: expected two names", at, i);
		for (size_t k = 0; k < i; k++)
			if (streq(d->net_devices[k].host_name, n->host_name) || streq(d->net_devices[k].name, n->name))
				return err_set(e, EINVAL, "%s.netDevices[%zu]: its name is netDevices[%zu]'s too", at, i, k);
	}
	return 0;
}

static int check_edits(const struct cdi_edits *d, const char *at, struct err *e)
{
	int r = check_env(d->env, at, e);

	for (size_t i = 0; r >= 0 && i < d->n_nodes; i++)
		r = check_node(&d->nodes[i], at, i, e);
	for (size_t i = 0; r >= 0 && i < d->n_mounts; i++) {
		if (!*d->mounts[i].host_path)
			return err_set(e, EINVAL, "%s.mounts[%zu].hostPath: is empty", at, i);
		r = check_path(d->mounts[i].path, at, "mounts", i, "containerPath", e);
	}
	for (size_t i = 0; r >= 0 && i < d->n_hooks; i++)
		r = check_hook(&d->hooks[i], at, i, e);
	return r < 0 ? r : check_net_devices(d, at, e);
}

static bool is_empty(const struct cdi_edits *d)
{
	return !(d->env && *d->env) && !d->n_nodes && !d->n_mounts && !d->n_hooks && !d->n_net_devices && !d->rdt &&
	       !d->user.n_additional_gids;
}

static int check_device(const struct cdi_file *f, size_t i, struct err *e)
{
	const struct cdi_device *d = &f->devices[i];
	char at[64];

	if (!cdi_device_name_is_valid(d->name))
		return err_set(
			e, EINVAL,
			".devices[%zu].name: \"%.60s\" is not letters, digits, '_', '-', '.' and ':', the first and last a "
			"letter or digit",
			i, d->name);
	for (size_t k = 0; k < i; k++)
		if (streq(f->devices[k].name, d->name))
			return err_set(e, EINVAL, ".devices[%zu].name: %s is devices[%zu]'s too", i, d->name, k);
	snprintf(at, sizeof(at), ".devices[%zu].containerEdits", i);
	return is_empty(&d->edits) ? err_set(e, EINVAL, "%s: is empty", at) : check_edits(&d->edits, at, e);
}

static int check(const struct cdi_file *f, struct err *e)
{
	int r;

	if (!cdi_kind_is_valid(f->kind))
		return err_set(e, EINVAL, ".kind: \"%.60s\" is not VENDOR/CLASS, such as vendor.com/device", f->kind);
	if (!f->n_devices)
		return err_set(e, EINVAL, ".devices: is empty");
	r = check_edits(&f->edits, ".containerEdits", e);
	for (size_t i = 0; r >= 0 && i < f->n_devices; i++)
		r = check_device(f, i, e);
	return r < 0 ? r : check_version(f, e);
}

void cdi_file_done(struct cdi_file *f)
{
	json_free_fields(file_fields, f);
	free_ptr(&f->path);
}

int cdi_file_parse(const char *text, size_t len, struct cdi_file *ret, struct err *e)
{
	_cleanup_(cdi_file_done) struct cdi_file f = { 0 };
	_cleanup_json_ struct json_object *o = NULL;
	int r = json_parse(text, len, "JSON", &o, e);

	if (r >= 0)
		r = json_read(o, file_fields, &f, "", e);
	if (r >= 0)
		r = check(&f, e);
	if (r < 0)
		return r;
	*ret = f;
	f = (struct cdi_file){ 0 };
	return 0;
}
