/* pods.c: a pod's making (options -> plan on disk -> record) and finding it with its containers. */
#include "engine_impl.h"
#include "network_plan.h"
#include "network_wishes.h"

#include <sys/stat.h>
#include <unistd.h>

#define NAME_TRIES 50

/* ---- share ---- */

static const struct {
	const char *word;
	enum spec_ns ns;
} shareable[] = { { "net", NS_NET }, { "ipc", NS_IPC }, { "uts", NS_UTS } };

int pod_share_parse(const char *text, bool ret_shared[NS_COUNT], struct err *e)
{
	_cleanup_strv_ char **words = strv_split(text ? text : "net,ipc,uts", ',');

	memset(ret_shared, 0, NS_COUNT * sizeof(*ret_shared));
	if (!words)
		return OUT_OF_MEMORY(e);
	if (text && (!*text || streq(text, "none")))
		return 0;
	for (char **w = words; *w; w++) {
		size_t i = 0;
		while (i < ARRAY_SIZE(shareable) && !streq(shareable[i].word, *w))
			i++;
		if (i < ARRAY_SIZE(shareable))
			ret_shared[shareable[i].ns] = true;
		else if (streq(*w, "pid"))
			return err_set(
				e, EOPNOTSUPP,
				"--share pid: processes can't be shared yet: that takes a process that outlives them all; net, "
				"ipc and uts can");
		else
			return err_set(e, EINVAL, "--share: \"%s\" is not known; net, ipc, uts and none are", *w);
	}
	return 0;
}

/* ---- the plan ---- */

static int set_memory(struct spec *s, int64_t bytes, struct err *e)
{
	return bytes == SPEC_UNSET ? 0 : mounts_set_shm_size(s, bytes, e);
}

static int set_limits(const struct run_opts *o, struct spec_resources *r, struct err *e)
{
	int k;

	free(r->devices);
	r->devices = NULL;
	r->n_devices = 0;
	k = resources_fill(o, r, e);
	if (o->pids_limit == SPEC_UNSET)
		r->pids_limit = SPEC_UNSET; /* each container has its own */
	return k < 0 ? k : resources_settle(o, streq0(o->isolation, "vm"), r, e);
}

static int fill_plan(const struct run_opts *o, const char *id, struct spec *s, struct err *e)
{
	const char *parent = o->cgroup_parent && *o->cgroup_parent ? o->cgroup_parent : "berth";
	bool shared[NS_COUNT];
	int r = pod_share_parse(o->share, shared, e);

	if (r >= 0)
		r = spec_default(s, e);
	if (r < 0)
		return r;
	/* The document wants a program named; the pod itself runs none. */
	if (strv_push(&s->process.args, "pod") < 0)
		return OUT_OF_MEMORY(e);
	for (size_t i = 0; i < NS_COUNT; i++)
		s->ns.wanted[i] = shared[i];
	if (network_kind_of(o) == NETWORK_HOST)
		s->ns.wanted[NS_NET] = false;
	parent += strspn(parent, "/");
	if (!*parent || strstr(parent, "..") || str_ends(parent, ".slice"))
		return err_set(e, EINVAL, "--cgroup-parent: \"%s\" is not a path such as /berth/web", o->cgroup_parent);
	s->cgroups_path = str_fmt("/%s/pod-%s", parent, id);
	s->hostname = o->hostname && *o->hostname ? strdup(o->hostname) : NULL;
	if (!s->cgroups_path || (o->hostname && *o->hostname && !s->hostname))
		return OUT_OF_MEMORY(e);
	if (s->hostname && !hostname_is_valid(s->hostname))
		return err_set(e, EINVAL, "--hostname: \"%s\" is not a host name", s->hostname);
	if (s->hostname && !shared[NS_UTS])
		return err_set(e, EINVAL,
			       "--hostname %s: the pod's containers don't share a host name; --share uts has them do so",
			       s->hostname);
	r = set_memory(s, o->shm_size, e);
	return r < 0 ? r : set_limits(o, &s->resources, e);
}

