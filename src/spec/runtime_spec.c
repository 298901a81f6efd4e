/* config.json as a whole (OCI runtime specification 1.2, config.md): the top of the document and what joins its parts.
 *
 * The parts are spec_process.c, spec_mounts.c, spec_linux.c, spec_resources.c and spec_seccomp.c. Each part is a table
 * (which key fills which member) and a check (what a table can't say). Keys that no table has are ignored, as the
 * specification's section on extensibility demands, with a warning; keys that the specification has and this build can't honour stand in
 * the tables as refused, because ignoring them would run something else than was asked for.
 *
 * Called by the monitor, the guest's init and the engine. */
#include "runtime_spec.h"

#include <ctype.h>
#include <stdio.h>

#include "spec_rows.h"

static bool is_empty(struct json_object *v)
{
	switch (json_object_get_type(v)) {
	case json_type_boolean: return !json_object_get_boolean(v);
	case json_type_string: return json_object_get_string_len(v) == 0;
	case json_type_array: return json_object_array_length(v) == 0;
	case json_type_object: return json_object_object_length(v) == 0;
	case json_type_int: return json_object_get_int64(v) == 0;
	default: return false;
	}
}

int spec_refuse(struct json_object *v, void *member, const char *path, struct err *e)
{
	(void)member;
	return is_empty(v) ? 0 : err_set(e, ENOTSUP, "%s: not supported by this build; leave it out", path);
}

int spec_refuse_foreign(struct json_object *v, void *member, const char *path, struct err *e)
{
	(void)member;
	return is_empty(v) ? 0 : err_set(e, ENOTSUP, "%s: is for another system, and this is Linux; leave it out", path);
}

int spec_refuse_vm(struct json_object *v, void *member, const char *path, struct err *e)
{
	(void)member;
	return is_empty(v)
		       ? 0
		       : err_set(e, ENOTSUP,
				 "%s: not supported: machine, kernel and disks are Berth's choice (--isolation vm); leave it out",
				 path);
}

int spec_check_absolute(const char *value, struct err *e, const char *path_fmt, ...)
{
	char path[96];
	va_list ap;

	if (value && value[0] == '/')
		return 0;
	va_start(ap, path_fmt);
	vsnprintf(path, sizeof path, path_fmt, ap);
	va_end(ap);
	return err_set(e, EINVAL, "%s: expected an absolute path, found \"%.120s\"", path, value ? value : "");
}

/* `process` is optional (a container may be made before anyone knows what to run) but has no empty form: a required cwd
 * tells whether it is there. */
static int read_process(struct json_object *v, void *member, const char *path, struct err *e)
{
	return json_read(v, spec_process_fields, member, path, e);
}

static struct json_object *print_process(const void *member)
{
	const struct spec_process *p = member;

	return p->cwd ? spec_process_json(p) : NULL;
}

static void free_process(void *member) { spec_process_done(member); }

