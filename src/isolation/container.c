/* isolation_container: namespaces and cgroups of this host's kernel, through container.h. The monitor's process is the parent
 * of every process here, so ends are seen on pidfds and nothing is polled; starting is synchronous. */
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "container_io.h"
#include "skeleton.h"
#include "sweep.h"

#define REAP_WAIT_MS 2000
#define UNKNOWN_END  "how the process has ended is not known"

/* One exec'd process. */
struct exec {
	struct instance *instance;
	struct exec *next;
	struct task *task;
	struct loop_src *src;
	pid_t pid;
	int pidfd;
};

struct instance {
	struct instance_config cfg;
	struct seccomp_prog seccomp;
	struct container *container;
	char *bundle; /* the folder of config.json, which hooks are told */
	struct task *main;
	struct loop_src *main_src;
	struct exec *execs;
	struct patience patience; /* signals that the first process is not ready for */
	bool has_ended, is_paused;
	uint64_t create_us; /* for the startup profile */
};

static int available(const struct host *h, char **ret_note _unused_, struct err *e)
{
	if (geteuid() != 0 || !(h->caps_bounding & 1ull << CAP_SYS_ADMIN))
		return err_set(e, EPERM, "containers need root with CAP_SYS_ADMIN: run berth as root");
	if (h->cgroup == CGROUP_NONE && !in_user_namespace())
		return err_set(e, ENOTSUP, "containers need cgroups and none are mounted: mount -t cgroup2 none /sys/fs/cgroup");
	return 0;
}

static int new (const struct instance_config *cfg, struct instance **ret, struct err *e)
{
	struct instance *i = calloc(1, sizeof(*i));

	if (!i)
		return err_set(e, ENOMEM, "out of memory");
	i->cfg = *cfg;
	*ret = i;
	return 0;
}

/* ---- the startup profile ---- */

static void trace(struct instance *i, const char *step)
{
	if (i->cfg.trace)
		i->cfg.trace(step, clock_mono_us(), i->cfg.arg);
}

static void on_step(const char *step, uint64_t ns, void *arg)
{
	struct instance *i = arg;

	i->cfg.trace(step, i->create_us + ns / 1000, i->cfg.arg);
}

/* ---- start ---- */

static struct exit_status exit_status_of(int wait_status, bool oom)
{
	return (struct exit_status){
		.code = status_to_exit(wait_status),
		.signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0,
		.oom = oom,
	};
}

static void on_main_pidfd(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;
	struct err *lost = &i->main->lost;
	int status, r;
	bool oom = false;

	loop_del(TAKE_PTR(i->main_src));
	patience_end(&i->patience);
	i->has_ended = true;
	r = container_reap(i->container, &status, &oom, lost);
	if (r < 0) {
		err_push(lost, r, UNKNOWN_END);
		status = 125 << 8;
	}
	const struct exit_status st = exit_status_of(status, oom);
	i->main->on_exit(i->main, &st);
}

/* The root filesystem: the image's layers as a detached overlay, visible nowhere. */
static int mount_root(void *arg, int *ret_rootfd, struct err *e)
{
	const struct instance *i = arg;
	const struct launch *l = i->cfg.launch;
	_cleanup_strv_ char **layers = NULL;
	char *skeleton = NULL;
	int r;

	r = skeleton_get(i->cfg.paths->root, &skeleton, e);
	if (r < 0)
		return r;
	layers = strv_copy(l->layers);
	if (!layers || strv_push_take(&layers, skeleton) < 0)
		return err_set(e, ENOMEM, "overlay: out of memory");
	const struct snapshot s = { .layers = layers, .upper = l->upper, .work = l->work, .is_volatile = l->is_volatile };
	return snapshot_mount(&s, ret_rootfd, e);
}

/* A limit is never silently left out. */
static int check_cgroup(const struct instance *i, struct err *e)
{
	if (i->cfg.host->cgroup == CGROUP_NONE && cgroup_asks_limits(&i->cfg.spec->resources))
		return err_set(e, EPERM, "container %.12s has limits, which need a cgroup: " NOT_DELEGATED, i->cfg.launch->id);
	return 0;
}

