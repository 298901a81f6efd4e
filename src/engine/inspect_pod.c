/* inspect_pod.c: one pod in podman's JSON shape (pod inspect), as far as it has what that speaks of: there is no infra container. */
#include "docker_json.h"
#include "inspect_network.h"
#include "network_plan.h"
#include "network_wishes.h"

static void add_members(struct doc d, const struct engine_pod *p)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < p->n; i++) {
		struct doc one = doc_new(d.failed);
		doc_text(one, "Id", p->members[i].id);
		doc_text(one, "Name", p->members[i].name);
		doc_text(one, "State", container_state_name(p->members[i].state));
		json_object_array_add(list, one.o);
	}
	doc_put(d, "Containers", list);
}

static int add_plan(struct doc d, const struct spec *s)
{
	static const struct {
		enum spec_ns ns;
		const char *word;
	} words[] = { { NS_IPC, "ipc" }, { NS_NET, "net" }, { NS_UTS, "uts" } };
	_cleanup_strv_ char **shared = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (s->ns.wanted[words[i].ns] && strv_push(&shared, words[i].word) < 0)
			return -ENOMEM;
	doc_text(d, "Hostname", s->hostname);
	doc_bool(d, "CreateCgroup", true);
	doc_text(d, "CgroupPath", s->cgroups_path);
	doc_bool(d, "CreateInfra", false);
	doc_list(d, "SharedNamespaces", shared);
	doc_int(d, "cpu_period", s->resources.cpu_period);
	doc_int(d, "cpu_quota", s->resources.cpu_quota);
	doc_int(d, "cpu_shares", s->resources.cpu_shares);
	doc_text(d, "cpuset_cpus", s->resources.cpuset_cpus);
	doc_text(d, "cpuset_mems", s->resources.cpuset_mems);
	doc_int(d, "memory_limit", s->resources.memory_limit);
	doc_int(d, "memory_swap", s->resources.memory_swap);
	doc_int(d, "pids_limit", s->resources.pids_limit);
	return 0;
}

/* What was asked for as podman has it, of the container that it has for such things; and what there is as docker has it of a container. */
static int add_networks(struct engine *en, struct doc d, const struct engine_pod *p, struct err *e)
{
	struct network_facts f = { .is_up = pod_is_up(p) };
	_cleanup_strv_ char **names = NULL;
	int r = pod_network_plan(en, &p->record, p->o, &f.plan, e);

	if (r >= 0)
		r = engine_pod_networks(en, p, &names, &f.ports, e);
	if (r >= 0) {
		struct doc s = doc_sub(d, "InfraConfig");
		doc_list(s, "Networks", names);
		doc_bool(s, "HostNetwork", network_kind_of(p->o) == NETWORK_HOST);
		doc_text(s, "StaticIP", p->o->ip);
		doc_text(s, "StaticMAC", p->o->mac_address);
		network_inspect_wishes(s, p->o);
		doc_text(d, "NetworkMode", network_mode(p->o));
		network_inspect(d, p->o, &f);
	}
	network_facts_done(&f);
	return r;
}

int engine_pod_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e)
{
	_cleanup_(spec_done) struct spec s;
	struct engine_pod p;
	bool failed = false;
	int r = engine_pod_get(en, name, &p, e);

	spec_init(&s);
	if (r < 0)
		return r;
	r = pod_read_plan(en->paths, p.record.id, &s, e);
	if (r >= 0) {
		struct doc d = doc_new(&failed);
		doc_text(d, "Id", p.record.id);
		doc_text(d, "Name", p.record.name);
		doc_time(d, "Created", p.record.created_ns);
		doc_text(d, "State", p.state);
		doc_text(d, "Isolation", p.record.isolation);
		r = add_plan(d, &s);
		if (r >= 0)
			r = add_networks(en, d, &p, e);
		doc_map(d, "Labels", &p.record.labels);
		doc_int(d, "NumContainers", (int64_t)p.n);
		add_members(d, &p);
		if (failed || r < 0) {
			json_object_put(d.o);
			r = failed || r == -ENOMEM ? OUT_OF_MEMORY(e) : r;
		} else {
			*ret = d.o;
		}
	}
	engine_pod_done(&p);
	return r;
}
