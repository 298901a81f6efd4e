/* pods.c: `berth pod create`, `pod ps`, `pod inspect`, `pod exists`. */
#include "cli.h"
#include "filter.h"
#include "output.h"
#include "ps_row.h"
#include "run_args.h"

#include <stdio.h>

/* ---- create ---- */

struct pod_create_args {
	struct run_opts o;
	bool replace;
};

static int set_cpus(void *args, const char *value, struct err *e)
{
	struct pod_create_args *a = args;

	if (opt_read_double(value, &a->o.cpus) < 0 || a->o.cpus <= 0)
		return err_set(e, EINVAL, "\"%s\" is not a number above 0, such as 1.5", value);
	return 0;
}

static int add_network(struct run_opts *o, const char *value, struct err *e)
{
	int r = 0;

	if (o->network)
		r = strv_push(&o->more_networks, value);
	else
		o->network = strdup(value);
	return r < 0 || !o->network ? err_set(e, ENOMEM, "out of memory") : 0;
}

/* Several, also as podman has them: "front,back". A comma behind a '=' is one network's own. */
static int set_network(void *args, const char *value, struct err *e)
{
	struct pod_create_args *a = args;
	_cleanup_strv_ char **names = strchr(value, '=') ? NULL : strv_split(value, ',');
	int r = 0;

	if (strchr(value, '='))
		return add_network(&a->o, value, e);
	if (!names)
		return err_set(e, ENOMEM, "out of memory");
	for (char **n = names; *n && r == 0; n++)
		r = add_network(&a->o, *n, e);
	return r;
}

#define AT(member) offsetof(struct pod_create_args, o.member)
const struct opt pod_create_options[] = {
	{ "name", 'n', OPT_STRING, AT(name), "NAME", "name it; a generated name otherwise" },
	{ "isolation", 0, OPT_STRING, AT(isolation), "KIND",
	  "of all its containers: container (default) or vm, one machine for all" },
	{ "share", 0, OPT_STRING, AT(share), "KINDS", "what its containers share: net,ipc,uts (default), or none" },
	{ "hostname", 0, OPT_STRING, AT(hostname), "NAME", "host name; the pod's name otherwise" },
	{ "network", 0, OPT_STRING, 0, "NETWORK", "bridge (default), none, host, or a network; several", set_network },
	{ "net", 0, OPT_STRING, 0, "NETWORK", NULL, set_network },
	{ "publish", 'p', OPT_LIST, AT(publish), "[IP:][PORT:]PORT", "publish a port of its containers on the host" },
	{ "network-alias", 0, OPT_LIST, AT(network_aliases), "NAME", "another name on its network" },
	{ "ip", 0, OPT_STRING, AT(ip), "ADDRESS", "its IPv4 address" },
	{ "ip6", 0, OPT_STRING, AT(ip6), "ADDRESS", "its IPv6 address" },
	{ "mac-address", 0, OPT_STRING, AT(mac_address), "ADDRESS", "its MAC address" },
	{ "dns", 0, OPT_LIST, AT(dns), "ADDRESS", "a name server to ask in place of the host's" },
	{ "dns-search", 0, OPT_LIST, AT(dns_search), "DOMAIN", "a domain in which short names are looked up" },
	{ "dns-option", 0, OPT_LIST, AT(dns_options), "OPTION", "an option of resolv.conf(5)" },
	{ "dns-opt", 0, OPT_LIST, AT(dns_options), "OPTION", NULL },
	{ "add-host", 0, OPT_LIST, AT(add_hosts), "NAME:ADDRESS", "a line of their /etc/hosts; host-gateway is the host" },
	{ "label", 'l', OPT_LIST, AT(labels), "NAME=VALUE", "attach a label" },
	{ "shm-size", 0, OPT_BYTES, AT(shm_size), "SIZE", "of the shared /dev/shm (default 64m)" },
	{ "memory", 'm', OPT_BYTES, AT(memory), "SIZE", "memory limit of all together" },
	{ "memory-swap", 0, OPT_BYTES_ANY, AT(memory_swap), "SIZE", "memory and swap together; -1 = unlimited swap" },
	{ "cpus", 0, OPT_DOUBLE, AT(cpus), "N", "processor time of all together, in processors", set_cpus },
	{ "cpu-shares", 'c', OPT_I64, AT(cpu_shares), "N", "weight against others (default 1024)" },
	{ "cpuset-cpus", 0, OPT_STRING, AT(cpuset_cpus), "LIST", "run only on these processors, such as 0-2,4" },
	{ "cpuset-mems", 0, OPT_STRING, AT(cpuset_mems), "LIST", "use only these memory nodes" },
	{ "pids-limit", 0, OPT_I64, AT(pids_limit), "N", "processes and threads of all together" },
	{ "cgroup-parent", 0, OPT_STRING, AT(cgroup_parent), "PATH", "the cgroup above (default /berth)" },
	{ "replace", 0, OPT_FLAG, offsetof(struct pod_create_args, replace), NULL, "remove a pod of that name first" },
	{ NULL },
};
#undef AT

