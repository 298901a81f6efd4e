/* vm_storage: qcow2 images of a user's for a guest on berth-vmm, which knows raw disks only. QEMU's own storage daemon opens them; to the VMM
 * each is a file of the disk's size, of a FUSE file system with this one file, and its code for raw disks is all that it needs:
 *
 *   monitor   /dev/fuse is opened, the file system is made of it (fsopen, fsmount) and attached nowhere: no mount of it is in any
 *             namespace, and with the last descriptor it is gone, whoever is killed and whenever
 *   daemon    in a jail like QEMU's (vm_jail.c): it sees its program and libraries, and the images, each as a mount of that one file; the
 *             FUSE descriptors are handed to it. libfuse takes "/dev/fd/N" as a mount point for "N is mounted already"
 *             (fuse_session_mount, 3.3); QEMU wants a regular file of that name, which the jail has
 *   VMM       gets the file, open
 *
 * fsync comes to the daemon as FUSE_FSYNC, and flushes the image (QEMU's block/export/fuse.c). Punched holes it takes for hints: only whole
 * clusters become zeroes, as of 7.2 (blk_pdiscard); hence the plan's holes_are_hints.
 *
 * What it is held by: the jail's user, which is its own, namespaces, limits; the filter that containers have; no network. The one capability
 * is CAP_DAC_OVERRIDE, by which it opens the images, which are root's as a rule and which it can be given by name only; beyond them
 * there is nothing for it in its root but /usr. The locks on the images are QEMU's own. */
#include <linux/capability.h>
#include <linux/mount.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "vm_impl.h"
#include "vm_jail.h"

#define PROGRAM     "qemu-storage-daemon"
#define STORAGE_DIR "storage"
#define START_MS    30000 /* until it has opened the images */
/* Where its descriptors are. */
enum { FD_ERR = 2, FD_QMP, FD_FUSE };
#define SAID_MAX 1024

/* ---- the file systems ---- */

/* *ret_dev: what the daemon answers on; *ret_mount: its root, which is the file. */
static int make_file_system(const struct launch_disk *d, int *ret_dev, int *ret_mount, struct err *e)
{
	_cleanup_fd_ int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC), fs = -1;
	char number[16];

	if (dev < 0)
		return err_set(e, errno, "disk %s: a qcow2 image needs FUSE, and /dev/fuse: %s (modprobe fuse)", d->path,
			       strerror(errno));
	fs = fsopen("fuse", FSOPEN_CLOEXEC);
	if (fs < 0)
		return err_set(e, errno, "disk %s: a qcow2 image needs FUSE: %s (modprobe fuse)", d->path, strerror(errno));
	snprintf(number, sizeof(number), "%d", dev);
	const struct {
		const char *key, *value; /* NULL: a flag */
	} rows[] = { { "source", "berth-storage" },
		     { "fd", number },
		     { "rootmode", "100000" }, /* octal: a regular file */
		     { "user_id", "0" },
		     { "group_id", "0" },
		     { "allow_other", NULL }, /* the VMM is a user of its own */
		     { "max_read", "67108864" } /* as QEMU says in FUSE_INIT; the kernel's own bound is lower */ };
	for (size_t k = 0; k < ARRAY_SIZE(rows); k++)
		if (fsconfig(fs, rows[k].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, rows[k].key, rows[k].value, 0) < 0)
			return err_set(e, errno, "disk %s: FUSE: %s: %s", d->path, rows[k].key, strerror(errno));
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_set(e, errno, "disk %s: FUSE: %s", d->path, strerror(errno));
	*ret_mount = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (*ret_mount < 0)
		return err_set(e, errno, "disk %s: FUSE: %s", d->path, strerror(errno));
	*ret_dev = TAKE_FD(dev);
	return 0;
}

/* The image and nothing else of its file system; the daemon's locks are to be the only ones from here on. */
static int make_tree(const struct vm_storage_disk *disk, int *ret, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
					       (disk->given->is_readonly ? MOUNT_ATTR_RDONLY : 0) };
	struct flock none = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	int tree = open_tree(disk->fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ||
	    fcntl(disk->fd, F_OFD_SETLK, &none) < 0) {
		int no = errno;
		fd_close(tree);
		return err_set(e, no, "disk %s: %s", disk->given->path, strerror(no));
	}
	*ret = tree;
	return 0;
}

