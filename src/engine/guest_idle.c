/* guest_idle.c: files of a virtual machine that does not run. What its guest has left on its disk is nothing that this host's kernel may
 * read as a file system. So its disks are given to a guest again, behind the same walls, whose agent starts nothing of the
 * container's and serves files (guest/hold.c). A process of its own keeps that guest, the keeper:
 *
 *   guest's child  == frames ==  keeper (here)  -- pipes --  berth-transfer VERB --stream
 *                                  | socket: it is ready, with the pipes' ends; then its end of file, from either side; the last word
 *
 * The container's record is not touched, and its lock is held by keeper and command: nobody starts or removes it meanwhile. Whatever ends
 * the command ends its side of the socket: the keeper has the guest write out its disk and leaves nothing. Of a keeper that was killed
 * the VMM dies with it; RUN/containers/.files-ID says that there may be a cgroup left, until the next who needs the container (guest_idle_sweep). */
#include "container_root.h"
#include "guest.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define MEMORY_BYTES (64ull << 20) /* what the agent may use beyond what any guest needs */

struct keeper {
	const struct guest_files_wish *wish;
	struct loop *loop;
	const struct isolation_ops *ops;
	struct instance *instance;
	struct spec spec;
	struct launch launch;
	struct host host;
	struct task main, files;
	int sock;
	bool is_up, is_leaving;
	struct err why; /* the last word */
};

/* ---- the keeper ---- */

static void leave(struct keeper *k)
{
	struct err e = { 0 };

	if (k->is_leaving)
		return;
	k->is_leaving = true;
	/* The guest is told to write out its disk once the process that stands for the container's has ended. */
	if (!k->is_up || k->ops->signal(k->instance, &k->main, SIGKILL, &e) < 0)
		loop_stop(k->loop, 0);
}

static void fail(struct keeper *k, const struct err *e)
{
	if (!k->why.no)
		k->why = *e;
	leave(k);
}

static void on_command(struct loop *l _unused_, int fd, uint32_t events _unused_, void *arg)
{
	char byte;

	if (recv(fd, &byte, 1, MSG_DONTWAIT) <= 0)
		leave(arg);
}

static void on_term(struct loop *l _unused_, int sig _unused_, void *arg) { leave(arg); }

static void on_main_exit(struct task *t, const struct exit_status *st _unused_)
{
	struct keeper *k = t->arg;

	if (!k->is_leaving)
		err_set(&k->why, EIO, "the guest has ended: %s", t->lost.no ? t->lost.msg : "its agent's child was killed");
	k->is_up = false;
	k->is_leaving = true;
	loop_stop(k->loop, 0);
}

/* What the other side makes of the end of its stream is told there. */
static void on_files_exit(struct task *t _unused_, const struct exit_status *st _unused_) {}

/* Warnings of the agent's, and nothing else. */
static void on_words(struct loop *l _unused_, int fd, uint32_t events _unused_, void *arg)
{
	char text[512];
	ssize_t n = read(fd, text, sizeof(text));

	if (n > 0)
		log_debug("files", "%.*s", (int)n, text);
	else if (n == 0 || errno != EAGAIN)
		loop_del(*(struct loop_src **)arg);
}

static void on_files_started(struct task *t, const struct err *e)
{
	static struct loop_src *words; /* one a process */
	struct keeper *k = t->arg;
	const struct err fine = { 0 };
	const int fds[] = { t->out, t->in };
	struct err late = { 0 };

	if (e) {
		fail(k, e);
		return;
	}
	if (sock_send_fds(k->sock, &fine, sizeof(fine), fds, ARRAY_SIZE(fds)) < 0 ||
	    loop_add(k->loop, t->err, EPOLLIN, on_words, &words, &words) < 0) {
		err_set(&late, EIO, "hand the guest's streams on");
		fail(k, &late);
	}
	fd_close(t->in);
	fd_close(t->out);
}

static void on_started(void *arg, const struct err *e)
{
	struct keeper *k = arg;
	struct err why = { 0 };

	if (e) {
		fail(k, e);
		return;
	}
	k->is_up = true;
	if (k->ops->exec(k->instance, &k->spec.process, &k->files, on_files_started, &why) < 0)
		fail(k, &why);
}

