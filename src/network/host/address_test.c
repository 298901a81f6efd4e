#include "address.h"

#include <arpa/inet.h>

#include "tap.h"

static struct address subnet(const char *text)
{
	struct address a = { 0 };

	is_int(address_parse(text, true, &a), 0);
	return a;
}

TEST(addresses_are_read_with_a_length_or_without_and_never_in_part)
{
	static const char *const bad_subnets[] = { "",
						   "/",
						   "10.0.0.1",
						   "10.0.0.1/",
						   "10.0.0.1/33",
						   "10.0.0.1/-1",
						   "10.0.0.1/8x",
						   "10.0.0/8",
						   "10.0.0.1/8/8",
						   "fd00::1/129",
						   "fd00::g/64",
						   " 10.0.0.1/8",
						   "1111:2222:3333:4444:5555:6666:7777:8888:9999/64" };
	char text[ADDRESS_TEXT];
	struct address a;

	for (size_t i = 0; i < ARRAY_SIZE(bad_subnets); i++)
		is_int(address_parse(bad_subnets[i], true, &a), -EINVAL);
	is_int(address_parse("10.0.0.1/8", false, &a), -EINVAL);
	is_int(address_parse("10.77.0.2", false, &a), 0);
	is_int(a.prefix, 32);
	is_str(address_text(&a, text), "10.77.0.2");
	a = subnet("fd00::2/64");
	is_int(a.prefix, 64);
	is_str(address_text(&a, text), "fd00::2");
	is_int(subnet("0.0.0.0/0").prefix, 0);
}

TEST(subnets_overlap_where_one_holds_the_others_beginning)
{
	const struct address wide = subnet("10.0.0.0/8"), narrow = subnet("10.77.0.0/16"), other = subnet("11.0.0.0/8");
	const struct address odd = subnet("10.76.0.0/15"), six = subnet("a4d::/16"), one = subnet("10.77.3.4/32");

	ok(address_overlaps(&wide, &narrow));
	ok(address_overlaps(&narrow, &wide));
	ok(address_overlaps(&narrow, &odd));
	ok(!address_overlaps(&wide, &other));
	ok(!address_overlaps(&wide, &six));
	ok(address_within(&one, &narrow));
	ok(address_within(&one, &odd));
	ok(!address_within(&one, &other));
	ok(!address_within(&wide, &narrow));
}

TEST(a_mac_address_is_of_one_device_and_gives_a_link_local_address)
{
	static const char *const bad[] = { "",
					   "02:42:0a:4d:00",
					   "02:42:0a:4d:00:0",
					   "02:42:0a:4d:00:0g",
					   "02:42:0a:4d:00:022",
					   "02-42-0a-4d-00-02",
					   "01:00:5e:00:00:01",
					   "00:00:00:00:00:00",
					   "ff:ff:ff:ff:ff:ff" };
	char text[ADDRESS_TEXT];
	struct address a;
	uint8_t mac[6];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		is_int(mac_parse(bad[i], mac), -EINVAL);
	is_int(mac_parse("02:42:0A:4d:00:02", mac), 0);
	is_int(mac[2], 0x0a);
	a = address_of_mac(mac);
	is_str(address_text(&a, text), "fe80::42:aff:fe4d:2");
}

TAP_MAIN()
