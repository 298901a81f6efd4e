#include "plan.h"

#include "tap.h"

static struct err E;

#define FULL                                                                                                                   \
	"{\"version\":1,\"id\":\"abc\",\"stateDir\":\"/run/berth/networks\",\"isVm\":true,\"queues\":2,"                       \
	"\"endpoints\":[{\"id\":\"e1\",\"device\":\"bve1\",\"name\":\"eth0\",\"mac\":\"02:42:0a:4d:00:02\","                   \
	"\"addresses\":[\"10.77.0.2/16\",\"fd00::2/"                                                                           \
	"64\"],\"gateway4\":\"10.77.0.1\",\"gateway6\":\"fd00::1\",\"names\":[\"web\"],\"given\":{\"id\":\"e1\",\"mac\":\"02:" \
	"42:0a:4d:00:03\",\"addresses\":[\"10.1.0.2/"                                                                          \
	"24\"],\"gateway4\":\"10.1.0.1\",\"dns\":[\"9.9.9.9\"],\"search\":[\"of\"],\"options\":[\"ndots:2\"]},"                \
	"\"network\":{\"id\":\"n1\",\"name\":\"front\",\"driver\":\"bridge\",\"device\":\"berth-n1\",\"mode\":\"l2\","         \
	"\"cni\":\"{}\",\"cniPath\":\"/opt\",\"cniSeconds\":9,\"subnets\":[{\"subnet\":\"10.77.0.0/"                           \
	"16\",\"gateway\":\"10.77.0.1\"},{\"subnet\":\"fd00::/64\"}],"                                                         \
	"\"mtu\":1400,\"isInternal\":true,\"noMasquerade\":true,\"maySpoof\":true,\"hasNames\":true,"                          \
	"\"upstreams\":[\"9.9.9.9\"]}}],"                                                                                      \
	"\"ports\":[{\"protocol\":\"tcp\",\"hostIp\":\"127.0.0.1\",\"hostPort\":8080,\"port\":80},"                            \
	"{\"protocol\":\"udp\",\"port\":53}],"                                                                                 \
	"\"resolver\":{\"isWanted\":true,\"endpoints\":[{\"id\":\"e1\",\"device\":\"bve1\",\"name\":\"eth0\","                 \
	"\"network\":{\"id\":\"n1\",\"name\":\"front\",\"driver\":\"bridge\"}}],"                                              \
	"\"upstreams\":[\"9.9.9.9\"],\"egress\":[\"example.org:443\"]},"                                                       \
	"\"keep\":[\"bve2\"],\"lost\":[\"bve3\"],\"dns\":[\"9.9.9.9\"],\"dnsSearch\":["                                        \
	"\"of\"],\"dnsOptions\":[\"ndots:2\"]}"

TEST(a_plan_survives_a_round_trip)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct net_plan p;

	is_int(net_plan_parse(FULL, strlen(FULL), &p, &E), 0);
	is_int(p.n_endpoints, 1);
	is_str(p.endpoints[0].network.subnets[1].subnet, "fd00::/64");
	ok(!p.endpoints[0].network.subnets[1].gateway);
	is_int(p.ports[1].host_port, 0);
	ok(p.resolver && p.resolver->is_wanted && p.resolver->n_endpoints == 1);
	is_str(p.resolver->upstreams[0], "9.9.9.9");
	is_str(p.resolver->egress[0], "example.org:443");
	is_str(net_endpoint_addresses(&p.endpoints[0])[0], "10.77.0.2/16");
	memcpy(p.endpoints[0].network.driver, "cni", 4);
	is_str(net_endpoint_addresses(&p.endpoints[0])[0], "10.1.0.2/24");
	memcpy(p.endpoints[0].network.driver, "bridge", 7);
	o = net_plan_json(&p);
	is_str(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), FULL);
	net_plan_done(&p);
}

TEST(a_plan_of_another_version_or_with_something_unknown_is_refused)
{
	struct net_plan p;
	const char *newer = "{\"version\":2,\"stateDir\":\"/s\"}", *more = "{\"version\":1,\"stateDir\":\"/s\",\"x\":1}";

	is_int(net_plan_parse(newer, strlen(newer), &p, &E), -EINVAL);
	has_str(E.msg, "version 2");
	is_int(net_plan_parse(more, strlen(more), &p, &E), -EINVAL);
	has_str(E.msg, "x");
	is_int(net_plan_parse("[", 1, &p, &E), -EINVAL);
}

TEST(an_answer_survives_a_round_trip)
{
	static const char text[] = "{\"error\":98,\"message\":\"taken\",\"taps\":1,\"sockets\":2,"
				   "\"ports\":[{\"protocol\":\"tcp\",\"hostPort\":40000,\"port\":80}]}";
	_cleanup_json_ struct json_object *o = NULL;
	struct net_answer a;

	is_int(net_answer_parse(text, strlen(text), &a, &E), 0);
	is_int(a.ports[0].host_port, 40000);
	o = net_answer_json(&a);
	is_str(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), text);
	net_answer_done(&a);
}

TEST(ports_survive_a_round_trip)
{
	static const char text[] =
		"[{\"protocol\":\"tcp\",\"hostIp\":\"127.0.0.1\",\"hostPort\":8000,\"hostPortLast\":8009,\"port\":80}]";
	_cleanup_json_ struct json_object *o = NULL, *none = net_ports_json(NULL, 0);
	struct net_port *list = NULL;
	size_t n = 0;

	is_int(net_ports_parse(text, &list, &n, &E), 0);
	is_int(n, 1);
	o = net_ports_json(list, n);
	is_str(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), text);
	net_ports_free(list, n);
	is_str(json_object_to_json_string_ext(none, JSON_C_TO_STRING_PLAIN), "[]");
	is_int(net_ports_parse(NULL, &list, &n, &E), 0);
	is_int(n, 0);
	is_int(net_ports_parse("{}", &list, &n, &E), -EINVAL);
}

TAP_MAIN()
