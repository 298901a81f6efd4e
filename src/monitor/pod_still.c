/* pod_still: the virtual machine of a user's pod stands still, and with it all of its containers: what its holder has started, the VMM and its servers,
 * by SIGSTOP (base/stop.c). Root's stands still by its cgroup's freezer, as pods of containers do; a user may have none, and where he has one KVM's
 * thread in it can't be put out by him (container/cgroup_kthread.c). */
#include <signal.h>

#include "monitor_impl.h"
#include "pod_run.h"

struct all {
	size_t n, n_still;
	bool still;
};

static int look_at(pid_t pid, int pidfd _unused_, void *arg)
{
	struct all *a = arg;

	a->n++;
	a->n_still += pid_is_stopped(pid);
	return 0;
}

static int stop_or_go_on(pid_t pid, int pidfd, void *arg)
{
	struct all *a = arg;
	int r = a->still ? pid_stop(pid, pidfd) : pidfd_kill(pidfd, SIGCONT);

	a->n++;
	return r == -ESRCH ? 0 : r;
}

/* 0: it is not a virtual machine's, or none that is held so. */
static pid_t holder_of(const struct paths *p, const char *pod_id)
{
	struct monitor_state m = { .truth = MONITOR_NONE };

	if (!in_user_namespace() || monitor_inspect(p, pod_id, &m, NULL) < 0 || m.truth == MONITOR_NONE ||
	    m.truth == MONITOR_DIED)
		return 0;
	return m.monitor_pid;
}

int pod_stand_still(const struct paths *p, const char *pod_id, bool still, struct err *e)
{
	struct all a = { .still = still };
	pid_t holder = holder_of(p, pod_id);
	int r = holder ? pid_each_child(holder, stop_or_go_on, &a) : 0;

	if (!holder)
		return 0;
	if (r == -ETIMEDOUT) {
		a.still = false;
		(void)pid_each_child(holder, stop_or_go_on, &a);
	}
	if (r < 0 || !a.n)
		return err_set(e, r < 0 ? -r : ESRCH, "the pod's virtual machine: %s", strerror(r < 0 ? -r : ESRCH));
	return 1;
}

bool pod_stands_still(const struct paths *p, const char *pod_id)
{
	struct all a = { .n = 0 };
	pid_t holder = holder_of(p, pod_id);

	return holder && pid_each_child(holder, look_at, &a) >= 0 && a.n && a.n_still == a.n;
}
