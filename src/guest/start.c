/* start: FRAME_START's document, see guest.h. Written by the host's isolation/vm.c, read by berth-init. */
#include "guest.h"

/* The compiled filter travels as bytes; libseccomp never runs in the guest. A filter has at most BPF_MAXINSNS = 4096
 * instructions (linux/bpf_common.h) of 8 bytes. */
#define FILTER_SIZE 8
#define FILTERS_MAX 4096

#define ROW(json_name, kind, s, m, ...)                               \
	{                                                             \
		json_name, kind, offsetof(struct s, m), ##__VA_ARGS__ \
	}

static const struct field file_rows[] = {
	ROW("path", FIELD_STRING, launch_file, path, FIELD_REQUIRED),
	ROW("content", FIELD_STRING, launch_file, content, FIELD_REQUIRED),
	ROW("isBase64", FIELD_BOOL, launch_file, is_base64, FIELD_OMIT_EMPTY),
	ROW("mode", FIELD_U32, launch_file, mode, FIELD_REQUIRED),
	ROW("uid", FIELD_U32, launch_file, uid, FIELD_OMIT_EMPTY),
	ROW("gid", FIELD_U32, launch_file, gid, FIELD_OMIT_EMPTY),
	{ NULL },
};
static const struct field share_rows[] = {
	ROW("tag", FIELD_STRING, guest_share, tag, FIELD_REQUIRED),
	ROW("target", FIELD_STRING, guest_share, target, FIELD_REQUIRED),
	{ NULL },
};
/* What tables can carry; the rest is joined below. */
static const struct field root_rows[] = {
	ROW("disk", FIELD_STRING, guest_start, root_disk, FIELD_REQUIRED),
	ROW("upper", FIELD_STRING, guest_start, upper_disk),
	{ NULL },
};
static const struct field start_rows[] = {
	ROW("id", FIELD_STRING, guest_start, id, FIELD_REQUIRED),
	{ "files", FIELD_ARRAY, offsetof(struct guest_start, files), .table = file_rows, .size = sizeof(struct launch_file),
	  .count_offset = offsetof(struct guest_start, n_files) },
	{ "shares", FIELD_ARRAY, offsetof(struct guest_start, shares), .table = share_rows, .size = sizeof(struct guest_share),
	  .count_offset = offsetof(struct guest_start, n_shares) },
	{ "interfaces", FIELD_ARRAY, offsetof(struct guest_start, interfaces), FIELD_OMIT_EMPTY, guest_interface_rows,
	  sizeof(struct guest_interface), offsetof(struct guest_start, n_interfaces) },
	ROW("disks", FIELD_STRV, guest_start, disks),
	ROW("init", FIELD_BOOL, guest_start, use_init),
	ROW("volatile", FIELD_BOOL, guest_start, is_volatile),
	ROW("pod", FIELD_BOOL, guest_start, is_pod),
	ROW("files_only", FIELD_BOOL, guest_start, serves_files),
	ROW("read_only", FIELD_BOOL, guest_start, reads_only),
	ROW("hostname", FIELD_STRING, guest_start, hostname),
	ROW("time_ns", FIELD_U64, guest_start, time_ns, FIELD_REQUIRED),
	ROW("entropy", FIELD_STRING, guest_start, entropy_b64),
	ROW("seccomp_flags", FIELD_U32, guest_start, seccomp.flags),
	{ NULL },
};

static int read_config(struct json_object *o, struct guest_start *s, struct err *e)
{
	struct json_object *config, *root;
	const char *text;
	int r;

	if (!json_object_object_get_ex(o, "config", &config))
		return err_set(e, EINVAL, "start: .config: missing");
	if (!json_object_object_get_ex(o, "root", &root))
		return err_set(e, EINVAL, "start: .root: missing");
	text = json_object_to_json_string_ext(config, JSON_C_TO_STRING_PLAIN);
	if (!text)
		return err_set(e, ENOMEM, "start: out of memory");
	r = spec_parse(text, strlen(text), &s->spec, e);
	return r < 0 ? r : json_read(root, root_rows, s, ".root", e);
}

static int read_seccomp(struct json_object *o, struct seccomp_prog *p, struct err *e)
{
	struct json_object *v;
	uint8_t *filters = NULL;
	size_t n = 0;
	int r;

	if (!json_object_object_get_ex(o, "seccomp", &v))
		return 0;
	if (!json_object_is_type(v, json_type_string))
		return err_set(e, EINVAL, "start: .seccomp: expected base64");
	r = base64_decode(json_object_get_string(v), &filters, &n);
	if (r < 0 || n % FILTER_SIZE || n / FILTER_SIZE > FILTERS_MAX) {
		free(filters);
		return err_set(e, EINVAL, "start: .seccomp: not a filter");
	}
	p->filters = filters;
	p->n_filters = n / FILTER_SIZE;
	return 0;
}

int guest_start_parse(const char *text, size_t len, struct guest_start *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct guest_start s = { .id = NULL };
	int r;

	spec_init(&s.spec);
	r = json_parse(text, len, "start", &o, e);
	if (r >= 0 && !json_object_is_type(o, json_type_object))
		r = err_set(e, EINVAL, "start: expected an object");
	if (r >= 0)
		r = json_read(o, start_rows, &s, "", e);
	if (r >= 0)
		r = read_config(o, &s, e);
	if (r >= 0)
		r = read_seccomp(o, &s.seccomp, e);
	if (r < 0) {
		guest_start_done(&s);
		return r;
	}
	*ret = s;
	return 0;
}

/* Adds v (taken, also on failure) to o. */
static int add(struct json_object *o, const char *key, struct json_object *v)
{
	if (v && json_object_object_add(o, key, v) == 0)
		return 0;
	json_object_put(v);
	return -ENOMEM;
}

struct json_object *guest_start_json(const struct guest_start *s)
{
	_cleanup_json_ struct json_object *o = json_write(start_rows, s);

	if (!o || add(o, "config", spec_json(&s->spec)) < 0 || add(o, "root", json_write(root_rows, s)) < 0)
		return NULL;
	if (s->seccomp.n_filters) {
		_cleanup_free_ char *b = base64_encode(s->seccomp.filters, s->seccomp.n_filters * FILTER_SIZE);

		if (!b || add(o, "seccomp", json_object_new_string(b)) < 0)
			return NULL;
	}
	return TAKE_PTR(o);
}

void guest_start_done(struct guest_start *s)
{
	spec_done(&s->spec);
	json_free_fields(start_rows, s);
	json_free_fields(root_rows, s);
	free(s->seccomp.filters);
	s->seccomp = (struct seccomp_prog){ NULL };
}
