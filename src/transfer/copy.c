/* `berth-transfer copy`: one end in a container, the other on this host or a tar. Both are found first; then this process gives up all
 * but the two, and copies. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy_place.h"
#include "files_tar.h"
#include "files_main.h"
#include "unpack_private.h"

/* The source's, where there is one to open for the rules of Landlock. -1: a symlink, or nothing that is read by its name. */
static int source_fd(const struct place *src, struct err *e)
{
	int fd;

	if (!S_ISDIR(src->st.st_mode) && !S_ISREG(src->st.st_mode))
		return -1;
	fd = openat(src->dirfd, src->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_set(e, errno, "open %s: %s", src->path, strerror(errno)) : fd;
}

/* From here on nothing but the source can be read and nothing but the destination be written. */
static int confine(const struct place *src, int destfd, struct err *e)
{
	_cleanup_fd_ int fd = src ? source_fd(src, e) : -1;

	if (fd < -1)
		return fd;
	return unpack_confine_copier(&fd, 1, destfd, false, e);
}

static int to_tar(const struct files_options *o, const struct place *src, struct tar_sink *t, struct err *e)
{
	const struct walk w = {
		.dirfd = src->dirfd,
		.name = src->name,
		.as = src->is_content ? "" : src->base,
	};
	int r = tar_sink_init(t, FILES_TAR_FD, e);

	t->base.progress = o->progress;
	if (r == 0)
		r = confine(src, -1, e);
	if (r == 0)
		r = files_walk(&w, &t->base, e);
	return r < 0 ? r : tar_sink_finish(t, e);
}

/* src NULL: from the tar in fd 0. */
static int to_tree(const struct files_options *o, const struct place *src, int dirfd, const char *as, bool is_root,
		   struct tree_sink *t, struct err *e)
{
	int r = tree_sink_init(t, dirfd, e);

	t->keeps_owner = o->keeps_owner;
	t->follows_links = is_root;
	t->uid = o->is_out ? getuid() : 0;
	t->gid = o->is_out ? getgid() : 0;
	t->base.progress = o->progress;
	if (r == 0)
		r = confine(src, dirfd, e);
	if (r == 0 && src) {
		const struct walk w = { .dirfd = src->dirfd, .name = src->name, .as = as };
		r = files_walk(&w, &t->base, e);
	} else if (r == 0) {
		r = files_untar(0, WALK_XATTRS_CAPABILITY, &t->base, e);
	}
	if (r == 0)
		r = tree_sink_finish(t, e);
	if (r == 0 && t->base.skipped && !t->base.nodes && !t->base.bytes)
		r = err_set(e, EOPNOTSUPP, "%s is a device or a socket, which are not copied",
			    src ? src->path : "all of the tar");
	return r;
}

static int is_same(int a, const struct stat *b)
{
	struct stat st;

	return fstat(a, &st) == 0 && st.st_dev == b->st_dev && st.st_ino == b->st_ino;
}

static int tar_to_tree(const struct files_options *o, const struct place *dst, struct tree_sink *t, struct err *e)
{
	if (!dst->exists || !S_ISDIR(dst->st.st_mode))
		return err_set(e, dst->exists ? ENOTDIR : ENOENT, "destination %s must be a directory", dst->path);
	_cleanup_fd_ int fd = place_open_dir(dst, true, e);
	return fd < 0 ? fd : to_tree(o, NULL, fd, "", is_same(FILES_ROOT_FD, &dst->st), t, e);
}

static int tree_to_tree(const struct files_options *o, const struct place *src, const struct place *dst, struct tree_sink *t,
			struct err *e)
{
	struct copy_plan plan;
	int r = copy_plan(src, dst, &plan, e);

	if (r < 0)
		return r;
	_cleanup_fd_ int fd = place_open_dir(dst, plan.is_into, e);
	return fd < 0 ? fd : to_tree(o, src, fd, plan.as, false, t, e);
}

static int open_source(const struct files_options *o, struct place *src, struct err *e)
{
	int r = place_open(src, o->is_out ? FILES_ROOT_FD : -1, o->source, o->follows, e);

	if (r == 0 && !src->exists)
		r = err_set(e, ENOENT, "%s: no such file or directory", src->path);
	return r;
}

int copy_files(const struct files_options *o, struct json_object *answer, struct err *e)
{
	if (o->is_stream)
		return copy_stream(o, answer, e);
	_cleanup_(place_done) struct place src = { .dirfd = -1 }, dst = { .dirfd = -1 };
	bool from_tar = streq(o->source, "-"), into_tar = streq(o->dest, "-");
	struct tree_sink tree = { .parentfd = -1 };
	struct tar_sink tar = { .a = NULL };
	struct file_sink *s = into_tar ? &tar.base : &tree.base;
	int r = from_tar ? 0 : open_source(o, &src, e);

	if (r == 0 && !into_tar)
		r = place_open(&dst, o->is_out ? -1 : FILES_ROOT_FD, o->dest, true, e);
	if (r == 0)
		r = into_tar   ? to_tar(o, &src, &tar, e)
		    : from_tar ? tar_to_tree(o, &dst, &tree, e)
			       : tree_to_tree(o, &src, &dst, &tree, e);
	files_progress_end(s);
	json_object_object_add(answer, "bytes", json_object_new_uint64(s->bytes));
	tree_sink_done(&tree);
	tar_sink_done(&tar);
	return r;
}
