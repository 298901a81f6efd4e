/* See network_cni.h. */
#include "network_cni.h"

#include <dirent.h>

#include "cni.h"
#include "engine_impl.h"
#include "network_plan.h"

#define OPTION_CONF    "conf"
#define OPTION_TIMEOUT "timeout"

/* ---- making one ---- */

/* What bridges have and the plugins' configuration says here. */
static int refuse_addresses(const struct engine_network_opts *o, struct err *e)
{
	const struct {
		const char *option;
		bool is_given;
	} options[] = {
		{ "--subnet", strv_len(o->subnets) > 0 },  { "--gateway", strv_len(o->gateways) > 0 },
		{ "--ip-range", strv_len(o->ranges) > 0 }, { "--aux-address", strv_len(o->aux) > 0 },
		{ "--internal", o->is_internal },          { "--ipv6", o->has_ipv6 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].is_given)
			return err_set(e, EINVAL, "%s is not for the driver cni: its configuration says what addresses there are",
				       options[i].option);
	return 0;
}

static int read_seconds(const char *text, uint32_t *ret, struct err *e)
{
	uint64_t n = CNI_SECONDS;

	if (text && (str_to_u64(text, &n) < 0 || n < 1 || n > CNI_SECONDS_MAX))
		return err_set(e, EINVAL, "network option " OPTION_TIMEOUT "=%s: a number of seconds from 1 to %d is expected",
			       text, CNI_SECONDS_MAX);
	*ret = (uint32_t)n;
	return 0;
}

int network_cni_configure(const struct engine_network_opts *o, struct network_config *c, struct err *e)
{
	const char *file = map_get(&c->options, OPTION_CONF), *path = getenv("CNI_PATH"), *text;
	_cleanup_json_ struct json_object *conf = NULL;
	int r = refuse_addresses(o, e);

	if (r >= 0 && !file)
		return err_set(e, EINVAL,
			       "cni needs the plugins' configuration: --opt conf=FILE (a .conflist, or a .conf of one plugin)");
	if (r >= 0)
		r = read_seconds(map_get(&c->options, OPTION_TIMEOUT), &c->cni_seconds, e);
	if (r >= 0)
		r = cni_conf_read(file, o->name, &conf, e);
	if (r < 0)
		return r;
	text = json_object_to_json_string_ext(conf, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	c->cni = text ? strdup(text) : NULL;
	c->cni_path = strdup(path ? path : CNI_PATH_DEFAULT);
	if (!c->cni || !c->cni_path)
		return OUT_OF_MEMORY(e);
	return cni_conf_probe(conf, c->cni_path, c->cni_seconds, e);
}

/* ---- what is asked of one ---- */

int network_cni_check(const struct network_record *n, const struct network_config *c, const char *const ips[2], const char *mac,
		      char *const *aliases, struct err *e)
{
	const struct {
		const char *capability, *option;
		bool is_asked;
	} wishes[] = {
		{ "ips", "--ip", ips[0] || ips[1] },
		{ "mac", "--mac-address", mac },
		{ "aliases", "an alias", strv_len(aliases) > 0 },
	};
	_cleanup_json_ struct json_object *conf = NULL;
	int r = c->cni ? cni_conf_parse(c->cni, strlen(c->cni), n->name, n->name, &conf, e)
		       : err_set(e, EUCLEAN, "network %s: its record has no CNI configuration", n->name);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(wishes); i++)
		if (wishes[i].is_asked && !cni_conf_can(conf, wishes[i].capability))
			r = err_set(e, EINVAL, "network %s: %s can't be asked for: none of its CNI plugins has the capability %s",
				    n->name, wishes[i].option, wishes[i].capability);
	for (int is6 = 0; r >= 0 && is6 < 2; is6++) {
		uint8_t a[16];

		if (ips[is6] && (address_parse(ips[is6], a) < 0 || address_is4(a) == (is6 == 1)))
			r = err_set(e, EINVAL, "invalid IPv%d address: %s", is6 ? 6 : 4, ips[is6]);
	}
	return MIN(r, 0);
}

