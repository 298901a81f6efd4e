/* checkpoint: the processes of a running container, saved by CRIU into a directory of images. They end with it, and the container is
 * deleted, unless they are to go on; a checkpoint that fails leaves them running. */
#include <unistd.h>

#include "criu.h"
#include "bundle.h"
#include "make.h"
#include "notify.h"

#define LOG "dump.log"

#define OPT(m) offsetof(union verb_opts, checkpoint.m)
const struct opt checkpoint_options[] = {
	{ "image-path", 0, OPT_STRING, OPT(image_path), "DIR", "where to save (default ./checkpoint)" },
	{ "work-path", 0, OPT_STRING, OPT(work_path), "DIR", "where CRIU logs (default: the image path)" },
	{ "parent-path", 0, OPT_STRING, OPT(parent_path), "DIR",
	  "an earlier --pre-dump, relative to the image path: memory since then is saved" },
	{ "leave-running", 0, OPT_FLAG, OPT(leaves_running), NULL, "let the container go on afterwards" },
	{ "pre-dump", 0, OPT_FLAG, OPT(pre_dump), NULL, "save memory only, and let the container go on" },
	{ "tcp-established", 0, OPT_FLAG, OPT(tcp_established), NULL, "save open TCP connections too" },
	{ "tcp-skip-in-flight", 0, OPT_FLAG, OPT(tcp_skip_in_flight), NULL, "leave out connections that are still being made" },
	{ "ext-unix-sk", 0, OPT_FLAG, OPT(ext_unix_sk), NULL, "allow unix sockets whose other end is outside" },
	{ "shell-job", 0, OPT_FLAG, OPT(shell_job), NULL, "allow a session and a terminal from outside" },
	{ "file-locks", 0, OPT_FLAG, OPT(file_locks), NULL, "save file locks, of which nobody outside may have one" },
	{ "link-remap", 0, OPT_FLAG, OPT(link_remap), NULL, "give open files without a name one for the while" },
	{ "manage-cgroups-mode", 0, OPT_STRING, OPT(cgroups_mode), "MODE", "soft (default), full, strict or ignore" },
	{ "empty-ns", 0, OPT_LIST, OPT(empty_ns), "NAMESPACE", "network: save nothing of what is in it" },
	{ "auto-dedup", 0, OPT_FLAG, OPT(auto_dedup), NULL, "free memory in the parent's images that is saved anew" },
	{ "page-server", 0, OPT_STRING, OPT(page_server), "ADDRESS:PORT", "send memory to a `criu page-server`" },
	{ "lazy-pages", 0, OPT_FLAG, OPT(lazy_pages), NULL,
	  "keep memory here, and serve it when restored, at --page-server's port" },
	{ "status-fd", 0, OPT_STRING, OPT(status_fd), "FD", "with --lazy-pages: is written a NUL once memory is served" },
	{ NULL },
};

struct dump {
	struct runtime *rt;
	const struct criu_opts *o;
	struct held *held;
	struct bundle *bundle;
	struct criu_dirs dirs;
	int status_fd;
};

static int check_dumpable(const struct dump *d, struct err *e)
{
	enum status st = record_status(d->held, &d->bundle->host);

	if (st != STATUS_RUNNING && st != STATUS_PAUSED)
		return err_set(e, EINVAL, "a container can't be checkpointed in the %s state: %s", status_names[st],
			       d->held->rec.id);
	return criu_check_spec(&d->bundle->spec, e);
}

static int read_status_fd(struct dump *d, struct err *e)
{
	uint64_t fd;
	int flags;

	if (!d->o->status_fd)
		return 0;
	flags = str_to_u64(d->o->status_fd, &fd) < 0 || fd > INT_MAX ? -1 : fcntl((int)fd, F_GETFL);
	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
		return err_set(e, EBADF, "--status-fd %s: is not open for writing", d->o->status_fd);
	d->status_fd = (int)fd;
	return 0;
}

