/* commit.c: `commit` and `import`: an image of what a container has changed, or of a tar. The configuration is written here, the layer
 * made by berth-transfer (transfer/image_make.c), and the image recorded last: until then nothing refers to what is new, and a
 * collection removes what a kill has left. */
#include "container_root.h"
#include "image_change.h"
#include "transfer_run.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static struct json_object *now(void)
{
	struct timespec ts;
	struct tm tm;
	char text[48];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%09ldZ", ts.tv_nsec);
	return json_object_new_string(text);
}

static struct json_object *member(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, type) ? v : NULL;
}

/* An entry for each layer, as readers of images count them; then the new one. */
static int add_history(struct json_object *image, const char *created_by, const struct commit_opts *o, struct err *e)
{
	struct json_object *list = member(image, "history", json_type_array), *entry = json_object_new_object(), *ids;
	size_t has = 0, wants;

	ids = member(member(image, "rootfs", json_type_object), "diff_ids", json_type_array);
	wants = ids ? json_object_array_length(ids) : 0;
	if (!list) {
		list = json_object_new_array();
		if (json_add(image, "history", list) < 0)
			list = NULL;
	}
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		has += !member(json_object_array_get_idx(list, i), "empty_layer", json_type_boolean);
	for (; list && has < wants; has++)
		json_object_array_add(list, json_object_new_object());
	if (!list || json_add(entry, "created", now()) < 0 ||
	    json_add(entry, "created_by", json_object_new_string(created_by)) < 0 ||
	    (o->author && json_add(entry, "author", json_object_new_string(o->author)) < 0) ||
	    (o->message && json_add(entry, "comment", json_object_new_string(o->message)) < 0) ||
	    json_object_array_add(list, entry) < 0)
		return OUT_OF_MEMORY(e);
	return 0;
}

static int apply_changes(struct json_object *image, const struct commit_opts *o, struct err *e)
{
	struct json_object *config = member(image, "config", json_type_object);
	int r = 0;

	if (!config) {
		config = json_object_new_object();
		if (json_add(image, "config", config) < 0)
			return OUT_OF_MEMORY(e);
	}
	for (char **change = o->changes; r >= 0 && change && *change; change++)
		r = image_change(config, *change, e);
	return r;
}

/* ---- the making ---- */

static int document_fd(struct json_object *image, const char *parent, struct err *e)
{
	_cleanup_json_ struct json_object *doc = json_object_new_object();
	_cleanup_fd_ int fd = memfd_create("image", MFD_CLOEXEC);
	const char *text;
	int r;

	if (json_add(doc, "config", json_object_get(image)) < 0 ||
	    (parent && json_add(doc, "parent", json_object_new_string(parent)) < 0))
		return OUT_OF_MEMORY(e);
	text = json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	r = fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
	return r < 0 ? err_set(e, -r, "hand the image's config on: %s", strerror(-r)) : TAKE_FD(fd);
}

/* call: with verb, args and fds; layers: what it is of, or NULL; the store is locked. ref NULL: without a name. */
static int make_image(struct engine *en, struct transfer_call *call, struct container_layers *layers, struct json_object *image,
		      const char *parent, const struct ref *ref, char **ret_id, struct err *e)
{
	_cleanup_fd_ int doc = document_fd(image, parent, e);
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_free_ char *old = NULL;
	struct json_object *manifest, *id;
	int r = doc;

	call->config_fd = doc;
	if (r >= 0)
		r = layers ? container_layers_run(en, layers, call, &answer, e) : transfer_run(en, call, &answer, e);
	if (r >= 0 && (!json_object_object_get_ex(answer, "manifest_digest", &manifest) ||
		       !json_object_object_get_ex(answer, "image_id", &id)))
		r = err_set(e, EPROTO, "berth-transfer's answer lacks the image");
	if (r >= 0)
		r = image_record(en->store, json_object_get_string(manifest), ref, &old, e);
	if (r < 0)
		return r;
	*ret_id = strdup(json_object_get_string(id));
	return *ret_id ? 0 : OUT_OF_MEMORY(e);
}

