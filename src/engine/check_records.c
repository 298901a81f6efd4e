/* check_records.c: what the records of containers, pods and volumes say, against the files that belong to them, and of containers that do
 * not run what the kernel still has. */
#include <fcntl.h>
#include <unistd.h>

#include "check.h"
#include "volumes.h"

static bool path_exists(const char *path) { return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

/* Removed while it was looked at? */
static bool is_gone(struct engine_check *c, const char *id)
{
	struct container_record r;

	if (records_container_get(c->en->records, id, &r, NULL) < 0)
		return true;
	bool is_going = r.state == CS_REMOVING;
	container_record_done(&r);
	return is_going;
}

/* ---- containers ---- */

static void missing(struct engine_check *c, const struct container_record *r, const char *what, const char *remedy)
{
	if (!is_gone(c, r->id))
		check_found(c, "container", r->name, false, remedy, "%s is missing", what);
}

static int check_layers(struct engine_check *c, const struct container_record *r, const struct launch *l, struct err *e)
{
	_cleanup_free_ char *pull = r->image_ref && !str_after(r->image_ref, "sha256:")
					    ? str_fmt("`berth pull %s` brings it again", r->image_ref)
					    : strdup("pull or load its image again");

	if (!pull)
		return OUT_OF_MEMORY(e);
	for (char **layer = l->layers; layer && *layer; layer++)
		if (!path_exists(*layer))
			missing(c, r, *layer, pull);
	return 0;
}

static void check_writable(struct engine_check *c, const struct container_record *r, const struct launch *l)
{
	_cleanup_free_ char *remove = str_fmt("`berth rm -f %s`, and make it anew", r->name);

	if (streq(r->isolation, "vm") ? l->upper_disk && r->started_ns && !path_exists(l->upper_disk)
				      : l->upper && !path_exists(l->upper))
		missing(c, r, "what it has written", remove);
}

static void check_uses(struct engine_check *c, const struct container_record *r)
{
	struct volume_use *uses = NULL;
	size_t n = 0;

	if (records_container_volumes(c->en->records, r->id, &uses, &n, NULL) < 0)
		return; /* the database has been told of */
	for (size_t i = 0; i < n; i++) {
		struct volume_record v;
		if (records_volume_get(c->en->records, uses[i].name, &v, NULL) == 0)
			volume_record_done(&v);
		else if (!is_gone(c, r->id))
			check_found(c, "container", r->name, false, "`berth volume create` makes an empty one of that name",
				    "its volume %s is gone", uses[i].name);
	}
	volume_uses_free(uses, n);
}

/* One that has ended has no cgroup: where the kernel would not let go of it at the time. */
static int check_cgroup(struct engine_check *c, const struct container_record *r, const struct host *h, struct err *e)
{
	_cleanup_free_ char *path = NULL;
	const char *mounts[CG_CTRL_COUNT + 1] = { h->cgroup_v2 };
	const struct isolation_ops *ops;
	int k;

	if (container_is_up(r->state) || r->pod_id)
		return 0;
	for (size_t i = 0; i < CG_CTRL_COUNT; i++)
		mounts[i + 1] = h->cgroup_v1[i];
	for (size_t i = 0; i < ARRAY_SIZE(mounts) && !path; i++) {
		char *p = mounts[i] ? str_fmt("%s/berth/%s", mounts[i], r->id) : NULL;
		if (p && path_exists(p) && !is_gone(c, r->id))
			path = p;
		else
			free(p);
	}
	if (!path)
		return 0;
	/* Another command may be starting it right now. */
	_cleanup_fd_ int lock = -1;
	if (container_lock(c->en, r->id, &lock, NULL) < 0)
		return 0;
	struct monitor_state m;
	if (monitor_inspect(c->en->paths, r->id, &m, NULL) < 0 || m.truth == MONITOR_STARTING || m.truth == MONITOR_RUNNING)
		return 0;
	if (c->o->repair && ((k = isolation_find(r->isolation, &ops, e)) < 0 || (k = ops->sweep(h, c->en->paths, r->id, e)) < 0))
		return k;
	check_found(c, "leftover", path, c->o->repair, "`berth system check --repair` removes it", "container %s does not run",
		    r->name);
	return 0;
}

static int check_container(struct engine_check *c, const struct container_record *r, const struct host *h, struct err *e)
{
	_cleanup_(launch_done) struct launch l = { 0 };
	_cleanup_free_ char *remove = str_fmt("`berth rm -f %s`, and make it anew", r->name);
	struct err why = { 0 };
	struct spec s;
	int k;

	spec_init(&s);
	k = bundle_read_spec(c->en, r->id, &s, &why);
	if (k >= 0)
		k = bundle_read_launch(c->en, r->id, &l, &why);
	spec_done(&s);
	if (k < 0) {
		if (!is_gone(c, r->id))
			check_found(c, "container", r->name, false, remove, "%s", why.msg);
		return 0;
	}
	k = check_layers(c, r, &l, e);
	if (k < 0)
		return k;
	check_writable(c, r, &l);
	check_uses(c, r);
	if (r->pod_id && !r->pod_name && !is_gone(c, r->id))
		check_found(c, "container", r->name, false, remove, "its pod %.12s is gone", r->pod_id);
	return check_cgroup(c, r, h, e);
}

static int check_containers(struct engine_check *c, struct err *e)
{
	struct container_record *list = NULL;
	struct host h = { 0 };
	size_t n = 0;
	int r = host_probe_cgroup_ours(&h, e);

	if (r >= 0)
		r = engine_list(c->en, true, &list, &n, e);
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = check_container(c, &list[i], &h, e);
	engine_list_free(list, n);
	host_done(&h);
	return r;
}

/* ---- pods and volumes ---- */

static int check_pods(struct engine_check *c, struct err *e)
{
	struct pod_record *list = NULL;
	size_t n = 0;
	int r = records_pod_list(c->en->records, &list, &n, e);

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *path = str_fmt("%s/pods/%s/config.json", c->en->paths->root, list[i].id),
				    *remove = str_fmt("`berth pod rm -f %s`, and make it anew", list[i].name);
		struct pod_record again;
		if (path && !path_exists(path) && records_pod_get(c->en->records, list[i].id, &again, NULL) == 0) {
			check_found(c, "pod", list[i].name, false, remove, "%s is missing", path);
			pod_record_done(&again);
		}
		pod_record_done(&list[i]);
	}
	free(list);
	return r;
}

static int check_volumes(struct engine_check *c, struct err *e)
{
	struct volume_record *list = NULL;
	size_t n = 0;
	int r = records_volume_list(c->en->records, &list, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		_cleanup_free_ char *path = engine_volume_mountpoint(c->en, list[i].name),
				    *remove = str_fmt("its next use makes an empty one; `berth volume rm %s` forgets it",
						      list[i].name);
		struct volume_record again;
		if (path && !path_exists(path) && records_volume_get(c->en->records, list[i].name, &again, NULL) == 0) {
			check_found(c, "volume", list[i].name, false, remove, "its directory %s is missing", path);
			volume_record_done(&again);
		}
	}
	volume_records_free(list, n);
	return r;
}

int check_objects(struct engine_check *c, struct err *e)
{
	int r = check_containers(c, e);

	if (r >= 0)
		r = check_pods(c, e);
	return r < 0 ? r : check_volumes(c, e);
}
