/* network_subnets.c: which subnets are taken, by networks of the records and by the host itself, and which one a network gets that asks
 * for none. A host that has a route to somewhere keeps it: a bridge with the same addresses would take it over. */
#include "engine_impl.h"
#include "network_config.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/random.h>

/* The default network's first; others' behind it. Where a site uses all of 10.0.0.0/8, those at the end are left. */
#define POOLS_DEFAULT "10.77.0.0/16/16,"
#define POOLS         "10.78.0.0/15/24,10.80.0.0/12/24,172.24.0.0/14/24,192.168.128.0/17/24"
#define POOLS_VAR     "BERTH_ADDRESS_POOLS"
enum { TABLE_MAX = 16 << 20, ULA_TRIES = 16 };

static int add(struct net_prefix **list, size_t *n, const struct net_prefix *p)
{
	struct net_prefix *more = reallocarray(*list, *n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	*list = more;
	more[(*n)++] = *p;
	return 0;
}

/* The default route is none, nor what each link has: fe80::/10, ff00::/8, 127.0.0.0/8, ::1. */
bool network_is_place(const struct net_prefix *p)
{
	const uint8_t *b = p->base;

	if (address_is4(b))
		return prefix_written(p) > 0 && b[12] != 127 && b[12] < 224;
	return p->bits > 0 && b[0] != 0xff && !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80) && !(p->bits == 128 && b[0] == 0);
}

int network_routes4(const char *text, struct net_prefix **list, size_t *n)
{
	for (const char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
		uint8_t a[16] = { [10] = 0xff, [11] = 0xff };
		uint32_t to, mask; /* as they lie in memory: in the network's order */
		struct net_prefix p;
		if (sscanf(line + 1, "%*s %x %*x %*x %*d %*d %*d %x", &to, &mask) != 2)
			continue;
		memcpy(a + 12, &to, sizeof(to));
		p = prefix_of(a, 96 + (unsigned)__builtin_popcount(mask));
		if (network_is_place(&p) && add(list, n, &p) < 0)
			return -ENOMEM;
	}
	return 0;
}

int network_routes6(const char *text, struct net_prefix **list, size_t *n)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		uint8_t a[16];
		unsigned bits;
		char digits[33];
		struct net_prefix p;
		if (sscanf(line, "%32[0-9a-f] %x", digits, &bits) != 2 || strlen(digits) != 32 || bits > 128)
			continue;
		for (int i = 0; i < 16; i++) {
			const char two[] = { digits[2 * i], digits[2 * i + 1], '\0' };
			a[i] = (uint8_t)strtoul(two, NULL, 16);
		}
		p = prefix_of(a, bits);
		if (network_is_place(&p) && add(list, n, &p) < 0)
			return -ENOMEM;
	}
	return 0;
}

static unsigned mask_bits(const uint8_t *mask, size_t bytes)
{
	unsigned n = 0;

	for (size_t i = 0; i < bytes; i++)
		n += (unsigned)__builtin_popcount(mask[i]);
	return n;
}

/* Interfaces that are down have no routes, and come up one day. */
static int add_interface(const struct ifaddrs *i, struct net_prefix **list, size_t *n)
{
	uint8_t a[16] = { [10] = 0xff, [11] = 0xff };
	struct sockaddr_in6 six, mask6;
	struct sockaddr_in four, mask;
	struct net_prefix p;

	if (!i->ifa_addr || !i->ifa_netmask)
		return 0;
	if (i->ifa_addr->sa_family == AF_INET) {
		memcpy(&four, i->ifa_addr, sizeof(four));
		memcpy(&mask, i->ifa_netmask, sizeof(mask));
		memcpy(a + 12, &four.sin_addr, 4);
		p = prefix_of(a, 96 + mask_bits((const uint8_t *)&mask.sin_addr, 4));
	} else if (i->ifa_addr->sa_family == AF_INET6) {
		memcpy(&six, i->ifa_addr, sizeof(six));
		memcpy(&mask6, i->ifa_netmask, sizeof(mask6));
		p = prefix_of(six.sin6_addr.s6_addr, mask_bits(mask6.sin6_addr.s6_addr, 16));
	} else {
		return 0;
	}
	return network_is_place(&p) ? add(list, n, &p) : 0;
}

