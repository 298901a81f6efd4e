/* What a VM is given of its networks. */
#include "guest.h"
#include "tap.h"
#include "vm_impl.h"

static const char text[] =
	"{\"version\":1,\"id\":\"c\",\"stateDir\":\"/run\",\"isVm\":true,\"endpoints\":["
	"{\"id\":\"e0\",\"device\":\"bv0\",\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:04\",\"addresses\":[\"10.1.0.2/"
	"16\",\"fd00::2/64\"],"
	"\"gateway4\":\"10.1.0.1\",\"gateway6\":\"fd00::1\",\"network\":{\"id\":\"n0\",\"name\":\"front\",\"driver\":\"bridge\","
	"\"mtu\":1400}},"
	"{\"id\":\"e1\",\"device\":\"bv1\",\"name\":\"eth1\",\"mac\":\"02:42:01:02:03:05\",\"addresses\":[\"10.2.0.2/16\"],"
	"\"network\":{\"id\":\"n1\",\"name\":\"back\",\"driver\":\"bridge\"}}]}";

static void two_networks(struct net_plan *p)
{
	struct err e = { 0 };

	if (net_plan_parse(text, sizeof(text) - 1, p, &e) < 0)
		TAP_FAIL("%s", e.msg);
}

TEST(the_guest_gets_each_card_as_the_plan_has_it_and_an_mtu_always)
{
	_cleanup_free_ struct guest_interface *list = NULL;
	struct net_plan p;
	size_t n = 7;

	two_networks(&p);
	is_int(vm_network_interfaces(&p, &list, &n), 0);
	is_int(n, 2);
	is_str(list[0].name, "eth0");
	is_str(list[0].mac, "02:42:01:02:03:04");
	is_str(list[0].addresses[1], "fd00::2/64");
	is_str(list[0].gateway4, "10.1.0.1");
	is_str(list[0].gateway6, "fd00::1");
	is_int(list[0].mtu, 1400);
	is_str(list[1].mac, "02:42:01:02:03:05");
	ok(!list[1].gateway4 && !list[1].gateway6);
	is_int(list[1].mtu, 1500);
	net_plan_done(&p);
}

TEST(without_networks_there_is_no_card)
{
	_cleanup_free_ struct guest_interface *list = NULL;
	struct err e = { 0 };
	size_t n = 7;

	is_int(vm_network_interfaces(NULL, &list, &n), 0);
	is_int(n, 0);
	is_int(vm_network_check(NULL, NULL, 0, &e), 0);
}

TEST(as_many_taps_as_cards_have_queues_all_open)
{
	const int taps[] = { 5, 6, 7, 8 }, closed[] = { 5, -1 };
	struct err e = { 0 };
	struct net_plan p;

	two_networks(&p);
	is_int(vm_network_check(&p, taps, 2, &e), 0);
	is_int(vm_network_check(&p, taps, 1, &e), -EINVAL);
	has_str(e.msg, "1 taps for 2 network cards with 1 queues");
	is_int(vm_network_check(&p, NULL, 0, &e), -EINVAL);
	is_int(vm_network_check(NULL, taps, 1, &e), -EINVAL);
	is_int(vm_network_check(&p, closed, 2, &e), -EBADF);
	p.queues = 2;
	is_int(vm_network_check(&p, taps, 4, &e), 0);
	is_int(vm_network_check(&p, taps, 2, &e), -EINVAL);
	net_plan_done(&p);
}

TEST(a_card_without_a_hardware_address_and_too_many_cards_are_named)
{
	struct net_endpoint many[VM_NETWORKS_MAX + 1];
	const struct net_plan too_many = { .endpoints = many, .n_endpoints = ARRAY_SIZE(many) };
	const int taps[] = { 5, 6 };
	struct err e = { 0 };
	struct net_plan p;

	two_networks(&p);
	p.endpoints[1].mac[0] = 'x';
	is_int(vm_network_check(&p, taps, 2, &e), -EINVAL);
	has_str(e.msg, "network back: \"x2:42:01:02:03:05\"");
	free(p.endpoints[1].mac);
	p.endpoints[1].mac = NULL;
	is_int(vm_network_check(&p, taps, 2, &e), -EINVAL);
	has_str(e.msg, "network back: \"\"");
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = p.endpoints[0];
	is_int(vm_network_check(&too_many, taps, 2, &e), -EINVAL);
	has_str(e.msg, "can be on 8 at most");
	net_plan_done(&p);
}

TAP_MAIN()
