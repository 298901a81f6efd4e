/* job: see job.h. */
#include "job.h"
#include "delegate.h"

#include <stdio.h>
#include <unistd.h>

/* Paths of options are the caller's, and config.json's the bundle's: so the former are made absolute before the latter become
 * relative to the working directory. */
static char *absolute(const char *path)
{
	_cleanup_free_ char *cwd = NULL;

	if (path[0] == '/')
		return strdup(path);
	cwd = get_current_dir_name();
	return cwd ? str_fmt("%s/%s", cwd, path) : NULL;
}

void job_done(struct job *j)
{
	fd_close(container_network_take(&j->network));
	free(j->console_socket);
	free(j->pidfd_socket);
	free(j->pid_file);
	free(j->bundle_dir);
	bundle_done(&j->bundle);
	scope_done(&j->scope);
	held_done(&j->held);
}

static int enter_bundle(struct job *j, struct err *e)
{
	const struct create_opts *o = j->o;
	const char *dir = o->bundle && *o->bundle ? o->bundle : ".";

	if ((o->console_socket && !(j->console_socket = absolute(o->console_socket))) ||
	    (o->pidfd_socket && *o->pidfd_socket && !(j->pidfd_socket = absolute(o->pidfd_socket))) ||
	    (o->pid_file && !(j->pid_file = absolute(o->pid_file))))
		return err_set(e, ENOMEM, "out of memory");
	j->bundle_dir = realpath(dir, NULL);
	if (!j->bundle_dir || chdir(j->bundle_dir) < 0)
		return err_set(e, errno, "--bundle %s: %s", dir, strerror(errno));
	return 0;
}

int job_read_bundle(struct job *j, struct err *e)
{
	struct bundle *b = &j->bundle;
	int r = enter_bundle(j, e);

	if (j->makes_process)
		b->network = &j->network;
	if (r == 0)
		r = bundle_read(AT_FDCWD, b, e);
	if (r == 0 && b->network)
		container_network_begin(&j->network, &b->spec);
	if (r == 0)
		r = bundle_probe(b, e);
	if (r < 0)
		return r;
	/* config.md §process: needed only "when start is called", which then is what fails. */
	if (!b->spec.process.cwd && !(b->spec.process.cwd = strdup("/")))
		return err_set(e, ENOMEM, "out of memory");
	for (char *const *w = b->spec.process.warnings; w && *w; w++)
		log_warn("config.json", "%s", *w);
	r = console_check(&b->spec.process, j->console_socket, j->is_detached, e);
	if (r == 0)
		r = preserve_fds(j->o->preserve_fds, &b->spec.process.env, &b->args.n_preserve_fds, e);
	if (r == 0)
		r = bundle_seccomp(j->rt, b, e);
	b->args.bundle = j->bundle_dir;
	b->args.no_pivot = j->o->no_pivot;
	b->args.no_new_keyring = j->o->no_new_keyring;
	return r;
}

/* A cgroup is this container's alone: all in it end with it. */
static int check_cgroup(const struct bundle *b, struct err *e)
{
	_cleanup_free_ pid_t *pids = NULL;
	struct cgroup *cg;
	size_t n = 0;
	int r = cgroup_open(&b->host, b->spec.cgroups_path, &cg, e);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	r = cgroup_pids(cg, &pids, &n);
	cgroup_free(cg);
	if (r < 0)
		return err_set(e, -r, "cgroup %s: %s", b->spec.cgroups_path, strerror(-r));
	return n ? err_set(e, EBUSY,
			   "container's cgroup is not empty: %s has %zu processes of somebody else; give another "
			   "linux.cgroupsPath",
			   b->spec.cgroups_path, n)
		 : 0;
}

static int make_scope(pid_t pid, void *arg, struct err *e)
{
	const struct job *j = arg;

	return scope_start(&j->scope, pid, j->held.rec.id, &j->bundle.spec.resources, j->bundle.host.cgroup == CGROUP_V2, e);
}

