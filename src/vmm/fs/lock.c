/* lock: locks of files, which hold between guests and the host's own processes.
 *
 * flock(2): on the handle's descriptor, a description of its own, so it is the same thing. POSIX locks: each owner in the guest
 * has a description of its own on the file and locks by it (F_OFD_SETLK), as the server's process would be one owner for all.
 *
 * Nothing sleeps in the kernel for a lock: who waits is in a list (its message is answered later, FS_LATER), tried again when a
 * lock of this guest's is given up, and now and then, for what others hold. */
#include <sys/file.h>

#include "fs_impl.h"

enum { PATIENCE_FIRST_MS = 5, PATIENCE_MAX_MS = 100 };

void fs_locks_nudge(struct fs *f)
{
	pthread_mutex_lock(&f->locks_lock);
	if (f->waiters) {
		f->patience_ms = PATIENCE_FIRST_MS;
		pthread_cond_signal(&f->locks_changed);
	}
	pthread_mutex_unlock(&f->locks_lock);
}

/* ---- owners. locks_lock is held ---- */

static void owner_end(struct fs *f, struct fs_owner **at)
{
	struct fs_owner *o = *at;

	*at = o->next;
	fd_close(o->fd);
	free(o);
	f->n_owners--;
}

static int owner_get(struct fs *f, struct fs_node *n, uint64_t owner, int *ret_fd)
{
	struct fs_owner *o = n->owners;
	int fd;

	while (o && o->owner != owner)
		o = o->next;
	if (o) {
		*ret_fd = o->fd;
		return 0;
	}
	if (f->n_owners == FS_OWNERS_MAX)
		return -ENOLCK;
	fd = fs_reopen(n, O_RDWR); /* a lock for writing takes a descriptor for writing */
	if (fd == -EROFS || fd == -EACCES || fd == -EPERM || fd == -ETXTBSY)
		fd = fs_reopen(n, O_RDONLY);
	if (fd < 0)
		return fd;
	o = calloc(1, sizeof(*o));
	if (!o) {
		fd_close(fd);
		return -ENOMEM;
	}
	*o = (struct fs_owner){ .owner = owner, .fd = fd, .next = n->owners };
	n->owners = o;
	f->n_owners++;
	*ret_fd = fd;
	return 0;
}

void fs_locks_forget(struct fs *f, struct fs_node *n)
{
	pthread_mutex_lock(&f->locks_lock);
	while (n->owners)
		owner_end(f, &n->owners);
	pthread_mutex_unlock(&f->locks_lock);
}

void fs_locks_flush(struct fs *f, struct fs_node *n, uint64_t owner)
{
	pthread_mutex_lock(&f->locks_lock);
	for (struct fs_owner **at = &n->owners; *at; at = &(*at)->next)
		if ((*at)->owner == owner) {
			owner_end(f, at);
			break;
		}
	pthread_mutex_unlock(&f->locks_lock);
	fs_locks_nudge(f);
}

/* ---- a request ---- */

/* F_RDLCK and so on are the same numbers in the protocol: those of the guest's kernel, x86. */
static int flock_of(const struct fuse_file_lock *in, struct flock *ret)
{
	if ((in->type != F_RDLCK && in->type != F_WRLCK && in->type != F_UNLCK) || in->start > in->end || in->start > INT64_MAX)
		return -EINVAL;
	*ret = (struct flock){ .l_type = (short)in->type, .l_whence = SEEK_SET, .l_start = (off_t)in->start };
	if (in->end < INT64_MAX) /* else to the end, wherever it is: 0 */
		ret->l_len = (off_t)(in->end - in->start) + 1;
	return 0;
}

/* locks_lock is held. -EAGAIN: somebody else has it. */
static int try_lock(struct fs *f, const struct fs_waiter *w)
{
	struct flock lock = w->lock;
	int fd, e;

	if (w->is_flock)
		return fs_errno(flock(w->handle->fd, LOCK_NB | (lock.l_type == F_RDLCK   ? LOCK_SH
								: lock.l_type == F_WRLCK ? LOCK_EX
											 : LOCK_UN)));
	e = owner_get(f, w->node, w->owner, &fd);
	if (e < 0)
		return e;
	e = fs_errno(fcntl(fd, F_OFD_SETLK, &lock));
	return e == -EACCES ? -EAGAIN : e;
}

/* Keeps node and handle until it is answered. locks_lock is held. */
static int wait_for(struct fs_req *r, const struct fs_waiter *w)
{
	struct fs_waiter *mine;

	if (r->fs->n_waiters == FS_WAITERS_MAX)
		return -ENOLCK;
	mine = malloc(sizeof(*mine));
	if (!mine)
		return -ENOMEM;
	*mine = *w;
	mine->next = r->fs->waiters;
	r->fs->waiters = mine;
	r->fs->n_waiters++;
	r->fs->patience_ms = PATIENCE_FIRST_MS;
	r->node = NULL; /* its ref is the waiter's */
	pthread_cond_signal(&r->fs->locks_changed);
	return FS_REQ_LATER;
}

