/* network_request.c: what an endpoint-to-be asks of its network: addresses that are its own wish are looked at here, against subnets,
 * ranges and what is the network's own; whether somebody else has them only the records' transaction can tell. */
#include "network_cni.h"

#include <stdio.h>
#include <sys/random.h>

#define BY_ITS_USER "invalid config for network %s: invalid endpoint settings: "

static int make_mac(char ret[18])
{
	uint8_t b[4];

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		return -EIO;
	snprintf(ret, 18, "02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3]);
	return 0;
}

/* "02:42:0A:00:00:02" -> lower case. */
static int read_mac(const char *text, char ret[18], struct err *e)
{
	static const uint8_t nobody[6];
	uint8_t b[6];

	if (str_to_mac(text, b) < 0 || memcmp(b, nobody, sizeof(b)) == 0)
		return err_set(e, EINVAL,
			       "invalid MAC address %s: six bytes of one station's are needed, such as 02:42:0a:4d:00:02", text);
	snprintf(ret, 18, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
	return 0;
}

/* ---- pools and what is kept out of them ---- */

static bool range_holds(const struct net_range *r, const uint8_t a[16])
{
	return memcmp(a, r->first, 16) >= 0 && memcmp(a, r->last, 16) <= 0;
}

/* Of a subnet what may be given out. */
static int pool_of(const struct network_subnet *s, struct net_range *ret)
{
	struct net_prefix p;
	struct net_range hosts, range;

	if (prefix_parse(s->subnet, &p, NULL) < 0)
		return -EINVAL;
	prefix_hosts(&p, hosts.first, hosts.last);
	if (s->range) {
		if (prefix_parse(s->range, &p, NULL) < 0)
			return -EINVAL;
		memcpy(range.first, p.base, 16);
		prefix_last(&p, range.last);
		memcpy(hosts.first, memcmp(range.first, hosts.first, 16) > 0 ? range.first : hosts.first, 16);
		memcpy(hosts.last, memcmp(range.last, hosts.last, 16) < 0 ? range.last : hosts.last, 16);
	}
	*ret = hosts;
	return 0;
}

static size_t count_excluded(const struct network_config *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_subnets; i++)
		n += 1 + strv_len(c->subnets[i].aux.keys);
	return n;
}

static int set_pools(const struct network_record *n, const struct network_config *c, struct endpoint_request *q, struct err *e)
{
	uint8_t(*excluded)[16] = calloc(count_excluded(c) + 1, sizeof(*excluded));
	int r = 0;

	if (!excluded)
		return err_set(e, ENOMEM, "out of memory");
	q->excluded = (const uint8_t(*)[16])excluded;
	for (size_t i = 0; i < c->n_subnets && r == 0; i++) {
		const struct network_subnet *s = &c->subnets[i];
		struct net_range pool;
		r = pool_of(s, &pool);
		if (r == 0 && address_is4(pool.first)) {
			q->pool4 = pool;
			q->has_pool4 = true;
		} else if (r == 0) {
			q->pool6 = pool;
			q->has_pool6 = true;
		}
		if (r == 0 && s->gateway)
			r = address_parse(s->gateway, excluded[q->n_excluded++]);
		for (char **aux = s->aux.values; r == 0 && aux && *aux; aux++)
			r = address_parse(*aux, excluded[q->n_excluded++]);
	}
	return r < 0 ? err_set(e, EUCLEAN, "network %s: its record's addresses can't be read", n->name) : 0;
}

/* ---- addresses that are asked for ---- */

static bool is_excluded(const struct endpoint_request *q, const uint8_t a[16])
{
	for (size_t i = 0; i < q->n_excluded; i++)
		if (memcmp(q->excluded[i], a, 16) == 0)
			return true;
	return false;
}

/* The range is where addresses are given out; who asks for one may have any host's of the subnet. */
static bool is_of_a_subnet(const struct network_config *c, const uint8_t a[16])
{
	for (size_t i = 0; i < c->n_subnets; i++) {
		struct net_prefix p;
		struct net_range hosts;

		if (prefix_parse(c->subnets[i].subnet, &p, NULL) < 0)
			continue;
		prefix_hosts(&p, hosts.first, hosts.last);
		if (range_holds(&hosts, a))
			return true;
	}
	return false;
}

static int set_address(const struct network_record *n, const struct network_config *c, const char *text, bool is6,
		       struct endpoint_request *q, struct err *e)
{
	uint8_t a[16];

	if (address_parse(text, a) < 0 || address_is4(a) == is6)
		return err_set(e, EINVAL, "invalid IPv%d address: %s", is6 ? 6 : 4, text);
	if (!is_of_a_subnet(c, a))
		return err_set(e, EINVAL, BY_ITS_USER "no configured subnet contains the IP address %s", n->name, text);
	if (is_excluded(q, a))
		return err_set(e, EADDRINUSE, "Address already in use: %s is network %s's gateway or one of its --aux-address",
			       text, n->name);
	memcpy(is6 ? q->record.address6 : q->record.address4, a, sizeof(a));
	*(is6 ? &q->record.has_address6 : &q->record.has_address4) = true;
	return 0;
}

static int check_default(const struct network_record *n, const char *ip, const char *ip6, char *const *aliases, struct err *e)
{
	if (!streq(n->name, NETWORK_DEFAULT))
		return 0;
	if (ip || ip6)
		return err_set(e, EINVAL, BY_ITS_USER "user specified IP address is supported on user defined networks only",
			       n->name);
	if (aliases && *aliases)
		return err_set(e, EINVAL, BY_ITS_USER "network-scoped aliases are only supported for user-defined networks",
			       n->name);
	return 0;
}

static int check_aliases(const struct network_record *n, char *const *aliases, struct err *e)
{
	for (; aliases && *aliases; aliases++)
		if (!name_is_valid(*aliases))
			return err_set(e, EINVAL, BY_ITS_USER "alias \"%s\" is no name: [A-Za-z0-9][A-Za-z0-9_.-]* is", n->name,
				       *aliases);
	return 0;
}

static int fill(const struct network_record *n, const char *mac, const struct endpoint_options *asked, struct endpoint_request *q,
		struct err *e)
{
	char id[ID_LEN + 1], text[18];
	int r = mac ? read_mac(mac, text, e) : 0;

	if (r < 0)
		return r;
	if (id_new(id) < 0 || (!mac && make_mac(text) < 0))
		return err_set(e, EIO, "make an endpoint's id: the kernel gives no random bytes");
	q->record.id = strdup(id);
	q->record.network_id = strdup(n->id);
	q->record.network_name = strdup(n->name);
	q->record.mac = strdup(text);
	q->record.options_json = endpoint_options_print(asked);
	return q->record.id && q->record.network_id && q->record.network_name && q->record.mac && q->record.options_json
		       ? 0
		       : err_set(e, ENOMEM, "out of memory");
}

int network_request(const struct network_record *n, const char *ip, const char *ip6, const char *mac, char *const *aliases,
		    struct endpoint_request *ret, struct err *e)
{
	const struct endpoint_options asked = { .aliases = (char **)(uintptr_t)aliases,
						.address4 = (char *)(uintptr_t)ip,
						.address6 = (char *)(uintptr_t)ip6,
						.mac = (char *)(uintptr_t)mac };
	struct network_config c = { 0 };
	struct endpoint_request q = { 0 };
	const bool is_cni = streq(n->driver, "cni");
	int r = network_config_of(n, &c, e);

	if (r >= 0)
		r = check_default(n, ip, ip6, aliases, e);
	if (r >= 0)
		r = check_aliases(n, aliases, e);
	if (r >= 0)
		r = set_pools(n, &c, &q, e);
	if (r >= 0 && is_cni)
		r = network_cni_check(n, &c, (const char *const[]){ ip, ip6 }, mac, aliases, e);
	if (r >= 0 && ip && !is_cni)
		r = set_address(n, &c, ip, false, &q, e);
	if (r >= 0 && ip6 && !is_cni)
		r = set_address(n, &c, ip6, true, &q, e);
	if (r >= 0)
		r = fill(n, mac, &asked, &q, e);
	network_config_done(&c);
	if (r < 0) {
		network_request_done(&q);
		return r;
	}
	*ret = q;
	return 0;
}

void network_request_done(struct endpoint_request *q)
{
	endpoint_record_done(&q->record);
	free((void *)(uintptr_t)q->excluded);
	*q = (struct endpoint_request){ 0 };
}
