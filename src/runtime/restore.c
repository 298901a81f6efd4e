/* restore: a container whose processes CRIU makes, from what checkpoint has saved. Everything around them is as `create` has it: the
 * bundle, the record, the cgroup with config.json's limits.
 *
 * CRIU runs in the container's cgroup, and so do the processes that it makes; they are its siblings, so ours to wait for. It has a
 * mount namespace of its own, in which the root lies on a mount point as it wants that: it goes with CRIU, however that ends. */
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "criu.h"
#include "foreground.h"
#include "job.h"
#include "make.h"
#include "notify.h"

#define LOG      "restore.log"
#define ROOT_DIR "criu-root"

#define CREATE(m)  offsetof(union verb_opts, restore.create.m)
#define RESTORE(m) offsetof(union verb_opts, restore.m)
const struct opt restore_options[] = {
	{ "bundle", 'b', OPT_STRING, CREATE(bundle), "DIR", "where config.json is (default: the working directory)" },
	{ "image-path", 0, OPT_STRING, RESTORE(criu.image_path), "DIR", "what checkpoint has saved (default ./checkpoint)" },
	{ "work-path", 0, OPT_STRING, RESTORE(criu.work_path), "DIR", "where CRIU logs (default: the image path)" },
	{ "detach", 'd', OPT_FLAG, RESTORE(is_detached), NULL, "return when it runs" },
	{ "console-socket", 0, OPT_STRING, CREATE(console_socket), "PATH", "unix socket that is sent the terminal's master" },
	{ "pid-file", 0, OPT_STRING, CREATE(pid_file), "PATH", "write the first process's pid there" },
	{ "no-subreaper", 0, OPT_FLAG, RESTORE(no_subreaper), NULL, "leave orphans of the container to the host's init" },
	{ "no-pivot", 0, OPT_FLAG, CREATE(no_pivot), NULL, "refused: CRIU knows no other way into the root" },
	{ "tcp-established", 0, OPT_FLAG, RESTORE(criu.tcp_established), NULL, "restore open TCP connections too" },
	{ "ext-unix-sk", 0, OPT_FLAG, RESTORE(criu.ext_unix_sk), NULL, "allow unix sockets whose other end is outside" },
	{ "shell-job", 0, OPT_FLAG, RESTORE(criu.shell_job), NULL, "allow a session and a terminal from outside" },
	{ "file-locks", 0, OPT_FLAG, RESTORE(criu.file_locks), NULL, "restore file locks" },
	{ "manage-cgroups-mode", 0, OPT_STRING, RESTORE(criu.cgroups_mode), "MODE", "soft (default), full, strict or ignore" },
	{ "empty-ns", 0, OPT_LIST, RESTORE(criu.empty_ns), "NAMESPACE", "network: restore nothing of what was in it" },
	{ "auto-dedup", 0, OPT_FLAG, RESTORE(criu.auto_dedup), NULL, "free memory in the images once it is restored" },
	{ "lazy-pages", 0, OPT_FLAG, RESTORE(criu.lazy_pages), NULL, "let `criu lazy-pages` bring memory when it is touched" },
	{ "lsm-profile", 0, OPT_STRING, RESTORE(criu.lsm_profile), "TYPE:NAME", "another profile of the security module" },
	{ "lsm-mount-context", 0, OPT_STRING, RESTORE(criu.lsm_mount_context), "LABEL", "another SELinux context of the mounts" },
	{ NULL },
};

struct restoring {
	struct job job;
	const struct criu_opts *o;
	struct criu_dirs dirs;
	struct cgroup *cgroup;
	int ns_fds[CRIU_FDS_MAX];
	size_t n_ns_fds;
	struct buf request; /* criu_opts, as it is put together */
	bool had_hooks;
	struct made made;
};

/* ---- the request ---- */

/* A line of /proc/PID/cgroup: "4:memory:/path", "0::/path". */
static void put_cgroup_line(struct buf *b, char *line)
{
	char *ctrl = strchr(line, ':'), *path = ctrl ? strchr(ctrl + 1, ':') : NULL;

	if (!path)
		return;
	*path = '\0';
	criu_put_pair(b, CRIU_CG_ROOT, ctrl + 1, path + 1);
}

