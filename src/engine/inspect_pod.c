/* inspect_pod.c: one pod in podman's JSON shape (pod inspect), as far as it has what that speaks of: there is no infra container. */
#include "docker_json.h"

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
		doc_text(d, "NetworkMode", p.o->network ? p.o->network : "none");
		r = add_plan(d, &s);
		doc_map(d, "Labels", &p.record.labels);
		doc_int(d, "NumContainers", (int64_t)p.n);
		add_members(d, &p);
		if (failed || r < 0) {
			json_object_put(d.o);
			r = OUT_OF_MEMORY(e);
		} else {
			*ret = d.o;
		}
	}
	engine_pod_done(&p);
	return r;
}