static int replace(struct cli *c, const struct pod_create_args *a, struct err *e)
{
	int r;

	if (!a->replace)
		return 0;
	if (!a->o.name)
		return err_set(e, EINVAL, "--replace needs --name: which pod is to go?");
	r = engine_pod_remove(c->engine, a->o.name, true, e);
	if (r == -ENOENT) {
		*e = (struct err){ 0 };
		return 0;
	}
	return r;
}

/* Without --network as with `run`, where its containers share a network; what --share says wrongly, the engine tells. */
static int finish_network(struct run_opts *o, struct err *e)
{
	_cleanup_strv_ char **shared = strv_split(o->share ? o->share : "net", ',');
	bool shares = false;

	if (!shared)
		return err_set(e, ENOMEM, "out of memory");
	for (char **s = shared; *s; s++)
		shares |= streq(*s, "net");
	return shares ? run_default_network(o, e) : 0;
}

int cmd_pod_create(struct cli *c, struct err *e)
{
	struct pod_create_args a = { 0 };
	_cleanup_free_ char *id = NULL;
	int r;

	run_opts_init(&a.o);
	r = cli_parse(c, &a, 0, 1, e);
	if (r == 0 && c->n_operands && a.o.name)
		r = err_set(e, EINVAL, "the pod's name is given twice: %s and %s", a.o.name, c->operands[0]);
	if (r == 0 && c->n_operands && !(a.o.name = strdup(c->operands[0])))
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0)
		r = run_print_note(a.o.isolation, e);
	if (r == 0)
		r = finish_network(&a.o, e);
	if (r == 0)
		r = replace(c, &a, e);
	if (r == 0)
		r = engine_pod_create(c->engine, &a.o, &id, e);
	if (id && r == 0)
		puts(id);
	run_opts_done(&a.o);
	return MIN(r, 0);
}

/* ---- ps ---- */

struct pod_ps_args {
	bool quiet, no_trunc, latest, ctr_names;
	char *format, **filters;
};
const struct opt pod_ps_options[] = {
	{ "quiet", 'q', OPT_FLAG, offsetof(struct pod_ps_args, quiet), NULL, "print ids only" },
	{ "no-trunc", 0, OPT_FLAG, offsetof(struct pod_ps_args, no_trunc), NULL, "do not shorten ids" },
	{ "latest", 'l', OPT_FLAG, offsetof(struct pod_ps_args, latest), NULL, "the newest only" },
	{ "ctr-names", 0, OPT_FLAG, offsetof(struct pod_ps_args, ctr_names), NULL, "with the names of their containers" },
	{ "filter", 'f', OPT_LIST, offsetof(struct pod_ps_args, filters), "KEY=VALUE", "id, name, label, status or isolation" },
	{ "format", 0, OPT_STRING, offsetof(struct pod_ps_args, format), "FORMAT",
	  "json, table, or a template such as {{.Name}}" },
	{ NULL },
};
static const struct column columns[] = {
	{ "POD ID", "Id" },
	{ "NAME", "Name" },
	{ "STATUS", "Status" },
	{ "CREATED", "RunningFor" },
	{ "ISOLATION", "Isolation" },
	{ "# OF CONTAINERS", "NumberOfContainers" },
	{ NULL },
};
static const struct column columns_with_names[] = {
	{ "POD ID", "Id" },
	{ "NAME", "Name" },
	{ "STATUS", "Status" },
	{ "CREATED", "RunningFor" },
	{ "ISOLATION", "Isolation" },
	{ "NAMES", "ContainerNames" },
	{ NULL },
};
static const struct column others[] = {
	{ "CREATED AT", "Created" }, { "LABELS", "Labels" }, { "NAMES", "ContainerNames" },
	{ "NETWORKS", "Networks" },  { "PORTS", "Ports" },   { NULL },
};

static bool matches(const void *thing, const char *key, const char *v)
{
	const struct engine_pod *p = thing;

	if (streq(key, "id"))
		return str_after(p->record.id, v);
	if (streq(key, "name"))
		return filter_name(p->record.name, v);
	if (streq(key, "label"))
		return filter_label(&p->record.labels, v);
	if (streq(key, "status"))
		return strcasecmp(p->state, v) == 0;
	return streq(p->record.isolation, v);
}

