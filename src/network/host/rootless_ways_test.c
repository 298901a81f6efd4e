/* What the pastas of published ports are told, and the tables of these ports. */
#include "rootless_ways.h"

#include "tap.h"

static struct err E;

/* At "192.0.2.1", "::1", NULL for every address; to the container's "10.77.0.2" or "fd00::2". */
static struct published port(uint8_t protocol, const char *host, uint16_t host_port, const char *to)
{
	struct published p = { .protocol = protocol, .host_port = host_port, .port = 80 };

	is_int(address_parse(to, false, &p.to), 0);
	if (host)
		is_int(address_parse(host, false, &p.host), 0);
	return p;
}

static const char *words(char **v)
{
	_cleanup_buf_ struct buf b = { 0 };

	for (char **w = v; *w; w++)
		buf_fmt(&b, "%s%s", w == v ? "" : " ", *w);
	return tap_keep(buf_take(&b));
}

#define PLAN(v, ...)                                                                                 \
	struct published list[] = { __VA_ARGS__ };                                                   \
	const struct reservation ports = { .ports = list, .n_fds = sizeof(list) / sizeof(list[0]) }; \
	struct ways v = { 0 };                                                                       \
	is_int(ways_plan(&ports, &v, &E), 0)

#define FOUR "10.77.0.2"
#define SIX  "fd00::2"

TEST(ports_of_one_number_each_are_one_pasta_s)
{
	PLAN(v, port(IPPROTO_TCP, NULL, 8080, FOUR), port(IPPROTO_UDP, "192.0.2.1", 53, FOUR),
	     port(IPPROTO_TCP, "127.0.0.1", 81, FOUR));
	is_int(v.n, 1);
	is_str(words(v.options[0]), "-t 0.0.0.0/8080 -u 192.0.2.1/53 -t 127.0.0.1/81");
	is_int(v.leave[0], -1);
	ways_done(&v);
}

TEST(a_kind_that_nothing_is_published_of_is_none)
{
	PLAN(v, port(IPPROTO_UDP, NULL, 53, SIX));
	is_str(words(v.options[0]), "-u ::/53 -t none");
	ways_done(&v);
}

TEST(every_address_of_both_families_is_one_port)
{
	PLAN(v, port(IPPROTO_TCP, NULL, 8080, FOUR), port(IPPROTO_TCP, NULL, 8080, SIX), port(IPPROTO_TCP, NULL, 8081, FOUR));
	is_int(v.n, 1);
	is_str(words(v.options[0]), "-t 8080 -t 0.0.0.0/8081 -u none");
	is_int(ways_of(list, 1), 0);
	ways_done(&v);
}

TEST(one_number_at_several_addresses_is_as_many_pastas)
{
	PLAN(v, port(IPPROTO_TCP, "192.0.2.1", 8080, FOUR), port(IPPROTO_TCP, "2001:db8::1", 8080, SIX),
	     port(IPPROTO_UDP, "192.0.2.1", 8080, FOUR), port(IPPROTO_TCP, "127.0.0.1", 8080, FOUR));
	is_int(v.n, 3);
	is_str(words(v.options[0]), "-t 192.0.2.1/8080 -u 192.0.2.1/8080");
	is_str(words(v.options[1]), "-t 2001:db8::1/8080 -u none");
	is_str(words(v.options[2]), "-t 127.0.0.1/8080 -u none");
	is_int(ways_of(list, 2), 0);
	is_int(ways_of(list, 3), 2);
	ways_done(&v);
	is_int(v.n, 0);
}

TEST(more_addresses_than_ways_are_refused)
{
	struct published list[WAYS_MAX + 1];
	const struct reservation ports = { .ports = list, .n_fds = ARRAY_SIZE(list) };
	struct ways v = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		list[i] = port(IPPROTO_TCP, tap_keep(str_fmt("192.0.2.%zu", i + 1)), 8080, FOUR);
	is_int(ways_plan(&ports, &v, &E), -E2BIG);
	has_str(E.msg, "port 8080 is published at more than 8 addresses");
	ways_done(&v);
}

TEST(what_pasta_can_not_publish_is_refused_by_name)
{
	struct published sctp = port(IPPROTO_SCTP, NULL, 8080, FOUR), two = port(IPPROTO_TCP, "127.0.0.2", 8081, FOUR),
			 one = port(IPPROTO_TCP, "127.0.0.1", 8081, FOUR), six = port(IPPROTO_UDP, "2001:db8::1", 8081, SIX);

	is_int(ways_check(&sctp, &E), -EPROTONOSUPPORT);
	has_str(E.msg, "port 8080/sctp");
	is_int(ways_check(&two, &E), -EADDRNOTAVAIL);
	has_str(E.msg, "at 127.0.0.2");
	is_int(ways_check(&one, &E), 0);
	is_int(ways_check(&six, &E), 0);
}

/* Of the endpoint "0102...": the addresses of its first way. */
static const char *inside(struct published p)
{
	char id[] = "0102030405060708", device[] = "bv0123456789ab", at[ADDRESS_TEXT];
	const struct net_endpoint to = { .id = id, .device = device };
	_cleanup_buf_ struct buf b = { 0 };
	struct published *list = NULL;
	size_t n = 0;

	is_int(ways_inside(&to, &p, 1, &list, &n), 0);
	for (size_t i = 0; i < n; i++) {
		ok(list[i].host_port == p.host_port && list[i].port == p.port && list[i].protocol == p.protocol);
		buf_fmt(&b, "%s%s", i ? " " : "", address_text(&list[i].host, at));
	}
	free(list);
	return tap_keep(buf_take(&b));
}

TEST(inside_a_port_is_at_the_container_s_own_address_and_the_loopback_s_at_the_loopback)
{
	is_str(inside(port(IPPROTO_TCP, NULL, 8080, FOUR)), "169.254.3.3 127.0.0.1");
	is_str(inside(port(IPPROTO_TCP, "192.0.2.1", 8080, FOUR)), "169.254.3.3");
	is_str(inside(port(IPPROTO_TCP, "127.0.0.1", 8080, FOUR)), "127.0.0.1");
	is_str(inside(port(IPPROTO_TCP, NULL, 8080, SIX)), "fe80::102:304:506:708");
}

TEST(no_way_has_the_address_that_clouds_answer_at)
{
	char id[65], device[] = "bv0123456789ab", at[ADDRESS_TEXT];
	struct net_endpoint to = { .id = id, .device = device };

	for (unsigned a = 0; a < 256; a++)
		for (unsigned b = 0; b < 256; b++) {
			unsigned three, four;

			snprintf(id, sizeof(id), "%02x%02x000000000000", a, b);
			const struct way w = rootless_way(&to, 3);
			if (sscanf(address_text(&w.own4, at), "169.254.%u.%u", &three, &four) != 2 || three < 2 || three > 167 ||
			    four < 1 || four > 254)
				TAP_FAIL("%s: %s", id, at);
		}
	const struct way w = rootless_way(&to, 3);
	is_str(w.device, "bw0123456789a3");
	is_str(rootless_way(NULL, 0).device, "way0");
}

TAP_MAIN()
