/* handle: open files of the guest's. */
#include "fs_impl.h"

int fs_reopen(const struct fs_node *n, int flags)
{
	char name[FS_FD_NAME];
	int want = (flags & O_DIRECTORY) ? S_IFDIR : S_IFREG;

	if (n->type == S_IFLNK)
		return -ELOOP;
	if (n->type != (uint32_t)want)
		return n->type == S_IFDIR ? -EISDIR : want == S_IFDIR ? -ENOTDIR : -ENXIO;
	/* By the magic link, which leads to the descriptor's file and nowhere else. */
	return fs_errno(open(fs_fd_name(n->fd, name), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

int fs_handle_add(struct fs *f, int fd, struct fs_node *n, bool is_dir, uint64_t *ret_fh)
{
	struct fs_handle *h = calloc(1, sizeof(*h));
	int r = h ? 0 : -ENOMEM;

	pthread_mutex_lock(&f->lock);
	if (r >= 0)
		r = fs_table_add(&f->handles, h, &h->id);
	if (r >= 0) {
		pthread_mutex_init(&h->lock, NULL);
		h->fd = fd;
		h->is_dir = is_dir;
		h->node = n;
		h->refs = 1;
		n->refs++;
		*ret_fh = h->id;
	}
	pthread_mutex_unlock(&f->lock);
	if (r < 0) {
		fd_close(fd);
		free(h);
	}
	return r;
}

/* fs->lock is held. */
static struct fs_handle *find(struct fs *f, uint64_t fh, const struct fs_node *n, bool is_dir)
{
	struct fs_handle *h = fs_table_find(&f->handles, fh);

	return h && h->node == n && h->is_dir == is_dir ? h : NULL;
}

int fs_handle_get(struct fs *f, uint64_t fh, const struct fs_node *n, bool is_dir, struct fs_handle **ret)
{
	struct fs_handle *h;

	pthread_mutex_lock(&f->lock);
	h = find(f, fh, n, is_dir);
	if (h)
		h->refs++;
	pthread_mutex_unlock(&f->lock);
	if (!h)
		return -EBADF;
	*ret = h;
	return 0;
}

static void handle_free(struct fs_handle *h)
{
	fd_close(h->fd);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void fs_handle_put(struct fs *f, struct fs_handle *h)
{
	struct fs_node *n = NULL;

	if (!h)
		return;
	pthread_mutex_lock(&f->lock);
	if (--h->refs == 0)
		n = h->node;
	pthread_mutex_unlock(&f->lock);
	if (!n)
		return;
	handle_free(h);
	fs_node_put(f, n);
}

int fs_handle_release(struct fs *f, uint64_t fh, const struct fs_node *n, bool is_dir)
{
	struct fs_handle *h;

	pthread_mutex_lock(&f->lock);
	h = find(f, fh, n, is_dir);
	if (h)
		fs_table_remove(&f->handles, fh);
	pthread_mutex_unlock(&f->lock);
	if (!h)
		return -EBADF;
	fs_handle_put(f, h);
	return 0;
}

void fs_handles_drop(struct fs *f)
{
	for (uint32_t i = 0; i < f->handles.n_slots; i++)
		if (f->handles.slots[i].item)
			handle_free(f->handles.slots[i].item);
	fs_table_done(&f->handles);
}
