/* What the elements are, one by one: a key is its fields in a row, each filled up to four bytes; names of devices take all of their
 * sixteen. */
#include "elements.h"

struct element *element_new(struct elements *v, enum set_id set, const char *owner)
{
	struct element *more = v->failed ? NULL : reallocarray(v->items, v->n + 1, sizeof(*more));

	if (!more) {
		v->failed = true;
		return NULL;
	}
	v->items = more;
	more += v->n++;
	*more = (struct element){ .set = set };
	memccpy(more->owner, owner, '\0', sizeof(more->owner) - 1);
	return more;
}

static void put_field(uint8_t *to, size_t room, uint32_t *len, const void *p, size_t n)
{
	const size_t filled = (n + 3) & ~(size_t)3;

	if (*len + filled > room)
		return; /* no field of ours is that long */
	memcpy(to + *len, p, n);
	*len += (uint32_t)filled;
}

static void put_key(struct element *x, const void *p, size_t n) { put_field(x->key, sizeof(x->key), &x->key_len, p, n); }

static void put_key_device(struct element *x, const char *device)
{
	char name[IFNAMSIZ] = "";

	memccpy(name, device, '\0', sizeof(name) - 1);
	put_key(x, name, sizeof(name));
}

void element_sender(struct elements *v, enum set_id set, const char *device, const void *from, size_t len)
{
	struct element *x = element_new(v, set, device);

	if (!x)
		return;
	put_key_device(x, device);
	put_key(x, from, len);
}

void element_device(struct elements *v, enum set_id set, const char *device) { element_sender(v, set, device, "", 0); }

void element_pair(struct elements *v, enum set_id set, const char *device, const char *other)
{
	char name[IFNAMSIZ] = "";

	memccpy(name, other, '\0', sizeof(name) - 1);
	element_sender(v, set, device, name, sizeof(name));
}

void element_port(struct elements *v, const char *owner, const struct published *p)
{
	const bool is4 = p->to.family == AF_INET;
	const uint16_t host_port = htons(p->host_port), port = htons(p->port);
	struct element *x;

	x = element_new(v, is4 ? (p->host.family ? SET_AT4 : SET_ANY4) : (p->host.family ? SET_AT6 : SET_ANY6), owner);
	if (!x)
		return;
	put_key(x, &p->protocol, sizeof(p->protocol));
	if (p->host.family)
		put_key(x, p->host.bytes, address_len(&p->host));
	put_key(x, &host_port, sizeof(host_port));
	put_field(x->data, sizeof(x->data), &x->data_len, p->to.bytes, address_len(&p->to));
	put_field(x->data, sizeof(x->data), &x->data_len, &port, sizeof(port));
}

bool element_is_port(const struct element *x) { return x->set >= SET_AT4 && x->set <= SET_ANY6; }

static void put_end(uint8_t *to, size_t room, uint32_t *len, const struct address *a, uint16_t port)
{
	const uint16_t in_order = htons(port);

	put_field(to, room, len, a->bytes, address_len(a));
	put_field(to, room, len, &in_order, sizeof(in_order));
}

void element_resolver(struct elements *v, const char *owner, const struct address *gateway, uint16_t port)
{
	struct element *x = element_new(v, gateway->family == AF_INET ? SET_RESOLVERS4 : SET_RESOLVERS6, owner);

	if (x)
		put_end(x->key, sizeof(x->key), &x->key_len, gateway, port);
}

void element_resolve(struct elements *v, const char *owner, const char *bridge, const struct address *from,
		     const struct address *gateway, uint16_t port)
{
	struct element *x = element_new(v, gateway->family == AF_INET ? SET_RESOLVE4 : SET_RESOLVE6, owner);

	if (!x)
		return;
	put_key_device(x, bridge);
	put_key(x, from->bytes, address_len(from));
	put_key(x, gateway->bytes, address_len(gateway));
	put_end(x->data, sizeof(x->data), &x->data_len, gateway, port);
}

bool element_is_own(const struct element *x) { return x->set >= SET_RESOLVE4 && x->set <= SET_EGRESS; }

static void lead(struct element *x, const char *chain) { memccpy(x->chain, chain, '\0', sizeof(x->chain) - 1); }

void element_egress(struct elements *v, const char *owner, const char *bridge, const struct address *from, const char *chain)
{
	struct element *x = element_new(v, from->family == AF_INET ? SET_EGRESS4 : SET_EGRESS6, owner);

	if (!x)
		return;
	put_key_device(x, bridge);
	put_key(x, from->bytes, address_len(from));
	lead(x, chain);
}

void element_egress_port(struct elements *v, const char *device, const char *chain)
{
	struct element *x = element_new(v, SET_EGRESS, device);

	if (!x)
		return;
	put_key_device(x, device);
	lead(x, chain);
}

bool elements_lead_to(const struct elements *v, const char *chain)
{
	for (size_t i = 0; i < v->n; i++)
		if (streq(v->items[i].chain, chain))
			return true;
	return false;
}

static bool has_lost(const struct elements *v, const struct element *x)
{
	return elements_has(v, SET_EGRESS, x->owner) && !elements_has(v, SET_EGRESS4, x->owner) &&
	       !elements_has(v, SET_EGRESS6, x->owner);
}

void elements_close(struct elements *v)
{
	size_t left = 0;

	for (size_t i = 0; i < v->n; i++)
		v->items[i].is_lost = has_lost(v, &v->items[i]);
	for (size_t i = 0; i < v->n; i++)
		if (!v->items[i].is_lost)
			v->items[left++] = v->items[i];
	v->n = left;
	for (size_t i = 0; i < v->n; i++)
		if (v->items[i].chain[0])
			lead(&v->items[i], RULESET_REFUSE);
}

bool elements_has(const struct elements *v, enum set_id set, const char *owner)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->items[i].set == set && streq(v->items[i].owner, owner))
			return true;
	return false;
}

int elements_copy(struct elements *to, const struct element *x)
{
	struct element *copy = element_new(to, x->set, x->owner);

	if (!copy)
		return -ENOMEM;
	*copy = *x;
	return 0;
}

void elements_done(struct elements *v)
{
	free(v->items);
	*v = (struct elements){ 0 };
}
