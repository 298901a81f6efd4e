/* walls_read: the JSON of `berth-probe walls` (docs/FORMATS.md). It comes out of the workload, where anybody may have written it, so
 * nothing in it is taken for what it says before it was looked at: kinds, lengths of maps, numbers that make sense. */
#include <sys/syscall.h>

#include "probe.h"
#include "walls.h"

const char *const walls_ns_names[WALL_NS_COUNT] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };

#define S(type, json, member)                              \
	{                                                  \
		json, FIELD_STRING, offsetof(type, member) \
	}
#define I(type, json, member)                           \
	{                                               \
		json, FIELD_I64, offsetof(type, member) \
	}
#define B(type, json, member)                            \
	{                                                \
		json, FIELD_BOOL, offsetof(type, member) \
	}
#define O(type, json, member, of)                                         \
	{                                                                 \
		json, FIELD_OBJECT, offsetof(type, member), .table = (of) \
	}
#define A(type, json, member, count, of)                                                                        \
	{                                                                                                       \
		json, FIELD_ARRAY, offsetof(type, member), .table = (of), .size = sizeof(*((type *)0)->member), \
							   .count_offset = offsetof(type, count)                \
	}
#define END                                 \
	{                                   \
		NULL, .flags = FIELD_STRICT \
	}

/* ---- calls ---- */

static const struct field abi_fields[] = { B(struct walls_abi, "entry", has_entry), S(struct walls_abi, "reached", reached),
					   S(struct walls_abi, "killed", killed), END };