/* ---- its command line ---- */

static void set(struct json_object *o, const char *key, struct json_object *v) { json_object_object_add(o, key, v); }

static int add_image(char ***v, const struct launch_disk *d, size_t k)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *file = json_object_new_object();
	_cleanup_free_ char *node = str_fmt("disk%zu", k), *path = str_fmt("/disk%zu", k);
	int r;

	if (!node || !path) {
		json_object_put(file);
		return -ENOMEM;
	}
	set(file, "driver", json_object_new_string("file"));
	set(file, "filename", json_object_new_string(path));
	set(file, "read-only", json_object_new_boolean(d->is_readonly));
	set(file, "discard", json_object_new_string("unmap"));
	set(file, "locking", json_object_new_string("on")); /* or an error: nobody else has the lock by now */
	set(o, "driver", json_object_new_string("qcow2"));
	set(o, "node-name", json_object_new_string(node));
	set(o, "read-only", json_object_new_boolean(d->is_readonly));
	set(o, "discard", json_object_new_string("unmap"));
	set(o, "backing", NULL); /* none, whatever the image says */
	set(o, "file", file);
	r = strv_push_option(v, "--blockdev", strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN)));
	return r < 0 ? r
		     : strv_push_option(v, "--export",
					str_fmt("type=fuse,id=export%zu,node-name=%s,mountpoint=/dev/fd/"
						"%zu,writable=%s,growable=off,allow-other=off",
						k, node, FD_FUSE + k, d->is_readonly ? "off" : "on"));
}

char **vm_storage_args(const char *program, const struct vm_storage_disk *disks, size_t n)
{
	_cleanup_strv_ char **v = NULL;
	int r = strv_push(&v, program);

	for (size_t k = 0; k < n && r >= 0; k++)
		r = add_image(&v, disks[k].given, k);
	/* Last: its greeting says that all before has been done. */
	if (r >= 0)
		r = strv_push_option(&v, "--chardev", str_fmt("socket,id=qmp,fd=%d", FD_QMP));
	if (r >= 0)
		r = strv_push_option(&v, "--monitor", strdup("chardev=qmp,mode=control"));
	return r < 0 ? NULL : TAKE_PTR(v);
}

/* ---- its start ---- */

struct files {
	int dev[VM_GIVEN_MAX], mount[VM_GIVEN_MAX], tree[VM_GIVEN_MAX];
	int qmp, qmp_theirs, said_theirs, null, null_tree;
};

static void files_init(struct files *f)
{
	for (size_t k = 0; k < VM_GIVEN_MAX; k++)
		f->dev[k] = f->mount[k] = f->tree[k] = -1;
	f->qmp = f->qmp_theirs = f->said_theirs = f->null = f->null_tree = -1;
}

/* What is the daemon's: with our copies closed its end is seen, by us and in the file system. */
static void close_theirs(struct files *f)
{
	for (size_t k = 0; k < VM_GIVEN_MAX; k++) {
		f->dev[k] = fd_close(f->dev[k]);
		f->tree[k] = fd_close(f->tree[k]);
	}
	f->qmp_theirs = fd_close(f->qmp_theirs);
	f->said_theirs = fd_close(f->said_theirs);
	f->null = fd_close(f->null);
	f->null_tree = fd_close(f->null_tree);
}

static void files_done(struct files *f)
{
	close_theirs(f);
	for (size_t k = 0; k < VM_GIVEN_MAX; k++)
		fd_close(f->mount[k]);
	fd_close(f->qmp);
}

static int make_files(struct instance *i, const struct vm_storage_disk *disks, size_t n, struct files *f, struct err *e)
{
	int p[2], sv[2], r = 0;

	for (size_t k = 0; k < n && r >= 0; k++) {
		r = make_file_system(disks[k].given, &f->dev[k], &f->mount[k], e);
		if (r >= 0)
			r = make_tree(&disks[k], &f->tree[k], e);
	}
	if (r < 0)
		return r;
	f->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	f->null_tree = open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (f->null < 0 || f->null_tree < 0)
		return err_set(e, errno, "/dev/null: %s", strerror(errno));
	/* Without waiting, also on its side: it must not stand still because nobody reads its complaints. */
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	i->storage.said = p[0];
	f->said_theirs = p[1];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return err_set(e, errno, "socketpair: %s", strerror(errno));
	f->qmp = sv[0];
	f->qmp_theirs = sv[1];
	return 0;
}

