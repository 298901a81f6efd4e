#include "egress.h"

#include "tap.h"

static struct err E;

static int parse(const char *list, struct egress *ret)
{
	_cleanup_strv_ char **items = strv_split(list, ',');

	E.msg[0] = '\0';
	return egress_parse(items, ret, &E);
}

TEST(values_are_a_list_of_items)
{
	char *values[] = { (char[]){ "allow=a.org,b.org:443" }, (char[]){ "allow=10.0.0.0/8" }, NULL },
	     *none[] = { (char[]){ "none" }, NULL }, *both[] = { (char[]){ "none" }, (char[]){ "allow=a.org" }, NULL },
	     *wrong[] = { (char[]){ "a.org" }, NULL };
	_cleanup_strv_ char **items = NULL, **nothing = NULL, **unset = NULL;

	is_int(egress_items(values, &items, &E), 0);
	is_int(strv_len(items), 3);
	is_str(items[2], "10.0.0.0/8");
	is_int(egress_items(none, &nothing, &E), 0);
	is_str(nothing[0], "none");
	is_int(egress_items(both, &unset, &E), -EINVAL);
	has_str(E.msg, "together");
	is_int(egress_items(wrong, &unset, &E), -EINVAL);
	has_str(E.msg, "--egress: \"a.org\": expected none, or allow=");
}

TEST(items_are_ranges_and_names_with_their_ports)
{
	struct egress x;

	is_int(parse("192.0.2.7,10.0.0.0/8:53,[2001:db8::/32]:443,2001:db8::1,Example.ORG:443,example.org:80,*.x.net", &x), 0);
	is_int(x.n_ranges, 4);
	is_str(x.ranges[0].range, "192.0.2.7");
	ok(x.ranges[0].port == 0 && !x.ranges[0].is6 && x.ranges[1].port == 53);
	is_str(x.ranges[2].range, "2001:db8::/32");
	ok(x.ranges[2].is6 && x.ranges[2].port == 443 && x.ranges[3].is6 && x.ranges[3].port == 0);
	is_int(x.n_names, 2);
	is_str(x.names[0].name, "example.org");
	is_int(x.names[0].n_ports, 2);
	ok(x.names[0].ports[0] == 80 && x.names[0].ports[1] == 443 && x.names[0].itself && !x.names[0].below);
	is_str(x.names[1].name, "x.net");
	ok(x.names[1].below && !x.names[1].itself && x.names[1].n_ports == 1 && x.names[1].ports[0] == 0);
	egress_done(&x);
	is_int(parse("none", &x), 0);
	is_int(x.n_names + x.n_ranges, 0);
}

TEST(names_among_others_are_one_with_them_or_refused)
{
	struct egress x;

	is_int(parse("a.x.net:1,*.x.net:1,*.y.x.net:1,x.net:1", &x), 0);
	is_int(x.n_names, 1);
	ok(x.names[0].below && x.names[0].itself);
	egress_done(&x);
	is_int(parse("x.net:2,*.x.net:1", &x), -EINVAL);
	has_str(E.msg, "\"*.x.net\" and \"x.net\" need the same ports");
	is_int(parse("a.x.net,x.net,x.net:1,ax.net:3", &x), 0);
	is_int(x.n_names, 3);
	is_int(x.names[1].n_ports, 1);
	is_int(x.names[1].ports[0], 0);
	egress_done(&x);
}

TEST(what_is_no_item_is_named)
{
	static const char *const wrong[] = { "",
					     "localhost",
					     "a..b",
					     "-a.org",
					     "a.org:0",
					     "a.org:65536",
					     "a.org:http",
					     "10.0.0.0/33",
					     "10.0.0.256",
					     "*",
					     "*.",
					     "a.*.org",
					     "[2001:db8::1",
					     "[2001:db8::1]x",
					     "a.org/24",
					     "::/129",
					     "a.org#53",
					     "a.org/9.9.9.9",
					     "a org",
					     "[a.org]:" };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct egress x;
		_cleanup_free_ char *quoted = str_fmt("\"%s\"", wrong[i]);

		is_int(parse(wrong[i], &x), -EINVAL);
		has_str(E.msg, quoted);
	}
}

TAP_MAIN()
