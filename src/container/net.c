/* net: the least that a new network namespace needs: its loopback up, and ping without privilege. Called as step `network`. */
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "setup.h"

static int loopback_up(struct err *e)
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

/* ping by ICMP sockets for every group, so that CAP_NET_RAW is not needed for it (ip-sysctl, ping_group_range). The upper
 * bound must be a group that exists in the user namespace: the end of the range that holds group 0. */
static int allow_ping(struct setup *s, struct err *e)
{
	uint32_t last = 2147483647;
	char range[40];
	int r;

	if (map_get(&s->spec->sysctl, "net.ipv4.ping_group_range"))
		return 0;
	if (s->spec->ns.wanted[NS_USER] && s->spec->ns.path[NS_USER])
		last = 0;
	for (size_t i = 0; i < s->spec->n_gid_mappings; i++)
		if (s->spec->gid_mappings[i].container_id == 0 && ns_is_new(s->spec, NS_USER) &&
		    s->spec->gid_mappings[i].size > 0)
			last = MIN(last, s->spec->gid_mappings[i].size - 1);
	snprintf(range, sizeof(range), "0 %u", last);
	r = procfs_write(s, "sys/net/ipv4/ping_group_range", range);
	/* ENOENT: a kernel without IPv4. */
	return r < 0 && r != -ENOENT ? err_set(e, -r, "net.ipv4.ping_group_range = \"%s\": %s", range, strerror(-r)) : 0;
}

int net_apply(struct setup *s, struct err *e)
{
	int r;

	if (!ns_is_new(s->spec, NS_NET))
		return 0;
	r = loopback_up(e);
	return r < 0 ? r : allow_ping(s, e);
}
