/* Networks of the driver cni: the site's plugins make the interface, in the namespace given, and take it away. One after the other is told
 * ADD, each with the result of the one before it; DEL goes the other way. See cni_host.h for what is kept meanwhile. */
#include "cni_host.h"

static bool is_cni(const struct net_endpoint *ep) { return streq(ep->network.driver, "cni"); }

bool cni_is_on(const struct net_plan *p)
{
	for (size_t i = 0; i < p->n_endpoints; i++)
		if (is_cni(&p->endpoints[i]))
			return true;
	return strv_len(p->lost) > 0;
}

const struct net_endpoint *cni_ports_endpoint(const struct net_plan *p)
{
	for (size_t i = 0; i < p->n_endpoints && !ports_endpoint(p); i++)
		if (is_cni(&p->endpoints[i]))
			return &p->endpoints[i];
	return NULL;
}

/* ---- a job's plugins ---- */

struct chain {
	struct json_object *conf, *runtime, *result;
	size_t n;
	char *netns; /* "": it is not there (any more) */
};

static void chain_done(struct chain *c)
{
	json_object_put(c->conf);
	json_object_put(c->runtime);
	json_object_put(c->result);
	free(c->netns);
}

static int chain_of(const struct cni_dir *d, const struct cni_job *j, struct chain *ret, struct err *e)
{
	struct chain c = { .netns = cni_dir_namespace(d) };
	int r = c.netns ? cni_conf_parse(j->conf, strlen(j->conf), "CNI configuration", j->network, &c.conf, e)
			: err_set(e, ENOMEM, "out of memory");

	if (r >= 0)
		r = json_parse(j->runtime, strlen(j->runtime), "runtimeConfig", &c.runtime, e);
	if (r >= 0 && j->result)
		r = json_parse(j->result, strlen(j->result), "result", &c.result, e);
	if (r < 0) {
		chain_done(&c);
		return r;
	}
	c.n = json_object_array_length(cni_conf_plugins(c.conf));
	*ret = c;
	return 0;
}

static int call(const struct chain *c, const struct cni_job *j, const char *command, size_t i, struct json_object **ret,
		struct err *e)
{
	struct json_object *part = json_object_array_get_idx(cni_conf_plugins(c->conf), i);
	_cleanup_json_ struct json_object *config = cni_plugin_config(c->conf, i, c->runtime, c->result);
	const struct cni_call one = { .command = command,
				      .type = cni_conf_text(part, "type"),
				      .path = j->path,
				      .container = j->container,
				      .netns = c->netns,
				      .ifname = j->ifname,
				      .config = config,
				      .seconds = j->seconds };

	return config ? cni_call(&one, ret, e) : err_set(e, ENOMEM, "out of memory");
}

/* One that can't let go keeps no other from it; the first error is told. */
static int del_all(const struct chain *c, const struct cni_job *j, struct err *e)
{
	int first = 0;

	for (size_t i = c->n; i-- > 0;) {
		struct err why = { 0 };
		const int r = call(c, j, "DEL", i, NULL, &why);

		if (r < 0 && first == 0)
			first = err_set(e, -r, "%s", why.msg);
	}
	return first;
}

static int add_all(struct chain *c, const struct cni_job *j, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < c->n && r >= 0; i++) {
		struct json_object *result = NULL;

		r = call(c, j, "ADD", i, &result, e);
		if (r < 0)
			break;
		if (!result)
			return err_set(e, EPROTO, "CNI plugin %s: ADD: it has given no result",
				       cni_conf_text(json_object_array_get_idx(cni_conf_plugins(c->conf), i), "type"));
		json_object_put(c->result);
		c->result = result;
	}
	return r;
}

/* What a host that went down has kept of an earlier life (host-local's addresses) is not in a folder of ours, which went with /run: it is in
 * the way of a first ADD, and gone with the DEL behind it. After a time-out nothing is tried again. */
static int add_or_clear(struct chain *c, const struct cni_job *j, struct err *e)
{
	struct err ignored = { 0 };
	int r = add_all(c, j, e);

	if (r >= 0 || r == -ETIMEDOUT)
		return r;
	json_object_put(c->result);
	c->result = NULL;
	return del_all(c, j, &ignored) < 0 ? r : add_all(c, j, e);
}

/* ---- endpoints ---- */

static int undo_job(const char *state_dir, const char *device, struct cni_dir *d, struct err *e)
{
	struct cni_job j = { 0 };
	struct chain c = { 0 };
	int r = cni_job_read(d, &j, e);
	const bool is_asked = r != -ENOENT; /* without a job nobody was called */

	if (r >= 0)
		r = chain_of(d, &j, &c, e);
	if (r >= 0)
		r = del_all(&c, &j, e);
	chain_done(&c);
	if (r < 0 && is_asked)
		err_push(e, r, "network %s", j.network ? j.network : "of the driver cni");
	cni_job_done(&j);
	if (r < 0 && is_asked)
		return r;
	r = cni_dir_remove(state_dir, device, d);
	return r < 0 ? err_set(e, -r, "remove %s: %s", d->path, strerror(-r)) : 0;
}

