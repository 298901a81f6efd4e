/* delete: the container's processes, its cgroup, its record, in this order, so that whoever is killed on the way can be
 * followed by another; then the poststop hooks. */
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "make.h"
#include "scope.h"

const struct opt delete_options[] = {
	{ "force", 'f', OPT_FLAG, offsetof(union verb_opts, delete_force), NULL,
	  "kill it first where it runs; no error where there is none" },
	{ NULL },
};

enum { END_MS = 10000 };

static int kill_first(const struct record *rec, struct cgroup *cg, struct err *e)
{
	_cleanup_fd_ int fd = rec->pid > 0 ? pidfd_open_((pid_t)rec->pid) : -1;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int r;

	if (fd < 0 || !record_live_pid(rec))
		return 0;
	r = pidfd_kill(fd, SIGKILL);
	if (r < 0 && r != -ESRCH)
		return err_set(e, -r, "kill %s: %s", rec->id, strerror(-r));
	/* On v1 a frozen process dies only once it is thawed. */
	if (cg && cgroup_is_frozen(cg) && (r = cgroup_freeze(cg, false, e)) < 0)
		return r;
	do
		r = poll(&p, 1, END_MS);
	while (r < 0 && errno == EINTR);
	return r > 0 ? 0
		     : err_set(e, ETIMEDOUT, "container init still running: process %d of %s does not end", (int)rec->pid,
			       rec->id);
}

/* systemd drops an empty scope of its own accord, so that one that can't be reached is no reason to keep the container. */
static void stop_scope(const struct held *h)
{
	struct err e = { 0 };

	if (h->rec.scope && *h->rec.scope && scope_stop(h->rec.scope, &e) < 0)
		log_warn("delete", "%s", e.msg);
}

static int remove_all(struct held *h, const struct host *host, const struct spec *s, struct err *e)
{
	const char *path = h->rec.cgroup_path;
	struct cgroup *cg = NULL;
	/* The usual end: all have left, and nothing needs to be opened. */
	bool is_gone = path && *path && cgroup_remove_empty(host, path);
	int r = is_gone ? 0 : record_cgroup(&h->rec, host, &cg, e);

	if (r < 0 && r != -ENOENT)
		return r;
	r = kill_first(&h->rec, cg, e);
	if (r < 0)
		cgroup_free(cg);
	else
		r = cgroup_remove(cg, e);
	if (r == 0) {
		stop_scope(h);
		r = container_rdt_remove(s, h->rec.id, e);
	}
	if (r == 0 && file_exists(h->dirfd, RDT_MARK)) /* also where nobody can say */
		r = container_rdt_remove_updated(h->rec.id, e);
	return r < 0 ? r : record_remove(h, e);
}

/* OCI 1.2 runtime, "Lifecycle": a poststop hook that fails is warned about, and the others run all the same. */
static void run_poststop(const struct held *h, struct bundle *b)
{
	struct err e = { 0 };

	b->args.id = h->rec.id;
	b->args.bundle = h->rec.bundle;
	if (hooks_run(&b->args, HOOK_POSTSTOP, "stopped", 0, &e) < 0)
		log_warn("delete", "%s", e.msg);
}

/* OCI 1.2 runtime, "Delete": one that is not stopped is left as it is; runc and crun end a created one instead. */
static int check_stopped(const struct held *h, const struct host *host, struct err *e)
{
	enum status st = record_status(h, host);

	return st == STATUS_STOPPED
		       ? 0
		       : err_set(e, EBUSY, "cannot delete container %s that is not stopped: %s", h->rec.id, status_names[st]);
}

static int delete_held(struct held *h, const struct host *host, struct err *e)
{
	struct bundle b = { 0 };
	struct err why = { 0 };
	int r;

	spec_init(&b.spec);
	/* Before its files go. An unreadable config.json costs the hooks, not the removal. */
	if (h->rec.needs_config && bundle_load(h->dirfd, &b, &why) < 0)
		log_warn("delete", "poststop hooks are left out: %s", why.msg);
	r = remove_all(h, host, &b.spec, e);
	if (r == 0 && h->rec.needs_config)
		run_poststop(h, &b);
	bundle_done(&b);
	return r;
}

/* A directory without a record: whoever made it was killed at once, before there was anything else. */
static int remove_unrecorded(const struct runtime *rt, const char *id)
{
	_cleanup_fd_ int root = root_dir_open(rt, false, NULL);

	return root < 0 || id_check(id, NULL) < 0 ? 0 : rm_rf(root, id);
}

int container_delete(struct runtime *rt, const char *id, bool force, struct err *e)
{
	_cleanup_held_ struct held h = HELD_NONE;
	struct host host = { 0 };
	int r = record_open(rt, id, LOCKED, &h, e);

	if (r == -ENOENT && force) {
		r = remove_unrecorded(rt, id);
		return r < 0 ? err_set(e, -r, "remove what is left of %s: %s", id, strerror(-r)) : 0;
	}
	if (r == 0)
		r = host_probe_cgroup(&host, e);
	if (r == 0 && !force)
		r = check_stopped(&h, &host, e);
	if (r == 0)
		r = delete_held(&h, &host, e);
	host_done(&host);
	return r;
}

int container_delete_made(struct made *m, struct err *e)
{
	struct err why = { 0 };
	int r = record_relock(&m->held, &why);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = delete_held(&m->held, &m->host, &why);
	if (r < 0 && e)
		*e = why;
	return r;
}

int verb_delete(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	return container_delete(rt, rt->operands[0], opts->delete_force, e);
}
