/* vm_process: the VMM as a process of the host: its cgroup, its descriptors, its end and what that meant. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm_impl.h"
#include "vmm.h"
#include "vm_jail.h"

#define SAID_MAX       4096
#define JAIL_DIR       "jail"
#define STORAGE_END_MS 10000 /* for the images to be closed */
#define DEATH_MS       5000  /* of a VMM that was killed */

uint64_t vm_workload_bytes(const struct launch *l) { return l->vm_mem_bytes ? l->vm_mem_bytes : 512 * MIB; }

uint64_t vm_ram_for(uint64_t workload)
{
	/* 1/64 for struct page, as much again for slabs that scale */
	uint64_t ram = workload + workload / 32 + VM_GUEST_OVERHEAD_BYTES;

	return (ram + 2 * MIB - 1) & ~(2 * MIB - 1);
}

bool vm_is_served(const struct instance *i, const struct vm_disk *d)
{
	return d->given && !i->backend->knows_qcow2 && streq(d->given->format, "qcow2");
}

uint64_t vm_ram_bytes(const struct launch *l) { return vm_ram_for(vm_workload_bytes(l)); }

uint64_t vm_room_bytes(const struct launch *l)
{
	uint64_t ram = vm_ram_bytes(l), most = MIN(vm_ram_for(MIN(l->vm_mem_max, VMM_MEM_MAX)), VMM_MEM_MAX), room;

	if (l->vm_mem_max <= vm_workload_bytes(l) || most <= ram)
		return 0;
	room = (most - ram + VMM_ROOM_UNIT - 1) & ~(VMM_ROOM_UNIT - 1);
	return MIN(room, MIN(VMM_ROOM_MAX, (VMM_MEM_MAX - ram) & ~(VMM_ROOM_UNIT - 1)));
}

/* Our end of a stream to the VMM; theirs is closed by the caller once it has started. */
static int make_stream(int *ours, int *theirs, struct err *e)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return err_set(e, errno, "socketpair: %s", strerror(errno));
	*ours = sv[0];
	*theirs = sv[1];
	return fd_nonblock(sv[0], true);
}

/* ---- what it says ---- */

static void on_console(struct loop *l _unused_, int fd, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;
	char chunk[8192];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n > 0) {
		vm_console_add(&i->console, chunk, (size_t)n);
	} else if (n == 0 || errno != EAGAIN) {
		loop_del(i->console_src);
		i->console_src = NULL;
	}
}

static void on_stderr(struct loop *l _unused_, int fd, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;
	char chunk[1024];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n > 0) {
		buf_add(&i->said, chunk, MIN((size_t)n, SAID_MAX - i->said.len));
	} else if (n == 0 || errno != EAGAIN) {
		loop_del(i->stderr_src);
		i->stderr_src = NULL;
	}
}

static void take_last_words(struct instance *i)
{
	while (i->console_src) {
		struct pollfd p = { .fd = i->console_fd, .events = POLLIN };

		if (poll(&p, 1, 0) != 1)
			break;
		on_console(NULL, i->console_fd, EPOLLIN, i);
	}
	while (i->stderr_src) {
		struct pollfd p = { .fd = i->stderr_fd, .events = POLLIN };

		if (poll(&p, 1, 0) != 1)
			break;
		on_stderr(NULL, i->stderr_fd, EPOLLIN, i);
	}
}

/* ---- its end ---- */

static bool host_oom(struct instance *i)
{
	struct cgroup_stats st = { 0 };
	struct err ignored;

	return i->cg && cgroup_stats(i->cg, &st, &ignored) >= 0 && st.oom_kills > 0;
}

