/* `berth-transfer export`: a whole root as one tar. */
#include "files_tar.h"
#include "files_main.h"
#include "unpack_private.h"

static int walk_root(struct file_sink *s, struct err *e)
{
	const struct walk w = { .dirfd = FILES_ROOT_FD, .name = ".", .as = "", .xattrs = WALK_XATTRS_LAYER };
	const int readable[] = { FILES_ROOT_FD };
	int r = unpack_confine_copier(readable, 1, -1, true, e);

	return r < 0 ? r : files_walk(&w, s, e);
}

int export_files(const struct files_options *o, struct json_object *answer, struct err *e)
{
	struct tar_sink t;
	int r = tar_sink_init(&t, FILES_TAR_FD, e);

	t.base.progress = o->progress;
	if (r == 0)
		r = o->is_stream ? files_from_guest(STREAM_LAYER, &t.base, e) : walk_root(&t.base, e);
	if (r == 0)
		r = tar_sink_finish(&t, e);
	files_progress_end(&t.base);
	json_object_object_add(answer, "bytes", json_object_new_uint64(t.base.bytes));
	tar_sink_done(&t);
	return r;
}