/* The container's cgroups are now where CRIU is, whatever they were called before. */
static int put_cgroups(struct buf *b, pid_t criu, struct err *e)
{
	_cleanup_strv_ char **lines = NULL;
	int r = criu_proc_lines(criu, "cgroup", &lines, e);

	if (r < 0)
		return r;
	for (char **l = lines; *l; l++)
		put_cgroup_line(b, *l);
	return 0;
}

static char *root_path(const struct restoring *x) { return str_fmt("%s/%s/" ROOT_DIR, x->job.rt->root, x->job.held.rec.id); }

static int put_request(struct restoring *x, struct buf *b, struct err *e)
{
	const struct spec *s = &x->job.bundle.spec;
	_cleanup_free_ char *root = root_path(x);
	_cleanup_fd_ int rootfd = open(x->job.held.rec.rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (rootfd < 0 || !root)
		return err_set(e, rootfd < 0 ? errno : ENOMEM, "%s: %s", x->job.held.rec.rootfs,
			       strerror(rootfd < 0 ? errno : ENOMEM));
	criu_put_options(b, x->o);
	pb_put_int(b, CRIU_IMAGES_DIR_FD, x->dirs.images);
	pb_put_int(b, CRIU_WORK_DIR_FD, x->dirs.work);
	pb_put_str(b, CRIU_LOG_FILE, LOG);
	pb_put_bool(b, CRIU_EVASIVE_DEVICES, true);
	pb_put_bool(b, CRIU_RST_SIBLING, true);
	pb_put_str(b, CRIU_ROOT, root);
	criu_put_config_file(b, &s->annotations);
	r = criu_put_words(b, x->o, e);
	if (r == 0)
		r = criu_put_nodes(b, s, 0, CRIU_RESTORES, e);
	if (r == 0)
		r = criu_put_namespaces(b, s, 0, CRIU_RESTORES, x->ns_fds, &x->n_ns_fds, e);
	return r < 0 ? r : criu_put_mounts(b, s, rootfd, x->job.bundle_dir, 0, CRIU_RESTORES, e);
}

/* ---- CRIU's mount namespace ---- */

struct way_back {
	int ns, root, cwd;
};

static int come_back(struct way_back *w, struct err *e)
{
	int r = setns(w->ns, CLONE_NEWNS) < 0 || fchdir(w->root) < 0 || chroot(".") < 0 || fchdir(w->cwd) < 0 ? -errno : 0;

	fd_close(w->ns);
	fd_close(w->root);
	fd_close(w->cwd);
	return r < 0 ? err_set(e, -r, "return to the host's mount namespace: %s", strerror(-r)) : 0;
}

/* A new root: what CRIU will mount on needs a place in it. */
static int bind_root(const struct restoring *x, struct err *e)
{
	_cleanup_free_ char *at = root_path(x);
	const char *rootfs = x->job.held.rec.rootfs;

	if (!at)
		return err_set(e, ENOMEM, "out of memory");
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return err_set(e, errno, "mount namespace of CRIU: %s", strerror(errno));
	if (mount(rootfs, at, NULL, MS_BIND | MS_REC, NULL) < 0 || mount(NULL, at, NULL, MS_PRIVATE | MS_REC, NULL) < 0)
		return err_set(e, errno, "bind %s for CRIU: %s", rootfs, strerror(errno));
	return 0;
}

static int start_criu(struct restoring *x, struct criu *c, struct err *e)
{
	const struct criu_start s = {
		.program = x->job.rt->criu, .has_container_stdio = true, .fds = x->ns_fds, .n_fds = x->n_ns_fds
	};
	struct way_back w = { .ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC),
			      .root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
			      .cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	int r, back;

	if (w.ns < 0 || w.root < 0 || w.cwd < 0 || unshare(CLONE_NEWNS) < 0) {
		r = err_set(e, errno, "mount namespace of CRIU: %s", strerror(errno));
		fd_close(w.ns);
		fd_close(w.root);
		fd_close(w.cwd);
		return r;
	}
	r = bind_root(x, e);
	if (r == 0)
		r = criu_dirs_reopen(&x->dirs, e);
	if (r == 0)
		r = criu_start(&s, c, e);
	back = come_back(&w, r < 0 ? NULL : e);
	return r < 0 ? r : back;
}

/* ---- what CRIU comes to ---- */

static int keep_console(struct restoring *x, int fd, struct err *e)
{
	if (x->job.console_socket)
		return console_send(x->job.console_socket, fd, e);
	fd_close(x->made.console);
	x->made.console = fd;
	return 0;
}

/* They run only once this is answered, and not at all where it fails. */
static int note_process(struct restoring *x, pid_t pid, struct err *e)
{
	x->made.pidfd = pidfd_open_(pid);
	if (x->made.pidfd < 0)
		return err_set(e, -x->made.pidfd, "restored process %d: %s", (int)pid, strerror(-x->made.pidfd));
	x->made.pid = pid;
	return job_record_process(&x->job, pid, STATUS_RUNNING, e);
}

static int run_hooks(struct restoring *x, pid_t pid, struct err *e)
{
	const struct container_args *a = &x->job.bundle.args;
	int r;

	x->had_hooks = true;
	r = hooks_run(a, HOOK_PRESTART, "created", pid, e);
	return r < 0 ? r : hooks_run(a, HOOK_CREATE_RUNTIME, "creating", pid, e);
}

static int on_notify(void *arg, const char *script, pid_t pid, int fd, struct err *e)
{
	struct restoring *x = arg;

	if (streq(script, "orphan-pts-master") && fd >= 0)
		return keep_console(x, fd, e);
	fd_close(fd);
	if (streq(script, "setup-namespaces"))
		return run_hooks(x, pid, e);
	return streq(script, "post-restore") ? note_process(x, pid, e) : 0;
}

/* ---- the deed ---- */

/* Whoever was started with a NOTIFY_SOCKET has our directory among its mounts, whether anybody waits for its word now or not. It
 * has our socket there again, which one that has kept it open is connected to anew (--ext-unix-sk). */
static int lend_notify(struct restoring *x, struct err *e)
{
	struct job *j = &x->job;
	int r;

	if (notify_is_configured(&j->bundle.spec) || !criu_had_mount(x->dirs.images, NOTIFY_INSIDE))
		return 0;
	r = notify_lend(j->rt, &j->held, &j->bundle.spec, e);
	return r < 0 ? r : notify_listen(&j->held, &x->made.notify, e);
}

/* With CRIU in it from the first, as systemd wants a scope to have a process. */
static int make_cgroup(struct restoring *x, pid_t criu, struct err *e)
{
	const struct container_args *a = &x->job.bundle.args;
	const struct spec *s = a->spec;
	int r = a->no_cgroup || !a->make_scope ? 0 : a->make_scope(criu, a->make_scope_arg, e);

	if (r < 0 || a->no_cgroup)
		return r;
	r = cgroup_create_everywhere(a->host, s->cgroups_path, &s->resources, &x->cgroup, e);
	return r < 0 ? r : cgroup_attach(x->cgroup, criu, e);
}

static int ask(struct restoring *x, struct criu *c, struct buf *b, struct err *e)
{
	const struct criu_listener l = { .heard = on_notify, .arg = x };
	const struct host *host = &x->job.bundle.host;
	struct cgroup_root root;
	struct err ignored = { 0 };
	int r = put_cgroups(b, c->pid, e);

	if (r < 0)
		return r;
	unlinkat(x->dirs.work, LOG, 0); /* an earlier one's would be quoted */
	cgroup_root_keep(host, &root);
	r = criu_ask(c, CRIU_RESTORE, b, &l, e);
	if (cgroup_root_give_back(host, &root, &ignored) < 0)
		log_warn("restore", "%s", ignored.msg);
	if (r == 0 && x->made.pid <= 0)
		r = err_set(e, EPROTO, "criu: it does not say which process it has made");
	if (r == -EIO || r == -EPIPE)
		criu_explain(x->job.rt->criu, x->dirs.work, LOG, e);
	return r < 0 ? err_push(e, r, "restore of %s (%s/" LOG ")", x->job.held.rec.id, x->dirs.work_path) : 0;
}

static int restore(struct restoring *x, struct err *e)
{
	struct job *j = &x->job;
	struct criu c = CRIU_NONE;
	_cleanup_fd_ int rootfd = -1;
	int r = job_record(j, e);

	j->bundle.args.id = j->held.rec.id;
	if (r < 0)
		return r;
	rootfd = open(j->held.rec.rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return err_set(e, errno, "root.path %s: %s", j->held.rec.rootfs, strerror(errno));
	r = lend_notify(x, e);
	if (r == 0)
		r = container_make_targets(&j->bundle.spec, rootfd, j->bundle_dir, e);
	if (r == 0 && mkdirat(j->held.dirfd, ROOT_DIR, 0700) < 0)
		r = err_set(e, errno, ROOT_DIR ": %s", strerror(errno));
	if (r == 0)
		r = put_request(x, &x->request, e);
	if (r == 0)
		r = start_criu(x, &c, e);
	if (r == 0)
		r = make_cgroup(x, c.pid, e);
	if (r == 0)
		r = ask(x, &c, &x->request, e);
	criu_end(&c, r < 0);
	unlinkat(j->held.dirfd, ROOT_DIR, AT_REMOVEDIR);
	return r < 0 ? r : pid_file_write(j->pid_file, x->made.pid, e);
}

/* In create's order: the processes, the cgroup, what hooks have made, the record. */
static void undo(struct restoring *x)
{
	struct job *j = &x->job;
	struct err ignored = { 0 };
	int status;

	if (x->made.pidfd >= 0 && pidfd_kill(x->made.pidfd, SIGKILL) == 0)
		spawn_wait(x->made.pid, &status);
	if (x->cgroup && cgroup_remove(TAKE_PTR(x->cgroup), &ignored) < 0)
		log_debug("restore", "%s", ignored.msg);
	if (x->had_hooks && hooks_run(&j->bundle.args, HOOK_POSTSTOP, "stopped", 0, &ignored) < 0)
		log_debug("restore", "%s", ignored.msg);
	made_done(&x->made);
	job_undo(j);
}

static int check_restorable(const struct restoring *x, struct err *e)
{
	if (x->job.rt->is_rootless)
		return err_set(e, EPERM, "restore: CRIU needs root's rights");
	if (x->job.o->no_pivot)
		return err_set(e, ENOTSUP, "restore: --no-pivot: CRIU enters the root by pivot_root only");
	return 0;
}

static int container_restore(struct runtime *rt, const struct restore_opts *o, const char *id, struct made *ret, struct err *e)
{
	struct restoring x = {
		.job = { .rt = rt, .o = &o->create, .is_detached = o->is_detached, .starts = true, .held = HELD_NONE },
		.o = &o->criu,
		.dirs = CRIU_DIRS_NONE,
		.made = MADE_NONE
	};
	int r = id_check(id, e);

	spec_init(&x.job.bundle.spec);
	if (r == 0)
		r = check_restorable(&x, e);
	if (r == 0) /* before the bundle's directory becomes the working one */
		r = criu_dirs_open(x.o, false, &x.dirs, e);
	if (r == 0 && (r = criu_stdio_restore(&x.request, x.dirs.images, e)) < 0)
		err_push(e, r, "--image-path %s", x.dirs.images_path);
	if (r == 0)
		r = job_read_bundle(&x.job, e);
	if (r == 0)
		r = criu_check_spec(&x.job.bundle.spec, e);
	if (r == 0)
		r = job_claim(&x.job, id, e);
	if (r == 0 && (r = restore(&x, e)) < 0)
		undo(&x);
	else if (r == 0 && !o->is_detached)
		r = job_keep_record(&x.job, &x.made, e);
	if (r == 0)
		*ret = x.made;
	cgroup_free(x.cgroup);
	for (size_t i = 0; i < x.n_ns_fds; i++)
		fd_close(x.ns_fds[i]);
	buf_done(&x.request);
	criu_dirs_done(&x.dirs);
	job_done(&x.job);
	return r;
}

int verb_restore(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	const struct restore_opts *o = &opts->restore;
	const char *id = rt->operands[0];
	struct made m = MADE_NONE;
	sigset_t before;
	int r = 0;

	if (!o->is_detached)
		r = foreground_begin(!o->no_subreaper, &before, e);
	if (r == 0)
		r = notify_check(e);
	if (r == 0)
		r = container_restore(rt, o, id, &m, e);
	/* What it had to say of its readiness it may have said before it was saved: it works, so the service does. */
	if (r == 0 && notify_is_wanted())
		notify_host(o->is_detached ? m.pid : getpid(), o->is_detached);
	if (r == 0 && !o->is_detached)
		r = container_attend(rt, false, &m, &before, e);
	made_done(&m);
	return r;
}