int network_cni_check_isolation(const struct network_record *n, bool is_vm, struct err *e)
{
	return is_vm && streq(n->driver, "cni") ? err_set(e, EOPNOTSUPP,
							  "network %s is of the driver cni, whose plugins make interfaces of "
							  "containers only: give a virtual "
							  "machine a network of the driver bridge",
							  n->name)
						: 0;
}

/* ---- what was given ---- */

static int note_one(struct engine *en, const struct endpoint_record *p, const struct net_result *given, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct endpoint_options o = { 0 };
	int r = endpoint_options_of(p, &o, e);

	if (r < 0)
		return r;
	struct net_result before = o.given;
	o.given = *given;
	text = endpoint_options_print(&o);
	o.given = before;
	endpoint_options_done(&o);
	return text ? records_endpoint_options(en->records, p->id, text, e) : OUT_OF_MEMORY(e);
}

int network_cni_note(struct engine *en, const char *container_id, const struct net_hold *h, struct err *e)
{
	struct endpoint_record *list = NULL;
	size_t n = 0;
	int r = h->n_results ? records_endpoints(en->records, container_id, NULL, &list, &n, e) : 0;

	for (size_t i = 0; i < h->n_results; i++)
		for (size_t k = 0; k < n && r >= 0; k++)
			if (streq0(h->results[i].id, list[k].id))
				r = note_one(en, &list[k], &h->results[i], e);
	endpoint_records_free(list, n);
	return MIN(r, 0);
}

/* ---- what is left ---- */

static int read_folders(const char *dir, char ***ret)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	int r = d ? 0 : -errno;

	while (d && r >= 0 && (r = dir_next(d, &entry)) > 0)
		r = strv_push(ret, entry->d_name);
	if (d)
		closedir(d);
	return r == -ENOENT ? 0 : r;
}

static void drop(char **list, const char *device)
{
	char **to = list;

	for (char **from = list; *from; from++) {
		if (streq(*from, device))
			free(*from);
		else
			*to++ = *from;
	}
	*to = NULL;
}

static int drop_known(struct engine *en, const char *network_id, char **list, struct err *e)
{
	struct endpoint_record *known = NULL;
	size_t n = 0;
	int r = records_endpoints(en->records, NULL, network_id, &known, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		_cleanup_free_ char *device = network_device_of(known[i].id);

		if (device)
			drop(list, device);
		else
			r = OUT_OF_MEMORY(e);
	}
	endpoint_records_free(known, n);
	return MIN(r, 0);
}

/* The folders are read before the records, and made after them: one without a record is nobody's any more. */
int network_cni_lost(struct engine *en, char ***ret, struct err *e)
{
	_cleanup_free_ char *dir = str_fmt("%s/networks/" NET_CNI_DIR, en->paths->run);
	_cleanup_strv_ char **list = NULL;
	struct network_record *all = NULL;
	size_t n = 0;
	int r = dir ? read_folders(dir, &list) : -ENOMEM;

	if (r < 0)
		return err_set(e, -r, "%s: %s", dir ? dir : NET_CNI_DIR, strerror(-r));
	if (!list)
		return 0;
	r = records_network_list(en->records, &all, &n, e);
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (streq(all[i].driver, "cni"))
			r = drop_known(en, all[i].id, list, e);
	network_records_free(all, n);
	if (r < 0)
		return r;
	if (*list)
		*ret = TAKE_PTR(list);
	return 0;
}

bool network_cni_is_left(struct engine *en, const struct net_endpoint *ep)
{
	_cleanup_free_ char *dir = str_fmt("%s/networks/" NET_CNI_DIR "/%s", en->paths->run, ep->device);

	return streq(ep->network.driver, "cni") && dir && file_exists(AT_FDCWD, dir) != 0;
}
