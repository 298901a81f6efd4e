/* config.json: `linux.namespaces`, `linux.devices` and what is judged of `linux` as a whole (config-linux.md). */
#include <stdio.h>

#include "spec_rows.h"

/* ---- namespaces ---- */

static const char *const ns_names[NS_COUNT] = {
	[NS_MOUNT] = "mount", [NS_PID] = "pid",   [NS_NET] = "network",   [NS_IPC] = "ipc",
	[NS_UTS] = "uts",     [NS_USER] = "user", [NS_CGROUP] = "cgroup", [NS_TIME] = "time",
};
struct ns_row {
	char *type, *path;
};
const struct field spec_ns_fields[] = {
	SPEC_ROW("type", FIELD_STRING, ns_row, type, FIELD_REQUIRED),
	SPEC_ROW("path", FIELD_STRING, ns_row, path),
	{ NULL },
};

static int read_one_ns(struct json_object *v, struct spec_namespaces *ns, struct ns_row *row, const char *path, struct err *e)
{
	size_t k = 0;
	int r = json_read(v, spec_ns_fields, row, path, e);

	if (r < 0)
		return r;
	while (k < NS_COUNT && !streq(ns_names[k], row->type))
		k++;
	if (k == NS_COUNT)
		return err_set(e, EINVAL,
			       "%s.type: \"%.40s\" is not a namespace: pid, network, mount, ipc, uts, user, cgroup or time", path,
			       row->type);
	if (ns->wanted[k])
		return err_set(e, EINVAL, "%s.type: %s is given twice", path, ns_names[k]);
	if (row->path && *row->path) { /* "" is what some writers put for none */
		r = spec_check_absolute(row->path, e, "%s.path", path);
		if (r < 0)
			return r;
		ns->path[k] = TAKE_PTR(row->path);
	}
	ns->wanted[k] = true;
	return 0;
}

int spec_ns_read(struct json_object *v, void *member, const char *path, struct err *e)
{
	if (!json_object_is_type(v, json_type_array))
		return json_expected(v, path, "an array", e);
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		struct ns_row row = {};
		char sub[96];
		snprintf(sub, sizeof sub, "%s[%zu]", path, i);
		int r = read_one_ns(json_object_array_get_idx(v, i), member, &row, sub, e);
		json_free_fields(spec_ns_fields, &row);
		if (r < 0)
			return r;
	}
	return 0;
}

struct json_object *spec_ns_print(const void *member)
{
	const struct spec_namespaces *ns = member;
	struct json_object *a = json_object_new_array();

	for (size_t k = 0; a && k < NS_COUNT; k++) {
		if (!ns->wanted[k])
			continue;
		_cleanup_json_ struct json_object *o = json_object_new_object();
		if (json_add(o, "type", json_object_new_string(ns_names[k])) < 0 ||
		    (ns->path[k] && json_add(o, "path", json_object_new_string(ns->path[k])) < 0) ||
		    json_object_array_add(a, o) < 0) {
			json_object_put(a);
			return NULL;
		}
		o = NULL; /* the array's now */
	}
	return a;
}

void spec_ns_free(void *member)
{
	struct spec_namespaces *ns = member;

	for (size_t k = 0; k < NS_COUNT; k++) {
		free_ptr(&ns->path[k]);
		ns->wanted[k] = false;
	}
}

/* ---- time offsets: the entries' keys are the clocks of time_namespaces(7), and no others ---- */

static const struct field offset_fields[] = {
	SPEC_ROW("secs", FIELD_I64, spec_time_offset, secs, FIELD_OMIT_EMPTY),
	SPEC_ROW("nanosecs", FIELD_U32, spec_time_offset, nanosecs, FIELD_OMIT_EMPTY),
	{ NULL },
};
const struct field spec_time_fields[] = {
	SPEC_ROW("monotonic", FIELD_OBJECT, spec, time_offsets[SPEC_MONOTONIC], FIELD_OMIT_EMPTY, offset_fields),
	SPEC_ROW("boottime", FIELD_OBJECT, spec, time_offsets[SPEC_BOOTTIME], FIELD_OMIT_EMPTY, offset_fields),
	{ .flags = FIELD_STRICT },
};
_Static_assert(ARRAY_SIZE(spec_time_fields) == SPEC_CLOCK_COUNT + 1, "one row a clock, in the enum's order");

bool spec_has_time_offsets(const struct spec *s)
{
	for (size_t i = 0; i < SPEC_CLOCK_COUNT; i++)
		if (s->time_offsets[i].secs || s->time_offsets[i].nanosecs)
			return true;
	return false;
}

static int check_time_offsets(const struct spec *s, struct err *e)
{
	for (size_t i = 0; i < SPEC_CLOCK_COUNT; i++)
		if (s->time_offsets[i].nanosecs > 999999999)
			return err_set(e, EINVAL, ".linux.timeOffsets.%s.nanosecs: expected 0 to 999999999, found %u",
				       spec_time_fields[i].name, s->time_offsets[i].nanosecs);
	/* A joined one is in use: its offsets can't change any more (time_namespaces(7)). */
	if (spec_has_time_offsets(s) && (!s->ns.wanted[NS_TIME] || s->ns.path[NS_TIME]))
		return err_set(e, EINVAL, ".linux.timeOffsets: needs a new namespace of type \"time\"");
	return 0;
}

/* ---- devices ---- */

static int read_device_type(struct json_object *v, void *member, const char *path, struct err *e)
{
	const char *s = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";

	if (strlen(s) != 1 || !strchr("cubp", *s))
		return json_expected(v, path, "\"c\", \"b\", \"u\" or \"p\"", e);
	*(char *)member = *s;
	return 0;
}

static struct json_object *print_device_type(const void *member) { return json_object_new_string_len(member, 1); }