static int add_containers(struct json_object *row, const struct engine_pod *p)
{
	struct json_object *list = json_object_new_array();
	_cleanup_buf_ struct buf names = { 0 };

	buf_str(&names, "");
	for (size_t i = 0; list && i < p->n; i++) {
		struct json_object *one = json_object_new_object();
		json_add(one, "Id", json_object_new_string(p->members[i].id));
		json_add(one, "Names", json_object_new_string(p->members[i].name));
		json_add(one, "Status", json_object_new_string(container_state_name(p->members[i].state)));
		json_object_array_add(list, one);
		buf_fmt(&names, "%s%s", i ? "," : "", p->members[i].name);
	}
	if (json_add(row, "Containers", list) < 0)
		return -ENOMEM;
	return json_add(row, "ContainerNames", json_object_new_string(names.data ? names.data : ""));
}

static int add_networks(struct engine *en, const struct engine_pod *p, struct json_object *row, struct err *e)
{
	_cleanup_strv_ char **names = NULL;
	_cleanup_free_ char *text = NULL;
	struct ports ports = { 0 };
	int r = engine_pod_networks(en, p, &names, &ports, e);

	if (r < 0)
		return r;
	text = ports_text(&ports, NULL);
	ports_done(&ports);
	if (!text || json_add(row, "Ports", json_object_new_string(text)) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return ps_row_networks(names, row, e);
}

static int add_row(struct json_object *rows, struct engine *en, const struct engine_pod *p, uint64_t now, bool no_trunc,
		   struct err *e)
{
	struct json_object *row = json_object_new_object();
	_cleanup_free_ char *id = strndup(p->record.id, no_trunc ? ID_LEN : 12), *ago = NULL;
	char text[32], created[RFC3339_LEN];
	int r = 0;

	ago = str_fmt("%s ago", clock_ago(now > p->record.created_ns ? (now - p->record.created_ns) / 1000000000 : 0, text));
	if (!row || !id || !ago || json_add(row, "Id", json_object_new_string(id)) < 0 ||
	    json_add(row, "Name", json_object_new_string(p->record.name)) < 0 ||
	    json_add(row, "Status", json_object_new_string(p->state)) < 0 ||
	    json_add(row, "Created", json_object_new_string(clock_rfc3339(p->record.created_ns, created))) < 0 ||
	    json_add(row, "RunningFor", json_object_new_string(ago)) < 0 ||
	    json_add(row, "Isolation", json_object_new_string(p->record.isolation)) < 0 ||
	    json_add(row, "NumberOfContainers", json_object_new_int64((int64_t)p->n)) < 0 ||
	    json_add(row, "Labels", labels_json(&p->record.labels)) < 0 || add_containers(row, p) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r >= 0)
		r = add_networks(en, p, row, e);
	if (r >= 0 && json_object_array_add(rows, row) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r < 0)
		json_object_put(row);
	return r;
}

int cmd_pod_ps(struct cli *c, struct err *e)
{
	static const char *const known[] = { "id", "name", "label", "status", "isolation", NULL };
	struct pod_ps_args a = { 0 };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	struct engine_pod *list = NULL;
	size_t n = 0, printed = 0;
	int r = rows ? cli_parse(c, &a, 0, 0, e) : err_set(e, ENOMEM, "out of memory");
	const struct listing l = { a.ctr_names ? columns_with_names : columns, others, a.format, a.quiet ? "Id" : NULL };

	if (r == 0)
		r = filters_check(a.filters, known, e);
	if (r == 0)
		r = engine_pod_list(c->engine, &list, &n, e);
	for (size_t i = 0; r == 0 && i < n && !(a.latest && printed); i++) {
		if (!filters_pass(a.filters, matches, &list[i]))
			continue;
		r = add_row(rows, c->engine, &list[i], clock_real_ns(), a.no_trunc, e);
		printed++;
	}
	if (r == 0)
		r = listing_print(&l, rows, e);
	engine_pod_list_free(list, n);
	opts_done(pod_ps_options, &a);
	return MIN(r, 0);
}

/* ---- inspect, exists ---- */

struct pod_inspect_args {
	char *format;
};
const struct opt pod_inspect_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct pod_inspect_args, format), "FORMAT",
	  "json, or a template such as {{.State}}" },
	{ NULL },
};

static int find(struct cli *c, const char *name, void *arg, struct json_object **ret, struct err *e)
{
	(void)arg;
	return engine_pod_inspect(c->engine, name, ret, e);
}

int cmd_pod_inspect(struct cli *c, struct err *e)
{
	struct pod_inspect_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	r = r == 0 ? inspect_all(c, a.format, find, NULL, e) : MIN(r, 0);
	opts_done(pod_inspect_options, &a);
	return r;
}

const struct opt pod_exists_options[] = { { NULL } };

int cmd_pod_exists(struct cli *c, struct err *e)
{
	struct engine_pod p;
	int r = cli_parse(c, NULL, 1, 1, e);

	if (r != 0)
		return MIN(r, 0);
	r = engine_pod_get(c->engine, c->operands[0], &p, e);
	if (r == -ENOENT) { /* podman's answer, without a word */
		*e = (struct err){ 0 };
		return 1;
	}
	if (r == 0)
		engine_pod_done(&p);
	return MIN(r, 0);
}
