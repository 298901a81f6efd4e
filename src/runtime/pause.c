/* pause, resume: the freezer of the container's cgroup. */
#include "record.h"

const struct opt pause_options[] = { { NULL } }, resume_options[] = { { NULL } };

static int freeze(const struct held *h, const struct host *host, bool frozen, struct err *e)
{
	enum status st = record_status(h, host);
	struct cgroup *cg = NULL;
	int r;

	if (frozen && st != STATUS_RUNNING && st != STATUS_CREATED)
		return err_set(e, ESRCH, "container not running: %s is %s", h->rec.id, status_names[st]);
	if (!frozen && st != STATUS_PAUSED)
		return err_set(e, EINVAL, "container not paused: %s is %s", h->rec.id, status_names[st]);
	r = record_cgroup(&h->rec, host, &cg, e);
	if (r < 0)
		return r;
	r = cgroup_freeze(cg, frozen, e);
	cgroup_free(cg);
	return r;
}

static int set_frozen(struct runtime *rt, bool frozen, struct err *e)
{
	_cleanup_held_ struct held h = HELD_NONE;
	struct host host = { 0 };
	int r = record_open(rt, rt->operands[0], LOCKED, &h, e);

	if (r == 0)
		r = host_probe_cgroup(&host, e);
	if (r == 0)
		r = freeze(&h, &host, frozen, e);
	host_done(&host);
	return r;
}

int verb_pause(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	(void)opts;
	return set_frozen(rt, true, e);
}

int verb_resume(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	(void)opts;
	return set_frozen(rt, false, e);
}
