/* A guest's cards, in a network namespace of the test's own: veths stand for them, known by their hardware addresses. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"
#include "netlink.h"
#include "tap.h"

static const uint8_t macs[2][6] = { { 0x02, 0x42, 1, 2, 3, 4 }, { 0x02, 0x42, 9, 8, 7, 6 } };

/* A card as a driver brings it: down, with a name of the kernel's and a hardware address. */
static void add_card(const char *name, const uint8_t mac[6])
{
	const struct ifinfomsg body = { .ifi_family = AF_UNSPEC };
	_cleanup_fd_ int fd = nl_open();
	_Alignas(4) char nest[32] = "";
	struct rtattr *kind = (struct rtattr *)nest;
	struct nl_request q;
	int r;

	kind->rta_type = IFLA_INFO_KIND;
	kind->rta_len = RTA_LENGTH(4);
	memcpy(RTA_DATA(kind), "veth", 4);
	nl_begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof(body));
	nl_attr(&q, IFLA_IFNAME, name, strlen(name) + 1);
	nl_attr(&q, IFLA_ADDRESS, mac, 6);
	nl_attr(&q, IFLA_LINKINFO, nest, RTA_SPACE(4));
	r = fd < 0 ? fd : nl_ask(fd, &q);
	if (r < 0)
		TAP_FAIL("veth %s: %s", name, strerror(-r));
}

static void own_network(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		skip("no network namespace of our own");
}

/* The kernel's names are the wrong way round. */
static void two_cards(void)
{
	own_network();
	add_card("eth1", macs[0]);
	add_card("eth0", macs[1]);
}

/* "eth0 02:42:01:02:03:04 mtu 1500 10.1.0.2/16 brd 10.1.255.255 up\n" of each card that is up. */
static void describe_address(struct buf *b, const struct ifaddrs *a)
{
	char text[INET6_ADDRSTRLEN] = "", brd[INET6_ADDRSTRLEN] = "";
	int family = a->ifa_addr->sa_family;
	size_t n = family == AF_INET ? 4 : 16, at = family == AF_INET ? 4 : 8;
	const uint8_t *mask = (const uint8_t *)a->ifa_netmask + at;
	unsigned prefix = 0;

	if (family == AF_INET6 && ((const uint8_t *)a->ifa_addr)[at] == 0xfe) /* the kernel's own, of the link */
		return;
	for (size_t i = 0; i < n * 8; i++)
		prefix += mask[i / 8] >> (7 - i % 8) & 1;
	inet_ntop(family, (const uint8_t *)a->ifa_addr + at, text, sizeof(text));
	buf_fmt(b, " %s/%u", text, prefix);
	if (family == AF_INET && a->ifa_flags & IFF_BROADCAST && a->ifa_broadaddr) {
		inet_ntop(family, (const uint8_t *)a->ifa_broadaddr + at, brd, sizeof(brd));
		if (!streq(brd, text)) /* what the library says of one without */
			buf_fmt(b, " brd %s", brd);
	}
}

static const char *card(const char *name)
{
	_cleanup_fd_ int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { 0 };
	struct buf b = { NULL };
	struct ifaddrs *all = NULL;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(s, SIOCGIFHWADDR, &ifr) < 0)
		return "none";
	for (int i = 0; i < 6; i++)
		buf_fmt(&b, "%s%02x", i ? ":" : "", (uint8_t)ifr.ifr_hwaddr.sa_data[i]);
	is_int(ioctl(s, SIOCGIFMTU, &ifr), 0);
	buf_fmt(&b, " mtu %d", ifr.ifr_mtu);
	is_int(getifaddrs(&all), 0);
	for (struct ifaddrs *a = all; a; a = a->ifa_next)
		if (a->ifa_addr && streq(a->ifa_name, name) && a->ifa_addr->sa_family != AF_PACKET)
			describe_address(&b, a);
	freeifaddrs(all);
	is_int(ioctl(s, SIOCGIFFLAGS, &ifr), 0);
	buf_str(&b, ifr.ifr_flags & IFF_UP ? " up" : " down");
	return tap_keep(buf_take(&b));
}

/* Of IPv4, "GATEWAY by DEVICE" as /proc/net/route has them. */
static const char *default_route(void)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL, device[32], host[INET_ADDRSTRLEN];
	unsigned to, gateway;

	is_int(file_read(AT_FDCWD, "/proc/thread-self/net/route", 64 << 10, &text, NULL), 0);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (sscanf(l, "%31s %x %x", device, &to, &gateway) == 3 && to == 0)
			return tap_keep(str_fmt("%s by %s", inet_ntop(AF_INET, &gateway, host, sizeof(host)), device));
	return "none";
}

