/* usage.c: what things take of the disk, for `berth system df`; and what is in a container's files, as docker counts it, for `ps -s`. */
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "volumes_impl.h"

#define COUNTED_DEPTH 128 /* what lies deeper is removed all the same */

uint64_t bytes_of(int dirfd, const char *name, int depth)
{
	int fd = depth > COUNTED_DEPTH ? -1 : openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint64_t sum = 0;

	if (!d) {
		fd_close(fd);
		return 0;
	}
	for (struct dirent *ent; (ent = readdir(d));) {
		struct stat st;
		if (streq(ent->d_name, ".") || streq(ent->d_name, "..") || fstatat(fd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		/* One with other names is freed with the last: counted with a share of each. */
		sum += S_ISDIR(st.st_mode) ? bytes_of(fd, ent->d_name, depth + 1)
					   : (uint64_t)st.st_blocks * 512 / (st.st_nlink ? st.st_nlink : 1);
	}
	closedir(d);
	return sum;
}

int engine_container_bytes(struct engine *en, const struct container_record *c, uint64_t *ret, struct err *e)
{
	static const char *const disks[] = { "upper.img", "upper.qcow2" };
	_cleanup_free_ char *upper = str_fmt("containers/%s/upper", c->id);
	struct stat st;

	if (!upper)
		return OUT_OF_MEMORY(e);
	*ret = bytes_of(store_rootfd(en->store), upper, 0);
	for (size_t i = 0; i < ARRAY_SIZE(disks); i++) {
		_cleanup_free_ char *disk = str_fmt("containers/%s/%s", c->id, disks[i]);
		if (!disk)
			return OUT_OF_MEMORY(e);
		if (fstatat(store_rootfd(en->store), disk, &st, AT_SYMLINK_NOFOLLOW) == 0)
			*ret += (uint64_t)st.st_blocks * 512;
	}
	return 0;
}

/* ---- lengths ---- */

struct link {
	ino_t inode;
	uint64_t bytes;
};
struct lengths {
	uint64_t bytes;
	struct link *links; /* a name each of what has several; all its names are in the tree */
	size_t n, room;
};

static void count(struct lengths *l, uint64_t bytes) { l->bytes += MIN(bytes, UINT64_MAX - l->bytes); }

static int count_link(struct lengths *l, const struct stat *st)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		struct link *grown = reallocarray(l->links, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		l->links = grown;
		l->room = room;
	}
	l->links[l->n++] = (struct link){ st->st_ino, (uint64_t)st->st_size };
	return 0;
}

/* Of what is no directory, whatever of it is a hole. */
static int count_below(struct lengths *l, int dirfd, const char *name, int depth)
{
	int fd = depth > COUNTED_DEPTH ? -1 : openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) { /* none, or gone meanwhile */
		fd_close(fd);
		return 0;
	}
	for (struct dirent *ent; r == 0 && (ent = readdir(d));) {
		struct stat st;
		if (streq(ent->d_name, ".") || streq(ent->d_name, "..") || fstatat(fd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			r = count_below(l, fd, ent->d_name, depth + 1);
		else if (st.st_nlink > 1)
			r = count_link(l, &st);
		else
			count(l, (uint64_t)st.st_size);
	}
	closedir(d);
	return r;
}

static int by_inode(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

int lengths_of(int dirfd, const char *name, uint64_t *ret)
{
	struct lengths l = { 0 };
	int r = count_below(&l, dirfd, name, 0);

	if (l.n)
		qsort(l.links, l.n, sizeof(*l.links), by_inode);
	for (size_t i = 0; i < l.n; i++)
		if (i == 0 || l.links[i].inode != l.links[i - 1].inode)
			count(&l, l.links[i].bytes);
	free(l.links);
	if (r == 0)
		*ret = l.bytes;
	return r;
}

/* Of a container docker's sum; a VM's files are the guest's, and what its disk takes is what is known. */
static int written_by(struct engine *en, const struct container_record *c, uint64_t *ret, struct err *e)
{
	_cleanup_free_ char *upper = str_fmt("containers/%s/upper", c->id);

	if (streq(c->isolation, "vm"))
		return engine_container_bytes(en, c, ret, e);
	return !upper || lengths_of(store_rootfd(en->store), upper, ret) < 0 ? OUT_OF_MEMORY(e) : 0;
}

int engine_container_size(struct engine *en, const struct container_record *c, uint64_t *ret_rw, uint64_t *ret_root,
			  struct err *e)
{
	struct image image;
	int r = written_by(en, c, ret_rw, e);

	if (r < 0)
		return r;
	*ret_root = *ret_rw;
	r = image_find(en->store, c->image_id, &image, e);
	if (r == -ENOENT) { /* removed by force: then its size is not known any more */
		*e = (struct err){ 0 };
		return 0;
	}
	if (r < 0)
		return r;
	*ret_root += image.size_bytes;
	image_done(&image);
	return 0;
}

int engine_volume_bytes(struct engine *en, const char *name, uint64_t *ret_bytes, size_t *ret_links, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("volumes/%s/" VOLUME_DATA, name);
	_cleanup_strv_ char **ids = NULL, **names = NULL;
	int r = path ? records_volume_users(en->records, name, &ids, &names, e) : OUT_OF_MEMORY(e);

	if (r < 0)
		return r;
	*ret_bytes = bytes_of(store_rootfd(en->store), path, 0);
	*ret_links = strv_len(ids);
	return 0;
}
