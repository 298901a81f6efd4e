/* diff.c: `diff`: what a container has changed in its files, listed by berth-transfer (transfer/diff.c) from its upper directory. */
#include "container_root.h"
#include "transfer_run.h"

#include <unistd.h>

int engine_diff(struct engine *en, const char *name, struct err *e)
{
	_cleanup_container_root_ struct container_root upper = CONTAINER_ROOT_NONE;
	_cleanup_(container_record_done) struct container_record c = { 0 };
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_strv_ char **mounts = NULL;
	_cleanup_fd_ int lower = -1, out = -1;
	int r = engine_get(en, name, &c, e);

	if (r >= 0)
		r = container_layers_open(en, &c, false, "diff", &upper, &lower, &mounts, e);
	if (r >= 0 && (out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)) < 0)
		r = err_set(e, errno, "standard output: %s", strerror(errno));
	if (r < 0)
		return r;
	const struct transfer_call call = {
		.verb = "diff", .args = mounts, .stdin_fd = -1, .output_fd = out, .root_fd = upper.fd, .lower_fd = lower
	};
	r = transfer_run(en, &call, &answer, e);
	return r < 0 ? err_push(e, r, "container %s", c.name) : 0;
}
