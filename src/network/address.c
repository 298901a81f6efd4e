/* See address.h. */
#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { ALL_BITS = 128, MAPPED_BITS = 96 };
static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

bool address_is4(const uint8_t a[16]) { return memcmp(a, mapped, sizeof(mapped)) == 0; }

int address_parse(const char *text, uint8_t ret[16])
{
	uint8_t a[16];

	if (inet_pton(AF_INET, text, a + sizeof(mapped)) == 1)
		memcpy(a, mapped, sizeof(mapped));
	else if (inet_pton(AF_INET6, text, a) != 1 || address_is4(a))
		return -EINVAL; /* the latter: an IPv4 address is written as one */
	memcpy(ret, a, sizeof(a));
	return 0;
}

char *address_print(const uint8_t a[16], char ret[ADDRESS_TEXT])
{
	if (address_is4(a))
		inet_ntop(AF_INET, a + sizeof(mapped), ret, ADDRESS_TEXT);
	else
		inet_ntop(AF_INET6, a, ret, ADDRESS_TEXT);
	return ret;
}

bool address_next(uint8_t a[16])
{
	for (int i = 15; i >= 0; i--)
		if (++a[i])
			return true;
	return false;
}

bool address_prev(uint8_t a[16])
{
	for (int i = 15; i >= 0; i--)
		if (a[i]--)
			return true;
	return false;
}

struct net_prefix prefix_of(const uint8_t address[16], unsigned bits)
{
	struct net_prefix p = { .bits = bits };

	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = bits > 8 * i ? MIN(bits - 8 * i, 8U) : 0;
		p.base[i] = (uint8_t)(address[i] & (0xff00U >> kept));
	}
	return p;
}

unsigned prefix_written(const struct net_prefix *p) { return address_is4(p->base) ? p->bits - MAPPED_BITS : p->bits; }

/* So many bits of 128, of "24" behind an address of that family. */
static int parse_bits(const char *text, bool is4, unsigned *ret)
{
	uint64_t n;

	if (str_to_u64(text, &n) < 0 || n > (is4 ? ALL_BITS - MAPPED_BITS : ALL_BITS))
		return -EINVAL;
	*ret = (unsigned)n + (is4 ? MAPPED_BITS : 0);
	return 0;
}

int prefix_parse(const char *text, struct net_prefix *ret, uint8_t ret_address[16])
{
	const char *slash = strchr(text, '/');
	char head[ADDRESS_TEXT];
	uint8_t a[16];
	unsigned bits;

	if (!slash || slash - text >= ADDRESS_TEXT)
		return -EINVAL;
	snprintf(head, sizeof(head), "%.*s", (int)(slash - text), text);
	if (address_parse(head, a) < 0 || parse_bits(slash + 1, address_is4(a), &bits) < 0)
		return -EINVAL;
	*ret = prefix_of(a, bits);
	if (ret_address)
		memcpy(ret_address, a, sizeof(a));
	return 0;
}

char *prefix_print(const struct net_prefix *p, char ret[PREFIX_TEXT])
{
	char base[ADDRESS_TEXT];

	snprintf(ret, PREFIX_TEXT, "%s/%u", address_print(p->base, base), prefix_written(p));
	return ret;
}

void prefix_last(const struct net_prefix *p, uint8_t ret[16])
{
	const uint8_t ones[16] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
	};
	struct net_prefix kept = prefix_of(ones, p->bits);

	for (int i = 0; i < 16; i++)
		ret[i] = (uint8_t)(p->base[i] | ~kept.base[i]);
}

bool prefix_holds(const struct net_prefix *p, const uint8_t a[16])
{
	return memcmp(prefix_of(a, p->bits).base, p->base, sizeof(p->base)) == 0;
}

bool prefix_overlaps(const struct net_prefix *a, const struct net_prefix *b)
{
	return a->bits <= b->bits ? prefix_holds(a, b->base) : prefix_holds(b, a->base);
}

void prefix_hosts(const struct net_prefix *p, uint8_t ret_first[16], uint8_t ret_last[16])
{
	memcpy(ret_first, p->base, 16);
	prefix_last(p, ret_last);
	if (p->bits >= ALL_BITS - 1)
		return;
	address_next(ret_first);
	if (address_is4(p->base))
		address_prev(ret_last);
}

/* ---- pools ---- */

/* "10.200.0.0/16/24" */
static int parse_pool(const char *text, struct net_pool *ret)
{
	char copy[PREFIX_TEXT + 4];
	struct net_pool p;
	char *size;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy) || !(size = strrchr(copy, '/')))
		return -EINVAL;
	*size++ = '\0';
	if (prefix_parse(copy, &p.base, NULL) < 0 || parse_bits(size, address_is4(p.base.base), &p.bits) < 0 ||
	    p.bits < p.base.bits)
		return -EINVAL;
	*ret = p;
	return 0;
}

int pools_parse(const char *text, struct net_pool **ret, size_t *ret_n, const char **ret_bad)
{
	_cleanup_strv_ char **words = strv_split(text, ',');
	_cleanup_free_ struct net_pool *pools = words ? calloc(strv_len(words), sizeof(*pools)) : NULL;
	size_t n = 0;

	if (!pools)
		return -ENOMEM;
	for (const char *at = text; words[n]; at += strlen(words[n]) + 1, n++)
		if (parse_pool(words[n], &pools[n]) < 0) {
			*ret_bad = at;
			return -EINVAL;
		}
	*ret = TAKE_PTR(pools);
	*ret_n = n;
	return 0;
}

static const struct net_prefix *overlapping(const struct net_prefix *p, const struct net_prefix *taken, size_t n_taken)
{
	for (size_t i = 0; i < n_taken; i++)
		if (prefix_overlaps(p, &taken[i]))
			return &taken[i];
	return NULL;
}

/* Two subnets that overlap are one inside of the other: behind the wider one there is the next. */
static int choose_of(const struct net_pool *pool, const struct net_prefix *taken, size_t n_taken, struct net_prefix *ret)
{
	struct net_prefix p = { .bits = pool->bits };

	memcpy(p.base, pool->base.base, sizeof(p.base));
	while (prefix_holds(&pool->base, p.base)) {
		const struct net_prefix *t = overlapping(&p, taken, n_taken);
		if (!t) {
			*ret = p;
			return 0;
		}
		prefix_last(t->bits < p.bits ? t : &p, p.base);
		if (!address_next(p.base))
			break;
	}
	return -ENOSPC;
}

int pools_choose(const struct net_pool *pools, size_t n, bool is6, const struct net_prefix *taken, size_t n_taken,
		 struct net_prefix *ret)
{
	for (size_t i = 0; i < n; i++)
		if (address_is4(pools[i].base.base) == !is6 && choose_of(&pools[i], taken, n_taken, ret) == 0)
			return 0;
	return -ENOSPC;
}