static int boot(struct keeper *k, const struct paths *paths, int rundirfd, const char *rundir, struct err *e)
{
	const struct instance_config cfg = { .spec = &k->spec,
					     .launch = &k->launch,
					     .host = &k->host,
					     .paths = paths,
					     .loop = k->loop,
					     .rundirfd = rundirfd,
					     .rundir = rundir,
					     .serves_files = true,
					     /* A volume's place may have to be made. */
					     .reads_only = !streq(k->wish->verb, GUEST_FILES_IN) && !vm_count_shares(&k->spec),
					     .on_started = on_started,
					     .arg = k };
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (loop_signals(k->loop, &set, on_term, k) < 0 || loop_add(k->loop, k->sock, EPOLLIN, on_command, k, NULL) < 0)
		return err_set(e, ENOMEM, "out of memory");
	r = k->ops->new (&cfg, &k->instance, e);
	if (r >= 0)
		r = k->ops->start(k->instance, &k->main, e);
	if (r < 0)
		return r;
	fd_close(k->main.in);
	fd_close(k->main.out);
	fd_close(k->main.err);
	if (!k->is_leaving || k->is_up)
		r = loop_run(k->loop);
	return r < 0 ? err_set(e, -r, "the keeper of the guest: %s", strerror(-r)) : 0;
}

static char *keeper_dir(const struct paths *p, const char *id)
{
	return str_fmt("%s/containers/" GUEST_FILES_RUN "%s", p->run, id);
}

static int keep(struct keeper *k, const struct paths *paths, struct err *e)
{
	_cleanup_free_ char *dir = keeper_dir(paths, k->launch.id);
	_cleanup_fd_ int fd = -1;
	int r = dir ? mkdir_p(AT_FDCWD, dir, 0700) : -ENOMEM;

	if (r >= 0)
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r < 0 || fd < 0)
		return err_set(e, r < 0 ? -r : errno, "%s: %s", dir ?: "", strerror(r < 0 ? -r : errno));
	r = loop_new(&k->loop);
	if (r < 0)
		return err_set(e, -r, "event loop: %s", strerror(-r));
	if ((r = host_probe_cgroup_ours(&k->host, e)) >= 0)
		r = boot(k, paths, fd, dir, e);
	if (k->instance)
		k->ops->destroy(k->instance);
	int left = rm_rf(AT_FDCWD, dir);
	return r < 0 ? r : left < 0 ? err_set(e, -left, "remove %s: %s", dir, strerror(-left)) : 0;
}

/* Of the command it has its socket and the lock, and not the streams: whoever reads those is to see their end with the command's. */
static int stand_apart(int *sock, int lock, struct err *e)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC),
	    high[2] = { fcntl(*sock, F_DUPFD_CLOEXEC, 16), fcntl(lock, F_DUPFD_CLOEXEC, 16) };

	if (null < 0 || high[0] < 0 || high[1] < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
	    dup3(high[0], 3, O_CLOEXEC) < 0 || dup3(high[1], 4, O_CLOEXEC) < 0 || close_range(5, ~0u, 0) < 0 || setsid() < 0)
		return err_set(e, errno, "stand apart: %s", strerror(errno));
	*sock = 3;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	return 0;
}

_noreturn_ static void keeper_main(struct keeper *k, const struct paths *paths, int lock)
{
	struct err e = { 0 };
	int r = stand_apart(&k->sock, lock, &e);

	/* As a monitor has it: what it starts is to be of its build (a pod's machine). */
	if (r >= 0 && (setenv("BERTH_BUILD_ID", build_id(), 1) < 0 || setenv("BERTH_LIBEXECDIR", paths->libexec, 1) < 0))
		r = OUT_OF_MEMORY(&e);
	if (r >= 0)
		r = keep(k, paths, &e);
	if (!k->why.no && r < 0)
		k->why = e;
	/* Nobody to hear it: the command was killed. */
	_exit(sock_send_fds(k->sock, &k->why, sizeof(k->why), NULL, 0) < 0);
}

/* ---- the plan ---- */

/* The machine as small as it can be: none of the user's disks, and no volumes but for `cp`, which are part of what it sees. */
static void make_small(struct keeper *k)
{
	struct launch *l = &k->launch;
	bool wants_volumes = streq(k->wish->verb, GUEST_FILES_OUT) || streq(k->wish->verb, GUEST_FILES_IN);

	l->vm_mem_bytes = MEMORY_BYTES;
	l->vm_cpus = 1;
	l->vm_mem_max = 0;
	l->vm_cpus_max = 0;
	l->vm_huge_pages = l->is_volatile = l->open_stdin = false;
	l->n_disks = 0;
	k->spec.resources.cpu_quota = SPEC_UNSET;
	k->spec.n_mounts = wants_volumes ? k->spec.n_mounts : 0;
}