static int set_lock(struct fs_req *r, bool waits)
{
	const struct fuse_lk_in *in = r->arg;
	struct fs_waiter w = { .tag = r->tag,
			       .unique = r->h.unique,
			       .owner = in->owner,
			       .node = r->node,
			       .is_flock = in->lk_flags & FUSE_LK_FLOCK,
			       .out = r->answer };
	int e = flock_of(&in->lk, &w.lock);

	if (e >= 0)
		e = fs_handle_get(r->fs, in->fh, r->node, false, &w.handle);
	if (e < 0)
		return e;
	pthread_mutex_lock(&r->fs->locks_lock);
	e = try_lock(r->fs, &w);
	if (e == -EAGAIN && waits)
		e = wait_for(r, &w);
	pthread_mutex_unlock(&r->fs->locks_lock);
	if (e == FS_REQ_LATER)
		return e;
	fs_handle_put(r->fs, w.handle);
	if (e >= 0 && w.lock.l_type != F_WRLCK) /* given up, or weaker than before */
		fs_locks_nudge(r->fs);
	return e;
}

int fs_op_setlk(struct fs_req *r) { return set_lock(r, false); }
int fs_op_setlkw(struct fs_req *r) { return set_lock(r, true); }

int fs_op_getlk(struct fs_req *r)
{
	const struct fuse_lk_in *in = r->arg;
	struct fuse_lk_out *out = (void *)r->out;
	struct flock lock;
	int fd, e = flock_of(&in->lk, &lock);

	if (e < 0 || r->out_max < sizeof(*out) || lock.l_type == F_UNLCK)
		return e < 0 ? e : -EINVAL;
	pthread_mutex_lock(&r->fs->locks_lock);
	e = owner_get(r->fs, r->node, in->owner, &fd);
	if (e >= 0)
		e = fs_errno(fcntl(fd, F_OFD_GETLK, &lock));
	pthread_mutex_unlock(&r->fs->locks_lock);
	if (e < 0)
		return e;
	/* Whose it is has no number that would say something in the guest. */
	*out = (struct fuse_lk_out){ .lk = { .start = (uint64_t)lock.l_start,
					     .end = lock.l_len ? (uint64_t)(lock.l_start + lock.l_len - 1) : INT64_MAX,
					     .type = (uint32_t)lock.l_type } };
	return sizeof(*out);
}

/* ---- who waits ---- */

/* Off the list; locks_lock is held. */
static struct fs_waiter *take(struct fs *f, struct fs_waiter **at)
{
	struct fs_waiter *w = *at;

	*at = w->next;
	w->next = NULL;
	f->n_waiters--;
	return w;
}

static void waiter_free(struct fs *f, struct fs_waiter *w)
{
	fs_handle_put(f, w->handle);
	fs_node_put(f, w->node);
	free(w);
}

static void tell(struct fs *f, struct fs_waiter *w, int e)
{
	const struct fuse_out_header h = { .len = sizeof(h), .error = e < 0 ? e : 0, .unique = w->unique };

	memcpy(w->out, &h, sizeof(h));
	f->config.answer(f->config.arg, w->tag, sizeof(h));
	waiter_free(f, w);
}

int fs_try_locks(struct fs *f)
{
	struct fs_waiter *done = NULL, *w;
	int ms;

	pthread_rwlock_rdlock(&f->session);
	pthread_mutex_lock(&f->locks_lock);
	for (struct fs_waiter **at = &f->waiters; *at;) {
		int e = try_lock(f, *at);

		if (e == -EAGAIN) {
			at = &(*at)->next;
			continue;
		}
		w = take(f, at);
		w->lock.l_pid = e; /* what is told once nothing is locked here */
		w->next = done;
		done = w;
	}
	ms = f->waiters ? (int)f->patience_ms : -1;
	f->patience_ms = MIN(2 * f->patience_ms, (unsigned)PATIENCE_MAX_MS);
	pthread_mutex_unlock(&f->locks_lock);
	while ((w = done)) {
		done = w->next;
		tell(f, w, w->lock.l_pid);
	}
	pthread_rwlock_unlock(&f->session);
	return ms;
}

void fs_sleep_locks(struct fs *f, int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += MAX(ms, 0) / 1000;
	until.tv_nsec += MAX(ms, 0) % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_mutex_lock(&f->locks_lock);
	if (!f->waiters)
		pthread_cond_wait(&f->locks_changed, &f->locks_lock);
	else
		(void)pthread_cond_timedwait(&f->locks_changed, &f->locks_lock, &until);
	pthread_mutex_unlock(&f->locks_lock);
}

int fs_op_interrupt(struct fs_req *r)
{
	const struct fuse_interrupt_in *in = r->arg;
	struct fs_waiter *w = NULL;

	pthread_mutex_lock(&r->fs->locks_lock);
	for (struct fs_waiter **at = &r->fs->waiters; *at && !w; at = &(*at)->next)
		if ((*at)->unique == in->unique) {
			w = take(r->fs, at);
			break;
		}
	pthread_mutex_unlock(&r->fs->locks_lock);
	if (w)
		tell(r->fs, w, -EINTR);
	return FS_REQ_NO_ANSWER;
}

void fs_locks_drop(struct fs *f)
{
	struct fs_waiter *w;

	do {
		pthread_mutex_lock(&f->locks_lock);
		w = f->waiters ? take(f, &f->waiters) : NULL;
		pthread_mutex_unlock(&f->locks_lock);
		if (w)
			tell(f, w, -EINTR);
	} while (w);
}
