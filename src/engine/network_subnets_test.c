/* network_subnets: the host's routes, and pools that are given. */
#include "network_config.h"
#include "tap.h"

static void has_prefixes(const struct net_prefix *list, size_t n, const char *want)
{
	_cleanup_buf_ struct buf all = { 0 };
	char text[PREFIX_TEXT];

	buf_str(&all, "");
	for (size_t i = 0; i < n; i++)
		buf_fmt(&all, "%s%s", i ? " " : "", prefix_print(&list[i], text));
	is_str(all.data, want);
}

/* As the kernel writes a __be32: the number that its bytes are here. */
static unsigned word(const char *address)
{
	uint8_t a[16];
	uint32_t v;

	is_int(address_parse(address, a), 0);
	memcpy(&v, a + 12, sizeof(v));
	return v;
}

TEST(routes_to_somewhere_are_read_and_the_default_one_is_none)
{
	_cleanup_free_ char *four =
		str_fmt("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
			"eth0\t%08X\t%08X\t0003\t0\t0\t0\t%08X\t0\t0\t0\n"
			"eth0\t%08X\t%08X\t0001\t0\t0\t0\t%08X\t0\t0\t0\n"
			"tun0\t%08X\t%08X\t0003\t0\t0\t0\t%08X\t0\t0\t0\n"
			"no route\n",
			word("0.0.0.0"), word("192.0.2.1"), word("0.0.0.0"), word("192.0.2.0"), word("0.0.0.0"),
			word("255.255.255.0"), word("10.64.0.0"), word("192.0.2.9"), word("255.192.0.0"));
	static const char six[] = "20010db8000000000000000000000000 20 00000000000000000000000000000000 00 "
				  "00000000000000000000000000000000 00000100 0 0 1 eth0\n"
				  "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
				  "00000000000000000000000000000000 00000100 0 0 1 eth0\n"
				  "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
				  "00000000000000000000000000000000 ffffffff 1 0 2 lo\n"
				  "00000000000000000000000000000001 80 00000000000000000000000000000000 00 "
				  "00000000000000000000000000000000 00000000 1 0 2 lo\n"
				  "ff000000000000000000000000000000 08 00000000000000000000000000000000 00 "
				  "00000000000000000000000000000000 00000100 1 0 2 eth0\n"
				  "fd00 40 x\n"
				  "fd000000000000050000000000000000 40 00000000000000000000000000000000 00 "
				  "00000000000000000000000000000000 00000100 0 0 1 eth0\n";
	struct net_prefix *list = NULL;
	size_t n = 0;

	is_int(network_routes4(four, &list, &n), 0);
	has_prefixes(list, n, "192.0.2.0/24 10.64.0.0/10");
	is_int(network_routes6(six, &list, &n), 0);
	has_prefixes(list, n, "192.0.2.0/24 10.64.0.0/10 2001:db8::/32 fd00:0:0:5::/64");
	is_int(network_routes4("", &list, &n), 0);
	is_int(network_routes6("", &list, &n), 0);
	is_int(n, 4);
	free(list);
}

static const char *chosen(bool is6, bool is_default, const char *taken_text, char ret[PREFIX_TEXT], struct err *e)
{
	struct net_prefix taken, p;

	if (taken_text)
		is_int(prefix_parse(taken_text, &taken, NULL), 0);
	int r = network_choose_subnet(is6, is_default, &taken, taken_text != NULL, &p, e);
	return r < 0 ? e->msg : prefix_print(&p, ret);
}

TEST(the_default_network_has_its_own_subnet_and_others_the_next)
{
	char text[PREFIX_TEXT];
	struct err e = { 0 };

	unsetenv("BERTH_ADDRESS_POOLS");
	is_str(chosen(false, true, NULL, text, &e), "10.77.0.0/16");
	is_str(chosen(false, false, NULL, text, &e), "10.78.0.0/24");
	is_str(chosen(false, true, "10.77.3.0/24", text, &e), "10.78.0.0/24");
	is_str(chosen(false, true, "10.0.0.0/8", text, &e), "172.24.0.0/24");
	is_str(chosen(true, false, "10.0.0.0/8", text, &e), text);
	is_int(strncmp(text, "fd", 2), 0);
	ok(str_ends(text, "::/64"));
}

TEST(pools_that_are_given_stand_alone)
{
	char text[PREFIX_TEXT];
	struct err e = { 0 };

	setenv("BERTH_ADDRESS_POOLS", "10.200.0.0/24/25,fd00:1::/63/64", 1);
	is_str(chosen(false, true, NULL, text, &e), "10.200.0.0/25");
	is_str(chosen(false, false, "10.200.0.0/25", text, &e), "10.200.0.128/25");
	is_str(chosen(true, false, "fd00:1::/64", text, &e), "fd00:1:0:1::/64");
	has_str(chosen(false, false, "10.200.0.0/24", text, &e),
		"could not find an available, non-overlapping IPv4 address pool among those of BERTH_ADDRESS_POOLS");
	has_str(chosen(true, false, "fd00::/8", text, &e), "IPv6 address pool among");
	setenv("BERTH_ADDRESS_POOLS", "10.200.0.0/24/25,10.0.0.0/8", 1);
	has_str(chosen(false, false, NULL, text, &e), "\"10.0.0.0/8\" is no pool");
	setenv("BERTH_ADDRESS_POOLS", "", 1);
	is_str(chosen(false, false, NULL, text, &e), "10.78.0.0/24");
}

TAP_MAIN()
