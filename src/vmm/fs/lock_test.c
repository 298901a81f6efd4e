/* The file server's locks: between processes of the guest, and against the host's. */
#include <sys/file.h>

#include "fs_rig.h"

static int lock(struct rig *r, uint32_t op, uint64_t node, uint64_t fh, uint64_t owner, int type, uint32_t flags)
{
	const struct fuse_lk_in in = {
		.fh = fh, .owner = owner, .lk = { .end = INT64_MAX, .type = (uint32_t)type }, .lk_flags = flags
	};

	return rig_send(r, op, node, &in, sizeof(in), NULL, 0);
}

TEST(posix_locks_hold_between_owners_in_the_guest_and_against_the_host)
{
	struct flock all = { .l_type = F_WRLCK };
	struct fuse_flush_in flush = { .lock_owner = 1 };
	uint64_t n, fh;
	struct rig r;
	int host;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	flush.fh = fh;
	is_int(lock(&r, FUSE_SETLK, n, fh, 1, F_WRLCK, 0), 0);
	is_int(lock(&r, FUSE_SETLK, n, fh, 2, F_RDLCK, 0), -EAGAIN);
	is_int(lock(&r, FUSE_GETLK, n, fh, 2, F_WRLCK, 0), 0);
	is_int(rig_out(&r, struct fuse_lk_out)->lk.type, F_WRLCK);
	is_int(rig_out(&r, struct fuse_lk_out)->lk.end, INT64_MAX);
	host = openat(r.root, "f", O_RDWR | O_CLOEXEC);
	is_int(fcntl(host, F_OFD_SETLK, &all), -1);
	is_int(rig_send(&r, FUSE_FLUSH, n, &flush, sizeof(flush), NULL, 0), 0); /* the owner has closed the file */
	is_int(fcntl(host, F_OFD_SETLK, &all), 0);
	is_int(lock(&r, FUSE_SETLK, n, fh, 1, F_RDLCK, 0), -EAGAIN);
	is_int(lock(&r, FUSE_SETLK, n, fh, 1, 77, 0), -EINVAL);
	close(host);
	rig_done(&r);
}

TEST(flock_holds_between_handles_and_against_the_host)
{
	uint64_t n, fh, other;
	struct rig r;
	int host;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	other = rig_open(&r, n, O_RDWR);
	is_int(lock(&r, FUSE_SETLK, n, fh, 1, F_WRLCK, FUSE_LK_FLOCK), 0);
	is_int(lock(&r, FUSE_SETLK, n, other, 2, F_RDLCK, FUSE_LK_FLOCK), -EAGAIN);
	host = openat(r.root, "f", O_RDWR | O_CLOEXEC);
	is_int(flock(host, LOCK_EX | LOCK_NB), -1);
	const struct fuse_release_in release = { .fh = fh, .release_flags = FUSE_RELEASE_FLOCK_UNLOCK };
	is_int(rig_send(&r, FUSE_RELEASE, n, &release, sizeof(release), NULL, 0), 0);
	is_int(flock(host, LOCK_EX | LOCK_NB), 0);
	is_int(lock(&r, FUSE_SETLK, n, other, 2, F_RDLCK, FUSE_LK_FLOCK), -EAGAIN);
	close(host);
	is_int(lock(&r, FUSE_SETLK, n, other, 2, F_RDLCK, FUSE_LK_FLOCK), 0);
	rig_done(&r);
}

TEST(who_waits_for_a_lock_is_answered_when_it_is_free)
{
	struct fs_counts c;
	uint64_t n, fh, waiting;
	struct rig r;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	is_int(fs_try_locks(r.fs), -1);
	is_int(lock(&r, FUSE_SETLK, n, fh, 1, F_WRLCK, 0), 0);
	is_int(lock(&r, FUSE_SETLKW, n, fh, 2, F_WRLCK, 0), 1);
	waiting = r.unique;
	ok(fs_try_locks(r.fs) > 0);
	is_int(r.n_later, 0);
	is_int(lock(&r, FUSE_SETLK, n, fh, 1, F_UNLCK, 0), 0);
	is_int(fs_try_locks(r.fs), -1);
	is_int(r.n_later, 1);
	is_int(r.later_tag, waiting);
	is_int(rig_head(&r).error, 0);
	is_int(rig_head(&r).unique, waiting);
	is_int(lock(&r, FUSE_SETLK, n, fh, 1, F_WRLCK, 0), -EAGAIN); /* it has it */
	fs_count(r.fs, &c);
	is_int(c.waiters, 0);
	rig_done(&r);
}

TEST(a_wait_for_a_lock_is_interrupted_limited_and_ends_with_the_session)
{
	struct fuse_interrupt_in stop;
	struct fs_counts c;
	uint64_t n, fh;
	struct rig r;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	is_int(lock(&r, FUSE_SETLK, n, fh, 1, F_WRLCK, 0), 0);
	is_int(lock(&r, FUSE_SETLKW, n, fh, 2, F_WRLCK, 0), 1);
	stop.unique = r.unique;
	is_int(rig_send(&r, FUSE_INTERRUPT, 0, &stop, sizeof(stop), NULL, 0), 2);
	is_int(r.n_later, 1);
	is_int(rig_head(&r).error, -EINTR);
	is_int(rig_send(&r, FUSE_INTERRUPT, 0, &stop, sizeof(stop), NULL, 0), 2); /* nobody waits any more */
	for (uint64_t i = 0; i < FS_WAITERS_MAX; i++)
		is_int(lock(&r, FUSE_SETLKW, n, fh, 2 + i, F_WRLCK, 0), 1);
	is_int(lock(&r, FUSE_SETLKW, n, fh, 99, F_WRLCK, 0), -ENOLCK);
	is_int(rig_send(&r, FUSE_DESTROY, 0, NULL, 0, NULL, 0), 0);
	is_int(r.n_later, 1 + FS_WAITERS_MAX);
	fs_count(r.fs, &c);
	is_int(c.waiters + c.handles + c.owners, 0);
	is_int(c.nodes, 1);
	rig_done(&r);
}

TAP_MAIN()
