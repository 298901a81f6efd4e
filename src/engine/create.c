/* create.c: from options to a container that can be started: image -> plan -> bundle -> record.
 *
 * The record comes last: until then nobody knows the new directory, so a failure or a crash on the way leaves at worst a
 * directory without a record, which `system prune` removes. */
#include "engine_impl.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_TRIES 50

static void plan_done(struct plan *p)
{
	image_done(&p->image);
	spec_done(&p->spec);
	launch_done(&p->launch);
	secrets_done(&p->secrets);
	free(p->dir);
	free(p->hostname);
	plan_volumes_done(p);
	plan_network_done(p);
	pod_record_done(&p->pod);
	run_opts_done(&p->pod_o);
}

/* The order matters: files want to know mounts and network, the process its host name, security the user; cdi devices
 * add to most of them. */
static const struct part {
	const char *name;
	int (*make)(struct plan *p, struct err *e);
} parts[] = {
	{ "namespaces", plan_namespaces },
	{ "mounts", plan_mounts },
	{ "devices", plan_devices },
	{ "files", plan_files },
	{ "process", plan_process },
	{ "security", plan_security },
	{ "bounded volumes", plan_bounds },
	{ "cdi devices", plan_cdi },
	{ "secrets", plan_secrets },
	{ "resources", plan_resources },
	{ "guest", plan_guest },
};

/* ---- the image ---- */

static int pull_image(struct engine *en, const struct run_opts *o, struct err *e)
{
	struct pull_opts pull = { .platform = o->platform, .is_quiet = o->is_quiet };
	_cleanup_free_ char *id = NULL;

	return pull_locked(en, o->image, &pull, &id, e); /* create holds the lock */
}

static int find_image(struct engine *en, const struct run_opts *o, struct image *ret, struct err *e)
{
	bool always = o->pull && streq(o->pull, "always"), never = o->pull && streq(o->pull, "never");
	struct ref ref;
	int r;

	if (always) {
		r = pull_image(en, o, e);
		return r < 0 ? r : image_find(en->store, o->image, ret, e);
	}
	r = image_find(en->store, o->image, ret, e);
	if (r == 0) {
		bool fits;
		r = platform_wanted(o->platform, ret, &fits, e);
		if (r == 0 && fits)
			return 0;
		if (r == 0)
			r = platform_mismatch(o->platform, o->image, ret, e);
		image_done(ret);
		*ret = (struct image){ 0 };
	}
	if (r != -ENOENT || never)
		return r;
	/* What is no reference (an id, say) can't be pulled: the first answer stands. */
	if (ref_parse(o->image, NULL, &ref, NULL) < 0)
		return r;
	_cleanup_free_ char *shown = ref_familiar(&ref);
	ref_done(&ref);
	/* docker's line, for who watches; elsewhere the one line on stderr is the error's. */
	if (isatty(STDERR_FILENO) && !o->is_quiet)
		fprintf(stderr, "Unable to find image '%s' locally\n", shown ? shown : o->image);
	*e = (struct err){ 0 };
	r = pull_image(en, o, e);
	return r < 0 ? err_push(e, r, "%s", o->image) : image_find(en->store, o->image, ret, e);
}

/* ---- launch.json ---- */

static char *dup_or_null(const char *s) { return s ? strdup(s) : NULL; }

static int plan_annotations(struct plan *p, struct err *e)
{
	for (char **a = p->o->annotations; a && *a; a++) {
		const char *eq = strchr(*a, '=');
		_cleanup_free_ char *key = eq ? strndup(*a, (size_t)(eq - *a)) : NULL;

		if (!eq || eq == *a)
			return err_set(e, EINVAL, "--annotation: \"%s\" must be formatted as key=value", *a);
		if (!key || map_set(&p->spec.annotations, key, eq + 1) < 0)
			return OUT_OF_MEMORY(e);
	}
	return 0;
}

static int find_layers(struct plan *p, struct err *e)
{
	struct err why = { 0 };
	int r = image_layer_dirs(p->en->store, &p->image, &p->launch.layers, &why);

	if (r == -ENOENT)
		return err_set(e, ENOENT, "image %s: %s: `berth pull %s` repairs it", p->o->image, why.msg, p->o->image);
	return r < 0 ? err_set(e, -r, "image %s: %s", p->o->image, why.msg) : 0;
}

