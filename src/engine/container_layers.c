/* container_layers.c: what a container has changed, and all of its layers, for `diff`, `commit` and `export`: directories of this host, or
 * of a virtual machine streams from its agent, which walks the same layers in its guest. */
#include "container_root.h"
#include "guest.h"
#include "transfer_run.h"

#include <unistd.h>

void container_layers_done(struct container_layers *l)
{
	guest_files_close(&l->guest, 0, NULL);
	fd_close(l->fd);
	fd_close(l->lower);
	fd_close(l->lock);
	strv_free(l->args);
	*l = (struct container_layers)CONTAINER_LAYERS_NONE;
}

static int add_mount(char ***mounts, const char *path)
{
	path += strspn(path, "/");
	return *path ? strv_push(mounts, path) : 0;
}

/* Where it has something mounted. */
static int list_mounts(struct engine *en, const struct container_record *c, const struct launch *l, char ***ret, struct err *e)
{
	_cleanup_(spec_done) struct spec spec;
	_cleanup_strv_ char **mounts = NULL;
	int r;

	spec_init(&spec);
	r = bundle_read_spec(en, c->id, &spec, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < spec.n_mounts && r >= 0; i++)
		r = add_mount(&mounts, spec.mounts[i].destination);
	for (size_t i = 0; i < l->n_files && r >= 0; i++)
		r = add_mount(&mounts, l->files[i].path);
	for (char **path = l->secret_paths; r >= 0 && path && *path; path++)
		r = add_mount(&mounts, *path);
	if (r < 0)
		return OUT_OF_MEMORY(e);
	*ret = TAKE_PTR(mounts);
	return 0;
}

/* ---- of a container ---- */

static int open_dirs(struct engine *en, const struct container_record *c, const struct launch *launch, bool is_merged,
		     struct container_layers *l, struct err *e)
{
	_cleanup_strv_ char **layers = NULL;
	int r = 0, merged = -1;

	if (!container_runs(c))
		r = container_lock_idle(en, c, &l->lock, e);
	if (r >= 0)
		r = container_layer_dirs(en, c, launch, is_merged, &layers, e);
	if (r < 0)
		return r;
	const struct snapshot s = { .layers = layers };
	if ((r = snapshot_mount(&s, &merged, e)) < 0)
		return err_push(e, r, "the layers of container %s", c->name);
	*(is_merged ? &l->fd : &l->lower) = merged;
	if (!is_merged && (l->fd = open(launch->upper, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, errno, "open %s: %s", launch->upper, strerror(errno));
	return 0;
}

static int mount_args(char *const *mounts, char ***ret, struct err *e)
{
	int r = 0;

	for (char *const *m = mounts; r >= 0 && m && *m; m++)
		r = strv_push(ret, "--mount") < 0 ? -ENOMEM : strv_push(ret, *m);
	return r < 0 ? OUT_OF_MEMORY(e) : 0;
}

/* ---- of either ---- */

static int open_guest(struct engine *en, const struct container_record *c, enum layers_kind kind, bool stands_still,
		      char *const *mounts, struct container_layers *l, struct err *e)
{
	static const char *const verbs[] = {
		[LAYERS_CHANGES] = GUEST_FILES_DIFF, [LAYERS_UPPER] = GUEST_FILES_LAYER, [LAYERS_ALL] = GUEST_FILES_ALL
	};
	const struct guest_files_wish w = {
		.verb = verbs[kind], .path = "", .flags = stands_still ? "p" : "", .mounts = kind == LAYERS_ALL ? NULL : mounts
	};

	return strv_push(&l->args, "--stream") < 0 ? OUT_OF_MEMORY(e) : guest_files_open(en, c, &w, &l->guest, e);
}

int container_layers_open(struct engine *en, const struct container_record *c, enum layers_kind kind, bool stands_still,
			  struct container_layers *ret, struct err *e)
{
	_cleanup_container_layers_ struct container_layers l = CONTAINER_LAYERS_NONE;
	_cleanup_(launch_done) struct launch launch = { 0 };
	_cleanup_strv_ char **mounts = NULL;
	int r = bundle_read_launch(en, c->id, &launch, e);

	if (r >= 0)
		r = list_mounts(en, c, &launch, &mounts, e);
	if (r >= 0 && container_is_vm(c))
		r = open_guest(en, c, kind, stands_still, mounts, &l, e);
	else if (r >= 0 && (r = open_dirs(en, c, &launch, kind == LAYERS_ALL, &l, e)) >= 0 && kind != LAYERS_ALL)
		r = mount_args(mounts, &l.args, e);
	if (r < 0)
		return r;
	*ret = l;
	l = (struct container_layers)CONTAINER_LAYERS_NONE;
	return 0;
}

int container_layers_run(struct engine *en, struct container_layers *l, struct transfer_call *call, struct json_object **ret,
			 struct err *e)
{
	int r;

	call->args = l->args;
	call->root_fd = l->fd;
	call->lower_fd = l->lower;
	call->stream_in_fd = l->guest.from;
	call->stream_out_fd = l->guest.to;
	r = guest_files_close(&l->guest, transfer_run(en, call, ret, e), e);
	container_layers_done(l);
	return r;
}
