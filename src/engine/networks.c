/* networks.c: networks by themselves: made, listed, removed. See networks.h. */
#include "network_plan.h"
#include "networks.h"

#include "engine_impl.h"
#include "network_create.h"

enum { MAKE_TRIES = 16 };

/* Those that no record has. Their ids are fixed: nothing in them is random, and nothing is kept of them. */
static const struct {
	const char *name, *driver, *id;
} words[] = {
	{ "host", "host", "686f7374000000000000000000000000000000000000000000000000000000aa" },
	{ "none", "null", "6e6f6e65000000000000000000000000000000000000000000000000000000aa" },
};

bool engine_network_is_predefined(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(words[i].name, name))
			return true;
	return streq(name, NETWORK_DEFAULT);
}

static int word_record(size_t i, struct network_record *ret, struct err *e)
{
	struct network_record n = { .id = strdup(words[i].id), .name = strdup(words[i].name), .driver = strdup(words[i].driver) };

	if (!n.id || !n.name || !n.driver) {
		network_record_done(&n);
		return OUT_OF_MEMORY(e);
	}
	*ret = n;
	return 0;
}

/* ---- making one ---- */

/* Of a configuration that is whole. */
static int put(struct engine *en, const char *id, const char *name, const char *driver, char *const *labels,
	       const struct network_config *c, struct err *e)
{
	_cleanup_free_ struct net_range *ranges = NULL;
	struct network_record n = { .id = strdup(id),
				    .name = strdup(name),
				    .driver = strdup(driver),
				    .created_ns = clock_real_ns(),
				    .config_json = network_config_print(c) };
	int r = n.id && n.name && n.driver && n.config_json ? labels_add(labels, &n.labels, e) : OUT_OF_MEMORY(e);

	if (r >= 0)
		r = network_config_ranges(c, &ranges, e);
	if (r >= 0)
		r = records_network_put(en->records, &n, ranges, c->n_subnets, e);
	network_record_done(&n);
	return MIN(r, 0);
}

/* One bridge is one network's. */
static int check_device(struct engine *en, const struct network_config *c, struct err *e)
{
	struct network_record *all = NULL;
	size_t n = 0;
	int r = records_network_list(en->records, &all, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n && r >= 0; i++) {
		struct network_config other;
		r = network_config_of(&all[i], &other, e);
		if (r < 0)
			break;
		if (c->device && streq0(other.device, c->device))
			r = err_set(e, EEXIST,
				    "network %s has the bridge %s already: give another com.docker.network.bridge.name",
				    all[i].name, c->device);
		network_config_done(&other);
	}
	network_records_free(all, n);
	return MIN(r, 0);
}

/* Another process may take the same subnet between the choice and the record: then another one is chosen, where it was a choice. */
static int make(struct engine *en, const struct engine_network_opts *o, const char *driver, bool is_default,
		char ret_id[ID_LEN + 1], struct err *e)
{
	bool is_choice = !(o->subnets && *o->subnets);
	char id[ID_LEN + 1];
	int r = id_new(id);

	if (r < 0)
		return err_set(e, -r, "make a network's id: %s", strerror(-r));
	for (int try = 0; try < MAKE_TRIES; try++) {
		struct network_config c = { 0 };
		r = network_configure(o, driver, id, &c, e);
		if (r >= 0)
			r = check_device(en, &c, e);
		if (r >= 0)
			r = network_choose_rest(en, is_default, &c, e);
		if (r >= 0)
			r = put(en, id, o->name, driver, o->labels, &c, e);
		network_config_done(&c);
		if (r != -EADDRINUSE || !is_choice)
			break;
	}
	if (r < 0)
		return r;
	memcpy(ret_id, id, sizeof(id));
	return 0;
}

int network_default(struct engine *en, struct network_record *ret, struct err *e)
{
	static const struct engine_network_opts o = { .name = NETWORK_DEFAULT };
	struct err why = { 0 };
	char id[ID_LEN + 1];
	int r = records_network_get(en->records, NETWORK_DEFAULT, ret, &why);

	if (r != -ENOENT)
		return r < 0 ? err_set(e, -r, "%s", why.msg) : 0;
	r = make(en, &o, "bridge", true, id, e);
	return r == 0 || r == -EEXIST ? records_network_get(en->records, NETWORK_DEFAULT, ret, e)
				      : r; /* the latter: another was faster */
}