static int fill_launch(struct plan *p, struct err *e)
{
	struct launch *l = &p->launch;
	int r;

	l->version = LAUNCH_VERSION;
	l->id = strdup(p->id);
	l->name = dup_or_null(p->o->name);
	l->isolation = strdup(p->isolation->name);
	l->upper = str_fmt("%s/upper", p->dir);
	l->work = str_fmt("%s/work", p->dir);
	l->seccomp_cache = str_fmt("%s/cache/seccomp", p->en->paths->root);
	if (!l->id || !l->isolation || !l->upper || !l->work || !l->seccomp_cache)
		return OUT_OF_MEMORY(e);
	l->is_volatile = l->auto_remove = p->o->auto_remove;
	l->open_stdin = p->o->is_interactive;
	l->stdin_once = p->o->is_interactive && !p->o->is_detached;
	l->use_init = p->o->use_init;
	if (p->o->pidfile && *p->o->pidfile && !(l->pidfile = strdup(p->o->pidfile)))
		return OUT_OF_MEMORY(e);
	l->timeout_ms = p->o->timeout_s > 0 ? (uint64_t)p->o->timeout_s * 1000 : 0;
	l->trace_began_us = p->o->trace_startup ? p->en->timeline.mark[0].us : 0;
	r = find_layers(p, e);
	if (r >= 0)
		r = log_plan(p->o, p->dir, l, e);
	if (r >= 0)
		r = health_plan(p->o, &p->image.config, l, e);
	if (r < 0)
		return r;
	r = mkdir_p(store_rootfd(p->en->store), "cache/seccomp", 0700);
	return r < 0 ? err_set(e, -r, "make %s: %s", l->seccomp_cache, strerror(-r)) : 0;
}

/* ---- the record ---- */

int labels_add(char *const *words, struct string_map *m, struct err *e)
{
	for (; words && *words; words++) {
		const char *eq = strchr(*words, '=');
		_cleanup_free_ char *key = strndup(*words, eq ? (size_t)(eq - *words) : strlen(*words));
		if (!key || map_set(m, key, eq ? eq + 1 : "") < 0)
			return OUT_OF_MEMORY(e);
	}
	return 0;
}

static int fill_labels(const struct plan *p, struct string_map *m, struct err *e)
{
	const struct string_map *image = &p->image.config.config.labels;

	for (size_t i = 0; image->keys && image->keys[i]; i++) {
		if (map_set(m, image->keys[i], image->values[i]) < 0)
			return OUT_OF_MEMORY(e);
	}
	return labels_add(p->o->labels, m, e);
}

/* Someone has the name: perhaps only the remains of a container that has ended unseen. */
static int try_again(struct engine *en, const char *name, struct err *e)
{
	struct container_record c;
	bool gone = false;
	int r = records_container_get(en->records, name, &c, NULL);

	if (r == -ENOENT)
		return 1;
	if (r < 0)
		return r;
	r = reconcile_one(en, &c, &gone, e);
	container_record_done(&c);
	return r < 0 ? r : gone;
}

static int put_named(struct engine *en, struct container_record *c, struct err *e)
{
	int r = records_container_put(en->records, c, e);

	if (r == -EEXIST && try_again(en, c->name, NULL) > 0)
		r = records_container_put(en->records, c, e);
	return r;
}

static int put_generated(struct engine *en, struct container_record *c, struct err *e)
{
	int r = -EEXIST;

	for (int i = 0; r == -EEXIST && i < NAME_TRIES; i++) {
		_cleanup_free_ char *name = name_generate();
		if (!name)
			return OUT_OF_MEMORY(e);
		free(c->name);
		/* After half of the tries a number makes it unlike all others. */
		c->name = i < NAME_TRIES / 2 ? TAKE_PTR(name) : str_fmt("%s%.4s", name, c->id);
		if (!c->name)
			return OUT_OF_MEMORY(e);
		r = records_container_put(en->records, c, e);
	}
	return r;
}

int container_put(struct engine *en, struct container_record *c, struct err *e)
{
	return c->name ? put_named(en, c, e) : put_generated(en, c, e);
}

/* --replace: the other one goes only now that there is nothing left which this one could fail by. */
static int put_replacing(struct engine *en, struct container_record *c, struct err *e)
{
	struct err taken = { 0 };
	int r = container_put(en, c, &taken);

	if (r == -EEXIST) {
		r = engine_remove(en, c->name, true, false, e);
		return r < 0 && r != -ENOENT ? err_push(e, r, "--replace") : container_put(en, c, e);
	}
	if (r < 0)
		*e = taken;
	return r;
}

/* The options as given, and what came out of them where later deeds need it when the image may be gone. */
static char *record_options(const struct plan *p)
{
	struct run_opts o = *p->o;

	o.args = p->spec.process.args;
	o.image_ports = p->image.config.config.exposed_ports;
	if (!o.stop_signal)
		o.stop_signal = p->image.config.config.stop_signal;
	return options_print(&o);
}

static int put_record(struct plan *p, struct err *e)
{
	struct container_record c = {
		.id = p->id,
		.image_id = p->image.id,
		.image_ref = p->o->image,
		.isolation = p->launch.isolation,
		.created_ns = clock_real_ns(),
		.state = CS_CREATED,
		.auto_remove = p->o->auto_remove,
		.has_tty = p->o->has_tty,
		.name = dup_or_null(p->o->name),
		.options_json = record_options(p),
		.pod_id = p->pod.id,
		.volumes = p->volumes,
		.n_volumes = p->n_volumes,
		.endpoints = p->endpoints,
		.n_endpoints = p->n_endpoints,
	};
	int r = c.options_json && (c.name || !p->o->name) ? fill_labels(p, &c.labels, e) : OUT_OF_MEMORY(e);

	if (r >= 0)
		r = p->o->replaces ? put_replacing(p->en, &c, e) : container_put(p->en, &c, e);
	free(c.name);
	free(c.options_json);
	map_done(&c.labels);
	return r;
}