static int create(struct instance *i, const char *init_path, const struct task_io *io, struct err *e)
{
	const struct launch *l = i->cfg.launch;

	if (check_cgroup(i, e) < 0)
		return -EPERM;
	i->bundle = str_fmt("%s/containers/%s", i->cfg.paths->root, l->id);
	if (!i->bundle)
		return err_set(e, ENOMEM, "out of memory");
	const struct container_args a = {
		.spec = i->cfg.spec,
		.id = l->id,
		.bundle = i->bundle,
		.host = i->cfg.host,
		.rootfd = -1, /* where config.json names a folder */
		.make_root = l->layers && l->layers[0] ? mount_root : NULL,
		.make_root_arg = i,
		.seccomp = &i->seccomp,
		.no_cgroup = i->cfg.host->cgroup == CGROUP_NONE,
		.files = l->files,
		.n_files = l->n_files,
		.init_path = init_path,
		.stdio = { io->theirs[0], io->theirs[1], io->theirs[2] },
		.die_with_parent = true,
		.allows_ping = true,
		.starts_at_once = !i->cfg.spec->process.terminal, /* whose size is set in between */
		.network_fd = i->cfg.network_fd,
		.memory_fd = i->cfg.memory_fd,
		.meanwhile = i->cfg.meanwhile,
		.meanwhile_arg = i->cfg.arg,
		.trace = i->cfg.trace ? on_step : NULL,
		.trace_arg = i,
	};

	i->create_us = clock_mono_us();
	return container_create(&a, &i->container, e);
}

static void send_late(void *arg, int sig)
{
	struct instance *i = arg;
	struct err e = { 0 };

	if (container_kill(i->container, sig, &e) < 0)
		log_debug("container", "%s", e.msg);
}

static int run(struct instance *i, struct err *e)
{
	struct task *t = i->main;
	int r;

	if (t->has_tty && (r = task_io_set_console(t, container_take_console(i->container), e)) < 0)
		return r;
	r = container_start(i->container, e);
	if (r < 0)
		return r;
	i->patience = (struct patience){ .loop = i->cfg.loop, .pid = container_pid(i->container), .send = send_late, .arg = i };
	r = loop_add(i->cfg.loop, container_pidfd(i->container), EPOLLIN, on_main_pidfd, i, &i->main_src);
	return r < 0 ? err_set(e, -r, "watch the container's process: %s", strerror(-r)) : 0;
}

static int start(struct instance *i, struct task *t, struct err *e)
{
	_cleanup_free_ char *init_path = NULL;
	struct task_io io;

	i->main = t;
	int r = isolation_seccomp(i->cfg.spec, i->cfg.launch, &i->seccomp, e);
	trace(i, "seccomp");
	if (r >= 0 && i->cfg.launch->use_init)
		r = paths_sibling(i->cfg.paths, "berth-init", &init_path, e);
	if (r < 0)
		return r;
	r = task_io_open(t, i->cfg.launch->open_stdin, &io, e);
	if (r < 0)
		return r;
	r = create(i, init_path, &io, e);
	task_io_close_theirs(&io);
	if (r == 0)
		r = run(i, e);
	trace(i, "running");
	if (r < 0) {
		task_io_abandon(t);
		container_destroy(TAKE_PTR(i->container));
		return r;
	}
	i->cfg.on_started(i->cfg.arg, NULL);
	return 0;
}

/* ---- exec ---- */

static void exec_free(struct exec *x)
{
	struct exec **at = &x->instance->execs;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	loop_del(x->src);
	fd_close(x->pidfd);
	free(x);
}

static void on_exec_pidfd(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct exec *x = arg;
	struct task *t = x->task;
	int status = 125 << 8, r = spawn_wait(x->pid, &status);

	if (r < 0)
		err_set(&t->lost, -r, UNKNOWN_END ": wait for process %d: %s", (int)x->pid, strerror(-r));
	t->impl = NULL;
	exec_free(x);
	const struct exit_status st = exit_status_of(status, false);
	t->on_exit(t, &st);
}