static void explain(struct instance *i, int status, struct err *e)
{
	_cleanup_free_ char *text = NULL, *reason = NULL;

	take_last_words(i);
	vm_console_log(&i->console);
	text = vm_console_text(&i->console);
	reason = text ? vm_console_reason(text) : NULL;
	i->is_host_oom = !reason && host_oom(i);
	const struct vm_death d = { .status = status,
				    .guest_reason = reason,
				    .said = i->said.data,
				    .is_host_oom = i->is_host_oom,
				    .is_booting = i->phase == VM_BOOTING,
				    .has_kvm = i->has_kvm,
				    .backend = i->backend };
	vm_explain(&d, e);
	if (vm_storage_has_ended(i))
		(void)err_push(e, -e->no, "qemu-storage-daemon, which serves its qcow2 disks, has ended");
}

static void on_vmm_end(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;
	struct err e = { 0 };
	int st = 0;

	loop_del(i->vmm_src);
	i->vmm_src = NULL;
	if (i->vmm > 0 && waitpid(i->vmm, &st, 0) == i->vmm)
		i->vmm = -1;
	/* What it sent before it died is still to be read: the end of a task may be there. */
	if (i->has_link && !i->link.is_broken)
		link_take(&i->link);
	if (i->phase == VM_ENDED)
		return;
	explain(i, st, &e);
	vm_lost(i, &e);
}

/* A guest that runs goes on, with I/O errors on its volumes; one that is on its way would wait for them. After the VMM, whose end it follows, it
 * is no news. */
static void on_fsd_end(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct pollfd vmm = { .fd = ((struct instance *)arg)->vmm_pidfd, .events = POLLIN };
	struct instance *i = arg;
	struct err e = { 0 };
	int st = 0;

	loop_del(i->fsd_src);
	i->fsd_src = NULL;
	if (i->fsd > 0 && waitpid(i->fsd, &st, 0) == i->fsd)
		i->fsd = -1;
	/* Status 0: its end of the socket to the VMM was closed, which is the VMM's end. */
	if (i->phase == VM_ENDED || (WIFEXITED(st) && WEXITSTATUS(st) == 0) || poll(&vmm, 1, 0) == 1)
		return;
	take_last_words(i);
	/* Who was killed has not said why. */
	const char *why = WIFSIGNALED(st) || !i->said.len ? "" : i->said.data;
	err_set(&e, EIO, "the server of the volumes has ended (%s %d%s%.*s)", WIFSIGNALED(st) ? "signal" : "status",
		WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st), *why ? ": " : "", (int)strcspn(why, "\n"), why);
	if (i->phase == VM_RUNNING)
		log_error("vm", "%s: the guest gets I/O errors on them until it is started anew", e.msg);
	else
		vm_lost(i, &e);
}

void vm_process_end(struct instance *i, int grace_ms)
{
	struct pollfd p = { .fd = i->vmm_pidfd, .events = POLLIN };

	loop_del(i->fsd_src);
	i->fsd_src = NULL;
	loop_del(i->vmm_src);
	i->vmm_src = NULL;
	if (i->vmm > 0) {
		if (grace_ms <= 0 || poll(&p, 1, grace_ms) != 1)
			pidfd_kill(i->vmm_pidfd, SIGKILL);
		vm_cgroup_thaw(i);
		/* Who waits for an answer of the daemon's file system can't die before it has one, or the daemon has ended. */
		if (i->storage.pid && poll(&p, 1, DEATH_MS) != 1) {
			if (!vm_storage_has_ended(i))
				log_warn("vm", "qemu-storage-daemon does not answer and is killed");
			vm_storage_end(i, 0);
		}
		waitpid(i->vmm, NULL, 0);
		i->vmm = -1;
	}
	if (i->fsd > 0) {
		kill(i->fsd, SIGKILL);
		waitpid(i->fsd, NULL, 0);
		i->fsd = -1;
	}
	vm_storage_end(i, STORAGE_END_MS);
}

/* ---- its start ---- */

