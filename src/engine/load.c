/* load.c: images from and to archives and OCI layouts on this host, through berth-transfer:
 *   load [--quiet] PATH        "-" = its stdin; answers {"images":[{"manifest_digest","refs":["docker.io/library/x:1", ...]}]}
 *   save --format F --output-fd 3 | --output DIR  MANIFEST_DIGEST=REF...    answers {} */
#include "transfer_run.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* One image of the answer: recorded under each of its names, or without one. */
static int record_loaded(struct engine *en, struct json_object *image, char ***loaded, struct err *e)
{
	struct json_object *manifest, *refs = NULL;
	size_t n = 0;

	if (!json_object_object_get_ex(image, "manifest_digest", &manifest))
		return err_set(e, EPROTO, "berth-transfer's answer lacks \"manifest_digest\"");
	json_object_object_get_ex(image, "refs", &refs);
	n = json_object_is_type(refs, json_type_array) ? json_object_array_length(refs) : 0;
	for (size_t i = 0; i < MAX(n, (size_t)1); i++) {
		const char *text = i < n ? json_object_get_string(json_object_array_get_idx(refs, i)) : NULL;
		_cleanup_(ref_done) struct ref ref = { 0 };
		_cleanup_free_ char *old = NULL, *shown = NULL;
		int r = text ? ref_parse(text, NULL, &ref, e) : 0;
		if (r >= 0)
			r = image_record(en->store, json_object_get_string(manifest), text ? &ref : NULL, &old, e);
		if (r < 0)
			return r;
		if (old && text) /* I14: never silently */
			log_info("load", "%s named %s before; that image stays, by its id", text, old);
		shown = text ? ref_familiar(&ref) : strdup(json_object_get_string(manifest));
		if (!shown || strv_push(loaded, shown) < 0)
			return OUT_OF_MEMORY(e);
	}
	return 0;
}

static void note_loaded(struct engine *en, const char *name)
{
	struct image i;

	if (image_find(en->store, name, &i, NULL) < 0)
		return; /* another process has taken the name away already */
	note_image_event(en, "load", i.id, name);
	image_done(&i);
}

static int load_locked(struct engine *en, const char *path, bool is_quiet, char ***ret_loaded, struct err *e)
{
	char *args[] = { strdup(path), NULL };
	const struct transfer_call call = { .verb = "load",
					    .args = args,
					    .stdin_fd = streq(path, "-") ? STDIN_FILENO : -1,
					    .output_fd = -1,
					    .is_quiet = is_quiet };
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_strv_ char **loaded = NULL;
	struct json_object *images = NULL;
	int r = args[0] ? transfer_run(en, &call, &answer, e) : OUT_OF_MEMORY(e);

	free(args[0]);
	if (r < 0)
		return r;
	if (!json_object_object_get_ex(answer, "images", &images) || !json_object_is_type(images, json_type_array))
		return err_set(e, EPROTO, "berth-transfer's answer lacks \"images\"");
	for (size_t i = 0; r >= 0 && i < json_object_array_length(images); i++)
		r = record_loaded(en, json_object_array_get_idx(images, i), &loaded, e);
	if (r < 0)
		return r;
	for (char **name = loaded; name && *name; name++)
		note_loaded(en, *name);
	*ret_loaded = TAKE_PTR(loaded);
	return 0;
}

int engine_load(struct engine *en, const char *path, bool is_quiet, char ***ret_loaded, struct err *e)
{
	int r = store_lock(en->store, STORE_SHARED, e);

	if (r < 0)
		return r;
	r = load_locked(en, path, is_quiet, ret_loaded, e);
	store_lock(en->store, STORE_UNLOCKED, NULL);
	return r;
}

/* ---- save ---- */

/* "sha256:...=docker.io/library/debian:12"; by id there is no name to give. */
static int add_image(struct engine *en, const char *name, char ***args, struct err *e)
{
	_cleanup_free_ char *whole = NULL;
	struct image i;
	struct ref ref;
	int r = image_find(en->store, name, &i, e);

	if (r < 0)
		return r;
	/* An id is valid as a name too; only a name that the image was found under is written. */
	if (!str_after(name, "sha256:") && !str_after(digest_hex(i.id), name) && ref_parse(name, NULL, &ref, NULL) >= 0) {
		_cleanup_free_ char *text = ref_str(&ref);
		whole = text ? str_fmt("%s=%s", i.manifest_digest, text) : NULL;
		ref_done(&ref);
	} else {
		whole = str_fmt("%s=", i.manifest_digest);
	}
	image_done(&i);
	return !whole || strv_push(args, whole) < 0 ? OUT_OF_MEMORY(e) : 0;
}

/* The archive grows without a name and appears whole: a failed save leaves the old one. */
static int save_file(struct engine *en, struct transfer_call *call, const char *path, struct err *e)
{
	_cleanup_json_ struct json_object *answer = NULL;
	struct draft d;
	int r = draft_open(&d, path), k = 0;

	call->output_fd = d.fd;
	if (r >= 0)
		k = transfer_run(en, call, &answer, e);
	if (r >= 0 && k >= 0)
		r = draft_keep(&d, 0644);
	draft_done(&d);
	return k < 0 ? k : r < 0 ? err_set(e, -r, "--output: %s: %s", path, strerror(-r)) : 0;
}

static int is_plain_file(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? errno == ENOENT : S_ISREG(st.st_mode);
}

static int save_locked(struct engine *en, char *const *names, const char *path, const char *format, struct err *e)
{
	bool to_dir = streq(format, "oci-dir");
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_strv_ char **args = NULL;
	_cleanup_fd_ int fd = -1;
	int r = 0;

	if (strv_push(&args, "--format") < 0 || strv_push(&args, format) < 0 ||
	    strv_push(&args, to_dir ? "--output" : "--output-fd") < 0 || strv_push(&args, to_dir ? path : "3") < 0)
		return OUT_OF_MEMORY(e);
	for (; r >= 0 && *names; names++)
		r = add_image(en, *names, &args, e);
	if (r < 0)
		return r;
	struct transfer_call call = { .verb = "save", .args = args, .stdin_fd = -1, .output_fd = -1 };
	if (to_dir)
		return transfer_run(en, &call, &answer, e);
	if (!streq(path, "-") && is_plain_file(path))
		return save_file(en, &call, path, e);
	/* A pipe or a device is written to as it is. */
	fd = streq(path, "-") ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "--output: %s: %s", path, strerror(errno));
	call.output_fd = fd;
	return transfer_run(en, &call, &answer, e);
}

int engine_save(struct engine *en, char *const *names, const char *path, const char *format, struct err *e)
{
	int r = store_lock(en->store, STORE_SHARED, e);

	if (r < 0)
		return r;
	r = save_locked(en, names, path, format, e);
	store_lock(en->store, STORE_UNLOCKED, NULL);
	return r;
}
