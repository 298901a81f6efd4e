#include "network_wishes.h"

#include "tap.h"

static struct err E;

static char **words(const char *a, const char *b)
{
	char **v = NULL;

	if (strv_push(&v, a) < 0 || (b && strv_push(&v, b) < 0))
		abort();
	return v;
}

TEST(what_kind_of_network_is_asked_for)
{
	struct run_opts o;

	run_opts_init(&o);
	is_int(network_kind_of(&o), NETWORK_NONE);
	o.network = (char[]){ "host" };
	is_int(network_kind_of(&o), NETWORK_HOST);
	o.network = (char[]){ "container:web" };
	is_int(network_kind_of(&o), NETWORK_CONTAINER);
	o.network = (char[]){ "name=host" };
	is_int(network_kind_of(&o), NETWORK_HOST);
	o.network = (char[]){ "default" };
	is_int(network_kind_of(&o), NETWORK_OWN);
	is_str(network_mode(&o), "bridge");
}

TEST(networks_are_wished_for_in_both_of_dockers_forms)
{
	struct network_wishes w;
	struct run_opts o;

	run_opts_init(&o);
	o.network = strdup("front");
	o.ip = strdup("10.1.0.9");
	o.network_aliases = words("a", "b");
	o.more_networks = words("name=back,alias=x,alias=y,ip=10.2.0.9,ip6=fd00::9,mac-address=02:00:00:00:00:01", NULL);
	is_int(network_wishes_of(&o, &w, &E), 0);
	is_int(w.n, 2);
	is_str(w.list[0].name, "front");
	is_str(w.list[0].ip, "10.1.0.9");
	is_int(strv_len(w.list[0].aliases), 2);
	is_str(w.list[1].name, "back");
	is_str(w.list[1].aliases[1], "y");
	is_str(w.list[1].ip6, "fd00::9");
	is_str(w.list[1].mac, "02:00:00:00:00:01");
	network_wishes_done(&w);
	free(o.network);
	o.network = strdup("name=front,ip=10.1.0.8");
	is_int(network_wishes_of(&o, &w, &E), -EINVAL);
	has_str(E.msg, "cannot specify both --ip and per-network ip");
	run_opts_done(&o);
}

TEST(wrong_wishes_are_told)
{
	static const struct {
		size_t at;
		const char *value, *says;
	} cases[] = {
#define AT(m) offsetof(struct run_opts, m)
		{ AT(publish), "80:x", "--publish 80:x: invalid containerPort: x" },
		{ AT(expose), "x", "invalid port format for --expose: x" },
		{ AT(network_aliases), "a b", "--network-alias: \"a b\" is not a host name" },
		{ AT(dns), "x", "--dns: x is not an ip address" },
		{ AT(dns_search), "a/b", "--dns-search: a/b is not a valid domain" },
		{ AT(dns_options), "a b", "--dns-option" },
		{ AT(add_hosts), "name", "bad format for add-host: \"name\"" },
		{ AT(add_hosts), "name:1.2.3", "invalid IP address in add-host: \"1.2.3\"" },
		{ AT(more_networks), "back,x=1", "--network: \"back\": invalid field" },
		{ AT(more_networks), "alias=x", "network name is missing" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct run_opts o;

		run_opts_init(&o);
		o.network = strdup("front");
		*(char ***)(void *)((char *)&o + cases[i].at) = words(cases[i].value, NULL);
		is_int(network_check(&o, &E), -EINVAL);
		has_str(E.msg, cases[i].says);
		run_opts_done(&o);
	}
}

TEST(what_needs_a_network_is_refused_without)
{
	struct run_opts o;

	run_opts_init(&o);
	o.network = strdup("host");
	o.ip = strdup("10.0.0.1");
	is_int(network_check(&o, &E), -EINVAL);
	has_str(E.msg, "--ip needs a network of its own, not --network host");
	free(o.ip);
	o.ip = NULL;
	o.publish = words("80:80", NULL); /* docker discards it and says so */
	is_int(network_check(&o, &E), 0);
	free(o.network);
	o.network = strdup("container:web");
	is_int(network_check(&o, &E), -EINVAL);
	has_str(E.msg, "--publish needs a network of its own, not --network container:web");
	run_opts_done(&o);
}

TEST(a_line_for_hosts_is_made_of_both_forms)
{
	_cleanup_free_ char *a = NULL, *b = NULL, *c = NULL;

	is_int(network_host_line("db:10.0.0.1", NULL, &a, &E), 0);
	is_str(a, "10.0.0.1\tdb\n");
	is_int(network_host_line("db=[fd00::1]", NULL, &b, &E), 0);
	is_str(b, "fd00::1\tdb\n");
	is_int(network_host_line("host.docker.internal:host-gateway", "10.77.0.1", &c, &E), 0);
	is_str(c, "10.77.0.1\thost.docker.internal\n");
	is_int(network_host_line("x:host-gateway", NULL, &c, &E), -EINVAL);
	has_str(E.msg, "host-gateway needs a network");
}

TAP_MAIN()
