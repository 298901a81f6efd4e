/* diff.c: `diff`: what a container has changed in its files, listed by berth-transfer (transfer/diff.c) or its guest's agent. */
#include "container_root.h"
#include "transfer_run.h"

#include <unistd.h>

int engine_diff(struct engine *en, const char *name, struct err *e)
{
	_cleanup_(container_record_done) struct container_record c = { 0 };
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_container_layers_ struct container_layers layers = CONTAINER_LAYERS_NONE;
	_cleanup_fd_ int out = -1;
	int r = engine_get(en, name, &c, e);

	if (r >= 0 && (out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)) < 0)
		r = err_set(e, errno, "standard output: %s", strerror(errno));
	if (r >= 0)
		r = container_layers_open(en, &c, LAYERS_CHANGES, false, &layers, e);
	if (r < 0)
		return r;
	struct transfer_call call = { .verb = "diff", .stdin_fd = -1, .output_fd = out };
	r = container_layers_run(en, &layers, &call, &answer, e);
	return r < 0 ? err_push(e, r, "container %s", c.name) : 0;
}