static const char *setting(const char *device, const char *key)
{
	char *text = NULL;

	is_int(file_read(AT_FDCWD, tap_keep(str_fmt("/proc/sys/net/ipv6/conf/%s/%s", device, key)), 64, &text, NULL), 0);
	return tap_keep(text);
}

static void parse(const char *interfaces, struct guest_start *ret)
{
	_cleanup_free_ char *text = str_fmt(
		"{\"id\":\"a\",\"config\":{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"}},\"root\":{\"disk\":\"/dev/vda\"},"
		"\"time_ns\":1,\"interfaces\":%s}",
		interfaces);
	struct err e = { 0 };

	if (guest_start_parse(text, strlen(text), ret, &e) < 0)
		TAP_FAIL("%s", e.msg);
}

#define BOTH                                                                                            \
	"[{\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:04\",\"addresses\":[\"10.1.0.2/16\",\"fd00:1::2/" \
	"64\"],\"gateway4\":\"10.1.0.1\","                                                              \
	"\"gateway6\":\"fd00:1::1\",\"mtu\":1400},"                                                     \
	"{\"name\":\"eth1\",\"mac\":\"02:42:09:08:07:06\",\"addresses\":[\"10.2.0.6/31\"]}]"

TEST(cards_are_known_by_their_hardware_addresses_and_get_all_that_the_plan_says)
{
	_cleanup_(guest_start_done) struct guest_start s;
	struct guest_cards cards = { .n = 0 };
	struct err e = { 0 };

	two_cards();
	parse(BOTH, &s);
	if (guest_interfaces_start(s.interfaces, s.n_interfaces, &cards, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_str(card("eth0"), "02:42:01:02:03:04 mtu 1400 10.1.0.2/16 brd 10.1.255.255 fd00:1::2/64 up");
	is_str(card("eth1"), "02:42:09:08:07:06 mtu 1500 10.2.0.6/31 up");
	is_str(default_route(), "10.1.0.1 by eth0");
	is_str(setting("eth0", "addr_gen_mode"), "0\n");
	is_str(setting("eth0", "accept_ra"), "0\n");
	is_str(setting("eth0", "accept_dad"), "0\n");
	is_str(setting("eth1", "addr_gen_mode"), "1\n"); /* its network has none: no address of the link */
	is_str(setting("eth1", "disable_ipv6"), "0\n");
	is_int(cards.n, 2);
	is_str(cards.card[1].name, "eth1");
	is_int(cards.card[1].index, (int)if_nametoindex("eth1"));
}

/* A default route of IPv6 by that device? /proc/net/ipv6_route: destination, its prefix, source, its prefix, next hop. */
static bool has_route6(const char *hop, const char *device)
{
	_cleanup_free_ char *text = NULL, *want = str_fmt("%032d 00 %032d 00 %s ", 0, 0, hop);
	char *save = NULL;

	is_int(file_read(AT_FDCWD, "/proc/thread-self/net/ipv6_route", 64 << 10, &text, NULL), 0);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (strncmp(l, want, strlen(want)) == 0 && str_ends(l, device))
			return true;
	return false;
}

TEST(V13_a_copys_cards_lose_what_the_original_had_whatever_became_of_their_names)
{
	_cleanup_(guest_start_done) struct guest_start s, then;
	const struct ifinfomsg body = { .ifi_family = AF_UNSPEC };
	struct guest_cards cards = { .n = 0 };
	struct nl_request q;
	struct err e = { 0 };

	two_cards();
	parse(BOTH, &s);
	is_int(guest_interfaces_start(s.interfaces, s.n_interfaces, &cards, &e), 0);
	ok(has_route6("fd000001000000000000000000000001", "eth0"));
	/* What the container did: a name, a hardware address of its own. */
	_cleanup_fd_ int sock = nl_open();
	struct ifinfomsg mine = body;
	mine.ifi_index = cards.card[0].index;
	mine.ifi_change = IFF_UP;
	nl_begin(&q, RTM_NEWLINK, 0, &mine, sizeof(mine));
	nl_attr(&q, IFLA_IFNAME, "mine", 5);
	nl_attr(&q, IFLA_ADDRESS, "\x02\x42\x11\x11\x11\x11", 6);
	is_int(nl_ask(sock, &q), 0);
	parse("[{\"name\":\"eth1\",\"mac\":\"02:42:00:00:00:22\",\"addresses\":[\"10.2.0.9/24\"]},"
	      "{\"name\":\"eth0\",\"mac\":\"02:42:00:00:00:11\",\"addresses\":[\"10.1.0.7/16\",\"fd00:1::7/64\"],"
	      "\"gateway4\":\"10.1.0.1\",\"gateway6\":\"fd00:1::1\",\"mtu\":1400}]",
	      &then);
	if (guest_interfaces_again(then.interfaces, then.n_interfaces, &cards, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_str(card("mine"), "none");
	is_str(card("eth0"), "02:42:00:00:00:11 mtu 1400 10.1.0.7/16 brd 10.1.255.255 fd00:1::7/64 up");
	is_str(card("eth1"), "02:42:00:00:00:22 mtu 1500 10.2.0.9/24 brd 10.2.0.255 up");
	is_int(cards.card[0].index, (int)if_nametoindex("eth0"));
	is_str(default_route(), "10.1.0.1 by eth0");
	ok(has_route6("fd000001000000000000000000000001", "eth0"));
}

TEST(a_copy_with_other_cards_than_its_original_is_refused)
{
	static const char *const bad[][2] = {
		{ "[]", "0 network interfaces" },
		{ "[{\"name\":\"eth0\",\"mac\":\"02:42:00:00:00:22\"}]", "1 network interfaces" },
		{ "[{\"name\":\"eth0\",\"mac\":\"02:42:00:00:00:22\"},{\"name\":\"eth7\",\"mac\":\"02:42:00:00:00:23\"}]",
		  "eth7" },
	};
	const struct guest_cards cards = { .n = 2, .card = { { "eth0", 100 }, { "eth1", 101 } } };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(guest_start_done) struct guest_start s;
		struct err e = { 0 };

		parse(bad[i][0], &s);
		is_int(guest_interfaces_again(s.interfaces, s.n_interfaces, &cards, &e), -EINVAL);
		has_str(e.msg, bad[i][1]);
	}
}

TEST(what_can_not_be_is_named)
{
	static const char *const bad[][2] = {
		{ "[{\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:0\"}]", "02:42:01:02:03:0\" is not a hardware" },
		{ "[{\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:zz\"}]", "is not a hardware" },
		{ "[{\"name\":\"\",\"mac\":\"02:42:01:02:03:04\"}]", "\"\" can't be" },
		{ "[{\"name\":\"a/../../b\",\"mac\":\"02:42:01:02:03:04\"}]", "can't be" },
		{ "[{\"name\":\"sixteen-letters-\",\"mac\":\"02:42:01:02:03:04\"}]", "can't be" },
		{ "[{\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:04\",\"addresses\":[\"10.1.0.2\"]}]",
		  "eth0: \"10.1.0.2\" is not" },
		{ "[{\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:04\",\"addresses\":[\"10.1.0.2/33\"]}]", "10.1.0.2/33" },
		{ "[{\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:04\",\"addresses\":[\"fd00::1/x\"]}]", "fd00::1/x" },
		{ "[{\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:04\",\"addresses\":[\"10.1.0.2/8\"],\"gateway4\":\"10.1.0.1/"
		  "8\"}]",
		  "gateway: \"10.1.0.1/8\"" },
		/* known to nobody but the kernel */
		{ "[{\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:04\",\"addresses\":[\"10.1.0.2/8\"],\"gateway4\":\"192.0.2.1\"}]",
		  "eth0: 192.0.2.1" },
		{ "[{\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:04\",\"mtu\":1}]", "MTU" },
	};

	own_network();
	add_card("eth0", macs[0]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(guest_start_done) struct guest_start s;
		struct guest_cards cards = { .n = 0 };
		struct err e = { 0 };

		parse(bad[i][0], &s);
		if (guest_interfaces_start(s.interfaces, s.n_interfaces, &cards, &e) >= 0)
			TAP_FAIL("%s", bad[i][0]);
		has_str(e.msg, bad[i][1]);
		is_int(cards.n, 0);
	}
}

TEST(a_card_that_the_kernel_has_not_is_waited_for_and_then_named)
{
	_cleanup_(guest_start_done) struct guest_start s;
	struct guest_cards cards = { .n = 0 };
	struct err e = { 0 };

	two_cards();
	parse("[{\"name\":\"eth0\",\"mac\":\"02:42:ff:ff:ff:ff\"}]", &s);
	is_int(guest_interfaces_start(s.interfaces, s.n_interfaces, &cards, &e), -ENODEV);
	has_str(e.msg, "02:42:ff:ff:ff:ff");
	has_str(e.msg, "virtio_net");
}

TAP_MAIN()
