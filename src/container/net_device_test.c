/* Network devices of the host that move into a container. Each test has a network namespace of its own for a host. */
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <linux/veth.h>

#include "fixture.h"
#include "netlink.h"

static void add_veth(const char *name, const char *peer)
{
	struct ifinfomsg body = { .ifi_family = AF_UNSPEC };
	_cleanup_fd_ int fd = nl_open();
	struct nl_request q;
	/* Nested: LINKINFO { KIND, DATA { PEER { ifinfomsg, IFNAME } } }, built from the inside. */
	_Alignas(4) char nest[256] = "";
	struct rtattr *info = (struct rtattr *)nest, *data, *of_peer, *ifname;
	int r;

	info->rta_type = IFLA_INFO_KIND;
	info->rta_len = RTA_LENGTH(4);
	memcpy(RTA_DATA(info), "veth", 4);
	data = (struct rtattr *)(void *)(nest + RTA_SPACE(4));
	of_peer = RTA_DATA(data);
	ifname = (struct rtattr *)(void *)((char *)RTA_DATA(of_peer) + NLMSG_ALIGN(sizeof(body)));
	ifname->rta_type = IFLA_IFNAME;
	ifname->rta_len = (unsigned short)RTA_LENGTH(strlen(peer) + 1);
	memcpy(RTA_DATA(ifname), peer, strlen(peer) + 1);
	of_peer->rta_type = VETH_INFO_PEER;
	of_peer->rta_len = (unsigned short)(RTA_LENGTH(sizeof(body)) + RTA_ALIGN(ifname->rta_len));
	data->rta_type = IFLA_INFO_DATA;
	data->rta_len = (unsigned short)(RTA_LENGTH(0) + RTA_ALIGN(of_peer->rta_len));
	ok(fd >= 0);
	nl_begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof(body));
	nl_attr(&q, IFLA_IFNAME, name, strlen(name) + 1);
	nl_attr(&q, IFLA_LINKINFO, nest, RTA_SPACE(4) + data->rta_len);
	r = nl_ask(fd, &q);
	if (r < 0)
		TAP_FAIL("veth %s: %s", name, strerror(-r));
}

static void add_address(const char *device, int family, const char *text, unsigned char prefix)
{
	struct ifaddrmsg body = { .ifa_family = (unsigned char)family,
				  .ifa_prefixlen = prefix,
				  .ifa_index = if_nametoindex(device) };
	_cleanup_fd_ int fd = nl_open();
	unsigned char addr[16];
	struct nl_request q;

	ok(fd >= 0 && inet_pton(family, text, addr) == 1);
	nl_begin(&q, RTM_NEWADDR, NLM_F_CREATE, &body, sizeof(body));
	nl_attr(&q, IFA_LOCAL, addr, family == AF_INET ? 4 : 16);
	nl_attr(&q, IFA_ADDRESS, addr, family == AF_INET ? 4 : 16);
	is_int(nl_ask(fd, &q), 0);
}

/* The test's own "host", with v0 and v1, each with a peer. */
static void host_init(struct fixture *f)
{
	fixture_init(f);
	ok(unshare(CLONE_NEWNET) == 0);
	add_veth("v0", "p0");
	add_veth("v1", "p1");
	add_address("v0", AF_INET, "192.0.2.7", 24);
	add_address("v0", AF_INET6, "2001:db8::7", 64);
}

static struct spec_idmap shifted = { .container_id = 0, .host_id = 100000, .size = 65536 };

TEST(a_device_moves_with_its_addresses_under_its_new_name_and_is_up)
{
	struct spec_net_device d[] = { { .host_name = (char[]){ "v0" }, .name = (char[]){ "inside" } },
				       { .host_name = (char[]){ "v1" } } };
	struct fixture f;

	host_init(&f);
	f.spec.net_devices = d;
	f.spec.n_net_devices = 2;
	ok(map_set(&f.spec.sysctl, "net.ipv4.conf.inside.forwarding", "1") == 0);
	for (int i = 0; i < 2; i++) {
		sh(&f,
		   "busybox ip addr show dev inside; busybox ip link show dev v1; cat /proc/sys/net/ipv4/conf/inside/forwarding");
		has_str(f.out, "inside@");
		has_str(f.out, ",UP");
		has_str(f.out, "inet 192.0.2.7/24 ");
		has_str(f.out, "inet6 2001:db8::7/64 scope global");
		has_str(f.out, " v1@");
		ok(str_ends(f.out, "\n1\n"));
		/* It went with the container: veths of a namespace that ends are gone, both ends. */
		for (int k = 0; k < 500 && if_nametoindex("p0") != 0; k++)
			usleep(10000);
		is_int(if_nametoindex("v0"), 0);
		add_veth("v0", "p0");
		add_address("v0", AF_INET, "192.0.2.7", 24);
		add_address("v0", AF_INET6, "2001:db8::7", 64);
		for (int k = 0; k < 500 && if_nametoindex("p1") != 0; k++)
			usleep(10000);
		add_veth("v1", "p1");
		/* And once more for the root of a user namespace, who has no rights over the host's. */
		f.spec.ns.wanted[NS_USER] = true;
		f.spec.uid_mappings = f.spec.gid_mappings = &shifted;
		f.spec.n_uid_mappings = f.spec.n_gid_mappings = 1;
	}
	f.spec.uid_mappings = f.spec.gid_mappings = NULL;
	f.spec.n_uid_mappings = f.spec.n_gid_mappings = 0;
	f.spec.net_devices = NULL;
	f.spec.n_net_devices = 0;
	fixture_done(&f);
}

TEST(a_template_gets_the_first_free_name)
{
	struct spec_net_device d[] = { { .host_name = (char[]){ "v0" }, .name = (char[]){ "eth%d" } },
				       { .host_name = (char[]){ "v1" }, .name = (char[]){ "eth%d" } } };
	struct fixture f;

	host_init(&f);
	f.spec.net_devices = d;
	f.spec.n_net_devices = 2;
	is_str(sh(&f, "cd /sys/class/net; echo *"), "eth0 eth1 lo\n");
	f.spec.net_devices = NULL;
	f.spec.n_net_devices = 0;
	fixture_done(&f);
}

TEST(what_can_not_move_is_refused_and_stays_as_it_was)
{
	struct spec_net_device missing = { .host_name = (char[]){ "nosuch" } },
			       taken = { .host_name = (char[]){ "v0" }, .name = (char[]){ "lo" } },
			       lo = { .host_name = (char[]){ "lo" }, .name = (char[]){ "lo7" } };
	struct fixture f;
	int fds;

	host_init(&f);
	f.spec.n_net_devices = 1;
	f.spec.net_devices = &missing;
	has_str(refused(&f), "network devices: nosuch: the host has no such network device");
	f.spec.net_devices = &taken;
	has_str(refused(&f), "network devices: v0: the container has a device lo already: give it another name");
	ok(if_nametoindex("v0") != 0);
	f.spec.net_devices = &lo;
	has_str(refused(&f), "network devices: lo: move it: it is bound to its network namespace");
	fds = count_fds();
	for (int i = 0; i < 10; i++)
		refused(&f);
	is_int(count_fds(), fds);
	f.spec.net_devices = NULL;
	f.spec.n_net_devices = 0;
	fixture_done(&f);
}

TAP_MAIN()