int pod_write_json(struct engine *en, const char *rel, const char *name, struct json_object *o, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", rel, name);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
	_cleanup_fd_ int fd = -1;
	int r;

	if (!text || !path)
		return OUT_OF_MEMORY(e);
	r = mkdir_p(store_rootfd(en->store), rel, 0700);
	if (r < 0)
		return err_set(e, -r, "make %s/%s: %s", en->paths->root, rel, strerror(-r));
	fd = openat(store_rootfd(en->store), path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, errno, "create %s/%s: %s", en->paths->root, path, strerror(errno));
	r = fd_write_full(fd, text, strlen(text));
	if (r >= 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? err_set(e, -r, "write %s/%s: %s", en->paths->root, path, strerror(-r)) : 0;
}

static int write_plan(struct engine *en, const char *rel, const struct spec *s, struct err *e)
{
	_cleanup_json_ struct json_object *o = spec_json(s);

	return pod_write_json(en, rel, "config.json", o, e);
}

/* ---- the record ---- */

static int put_record(struct engine *en, struct pod_record *p, bool is_named, struct err *e)
{
	int r = is_named ? records_pod_put(en->records, p, e) : -EEXIST;

	for (int i = 0; !is_named && r == -EEXIST && i < NAME_TRIES; i++) {
		free(p->name);
		p->name = name_generate();
		if (!p->name)
			return OUT_OF_MEMORY(e);
		r = records_pod_put(en->records, p, e);
	}
	return r;
}

static int fill_record(const struct run_opts *o, const char *id, struct pod_record *p, struct err *e)
{
	*p = (struct pod_record){ .id = strdup(id),
				  .name = o->name ? strdup(o->name) : NULL,
				  .isolation = strdup(o->isolation ? o->isolation : "container"),
				  .created_ns = clock_real_ns(),
				  .options_json = options_print(o) };
	if (!p->id || (o->name && !p->name) || !p->isolation || !p->options_json)
		return OUT_OF_MEMORY(e);
	return labels_add(o->labels, &p->labels, e);
}

/* The record comes last, as a container's does: what a crash leaves before it is a directory that `system prune` removes. */
static int create(struct engine *en, const struct run_opts *o, const char *id, struct err *e)
{
	_cleanup_free_ char *rel = str_fmt("pods/%s", id);
	_cleanup_(pod_record_done) struct pod_record p = { 0 };
	_cleanup_(spec_done) struct spec s;
	int r;

	spec_init(&s);
	r = rel ? fill_record(o, id, &p, e) : OUT_OF_MEMORY(e);
	if (r >= 0)
		r = fill_plan(o, id, &s, e);
	if (r >= 0 && !s.hostname && s.ns.wanted[NS_UTS]) {
		/* A generated name has an underscore, which host names may hold, and is short enough. */
		p.name = p.name ? p.name : name_generate();
		s.hostname = p.name ? strndup(p.name, 63) : NULL;
		r = s.hostname ? 0 : OUT_OF_MEMORY(e);
	}
	if (r >= 0)
		r = write_plan(en, rel, &s, e);
	if (r >= 0 && streq(p.isolation, "vm"))
		r = pod_vm_write(en, o, id, rel, e);
	if (r >= 0 && ((r = dir_sync(store_rootfd(en->store), rel)) < 0 || (r = dir_sync(store_rootfd(en->store), "pods")) < 0))
		err_set(e, -r, "write the pod's files to the disk: %s", strerror(-r));
	if (r >= 0)
		r = pod_network_request(en, o, &p, e);
	if (r >= 0)
		r = put_record(en, &p, p.name, e);
	pod_network_request_done(&p);
	if (r < 0 && rel)
		rm_rf(store_rootfd(en->store), rel); /* r says what went wrong first */
	return r;
}

int engine_pod_create(struct engine *en, const struct run_opts *o, char **ret_id, struct err *e)
{
	_cleanup_free_ char *id = malloc(ID_LEN + 1);
	const struct isolation_ops *isolation;
	int r = id ? options_check_pod(o, e) : OUT_OF_MEMORY(e);

	if (r >= 0)
		r = isolation_find(o->isolation ? o->isolation : "container", &isolation, e);
	if (r >= 0 && streq(isolation->name, "vm"))
		r = pod_vm_check(o, e);
	if (r >= 0 && (r = id_new(id)) < 0)
		r = err_set(e, -r, "make an id: %s", strerror(-r));
	if (r >= 0)
		r = store_lock(en->store, STORE_SHARED,
			       e); /* lest `system prune` take the directory before its record is there */
	if (r < 0)
		return r;
	r = create(en, o, id, e);
	store_lock(en->store, STORE_UNLOCKED, NULL);
	if (r >= 0)
		*ret_id = TAKE_PTR(id);
	return r;
}

/* ---- finding ---- */

void engine_pod_done(struct engine_pod *p)
{
	pod_record_done(&p->record);
	if (p->o)
		run_opts_done(p->o);
	free(p->o);
	engine_list_free(p->members, p->n);
	*p = (struct engine_pod){ 0 };
}

void engine_pod_list_free(struct engine_pod *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		engine_pod_done(&list[i]);
	free(list);
}

static const char *state_of(const struct engine_pod *p)
{
	size_t created = 0, running = 0;

	for (size_t i = 0; i < p->n; i++) {
		created += p->members[i].state == CS_CREATED;
		running += container_is_up(p->members[i].state);
	}
	if (created == p->n)
		return "Created";
	if (running == 0)
		return "Exited";
	return p->is_paused ? "Paused" : running == p->n ? "Running" : "Degraded";
}

/* Where all have been killed at once, the machine's holder may have been the last to go: whoever swept after the containers found it
 * living still. */
static int sweep_killed_holder(struct engine *en, const struct engine_pod *p, struct err *e)
{
	struct monitor_state m = { 0 };
	int r;

	if (!streq0(p->record.isolation, "vm") || !streq(p->state, "Exited"))
		return 0;
	r = monitor_inspect(en->paths, p->record.id, &m, e);
	return r < 0 || m.truth != MONITOR_DIED ? MIN(r, 0) : pod_sweep_networks(en, p->record.id, e);
}

/* Takes r, and out of all its own; what is taken is zero afterwards. */
static int fill(struct engine *en, struct pod_record *r, struct container_record *all, size_t n_all, struct engine_pod *ret,
		struct err *e)
{
	struct engine_pod p = { .record = *r, .o = calloc(1, sizeof(*p.o)), .members = calloc(n_all + 1, sizeof(*all)) };
	int k = p.o && p.members ? 0 : OUT_OF_MEMORY(e);

	*r = (struct pod_record){ 0 };
	if (p.o)
		run_opts_init(p.o);
	if (k >= 0)
		k = options_parse(p.record.options_json, p.o, e);
	/* Containers come newest first. */
	for (size_t i = n_all; k >= 0 && i-- > 0;)
		if (all[i].id && streq0(all[i].pod_id, p.record.id)) {
			p.members[p.n++] = all[i];
			all[i] = (struct container_record){ 0 };
		}
	if (k < 0) {
		engine_pod_done(&p);
		return k;
	}
	/* One container may be paused without its pod. */
	for (size_t i = 0; i < p.n && !p.is_paused; i++)
		p.is_paused = p.members[i].state == CS_PAUSED && pod_is_frozen(en->paths, p.record.id);
	p.state = state_of(&p);
	k = sweep_killed_holder(en, &p, e);
	if (k < 0)
		engine_pod_done(&p);
	else
		*ret = p;
	return k;
}

int engine_pod_get(struct engine *en, const char *name, struct engine_pod *ret, struct err *e)
{
	struct container_record *all = NULL;
	struct pod_record record;
	size_t n = 0;
	int r = records_pod_get(en->records, name, &record, e);

	if (r < 0)
		return r;
	r = engine_list(en, true, &all, &n, e);
	if (r >= 0)
		r = fill(en, &record, all, n, ret, e);
	pod_record_done(&record);
	engine_list_free(all, n);
	return r;
}

int engine_pod_list(struct engine *en, struct engine_pod **ret, size_t *ret_n, struct err *e)
{
	struct container_record *all = NULL;
	struct pod_record *records = NULL;
	struct engine_pod *list = NULL;
	size_t n_all = 0, n = 0, done = 0;
	int r = records_pod_list(en->records, &records, &n, e);

	if (r >= 0)
		r = engine_list(en, true, &all, &n_all, e);
	if (r >= 0 && !(list = calloc(n + 1, sizeof(*list))))
		r = OUT_OF_MEMORY(e);
	for (; r >= 0 && done < n; done += r >= 0)
		r = fill(en, &records[done], all, n_all, &list[done], e);
	for (size_t i = 0; i < n; i++)
		pod_record_done(&records[i]);
	free(records);
	engine_list_free(all, n_all);
	if (r < 0) {
		engine_pod_list_free(list, done);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}
