/* rename.c: `rename`: another name for a container, whatever state it is in. The name is the record's alone. */
#include "engine_impl.h"

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
	return records_container_rename(en->records, c.id, c.name, new_name, e);
}
