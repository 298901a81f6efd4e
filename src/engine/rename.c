/* rename.c: `rename`: another name for a container, whatever state it is in. The name is the record's; networks know it by that. */
#include "engine_impl.h"
#include "network_plan.h"

/* It has the name already: that others can't look it up yet is told, and changes nothing. */
static void tell_networks(struct engine *en, const char *id)
{
	struct container_record c;
	struct err e = { 0 };
	int r = records_container_get(en->records, id, &c, &e);

	if (r >= 0) {
		if (c.state == CS_RUNNING || c.state == CS_PAUSED)
			r = network_rename(en, &c, &e);
		container_record_done(&c);
	}
	if (r < 0 && r != -ENOENT)
		log_warn("rename", "%s", e.msg);
}

int engine_rename(struct engine *en, const char *name, const char *new_name, struct err *e)
{
	_cleanup_(container_record_done) struct container_record c = { 0 };
	int r;

	new_name += *new_name == '/'; /* docker's API shows names so, and scripts give them back */
	if (!name_is_valid(new_name))
		return err_set(e, EINVAL,
			       "\"%s\": a name begins with a letter or digit and goes on with letters, digits, '_', '.' and '-'; "
			       "at most "
			       "128",
			       new_name);
	r = engine_get(en, name, &c, e);
	if (r < 0)
		return r;
	if (streq(c.name, new_name))
		return err_set(e, EINVAL, "container %s has that name already", c.name);
	r = records_container_rename(en->records, c.id, c.name, new_name, e);
	if (r >= 0)
		tell_networks(en, c.id);
	return r;
}
