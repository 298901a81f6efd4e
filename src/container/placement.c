/* placement: on which CPU a container's first process begins, and the thread that makes its network. Now and then the kernel puts a new task
 * beside its maker although another CPU has nothing to do (Linux 6.18 on two virtual CPUs does so every other time), and there
 * it waits until the maker sleeps, half a millisecond or more, while the work of a start could be done by both at once. So the
 * maker moves it once, where another CPU is most likely free, and takes the restriction back at once: from then on the
 * kernel places it as it likes. Whoever is elsewhere already is not moved (sched_setaffinity(2): nobody is who may be where he is). */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "setup.h"

/* A CPU other than the caller's is taken at random: it must be likely that it is idle. */
bool placement_pays(unsigned running, unsigned cpus) { return cpus > 1 && running * 2 <= cpus; }

/* /proc/loadavg: "0.10 0.20 0.30 RUNNING/ALL LAST_PID" (proc_loadavg(5)), of the whole host. */
static unsigned count_running(void)
{
	char text[128];
	unsigned running;
	_cleanup_fd_ int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return UINT_MAX / 2;
	text[n] = '\0';
	return sscanf(text, "%*s %*s %*s %u/", &running) == 1 ? running : UINT_MAX / 2;
}

/* One that is bound to some CPUs hands that down, and since Linux 6.2 the kernel remembers which mask was asked for, to
 * apply it again after a change of the cpuset: what has never been asked for is asked for by no one here. */
static bool is_bound(cpu_set_t *ret_all)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	return sched_getaffinity(0, sizeof(*ret_all), ret_all) < 0 || CPU_COUNT(ret_all) != online;
}

void placement_plan(struct placement *ret)
{
	ret->is_wanted = !is_bound(&ret->others) && placement_pays(count_running(), (unsigned)CPU_COUNT(&ret->others));
}

/* Where it fails the thread begins where the kernel likes. */
void placement_of_thread(const struct placement *p, pthread_attr_t *attr)
{
	cpu_set_t others = p->others;
	int here = p->is_wanted ? sched_getcpu() : -1;

	if (here < 0 || here >= CPU_SETSIZE)
		return;
	CPU_CLR((size_t)here, &others);
	(void)pthread_attr_setaffinity_np(attr, sizeof(others), &others);
}

int placement_apply(struct placement *p, pid_t pid, struct err *e)
{
	cpu_set_t any;
	int here = p->is_wanted ? sched_getcpu() : -1;

	if (here < 0 || here >= CPU_SETSIZE)
		return 0;
	CPU_CLR((size_t)here, &p->others);
	/* Refused where its cpuset has this CPU alone, or by its scheduling class: then it stays. */
	if (sched_setaffinity(pid, sizeof(p->others), &p->others) < 0)
		return 0;
	memset(&any, 0xff, sizeof(any));
	return sched_setaffinity(pid, sizeof(any), &any) < 0 && errno != ESRCH
		       ? err_set(e, errno, "the CPUs of the new process: %s", strerror(errno))
		       : 0;
}
