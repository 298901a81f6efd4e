/* network_config: what records keep, what berth-net is told, and what may be asked for. */
#include "network_config.h"
#include "tap.h"

static const struct network_record net = {
	.id = (char *)(uintptr_t) "ab1",
	.name = (char *)(uintptr_t) "net",
	.driver = (char *)(uintptr_t) "bridge",
	.config_json =
		(char *)(uintptr_t) "{\"subnets\":[{\"subnet\":\"10.8.0.0/24\",\"gateway\":\"10.8.0.1\",\"range\":\"10.8.0.64/"
				    "29\","
				    "\"aux\":{\"router\":\"10.8.0.65\"}},{\"subnet\":\"fd00::/64\",\"gateway\":\"fd00::1\"}],"
				    "\"options\":{\"com.docker.network.driver.mtu\":\"1400\",\"berth.spoof-check\":\"false\","
				    "\"com.docker.network.bridge.enable_ip_masquerade\":\"false\"},\"device\":\"berth-ab1\","
				    "\"isInternal\":true,\"hasIpv6\":true}",
};

TEST(a_configuration_is_read_and_written_again)
{
	struct network_config c;
	struct err e = { 0 };

	is_int(network_config_of(&net, &c, &e), 0);
	is_int(c.n_subnets, 2);
	is_str(map_get(&c.subnets[0].aux, "router"), "10.8.0.65");
	ok(c.is_internal && c.has_ipv6 && !c.is_attachable);
	_cleanup_free_ char *text = network_config_print(&c);
	struct network_record again = net;
	network_config_done(&c);
	again.config_json = text;
	is_int(network_config_of(&again, &c, &e), 0);
	is_str(c.device, "berth-ab1");
	is_str(c.subnets[1].gateway, "fd00::1");
	network_config_done(&c);
	again.config_json = (char *)(uintptr_t) "{\"subnets\":3}";
	is_int(network_config_of(&again, &c, &e), -EINVAL);
	has_str(e.msg, "network net: ");
	again.config_json = NULL;
	is_int(network_config_of(&again, &c, &e), 0);
	is_int(c.n_subnets, 0);
}

TEST(berth_net_is_told_what_the_record_says)
{
	struct net_network *n = tap_keep(calloc(1, sizeof(*n)));
	struct net_endpoint *one = calloc(1, sizeof(*one));
	struct net_plan p = { .endpoints = one, .n_endpoints = 1 };
	struct network_record other = net;
	struct err e = { 0 };

	ok(one);
	is_int(network_plan_of(&net, &one->network, &e), 0);
	is_str(one->network.id, "ab1");
	is_str(one->network.device, "berth-ab1");
	is_str(one->network.subnets[0].subnet, "10.8.0.0/24");
	is_str(one->network.subnets[1].gateway, "fd00::1");
	is_int(one->network.mtu, 1400);
	ok(one->network.is_internal && one->network.no_masquerade && one->network.may_spoof && one->network.has_names);
	net_plan_done(&p);

	other.name = (char *)(uintptr_t)NETWORK_DEFAULT;
	other.config_json = (char *)(uintptr_t) "{\"device\":\"b\"}";
	is_int(network_plan_of(&other, n, &e), 0);
	ok(!n->is_internal && !n->no_masquerade && !n->may_spoof && !n->has_names && n->mtu == 0 && n->n_subnets == 0);
	free(n->subnets);
	free(n->device);
	free(n->driver);
	free(n->id);
	free(n->name);
	other = net;
	other.driver = (char *)(uintptr_t) "macvlan";
	other.config_json = (char *)(uintptr_t) "{\"parent\":\"lan0\",\"mode\":\"vepa\"}";
	is_int(network_plan_of(&other, n, &e), 0);
	ok(!n->has_names);
	is_str(n->device, "lan0");
	is_str(n->mode, "vepa");
	free(n->mode);
	free(n->id);
	free(n->name);
	free(n->driver);
	free(n->device);
	free(n->subnets);
}

TEST(a_request_has_pools_and_keeps_gateways_and_others_addresses_out)
{
	char text[ADDRESS_TEXT];
	struct endpoint_request q;
	struct endpoint_options o;
	char *aliases[] = { (char *)(uintptr_t) "db", NULL };
	struct err e = { 0 };

	is_int(network_request(&net, NULL, "fd00::5", NULL, aliases, &q, &e), 0);
	ok(q.has_pool4 && q.has_pool6);
	is_str(address_print(q.pool4.first, text), "10.8.0.64");
	is_str(address_print(q.pool4.last, text), "10.8.0.71");
	is_str(address_print(q.pool6.first, text), "fd00::1");
	is_int(q.n_excluded, 3);
	is_str(address_print(q.excluded[1], text), "10.8.0.65");
	ok(!q.record.has_address4 && q.record.has_address6);
	is_str(address_print(q.record.address6, text), "fd00::5");
	is_int(strlen(q.record.id), ID_LEN);
	is_str(q.record.network_id, "ab1");
	is_int(strncmp(q.record.mac, "02:42:", 6), 0);
	is_int(strlen(q.record.mac), 17);
	is_int(endpoint_options_of(&q.record, &o, &e), 0);
	is_str(o.aliases[0], "db");
	is_str(o.address6, "fd00::5");
	ok(!o.address4 && !o.mac);
	endpoint_options_done(&o);
	network_request_done(&q);
	is_int(network_request(&net, NULL, NULL, "02:42:0A:00:00:FF", NULL, &q, &e), 0);
	is_str(q.record.mac, "02:42:0a:00:00:ff");
	network_request_done(&q);
}

