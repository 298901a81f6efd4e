/* address: texts, bounds, and what is free. */
#include "address.h"
#include "tap.h"

static struct net_prefix prefix(const char *text)
{
	struct net_prefix p;

	if (prefix_parse(text, &p, NULL) < 0)
		TAP_FAIL("%s", text);
	return p;
}

TEST(addresses_and_subnets_are_read_and_written)
{
	static const char *const same[] = { "10.77.0.1", "0.0.0.0", "255.255.255.255", "::", "fd00::1", "2001:db8::ff" };
	static const char *const wrong[] = { "",         "10.77.0",  "10.77.0.256", "010.1.1.1", "1.2.3.4 ",
					     "fd00::1%", "fd00:::1", "web",         "1.2.3.4/8", "::ffff:1.2.3.4" };
	char text[PREFIX_TEXT];
	uint8_t a[16];

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		is_int(address_parse(same[i], a), 0);
		is_str(address_print(a, text), same[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (address_parse(wrong[i], a) != -EINVAL)
			TAP_FAIL("%s is taken", wrong[i]);
}

TEST(a_subnet_is_its_bits_and_the_rest_is_an_address)
{
	static const char *const wrong[] = { "10.0.0.0", "10.0.0.0/",   "10.0.0.0/33",   "fd00::/129",
					     "/8",       "10.0.0.0/-1", "10.0.0.0/8/16", "10.0.0.0/1x" };
	struct net_prefix p;
	char text[PREFIX_TEXT];
	uint8_t a[16];

	is_int(prefix_parse("10.77.9.3/20", &p, a), 0);
	is_str(prefix_print(&p, text), "10.77.0.0/20");
	is_int(prefix_written(&p), 20);
	is_int(p.bits, 116);
	is_str(address_print(a, text), "10.77.9.3");
	is_int(prefix_parse("fd00:1:2:3:4::5/61", &p, NULL), 0);
	is_str(prefix_print(&p, text), "fd00:1:2::/61");
	is_int(prefix_parse("0.0.0.0/0", &p, NULL), 0);
	is_str(prefix_print(&p, text), "0.0.0.0/0");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (prefix_parse(wrong[i], &p, NULL) != -EINVAL)
			TAP_FAIL("%s is taken", wrong[i]);
}

TEST(a_subnets_hosts_are_what_lies_between_its_first_and_last)
{
	static const struct {
		const char *subnet, *first, *last;
	} rows[] = {
		{ "10.1.0.0/24", "10.1.0.1", "10.1.0.254" }, { "10.1.0.8/29", "10.1.0.9", "10.1.0.14" },
		{ "10.1.0.8/31", "10.1.0.8", "10.1.0.9" },   { "10.1.0.8/32", "10.1.0.8", "10.1.0.8" },
		{ "fd00::/120", "fd00::1", "fd00::ff" },     { "fd00::2/127", "fd00::2", "fd00::3" },
	};
	char text[PREFIX_TEXT];
	uint8_t first[16], last[16];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_prefix p = prefix(rows[i].subnet);
		prefix_hosts(&p, first, last);
		is_str(address_print(first, text), rows[i].first);
		is_str(address_print(last, text), rows[i].last);
		ok(prefix_holds(&p, first) && prefix_holds(&p, last));
	}
	address_parse("10.0.255.255", first);
	ok(address_next(first));
	is_str(address_print(first, text), "10.1.0.0");
	ok(address_prev(first));
	is_str(address_print(first, text), "10.0.255.255");
	memset(first, 0xff, 16);
	ok(!address_next(first));
	memset(first, 0, 16);
	ok(!address_prev(first));
}

TEST(subnets_overlap_where_one_holds_the_other)
{
	static const struct {
		const char *a, *b;
		bool overlap;
	} rows[] = { { "10.0.0.0/8", "10.77.0.0/16", true },    { "10.77.0.0/16", "10.77.0.0/16", true },
		     { "10.76.0.0/16", "10.77.0.0/16", false }, { "10.77.0.128/25", "10.77.0.0/25", false },
		     { "fd00::/8", "fd12::/64", true },         { "fd00::/64", "10.0.0.0/8", false },
		     { "0.0.0.0/0", "10.0.0.0/8", true } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_prefix a = prefix(rows[i].a), b = prefix(rows[i].b);
		is_int(prefix_overlaps(&a, &b), rows[i].overlap);
		is_int(prefix_overlaps(&b, &a), rows[i].overlap);
	}
}

TEST(pools_are_read_and_the_one_that_cannot_be_is_shown)
{
	static const char *const wrong[] = { "10.0.0.0/8", "10.0.0.0/16/8", "10.0.0.0/8/33", "", "fd00::/48/129", "x/8/16" };
	struct net_pool *pools;
	const char *bad = NULL;
	size_t n;

	is_int(pools_parse("10.200.0.0/16/24,fd00:1::/48/64", &pools, &n, &bad), 0);
	is_int(n, 2);
	is_int(pools[0].bits, 120);
	is_int(pools[0].base.bits, 112);
	is_int(pools[1].bits, 64);
	free(pools);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_free_ char *text = str_fmt("10.1.0.0/16/24,%s,10.2.0.0/16/24", wrong[i]);
		is_int(pools_parse(text, &pools, &n, &bad), -EINVAL);
		ok(bad && strncmp(bad, wrong[i], strlen(wrong[i])) == 0 && bad[strlen(wrong[i])] == ',');
	}
}