static int read_ref(const char *name, struct ref *ret, struct err *e)
{
	int r = name ? ref_parse(name, NULL, ret, e) : 0;

	if (r >= 0 && name && ret->digest)
		r = err_set(e, EINVAL, "%s: a new image's name can't hold a digest", name);
	return r;
}

static int add_progress(const struct commit_opts *o, char ***args, struct err *e)
{
	return o->progress && strv_push_option(args, "--progress", strdup(o->progress)) < 0 ? OUT_OF_MEMORY(e) : 0;
}

/* ---- commit ---- */

/* What the container was created with goes over what its image says, as a new container of the new image would have it. */
static int merge_options(struct json_object *config, const struct run_opts *o, struct err *e)
{
	struct json_object *labels = member(config, "Labels", json_type_object);
	_cleanup_strv_ char **env = NULL;
	struct json_object *list = member(config, "Env", json_type_array);
	int r = 0;

	for (size_t i = 0; r >= 0 && list && i < json_object_array_length(list); i++)
		r = strv_push(&env, json_object_get_string(json_object_array_get_idx(list, i)));
	for (char **v = o->env; r >= 0 && v && *v; v++)
		r = strchr(*v, '=') ? env_set(&env, *v) : 0;
	if (r >= 0 && env)
		r = json_add(config, "Env", json_from_strv(env));
	if (r >= 0 && o->user && *o->user)
		r = json_add(config, "User", json_object_new_string(o->user));
	if (r >= 0 && o->workdir && *o->workdir)
		r = json_add(config, "WorkingDir", json_object_new_string(o->workdir));
	if (r >= 0 && o->stop_signal)
		r = json_add(config, "StopSignal", json_object_new_string(o->stop_signal));
	if (r >= 0 && o->has_entrypoint) {
		char *one[] = { o->entrypoint, NULL };
		json_object_object_del(config, "Cmd");
		json_object_object_del(config, "Entrypoint");
		if (o->entrypoint && *o->entrypoint)
			r = json_add(config, "Entrypoint", json_from_strv(one));
	}
	if (r >= 0 && strv_len(o->command))
		r = json_add(config, "Cmd", json_from_strv(o->command));
	if (r >= 0 && strv_len(o->labels) && !labels) {
		labels = json_object_new_object();
		r = json_add(config, "Labels", labels);
	}
	for (char **l = o->labels; r >= 0 && l && *l; l++) {
		_cleanup_free_ char *key = strndup(*l, strcspn(*l, "="));
		r = key ? json_add(labels, key, json_object_new_string(strchr(*l, '=') ? strchr(*l, '=') + 1 : "")) : -ENOMEM;
	}
	return r < 0 ? OUT_OF_MEMORY(e) : 0;
}