static int parse_cases(struct json_object *v, void *member, const char *path, struct err *e)
{
	struct walls_calls *c = member;

	if (!json_object_is_type(v, json_type_object))
		return json_expected(v, path, "an object of true and false", e);
	c->cases = calloc((size_t)json_object_object_length(v) + 1, sizeof(*c->cases));
	if (!c->cases)
		return err_set(e, ENOMEM, "out of memory");
	json_object_object_foreach(v, key, is_reached)
	{
		if (!json_object_is_type(is_reached, json_type_boolean))
			return json_expected(is_reached, path, "true or false", e);
		c->cases[c->n_cases].is_reached = json_object_get_boolean(is_reached);
		c->cases[c->n_cases].id = strdup(key);
		if (!c->cases[c->n_cases++].id)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

static void free_cases(void *member)
{
	struct walls_calls *c = member;

	for (size_t i = 0; i < c->n_cases; i++)
		free(c->cases[i].id);
	free(c->cases);
	c->cases = NULL;
	c->n_cases = 0;
}

static const struct field calls_fields[] = {
	S(struct walls_calls, "why", why),
	B(struct walls_calls, "exact", is_exact),
	O(struct walls_calls, "x86_64", x86_64, abi_fields),
	O(struct walls_calls, "i386", i386, abi_fields),
	O(struct walls_calls, "x32", x32, abi_fields),
	{ "cases", FIELD_CUSTOM, 0, .parse = parse_cases, .free = free_cases },
	END,
};

/* ---- rights ---- */

static int parse_map(struct json_object *v, void *member, const char *path, struct err *e)
{
	struct walls_rights *w = member;
	size_t n;

	if (!json_object_is_type(v, json_type_array))
		return json_expected(v, path, "a list of [inside, outside, count]", e);
	n = json_object_array_length(v);
	w->uid_map = calloc(n + 1, sizeof(*w->uid_map));
	if (!w->uid_map)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		struct json_object *row = json_object_array_get_idx(v, i);

		if (!json_object_is_type(row, json_type_array) || json_object_array_length(row) != 3)
			return json_expected(row, path, "[inside, outside, count]", e);
		for (size_t k = 0; k < 3; k++) {
			struct json_object *number = json_object_array_get_idx(row, k);
			if (!json_object_is_type(number, json_type_int) || json_object_get_int64(number) < 0)
				return json_expected(number, path, "a number", e);
			w->uid_map[i][k] = json_object_get_int64(number);
		}
	}
	w->n_uid_map = n;
	return 0;
}

static void free_map(void *member)
{
	struct walls_rights *w = member;

	free(w->uid_map);
	w->uid_map = NULL;
}

/* Looked at, and only passed on (`audit --format json`). */
static int parse_any(struct json_object *v, void *member, const char *path, struct err *e)
{
	(void)v;
	(void)member;
	(void)path;
	(void)e;
	return 0;
}

static const struct field rights_fields[] = {
	S(struct walls_rights, "why", why),
	I(struct walls_rights, "uid", uid),
	I(struct walls_rights, "gid", gid),
	S(struct walls_rights, "capInheritable", inheritable),
	S(struct walls_rights, "capPermitted", permitted),
	S(struct walls_rights, "capEffective", effective),
	S(struct walls_rights, "capBounding", bounding),
	S(struct walls_rights, "capAmbient", ambient),
	S(struct walls_rights, "noNewPrivs", no_new_privs),
	S(struct walls_rights, "seccomp", seccomp),
	S(struct walls_rights, "label", label),
	{ "uidMap", FIELD_CUSTOM, 0, .parse = parse_map, .free = free_map },
	{ "gidMap", FIELD_CUSTOM, 0, .parse = parse_any },
	{ "groups", FIELD_CUSTOM, 0, .parse = parse_any },
	{ "limits", FIELD_CUSTOM, 0, .parse = parse_any },
	END,
};

/* ---- the others ---- */

static const struct field device_fields[] = {
	S(struct walls_device, "path", path),   I(struct walls_device, "major", major),      S(struct walls_device, "kind", kind),
	I(struct walls_device, "minor", minor), B(struct walls_device, "opened", is_opened), END,
};
static const struct field disk_fields[] = { I(struct walls_disk, "major", major), I(struct walls_disk, "minor", minor),
					    S(struct walls_disk, "mknod", mknod), S(struct walls_disk, "open", open), END };
static const struct field devices_fields[] = {
	S(struct walls_devices, "why", why),
	A(struct walls_devices, "usable", usable, n_usable, device_fields),
	I(struct walls_devices, "count", count),
	O(struct walls_devices, "disk", disk, disk_fields),
	END,
};
static const struct field tree_fields[] = {
	S(struct walls_tree, "why", why),
	{ "names", FIELD_STRV, offsetof(struct walls_tree, names) },
	I(struct walls_tree, "count", count),
	B(struct walls_tree, "cut", was_cut),
	END,
};
static const struct field writable_fields[] = {
	O(struct walls_writable, "procSys", proc_sys, tree_fields),
	O(struct walls_writable, "proc", proc, tree_fields),
	O(struct walls_writable, "sys", sys, tree_fields),
	{ "dangerous", FIELD_STRV, offsetof(struct walls_writable, dangerous) },
	END,
};
#define NS(name, which)                                                       \
	{                                                                     \
		name, FIELD_U64, offsetof(struct walls_namespaces, of[which]) \
	}
static const struct field namespaces_fields[] = { NS("cgroup", WALL_NS_CGROUP), NS("ipc", WALL_NS_IPC), NS("mnt", WALL_NS_MNT),
						  NS("net", WALL_NS_NET),       NS("pid", WALL_NS_PID), NS("time", WALL_NS_TIME),
						  NS("user", WALL_NS_USER),     NS("uts", WALL_NS_UTS), END };
static const struct field kernel_fields[] = {
	S(struct walls_kernel, "why", why),
	S(struct walls_kernel, "release", release),
	S(struct walls_kernel, "version", version),
	S(struct walls_kernel, "machine", machine),
	S(struct walls_kernel, "bootId", boot_id),
	B(struct walls_kernel, "hypervisor", has_hypervisor),
	S(struct walls_kernel, "hypervisorName", hypervisor),
	END,
};
static const struct field mount_fields[] = { S(struct walls_mount, "target", target), S(struct walls_mount, "type", type),
					     S(struct walls_mount, "source", source), S(struct walls_mount, "root", root), END };
static const struct field mounts_fields[] = {
	S(struct walls_mounts, "why", why),
	A(struct walls_mounts, "outside", outside, n_outside, mount_fields),
	I(struct walls_mounts, "outsideCount", outside_count),
	I(struct walls_mounts, "count", count),
	END,
};
#define REQUIRED_O(json, member, of)                                                                              \
	{                                                                                                         \
		json, FIELD_OBJECT, offsetof(struct walls_inside, member), .flags = FIELD_REQUIRED, .table = (of) \
	}
static const struct field inside_fields[] = {
	{ "schema", FIELD_STRING, offsetof(struct walls_inside, schema), .flags = FIELD_REQUIRED },
	B(struct walls_inside, "removed", was_removed),
	S(struct walls_inside, "notRemoved", not_removed),
	REQUIRED_O("calls", calls, calls_fields),
	REQUIRED_O("rights", rights, rights_fields),
	REQUIRED_O("devices", devices, devices_fields),
	REQUIRED_O("writable", writable, writable_fields),
	REQUIRED_O("namespaces", namespaces, namespaces_fields),
	REQUIRED_O("kernel", kernel, kernel_fields),
	{ "masks", FIELD_MAP, offsetof(struct walls_inside, masks), .flags = FIELD_REQUIRED },
	REQUIRED_O("mounts", mounts, mounts_fields),
	END,
};

/* ---- what a table can't say ---- */

static int check_hex(const char *s, size_t digits, const char *what, struct err *e)
{
	if (!s || strlen(s) != digits || s[strspn(s, "0123456789abcdef")])
		return err_set(e, EINVAL, "%s: expected %zu digits 0-9 and a-f", what, digits);
	return 0;
}

static int check_abi(const struct walls_abi *a, size_t numbers, const char *what, struct err *e)
{
	int r = check_hex(a->reached, numbers / 4, what, e);

	return r < 0 ? r : check_hex(a->killed, numbers / 4, what, e);
}

static int check_calls(const struct walls_calls *c, struct err *e)
{
	int r;

	if (c->why)
		return 0;
	r = check_abi(&c->x86_64, WALLS_NUMBERS, ".calls.x86_64", e);
	if (r >= 0)
		r = check_abi(&c->i386, WALLS_NUMBERS, ".calls.i386", e);
	return r < 0 ? r : check_abi(&c->x32, WALLS_X32, ".calls.x32", e);
}

static int check_rights(const struct walls_rights *w, struct err *e)
{
	const char *const caps[] = { w->inheritable, w->permitted, w->effective, w->bounding, w->ambient };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(caps) && r >= 0 && !w->why; i++)
		r = check_hex(caps[i], 16, ".rights: a set of capabilities", e);
	return r;
}

