/* `berth-transfer copy --stream`, and the same of other verbs: this host's end, where the other is in a guest (guest/files.c). The guest is as little trusted as
 * a tar: what it sends is judged node by node, by a process that can write to the destination and to nothing else. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy_place.h"
#include "files_main.h"
#include "files_tar.h"
#include "unpack_private.h"

/* ---- out of the guest ---- */

static int to_tar(const struct files_options *o, const struct stream_head *h, struct tar_sink *t, struct err *e)
{
	int r = tar_sink_init(t, FILES_TAR_FD, e);

	t->base.progress = o->progress;
	if (r == 0)
		r = unpack_confine_copier(NULL, 0, -1, false, e);
	if (r == 0)
		r = files_unstream(FILES_FROM_GUEST_FD, STREAM_FILES, h->is_content ? "" : h->base, &t->base, e);
	return r < 0 ? r : tar_sink_finish(t, e);
}

static int to_tree(const struct files_options *o, const struct stream_head *h, struct tree_sink *t, struct err *e)
{
	_cleanup_(place_done) struct place src = { .dirfd = -1 }, dst = { .dirfd = -1 };
	struct copy_plan plan;
	int r = place_open(&dst, -1, o->dest, true, e);

	if (r < 0)
		return r;
	src.base = strdup(h->base);
	src.path = strdup(o->source);
	if (!src.base || !src.path)
		return err_set(e, ENOMEM, "out of memory");
	src.is_content = h->is_content;
	src.st.st_mode = h->is_dir ? S_IFDIR : S_IFREG;
	if ((r = copy_plan(&src, &dst, &plan, e)) < 0)
		return r;
	_cleanup_fd_ int fd = place_open_dir(&dst, plan.is_into, e);
	if (fd < 0)
		return fd;
	if ((r = tree_sink_init(t, fd, e)) < 0)
		return r;
	t->keeps_owner = o->keeps_owner;
	t->uid = getuid();
	t->gid = getgid();
	t->base.progress = o->progress;
	r = unpack_confine_copier(NULL, 0, fd, false, e);
	if (r == 0)
		r = files_unstream(FILES_FROM_GUEST_FD, STREAM_FILES, plan.as, &t->base, e);
	return r < 0 ? r : tree_sink_finish(t, e);
}

int files_from_guest(enum stream_kind kind, struct file_sink *s, struct err *e)
{
	struct stream_head h;
	int r = unpack_confine_copier(NULL, 0, -1, false, e);

	if (r == 0)
		r = stream_read_head(FILES_FROM_GUEST_FD, &h, e);
	if (r == 0 && !h.is_content)
		r = err_set(e, EPROTO, "the guest sends one thing, and was asked for all that there is");
	return r < 0 ? r : files_unstream(FILES_FROM_GUEST_FD, kind, "", s, e);
}

/* ---- into the guest ---- */

static int send(const struct files_options *o, const struct place *src, struct stream_sink *s, struct err *e)
{
	struct stream_head h = { .is_tar = !src };
	_cleanup_fd_ int fd = -1;
	int r;

	if (src) {
		h.is_dir = S_ISDIR(src->st.st_mode);
		h.is_content = src->is_content;
		memcpy(h.base, src->base, MIN(strlen(src->base), sizeof(h.base) - 1));
		if (h.is_dir || S_ISREG(src->st.st_mode))
			fd = openat(src->dirfd, src->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		else if (!S_ISLNK(src->st.st_mode) && !S_ISFIFO(src->st.st_mode))
			return err_set(e, EOPNOTSUPP, "%s is a device or a socket, which are not copied", src->path);
	}
	stream_sink_init(s, FILES_TO_GUEST_FD);
	s->leaves_devices_out = true;
	s->base.progress = o->progress;
	if ((r = unpack_confine_copier(&fd, fd >= 0, -1, false, e)) < 0 || (r = stream_put_head(FILES_TO_GUEST_FD, &h, e)) < 0)
		return r;
	if (!src)
		return files_untar(0, WALK_XATTRS_CAPABILITY, &s->base, e);
	const struct walk w = { .dirfd = src->dirfd, .name = src->name, .as = "" };
	return files_walk(&w, &s->base, e);
}

static int no_node(struct file_sink *s _unused_, const struct file_node *n, struct err *e)
{
	return err_set(e, EPROTO, "the guest sends \"%.200s\", for which it was not asked", n->path);
}

/* What the guest says goes before what its end has made of the writing. */
static int send_all(const struct files_options *o, const struct place *src, struct stream_sink *s, struct err *e)
{
	struct file_sink none = { .put = no_node };
	struct err said = { 0 }, late = { 0 };
	int r = send(o, src, s, e), k;

	if (stream_end(FILES_TO_GUEST_FD, r, e, &late) < 0 && r == 0)
		r = err_set(e, late.no, "%s", late.msg);
	close(FILES_TO_GUEST_FD);
	k = files_unstream(FILES_FROM_GUEST_FD, STREAM_FILES, "", &none, &said);
	if (k < 0 && (r == 0 || (r == -EPIPE && k != -EPIPE))) {
		*e = said;
		r = k;
	}
	return r;
}

int copy_stream(const struct files_options *o, struct json_object *answer, struct err *e)
{
	_cleanup_(place_done) struct place src = { .dirfd = -1 };
	struct tree_sink tree = { .parentfd = -1 };
	struct tar_sink tar = { .a = NULL };
	struct stream_sink stream = { .fd = -1 };
	bool has_tar = streq(o->is_out ? o->dest : o->source, "-");
	struct file_sink *s = !o->is_out ? &stream.base : has_tar ? &tar.base : &tree.base;
	struct stream_head h;
	int r = 0;

	if (o->is_out) {
		r = stream_read_head(FILES_FROM_GUEST_FD, &h, e);
		if (r == 0 && h.is_tar)
			r = err_set(e, EPROTO, "the guest answers with a tar, which was not asked for");
		if (r == 0)
			r = has_tar ? to_tar(o, &h, &tar, e) : to_tree(o, &h, &tree, e);
	} else {
		if (!has_tar)
			r = place_open(&src, -1, o->source, o->follows, e);
		if (r == 0 && !has_tar && !src.exists)
			r = err_set(e, ENOENT, "%s: no such file or directory", src.path);
		if (r == 0)
			r = send_all(o, has_tar ? NULL : &src, &stream, e);
	}
	files_progress_end(s);
	json_object_object_add(answer, "bytes", json_object_new_uint64(s->bytes));
	tree_sink_done(&tree);
	tar_sink_done(&tar);
	return r;
}
