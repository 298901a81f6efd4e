/* exec: a further process in a container. All of it that container_exec needs comes from the record and the saved config.json. */
#include <signal.h>
#include <unistd.h>

#include "foreground.h"
#include "process.h"

#define OPT(m) offsetof(union verb_opts, exec.m)
const struct opt exec_options[] = {
	{ "console-socket", 0, OPT_STRING, OPT(console_socket), "PATH", "unix socket that is sent the terminal's master" },
	{ "pidfd-socket", 0, OPT_STRING, OPT(pidfd_socket), "PATH", "unix socket that is sent the process's pidfd" },
	{ "cwd", 0, OPT_STRING, OPT(cwd), "DIR", "working directory in the container" },
	{ "env", 'e', OPT_LIST, OPT(env), "NAME=VALUE", "set an environment variable" },
	{ "tty", 't', OPT_FLAG, OPT(has_tty), NULL, "give it a terminal" },
	{ "user", 'u', OPT_STRING, OPT(user), "UID[:GID]", "who it runs as" },
	{ "additional-gids", 'g', OPT_LIST, OPT(gids), "GID", "a further group" },
	{ "process", 'p', OPT_STRING, OPT(process_file), "FILE", "the process, as in config.json" },
	{ "detach", 'd', OPT_FLAG, OPT(is_detached), NULL, "return when it runs" },
	{ "pid-file", 0, OPT_STRING, OPT(pid_file), "PATH", "write its pid there" },
	{ "process-label", 0, OPT_STRING, OPT(label), "LABEL", "SELinux label" },
	{ "apparmor", 0, OPT_STRING, OPT(apparmor), "PROFILE", "AppArmor profile" },
	{ "no-new-privs", 0, OPT_FLAG, OPT(no_new_privs), NULL, "no more rights by setuid programs" },
	{ "cap", 'c', OPT_LIST, OPT(caps), "CAPABILITY", "a further capability" },
	{ "preserve-fds", 0, OPT_I64, OPT(preserve_fds), "N", "pass descriptors 3 to 3+N-1 on to the process" },
	{ "cgroup", 0, OPT_LIST, OPT(cgroups), "[CONTROLLER,...:]PATH", "an existing cgroup below the container's" },
	{ "ignore-paused", 0, OPT_FLAG, OPT(ignore_paused), NULL,
	  "also in a paused container, where it waits for the end of that" },
	{ "trace-startup", 0, OPT_FLAG, OPT(traces), NULL, "print how long each step of the start took" },
	{ NULL },
};

struct job {
	struct runtime *rt;
	const struct exec_opts *o;
	struct held held;
	struct bundle bundle;
	struct spec_process process;
	struct container *container;
	unsigned n_preserve_fds;
};

static void job_done(struct job *j)
{
	container_free(j->container);
	spec_process_done(&j->process);
	bundle_done(&j->bundle);
	held_done(&j->held);
}

static int check_status(const struct job *j, struct err *e)
{
	enum status st = record_status(&j->held, &j->bundle.host);

	if (st == STATUS_PAUSED && !j->o->ignore_paused)
		return err_set(e, EBUSY, "cannot exec in a paused container (use --ignore-paused to override): %s",
			       j->held.rec.id);
	if (st == STATUS_STOPPED)
		return err_set(e, ESRCH, "cannot exec in a stopped container: %s; container not running", j->held.rec.id);
	return st == STATUS_CREATING ? err_set(e, EBUSY, "container %s is being created", j->held.rec.id) : 0;
}

static int choose_cgroup(struct job *j, struct err *e)
{
	struct cgroup *cg = container_cgroup(j->container);
	int r;

	if (!j->o->cgroups)
		return 0;
	if (!cg)
		return err_set(e, ENOENT, "--cgroup: container %s has no cgroup", j->held.rec.id);
	r = cgroup_descend(cg, j->o->cgroups, e);
	return r < 0 ? err_push(e, r, "--cgroup") : 0;
}

static int prepare(struct job *j, struct err *e)
{
	const struct exec_opts *o = j->o;
	int r = record_open(j->rt, j->rt->operands[0], UNLOCKED, &j->held, e);

	trace_mark(&j->rt->trace, "record read");
	if (r == 0)
		r = bundle_load(j->held.dirfd, &j->bundle, e);
	if (r == 0)
		r = check_status(j, e);
	if (r == 0)
		r = process_make(o, &j->bundle.spec.process, j->rt->operands + 1, &j->process, e);
	if (r == 0)
		r = console_check(&j->process, o->console_socket, o->is_detached, e);
	if (r == 0)
		r = preserve_fds(o->preserve_fds, &j->process.env, &j->n_preserve_fds, e);
	if (r == 0)
		r = bundle_seccomp(j->rt, &j->bundle, e);
	if (r == 0)
		r = bundle_adopt(&j->held, &j->bundle, -1, &j->container, e);
	return r < 0 ? r : choose_cgroup(j, e);
}

/* Hands over terminal and pid; what can't be handed over is not left running. */
static int publish(const struct exec_opts *o, pid_t pid, int pidfd, int *console, struct err *e)
{
	int status, r = 0;

	if (o->console_socket && *o->console_socket)
		r = console_send(o->console_socket, TAKE_FD(*console), e);
	if (r == 0)
		r = pidfd_send(o->pidfd_socket, pidfd, "setns", e);
	if (r == 0)
		r = pid_file_write(o->pid_file, pid, e);
	if (r < 0) {
		pidfd_kill(pidfd, SIGKILL);
		spawn_wait(pid, &status);
	}
	return r;
}

static int run(struct job *j, struct err *e)
{
	const struct container_exec_args a = {
		.process = &j->process,
		.seccomp = &j->bundle.seccomp,
		.stdio = { 0, 1, 2 },
		.n_preserve_fds = j->n_preserve_fds,
	};
	_cleanup_fd_ int pidfd = -1, console = -1;
	struct attended attended;
	sigset_t before;
	pid_t pid = 0;
	int status = 0, r = j->o->is_detached ? 0 : foreground_begin(false, &before, e);

	if (r == 0)
		r = container_exec(j->container, &a, &pid, &pidfd, &console, e);
	if (r < 0)
		return r;
	trace_mark(&j->rt->trace, "started");
	j->rt->spent = fd_close(j->rt->spent);
	r = publish(j->o, pid, pidfd, &console, e);
	trace_print(&j->rt->trace);
	if (r < 0 || j->o->is_detached)
		return r;
	attended = (struct attended){ .pid = pid, .pidfd = pidfd, .notify = -1, .console = TAKE_FD(console) };
	r = foreground_wait(&attended, &before, &status, e);
	trace_mark(&j->rt->trace, "ended");
	return r < 0 ? r : status_to_exit(status);
}

int verb_exec(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	struct job j = { .rt = rt, .o = &opts->exec, .held = HELD_NONE };
	int r;

	rt->trace.is_wanted = opts->exec.traces;
	j.bundle.trace = &rt->trace;
	spec_init(&j.bundle.spec);
	spec_process_init(&j.process);
	r = prepare(&j, e);
	if (r == 0)
		r = run(&j, e);
	job_done(&j);
	return r;
}
