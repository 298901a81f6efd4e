/* A container's first process and its cgroup: when the directories are made, and when it enters them. Steps of steps.c, of both
 * sides; how a cgroup is made and joined is in cgroup.c. */
#include "setup.h"

static int cgroup_make(struct setup *s, struct err *e)
{
	struct container *c = s->c;

	return (s->args->cgroup_everywhere ? cgroup_create_everywhere : cgroup_create)(s->args->host, c->cgroup_path,
										       &s->spec->resources, &c->cgroup, e);
}

/* Pure v2: made before the clone, which puts the child into it for nothing. Elsewhere the many directories of v1 are made
 * beside the child, and the child joins them itself: on v1 that spares the wait for an RCU grace period that a move by
 * another process costs. */
static bool is_made_early(const struct setup *s) { return s->args->host->cgroup == CGROUP_V2 && !s->args->make_scope; }

int record_early(struct setup *s, struct err *e)
{
	return s->args->record && !s->args->no_cgroup && is_made_early(s) ? s->args->record(0, s->args->record_arg, e) : 0;
}

int record_beside(struct setup *s, struct err *e)
{
	return s->args->record ? s->args->record(s->c->pid, s->args->record_arg, e) : 0;
}

int cgroup_make_early(struct setup *s, struct err *e)
{
	struct container *c = s->c;

	if (s->args->no_cgroup)
		return 0;
	c->cgroup_path =
		s->spec->cgroups_path && *s->spec->cgroups_path ? strdup(s->spec->cgroups_path) : str_fmt("/berth/%s", c->id);
	if (!c->cgroup_path)
		return err_set(e, ENOMEM, "out of memory");
	return is_made_early(s) ? cgroup_make(s, e) : 0;
}

int cgroup_make_beside(struct setup *s, struct err *e)
{
	int r;

	if (s->args->no_cgroup || is_made_early(s))
		return 0;
	r = s->args->make_scope ? s->args->make_scope(s->c->pid, s->args->make_scope_arg, e) : 0;
	if (r == 0)
		r = cgroup_make(s, e);
	if (r < 0)
		return r;
	r = sync_send(s->sock, SYNC_CGROUP);
	/* Gone: what it reported, if anything, is the better error, and read next. */
	return r == -EPIPE || r == -ECONNRESET ? 0 : r < 0 ? err_set(e, -r, "%s", strerror(-r)) : 0;
}

static int join_made_beside(struct setup *s, struct err *e)
{
	struct cgroup *cg = NULL;
	int r = sync_wait(s, SYNC_CGROUP, e);

	if (r == 0)
		r = cgroup_open(s->args->host, s->c->cgroup_path, &cg, e);
	if (r == 0)
		r = cgroup_attach_self(cg, e);
	cgroup_free(cg);
	s->has_joined = r == 0;
	return r;
}

/* Before the child is root of a user namespace only, and so may not write there any more. */
int cgroup_join_early(struct setup *s, struct err *e)
{
	bool must = s->spec->ns.wanted[NS_USER] || s->spec->ns.path[NS_CGROUP];

	return must && !s->args->no_cgroup && !is_made_early(s) ? join_made_beside(s, e) : 0;
}

int cgroup_join(struct setup *s, struct err *e)
{
	struct container *c = s->c;

	if (s->args->no_cgroup || s->has_joined || (s->is_exec && !c->cgroup))
		return 0;
	/* An exec's stage has them open; with a clone fd it was born there. */
	if (c->cgroup)
		return cgroup_clone_fd(c->cgroup) < 0 ? cgroup_attach_self(c->cgroup, e) : 0;
	return join_made_beside(s, e);
}
