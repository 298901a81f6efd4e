/* net_ahead: the network namespace made in a thread while the caller reads, checks and records. It takes a kernel as long as all other
 * namespaces together, and the first process of a container has the longest way of all who take part in a start. See container.h.
 *
 * The thread neither allocates nor prints: the caller may clone while it runs, and the copy finds no lock held. */
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
	a->no = a->fd < 0 ? errno : 0;
	return NULL;
}

static void begin(struct net_ahead *a)
{
	pthread_attr_t attr;

	*a = (struct net_ahead){ .fd = -1 };
	if (pthread_attr_init(&attr) != 0)
		return;
	placement_plan(&a->placement);
	placement_of_thread(&a->placement, &attr);
	a->is_begun = pthread_create(&a->thread, &attr, make, a) == 0;
	pthread_attr_destroy(&attr);
}

void container_network_begin(struct net_ahead *a, const struct spec *s)
{
	bool is_wanted = ns_may_take_network(s);

	if (is_wanted && !a->is_begun)
		begin(a);
	else if (!is_wanted)
		fd_close(container_network_take(a));
}

/* Of {"type": "...", ...}, flat as a namespace's entry is, at p in its value: is there no "path" in it? */
static bool is_new(const char *text, const char *p, const char *end)
{
	const char *last = memchr(p, '}', (size_t)(end - p)), *first = p;

	while (first > text && *first != '{')
		first--;
	return last && !memmem(first, (size_t)(last - first), "\"path\"", 6);
}

/* The word after a "type" at p, or NULL. */
static const char *value_at(const char *p, const char *end)
{
	while (p < end && (*p == ':' || *p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p < end && *p == '"' ? p + 1 : NULL;
}

void container_network_guess(struct net_ahead *a, const char *text, size_t len)
{
	const char *end = text + len, *p = text, *network = NULL;

	while ((p = memmem(p, (size_t)(end - p), "\"type\"", 6))) {
		const char *v = value_at(p += 6, end);

		if (v && end - v > 8 && memcmp(v, "network\"", 8) == 0)
			network = network ? network : v; /* the first alone: the text may be anybody's, and long */
		else if (v && end - v > 5 && memcmp(v, "user\"", 5) == 0)
			return;
	}
	if (network && is_new(text, network, end))
		begin(a);
}

int container_network_take(struct net_ahead *a)
{
	if (!a->is_begun)
		return -1;
	a->is_begun = false;
	return pthread_join(a->thread, NULL) == 0 ? TAKE_FD(a->fd) : -1;
}

int net_by_thread(int *ret_fd, struct err *e)
{
	struct net_ahead a;
	int fd;

	begin(&a);
	fd = container_network_take(&a);
	if (fd < 0)
		return err_set(e, a.no ? a.no : EAGAIN, "new network namespace: %s", strerror(a.no ? a.no : EAGAIN));
	*ret_fd = fd;
	return 0;
}

/* After the clone: a copy of this thread alone, which the other one does not hinder, for neither holds a lock. */
int net_ahead_pass(struct setup *s, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	int r;

	if (!net_ahead_is_begun(s->args->network))
		return 0;
	fd = container_network_take(s->args->network);
	r = placement_apply(&s->args->network->placement, s->c->pid, e);
	if (r < 0)
		return r;
	r = fd >= 0 ? sync_send_fd(s->sock, SYNC_NETWORK, fd) : sync_send(s->sock, SYNC_NETWORK);
	/* Gone: what it reported, if anything, is the better error, and read next. */
	return r == -EPIPE || r == -ECONNRESET ? 0 : r < 0 ? err_set(e, -r, "%s", strerror(-r)) : 0;
}