static int spawn(struct instance *i, const struct vm_storage_disk *disks, size_t n, const struct files *f, struct err *e)
{
	const struct launch *l = i->cfg.launch;
	_cleanup_free_ char *found = spawn_find(PROGRAM), *program = found ? realpath(found, NULL) : NULL,
			    *dir = str_fmt("%s/" STORAGE_DIR, i->cfg.rundir),
			    *label = str_fmt("%s/containers/%s", i->cfg.paths->root, l->id);
	_cleanup_(seccomp_prog_done) struct seccomp_prog filter = { NULL };
	_cleanup_strv_ char **argv = NULL, **names = NULL;
	struct vm_jail_file files[2 * VM_GIVEN_MAX + 1];
	int fds[VM_JAIL_FDS][2] = { { f->null, 0 }, { f->null, 1 }, { f->said_theirs, FD_ERR }, { f->qmp_theirs, FD_QMP } }, r;
	char *env[] = { NULL };
	uint64_t file_max = 0;
	uid_t uid;

	if (!program)
		return err_set(e, ENOENT, "disk %s: a qcow2 image needs " PROGRAM ": install qemu-system-common",
			       disks[0].given->path);
	for (size_t k = 0; k < n; k++) {
		char *disk = str_fmt("disk%zu", k), *place = str_fmt("dev/fd/%zu", FD_FUSE + k);

		if ((r = strv_push_take(&names, disk)) < 0 || (r = strv_push_take(&names, place)) < 0)
			return err_set(e, ENOMEM, "out of memory");
		files[2 * k] = (struct vm_jail_file){ f->tree[k], disk };
		files[2 * k + 1] = (struct vm_jail_file){ -1, place };
		fds[4 + k][0] = f->dev[k];
		fds[4 + k][1] = FD_FUSE + (int)k;
		file_max = MAX(file_max, disks[k].file_max);
	}
	files[2 * n] = (struct vm_jail_file){ f->null_tree, "dev/null" }; /* by which QEMU finds out whether there are locks */
	argv = vm_storage_args(program, disks, n);
	if (!argv || !dir || !label)
		return err_set(e, ENOMEM, "out of memory");
	if (mkdirat(i->cfg.rundirfd, STORAGE_DIR, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	r = container_seccomp_get_default(0, l->seccomp_cache, &filter, e);
	if (r >= 0)
		r = vm_jail_uid(l->id, VM_JAIL_STORAGE, &uid, e);
	if (r < 0)
		return r;
	const struct vm_jail j = { .dir = dir,
				   .label = label,
				   .files = files,
				   .n_files = 2 * n + 1,
				   .uid = uid,
				   .procs_max = i->cg ? 0 : VM_PROCS_MAX,
				   .caps = 1ull << CAP_DAC_OVERRIDE,
				   .seccomp = &filter,
				   .file_max = file_max,
				   .argv = argv,
				   .env = env,
				   .fds = fds,
				   .n_fds = 4 + n };
	r = vm_jail_start(&j, &i->storage.pid, &i->storage.pidfd, e);
	return r < 0 ? r : vm_cgroup_attach(i->cg, i->storage.pid, e);
}

/* The first line of its standard error, for who may say it on: within ret. */
static const char *said(struct instance *i, char ret[SAID_MAX])
{
	ssize_t n = read(i->storage.said, ret, SAID_MAX - 1);
	const char *text;

	ret[MAX(n, 0)] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	text = str_after(ret, PROGRAM ": ");
	return text ?: ret;
}

/* QMP's greeting, or its end. */
static int wait_for_it(struct instance *i, const struct vm_storage_disk *disks, size_t n, int qmp, struct err *e)
{
	struct pollfd p = { .fd = qmp, .events = POLLIN };
	char text[SAID_MAX], c;
	int r = poll(&p, 1, START_MS);

	if (r == 0)
		return err_set(e, ETIMEDOUT, PROGRAM " has not opened its images within %d s", START_MS / 1000);
	if (r > 0 && read(qmp, &c, 1) == 1)
		return 0;
	(void)poll(&(struct pollfd){ .fd = i->storage.pidfd, .events = POLLIN }, 1, 1000); /* then all has been said */
	const char *why = said(i, text);
	return err_set(e, EIO, "disk %s%s: " PROGRAM ": %s", disks[0].given->path, n > 1 ? " (or one of the others)" : "",
		       *why ? why : "it ended without a reason");
}

int vm_storage_start(struct instance *i, struct vm_storage_disk *disks, size_t n, struct err *e)
{
	_cleanup_(files_done) struct files f;
	int r;

	files_init(&f);
	r = make_files(i, disks, n, &f, e);
	if (r >= 0)
		r = spawn(i, disks, n, &f, e);
	close_theirs(&f);
	if (r >= 0)
		r = wait_for_it(i, disks, n, f.qmp, e);
	for (size_t k = 0; k < n && r >= 0; k++) {
		char path[FD_PATH_LEN];

		/* Answered by its main loop, which has greeted; its death is an answer too (ENOTCONN). */
		int fd = open(fd_path(f.mount[k], path), (disks[k].given->is_readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
		if (fd < 0)
			r = err_set(e, errno, "disk %s: " PROGRAM "'s: %s", disks[k].given->path, strerror(errno));
		else
			i->storage.disks[i->storage.n++] = disks[k].fd = fd;
	}
	if (r < 0)
		vm_storage_end(i, 0);
	return r;
}

/* ---- its end ---- */

/* The guest goes on, with I/O errors on those disks. After the VMM, whose end it follows, it is no news. */
static void on_end(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;
	struct pollfd vmm = { .fd = i->vmm_pidfd, .events = POLLIN };
	char text[SAID_MAX];
	int st = 0;

	loop_del(i->storage.src);
	i->storage.src = NULL;
	if (waitpid(i->storage.pid, &st, 0) == i->storage.pid)
		i->storage.pid = 0;
	if (i->phase == VM_ENDED || poll(&vmm, 1, 0) == 1)
		return;
	const char *why = WIFSIGNALED(st) ? "" : said(i, text);
	log_error("vm",
		  PROGRAM " has ended (%s %d%s%s): the guest gets I/O errors on its qcow2 disks until it is started anew; "
			  "qemu-img check tells whether they are sound",
		  WIFSIGNALED(st) ? "signal" : "status", WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st), *why ? ": " : "", why);
}

int vm_storage_watch(struct instance *i, struct err *e)
{
	int r = i->storage.pid ? loop_add(i->cfg.loop, i->storage.pidfd, EPOLLIN, on_end, i, &i->storage.src) : 0;

	return r < 0 ? err_set(e, -r, "event loop: %s", strerror(-r)) : 0;
}

bool vm_storage_has_ended(const struct instance *i)
{
	struct pollfd p = { .fd = i->storage.pidfd, .events = POLLIN };

	return i->storage.pidfd >= 0 && (i->storage.pid == 0 || poll(&p, 1, 0) == 1);
}

void vm_storage_end(struct instance *i, int grace_ms)
{
	struct vm_storage *s = &i->storage;
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };

	loop_del(s->src);
	s->src = NULL;
	if (s->pid) {
		vm_cgroup_thaw(i); /* it stands still with its guest, which is gone */
		/* It is the first process of its namespace, and hears a signal from outside of it that it handles (pid_namespaces(7)). */
		if (grace_ms <= 0 || pidfd_kill(s->pidfd, SIGTERM) < 0 || poll(&p, 1, grace_ms) != 1) {
			if (grace_ms > 0)
				log_warn("vm", PROGRAM " did not close the images in time and was killed");
			(void)pidfd_kill(s->pidfd, SIGKILL);
		}
		waitpid(s->pid, NULL, 0);
		s->pid = 0;
	}
	while (s->n > 0) /* now without a wait */
		fd_close(s->disks[--s->n]);
	s->pidfd = fd_close(s->pidfd);
	s->said = fd_close(s->said);
}