/* Of "10.8.0.0/22/24,10.9.0.0/24/24,fd00::/62/64". */
static const char *chosen(bool is6, const char *taken_text, char ret[PREFIX_TEXT])
{
	_cleanup_strv_ char **words = strv_split(taken_text, ' ');
	struct net_prefix taken[8], p;
	struct net_pool *pools;
	const char *bad;
	size_t n, n_taken = 0;

	for (; words[n_taken] && *words[n_taken]; n_taken++)
		taken[n_taken] = prefix(words[n_taken]);
	is_int(pools_parse("10.8.0.0/22/24,10.9.0.0/24/24,fd00::/62/64", &pools, &n, &bad), 0);
	int r = pools_choose(pools, n, is6, taken, n_taken, &p);
	free(pools);
	if (r < 0)
		return r == -ENOSPC ? "full" : "error";
	return prefix_print(&p, ret);
}

TEST(the_first_subnet_that_overlaps_nothing_is_chosen)
{
	static const struct {
		bool is6;
		const char *taken, *want;
	} rows[] = {
		{ false, "", "10.8.0.0/24" },
		{ false, "10.8.0.0/24", "10.8.1.0/24" },
		{ false, "10.8.1.7/32 10.8.0.9/32", "10.8.2.0/24" },
		{ false, "10.8.0.0/23", "10.8.2.0/24" },
		{ false, "10.8.0.0/16", "10.9.0.0/24" },
		{ false, "10.0.0.0/8", "full" },
		{ false, "0.0.0.0/0", "full" },
		{ true, "10.0.0.0/8", "fd00::/64" },
		{ true, "fd00::/63 fd00:0:0:2::5/128", "fd00:0:0:3::/64" },
		{ true, "fd00::/48", "full" },
	};
	char text[PREFIX_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		is_str(chosen(rows[i].is6, rows[i].taken, text), rows[i].want);
}

TEST(a_pool_to_the_last_of_all_addresses_ends_there)
{
	const struct net_pool pool = { prefix("ffff::/16"), 16 };
	const struct net_prefix taken = prefix("ffff::/16");
	struct net_prefix p;

	is_int(pools_choose(&pool, 1, true, &taken, 1, &p), -ENOSPC);
	is_int(pools_choose(&pool, 1, true, NULL, 0, &p), 0);
}

TAP_MAIN()