static int check_name(const char *name, struct err *e)
{
	if (engine_network_is_predefined(name) || streq(name, "default"))
		return err_set(e, EPERM, "operation is not permitted on predefined %s network", name);
	if (!name_is_valid(name))
		return err_set(e, EINVAL,
			       "invalid network name \"%s\": [A-Za-z0-9][A-Za-z0-9_.-]* is needed, of at most 128 bytes", name);
	return 0;
}

static const char *const drivers[] = { "bridge", "macvlan", "ipvlan", "cni" };

static int check_driver(const char *driver, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(driver, words[i].driver))
			return err_set(e, EPERM, "only one instance of \"%s\" network is allowed", driver);
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (streq(driver, drivers[i]))
			return 0;
	return err_set(e, ENOENT, "plugin \"%s\" not found: the drivers are bridge, macvlan, ipvlan and cni", driver);
}

static int check_labels(char *const *labels, struct err *e)
{
	for (; labels && *labels; labels++)
		if (!**labels || **labels == '=')
			return err_set(e, EINVAL, "--label: \"%s\" has no name", *labels);
	return 0;
}

int engine_network_create(struct engine *en, const struct engine_network_opts *o, char **ret_id, struct err *e)
{
	const char *driver = o->driver && *o->driver ? o->driver : "bridge";
	char id[ID_LEN + 1];
	int r = check_name(o->name, e);

	if (r >= 0)
		r = check_driver(driver, e);
	if (r >= 0)
		r = check_labels(o->labels, e);
	if (r >= 0)
		r = make(en, o, driver, false, id, e);
	if (r < 0)
		return r;
	return (*ret_id = strdup(id)) ? 0 : OUT_OF_MEMORY(e);
}

/* ---- finding ---- */

int network_find(struct engine *en, const char *name, struct network_record *ret, struct err *e)
{
	if (streq(name, NETWORK_DEFAULT))
		return network_default(en, ret, e);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(name, words[i].name) || streq(name, words[i].id))
			return word_record(i, ret, e);
	return records_network_get(en->records, name, ret, e);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct network_record *)a)->name, ((const struct network_record *)b)->name);
}

int engine_network_list(struct engine *en, struct network_record **ret, size_t *ret_n, struct err *e)
{
	struct network_record *list = NULL, *more, first = { 0 };
	size_t n = 0;
	int r = network_default(en, &first, e); /* makes it, lest it be missing from the list */

	network_record_done(&first);
	if (r >= 0)
		r = records_network_list(en->records, &list, &n, e);
	if (r < 0)
		return r;
	more = reallocarray(list, n + ARRAY_SIZE(words), sizeof(*list));
	if (!more)
		r = OUT_OF_MEMORY(e);
	else
		list = more;
	for (size_t i = 0; i < ARRAY_SIZE(words) && r >= 0; i++)
		if ((r = word_record(i, &list[n], e)) >= 0)
			n++;
	if (r < 0) {
		network_records_free(list, n);
		return r;
	}
	qsort(list, n, sizeof(*list), by_name);
	*ret = list;
	*ret_n = n;
	return 0;
}

/* ---- removing one ---- */

/* Who is said to be on it may be gone: of containers that ended unseen with --rm only the record is left. 1: look again. */
static int look_at_users(struct engine *en, const char *id)
{
	struct endpoint_record *list = NULL;
	size_t n = 0;
	int gone = 0;

	if (records_endpoints(en->records, NULL, id, &list, &n, NULL) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		struct container_record c;
		int r = engine_get(en, list[i].container_id, &c, NULL);
		if (r == 0)
			container_record_done(&c);
		gone |= r == -ENOENT;
	}
	endpoint_records_free(list, n);
	return gone;
}

/* Its bridge and its resolver may still wait for somebody to come back: they have the addresses that another may now be made with. That
 * the network is gone is true all the same. */
static void take_down(struct engine *en)
{
	struct err e = { 0 };

	if (network_sweep_all(en, &e) < 0)
		log_warn("network", "%s", e.msg);
}

int engine_network_remove(struct engine *en, const char *name, struct err *e)
{
	struct network_record n = { 0 };
	int r = network_find(en, name, &n, e);

	if (r < 0)
		return r;
	if (engine_network_is_predefined(n.name))
		r = err_set(e, EPERM, "%s is a pre-defined network and cannot be removed", n.name);
	else
		r = records_network_delete(en->records, n.id, e);
	if (r == -EBUSY && look_at_users(en, n.id))
		r = records_network_delete(en->records, n.id, e);
	network_record_done(&n);
	if (r >= 0)
		take_down(en);
	return r == -EBUSY ? err_push(e, r, "error while removing network") : r;
}