static int check_count(int64_t count, size_t listed, const char *what, struct err *e)
{
	if (count < 0 || (uint64_t)count < listed)
		return err_set(e, EINVAL, "%s: %lld is no count of a list of %zu", what, (long long)count, listed);
	return 0;
}

static int check_tree(const struct walls_tree *t, const char *what, struct err *e)
{
	return check_count(t->count, strv_len(t->names), what, e);
}

static int check_devices(const struct walls_devices *d, struct err *e)
{
	for (size_t i = 0; i < d->n_usable; i++)
		if (!d->usable[i].path || !d->usable[i].kind)
			return err_set(e, EINVAL, ".devices.usable[%zu]: it has no path or kind", i);
	return check_count(d->count, d->n_usable, ".devices.count", e);
}

static int check_mounts(const struct walls_mounts *m, struct err *e)
{
	for (size_t i = 0; i < m->n_outside; i++)
		if (!m->outside[i].target || !m->outside[i].source || !m->outside[i].type || !m->outside[i].root)
			return err_set(e, EINVAL, ".mounts.outside[%zu]: it has no target, type, source or root", i);
	return check_count(m->outside_count, m->n_outside, ".mounts.outsideCount", e);
}

static int check(const struct walls_inside *w, struct err *e)
{
	int r = streq(w->schema, PROBE_WALLS_SCHEMA)
			? 0
			: err_set(e, EINVAL, ".schema: expected \"" PROBE_WALLS_SCHEMA "\", found \"%.60s\"", w->schema);

	if (r >= 0)
		r = check_calls(&w->calls, e);
	if (r >= 0)
		r = check_rights(&w->rights, e);
	if (r >= 0)
		r = check_devices(&w->devices, e);
	if (r >= 0)
		r = check_tree(&w->writable.proc_sys, ".writable.procSys", e);
	if (r >= 0)
		r = check_tree(&w->writable.proc, ".writable.proc", e);
	if (r >= 0)
		r = check_tree(&w->writable.sys, ".writable.sys", e);
	return r < 0 ? r : check_mounts(&w->mounts, e);
}