static int undo(const char *state_dir, const char *device, struct err *e)
{
	struct cni_dir d;
	int r = cni_dir_open(state_dir, device, false, &d);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(e, -r, "%s/" NET_CNI_DIR "/%s: %s", state_dir, device, strerror(-r));
	r = undo_job(state_dir, device, &d, e);
	cni_dir_close(&d);
	return r;
}

static const char *text_of(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* The folder, with all that it takes to undo what comes next. */
static int begin(const struct net_plan *p, const struct net_endpoint *ep, const struct net_port *ports, int ns,
		 const struct cni_dir *d, struct cni_job *ret, struct err *e)
{
	_cleanup_json_ struct json_object *conf = NULL, *runtime = NULL;
	const struct net_network *net = &ep->network;
	int r = cni_conf_parse(net->cni, strlen(net->cni), net->name, net->name, &conf, e);

	if (r >= 0)
		r = cni_check_wishes(p, ep, conf, e);
	if (r < 0)
		return r;
	runtime = cni_runtime(p, ep, ports);
	*ret = (struct cni_job){ .container = strdup(p->id),
				 .ifname = strdup(ep->name),
				 .network = strdup(net->name),
				 .conf = strdup(net->cni),
				 .path = strdup(net->cni_path),
				 .runtime = runtime ? strdup(text_of(runtime)) : NULL,
				 .seconds = net->cni_seconds ? net->cni_seconds : CNI_SECONDS };
	r = ret->container && ret->ifname && ret->network && ret->conf && ret->path && ret->runtime ? 0 : -ENOMEM;
	if (r >= 0)
		r = cni_dir_pin(d, ns);
	if (r >= 0)
		r = cni_job_write(d, ret);
	return r < 0 ? err_set(e, -r, "%s: %s", d->path, strerror(-r)) : 0;
}

static int keep_result(const struct cni_dir *d, struct cni_job *j, const struct chain *c, struct err *e)
{
	int r;

	j->result = strdup(text_of(c->result));
	r = j->result ? cni_job_write(d, j) : -ENOMEM;
	return r < 0 ? err_set(e, -r, "%s: %s", d->path, strerror(-r)) : 0;
}

static int add_endpoint(const struct net_plan *p, const struct net_endpoint *ep, const struct net_port *ports, int ns,
			struct cni_dir *d, struct net_result *ret, struct err *e)
{
	struct cni_job j = { 0 };
	struct chain c = { 0 };
	int r = begin(p, ep, ports, ns, d, &j, e);

	if (r >= 0)
		r = chain_of(d, &j, &c, e);
	if (r >= 0 && (r = add_or_clear(&c, &j, e)) < 0)
		err_push(e, r, "network %s", ep->network.name);
	if (r >= 0)
		r = keep_result(d, &j, &c, e);
	if (r >= 0)
		r = cni_result_read(c.result, ep, ret, e);
	chain_done(&c);
	cni_job_done(&j);
	return r;
}

static int attach_one(const struct net_plan *p, const struct net_endpoint *ep, const struct net_port *ports, int ns,
		      struct net_result *ret, struct err *e)
{
	struct err ignored = { 0 };
	struct cni_dir d;
	int r = undo(p->state_dir, ep->device, e); /* what an earlier life has left */

	if (r >= 0 && (r = cni_dir_open(p->state_dir, ep->device, true, &d)) < 0)
		err_set(e, -r, "%s/" NET_CNI_DIR "/%s: %s", p->state_dir, ep->device, strerror(-r));
	if (r < 0)
		return r;
	ret->id = strdup(ep->id);
	r = ret->id ? add_endpoint(p, ep, ports, ns, &d, ret, e) : err_set(e, ENOMEM, "out of memory");
	if (r < 0)
		(void)undo_job(p->state_dir, ep->device, &d,
			       &ignored); /* the first error counts; what is left is in the folder */
	cni_dir_close(&d);
	return r;
}

int cni_attach(const struct net_plan *p, int ns, struct net_answer *a, struct err *e)
{
	const struct net_endpoint *to = cni_ports_endpoint(p);
	int r = 0;

	a->results = calloc(p->n_endpoints + 1, sizeof(*a->results));
	if (!a->results)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++) {
		const struct net_endpoint *ep = &p->endpoints[i];

		if (is_cni(ep))
			r = attach_one(p, ep, ep == to && p->n_ports ? a->ports : NULL, ns, &a->results[a->n_results++], e);
	}
	return r;
}

static bool is_kept(const struct net_plan *p, const char *device)
{
	for (char **k = p->keep; k && *k; k++)
		if (streq(*k, device))
			return true;
	return false;
}

int cni_detach(const struct net_plan *p, struct err *e)
{
	struct err why = { 0 };
	int first = 0, r;

	for (size_t i = 0; i < p->n_endpoints; i++) {
		if (!is_cni(&p->endpoints[i]) || is_kept(p, p->endpoints[i].device))
			continue;
		r = undo(p->state_dir, p->endpoints[i].device, &why);
		if (r < 0 && first == 0)
			first = err_set(e, -r, "%s", why.msg);
	}
	for (char **device = p->lost; device && *device; device++) {
		r = undo(p->state_dir, *device, &why);
		if (r < 0 && first == 0)
			first = err_set(e, -r, "%s", why.msg);
	}
	return first;
}