static int put_request(const struct dump *d, const struct cgroup *cg, struct buf *b, struct err *e)
{
	const struct record *rec = &d->held->rec;
	const struct spec *s = &d->bundle->spec;
	_cleanup_fd_ int rootfd = -1;
	int r;

	criu_put_options(b, d->o);
	pb_put_int(b, CRIU_IMAGES_DIR_FD, d->dirs.images);
	pb_put_int(b, CRIU_WORK_DIR_FD, d->dirs.work);
	pb_put_str(b, CRIU_LOG_FILE, LOG);
	pb_put_int(b, CRIU_PID, rec->pid);
	criu_put_config_file(b, &s->annotations);
	if (cg && cgroup_freezer_dir(cg))
		pb_put_str(b, CRIU_FREEZE_CGROUP, cgroup_freezer_dir(cg));
	r = criu_put_words(b, d->o, e);
	if (r == 0)
		r = criu_put_namespaces(b, s, (pid_t)rec->pid, CRIU_SAVES, NULL, NULL, e);
	if (r < 0 || d->o->pre_dump)
		return r;
	rootfd = open(rec->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return err_set(e, errno, "%s: %s", rec->rootfs, strerror(errno));
	pb_put_str(b, CRIU_ROOT, rec->rootfs);
	r = criu_stdio_save(b, rec->stdio, (pid_t)rec->pid, d->dirs.images, e);
	if (r < 0)
		return err_push(e, r, "%s", d->dirs.images_path);
	r = criu_put_nodes(b, s, (pid_t)rec->pid, CRIU_SAVES, e);
	if (r == 0 && (r = notify_is_lent(d->held)) < 0)
		err_set(e, -r, "what is lent to %s: %s", rec->id, strerror(-r));
	if (r > 0)
		r = notify_add_mount(d->rt, d->held, &d->bundle->spec, e);
	return r < 0 ? r : criu_put_mounts(b, s, rootfd, rec->bundle, (pid_t)rec->pid, CRIU_SAVES, e);
}

static int on_notify(void *arg, const char *script, pid_t pid, int fd, struct err *e)
{
	struct dump *d = arg;

	(void)pid;
	fd_close(fd);
	if (!streq(script, "status-ready") || d->status_fd < 0)
		return 0;
	if (write(d->status_fd, "", 1) != 1)
		return err_set(e, errno, "--status-fd: %s", strerror(errno));
	d->status_fd = fd_close(d->status_fd);
	return 0;
}

static int ask(struct dump *d, struct cgroup *cg, struct err *e)
{
	const struct criu_listener l = { .heard = on_notify, .arg = d };
	const struct criu_start s = { .program = d->rt->criu };
	struct criu c = CRIU_NONE;
	_cleanup_buf_ struct buf b = { 0 };
	struct cgroup_root root;
	struct err ignored = { 0 };
	bool was_frozen = cg && cgroup_is_frozen(cg);
	int r = put_request(d, cg, &b, e);

	if (r == 0)
		r = criu_start(&s, &c, e);
	if (r < 0)
		return r;
	unlinkat(d->dirs.work, LOG, 0); /* an earlier one's would be quoted */
	cgroup_root_keep(&d->bundle->host, &root);
	r = criu_ask(&c, d->o->pre_dump ? CRIU_PRE_DUMP : CRIU_DUMP, &b, &l, e);
	criu_end(&c, false);
	if (cgroup_root_give_back(&d->bundle->host, &root, &ignored) < 0)
		log_warn("checkpoint", "%s", ignored.msg);
	if (r == 0)
		return 0;
	/* One that was killed midway has left it so. */
	if (cg && !was_frozen && cgroup_is_frozen(cg))
		cgroup_freeze(cg, false, NULL);
	criu_explain(d->rt->criu, d->dirs.work, LOG, e);
	return err_push(e, r, "checkpoint of %s (%s/" LOG ")", d->held->rec.id, d->dirs.work_path);
}

static int dump_held(struct dump *d, struct err *e)
{
	struct cgroup *cg = NULL;
	int r = check_dumpable(d, e);

	if (r == 0)
		r = read_status_fd(d, e);
	if (r == 0)
		r = criu_dirs_open(d->o, true, &d->dirs, e);
	if (r < 0)
		return r;
	r = record_cgroup(&d->held->rec, &d->bundle->host, &cg, e);
	if (r == 0 || r == -ENOENT)
		r = ask(d, cg, e);
	cgroup_free(cg);
	return r;
}

int verb_checkpoint(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	struct held h = HELD_NONE;
	struct bundle b = { 0 };
	struct dump d = { .rt = rt, .o = &opts->checkpoint, .held = &h, .bundle = &b, .dirs = CRIU_DIRS_NONE, .status_fd = -1 };
	const char *id = rt->operands[0];
	int r;

	if (rt->is_rootless)
		return err_set(e, EPERM, "checkpoint: CRIU needs root's rights");
	r = record_open(rt, id, LOCKED, &h, e);
	if (r < 0)
		return r;
	r = bundle_load(h.dirfd, &b, e);
	if (r == 0)
		r = dump_held(&d, e);
	criu_dirs_done(&d.dirs);
	bundle_done(&b);
	held_done(&h);
	/* Its processes are gone; somebody else may be quicker. */
	return r == 0 && !d.o->leaves_running && !d.o->pre_dump ? container_delete(rt, id, true, e) : r;
}