const struct field spec_device_fields[] = {
	SPEC_ROW("path", FIELD_STRING, spec_device, path, FIELD_REQUIRED),
	SPEC_ROW("type", FIELD_CUSTOM, spec_device, type, FIELD_REQUIRED, .parse = read_device_type, .print = print_device_type),
	SPEC_ROW("major", FIELD_I64, spec_device, major),
	SPEC_ROW("minor", FIELD_I64, spec_device, minor),
	SPEC_ROW("fileMode", FIELD_U32, spec_device, mode, FIELD_HAS, .count_offset = offsetof(struct spec_device, has_mode)),
	SPEC_ROW("uid", FIELD_U32, spec_device, uid, FIELD_OMIT_EMPTY),
	SPEC_ROW("gid", FIELD_U32, spec_device, gid, FIELD_OMIT_EMPTY),
	{ NULL },
};

/* Linux: 12 bits of major, 20 of minor (include/linux/kdev_t.h). */
static bool is_device_number(int64_t major, int64_t minor)
{
	return major >= 0 && major < 1 << 12 && minor >= 0 && minor < 1 << 20;
}

static int check_device(const struct spec_device *d, size_t i, struct err *e)
{
	int r = spec_check_absolute(d->path, e, ".linux.devices[%zu].path", i);

	if (r < 0)
		return r;
	if (d->type != 'p' && !is_device_number(d->major, d->minor))
		return err_set(e, EINVAL, ".linux.devices[%zu]: %lld:%lld is not a device number", i, (long long)d->major,
			       (long long)d->minor);
	if (d->has_mode && d->mode > 07777 && (d->mode & ~07777u & ~(uint32_t)S_IFMT))
		return err_set(e, EINVAL, ".linux.devices[%zu].fileMode: %u is not a file mode", i, d->mode);
	return 0;
}

/* ---- linux as a whole ---- */

/* include/linux/user_namespace.h: UID_GID_MAP_MAX_EXTENTS (Linux 4.15; 5 before). */
enum { IDMAP_MAX = 340 };

static bool overlaps(uint32_t a, uint32_t n_a, uint32_t b, uint32_t n_b)
{
	return (uint64_t)a < (uint64_t)b + n_b && (uint64_t)b < (uint64_t)a + n_a;
}

int spec_check_idmaps(const struct spec_idmap *m, size_t n, const char *path, struct err *e)
{
	/* First of all, so that the comparison of each with each stays short. */
	if (n > IDMAP_MAX)
		return err_set(e, EINVAL, "%s: %zu ranges: the kernel takes %d at most", path, n, IDMAP_MAX);
	for (size_t i = 0; i < n; i++) {
		if (m[i].size == 0)
			return err_set(e, EINVAL, "%s[%zu].size: expected at least 1", path, i);
		if ((uint64_t)m[i].container_id + m[i].size > UINT32_MAX || (uint64_t)m[i].host_id + m[i].size > UINT32_MAX)
			return err_set(e, EINVAL, "%s[%zu]: the range goes beyond the last id, 4294967294", path, i);
		for (size_t k = 0; k < i; k++)
			if (overlaps(m[i].container_id, m[i].size, m[k].container_id, m[k].size) ||
			    overlaps(m[i].host_id, m[i].size, m[k].host_id, m[k].size))
				return err_set(e, EINVAL, "%s[%zu]: overlaps with range %zu", path, i, k);
	}
	return 0;
}

static int check_paths(char *const *v, const char *name, struct err *e)
{
	for (size_t i = 0; v && v[i]; i++) {
		int r = spec_check_absolute(v[i], e, ".linux.%s[%zu]", name, i);
		if (r < 0)
			return r;
	}
	return 0;
}

/* config-linux.md §rootfs-mount-propagation; the recursive forms are what engines write. */
static const char *const propagations[] = {
	"shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable",
};

static int check_propagation(const char *v, struct err *e)
{
	for (size_t i = 0; v && *v && i < ARRAY_SIZE(propagations); i++)
		if (streq(propagations[i], v))
			return 0;
	if (v && *v)
		return err_set(e, EINVAL, ".linux.rootfsPropagation: \"%.40s\" is none of shared, slave, private, unbindable", v);
	return 0;
}

int spec_check_linux(const struct spec *s, struct err *e)
{
	int r;

	for (size_t i = 0; i < s->n_devices; i++) {
		r = check_device(&s->devices[i], i, e);
		if (r < 0)
			return r;
	}
	r = spec_check_idmaps(s->uid_mappings, s->n_uid_mappings, ".linux.uidMappings", e);
	if (r == 0)
		r = spec_check_idmaps(s->gid_mappings, s->n_gid_mappings, ".linux.gidMappings", e);
	if (r == 0 && s->n_uid_mappings + s->n_gid_mappings > 0 && !s->ns.wanted[NS_USER])
		r = err_set(e, EINVAL, ".linux.uidMappings: id mappings need a namespace of type \"user\"");
	if (r == 0)
		r = check_paths(s->masked_paths, "maskedPaths", e);
	if (r == 0)
		r = check_paths(s->readonly_paths, "readonlyPaths", e);
	if (r == 0)
		r = check_propagation(s->rootfs_propagation, e);
	if (r == 0 && s->hostname && *s->hostname && !s->ns.wanted[NS_UTS])
		r = err_set(e, EINVAL, ".hostname: needs a namespace of type \"uts\"");
	if (r == 0 && s->domainname && *s->domainname && !s->ns.wanted[NS_UTS])
		r = err_set(e, EINVAL, ".domainname: needs a namespace of type \"uts\"");
	if (r == 0)
		r = check_time_offsets(s, e);
	if (r == 0 && s->memory_policy)
		r = spec_check_memory_policy(s->memory_policy, e);
	return r;
}