int walls_read(const char *text, size_t n, struct walls_inside *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	int r;

	if (n > WALLS_TEXT_MAX)
		return err_set(e, EFBIG, "the probe's answer is longer than %u bytes", WALLS_TEXT_MAX);
	r = json_parse(text, n, "the probe's answer", &o, e);
	if (r >= 0 && !json_object_is_type(o, json_type_object))
		r = err_set(e, EINVAL, "it is no object");
	if (r >= 0)
		r = json_read(o, inside_fields, ret, "", e);
	if (r >= 0)
		r = check(ret, e);
	return r < 0 ? err_push(e, r, "the probe's answer") : 0;
}

void walls_inside_done(struct walls_inside *w) { json_free_fields(inside_fields, w); }

/* ---- maps of calls ---- */

static const char *const call_names[] = {
#include "syscall_names.inc"
};

const char *walls_call_name(unsigned nr) { return nr < ARRAY_SIZE(call_names) ? call_names[nr] : NULL; }

bool walls_has(const char *map, unsigned nr)
{
	size_t digit = nr / 4;

	if (!map || digit >= strlen(map))
		return false;
	return (unsigned)(map[digit] <= '9' ? map[digit] - '0' : map[digit] - 'a' + 10) >> nr % 4 & 1;
}

unsigned walls_count(const char *map, unsigned *ret_of)
{
	unsigned n = 0, of = 0;

	for (unsigned nr = 0; nr < WALLS_NUMBERS; nr++) {
		of += !!walls_call_name(nr);
		n += walls_call_name(nr) && walls_has(map, nr);
	}
	*ret_of = of;
	return n;
}

/* ---- the host ---- */

/* The numbers of those that the kernel begins with, as far as they are fixed (include/linux/proc_ns.h). */
static const uint64_t first_namespaces[WALL_NS_COUNT] = {
	[WALL_NS_IPC] = 0xefffffff, [WALL_NS_UTS] = 0xeffffffe,    [WALL_NS_USER] = 0xeffffffd,
	[WALL_NS_PID] = 0xeffffffc, [WALL_NS_CGROUP] = 0xeffffffb, [WALL_NS_TIME] = 0xeffffffa
};

/* A user without root's rights is in namespaces of his own by now, and may not look at those that he came from. */
int walls_host_get(struct walls_host *ret, struct err *e)
{
	bool is_guest = in_user_namespace();
	struct walls_host h = { 0 };
	int r = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &h.boot_id, NULL);

	if (r < 0)
		return err_set(e, -r, "/proc/sys/kernel/random/boot_id: %s", strerror(-r));
	h.boot_id[strcspn(h.boot_id, "\n")] = 0;
	for (size_t i = 0; i < WALL_NS_COUNT; i++) {
		_cleanup_free_ char *path = str_fmt("/proc/self/ns/%s", walls_ns_names[i]);
		struct stat st;
		if (is_guest)
			h.namespaces[i] = first_namespaces[i];
		else if (path && stat(path, &st) == 0)
			h.namespaces[i] = st.st_ino;
	}
	*ret = h;
	return 0;
}

void walls_host_done(struct walls_host *h) { free(h->boot_id); }