TEST(an_address_outside_of_the_range_is_had_by_who_asks_for_it)
{
	char text[ADDRESS_TEXT];
	struct endpoint_request q;
	struct err e = { 0 };

	is_int(network_request(&net, "10.8.0.5", NULL, NULL, NULL, &q, &e), 0);
	is_str(address_print(q.record.address4, text), "10.8.0.5");
	is_str(address_print(q.pool4.first, text), "10.8.0.64");
	network_request_done(&q);
}

TEST(what_is_asked_for_amiss_is_refused_with_docker_s_words)
{
	static const struct {
		const char *ip, *ip6, *mac, *alias;
		int want;
		const char *words;
	} rows[] = {
		{ .ip = "10.8.0", .want = -EINVAL, .words = "invalid IPv4 address: 10.8.0" },
		{ .ip = "fd00::5", .want = -EINVAL, .words = "invalid IPv4 address: fd00::5" },
		{ .ip6 = "10.8.0.66", .want = -EINVAL, .words = "invalid IPv6 address: 10.8.0.66" },
		{ .ip = "10.9.0.5", .want = -EINVAL, .words = "no configured subnet contains the IP address 10.9.0.5" },
		{ .ip = "10.8.0.65", .want = -EADDRINUSE, .words = "Address already in use: 10.8.0.65" },
		{ .ip6 = "fd00::1", .want = -EADDRINUSE, .words = "Address already in use: fd00::1" },
		{ .ip6 = "fd00::", .want = -EINVAL, .words = "no configured subnet" },
		{ .mac = "02:42", .want = -EINVAL, .words = "invalid MAC address 02:42" },
		{ .mac = "02:42:00:00:00:001", .want = -EINVAL, .words = "invalid MAC address" },
		{ .mac = "+2:42:00:00:00:01", .want = -EINVAL, .words = "invalid MAC address" },
		{ .mac = "03:42:00:00:00:01", .want = -EINVAL, .words = "one station's" },
		{ .mac = "00:00:00:00:00:00", .want = -EINVAL, .words = "one station's" },
		{ .alias = "a b", .want = -EINVAL, .words = "alias \"a b\" is no name" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *aliases[] = { (char *)(uintptr_t)rows[i].alias, NULL };
		struct endpoint_request q;
		struct err e = { 0 };
		is_int(network_request(&net, rows[i].ip, rows[i].ip6, rows[i].mac, aliases, &q, &e), rows[i].want);
		has_str(e.msg, rows[i].words);
	}
}

TEST(the_default_network_has_no_addresses_or_aliases_of_ones_own)
{
	struct network_record bridge = net;
	char *aliases[] = { (char *)(uintptr_t) "db", NULL };
	struct endpoint_request q;
	struct err e = { 0 };

	bridge.name = (char *)(uintptr_t)NETWORK_DEFAULT;
	is_int(network_request(&bridge, "10.8.0.66", NULL, NULL, NULL, &q, &e), -EINVAL);
	has_str(e.msg, "user specified IP address is supported on user defined networks only");
	is_int(network_request(&bridge, NULL, NULL, NULL, aliases, &q, &e), -EINVAL);
	has_str(e.msg, "network-scoped aliases are only supported for user-defined networks");
	is_int(network_request(&bridge, NULL, NULL, NULL, NULL, &q, &e), 0);
	network_request_done(&q);
}

TEST(a_network_without_a_subnet_of_that_family_gives_no_such_address)
{
	struct network_record four = net;
	struct endpoint_request q;
	struct err e = { 0 };

	four.config_json = (char *)(uintptr_t) "{\"subnets\":[{\"subnet\":\"10.8.0.0/30\"}]}";
	is_int(network_request(&four, NULL, "fd00::5", NULL, NULL, &q, &e), -EINVAL);
	is_int(network_request(&four, "10.8.0.3", NULL, NULL, NULL, &q, &e), -EINVAL); /* the broadcast address */
	is_int(network_request(&four, "10.8.0.2", NULL, NULL, NULL, &q, &e), 0);
	ok(!q.has_pool6 && q.n_excluded == 0);
	network_request_done(&q);
	four.config_json = (char *)(uintptr_t) "{\"subnets\":[{\"subnet\":\"ten\"}]}";
	is_int(network_request(&four, NULL, NULL, NULL, NULL, &q, &e), -EUCLEAN);
}

TAP_MAIN()
