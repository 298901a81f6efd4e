/* logs.c: what a container has written. */
#include "engine_impl.h"

int engine_logs(struct engine *en, const char *name, const struct log_query *q, int out, int errfd, struct err *e)
{
	struct container_record c;
	struct launch l = { 0 };
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	r = bundle_read_launch(en, c.id, &l, e);
	if (r >= 0 && streq0(l.log_driver, "journald"))
		r = err_set(e, EOPNOTSUPP, "what %s writes is in the journal: journalctl CONTAINER_ID_FULL=%s", c.name, c.id);
	else if (r >= 0 && !l.log_path)
		r = err_set(e, ENODATA, "container %s keeps no log: configured logging driver does not support reading", c.name);
	if (r >= 0)
		r = logs_print(en->paths, c.id, l.log_path, q, out, errfd, e);
	launch_done(&l);
	container_record_done(&c);
	return r;
}