/* ---- --cidfile ---- */

static int cidfile_open(const char *path, int *ret_fd, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return errno == EEXIST ? err_set(e, EEXIST,
						 "--cidfile: container ID file found, make sure the other container isn't "
						 "running or delete %s",
						 path)
				       : err_set(e, errno, "--cidfile: %s: %s", path, strerror(errno));
	*ret_fd = fd;
	return 0;
}

/* ---- all together ---- */

int make_container_dir(const struct plan *p, int *ret_dirfd, struct err *e)
{
	_cleanup_free_ char *rel = str_fmt("containers/%s", p->id);
	int rootfd = store_rootfd(p->en->store), fd;

	if (!rel)
		return OUT_OF_MEMORY(e);
	if (mkdirat(rootfd, rel, 0700) < 0)
		return err_set(e, errno, "make %s: %s", p->dir, strerror(errno));
	fd = openat(rootfd, rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_set(e, errno, "open %s: %s", p->dir, strerror(errno));
	*ret_dirfd = fd;
	return 0;
}

static int make_plan(struct plan *p, struct err *e)
{
	int r = plan_pod(p, e);

	if (r >= 0)
		r = isolation_find(p->pod.id         ? p->pod.isolation
				   : p->o->isolation ? p->o->isolation
						     : "container",
				   &p->isolation, e);

	if (r < 0)
		return r;
	p->is_vm = streq(p->isolation->name, "vm");
	r = find_image(p->en, p->o, &p->image, e);
	if (r < 0)
		return r;
	timeline_mark(&p->en->timeline, "image found");
	r = platform_check(p, e);
	if (r < 0)
		return r;
	p->dir = container_dir(p->en->paths, p->id);
	if (!p->dir)
		return OUT_OF_MEMORY(e);
	r = fill_launch(p, e);
	if (r >= 0)
		r = spec_default(&p->spec, e);
	return r < 0 ? r : plan_annotations(p, e);
}

static int write_out(struct plan *p, int cidfd, struct err *e)
{
	_cleanup_fd_ int dirfd = -1;
	int r = make_container_dir(p, &dirfd, e);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++) {
		r = parts[i].make(p, e);
		log_debug("create", "%s: %s", parts[i].name, r < 0 ? "failed" : "planned");
	}
	timeline_mark(&p->en->timeline, "planned");
	if (r >= 0)
		r = bundle_write(p, dirfd, e);
	timeline_mark(&p->en->timeline, "bundle written");
	if (r >= 0 && cidfd >= 0) {
		r = fd_write_full(cidfd, p->id, strlen(p->id));
		if (r < 0)
			err_set(e, -r, "--cidfile: %s: %s", p->o->cidfile, strerror(-r));
	}
	if (r >= 0)
		r = put_record(p, e);
	timeline_mark(&p->en->timeline, "recorded");
	if (r < 0) { /* r says what went wrong first */
		remove_files(p->en->paths, p->id, NULL);
		plan_volumes_undo(p);
	}
	return r;
}

static int create_with(struct plan *p, struct err *e)
{
	_cleanup_fd_ int cidfd = -1;
	int r = p->o->cidfile ? cidfile_open(p->o->cidfile, &cidfd, e) : 0;

	/* From finding the image to the record no collector may take its layers away. */
	if (r >= 0)
		r = store_lock(p->en->store, STORE_SHARED, e);
	if (r >= 0)
		r = make_plan(p, e);
	if (r >= 0)
		r = write_out(p, cidfd, e);
	if (r < 0 && cidfd >= 0)
		unlink(p->o->cidfile);
	return r;
}

int create_container(struct engine *en, const struct run_opts *o, const char *id, struct err *e)
{
	struct plan p = { .en = en, .o = o, .image_fd = -1 };
	struct err local = { 0 };
	int r;

	memcpy(p.id, id, sizeof(p.id));
	spec_init(&p.spec);
	run_opts_init(&p.pod_o);
	r = create_with(&p, e ? e : &local);
	store_lock(en->store, STORE_UNLOCKED, NULL); /* letting go can't fail */
	plan_done(&p);
	return r;
}

int engine_create(struct engine *en, const struct run_opts *o, char **ret_id, struct err *e)
{
	_cleanup_free_ char *id = malloc(ID_LEN + 1);
	int r = id ? options_check(o, e) : OUT_OF_MEMORY(e);

	if (r >= 0 && (r = id_new(id)) < 0)
		r = err_set(e, -r, "make an id: %s", strerror(-r));
	if (r >= 0)
		r = create_container(en, o, id, e);
	if (r >= 0)
		*ret_id = TAKE_PTR(id);
	return r;
}
