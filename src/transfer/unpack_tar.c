/* The tar of a layer, read by libarchive (formats tar only, no filters: inflating is not its business), entry by entry into the
 * tree. Judges each entry before anything is made of it. Runs in the writer (confined) and in the fuzzer. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tar_reader.h"
#include "unpack_private.h"

static int node_init(struct node *n, struct archive_entry *entry, struct err *e)
{
	la_int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
	long nsec = archive_entry_mtime_nsec(entry);

	/* (uid_t)-1 means "unchanged" to chown(2). */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return err_set(e, EINVAL, "\"%.200s\" belongs to %lld:%lld, which is no user and group id", n->path,
			       (long long)uid, (long long)gid);
	n->uid = (uint32_t)uid;
	n->gid = (uint32_t)gid;
	n->mode = archive_entry_perm(entry) & 07777;
	n->rdev = archive_entry_rdev(entry);
	n->entry = entry;
	if (archive_entry_mtime_is_set(entry))
		n->mtime = (struct timespec){ .tv_sec = archive_entry_mtime(entry),
					      .tv_nsec = nsec >= 0 && nsec < 1000000000 ? nsec : 0 };
	return 0;
}

/* target: room for what n->target will point to. */
static int make_node(struct tree *t, struct node *n, char target[UNPACK_PATH_MAX], struct archive *a, struct err *e)
{
	const char *link = archive_entry_hardlink(n->entry), *sym = archive_entry_symlink(n->entry);
	mode_t type = archive_entry_filetype(n->entry);
	int r;

	if (!*n->path && (link || type != AE_IFDIR))
		return err_set(e, EINVAL, "the root of the layer is not a directory");
	if (link) {
		if ((r = unpack_path_clean(link, t->lim->max_depth, target, e)) < 0)
			return err_push(e, r, "hard link \"%.100s\"", n->path);
		if (!*target)
			return err_set(e, EINVAL, "hard link \"%.200s\" to the root", n->path);
		n->target = target;
		return node_hardlink(t, n, e);
	}
	switch (type) {
	case AE_IFDIR: return node_directory(t, n, e);
	case AE_IFREG: return node_file(t, n, a, e);
	case AE_IFLNK:
		if (!sym || !*sym)
			return err_set(e, EINVAL, "symlink \"%.200s\" leads nowhere", n->path);
		n->target = sym;
		return node_symlink(t, n, e);
	case AE_IFCHR:
	case AE_IFBLK:
	case AE_IFIFO: return node_special(t, n, type, e);
	default: return err_set(e, EINVAL, "\"%.200s\" is of an unknown type", n->path);
	}
}

static int make_opaque(struct tree *t, const char *dir, struct err *e)
{
	struct tree_dir *d;
	int r = tree_dir(t, dir, &d, e);

	if (r < 0)
		return r;
	/* The cache's fd is O_PATH; "." of it is the same directory, whatever path led there. */
	_cleanup_fd_ int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "open \"%.200s\": %s", dir, strerror(errno));
	if ((r = tree_set_opaque(fd, dir, e)) < 0)
		return r;
	return tree_list(t, &(struct file_line){ .type = 'o', .path = *dir ? dir : "." }, e);
}

static int take_entry(struct tree *t, struct archive *a, struct archive_entry *entry, struct err *e)
{
	const char *raw = archive_entry_pathname(entry);
	char path[UNPACK_PATH_MAX], dir[UNPACK_PATH_MAX], target[UNPACK_PATH_MAX];
	enum wh_kind wh = WH_NONE;
	struct node n = { .path = path };
	int r;

	if (!raw)
		return err_set(e, EINVAL, "entry %llu has no name", (unsigned long long)t->entries);
	if ((r = unpack_path_clean(raw, t->lim->max_depth, path, e)) < 0 || (r = unpack_whiteout(path, &wh, e)) < 0 ||
	    (r = node_init(&n, entry, e)) < 0)
		return r;
	if (wh == WH_IGNORE)
		return 0;
	char *slash = strrchr(path, '/');
	n.name = slash ? slash + 1 : path;
	memcpy(dir, path, (size_t)(n.name - path));
	dir[slash ? slash - path : 0] = '\0';
	if (wh == WH_OPAQUE)
		return make_opaque(t, dir, e);
	if (*path && (r = tree_dir(t, dir, &n.parent, e)) < 0)
		return err_push(e, r, "entry \"%.100s\"", path);
	if (wh != WH_FILE)
		return make_node(t, &n, target, a, e);
	/* "dir/.wh.name" speaks of "dir/name". */
	size_t at = (size_t)(n.name - path);
	memmove(path + at, path + at + strlen(".wh."), strlen(path + at + strlen(".wh.")) + 1);
	n.mode = n.uid = n.gid = 0;
	return node_whiteout(t, &n, e);
}

static int take_entries(struct tree *t, struct tar_reader *tar, struct err *e)
{
	struct archive_entry *entry;
	int r;

	while ((r = tar_reader_next(tar, &entry)) > 0) {
		if (++t->entries > t->lim->max_entries)
			return err_set(e, E2BIG, "the layer has more than %llu entries", (unsigned long long)t->lim->max_entries);
		if ((r = take_entry(t, tar->a, entry, e)) < 0)
			return r;
	}
	if (r < 0)
		return err_set(e, -r, "the layer's tar is damaged after %llu entries: %s", (unsigned long long)t->entries,
			       archive_error_string(tar->a));
	return tree_finish(t, e);
}

int unpack_tar(int fd, int dirfd, int listfd, const struct unpack_limits *lim, struct unpack_result *ret, struct err *e)
{
	struct tar_reader tar;
	struct tree t;
	int r;

	tree_init(&t, dirfd, listfd, lim);
	r = tar_reader_open(&tar, fd, false, e);
	if (r == 0)
		r = take_entries(&t, &tar, e);
	if (r == 0) /* padding, but part of what the diff id covers */
		r = tar_reader_drain(&tar, e);
	if (r == 0)
		*ret = (struct unpack_result){ .size_bytes = t.bytes, .files = t.entries, .has_implied = t.implied > 0 };
	tar_reader_done(&tar);
	tree_done(&t);
	return r;
}