static const struct field root_fields[] = {
	SPEC_ROW("path", FIELD_STRING, spec, root_path, FIELD_REQUIRED),
	SPEC_ROW("readonly", FIELD_BOOL, spec, root_readonly, FIELD_OMIT_EMPTY),
	{ NULL },
};
/* Nested objects whose members are those of struct spec itself stand at offset 0. */
static const struct field linux_fields[] = {
	SPEC_ROW("namespaces", FIELD_CUSTOM, spec, ns, 0, spec_ns_fields, .parse = spec_ns_read, .print = spec_ns_print,
		 .free = spec_ns_free),
	{ "timeOffsets", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, spec_time_fields },
	SPEC_ARRAY("uidMappings", spec, uid_mappings, spec_idmap, spec_idmap_fields),
	SPEC_ARRAY("gidMappings", spec, gid_mappings, spec_idmap, spec_idmap_fields),
	SPEC_ARRAY("devices", spec, devices, spec_device, spec_device_fields),
	SPEC_ROW("cgroupsPath", FIELD_STRING, spec, cgroups_path),
	SPEC_ROW("resources", FIELD_OBJECT, spec, resources, FIELD_OMIT_EMPTY, spec_resources_fields),
	SPEC_ROW("seccomp", FIELD_OBJECT_PTR, spec, seccomp, 0, spec_seccomp_fields, sizeof(struct spec_seccomp)),
	SPEC_ROW("rootfsPropagation", FIELD_STRING, spec, rootfs_propagation),
	SPEC_ROW("maskedPaths", FIELD_STRV, spec, masked_paths),
	SPEC_ROW("readonlyPaths", FIELD_STRV, spec, readonly_paths),
	SPEC_ROW("sysctl", FIELD_MAP, spec, sysctl, FIELD_OMIT_EMPTY),
	SPEC_ROW("mountLabel", FIELD_STRING, spec, mount_label),
	SPEC_ROW("intelRdt", FIELD_OBJECT_PTR, spec, rdt, 0, spec_rdt_fields, sizeof(struct spec_rdt)),
	SPEC_ROW("personality", FIELD_OBJECT_PTR, spec, personality, 0, spec_personality_fields, sizeof(struct spec_personality)),
	{ "netDevices", FIELD_CUSTOM, 0, FIELD_NAMED, spec_net_device_fields, .parse = spec_net_devices_read,
	  .print = spec_net_devices_print, .free = spec_net_devices_free },
	SPEC_ROW("memoryPolicy", FIELD_OBJECT_PTR, spec, memory_policy, 0, spec_memory_policy_fields,
		 sizeof(struct spec_memory_policy)),
	{ NULL },
};
static const struct field spec_fields[] = {
	SPEC_ROW("ociVersion", FIELD_STRING, spec, oci_version, FIELD_REQUIRED),
	SPEC_ROW("process", FIELD_CUSTOM, spec, process, 0, spec_process_fields, .parse = read_process, .print = print_process,
		 .free = free_process),
	{ "root", FIELD_OBJECT, 0, FIELD_REQUIRED, root_fields },
	SPEC_ROW("hostname", FIELD_STRING, spec, hostname),
	SPEC_ROW("domainname", FIELD_STRING, spec, domainname),
	SPEC_ARRAY("mounts", spec, mounts, spec_mount, spec_mount_fields),
	SPEC_ROW("hooks", FIELD_OBJECT, spec, hooks, FIELD_OMIT_EMPTY, spec_hooks_fields),
	SPEC_ROW("annotations", FIELD_MAP, spec, annotations, FIELD_OMIT_EMPTY),
	{ "linux", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, linux_fields },
	{ "windows", FIELD_CUSTOM, 0, .parse = spec_refuse_foreign },
	{ "solaris", FIELD_CUSTOM, 0, .parse = spec_refuse_foreign },
	{ "freebsd", FIELD_CUSTOM, 0, .parse = spec_refuse_foreign },
	{ "zos", FIELD_CUSTOM, 0, .parse = spec_refuse_foreign },
	{ "vm", FIELD_CUSTOM, 0, .parse = spec_refuse_vm },
	{ NULL },
};

/* Any 1.x, pre-releases ("1.0.2-dev") included: within a major version documents only gain keys. */
static int check_version(const char *v, struct err *e)
{
	const char *minor = str_after(v, "1.");

	if (!minor || !isdigit((unsigned char)*minor))
		return err_set(e, EINVAL, ".ociVersion: expected 1.x, found \"%.40s\"", v);
	return 0;
}

static int check_spec(const struct spec *s, struct err *e)
{
	int r = check_version(s->oci_version, e);

	if (r == 0 && s->process.cwd) /* a process is there: its cwd is required */
		r = spec_check_process(&s->process, ".process", e);
	if (r == 0)
		r = spec_check_mounts(s, e);
	if (r == 0)
		r = spec_check_linux(s, e);
	if (r == 0)
		r = spec_check_host(s, e);
	if (r == 0)
		r = spec_check_resources(&s->resources, e);
	if (r == 0 && s->seccomp)
		r = spec_check_seccomp(s->seccomp, e);
	if (r == 0)
		r = spec_check_hooks(&s->hooks, e);
	return r;
}

void spec_init(struct spec *s)
{
	*s = (struct spec){};
	spec_process_init(&s->process);
	spec_resources_init(&s->resources);
}

void spec_done(struct spec *s) { json_free_fields(spec_fields, s); }

int spec_parse(const char *text, size_t len, struct spec *ret, struct err *e)
{
	_cleanup_(spec_done) struct spec s;
	_cleanup_json_ struct json_object *o = NULL;
	int r;

	spec_init(&s);
	r = json_parse(text, len, "config.json", &o, e);
	if (r < 0)
		return r;
	r = json_read(o, spec_fields, &s, "", e);
	if (r == 0)
		r = spec_mounts_from_root(&s, e);
	if (r == 0)
		r = check_spec(&s, e);
	if (r == 0)
		r = spec_warn_unknown(o, spec_fields, &s.process, e);
	if (r < 0)
		return err_push(e, r, "config.json");
	*ret = s;
	spec_init(&s);
	return 0;
}

struct json_object *spec_json(const struct spec *s) { return json_write(spec_fields, s); }
