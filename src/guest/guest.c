/* guest: what the agent has done, with the same container library as on a host: START makes the file systems and the
 * container, EXEC a further process, and so on. State: one guest, and a container a slot. */
#include <signal.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

struct guest {
	struct host host;
	bool has_clock;           /* set with the first container */
	bool has_shares;          /* mounted with the first container that has volumes */
	struct guest_cards cards; /* furnished with the first container that has interfaces */
	struct member {
		struct guest_start start; /* from its frame; the container borrows its spec */
		struct container *container;
		pid_t holder; /* instead of the container's, where only its files are served; 0: none */
		bool has_start;
		pid_t still_for; /* whoever reads its files while it stands still; 0: nobody */
	} members[GUEST_SLOTS];
};

static void end_holder(struct member *m)
{
	if (m->holder && kill(m->holder, SIGKILL) == 0)
		(void)waitpid(m->holder, NULL, 0);
	m->holder = 0;
}

static void member_done(struct member *m)
{
	container_destroy(m->container);
	end_holder(m);
	guest_settle_disks(&m->start);
	if (m->has_start)
		guest_start_done(&m->start);
	*m = (struct member){ .container = NULL };
}

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
	for (size_t i = 0; i < GUEST_SLOTS; i++)
		member_done(&g->members[i]);
	host_done(&g->host);
	free(g);
}

bool guest_is_volatile(const struct guest *g)
{
	return g->members[0].has_start && g->members[0].start.is_volatile && !g->members[0].start.is_pod;
}

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

static int seed(const struct guest_start *s, struct err *e) { return s->entropy_b64 ? guest_seed(s->entropy_b64, e) : 0; }

/* User names are looked up in the image's own files: by the container library, through its root. */
static int create(struct guest *g, struct member *m, int rootfd, struct stdio *io, struct err *e)
{
	const struct guest_start *s = &m->start;
	_cleanup_fd_ int memory = -1;
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
		.owns_network = true,
	};
	int r = s->is_pod && !s->spec.ns.wanted[NS_IPC] ? guest_shared_memory(s, &memory, e) : 0;

	a.memory_fd = memory;
	if (r >= 0)
		r = container_create(&a, &m->container, e);
	if (r < 0)
		return r;
	r = container_start(m->container, e);
	if (r < 0) {
		container_destroy(m->container);
		m->container = NULL;
	}
	return r;
}

/* The first one sets up what is the guest's as a whole. */
static int set_up_guest(struct guest *g, const struct guest_start *s, struct err *e)
{
	int r = g->has_clock ? 0 : guest_set_clock(s->time_ns, e);

	if (r >= 0)
		r = seed(s, e);
	if (r >= 0 && !g->has_clock && s->hostname && sethostname(s->hostname, strlen(s->hostname)) < 0)
		r = err_set(e, errno, "host name \"%s\": %s", s->hostname, strerror(errno));
	g->has_clock = r >= 0;
	return r;
}

static int set_up_network(struct guest *g, const struct guest_start *s, struct err *e)
{
	int r = 0;

	if (s->n_interfaces == 0 || g->cards.n > 0)
		return 0;
	r = guest_load_modules(GUEST_MODULES_NET, e);
	return r < 0 ? r : guest_interfaces_start(s->interfaces, s->n_interfaces, &g->cards, e);
}

/* The container's own process, or the one that stands for it. */
static int begin(struct guest *g, struct member *m, int rootfd, struct stdio *io, struct agent_process *ret, struct err *e)
{
	int r = m->start.serves_files ? guest_hold_root(rootfd, &m->start, &m->holder, e) : create(g, m, rootfd, io, e);

	if (r < 0)
		return r;
	if (m->container)
		give(io, container_take_console(m->container), container_pid(m->container), ret);
	else
		give(io, -1, m->holder, ret);
	return 0;
}

static int guest_start(void *arg, unsigned slot, const struct guest_start *given, struct agent_process *ret, struct err *e)
{
	struct guest *g = arg;
	struct member *m = &g->members[slot];
	_cleanup_fd_ int rootfd = -1;
	_cleanup_(stdio_done) struct stdio io = { { -1, -1, -1 }, { -1, -1, -1 } };
	bool is_first = !g->has_clock;
	int r;

	member_done(m); /* a start that failed */
	m->start = *given;
	m->has_start = true;
	r = set_up_guest(g, &m->start, e);
	if (r >= 0)
		r = set_up_network(g, &m->start, e);
	if (r >= 0)
		r = guest_add_disks(&m->start, e);
	if (r >= 0)
		r = guest_mount_root(slot, &m->start, &rootfd, e);
	if (r >= 0 && !g->has_shares)
		r = guest_mount_shares(&m->start, e);
	g->has_shares |= r >= 0 && m->start.n_shares > 0; /* a pod's are one tree */
	if (r >= 0)
		r = stdio_init(&io, m->start.spec.process.terminal, e);
	if (r >= 0)
		r = begin(g, m, rootfd, &io, ret, e);
	if (r < 0) {
		if (m->start.is_pod)
			guest_unmount_root(slot);
		return r;
	}
	if (is_first && m->container)
		guest_load_late_modules();
	return 0;
}

/* It goes on when whoever reads them has ended, however he does (guest_reap). */
static int serve_files(struct member *m, unsigned slot, char *const *args, const int stdio[3], pid_t *ret_pid, struct err *e)
{
	const struct files_job job = { .slot = slot,
				       .pid = m->container ? container_pid(m->container) : m->holder,
				       .is_idle = !m->container };
	bool stands_still = m->container && guest_files_stands_still(args);
	int r = 0;

	if (stands_still && m->still_for)
		return err_set(e, EBUSY, "the container stands still already, for another command that reads its files");
	if (stands_still)
		r = cgroup_freeze(container_cgroup(m->container), true, e);
	if (r >= 0)
		r = guest_files(&job, args, stdio, ret_pid, e);
	if (r < 0 && stands_still)
		(void)cgroup_freeze(container_cgroup(m->container), false, NULL);
	if (r >= 0 && stands_still)
		m->still_for = *ret_pid;
	return r;
}

