/* net_device: network devices of the host that move into the container's network namespace (linux.netDevices). The parent moves
 * them, since nobody inside has rights over the host's; so the namespace is born with the child, and the child waits until they
 * are there before it sets kernel parameters of theirs. A device keeps its permanent addresses of global scope, which the move
 * itself drops, and comes up; whoever owns the namespace has it from then on: it is never moved back, and the kernel returns
 * hardware to the host when the namespace ends. Called as steps. */
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include "netlink.h"
#include "setup.h"

enum { ADDRESSES_MAX = 64, TEMPLATE_MAX = 1000 };

/* A device on its way. */
struct move {
	const struct spec_net_device *want;
	int index; /* on the host, then inside */
	char name[IFNAMSIZ];
	struct nl_request addresses[ADDRESSES_MAX]; /* RTM_NEWADDR, but for the index */
	size_t n_addresses;
};
/* Both sides: a route socket each, and their namespaces. */
struct sides {
	int host, inside, ns;
};

/* ---- the addresses that it has ---- */

static uint32_t flags_of(const struct ifaddrmsg *m, const struct rtattr *a, size_t n)
{
	uint32_t flags = m->ifa_flags;

	for (; RTA_OK(a, n); a = RTA_NEXT(a, n))
		if (a->rta_type == IFA_FLAGS && RTA_PAYLOAD(a) == sizeof(flags))
			memcpy(&flags, RTA_DATA(a), sizeof(flags));
	return flags;
}

static int keep_address(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = nl_body(h);
	struct move *mv = arg;
	struct ifaddrmsg body;
	struct nl_request *q;
	size_t n;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || (int)m->ifa_index != mv->index)
		return 0;
	n = IFA_PAYLOAD(h);
	if (m->ifa_scope != RT_SCOPE_UNIVERSE || !(flags_of(m, IFA_RTA(m), n) & IFA_F_PERMANENT))
		return 0;
	if (mv->n_addresses == ADDRESSES_MAX)
		return -E2BIG;
	q = &mv->addresses[mv->n_addresses++];
	body = (struct ifaddrmsg){ .ifa_family = m->ifa_family, .ifa_prefixlen = m->ifa_prefixlen, .ifa_scope = m->ifa_scope };
	nl_begin(q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof(body));
	for (const struct rtattr *a = IFA_RTA(m); RTA_OK(a, n); a = RTA_NEXT(a, n))
		if (a->rta_type == IFA_LOCAL || a->rta_type == IFA_ADDRESS || a->rta_type == IFA_BROADCAST)
			nl_attr(q, a->rta_type, RTA_DATA(a), RTA_PAYLOAD(a));
	return 0;
}

static int collect_addresses(const struct sides *s, struct move *mv, struct err *e)
{
	struct ifaddrmsg all = { .ifa_family = AF_UNSPEC };
	struct nl_request q;
	int r;

	nl_begin(&q, RTM_GETADDR, 0, &all, sizeof(all));
	r = nl_dump(s->host, &q, keep_address, mv);
	return r < 0 ? err_set(e, -r, "its addresses: %s",
			       r == -E2BIG ? "they are more than this can carry over (64)" : strerror(-r))
		     : 0;
}

/* ---- names inside ---- */

static int note_index(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *m = nl_body(h);

	if (h->nlmsg_type == RTM_NEWLINK && h->nlmsg_len >= NLMSG_LENGTH(sizeof(*m)))
		*(int *)arg = m->ifi_index;
	return 0;
}

/* -ENODEV when there is none of that name. */
static int index_of(int sock, const char *name)
{
	struct ifinfomsg body = { .ifi_family = AF_UNSPEC };
	struct nl_request q;
	int index = -ENODEV, r;

	nl_begin(&q, RTM_GETLINK, 0, &body, sizeof(body));
	nl_attr(&q, IFLA_IFNAME, name, strlen(name) + 1);
	r = nl_get(sock, &q, note_index, &index);
	return r < 0 ? r : index;
}

/* "eth%d": the first number that is free there. */
static int choose_name(const struct sides *s, struct move *mv, struct err *e)
{
	const char *want = spec_net_device_name(mv->want), *percent = strchr(want, '%');
	int r;

	if (!percent) {
		snprintf(mv->name, sizeof(mv->name), "%s", want);
		r = index_of(s->inside, mv->name);
		return r > 0 ? err_set(e, EEXIST, "the container has a device %s already: give it another name", mv->name)
		       : r == -ENODEV ? 0
				      : err_set(e, -r, "%s: %s", mv->name, strerror(-r));
	}
	for (int i = 0; i < TEMPLATE_MAX; i++) {
		int n = snprintf(mv->name, sizeof(mv->name), "%.*s%d%s", (int)(percent - want), want, i, percent + 2);

		if (n >= IFNAMSIZ)
			break;
		r = index_of(s->inside, mv->name);
		if (r == -ENODEV)
			return 0;
		if (r < 0)
			return err_set(e, -r, "%s: %s", mv->name, strerror(-r));
	}
	return err_set(e, ENFILE, "no name like \"%s\" is free in the container", want);
}

