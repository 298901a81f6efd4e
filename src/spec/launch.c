/* launch.json: see launch.h. The reader is stricter than for the OCI documents: both ends are Berth's own, so a key
 * without a row means that the two are of different versions, and ignoring it would run something else than was asked. */
#include "launch.h"

#include "spec_rows.h"

const struct field launch_file_fields[] = {
	SPEC_ROW("path", FIELD_STRING, launch_file, path, FIELD_REQUIRED),
	SPEC_ROW("content", FIELD_STRING, launch_file, content, FIELD_REQUIRED),
	SPEC_ROW("isBase64", FIELD_BOOL, launch_file, is_base64, FIELD_OMIT_EMPTY),
	SPEC_ROW("mode", FIELD_U32, launch_file, mode, FIELD_REQUIRED),
	SPEC_ROW("uid", FIELD_U32, launch_file, uid, FIELD_OMIT_EMPTY),
	SPEC_ROW("gid", FIELD_U32, launch_file, gid, FIELD_OMIT_EMPTY),
	{ NULL, .flags = FIELD_STRICT },
};
static const struct field disk_fields[] = {
	SPEC_ROW("path", FIELD_STRING, launch_disk, path, FIELD_REQUIRED),
	SPEC_ROW("format", FIELD_STRING, launch_disk, format, FIELD_REQUIRED),
	SPEC_ROW("isReadonly", FIELD_BOOL, launch_disk, is_readonly, FIELD_OMIT_EMPTY),
	SPEC_ROW("iops", FIELD_U64, launch_disk, iops, FIELD_OMIT_EMPTY),
	SPEC_ROW("bps", FIELD_U64, launch_disk, bps, FIELD_OMIT_EMPTY),
	{ NULL, .flags = FIELD_STRICT },
};
static const struct field join_fields[] = {
	SPEC_ROW("kind", FIELD_STRING, launch_join, kind, FIELD_REQUIRED),
	SPEC_ROW("id", FIELD_STRING, launch_join, id, FIELD_REQUIRED),
	SPEC_ROW("name", FIELD_STRING, launch_join, name, FIELD_REQUIRED),
	{ NULL, .flags = FIELD_STRICT },
};
static const struct field launch_fields[] = {
	SPEC_ROW("version", FIELD_U32, launch, version, FIELD_REQUIRED),
	SPEC_ROW("id", FIELD_STRING, launch, id, FIELD_REQUIRED),
	SPEC_ROW("name", FIELD_STRING, launch, name),
	SPEC_ROW("isolation", FIELD_STRING, launch, isolation, FIELD_REQUIRED),
	SPEC_ROW("layers", FIELD_STRV, launch, layers),
	SPEC_ROW("upper", FIELD_STRING, launch, upper),
	SPEC_ROW("work", FIELD_STRING, launch, work),
	SPEC_ROW("isVolatile", FIELD_BOOL, launch, is_volatile, FIELD_OMIT_EMPTY),
	SPEC_ROW("autoRemove", FIELD_BOOL, launch, auto_remove, FIELD_OMIT_EMPTY),
	SPEC_ROW("openStdin", FIELD_BOOL, launch, open_stdin, FIELD_OMIT_EMPTY),
	SPEC_ROW("stdinOnce", FIELD_BOOL, launch, stdin_once, FIELD_OMIT_EMPTY),
	SPEC_ROW("healthTest", FIELD_STRV, launch, health_test, FIELD_OMIT_EMPTY),
	SPEC_ROW("healthArgs", FIELD_STRV, launch, health_args, FIELD_OMIT_EMPTY),
	SPEC_ROW("healthIntervalMs", FIELD_U64, launch, health_interval_ms, FIELD_OMIT_EMPTY),
	SPEC_ROW("healthTimeoutMs", FIELD_U64, launch, health_timeout_ms, FIELD_OMIT_EMPTY),
	SPEC_ROW("healthStartPeriodMs", FIELD_U64, launch, health_start_period_ms, FIELD_OMIT_EMPTY),
	SPEC_ROW("healthStartIntervalMs", FIELD_U64, launch, health_start_interval_ms, FIELD_OMIT_EMPTY),
	SPEC_ROW("healthRetries", FIELD_U32, launch, health_retries, FIELD_OMIT_EMPTY),
	SPEC_ROW("healthOnFailure", FIELD_STRING, launch, health_on_failure),
	SPEC_ROW("timeoutMs", FIELD_U64, launch, timeout_ms, FIELD_OMIT_EMPTY),
	SPEC_ROW("logDriver", FIELD_STRING, launch, log_driver),
	SPEC_ROW("logPath", FIELD_STRING, launch, log_path),
	SPEC_ROW("logMaxBytes", FIELD_U64, launch, log_max_bytes, FIELD_OMIT_EMPTY),
	SPEC_ROW("logMaxFiles", FIELD_U32, launch, log_max_files, FIELD_OMIT_EMPTY),
	SPEC_ROW("useInit", FIELD_BOOL, launch, use_init, FIELD_OMIT_EMPTY),
	SPEC_ROW("pidfile", FIELD_STRING, launch, pidfile),
	SPEC_ROW("traceBeganUs", FIELD_U64, launch, trace_began_us, FIELD_OMIT_EMPTY),
	SPEC_ROW("seccompDefault", FIELD_BOOL, launch, seccomp_default, FIELD_OMIT_EMPTY),
	SPEC_ROW("seccompCache", FIELD_STRING, launch, seccomp_cache),
	SPEC_ARRAY("files", launch, files, launch_file, launch_file_fields),
	SPEC_ROW("imageDisk", FIELD_STRING, launch, image_disk),
	SPEC_ROW("upperDisk", FIELD_STRING, launch, upper_disk),
	SPEC_ARRAY("disks", launch, disks, launch_disk, disk_fields),
	SPEC_ROW("kernel", FIELD_STRING, launch, kernel),
	SPEC_ROW("kernelName", FIELD_STRING, launch, kernel_name),
	SPEC_ROW("initramfs", FIELD_STRING, launch, initramfs),
	SPEC_ROW("vmCpus", FIELD_U32, launch, vm_cpus, FIELD_OMIT_EMPTY),
	SPEC_ROW("vmMemBytes", FIELD_U64, launch, vm_mem_bytes, FIELD_OMIT_EMPTY),
	SPEC_ROW("vmCpusMax", FIELD_U32, launch, vm_cpus_max, FIELD_OMIT_EMPTY),
	SPEC_ROW("vmMemMax", FIELD_U64, launch, vm_mem_max, FIELD_OMIT_EMPTY),
	SPEC_ROW("vmHugePages", FIELD_BOOL, launch, vm_huge_pages, FIELD_OMIT_EMPTY),
	SPEC_ROW("vmBackend", FIELD_STRING, launch, vm_backend),
	SPEC_ROW("hostNetwork", FIELD_BOOL, launch, host_network, FIELD_OMIT_EMPTY),
	SPEC_ROW("hasNetwork", FIELD_BOOL, launch, has_network, FIELD_OMIT_EMPTY),
	SPEC_ROW("secretPaths", FIELD_STRV, launch, secret_paths, FIELD_OMIT_EMPTY),
	SPEC_ROW("secretEnv", FIELD_STRV, launch, secret_env, FIELD_OMIT_EMPTY),
	SPEC_ARRAY("joins", launch, joins, launch_join, join_fields),
	SPEC_ROW("pod", FIELD_STRING, launch, pod),
	SPEC_ROW("hasPodNetwork", FIELD_BOOL, launch, has_pod_network, FIELD_OMIT_EMPTY),
	{ NULL, .flags = FIELD_STRICT },
};

