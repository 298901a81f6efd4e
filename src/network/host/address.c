#include <arpa/inet.h>
#include <stdio.h>

#include "address.h"

int address_parse(const char *text, bool with_prefix, struct address *ret)
{
	struct address a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
	char bare[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	const size_t len = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t bits = 8 * address_len(&a);

	if (!slash == with_prefix || len >= sizeof(bare))
		return -EINVAL;
	memcpy(bare, text, len);
	bare[len] = '\0';
	if (inet_pton(a.family, bare, a.bytes) != 1)
		return -EINVAL;
	if (slash && (str_to_u64(slash + 1, &bits) < 0 || bits > 8 * address_len(&a)))
		return -EINVAL;
	a.prefix = (unsigned)bits;
	*ret = a;
	return 0;
}

char *address_text(const struct address *a, char buf[ADDRESS_TEXT])
{
	if (!inet_ntop(a->family, a->bytes, buf, ADDRESS_TEXT))
		buf[0] = '\0';
	return buf;
}

static bool same_bits(const struct address *a, const struct address *b, unsigned bits)
{
	const unsigned whole = bits / 8, rest = bits % 8;

	return a->family == b->family && memcmp(a->bytes, b->bytes, whole) == 0 &&
	       (rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest)) == 0);
}

bool address_overlaps(const struct address *a, const struct address *b) { return same_bits(a, b, MIN(a->prefix, b->prefix)); }

bool address_within(const struct address *a, const struct address *subnet) { return same_bits(a, subnet, subnet->prefix); }

struct address address_of_mac(const uint8_t mac[6])
{
	return (struct address){ .family = AF_INET6,
				 .bytes = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4],
					    mac[5] },
				 .prefix = 64 };
}

int mac_parse(const char *text, uint8_t ret[6])
{
	uint8_t mac[6];
	static const uint8_t none[6];

	if (strlen(text) != 17)
		return -EINVAL;
	for (size_t i = 0; i < 6; i++) {
		const char digits[3] = { text[3 * i], text[3 * i + 1], '\0' };

		if (strspn(digits, "0123456789abcdefABCDEF") != 2 || text[3 * i + 2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	if ((mac[0] & 1) || memcmp(mac, none, 6) == 0)
		return -EINVAL;
	memcpy(ret, mac, 6);
	return 0;
}
