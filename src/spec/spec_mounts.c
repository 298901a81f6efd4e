/* config.json: `mounts` (config.md §mounts) and `hooks` (§posix-platform-hooks). Mount options are words here; what they
 * mean is container/'s table. */
#include <stdio.h>

#include "spec_rows.h"

const struct field spec_idmap_fields[] = {
	SPEC_ROW("containerID", FIELD_U32, spec_idmap, container_id, FIELD_REQUIRED),
	SPEC_ROW("hostID", FIELD_U32, spec_idmap, host_id, FIELD_REQUIRED),
	SPEC_ROW("size", FIELD_U32, spec_idmap, size, FIELD_REQUIRED),
	{ NULL },
};
const struct field spec_mount_fields[] = {
	SPEC_ROW("destination", FIELD_STRING, spec_mount, destination, FIELD_REQUIRED),
	SPEC_ROW("type", FIELD_STRING, spec_mount, type),
	SPEC_ROW("source", FIELD_STRING, spec_mount, source),
	SPEC_ROW("options", FIELD_STRV, spec_mount, options, FIELD_OMIT_EMPTY),
	SPEC_ARRAY("uidMappings", spec_mount, uid_mappings, spec_idmap, spec_idmap_fields),
	SPEC_ARRAY("gidMappings", spec_mount, gid_mappings, spec_idmap, spec_idmap_fields),
	{ NULL },
};

/* config.md: a relative destination "MUST be interpreted as relative to "/"". From here on there are none. */
int spec_mounts_from_root(struct spec *s, struct err *e)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		struct spec_mount *m = &s->mounts[i];
		char *full;

		if (!*m->destination)
			return err_set(e, EINVAL, ".mounts[%zu].destination: expected a path, found \"\"", i);
		if (m->destination[0] == '/')
			continue;
		full = str_fmt("/%s", m->destination);
		if (!full)
			return err_set(e, ENOMEM, ".mounts[%zu].destination: out of memory", i);
		free(m->destination);
		m->destination = full;
	}
	return 0;
}

static int check_mount_maps(const struct spec_mount *m, size_t i, struct err *e)
{
	char path[64];
	int r;

	if (!m->n_uid_mappings != !m->n_gid_mappings)
		return err_set(e, EINVAL, ".mounts[%zu]: uidMappings and gidMappings go together", i);
	snprintf(path, sizeof path, ".mounts[%zu].uidMappings", i);
	r = spec_check_idmaps(m->uid_mappings, m->n_uid_mappings, path, e);
	snprintf(path, sizeof path, ".mounts[%zu].gidMappings", i);
	return r < 0 ? r : spec_check_idmaps(m->gid_mappings, m->n_gid_mappings, path, e);
}

int spec_check_mounts(const struct spec *s, struct err *e)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct spec_mount *m = &s->mounts[i];
		int r = spec_check_absolute(m->destination, e, ".mounts[%zu].destination", i);
		if (r < 0)
			return r;
		r = check_mount_maps(m, i, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static const struct field hook_fields[] = {
	SPEC_ROW("path", FIELD_STRING, spec_hook, path, FIELD_REQUIRED),
	SPEC_ROW("args", FIELD_STRV, spec_hook, args),
	SPEC_ROW("env", FIELD_STRV, spec_hook, env),
	SPEC_ROW("timeout", FIELD_I64, spec_hook, timeout_s),
	{ NULL },
};

static void hook_init(void *item)
{
	struct spec_hook *h = item;

	h->timeout_s = SPEC_UNSET;
}

#define HOOK_ROW(json_name, which)                                                                                          \
	{                                                                                                                   \
		json_name, FIELD_ARRAY, offsetof(struct spec_hooks, list[which]), 0, hook_fields, sizeof(struct spec_hook), \
			offsetof(struct spec_hooks, n[which]), .init = hook_init                                            \
	}
const struct field spec_hooks_fields[] = {
	HOOK_ROW("prestart", HOOK_PRESTART),
	HOOK_ROW("createRuntime", HOOK_CREATE_RUNTIME),
	HOOK_ROW("createContainer", HOOK_CREATE_CONTAINER),
	HOOK_ROW("startContainer", HOOK_START_CONTAINER),
	HOOK_ROW("poststart", HOOK_POSTSTART),
	HOOK_ROW("poststop", HOOK_POSTSTOP),
	{ NULL },
};
_Static_assert(ARRAY_SIZE(spec_hooks_fields) == HOOK_COUNT + 1, "one row a kind of hook, in the enum's order");

int spec_hook_kind(const char *name)
{
	for (int k = 0; k < HOOK_COUNT; k++)
		if (streq(spec_hooks_fields[k].name, name))
			return k;
	return -EINVAL;
}

int spec_check_hooks(const struct spec_hooks *h, struct err *e)
{
	for (size_t k = 0; k < HOOK_COUNT; k++) {
		for (size_t i = 0; i < h->n[k]; i++) {
			const struct spec_hook *hook = &h->list[k][i];
			int r = spec_check_absolute(hook->path, e, ".hooks.%s[%zu].path", spec_hooks_fields[k].name, i);
			if (r < 0)
				return r;
			if (hook->timeout_s != SPEC_UNSET && hook->timeout_s <= 0)
				return err_set(e, EINVAL, ".hooks.%s[%zu].timeout: expected seconds above 0, found %lld",
					       spec_hooks_fields[k].name, i, (long long)hook->timeout_s);
		}
	}
	return 0;
}
