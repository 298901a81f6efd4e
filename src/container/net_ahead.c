/* net_ahead: the network namespace made in a thread while the caller reads, checks and records. It takes a kernel as long as all other
 * namespaces together, and the first process of a container has the longest way of all who take part in a start. See container.h.
 *
 * The thread neither allocates nor prints: the caller may clone as soon as it is joined, and finds no lock held. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

#include "setup.h"

static void *make(void *arg)
{
	struct net_ahead *a = arg;
	struct err e = { 0 };

	/* Only this thread's namespace changes, and ends with it where nothing else holds it. */
	if (unshare(CLONE_NEWNET) == 0 && net_loopback_up(&e) == 0)
		a->fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return NULL;
}

void container_network_begin(struct net_ahead *a, const struct spec *s)
{
	*a = (struct net_ahead){ .fd = -1 };
	a->is_begun = ns_may_take_network(s) && pthread_create(&a->thread, NULL, make, a) == 0;
}

int container_network_take(struct net_ahead *a)
{
	if (!a->is_begun)
		return -1;
	a->is_begun = false;
	return pthread_join(a->thread, NULL) == 0 ? TAKE_FD(a->fd) : -1;
}