static int add_interfaces(struct net_prefix **list, size_t *n, struct err *e)
{
	struct ifaddrs *all = NULL;
	int r = 0;

	if (getifaddrs(&all) < 0)
		return err_set(e, errno, "list the host's interfaces: %s", strerror(errno));
	for (const struct ifaddrs *i = all; i && r == 0; i = i->ifa_next)
		r = add_interface(i, list, n);
	freeifaddrs(all);
	return r < 0 ? OUT_OF_MEMORY(e) : 0;
}

static int add_routes(struct net_prefix **list, size_t *n, struct err *e)
{
	static const struct {
		const char *path;
		int (*read)(const char *text, struct net_prefix **list, size_t *n);
	} tables[] = { { "/proc/self/net/route", network_routes4 }, { "/proc/self/net/ipv6_route", network_routes6 } };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		_cleanup_free_ char *text = NULL;
		int r = file_read(AT_FDCWD, tables[i].path, TABLE_MAX, &text, NULL);
		if (r == -ENOENT) /* a kernel without IPv6 */
			continue;
		if (r < 0)
			return err_set(e, -r, "%s: %s", tables[i].path, strerror(-r));
		if (tables[i].read(text, list, n) < 0)
			return OUT_OF_MEMORY(e);
	}
	return 0;
}

static int add_records(struct engine *en, struct net_prefix **list, size_t *n, struct err *e)
{
	struct network_record *all = NULL;
	size_t n_all = 0;
	int r = records_network_list(en->records, &all, &n_all, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n_all && r >= 0; i++) {
		struct network_config c;
		r = network_config_of(&all[i], &c, e);
		if (r < 0)
			break;
		for (size_t k = 0; k < c.n_subnets && r >= 0; k++) {
			struct net_prefix p;
			if (prefix_parse(c.subnets[k].subnet, &p, NULL) == 0 && add(list, n, &p) < 0)
				r = OUT_OF_MEMORY(e);
		}
		network_config_done(&c);
	}
	network_records_free(all, n_all);
	return MIN(r, 0);
}

int network_taken(struct engine *en, struct net_prefix **ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ struct net_prefix *list = NULL;
	size_t n = 0;
	int r = add_records(en, &list, &n, e);

	if (r >= 0)
		r = add_interfaces(&list, &n, e);
	if (r >= 0)
		r = add_routes(&list, &n, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(list);
	*ret_n = n;
	return 0;
}

/* RFC 4193 section 3.2: fd, 40 bits of chance for the site; and 16 more for the subnet. */
static int choose_ula(const struct net_prefix *taken, size_t n_taken, struct net_prefix *ret)
{
	for (int try = 0; try < ULA_TRIES; try++) {
		uint8_t a[16] = { 0xfd };
		struct net_pool one = { .bits = 64 };
		if (getrandom(a + 1, 7, 0) != 7)
			return -EIO;
		one.base = prefix_of(a, 64);
		if (pools_choose(&one, 1, true, taken, n_taken, ret) == 0)
			return 0;
	}
	return -ENOSPC;
}

static bool has_family(const struct net_pool *pools, size_t n, bool is6)
{
	for (size_t i = 0; i < n; i++)
		if (address_is4(pools[i].base.base) != is6)
			return true;
	return false;
}

int network_choose_subnet(bool is6, bool is_default, const struct net_prefix *taken, size_t n_taken, struct net_prefix *ret,
			  struct err *e)
{
	const char *given = getenv(POOLS_VAR), *bad = "";
	_cleanup_free_ struct net_pool *pools = NULL;
	size_t n = 0;
	int r;

	if (given && !*given)
		given = NULL;
	r = pools_parse(given ? given : is_default ? POOLS_DEFAULT POOLS : POOLS, &pools, &n, &bad);
	if (r == -ENOMEM)
		return OUT_OF_MEMORY(e);
	if (r < 0)
		return err_set(e, EINVAL, POOLS_VAR ": \"%.*s\" is no pool: a subnet and a size are, such as 10.200.0.0/16/24",
			       (int)strcspn(bad, ","), bad);
	if (is6 && !has_family(pools, n, true))
		r = choose_ula(taken, n_taken, ret);
	else
		r = pools_choose(pools, n, is6, taken, n_taken, ret);
	if (r == -EIO)
		return err_set(e, EIO, "choose a subnet: the kernel gives no random bytes");
	return r < 0 ? err_set(e, ENOSPC,
			       "could not find an available, non-overlapping IPv%d address pool among %s: give one with "
			       "--subnet, "
			       "remove networks (berth network prune), or name other pools in " POOLS_VAR,
			       is6 ? 6 : 4, given ? "those of " POOLS_VAR : "the defaults")
		     : 0;
}
