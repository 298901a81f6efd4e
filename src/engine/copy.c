/* copy.c: `cp`: files of a container, out and in, through berth-transfer (transfer/files_main.h), which gets the container's root as a
 * descriptor and sees nothing else of it. */
#include "container_root.h"
#include "guest.h"
#include "transfer_run.h"

#include <unistd.h>

static int add_args(const struct copy_opts *o, char ***args, struct err *e)
{
	const char *const words[] = { o->is_out ? "out" : "in", "--source", o->source, "--dest", o->dest };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(words) && r >= 0; i++)
		r = strv_push(args, words[i]);
	if (r >= 0 && o->keeps_owner)
		r = strv_push(args, "--archive");
	if (r >= 0 && o->follows_link)
		r = strv_push(args, "--follow-link");
	if (r >= 0 && o->progress)
		r = strv_push_option(args, "--progress", strdup(o->progress));
	return r < 0 ? OUT_OF_MEMORY(e) : 0;
}

static int copy_root(struct engine *en, const struct container_record *c, struct transfer_call *call, struct json_object **ret,
		     struct err *e)
{
	_cleanup_container_root_ struct container_root root = CONTAINER_ROOT_NONE;
	int r = container_root_open(en, c, "cp", &root, e);

	call->root_fd = root.fd;
	return r < 0 ? r : transfer_run(en, call, ret, e);
}

static int copy_guest(struct engine *en, const struct container_record *c, const struct copy_opts *o, struct transfer_call *call,
		      struct json_object **ret, struct err *e)
{
	const char flags[] = { '-', o->keeps_owner ? 'a' : '-', o->follows_link ? 'L' : '-', 0 };
	const struct guest_files_wish w = { .verb = o->is_out ? GUEST_FILES_OUT : GUEST_FILES_IN,
					    .path = o->is_out ? o->source : o->dest,
					    .flags = flags,
					    .is_quiet = !o->progress };
	struct guest_files g = GUEST_FILES_NONE;
	int r = guest_files_open(en, c, &w, &g, e);

	if (r < 0)
		return r;
	call->stream_in_fd = g.from;
	call->stream_out_fd = g.to;
	return guest_files_close(&g, transfer_run(en, call, ret, e), e);
}

int engine_copy(struct engine *en, const char *name, const struct copy_opts *o, uint64_t *ret_bytes, struct err *e)
{
	_cleanup_(container_record_done) struct container_record c = { 0 };
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_strv_ char **args = NULL;
	_cleanup_fd_ int out = -1;
	struct json_object *bytes = NULL;
	int r = engine_get(en, name, &c, e);

	if (r >= 0)
		r = add_args(o, &args, e);
	if (r >= 0 && container_is_vm(&c) && strv_push(&args, "--stream") < 0)
		r = OUT_OF_MEMORY(e);
	if (r >= 0 && o->is_out && streq(o->dest, "-") && (out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)) < 0)
		r = err_set(e, errno, "standard output: %s", strerror(errno));
	if (r < 0)
		return r;
	struct transfer_call call = { .verb = "copy",
				      .args = args,
				      .stdin_fd = !o->is_out && streq(o->source, "-") ? STDIN_FILENO : -1,
				      .output_fd = out };
	r = container_is_vm(&c) ? copy_guest(en, &c, o, &call, &answer, e) : copy_root(en, &c, &call, &answer, e);
	if (r < 0)
		return err_push(e, r, "%s %s", o->is_out ? "from container" : "to container", c.name);
	note_event(en, &c, o->is_out ? "archive-path" : "extract-to-dir");
	if (json_object_object_get_ex(answer, "bytes", &bytes))
		*ret_bytes = json_object_get_uint64(bytes);
	return 0;
}