/* ---- the move ---- */

static int set_up(int sock, int index, bool up)
{
	struct ifinfomsg body = { .ifi_index = index, .ifi_change = IFF_UP, .ifi_flags = up ? IFF_UP : 0 };
	struct nl_request q;

	nl_begin(&q, RTM_NEWLINK, 0, &body, sizeof(body));
	return nl_ask(sock, &q);
}

static int carry_over(const struct sides *s, const struct move *mv, struct err *e)
{
	struct ifinfomsg body = { .ifi_index = mv->index };
	struct nl_request q;
	int r;

	/* A device that is up can't be renamed (net/core/dev.c, dev_change_name; until Linux 6.6 without exception). */
	r = set_up(s->host, mv->index, false);
	if (r < 0)
		return err_set(e, -r, "take it down: %s", strerror(-r));
	nl_begin(&q, RTM_NEWLINK, 0, &body, sizeof(body));
	nl_attr(&q, IFLA_NET_NS_FD, &s->ns, sizeof(s->ns));
	nl_attr(&q, IFLA_IFNAME, mv->name, strlen(mv->name) + 1);
	r = nl_ask(s->host, &q);
	return r < 0 ? err_set(e, -r, "move it: %s", r == -EINVAL ? "it is bound to its network namespace" : strerror(-r)) : 0;
}

static int furnish(const struct sides *s, struct move *mv, struct err *e)
{
	int r = mv->index = index_of(s->inside, mv->name);

	if (r > 0)
		r = set_up(s->inside, mv->index, true);
	if (r < 0)
		return err_set(e, -r, "bring it up: %s", strerror(-r));
	for (size_t i = 0; i < mv->n_addresses; i++) {
		struct ifaddrmsg *m = NLMSG_DATA(&mv->addresses[i].hdr);

		m->ifa_index = (unsigned)mv->index;
		r = nl_ask(s->inside, &mv->addresses[i]);
		if (r < 0)
			return err_set(e, -r, "give it its address back: %s", strerror(-r));
	}
	return 0;
}

static int move_one(const struct sides *s, const struct spec_net_device *d, struct err *e)
{
	_cleanup_free_ struct move *mv = calloc(1, sizeof(*mv));
	int r;

	if (!mv)
		return err_set(e, ENOMEM, "%s: out of memory", d->host_name);
	mv->want = d;
	mv->index = index_of(s->host, d->host_name);
	if (mv->index < 0)
		return err_set(e, -mv->index, "%s: %s", d->host_name,
			       mv->index == -ENODEV ? "the host has no such network device" : strerror(-mv->index));
	r = collect_addresses(s, mv, e);
	if (r == 0)
		r = choose_name(s, mv, e);
	if (r == 0)
		r = carry_over(s, mv, e);
	if (r == 0)
		r = furnish(s, mv, e);
	return r < 0 ? err_push(e, r, "%s", d->host_name) : 0;
}

/* A socket belongs to the namespace that its maker was in: there and back again. */
static int open_inside(int ns, struct err *e)
{
	_cleanup_fd_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int fd;

	if (own < 0 || setns(ns, CLONE_NEWNET) < 0)
		return err_set(e, errno, "enter the container's network: %s", strerror(errno));
	fd = nl_open();
	if (setns(own, CLONE_NEWNET) < 0) {
		fd_close(fd);
		return err_set(e, errno, "leave the container's network: %s", strerror(errno));
	}
	return fd < 0 ? err_set(e, -fd, "netlink: %s", strerror(-fd)) : fd;
}

static int open_ns(struct setup *s, struct err *e)
{
	char path[64];
	int fd;

	if (s->ns_fd[NS_NET] >= 0)
		fd = fcntl(s->ns_fd[NS_NET], F_DUPFD_CLOEXEC, 3);
	else {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)s->c->pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return fd < 0 ? err_set(e, errno, "the container's network: %s", strerror(errno)) : fd;
}

int net_devices_move(struct setup *s, struct err *e)
{
	_cleanup_fd_ int ns = -1, inside = -1, host = -1;
	int r;

	if (s->spec->n_net_devices == 0)
		return 0;
	ns = open_ns(s, e);
	if (ns < 0)
		return ns;
	inside = open_inside(ns, e);
	if (inside < 0)
		return inside;
	host = nl_open();
	if (host < 0)
		return err_set(e, -host, "netlink: %s", strerror(-host));
	for (size_t i = 0; i < s->spec->n_net_devices; i++) {
		r = move_one(&(struct sides){ .host = host, .inside = inside, .ns = ns }, &s->spec->net_devices[i], e);
		if (r < 0)
			return r;
	}
	r = sync_send(s->sock, SYNC_DEVICES);
	/* Gone: what it reported, if anything, is the better error, and read next. */
	return r == -EPIPE || r == -ECONNRESET ? 0 : r < 0 ? err_set(e, -r, "%s", strerror(-r)) : 0;
}

int net_devices_wait(struct setup *s, struct err *e) { return s->spec->n_net_devices > 0 ? sync_wait(s, SYNC_DEVICES, e) : 0; }