static void end_stillness(struct member *m)
{
	struct err e = { 0 };

	m->still_for = 0;
	if (m->container && cgroup_freeze(container_cgroup(m->container), false, &e) < 0)
		log_warn("files", "%s", e.msg);
}

static int guest_exec(void *arg, unsigned slot, const struct spec_process *p, struct agent_process *ret, struct err *e)
{
	struct guest *g = arg;
	struct member *m = &g->members[slot];
	_cleanup_(stdio_done) struct stdio io = { { -1, -1, -1 }, { -1, -1, -1 } };
	struct container_exec_args a = { .process = p, .seccomp = &m->start.seccomp };
	_cleanup_fd_ int pidfd = -1;
	int console = -1, r;
	pid_t pid = -1;

	bool is_files = p->args && p->args[0] && streq(p->args[0], GUEST_FILES);
	if (!m->container && !(m->holder && is_files))
		return err_set(e, ESRCH, "the container does not run");
	r = stdio_init(&io, p->terminal, e);
	if (r < 0)
		return r;
	memcpy(a.stdio, io.theirs, sizeof(a.stdio));
	if (is_files)
		r = serve_files(m, slot, p->args, io.theirs, &pid, e);
	else if (p->args && p->args[0] && streq(p->args[0], GUEST_PROCESSES))
		r = guest_processes(m->container, io.theirs, &pid, e);
	else if (m->still_for) /* a new one would stand still as well, before it can say that it has begun */
		r = err_set(e, EBUSY, "the container stands still while its files are read: try again");
	else
		r = container_exec(m->container, &a, &pid, &pidfd, &console, e);
	if (r < 0)
		return r;
	give(&io, console, pid, ret);
	return 0;
}

static int guest_kill(void *arg, unsigned slot, pid_t pid, bool is_main, int sig, struct err *e)
{
	struct guest *g = arg;

	if (is_main && g->members[slot].container)
		return container_kill(g->members[slot].container, sig, e);
	/* What it has begun goes with it; it leads a session from before it has executed anything. */
	if (!is_main && sig == SIGKILL && kill(-pid, sig) == 0)
		return 0;
	if (kill(pid, sig) < 0)
		return err_set(e, errno, "signal %d: %s", sig, strerror(errno));
	return 0;
}

static int guest_reap(void *arg, unsigned slot, pid_t pid, bool is_main, int *ret_wait_status, bool *ret_oom, struct err *e)
{
	struct guest *g = arg;
	struct member *m = &g->members[slot];
	int r;

	if (is_main && m->container) {
		r = container_reap(m->container, ret_wait_status, ret_oom, e);
		/* Its neighbours go on: what it wrote is on its disk when its end is told. */
		if (m->start.is_pod) {
			member_done(m);
			guest_unmount_root(slot);
		}
		return r;
	}
	*ret_oom = false;
	if (pid == m->still_for)
		end_stillness(m);
	if (waitpid(pid, ret_wait_status, 0) < 0)
		return err_set(e, errno, "wait for %d: %s", pid, strerror(errno));
	if (is_main) {
		m->holder = 0;
		if (m->start.is_pod) {
			member_done(m);
			guest_unmount_root(slot);
		}
	}
	return 0;
}

static int guest_stats(void *arg, unsigned slot, struct json_object **ret, struct err *e)
{
	struct guest *g = arg;
	struct cgroup_stats st = { 0 };
	int r;

	if (!g->members[slot].container)
		return err_set(e, ESRCH, "the container does not run");
	r = cgroup_stats(container_cgroup(g->members[slot].container), &st, e);
	if (r < 0)
		return r;
	*ret = cgroup_stats_json(&st);
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int guest_update(void *arg, unsigned slot, const struct spec_resources *r, unsigned cpus, struct err *e)
{
	struct guest *g = arg;
	struct cgroup *cg;
	int k = cpus ? guest_set_cpus(cpus, e) : 0;

	if (k < 0)
		return k;
	if (!g->members[slot].container)
		return err_set(e, ESRCH, "the container does not run");
	cg = container_cgroup(g->members[slot].container);
	k = cgroup_grow(&g->host, cg, r, e);
	return k < 0 ? k : cgroup_update(cg, r, e);
}

static int guest_freeze(void *arg, unsigned slot, bool on, struct err *e)
{
	struct guest *g = arg;

	if (!g->members[slot].container)
		return err_set(e, ESRCH, "the container does not run");
	if (g->members[slot].still_for)
		return err_set(e, EBUSY, "another command reads its files while it stands still");
	return cgroup_freeze(container_cgroup(g->members[slot].container), on, e);
}

static int guest_restore(void *arg, unsigned slot, const struct guest_identity *id, struct err *e)
{
	struct guest *g = arg;
	int r;

	if (!g->members[slot].container)
		return err_set(e, ESRCH, "the container does not run");
	r = guest_identity_take(id, container_pid(g->members[slot].container), e);
	return r < 0 ? r : guest_interfaces_again(id->interfaces, id->n_interfaces, &g->cards, e);
}

const struct agent_ops guest_agent_ops = { guest_start, guest_exec,   guest_kill,   guest_reap,
					   guest_stats, guest_update, guest_freeze, guest_restore };