static int watch(struct instance *i, struct err *e)
{
	int r = loop_add(i->cfg.loop, i->console_fd, EPOLLIN, on_console, i, &i->console_src);

	if (r >= 0)
		r = loop_add(i->cfg.loop, i->stderr_fd, EPOLLIN, on_stderr, i, &i->stderr_src);
	if (r >= 0)
		r = loop_add(i->cfg.loop, i->vmm_pidfd, EPOLLIN, on_vmm_end, i, &i->vmm_src);
	if (r >= 0 && i->fsd_pidfd >= 0)
		r = loop_add(i->cfg.loop, i->fsd_pidfd, EPOLLIN, on_fsd_end, i, &i->fsd_src);
	return r < 0 ? err_set(e, -r, "event loop: %s", strerror(-r)) : vm_storage_watch(i, e);
}

static void close_ends(struct vm_ends *t)
{
	fd_close(t->agent);
	fd_close(t->console);
	fd_close(t->share);
	fd_close(t->err);
	fd_close(t->image);
	fd_close(t->upper);
	fd_close(t->control);
	for (size_t k = 0; k < VM_MORE_DISKS_MAX; k++)
		if (!t->is_lent[k])
			fd_close(t->more[k]);
}

/* The VMM's user may open none of these; it gets them open. */
static int open_disks(const struct launch *l, struct vm_ends *t, uint64_t *ret_size, struct err *e)
{
	struct stat st = { .st_size = 0 };

	t->image = open(l->image_disk, O_RDONLY | O_CLOEXEC);
	if (t->image < 0)
		return err_set(e, errno, "disk %s: %s", l->image_disk, strerror(errno));
	if (l->upper_disk) {
		t->upper = open(l->upper_disk, O_RDWR | O_CLOEXEC);
		if (t->upper < 0 || fstat(t->upper, &st) < 0)
			return err_set(e, errno, "disk %s: %s", l->upper_disk, strerror(errno));
	}
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* Locked here, where it can be said which file it is; the VMM, which has the same descriptor, holds it. */
static int open_given(struct instance *i, size_t k, struct vm_ends *t, struct vm_storage_disk *image, uint64_t *size,
		      struct err *e)
{
	struct vm_disk *d = &i->given[k];
	struct vm_given g;
	int r = vm_given_open(d->given, &g, e);

	if (r < 0)
		return r;
	t->more[k] = g.fd;
	d->is_device = g.is_device;
	if (vm_is_served(i, d)) { /* of which the VMM sees the disk */
		*image = (struct vm_storage_disk){ d->given, g.file_max, g.fd };
		g.file_max = g.bytes;
	}
	*size = d->is_readonly ? *size : MAX(*size, g.file_max);
	return vm_given_lock(d->given, g.fd, e);
}

/* In the places of the images. */
static int serve_images(struct instance *i, struct vm_ends *t, struct vm_storage_disk *images, size_t n, struct err *e)
{
	int r = vm_storage_start(i, images, n, e);

	for (size_t k = 0, m = 0; r >= 0 && k < i->n_more; k++)
		if (vm_is_served(i, &i->more[k])) {
			fd_close(t->more[k]);
			t->more[k] = images[m++].fd;
			t->is_lent[k] = true;
		}
	return r;
}

static int open_more_disks(struct instance *i, struct vm_ends *t, uint64_t *size, struct err *e)
{
	struct vm_storage_disk images[VM_GIVEN_MAX];
	size_t n = 0;

	for (size_t k = 0; k < i->n_more; k++) {
		struct stat st;
		if (i->more[k].given) {
			int r = open_given(i, k, t, &images[n], size, e);
			if (r < 0)
				return r;
			n += vm_is_served(i, &i->more[k]);
			continue;
		}
		t->more[k] = open(i->more[k].path, (i->more[k].is_readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
		if (t->more[k] < 0 || fstat(t->more[k], &st) < 0)
			return err_set(e, errno, "disk %s: %s", i->more[k].path, strerror(errno));
		*size = i->more[k].is_readonly ? *size : MAX(*size, (uint64_t)st.st_size);
	}
	return n ? serve_images(i, t, images, n, e) : 0;
}

int vm_process_jail(struct instance *i, struct vm_jail *j, struct err *e)
{
	const struct launch *l = i->cfg.launch;
	_cleanup_free_ char *dir = str_fmt("%s/" JAIL_DIR, i->cfg.rundir),
			    *label = str_fmt("%s/containers/%s", i->cfg.paths->root, l->id);
	int r;

	if (!dir || !label)
		return err_set(e, ENOMEM, "out of memory");
	if (mkdirat(i->cfg.rundirfd, JAIL_DIR, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	j->dir = dir;
	j->label = label;
	j->data_max = vm_data_max(i);
	j->procs_max = i->cg ? 0 : VM_PROCS_MAX;
	r = vm_jail_uid(l->id, VM_JAIL_VMM, &j->uid, e);
	if (r >= 0)
		r = vm_jail_start(j, &i->vmm, &i->vmm_pidfd, e);
	return r < 0 ? r : vm_cgroup_attach(i->cg, i->vmm, e);
}

static int start_shares(struct instance *i, struct vm_ends *t, struct err *e)
{
	const struct vm_shares_plan p = { i->shares, i->n_shares, i->backend->needs_virtiofsd, t->err };
	int r = vm_shares_start(&i->cfg, &p, i->cg, &i->fsd, &t->share, e);

	if (r < 0)
		return r;
	i->fsd_pidfd = (int)syscall(SYS_pidfd_open, i->fsd, 0);
	return i->fsd_pidfd < 0 ? err_set(e, errno, "the volumes' server: %s", strerror(errno)) : 0;
}

/* The VMM's own control socket: QEMU's has one peer, ours listens for others too. */
static int make_control(struct instance *i, struct vm_ends *t, struct err *e)
{
	int r;

	if (!i->backend->has_control)
		return make_stream(&i->control_fd, &t->control, e);
	t->control = sock_unix_listen(i->cfg.rundirfd, VM_CONTROL_SOCKET, 0600);
	if (t->control >= 0)
		i->control_fd = sock_unix_connect(i->cfg.rundirfd, VM_CONTROL_SOCKET);
	r = t->control < 0 ? t->control : i->control_fd < 0 ? i->control_fd : fd_nonblock(i->control_fd, true);
	return r < 0 ? err_set(e, -r, "%s/" VM_CONTROL_SOCKET ": %s", i->cfg.rundir, strerror(-r)) : 0;
}

int vm_process_start(struct instance *i, struct err *e)
{
	_cleanup_(close_ends) struct vm_ends t = { -1, -1, -1, -1, -1, -1, -1, { 0 }, { 0 } };
	uint64_t disk_bytes = 0;

	for (size_t k = 0; k < VM_MORE_DISKS_MAX; k++)
		t.more[k] = -1;
	int p[2], r = 0;

	r = vm_network_check(i->cfg.network, i->cfg.taps, i->cfg.n_taps, e);
	if (r >= 0 && i->cfg.launch->vm_huge_pages && !i->is_restore)
		r = vm_huge_check(vm_ram_bytes(i->cfg.launch), NULL, e);
	if (r >= 0)
		r = vm_cgroup_make(i, e);
	if (r < 0)
		return r;
	vm_trace(i, "cgroup");
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	i->stderr_fd = p[0];
	t.err = p[1];
	r = make_stream(&i->agent_fd, &t.agent, e);
	if (r >= 0)
		r = make_stream(&i->console_fd, &t.console, e);
	if (r >= 0)
		r = make_control(i, &t, e);
	if (r >= 0 && i->n_shares)
		r = start_shares(i, &t, e);
	if (r >= 0)
		r = open_disks(i->cfg.launch, &t, &disk_bytes, e);
	if (r >= 0)
		r = open_more_disks(i, &t, &disk_bytes, e);
	if (r >= 0)
		r = i->backend->spawn(i, &t, disk_bytes, e);
	if (r >= 0)
		r = watch(i, e);
	vm_trace(i, "spawn");
	return r;
}