static int plan(struct engine *en, const struct container_record *c, struct keeper *k, struct err *e)
{
	_cleanup_free_ char *state = str_fmt("%s/containers/%s/" VM_RESTORE_STATE, en->paths->root, c->id);
	int r = state ? isolation_find("vm", &k->ops, e) : OUT_OF_MEMORY(e);

	if (r >= 0 && access(state, F_OK) == 0)
		r = err_set(e, EBUSY,
			    "virtual machine %s is a copy of a running one that has not been started: its disk belongs to its "
			    "memory; "
			    "start it first (berth start %s)",
			    c->name, c->name);
	if (r >= 0)
		r = bundle_read_launch(en, c->id, &k->launch, e);
	if (r >= 0)
		r = guest_files_spec(en, c, k->wish, &k->spec, e);
	return r;
}

/* ---- the command's side ---- */

static int wait_ready(struct guest_files *g, struct err *e)
{
	struct err said = { 0 };
	int fds[2] = { -1, -1 };
	size_t n = ARRAY_SIZE(fds);
	ssize_t got = sock_recv_fds(g->report, &said, sizeof(said), fds, &n);

	if (got != (ssize_t)sizeof(said))
		return err_set(e, EIO, "the process that keeps the guest was killed");
	if (said.no)
		return err_set(e, said.no, "%s", said.msg);
	if (n != ARRAY_SIZE(fds))
		return err_set(e, EPROTO, "the keeper of the guest has sent no streams");
	g->from = fds[0];
	g->to = fds[1];
	return fd_nonblock(g->from, false) < 0 || fd_nonblock(g->to, false) < 0
		       ? err_set(e, errno, "the guest's streams: %s", strerror(errno))
		       : 0;
}

static void tell_waiting(const struct guest_files_wish *w, const char *name, bool on)
{
	if (w->is_quiet || !isatty(STDERR_FILENO))
		return;
	if (on)
		dprintf(STDERR_FILENO, "Booting a guest for the files of %s ...", name);
	else
		dprintf(STDERR_FILENO, "\r\033[K");
}

static int start_keeper(struct engine *en, struct keeper *k, int lock, struct guest_files *ret, struct err *e)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, errno, "make a socket pair: %s", strerror(errno));
	k->sock = pair[1];
	pid_t pid = fork();
	if (pid == 0) {
		fd_close(pair[0]);
		keeper_main(k, en->paths, lock);
	}
	int no = errno;
	fd_close(pair[1]);
	if (pid < 0) {
		fd_close(pair[0]);
		return err_set(e, no, "fork: %s", strerror(no));
	}
	*ret = (struct guest_files){ .pid = pid, .from = -1, .to = -1, .report = pair[0], .is_idle = true };
	return 0;
}

int guest_idle_open(struct engine *en, const struct container_record *c, const struct guest_files_wish *w,
		    struct guest_files *ret, struct err *e)
{
	struct keeper k = { .wish = w, .sock = -1 };
	_cleanup_fd_ int lock = -1;
	int r;

	spec_init(&k.spec);
	k.main = (struct task){ .in = -1, .out = -1, .err = -1, .on_exit = on_main_exit, .arg = &k };
	k.files = (struct task){ .in = -1, .out = -1, .err = -1, .on_exit = on_files_exit, .arg = &k };
	r = container_lock_idle(en, c, &lock, e);
	if (r >= 0)
		r = guest_idle_sweep(en, c->id, e);
	if (r >= 0)
		r = plan(en, c, &k, e);
	size_t n_mounts = k.spec.n_mounts, n_disks = k.launch.n_disks;
	if (r >= 0) {
		make_small(&k);
		r = start_keeper(en, &k, lock, ret, e);
	}
	k.spec.n_mounts = n_mounts;
	k.launch.n_disks = n_disks;
	spec_done(&k.spec);
	launch_done(&k.launch);
	if (r < 0)
		return r;
	tell_waiting(w, c->name, true);
	r = wait_ready(ret, e);
	tell_waiting(w, c->name, false);
	return r < 0 ? guest_files_close(ret, r, e) : 0;
}

int guest_idle_sweep(struct engine *en, const char *id, struct err *e)
{
	_cleanup_free_ char *dir = keeper_dir(en->paths, id);
	struct host h = { 0 };
	int r;

	if (!dir)
		return OUT_OF_MEMORY(e);
	if (access(dir, F_OK) < 0)
		return 0;
	r = host_probe_cgroup_ours(&h, e);
	if (r >= 0)
		r = isolation_vm.sweep(&h, en->paths, id, e);
	host_done(&h);
	if (r < 0)
		return r;
	r = rm_rf(AT_FDCWD, dir);
	return r < 0 ? err_set(e, -r, "remove %s: %s", dir, strerror(-r)) : 0;
}