static int choose_scope(struct job *j, struct err *e)
{
	struct bundle *b = &j->bundle;
	int r;

	if (j->rt->is_rootless)
		return err_set(e, ENOTSUP,
			       "--systemd-cgroup: only as root: set the engine's cgroup driver (manager) to cgroupfs");
	r = scope_parse(b->spec.cgroups_path, j->held.rec.id, &j->scope, e);
	if (r < 0)
		return r;
	free(b->spec.cgroups_path);
	b->spec.cgroups_path = strdup(j->scope.path);
	b->args.make_scope = make_scope;
	b->args.make_scope_arg = j;
	return b->spec.cgroups_path ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* Without root's rights only what has been delegated, and without any of that none; but a limit is never silently left out. */
static int choose_delegated(struct job *j, struct err *e)
{
	struct bundle *b = &j->bundle;
	int r;

	free_ptr(&b->spec.cgroups_path);
	r = delegated_cgroup(&b->host, j->held.rec.id, &b->spec.cgroups_path, e);
	if (r < 0 || b->spec.cgroups_path)
		return r;
	if (cgroup_asks_limits(&b->spec.resources))
		return err_set(
			e, EPERM,
			"linux.resources: limits need a cgroup, and none is delegated to this user: leave them out, or have "
			"a cgroup of v2 delegated (systemd: Delegate=yes of user@%u.service)",
			(unsigned)geteuid());
	b->args.no_cgroup = true;
	return 0;
}

int job_choose_cgroup(struct job *j, struct err *e)
{
	struct bundle *b = &j->bundle;
	bool is_given = b->spec.cgroups_path && *b->spec.cgroups_path;
	int r = 0;

	b->args.cgroup_everywhere = !j->rt->is_rootless;
	b->args.no_cgroup = b->host.cgroup == CGROUP_NONE;
	if (!b->args.no_cgroup && j->rt->is_rootless && !is_given && !j->rt->systemd_cgroup)
		r = choose_delegated(j, e);
	if (r < 0 || b->args.no_cgroup)
		return r;
	r = j->rt->systemd_cgroup ? choose_scope(j, e) : bundle_place_cgroup(b, j->held.rec.id, e);
	return r < 0 ? r : check_cgroup(b, e);
}

static char *owner_name(void)
{
	uint64_t uid = getuid();

	/* No getpwuid: a static program has no name service. */
	return uid == 0 ? strdup("root") : str_fmt("%llu", (unsigned long long)uid);
}

static char *rootfs_of(const struct job *j)
{
	const char *root = j->bundle.spec.root_path;

	return root[0] == '/' ? strdup(root) : str_fmt("%s/%s", j->bundle_dir, root);
}

static int copy_annotations(struct record *rec, const struct string_map *m)
{
	int r = 0;

	for (size_t i = 0; m->keys && m->keys[i] && r == 0; i++)
		r = map_set(&rec->annotations, m->keys[i], m->values[i]);
	return r;
}

/* Pipes and files of others, which a checkpoint of it will have to name. */
static int note_stdio(const struct job *j, struct record *rec)
{
	char path[32], to[256];

	for (int fd = 0; fd < 3 && !j->bundle.spec.process.terminal; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, to, sizeof(to) - 1);
		to[n < 0 ? 0 : n] = '\0';
		if (strv_push(&rec->stdio, to) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int fill_record(struct job *j, struct err *e)
{
	const struct spec *s = &j->bundle.spec;
	struct record *rec = &j->held.rec;
	char now[RFC3339_LEN];

	rec->version = RECORD_VERSION;
	rec->oci_version = strdup(s->oci_version);
	rec->bundle = strdup(j->bundle_dir);
	rec->rootfs = rootfs_of(j);
	rec->owner = owner_name();
	rec->created = strdup(clock_rfc3339(clock_real_ns(), now));
	rec->written = strdup(status_names[STATUS_CREATING]);
	rec->cgroup_path = strdup(j->bundle.args.no_cgroup ? "" : s->cgroups_path);
	rec->scope = strdup(j->scope.unit ? j->scope.unit : "");
	rec->has_pid_ns = s->ns.wanted[NS_PID] && !s->ns.path[NS_PID];
	rec->needs_config = s->hooks.n[HOOK_POSTSTOP] > 0 || s->rdt;
	if (!rec->oci_version || !rec->bundle || !rec->rootfs || !rec->owner || !rec->created || !rec->written ||
	    !rec->cgroup_path || !rec->scope || copy_annotations(rec, &s->annotations) < 0 || note_stdio(j, rec) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return record_set_maker(rec, e);
}

/* The bundle may change or go before exec and delete need it. */
static int save_config(struct job *j, struct err *e)
{
	/* Nobody looks for it before state.json is there. */
	_cleanup_fd_ int fd = openat(j->held.dirfd, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : fd_write_full(fd, j->bundle.text, j->bundle.len);

	return r < 0 ? err_set(e, -r, "save config.json: %s", strerror(-r)) : 0;
}

int job_claim(struct job *j, const char *id, struct err *e)
{
	int r = record_claim(j->rt, id, &j->held, e);

	if (r < 0)
		return r;
	trace_mark(&j->rt->trace, "record claimed");
	j->held.rec.id = strdup(id);
	return j->held.rec.id ? 0 : err_set(e, ENOMEM, "out of memory");
}

int job_fill(struct job *j, struct err *e)
{
	int r = fill_record(j, e);

	return r < 0 ? r : save_config(j, e);
}

int job_record(struct job *j, struct err *e)
{
	int r = job_choose_cgroup(j, e);

	if (r == 0)
		r = job_fill(j, e);
	return r < 0 ? r : record_save(&j->held, e);
}

int job_record_process(struct job *j, pid_t pid, enum status written, struct err *e)
{
	struct record *rec = &j->held.rec;
	int r = rec->pid > 0 ? 0 : record_set_process(rec, pid, e);

	free(rec->written);
	rec->written = strdup(status_names[written]);
	if (r == 0 && !rec->written)
		r = err_set(e, ENOMEM, "out of memory");
	return r < 0 ? r : record_save(&j->held, e);
}

void job_undo(struct job *j)
{
	const char *scope = j->held.rec.scope, *verb = j->rt->verb->name;
	struct err ignored = { 0 };

	if (scope && *scope && scope_stop(scope, &ignored) < 0)
		log_debug(verb, "%s", ignored.msg);
	/* The first error is the one to report. */
	if (record_remove(&j->held, &ignored) < 0)
		log_warn(verb, "%s", ignored.msg);
}
