/* start.c: a created or exited container begins to run: spawn its monitor, hear how the start went, stay or leave.
 *
 * The monitor is a session of its own and outlives this process. It runs from a read-only clone of its binary's mount, so
 * that nothing inside a container can ever write to it (R01). The socketpair handed to it is the first client's connection:
 * readiness, the start's error, streams and the exit all come as frames. */
#include "engine_impl.h"

#include <sys/socket.h>
#include <unistd.h>

#include "volumes_impl.h"

#define MONITOR_CLIENT_FD 3
#define MONITOR_ALL_FD    4

/* Our environment, but for what the container's monitor must know: the build it belongs to. */
static int monitor_env(const struct paths *p, char ***ret, struct err *e)
{
	_cleanup_strv_ char **env = NULL;
	_cleanup_free_ char *id = str_fmt("BERTH_BUILD_ID=%s", build_id());
	/* A sealed program can't tell from /proc/self/exe where its siblings are. */
	_cleanup_free_ char *libexec = str_fmt("BERTH_LIBEXECDIR=%s", p->libexec);
	static const char *const passed[] = { "BERTH_VM_BOOT_TIMEOUT", "BERTH_VM_ACCEL", "PATH", "TMPDIR", "LANG" };

	/* glibc keeps some of what is freed at hand for the next malloc, and the pages around it: a monitor gives all of it back (base/idle.h). */
	if (!id || !libexec || strv_push(&env, id) < 0 || strv_push(&env, libexec) < 0 ||
	    strv_push(&env, "GLIBC_TUNABLES=glibc.malloc.tcache_count=0") < 0)
		return OUT_OF_MEMORY(e);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
		const char *v = getenv(passed[i]);
		_cleanup_free_ char *pair = v ? str_fmt("%s=%s", passed[i], v) : NULL;
		if (v && (!pair || strv_push(&env, pair) < 0))
			return OUT_OF_MEMORY(e);
	}
	*ret = TAKE_PTR(env);
	return 0;
}

int monitor_prepare(struct engine *en, const char *id, const struct monitor_opts *o, struct waiting_monitor *ret, struct err *e)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_strv_ char **env = NULL;
	_cleanup_fd_ int null = -1, ours = -1, theirs = -1;
	char new_network[] = "--new-network", all[] = "--all-fd", all_fd[] = "4";
	char *argv[] = { (char[]){ "berth-monitor" },
			 (char[]){ "--root" },
			 en->paths->root,
			 (char[]){ "--run" },
			 en->paths->run,
			 (char[]){ "--client-fd" },
			 (char[]){ "3" },
			 NULL, /* id */
			 NULL, /* --new-network, or --all-fd */
			 NULL,
			 NULL };
	int pair[2], r = paths_sibling(en->paths, "berth-monitor", &path, e);

	if (r >= 0)
		r = monitor_env(en->paths, &env, e);
	if (r < 0)
		return r;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return err_set(e, errno, "/dev/null: %s", strerror(errno));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, errno, "make a socket pair: %s", strerror(errno));
	ours = pair[0];
	theirs = pair[1];
	argv[7] = strdup(id);
	if (!argv[7])
		return OUT_OF_MEMORY(e);
	if (o->new_network)
		argv[8] = new_network;
	if (o->all_fd) {
		argv[8] = all;
		argv[9] = all_fd;
	}
	const int fds[][2] = { { null, 0 },
			       { null, 1 },
			       { o->shows_stderr ? 2 : null, 2 },
			       { theirs, MONITOR_CLIENT_FD },
			       { o->all_fd, MONITOR_ALL_FD } };
	const struct spawn s = { .path = path,
				 .argv = argv,
				 .env = env,
				 .fds = fds,
				 .n_fds = ARRAY_SIZE(fds) - !o->all_fd,
				 .new_session = true,
				 .sealed = true,
				 .cwd_fd = -1 };
	pid_t pid;
	r = spawn_start(&s, &pid, NULL, e);
	free(argv[7]);
	if (r < 0)
		return err_push(e, r, "start the monitor");
	*ret = (struct waiting_monitor){ .pid = pid, .fd = TAKE_FD(ours) };
	timeline_mark(&en->timeline, "monitor spawned");
	return 0;
}

void monitor_dismiss(struct waiting_monitor *w)
{
	int status;

	if (w->fd < 0)
		return;
	w->fd = fd_close(w->fd);
	spawn_wait(w->pid, &status);
}

/* What the last run has left is out of the way; the record says "created" or "exited" and nothing runs. */
static int check_startable(const struct container_record *c, struct err *e)
{
	switch (c->state) {
	case CS_CREATED:
	case CS_EXITED: return 0;
	case CS_RUNNING:
	case CS_RESTARTING: return -EALREADY;
	default: return err_set(e, EBUSY, "container %s is %s and can't be started", c->name, container_state_name(c->state));
	}
}

/* A start that fails is a fact about the container: it is kept in its record (docker's State.Error). */
static int follow(int fd, const struct start_opts *o, bool has_tty, struct exit_status *ret_exit, bool *ret_detached,
		  struct err *e)
{
	const struct attach_opts a = {
		.want_stdin = o->want_stdin,
		.drops_stdout = o->drops_stdout,
		.drops_stderr = o->drops_stderr,
		.has_tty = has_tty,
		.sig_proxy = o->sig_proxy,
		.detach_keys = o->detach_keys,
	};

	if (o->attach)
		return attach_run(fd, &a, ret_exit, ret_detached, e);
	return monitor_wait_started(fd, e);
}

int monitor_order(const struct waiting_monitor *w, struct err *e)
{
	static const char go = MONITOR_GO;

	/* A monitor that has ended already has said why: that is what is read next. */
	if (send(w->fd, &go, 1, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		return err_set(e, errno, "talk to the monitor: %s", strerror(errno));
	return 0;
}

int monitor_go(struct waiting_monitor *w, bool has_tty, const struct start_opts *o, struct exit_status *ret_exit,
	       bool *ret_detached, struct err *e)
{
	int r = monitor_order(w, e);
	_cleanup_fd_ int fd = TAKE_FD(w->fd);

	return r < 0 ? r : follow(fd, o, has_tty, ret_exit, ret_detached, e);
}

static int start_again(struct engine *en, const struct container_record *c, const struct start_opts *o,
		       struct exit_status *ret_exit, bool *ret_detached, struct err *e)
{
	_cleanup_fd_ int lock = -1;
	struct waiting_monitor w;
	int r = container_lock(en, c->id, &lock, e);

	if (r >= 0 && streq0(c->isolation, "vm"))
		r = guest_idle_sweep(en, c->id, e);
	if (r >= 0)
		r = volumes_settle(en, c->id, e);
	if (r >= 0)
		r = monitor_prepare(en, c->id, &(struct monitor_opts){ 0 }, &w, e);
	if (r >= 0 && o->attach)
		note_event(en, c, "attach");
	return r < 0 ? r : monitor_go(&w, c->has_tty, o, ret_exit, ret_detached, e);
}

int engine_start(struct engine *en, const char *name, const struct start_opts *o, struct exit_status *ret_exit,
		 bool *ret_detached, struct err *e)
{
	struct container_record c;
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	r = check_startable(&c, e);
	if (r == -EALREADY) /* docker: starting what runs is no error; with -a it is attaching */
		r = o->attach ? engine_attach(en, c.id, o, ret_exit, ret_detached, e) : 0;
	else if (r >= 0)
		r = start_again(en, &c, o, ret_exit, ret_detached, e);
	container_record_done(&c);
	return r;
}