static int exec_process(struct instance *i, const struct spec_process *p, struct task *t, pid_t *ret_pid, int *ret_pidfd,
			struct err *e)
{
	struct spec_process process = *p;
	struct task_io io;
	int console = -1;

	if (!process.cwd || !*process.cwd)
		process.cwd = i->cfg.spec->process.cwd;
	int r = task_io_open(t, true, &io, e);
	if (r == 0) {
		const struct container_exec_args a = {
			.process = &process,
			.seccomp = &i->seccomp,
			.stdio = { io.theirs[0], io.theirs[1], io.theirs[2] },
		};
		r = container_exec(i->container, &a, ret_pid, ret_pidfd, &console, e);
		task_io_close_theirs(&io);
		if (r < 0)
			task_io_abandon(t);
	}
	if (r == 0 && t->has_tty && (r = task_io_set_console(t, console, e)) < 0) {
		int status;
		pidfd_kill(*ret_pidfd, SIGKILL);
		spawn_wait(*ret_pid, &status);
		fd_close(*ret_pidfd);
	}
	return r;
}

static int exec(struct instance *i, const struct spec_process *p, struct task *t,
		void (*on_started)(struct task *t, const struct err *e), struct err *e)
{
	if (!i->container || i->has_ended)
		return err_set(e, ESRCH, "container %.12s is not running", i->cfg.launch->id);
	if (i->is_paused)
		return err_set(e, EBUSY, "container %.12s is paused: unpause it first", i->cfg.launch->id);
	struct exec *x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, ENOMEM, "out of memory");
	*x = (struct exec){ .instance = i, .next = i->execs, .task = t, .pidfd = -1 };
	i->execs = x;
	int r = exec_process(i, p, t, &x->pid, &x->pidfd, e);
	if (r == 0) {
		r = loop_add(i->cfg.loop, x->pidfd, EPOLLIN, on_exec_pidfd, x, &x->src);
		if (r < 0) {
			int status;
			err_set(e, -r, "watch the process: %s", strerror(-r));
			pidfd_kill(x->pidfd, SIGKILL);
			spawn_wait(x->pid, &status);
			task_io_abandon(t);
		}
	}
	if (r < 0) {
		exec_free(x);
		return r;
	}
	t->impl = x;
	on_started(t, NULL);
	return 0;
}

/* ---- to running processes ---- */

static int need_cgroup(struct instance *i, const char *what, struct err *e)
{
	return container_cgroup(i->container) ? 0
					      : err_set(e, ENOTSUP, "container %.12s can't %s: it has no cgroup: " NOT_DELEGATED,
							i->cfg.launch->id, what);
}

static int pause_(struct instance *i, bool paused, struct err *e)
{
	if (!i->container || i->has_ended)
		return err_set(e, ESRCH, "container %.12s is not running", i->cfg.launch->id);
	int r = need_cgroup(i, "be paused", e);
	if (r == 0)
		r = cgroup_freeze(container_cgroup(i->container), paused, e);
	if (r == 0)
		i->is_paused = paused;
	return r;
}

static int signal_(struct instance *i, struct task *t, int sig, struct err *e)
{
	if (t != i->main) {
		struct exec *x = t->impl;
		/* It leads a session, and is not collected before we have seen its end: so its number is its group's. */
		int r = !x ? -ESRCH : sig == SIGKILL && kill(-x->pid, sig) == 0 ? 0 : pidfd_kill(x->pidfd, sig);
		return r < 0 ? err_set(e, -r, "signal %d: %s", sig, strerror(-r)) : 0;
	}
	if (!i->container || i->has_ended)
		return err_set(e, ESRCH, "container %.12s has ended", i->cfg.launch->id);
	int r = patience_holds(&i->patience, sig) ? 0 : container_kill(i->container, sig, e);
	/* On v1 a frozen process dies only once it is thawed. */
	if (r == 0 && sig == SIGKILL && i->is_paused)
		r = pause_(i, false, e);
	return r;
}

