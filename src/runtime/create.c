/* create: from a bundle to a container that waits on its start socket.
 *
 * Order, so that one killed at any point leaves nothing that `delete --force` can't find: the directory; the process, which ends
 * with its maker until it has been told that its pid is recorded, or to start; the record with the cgroup's path ("creating", for
 * one that starts at once with the pid); only then the cgroup. */
#include "make.h"
#include "delegate.h"
#include "notify.h"
#include "scope.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#define OPT(m) offsetof(union verb_opts, create.m)
const struct opt create_options[] = {
	{ "bundle", 'b', OPT_STRING, OPT(bundle), "DIR", "where config.json is (default: the working directory)" },
	{ "console-socket", 0, OPT_STRING, OPT(console_socket), "PATH", "unix socket that is sent the terminal's master" },
	{ "pid-file", 0, OPT_STRING, OPT(pid_file), "PATH", "write the first process's pid there" },
	{ "no-pivot", 0, OPT_FLAG, OPT(no_pivot), NULL, "enter the root by chroot, for hosts that run from an initramfs" },
	{ "no-new-keyring", 0, OPT_FLAG, OPT(no_new_keyring), NULL, "keep this process's session keyring" },
	{ "preserve-fds", 0, OPT_I64, OPT(preserve_fds), "N", "pass descriptors 3 to 3+N-1 on to the process" },
	{ "trace-startup", 0, OPT_FLAG, OPT(traces), NULL, "print how long each step of the start took" },
	{ NULL },
};

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

struct job {
	struct runtime *rt;
	const struct create_opts *o;
	bool is_detached, starts;
	bool is_noted; /* the record is there */
	char *console_socket, *pid_file, *bundle_dir;
	struct bundle bundle;
	struct held held;
	struct scope scope; /* with --systemd-cgroup */
	struct container *container;
};

static void job_done(struct job *j)
{
	free(j->console_socket);
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
	    (o->pid_file && !(j->pid_file = absolute(o->pid_file))))
		return err_set(e, ENOMEM, "out of memory");
	j->bundle_dir = realpath(dir, NULL);
	if (!j->bundle_dir || chdir(j->bundle_dir) < 0)
		return err_set(e, errno, "--bundle %s: %s", dir, strerror(errno));
	return 0;
}

static int read_bundle(struct job *j, struct err *e)
{
	struct bundle *b = &j->bundle;
	int r = enter_bundle(j, e);

	if (r == 0)
		r = bundle_load(AT_FDCWD, b, e);
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

static int choose_cgroup(struct job *j, struct err *e)
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
	    !rec->cgroup_path || !rec->scope || copy_annotations(rec, &s->annotations) < 0)
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

/* The socket only where the process starts at once: else `start` listens. */
static int make_notify(struct job *j, struct made *m, struct err *e)
{
	bool passed = false;
	int r = notify_prepare(j->rt, &j->held, &j->bundle, &passed, e);

	return r == 0 && passed && j->starts ? notify_listen(&j->held, &m->notify, e) : r;
}

/* container/'s args.record: beside the new process, which has more to do than this one. */
static int note(pid_t pid, void *arg, struct err *e)
{
	struct job *j = arg;
	bool has_pid = pid > 0 && j->bundle.args.starts_at_once;
	int r = 0;

	if (j->is_noted && !has_pid)
		return 0;
	if (!j->is_noted)
		r = fill_record(j, e);
	if (r == 0 && !j->is_noted)
		r = save_config(j, e);
	if (r == 0 && has_pid)
		r = record_set_process(&j->held.rec, pid, e);
	if (r == 0)
		r = record_save(&j->held, e);
	j->is_noted = r == 0;
	if (r == 0)
		trace_mark(&j->rt->trace, "recorded");
	return r;
}

/* Need not wait to be told where nobody has to be told first of it: no hook, no holder of its terminal, no reader of its pid. */
static bool may_start_at_once(const struct job *j)
{
	const struct spec *s = &j->bundle.spec;

	for (int k = 0; k < HOOK_COUNT; k++)
		if (s->hooks.n[k] > 0)
			return false;
	return j->starts && !s->process.terminal && !j->console_socket && !j->pid_file;
}

static int make(struct job *j, struct made *m, struct err *e)
{
	_cleanup_fd_ int sock = -1;
	struct container_args *a = &j->bundle.args;
	int r = choose_cgroup(j, e);

	if (r == 0)
		r = make_notify(j, m, e);
	if (r < 0)
		return r;
	a->id = j->held.rec.id;
	a->record = note;
	a->record_arg = j;
	a->starts_at_once = may_start_at_once(j);
	if (j->rt->spent > 0)
		a->spent_fd = TAKE_FD(j->rt->spent);
	if (!j->starts) {
		sock = container_start_listen(j->held.dirfd, "start.sock");
		if (sock < 0)
			return err_set(e, -sock, "start.sock: %s", strerror(-sock));
		a->start_fd = sock;
	}
	trace_steps(&j->rt->trace, a);
	return container_create(a, &j->container, e);
}

