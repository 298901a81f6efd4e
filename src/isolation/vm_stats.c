/* vm_stats: numbers of a running guest: those of the container's cgroup as the guest reads them, and beside them, under
 * "host", what the wall costs: the VMM's cgroup. Requests are answered in the order in which they were made. */
#include "vm_impl.h"

struct stats_request {
	struct stats_request *next;
	void (*cb)(struct instance *i, struct json_object *stats, const struct err *e, void *arg);
	void (*update_cb)(struct instance *i, const struct err *e, void *arg); /* it is one for other limits (vm_update.c) */
	int64_t memory_limit;
	void *arg;
};

static int add(struct instance *i, const struct stats_request *given, struct err *e)
{
	struct stats_request *r = malloc(sizeof(*r));

	if (!r)
		return err_set(e, ENOMEM, "out of memory");
	*r = *given;
	*i->stats_tail = r;
	i->stats_tail = &r->next;
	return 0;
}

int vm_request_update(struct instance *i, int64_t memory_limit, void (*cb)(struct instance *i, const struct err *e, void *arg),
		      void *arg, struct err *e)
{
	return add(i, &(struct stats_request){ .update_cb = cb, .memory_limit = memory_limit, .arg = arg }, e);
}

int vm_stats(struct instance *i, void (*cb)(struct instance *i, struct json_object *stats, const struct err *e, void *arg),
	     void *arg, struct err *e)
{
	int r;

	if (i->phase != VM_RUNNING)
		return err_set(e, ESRCH, "the container does not run");
	r = add(i, &(struct stats_request){ .cb = cb, .arg = arg }, e);
	if (r < 0)
		return r;
	frame_put(&i->link.out, FRAME_STATS, 0, NULL, 0);
	link_flush(&i->link);
	return 0;
}

static void answer(struct instance *i, struct json_object *o, const struct err *e)
{
	struct stats_request *r = i->stats;

	i->stats = r->next;
	if (!i->stats)
		i->stats_tail = &i->stats;
	if (r->update_cb) {
		if (!e)
			vm_update_done(i, r->memory_limit);
		r->update_cb(i, e, r->arg);
	} else {
		r->cb(i, o, e, r->arg);
	}
	free(r);
}

void vm_stats_answer(struct instance *i, const struct frame *f)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct cgroup_stats st = { 0 };
	struct err e = { 0 };

	if (!i->stats)
		return; /* nobody asked: a guest may send what it likes */
	if (f->type == FRAME_ERROR) {
		if (frame_get_error(f, &e) < 0)
			err_set(&e, EPROTO, "the guest sent a false error");
	} else if (i->stats->update_cb) {
		; /* OK is all that it says */
	} else if (json_parse((const char *)f->payload, f->len, "stats", &o, &e) == 0) {
		if (!json_object_is_type(o, json_type_object))
			err_set(&e, EPROTO, "the guest sent false statistics");
		else if (i->cg && cgroup_stats(i->cg, &st, &e) >= 0)
			json_object_object_add(o, "host", cgroup_stats_json(&st));
	}
	answer(i, e.no ? NULL : o, e.no ? &e : NULL);
}

void vm_stats_lost(struct instance *i, const struct err *why)
{
	while (i->stats)
		answer(i, NULL, why);
}
