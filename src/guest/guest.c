/* guest: what the agent has done, with the same container library as on a host: START makes the file systems and the
 * container, EXEC a further process, and so on. State: one container, one guest. */
#include <signal.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

struct guest {
	struct host host;
	struct guest_start start; /* from the first frame; the container borrows its spec */
	struct container *container;
	bool has_start;
};

int guest_new(struct guest **ret, struct err *e)
{
	struct guest *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return err_set(e, ENOMEM, "out of memory");
	r = host_probe_cgroup(&g->host, e);
	if (r < 0) {
		free(g);
		return err_push(e, r, "control groups of the guest");
	}
	*ret = g;
	return 0;
}

void guest_free(struct guest *g)
{
	if (!g)
		return;
	container_destroy(g->container);
	if (g->has_start)
		guest_start_done(&g->start);
	host_done(&g->host);
	free(g);
}

bool guest_is_volatile(const struct guest *g) { return g->has_start && g->start.is_volatile; }

/* The child's and our ends of the three streams; a terminal needs none. */
struct stdio {
	int theirs[3], ours[3];
};

static void stdio_done(struct stdio *s)
{
	for (int i = 0; i < 3; i++) {
		fd_close(s->theirs[i]);
		fd_close(s->ours[i]);
	}
}

static int stdio_init(struct stdio *s, bool has_tty, struct err *e)
{
	*s = (struct stdio){ { -1, -1, -1 }, { -1, -1, -1 } };
	for (int i = 0; i < 3 && !has_tty; i++) {
		int p[2];

		if (pipe2(p, O_CLOEXEC) < 0)
			return err_set(e, errno, "pipe: %s", strerror(errno));
		s->theirs[i] = p[i == 0 ? 0 : 1];
		s->ours[i] = p[i == 0 ? 1 : 0];
	}
	return 0;
}

/* Moves our ends (or the terminal's master) to the agent. */
static void give(struct stdio *s, int console, pid_t pid, struct agent_process *ret)
{
	if (console >= 0) {
		*ret = (struct agent_process){ .pid = pid, .in = console, .out = console, .err = -1, .has_tty = true };
		return;
	}
	*ret = (struct agent_process){ .pid = pid, .in = s->ours[0], .out = s->ours[1], .err = s->ours[2] };
	s->ours[0] = s->ours[1] = s->ours[2] = -1;
}

static int seed(const struct guest_start *s, struct err *e)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t n = 0;

	if (!s->entropy_b64)
		return 0;
	if (base64_decode(s->entropy_b64, &bytes, &n) < 0)
		return err_set(e, EINVAL, "start: .entropy: not base64");
	return guest_add_entropy(bytes, n, e);
}

/* User names are looked up in the image's own files: by the container library, through its root. */
static int create(struct guest *g, int rootfd, struct stdio *io, struct err *e)
{
	const struct guest_start *s = &g->start;
	struct container_args a = {
		.spec = &s->spec,
		.id = s->id,
		.host = &g->host,
		.rootfd = rootfd,
		.seccomp = &s->seccomp,
		.files = s->files,
		.n_files = s->n_files,
		.init_path = s->use_init ? GUEST_INIT : NULL,
		.stdio = { io->theirs[0], io->theirs[1], io->theirs[2] },
		.allows_ping = true,
	};
	int r = container_create(&a, &g->container, e);

	if (r < 0)
		return r;
	r = container_start(g->container, e);
	if (r < 0) {
		container_destroy(g->container);
		g->container = NULL;
	}
	return r;
}

static int guest_start(void *arg, const struct guest_start *given, struct agent_process *ret, struct err *e)
{
	struct guest *g = arg;
	_cleanup_fd_ int rootfd = -1;
	_cleanup_(stdio_done) struct stdio io = { { -1, -1, -1 }, { -1, -1, -1 } };
	int r;

	g->start = *given;
	g->has_start = true;
	r = guest_set_clock(g->start.time_ns, e);
	if (r >= 0)
		r = seed(&g->start, e);
	if (r >= 0)
		r = guest_mount_root(&g->start, &rootfd, e);
	if (r >= 0)
		r = guest_mount_shares(&g->start, e);
	if (r >= 0)
		r = stdio_init(&io, g->start.spec.process.terminal, e);
	if (r >= 0)
		r = create(g, rootfd, &io, e);
	if (r < 0)
		return r;
	give(&io, container_take_console(g->container), container_pid(g->container), ret);
	return 0;
}

static int guest_exec(void *arg, const struct spec_process *p, struct agent_process *ret, struct err *e)
{
	struct guest *g = arg;
	_cleanup_(stdio_done) struct stdio io = { { -1, -1, -1 }, { -1, -1, -1 } };
	struct container_exec_args a = { .process = p, .seccomp = &g->start.seccomp };
	_cleanup_fd_ int pidfd = -1;
	int console = -1, r;
	pid_t pid = -1;

	if (!g->container)
		return err_set(e, ESRCH, "the container does not run");
	r = stdio_init(&io, p->terminal, e);
	if (r < 0)
		return r;
	memcpy(a.stdio, io.theirs, sizeof(a.stdio));
	r = container_exec(g->container, &a, &pid, &pidfd, &console, e);
	if (r < 0)
		return r;
	give(&io, console, pid, ret);
	return 0;
}

static int guest_kill(void *arg, pid_t pid, bool is_main, int sig, struct err *e)
{
	struct guest *g = arg;

	if (is_main)
		return container_kill(g->container, sig, e);
	if (kill(pid, sig) < 0)
		return err_set(e, errno, "signal %d: %s", sig, strerror(errno));
	return 0;
}

static int guest_reap(void *arg, pid_t pid, bool is_main, int *ret_wait_status, bool *ret_oom, struct err *e)
{
	struct guest *g = arg;

	if (is_main)
		return container_reap(g->container, ret_wait_status, ret_oom, e);
	*ret_oom = false;
	if (waitpid(pid, ret_wait_status, 0) < 0)
		return err_set(e, errno, "wait for %d: %s", pid, strerror(errno));
	return 0;
}

static int guest_stats(void *arg, struct json_object **ret, struct err *e)
{
	struct guest *g = arg;
	struct cgroup_stats st = { 0 };
	int r;

	if (!g->container)
		return err_set(e, ESRCH, "the container does not run");
	r = cgroup_stats(container_cgroup(g->container), &st, e);
	if (r < 0)
		return r;
	*ret = cgroup_stats_json(&st);
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

const struct agent_ops guest_agent_ops = { guest_start, guest_exec, guest_kill, guest_reap, guest_stats };
