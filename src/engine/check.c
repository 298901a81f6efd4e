/* check.c: is all that is kept as it should be? The order: containers are made true first (that alone sweeps up after what was killed), then
 * the database, leftovers, the store's bytes, and what records say of files. Told is what is wrong, by name, with what to do about it;
 * with repair leftovers are removed, and what is damaged is set aside, so that a pull brings it again. */
#include "check.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define REMOVAL_US 1000000

void check_found(struct engine_check *c, const char *kind, const char *name, bool is_repaired, const char *remedy,
		 const char *fmt, ...)
{
	struct err e = { 0 }; /* escapes control bytes */
	va_list ap;

	va_start(ap, fmt);
	(void)err_vset(&e, EBADMSG, fmt, ap);
	va_end(ap);
	const struct check_finding f = {
		.kind = kind, .name = name, .problem = e.msg, .remedy = remedy, .is_repaired = is_repaired
	};
	c->remaining += !is_repaired;
	if (c->o->found)
		c->o->found(&f, c->o->arg);
}

/* ---- the database ---- */

static void on_record(const char *kind, const char *name, const char *problem, void *arg)
{
	struct engine_check *c = arg;
	bool is_file = streq(kind, "database");

	check_found(c, kind, name, c->o->repair && !is_file,
		    is_file ? "move it away, and pull or load the images again" : "`berth system check --repair` forgets it",
		    "%s", problem);
}

/* ---- leftovers ---- */

/* Whoever removes a container moves it away first, and may still be at it when its caller has been answered (`run --rm`). */
static bool is_going(struct engine_check *c, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	if (!str_after(name, "rm-") && !str_after(name, ".rm-"))
		return false;
	if (!c->patience_end_us)
		c->patience_end_us = clock_mono_us() + REMOVAL_US;
	while (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		if (clock_mono_us() >= c->patience_end_us)
			return false;
		usleep(10000);
	}
	return true;
}

static void on_leftover(const char *path, void *arg)
{
	struct engine_check *c = arg;

	if (!c->o->repair && is_going(c, path))
		return;
	check_found(c, "leftover", path, c->o->repair, "`berth system check --repair` removes it",
		    "nothing knows of it: a command failed or was killed");
}

static void on_store_leftover(const char *path, void *arg)
{
	const struct engine_check *c = arg;
	_cleanup_free_ char *whole = str_fmt("%s/%s", c->en->paths->root, path);

	on_leftover(whole ? whole : path, arg);
}

/* Berth mounts nothing where the host sees it: what is there was left by something else, and keeps directories from being removed. */
static int check_mounts(struct engine_check *c, struct err *e)
{
	const struct paths *p = c->en->paths;
	_cleanup_free_ char *text = NULL, *in_root = str_fmt("%s/containers/", p->root),
			    *in_run = str_fmt("%s/containers/", p->run), *in_tmp = str_fmt("%s/tmp/", p->root);
	size_t len;
	int r = file_read(AT_FDCWD, "/proc/self/mountinfo", 64u << 20, &text, &len);

	if (r < 0)
		return err_set(e, -r, "/proc/self/mountinfo: %s", strerror(-r));
	if (!in_root || !in_run || !in_tmp)
		return OUT_OF_MEMORY(e);
	for (char *line = text, *next; line && *line; line = next) {
		char at[4096];
		if ((next = strchr(line, '\n')))
			*next++ = '\0';
		if (sscanf(line, "%*s %*s %*s %*s %4095s", at) != 1 ||
		    !(str_after(at, in_root) || str_after(at, in_run) || str_after(at, in_tmp)))
			continue;
		if (c->o->repair && umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return err_set(e, errno, "unmount %s: %s", at, strerror(errno));
		check_found(c, "leftover", at, c->o->repair, "`berth system check --repair` unmounts it",
			    "it is a mount on the host");
	}
	return 0;
}

static int check_leftovers(struct engine_check *c, struct err *e)
{
	const struct leftovers l = { on_leftover, c };
	int r = check_mounts(c, e);

	if (r >= 0)
		r = engine_leftovers(c->en, &l, e);
	if (r >= 0)
		r = store_leftovers(c->en->store, on_store_leftover, c, e);
	if (r == -EBUSY && !c->o->repair) {
		log_info("check", "leftovers are not looked for: something is being pulled or made just now");
		*e = (struct err){ 0 };
		return 0;
	}
	return r >= 0 && c->o->repair ? engine_sweep(c->en, e) : r;
}

/* ---- the store ---- */

/* Chain ids of the layers that running containers have mounted. A VM has its disk open instead. */
static int find_held(struct engine *en, const struct container_record *list, size_t n, char ***held, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_(launch_done) struct launch l = { 0 };
		if (!container_is_up(list[i].state) || streq(list[i].isolation, "vm") ||
		    bundle_read_launch(en, list[i].id, &l, NULL) < 0)
			continue; /* one that can't be read is told of by check_objects */
		for (char **layer = l.layers; layer && *layer; layer++) {
			const char *hex = strstr(*layer, "/layers/"), *next;
			while (hex && (next = strstr(hex + 1, "/layers/")))
				hex = next;
			if (hex && strv_push_take(held, str_fmt("sha256:%.64s", hex + strlen("/layers/"))) < 0)
				return OUT_OF_MEMORY(e);
		}
	}
	return 0;
}

static int check_store(struct engine_check *c, struct err *e)
{
	_cleanup_strv_ char **held = NULL;
	struct container_record *list = NULL;
	struct check_opts o = *c->o;
	size_t n = 0;
	int r = engine_list(c->en, false, &list, &n, e);

	if (r >= 0)
		r = find_held(c->en, list, n, &held, e);
	engine_list_free(list, n);
	o.held = held;
	if (r >= 0)
		r = store_check(c->en->store, &o, e);
	if (r > 0)
		c->remaining += r;
	return r;
}

/* ---- saved VMs ---- */

static void on_snapshot(const char *problem, void *arg)
{
	const char *rest = str_after(problem, "snapshot "), *colon = rest ? strchr(rest, ':') : NULL;
	_cleanup_free_ char *name = colon ? strndup(rest, (size_t)(colon - rest)) : NULL;

	check_found(arg, "snapshot", name ? name : "?", false, "take it again, and remove this one with `berth snapshot rm`",
		    "%s", colon ? colon + strspn(colon, ": ") : problem);
}

int engine_check(struct engine *en, const struct check_opts *o, struct err *e)
{
	struct engine_check c = { .en = en, .o = o };
	int r = 0;

	if (!o->image) {
		struct container_record *list = NULL;
		size_t n = 0;
		r = engine_list(en, true, &list, &n, e); /* makes them true */
		engine_list_free(list, n);
		if (r >= 0)
			r = records_check(en->records, o->repair, on_record, &c, e);
		if (r >= 0)
			r = check_leftovers(&c, e);
	}
	if (r >= 0)
		r = check_store(&c, e);
	if (r >= 0 && !o->image)
		r = check_objects(&c, e);
	if (r >= 0 && !o->image)
		r = engine_snapshot_check(en, on_snapshot, &c, e);
	return r < 0 ? r : c.remaining;
}