/* The last of it: whoever starts it may come, or it starts now. */
static int let_go(struct job *j, struct err *e)
{
	int r = j->starts ? container_start(j->container, e) : container_release(j->container, e);

	if (r < 0)
		return r;
	trace_mark(&j->rt->trace, j->starts ? "started" : "waits to be started");
	if (j->starts)
		container_free(j->container);
	j->container = NULL;
	return 0;
}

/* The process is there: say so, hand over its terminal, and let it live on. */
static int publish(struct job *j, struct made *m, struct err *e)
{
	struct record *rec = &j->held.rec;
	int r = rec->pid > 0 ? 0 : record_set_process(rec, container_pid(j->container), e);

	free(rec->written);
	rec->written = strdup(status_names[j->starts ? STATUS_RUNNING : STATUS_CREATED]);
	if (r == 0 && !rec->written)
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0)
		r = record_save(&j->held, e);
	m->pid = container_pid(j->container);
	m->console = r == 0 ? container_take_console(j->container) : -1;
	m->pidfd = r == 0 ? fcntl(container_pidfd(j->container), F_DUPFD_CLOEXEC, 3) : -1;
	if (r == 0 && m->pidfd < 0)
		r = err_set(e, errno, "pidfd: %s", strerror(errno));
	if (r == 0 && j->console_socket)
		r = console_send(j->console_socket, TAKE_FD(m->console), e);
	if (r == 0)
		r = pid_file_write(j->pid_file, m->pid, e);
	if (r < 0)
		return r;
	trace_mark(&j->rt->trace, "process recorded");
	return let_go(j, e);
}

static int make_and_publish(struct job *j, const char *id, struct made *m, struct err *e)
{
	struct err ignored = { 0 };
	int r = record_claim(j->rt, id, &j->held, e);

	if (r < 0)
		return r;
	trace_mark(&j->rt->trace, "record claimed");
	j->held.rec.id = strdup(id);
	if (!j->held.rec.id)
		return err_set(e, ENOMEM, "out of memory");
	r = make(j, m, e);
	if (r == 0)
		r = publish(j, m, e);
	if (r == 0) {
		/* Where it fails the error is the one line. */
		if (j->bundle.args.no_cgroup && j->bundle.host.cgroup != CGROUP_NONE)
			log_warn(j->rt->verb->name, "%s runs without a cgroup: none is delegated to this user", id);
		return 0;
	}
	container_destroy(TAKE_PTR(j->container));
	if (j->held.rec.scope && *j->held.rec.scope && scope_stop(j->held.rec.scope, &ignored) < 0)
		log_debug("create", "%s", ignored.msg);
	made_done(m);
	/* The first error is the one to report. */
	if (record_remove(&j->held, &ignored) < 0)
		log_warn("create", "%s", ignored.msg);
	return r;
}

void made_done(struct made *m)
{
	fd_close(m->pidfd);
	fd_close(m->notify);
	fd_close(m->console);
	held_done(&m->held);
	host_done(&m->host);
	*m = MADE_NONE;
}

/* For whoever waits for it; meanwhile it is anybody's. */
static int keep_record(struct job *j, struct made *m, struct err *e)
{
	int r = record_unlock(&j->held, e);

	if (r < 0)
		return r;
	m->held = j->held;
	j->held = HELD_NONE;
	m->host = j->bundle.host;
	j->bundle.host = (struct host){ 0 };
	return 0;
}

int container_make(struct runtime *rt, const char *id, const struct create_opts *o, enum make how, struct made *ret,
		   struct err *e)
{
	struct job j = {
		.rt = rt, .o = o, .is_detached = how != MAKE_ATTACHED, .starts = how != MAKE_CREATED, .held = HELD_NONE
	};
	struct made m = MADE_NONE;
	int r = id_check(id, e);

	rt->trace.is_wanted = o->traces;
	j.bundle.trace = &rt->trace;
	spec_init(&j.bundle.spec);
	if (r == 0)
		r = read_bundle(&j, e);
	if (r == 0)
		r = make_and_publish(&j, id, &m, e);
	if (r == 0 && how == MAKE_ATTACHED)
		r = keep_record(&j, &m, e);
	job_done(&j);
	if (r == 0)
		*ret = m;
	return r;
}

int verb_create(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	struct made m = MADE_NONE;
	int r = container_make(rt, rt->operands[0], &opts->create, MAKE_CREATED, &m, e);

	if (r < 0)
		return r;
	made_done(&m);
	return 0;
}