static int merged_config(const struct image_record *below, const struct container_record *c, const struct commit_opts *o,
			 struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *image = NULL;
	_cleanup_free_ char *words = NULL;
	struct json_object *config;
	struct run_opts ro;
	struct buf by = { 0 };
	int r = json_parse(below->config_json, strlen(below->config_json), "the image's config", &image, e);

	if (r < 0)
		return r;
	r = options_parse(c->options_json, &ro, e);
	if (r < 0)
		return r;
	config = member(image, "config", json_type_object);
	if (!config) {
		config = json_object_new_object();
		r = json_add(image, "config", config) < 0 ? OUT_OF_MEMORY(e) : 0;
	}
	if (r >= 0)
		r = merge_options(config, &ro, e);
	for (char **w = ro.args ? ro.args : ro.command; w && *w; w++)
		buf_fmt(&by, "%s%s", by.len ? " " : "", *w);
	words = by.len ? buf_take(&by) : strdup("");
	run_opts_done(&ro);
	if (r >= 0)
		r = apply_changes(image, o, e);
	if (r >= 0 && (!words || json_add(image, "created", now()) < 0 ||
		       (o->author && json_add(image, "author", json_object_new_string(o->author)) < 0)))
		r = OUT_OF_MEMORY(e);
	/* Of another container, by docker, or of none. */
	json_object_object_del(image, "container");
	json_object_object_del(image, "container_config");
	if (r >= 0)
		r = add_history(image, words, o, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(image);
	return 0;
}

/* A container stands still while its files are read. A process of its own lets it go on, also where this one is killed. */
struct stillness {
	int fd; /* its end wakes the keeper; -1: nothing was stopped */
	pid_t keeper;
};

static int let_go_on(struct engine *en, const struct container_record *c, struct err *e)
{
	int r = engine_pause(en, c->id, false, e);

	return r == -EBUSY || r == -ESRCH || r == -ENOENT ? 0 : r; /* somebody else did, or it has ended */
}

static int stand_still(struct engine *en, const struct container_record *c, struct stillness *s, struct err *e)
{
	int pipefd[2], r;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_set(e, errno, "make a pipe: %s", strerror(errno));
	s->keeper = fork();
	if (s->keeper == 0) {
		struct engine *own = NULL;
		char byte;
		fd_close(pipefd[1]);
		setsid();
		/* Its own database connection: one must not be used across a fork. */
		if (read(pipefd[0], &byte, 1) == 0 && engine_open(en->paths, &own, NULL) >= 0)
			let_go_on(own, c, NULL);
		_exit(0);
	}
	r = s->keeper < 0 ? err_set(e, errno, "fork: %s", strerror(errno)) : 0;
	fd_close(pipefd[0]);
	s->fd = pipefd[1];
	return r < 0 ? r : engine_pause(en, c->id, true, e);
}

static int go_on(struct engine *en, const struct container_record *c, struct stillness *s, struct err *e)
{
	static const char done = 1;
	int status, r;

	if (s->fd < 0)
		return 0;
	r = let_go_on(en, c, e);
	if (r >= 0 && write(s->fd, &done, 1) < 0)
		log_debug("commit", "tell the keeper: %s", strerror(errno));
	s->fd = fd_close(s->fd);
	if (s->keeper > 0)
		spawn_wait(s->keeper, &status);
	return r;
}

/* A VM's processes stand still by its agent's doing, and go on with it. */
static int commit_layers(struct engine *en, const struct container_record *c, const struct commit_opts *o, const struct ref *ref,
			 struct json_object *image, const char *parent, char **ret_id, struct err *e)
{
	_cleanup_container_layers_ struct container_layers layers = CONTAINER_LAYERS_NONE;
	int r = container_layers_open(en, c, LAYERS_UPPER, !o->no_pause, &layers, e);

	if (r >= 0)
		r = add_progress(o, &layers.args, e);
	if (r < 0)
		return r;
	struct transfer_call call = { .verb = "commit", .stdin_fd = -1, .output_fd = -1 };
	return make_image(en, &call, &layers, image, parent, ref, ret_id, e);
}

static int commit_locked(struct engine *en, const struct container_record *c, const struct commit_opts *o, const struct ref *ref,
			 char **ret_id, struct err *e)
{
	_cleanup_(image_record_done) struct image_record below = { 0 };
	_cleanup_json_ struct json_object *image = NULL;
	struct stillness s = { .fd = -1 };
	struct err late = { 0 };
	int r, k;

	r = records_image_get(en->records, c->image_id, &below, e);
	if (r == -ENOENT)
		return err_set(e, ENOENT, "the image of container %s, %.19s, was removed: export and import it instead", c->name,
			       c->image_id ? c->image_id : "");
	if (r >= 0)
		r = merged_config(&below, c, o, &image, e);
	if (r >= 0 && c->state == CS_RUNNING && !o->no_pause && !container_is_vm(c))
		r = stand_still(en, c, &s, e);
	if (r >= 0)
		r = commit_layers(en, c, o, ref, image, below.manifest_digest, ret_id, e);
	k = go_on(en, c, &s, &late);
	if (k < 0)
		log_warn("commit", "container %s stands still: %s; \"berth unpause %s\" lets it go on", c->name, late.msg,
			 c->name);
	return r;
}

int engine_commit(struct engine *en, const char *name, const char *new_name, const struct commit_opts *o, char **ret_id,
		  struct err *e)
{
	_cleanup_(container_record_done) struct container_record c = { 0 };
	_cleanup_(ref_done) struct ref ref = { 0 };
	int r = read_ref(new_name, &ref, e);

	if (r >= 0)
		r = engine_get(en, name, &c, e);
	if (r >= 0)
		r = store_lock(en->store, STORE_SHARED, e);
	if (r < 0)
		return r;
	r = commit_locked(en, &c, o, new_name ? &ref : NULL, ret_id, e);
	store_lock(en->store, STORE_UNLOCKED, NULL);
	if (r >= 0)
		note_event(en, &c, "commit");
	return r;
}

/* ---- import ---- */

static int new_config(const struct commit_opts *o, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *image = json_object_new_object();
	struct json_object *rootfs = json_object_new_object();
	struct utsname u;
	const char *arch;

	uname(&u);
	arch = streq(u.machine, "x86_64") ? "amd64" : streq(u.machine, "aarch64") ? "arm64" : u.machine;
	if (json_add(image, "created", now()) < 0 || json_add(image, "architecture", json_object_new_string(arch)) < 0 ||
	    json_add(image, "os", json_object_new_string("linux")) < 0 || json_add(image, "rootfs", rootfs) < 0 ||
	    json_add(rootfs, "type", json_object_new_string("layers")) < 0 ||
	    json_add(rootfs, "diff_ids", json_object_new_array()) < 0)
		return OUT_OF_MEMORY(e);
	int r = apply_changes(image, o, e);
	if (r >= 0)
		r = add_history(image, "", o, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(image);
	return 0;
}

static bool is_address(const char *path) { return str_after(path, "http://") || str_after(path, "https://"); }

/* Its standard input; -1: none. */
static int open_source(const char *path, int *ret_fd, struct err *e)
{
	*ret_fd = is_address(path) ? -1 : streq(path, "-") ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 && !is_address(path) ? err_set(e, errno, "%s: %s", path, strerror(errno)) : 0;
}

int engine_import(struct engine *en, const char *path, const char *new_name, const struct commit_opts *o, char **ret_id,
		  struct err *e)
{
	_cleanup_(ref_done) struct ref ref = { 0 };
	_cleanup_json_ struct json_object *image = NULL;
	_cleanup_strv_ char **args = NULL;
	int r = read_ref(new_name, &ref, e), fd = -1;

	if (r >= 0)
		r = new_config(o, &image, e);
	if (r >= 0)
		r = add_progress(o, &args, e);
	if (r >= 0 && is_address(path) && strv_push_option(&args, "--source", strdup(path)) < 0)
		r = OUT_OF_MEMORY(e);
	if (r >= 0)
		r = open_source(path, &fd, e);
	if (r < 0)
		return r;
	struct transfer_call call = { .verb = "import", .args = args, .stdin_fd = fd, .output_fd = -1 };
	r = store_lock(en->store, STORE_SHARED, e);
	if (r >= 0) {
		r = make_image(en, &call, NULL, image, NULL, new_name ? &ref : NULL, ret_id, e);
		store_lock(en->store, STORE_UNLOCKED, NULL);
	}
	if (fd > STDIN_FILENO)
		fd_close(fd);
	if (r < 0)
		return err_push(e, r, "import %s", streq(path, "-") ? "from stdin" : path);
	note_image_event(en, "import", *ret_id, new_name ? new_name : *ret_id);
	return 0;
}
