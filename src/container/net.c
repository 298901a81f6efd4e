/* net: the least that a new network namespace needs: its loopback up, and where the caller wants it, as Docker does for its containers,
 * ping without privilege. Called as step `network`. */
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "setup.h"

#define PING_RANGE "sys/net/ipv4/ping_group_range"

int net_loopback_up(struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo" };

	/* A kernel without IPv4 still answers interface calls on a unix socket. */
	if (fd < 0 && errno == EAFNOSUPPORT)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(e, errno, "loopback: %s", strerror(errno));
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return err_set(e, errno, "loopback: %s", strerror(errno));
	ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_UP);
	return ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? err_set(e, errno, "loopback: %s", strerror(errno)) : 0;
}

int container_make_network(int *ret_fd, struct err *e)
{
	_cleanup_fd_ int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), made = -1;
	int r;

	if (own < 0)
		return err_set(e, errno, "/proc/thread-self/ns/net: %s", strerror(errno));
	if (in_user_namespace()) /* the own one may be the host's, to which nobody returns from here */
		return net_by_thread(ret_fd, e);
	if (unshare(CLONE_NEWNET) < 0)
		return err_set(e, errno, "new network namespace: %s", strerror(errno));
	r = net_loopback_up(e);
	if (r == 0 && (made = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) < 0)
		r = err_set(e, errno, "/proc/thread-self/ns/net: %s", strerror(errno));
	if (setns(own, CLONE_NEWNET) < 0)
		return err_set(e, ENOTRECOVERABLE, "return to the own network namespace: %s", strerror(errno));
	if (r == 0)
		*ret_fd = TAKE_FD(made);
	return r;
}

/* The end of the range of groups that begins with 0 in the user namespace that this process is in, whoever made that; its rows are in the
 * order of the groups here. -ENOENT where it has no group 0. */
static int last_group(struct setup *s, unsigned long *ret_last)
{
	_cleanup_free_ char *map = NULL;
	unsigned long next = 0;
	int r = file_read(s->procfd, "self/gid_map", 1 << 16, &map, NULL);

	if (r < 0)
		return r;
	for (const char *row = map; *row; row += strcspn(row, "\n"), row += *row == '\n') {
		char *end;
		unsigned long inside = strtoul(row, &end, 10), count;

		strtoul(end, &end, 10);
		count = strtoul(end, NULL, 10);
		if (inside == next)
			next += count;
	}
	*ret_last = next - 1;
	return next > 0 ? 0 : -ENOENT;
}

/* The kernel compares groups as they are outside, and takes a range whose end is before its beginning there for none at all. */
static bool begins_with_root(struct setup *s)
{
	_cleanup_free_ char *now = NULL;

	return file_read(s->procfd, PING_RANGE, 64, &now, NULL) >= 0 && str_after(now, "0\t");
}

/* ping by ICMP sockets for every group, so that CAP_NET_RAW is not needed for it (ip-sysctl, ping_group_range). The upper
 * bound must be a group that exists in the user namespace, or it is refused (EINVAL). */
static int allow_ping(struct setup *s, struct err *e)
{
	char range[40] = "0 2147483647";
	unsigned long last;
	int r;

	if (!s->args->allows_ping || map_get(&s->spec->sysctl, "net.ipv4.ping_group_range"))
		return 0;
	r = procfs_write(s, PING_RANGE, range);
	if (r == -EINVAL && (r = last_group(s, &last)) == 0) {
		snprintf(range, sizeof(range), "0 %lu", last);
		r = procfs_write(s, PING_RANGE, range);
		if (r == 0 && !begins_with_root(s))
			r = procfs_write(s, PING_RANGE, "0 0");
	}
	/* ENOENT: a kernel without IPv4; a user namespace without a group 0. */
	return r < 0 && r != -ENOENT ? err_set(e, -r, "net.ipv4.ping_group_range = \"%s\": %s", range, strerror(-r)) : 0;
}

bool net_is_lent(const struct setup *s) { return s->args->owns_network && !s->spec->ns.wanted[NS_NET]; }

int net_apply(struct setup *s, struct err *e)
{
	int r;

	if (net_is_lent(s))
		return allow_ping(s, e);
	if (!ns_is_new(s->spec, NS_NET))
		return 0;
	r = ns_takes_network(s) ? 0 : net_loopback_up(e);
	return r < 0 ? r : allow_ping(s, e);
}