/* Before anything else is judged: a newer file may differ in every other way. */
static int check_version(struct json_object *o, struct err *e)
{
	struct json_object *v = NULL;

	if (!json_object_is_type(o, json_type_object))
		return json_expected(o, "launch.json", "an object", e);
	if (!json_object_object_get_ex(o, "version", &v) || !json_object_is_type(v, json_type_int))
		return err_set(e, EINVAL, "launch.json: .version: missing or not a number");
	int64_t version = json_object_get_int64(v);
	if (version > LAUNCH_VERSION)
		return err_set(e, EINVAL,
			       "launch.json: version %lld is newer than this build's %d: use the berth that made the container",
			       (long long)version, LAUNCH_VERSION);
	if (version < 1)
		return err_set(e, EINVAL, "launch.json: version %lld never existed", (long long)version);
	return 0;
}

int launch_parse(const char *text, size_t len, struct launch *ret, struct err *e)
{
	_cleanup_(launch_done) struct launch l = {};
	_cleanup_json_ struct json_object *o = NULL;
	int r;

	r = json_parse(text, len, "launch.json", &o, e);
	if (r < 0)
		return r;
	r = check_version(o, e);
	if (r < 0)
		return r;
	r = json_read(o, launch_fields, &l, "", e);
	if (r < 0)
		return err_push(e, r, "launch.json");
	if (!name_is_valid(l.id))
		return err_set(e, EINVAL, "launch.json: .id: \"%.80s\" is not an id", l.id);
	*ret = l;
	l = (struct launch){};
	return 0;
}

struct json_object *launch_json(const struct launch *l) { return json_write(launch_fields, l); }

int launch_file_bytes(const struct launch_file *f, char **ret, size_t *ret_len)
{
	const char *text = f->content ? f->content : "";
	uint8_t *bytes;
	int r;

	if (!f->is_base64) {
		*ret = strdup(text);
		*ret_len = strlen(text);
		return *ret ? 0 : -ENOMEM;
	}
	r = base64_decode(text, &bytes, ret_len);
	if (r == 0)
		*ret = (char *)bytes;
	return r;
}

void launch_done(struct launch *l) { json_free_fields(launch_fields, l); }
