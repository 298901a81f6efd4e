#include "impl.h"

#include "tap.h"

static struct err E;

#define NETWORK(more)                                                                                             \
	"\"network\":{\"id\":\"1\",\"name\":\"front\",\"driver\":\"bridge\",\"device\":\"berth-1\",\"subnets\":[" \
	"{\"subnet\":\"10.77.0.0/16\",\"gateway\":\"10.77.0.1\"}]" more "}"
#define ENDPOINT(more)                                                                                                  \
	"{\"version\":1,\"stateDir\":\"/s\"" more ",\"endpoints\":[{\"id\":\"e\",\"device\":\"bv1\",\"name\":\"eth0\"," \
	"\"mac\":\"02:42:0a:4d:00:02\",\"addresses\":[\"10.77.0.2/16\"]," NETWORK("") "}]}"

static int check(const char *text, const char *verb, bool has_ns)
{
	struct net_plan p;
	int r;

	is_int(net_plan_parse(text, strlen(text), &p, &E), 0);
	E.msg[0] = '\0';
	r = check_plan(&p, verb, has_ns, &E);
	net_plan_done(&p);
	return r;
}

TEST(a_whole_plan_passes_and_an_attach_needs_a_namespace)
{
	is_int(check(ENDPOINT(""), "attach", true), 0);
	is_int(check(ENDPOINT(""), "detach", false), 0);
	is_int(check(ENDPOINT(",\"isVm\":true"), "attach", false), 0);
	is_int(check(ENDPOINT(""), "attach", false), -EBADF);
	has_str(E.msg, "descriptor 4");
}

TEST(what_is_wrong_beside_the_endpoints_is_named)
{
	is_int(check("{\"version\":1,\"stateDir\":\"here\"}", "sweep", false), -EINVAL);
	has_str(E.msg, "\"here\"");
	is_int(check("{\"version\":1,\"stateDir\":\"/s\",\"keep\":[\"bv 1\"]}", "sweep", false), -EINVAL);
	has_str(E.msg, "\"bv 1\"");
	is_int(check(ENDPOINT(",\"queues\":65"), "attach", true), -EINVAL);
	has_str(E.msg, "65 queues");
	is_int(check(ENDPOINT(",\"ports\":[{\"protocol\":\"tcp\",\"port\":70000}]"), "attach", true), -EINVAL);
	has_str(E.msg, "70000");
	is_int(check("{\"version\":1,\"stateDir\":\"/s\",\"ports\":[{\"protocol\":\"tcp\",\"port\":80}]}", "attach", true),
	       -EINVAL);
	has_str(E.msg, "can't be published");
}

TEST(an_endpoints_elements_are_its_mac_and_each_address_and_the_link_local_one)
{
	char mac[] = "02:42:0a:4d:00:02", four[] = "10.77.0.2/16", six[] = "fd00::2/64", device[] = "bv1", driver[] = "bridge",
	     name[] = "eth0";
	char *addresses[] = { four, six, NULL };
	struct net_endpoint ep = {
		.device = device, .name = name, .mac = mac, .addresses = addresses, .network = { .driver = driver }
	};
	struct elements v = { 0 };

	is_int(endpoint_elements(&ep, &v, &E), 0);
	is_int(v.n, 6);
	is_int(v.items[0].set, SET_MACS);
	is_int(v.items[0].key_len, 24);
	is_int(memcmp(v.items[0].key, "bv1\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x42\x0a\x4d\0\x02\0\0", 24), 0);
	is_int(v.items[1].set, SET_ADDR4);
	is_int(v.items[2].set, SET_ADDR6);
	is_int(v.items[3].set, SET_TARGETS);
	is_int(v.items[4].key[16], 0xfe);
	elements_done(&v);
	ep.network.may_spoof = true;
	is_int(endpoint_elements(&ep, &v, &E), 0);
	is_int(v.n, 0);
	ep.network.may_spoof = false;
	ep.mac = NULL;
	is_int(endpoint_elements(&ep, &v, &E), -EINVAL);
	has_str(E.msg, "MAC");
	elements_done(&v);
}

TEST(a_port_is_an_element_of_the_map_of_its_family_and_address)
{
	struct elements v = { 0 };
	struct published p = { .protocol = 6, .host_port = 8080, .port = 80 };

	is_int(address_parse("10.77.0.2", false, &p.to), 0);
	element_port(&v, "bv1", &p);
	is_int(address_parse("127.0.0.1", false, &p.host), 0);
	element_port(&v, "bv1", &p);
	is_int(v.items[0].set, SET_ANY4);
	is_int(memcmp(v.items[0].key, "\6\0\0\0\x1f\x90\0\0", v.items[0].key_len), 0);
	is_int(memcmp(v.items[0].data, "\x0a\x4d\0\2\0\x50\0\0", v.items[0].data_len), 0);
	is_int(v.items[1].set, SET_AT4);
	is_int(v.items[1].key_len, 12);
	is_str(v.items[1].owner, "bv1");
	ok(element_is_port(&v.items[1]));
	elements_done(&v);
}

TAP_MAIN()