static int resize(struct instance *i _unused_, struct task *t, uint16_t rows, uint16_t cols, struct err *e)
{
	const struct winsize ws = { .ws_row = rows, .ws_col = cols };

	if (!t->has_tty || t->out < 0)
		return err_set(e, ENOTTY, "this process has no terminal");
	return ioctl(t->out, TIOCSWINSZ, &ws) < 0 ? err_set(e, errno, "set the terminal's size: %s", strerror(errno)) : 0;
}

static int close_stdin(struct instance *i _unused_, struct task *t, struct err *e)
{
	struct termios tio;

	if (!t->has_tty) /* the monitor's close is the end */
		return 0;
	if (tcgetattr(t->in, &tio) < 0)
		return err_set(e, errno, "the process's terminal: %s", strerror(errno));
	if (!(tio.c_lflag & ICANON)) /* in raw mode the character would be data */
		return 0;
	return write(t->in, &tio.c_cc[VEOF], 1) < 0 ? err_set(e, errno, "end the terminal's input: %s", strerror(errno)) : 0;
}

static int stats(struct instance *i, void (*cb)(struct instance *i, struct json_object *stats, const struct err *e, void *arg),
		 void *arg, struct err *e)
{
	struct cgroup_stats st;

	if (!i->container || i->has_ended)
		return err_set(e, ESRCH, "container %.12s is not running", i->cfg.launch->id);
	int r = need_cgroup(i, "be measured", e);
	if (r == 0)
		r = cgroup_stats(container_cgroup(i->container), &st, e);
	if (r < 0)
		return r;
	_cleanup_json_ struct json_object *o = cgroup_stats_json(&st);
	if (!o)
		return err_set(e, ENOMEM, "out of memory");
	cb(i, o, NULL, arg);
	return 0;
}

static int update(struct instance *i, const struct spec_resources *r,
		  void (*cb)(struct instance *i, const struct err *e, void *arg), void *arg, struct err *e)
{
	struct cgroup *cg;
	int k;

	if (!i->container || i->has_ended)
		return err_set(e, ESRCH, "container %.12s is not running", i->cfg.launch->id);
	cg = container_cgroup(i->container);
	k = need_cgroup(i, "be given limits", e);
	if (k >= 0)
		k = cgroup_grow(i->cfg.host, cg, r, e);
	if (k >= 0)
		k = cgroup_update(cg, r, e);
	if (k >= 0)
		cb(i, NULL, arg);
	return MIN(k, 0);
}

static pid_t pid(const struct instance *i) { return i->container ? container_pid(i->container) : 0; }

/* ---- the end ---- */

/* A killed process is there until it is reaped; one that the kernel can't kill (D state) is left to it. */
static void exec_end(struct exec *x)
{
	struct pollfd p = { .fd = x->pidfd, .events = POLLIN };
	int status;

	if (pidfd_kill(x->pidfd, SIGKILL) == 0 && poll(&p, 1, REAP_WAIT_MS) > 0)
		spawn_wait(x->pid, &status);
	x->task->impl = NULL;
	exec_free(x);
}

static void destroy(struct instance *i)
{
	if (!i)
		return;
	loop_del(i->main_src);
	patience_end(&i->patience);
	container_destroy(i->container);
	while (i->execs)
		exec_end(i->execs);
	seccomp_prog_done(&i->seccomp);
	free(i->bundle);
	free(i);
}

const struct isolation_ops isolation_container = {
	.name = "container",
	.available = available,
	.new = new,
	.start = start,
	.exec = exec,
	.signal = signal_,
	.resize = resize,
	.close_stdin = close_stdin,
	.pause = pause_,
	.stats = stats,
	.update = update,
	.pid = pid,
	.destroy = destroy,
	.sweep = sweep_cgroup,
};
