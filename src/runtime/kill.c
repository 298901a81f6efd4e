/* kill: a signal to the first process, or to all of a container. */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

const struct opt kill_options[] = {
	{ "all", 'a', OPT_FLAG, offsetof(union verb_opts, kill_all), NULL, "to all processes of the container" },
	{ NULL },
};

/* Signal 0 asks whether there is somebody. */
static int read_signal(const char *s, struct err *e)
{
	int sig = streq(s, "0") ? 0 : signal_parse(s);

	return sig < 0 ? err_set(e, EINVAL, "unknown signal \"%.40s\"", s) : sig;
}

static int kill_all(const struct record *rec, const struct host *host, int sig, struct err *e)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	int r = record_pids(rec, host, &pids, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (kill(pids[i], sig) < 0 && errno != ESRCH)
			r = -errno;
	return r < 0 ? err_set(e, -r, "signal %d to all processes: %s", sig, strerror(-r)) : 0;
}

/* See patience.h. */
static void wait_handler(pid_t pid, int sig)
{
	const uint64_t had_ms = pid_cpu_ms(pid);

	for (unsigned naps = 0; pid_is_deaf_at_work(pid, sig) && !patience_is_over(pid, naps, had_ms); naps++)
		nanosleep(&(struct timespec){ .tv_nsec = PATIENCE_NAP_MS * 1000000L }, NULL);
}

/* The pidfd first, then whether the pid is still who it was: after that it can't become somebody else. */
static int kill_first(const struct record *rec, int sig, struct err *e)
{
	_cleanup_fd_ int fd = rec->pid > 0 ? pidfd_open_((pid_t)rec->pid) : -ESRCH;
	int r = fd < 0 ? fd : record_live_pid(rec) ? 0 : -ESRCH;

	if (r == 0) {
		wait_handler((pid_t)rec->pid, sig);
		r = pidfd_kill(fd, sig);
	}
	if (r == -ESRCH)
		return err_set(e, ESRCH, "container not running: %s", rec->id);
	return r < 0 ? err_set(e, -r, "signal %d to %s: %s", sig, rec->id, strerror(-r)) : 0;
}

static int send_signal(const struct held *h, const struct host *host, int sig, bool all, struct err *e)
{
	struct cgroup *cg = NULL;
	bool has_cgroup = record_cgroup(&h->rec, host, &cg, NULL) == 0;
	int r;

	/* Where they share somebody's pid namespace the others outlive the first: SIGKILL means the container. */
	if ((all && (has_cgroup || h->rec.has_pid_ns)) || (has_cgroup && sig == SIGKILL && !h->rec.has_pid_ns))
		r = kill_all(&h->rec, host, sig, e);
	else
		r = kill_first(&h->rec, sig, e);
	/* On v1 a frozen process dies only once it is thawed. */
	if (r == 0 && sig == SIGKILL && has_cgroup && cgroup_is_frozen(cg))
		r = cgroup_freeze(cg, false, e);
	cgroup_free(cg);
	return r;
}

int verb_kill(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	_cleanup_held_ struct held h = HELD_NONE;
	struct host host = { 0 };
	int sig = read_signal(rt->n_operands > 1 ? rt->operands[1] : "TERM", e);
	int r = sig < 0 ? sig : record_open(rt, rt->operands[0], UNLOCKED, &h, e);

	if (r == 0)
		r = host_probe_cgroup(&host, e);
	if (r == 0)
		r = send_signal(&h, &host, sig, opts->kill_all, e);
	host_done(&host);
	return r;
}
