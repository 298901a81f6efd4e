/* hooks: programs of the host that config.json wants run at points of a container's life (OCI 1.2 config, "POSIX-platform
 * Hooks"). Each gets the container's state as JSON on stdin; one that fails or outlives its timeout fails the operation. Paths
 * are the host's, never looked up in the container. Called as steps, and by container.c after start and end. */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "setup.h"

static const char *const kind_names[HOOK_COUNT] = {
	[HOOK_PRESTART] = "prestart",
	[HOOK_CREATE_RUNTIME] = "createRuntime",
	[HOOK_CREATE_CONTAINER] = "createContainer",
	[HOOK_START_CONTAINER] = "startContainer",
	[HOOK_POSTSTART] = "poststart",
	[HOOK_POSTSTOP] = "poststop",
};

static bool has_hooks(const struct spec *s, enum spec_hook_kind kind) { return s->hooks.n[kind] > 0; }

static char *state_text(const struct container_args *a, const char *status, pid_t pid)
{
	_cleanup_json_ struct json_object *o = state_json(a, status, pid);

	return o ? strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)) : NULL;
}

/* Waits until the hook ends; kills it after its timeout. */
static int wait_hook(const struct spec_hook *h, pid_t pid, int pidfd, struct err *e)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	uint64_t begin = clock_mono_us(), limit_ms = h->timeout_s == SPEC_UNSET ? 0 : (uint64_t)h->timeout_s * 1000;
	bool timed_out = false;
	int status, r;

	for (;;) {
		uint64_t spent_ms = (clock_mono_us() - begin) / 1000;

		r = poll(&p, 1, limit_ms ? (int)MIN(limit_ms > spent_ms ? limit_ms - spent_ms : 0, (uint64_t)INT_MAX) : -1);
		if (r > 0 || (r < 0 && errno != EINTR))
			break;
		if (r == 0) {
			timed_out = true;
			pidfd_kill(pidfd, SIGKILL);
			break;
		}
	}
	r = spawn_wait(pid, &status);
	if (r < 0)
		return err_set(e, -r, "%s: %s", h->path, strerror(-r));
	if (timed_out)
		return err_set(e, ETIMEDOUT, "%s: did not end within %lld s", h->path, (long long)h->timeout_s);
	return status ? err_set(e, ECHILD, "%s: ended with status %d", h->path, status_to_exit(status)) : 0;
}

/* The state as a file to read from its start: a hook that reads none of it blocks nobody. */
static int state_file(const char *state, struct err *e)
{
	_cleanup_fd_ int fd = memfd_create("state", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : fd_write_full(fd, state, strlen(state));

	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? err_set(e, -r, "state: %s", strerror(-r)) : TAKE_FD(fd);
}

static int run_one(const struct spec_hook *h, const char *state, struct err *e)
{
	static char *const no_env[] = { NULL };
	char *const just_path[] = { h->path, NULL };
	_cleanup_fd_ int pidfd = -1, in = -1;
	pid_t pid;
	int r;

	if (!h->path || h->path[0] != '/')
		return err_set(e, EINVAL, "path \"%s\": expected an absolute path", h->path ? h->path : "");
	in = state_file(state, e);
	if (in < 0)
		return in;
	const int map[][2] = { { in, 0 }, { 2, 2 } };
	struct spawn sp = {
		.path = h->path,
		.argv = h->args ? h->args : just_path,
		.env = h->env ? h->env : no_env,
		.fds = map,
		.n_fds = ARRAY_SIZE(map),
		.cwd_fd = -1,
	};
	r = spawn_start(&sp, &pid, &pidfd, e);
	return r < 0 ? r : wait_hook(h, pid, pidfd, e);
}

static void nap(void)
{
	enum { NAP_NS = 100000 };

	nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
}

/* The exec closes the child's socket some time before it is over. poststart hooks come "after the user-specified process is
 * executed": the kernel gives the new program its arguments last, and until then cmdline reads as empty. One that is gone, or that
 * a slow disk keeps, is not waited for. */
static void wait_exec_end(pid_t pid)
{
	enum { TRIES = 1000 };
	char path[64], c;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	for (int i = 0; i < TRIES; i++) {
		_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

		if (fd < 0 || read(fd, &c, 1) != 0)
			return;
		nap();
	}
}

/* Nothing orders the program and the hooks from there on, and hooks are written for one that is up: it goes on alone until it
 * waits for something or has ended, or for a moment: of its own processor time, as that of the clock is none on a busy host. */
static void wait_program(pid_t pid)
{
	enum { TRIES = 500, MOST = 20000, MOMENT_MS = 80 };
	uint64_t had_ms;

	wait_exec_end(pid);
	had_ms = pid_cpu_ms(pid);
	for (int i = 0; i < MOST && pid_is_at_work(pid); i++) {
		if (i >= TRIES && pid_cpu_ms(pid) >= had_ms + MOMENT_MS)
			return;
		nap();
	}
}

int hooks_run(const struct container_args *a, enum spec_hook_kind kind, const char *status, pid_t pid, struct err *e)
{
	_cleanup_free_ char *state = NULL;
	int r = 0;

	if (!has_hooks(a->spec, kind))
		return 0;
	state = state_text(a, status, pid);
	if (!state)
		return err_set(e, ENOMEM, "hooks: out of memory");
	if (kind == HOOK_POSTSTART)
		wait_program(pid);
	for (size_t i = 0; i < a->spec->hooks.n[kind] && r == 0; i++) {
		struct err why = { 0 };

		r = run_one(&a->spec->hooks.list[kind][i], state, &why);
		if (r < 0)
			err_push(&why, r, "%s hook %zu", kind_names[kind], i);
		/* OCI 1.2 runtime, "Lifecycle", 9 and 13: the others run "as if the hook had succeeded". */
		if (r < 0 && (kind == HOOK_POSTSTART || kind == HOOK_POSTSTOP)) {
			log_warn("container", "%s: %s", a->id, why.msg);
			r = 0;
		}
		if (r < 0 && e)
			*e = why;
	}
	return r;
}

/* Who still writes the deprecated prestart hooks wrote them for OCI 1.0, where they were part of start and were told of a
 * created container; the others are part of create, which is not over. */
int hooks_run_runtime(struct setup *s, struct err *e)
{
	int r = hooks_run(s->args, HOOK_PRESTART, "created", s->c->pid, e);

	return r < 0 ? r : hooks_run(s->args, HOOK_CREATE_RUNTIME, "creating", s->c->pid, e);
}

/* Child, with everything mounted and the host's tree still its root. */
int hooks_wait(struct setup *s, struct err *e)
{
	int r;

	if (!has_hooks(s->spec, HOOK_PRESTART) && !has_hooks(s->spec, HOOK_CREATE_RUNTIME) &&
	    !has_hooks(s->spec, HOOK_CREATE_CONTAINER) && !has_hooks(s->spec, HOOK_START_CONTAINER))
		return 0;
	r = sync_report(s, s->sock, SYNC_HOOKS, 0, NULL, -1);
	if (r < 0)
		return err_set(e, -r, "%s", strerror(-r));
	r = sync_wait(s, SYNC_HOOKED, e);
	/* runtime.md §state: hooks in the container's namespaces get "the pid as seen by the container". */
	return r < 0 ? r : hooks_run(s->args, HOOK_CREATE_CONTAINER, "creating", getpid(), e);
}

/* Child, inside the root: by the specification these paths are the container's, and run with the process's own rights. */
int hooks_start_container(struct setup *s, struct err *e)
{
	return hooks_run(s->args, HOOK_START_CONTAINER, "created", getpid(), e);
}
