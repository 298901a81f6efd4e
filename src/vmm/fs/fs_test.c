/* The file server's sessions, messages of any length, and what the guest's kernel knows by number: nodes and handles. */
#include "fs_rig.h"

TEST(a_session_begins_with_init_and_nothing_goes_before_it)
{
	struct fuse_init_in old = { .major = 7, .minor = 30 };
	struct rig r;

	rig_new(&r, NULL);
	is_int(rig_name(&r, FUSE_LOOKUP, ROOT, NULL, 0, "x"), -EIO);
	is_int(rig_send(&r, FUSE_INIT, 0, &old, sizeof(old), NULL, 0), -EPROTO);
	is_int(rig_init_session(&r, UINT32_MAX), 0);
	is_int(rig_out(&r, struct fuse_init_out)->major, 7);
	is_int(rig_out(&r, struct fuse_init_out)->max_write, FS_DATA_MAX);
	ok(!(rig_out(&r, struct fuse_init_out)->flags & (FUSE_WRITEBACK_CACHE | FUSE_EXPORT_SUPPORT | FUSE_CACHE_SYMLINKS)));
	ok(rig_out(&r, struct fuse_init_out)->flags & FUSE_AUTO_INVAL_DATA);
	is_int(rig_init_session(&r, 0), 0);
	is_int(rig_out(&r, struct fuse_init_out)->flags, 0);
	rig_done(&r);
}

TEST(a_number_that_is_stale_or_made_up_names_nothing)
{
	const struct fuse_getattr_in attr = { 0 };
	uint64_t fh, n, other, other_fh;
	struct rig r;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	other = rig_create(&r, ROOT, "g", &other_fh);
	const struct fuse_forget_in forget = { .nlookup = 1 };
	const struct fuse_release_in release = { .fh = other_fh };
	is_int(rig_read(&r, other, fh, 0, 10), -EBADF); /* of another file */
	is_int(rig_read(&r, n, fh + 1000, 0, 10), -EBADF);
	is_int(rig_read(&r, n, UINT64_MAX, 0, 10), -EBADF);
	is_int(rig_send(&r, FUSE_RELEASE, other, &release, sizeof(release), NULL, 0), 0);
	is_int(rig_read(&r, other, other_fh, 0, 10), -EBADF);
	is_int(rig_send(&r, FUSE_RELEASE, other, &release, sizeof(release), NULL, 0), -EBADF);
	is_int(rig_send(&r, FUSE_FORGET, other, &forget, sizeof(forget), NULL, 0), 2);
	is_int(rig_send(&r, FUSE_GETATTR, other, &attr, sizeof(attr), NULL, 0), -ESTALE);
	is_int(rig_send(&r, FUSE_GETATTR, 0, &attr, sizeof(attr), NULL, 0), -ESTALE);
	is_int(rig_send(&r, FUSE_GETATTR, UINT64_MAX, &attr, sizeof(attr), NULL, 0), -ESTALE);
	n = rig_lookup(&r, ROOT, "g"); /* the slot again, and another number */
	ok(n != other && (uint32_t)n == (uint32_t)other);
	is_int(rig_send(&r, FUSE_GETATTR, other, &attr, sizeof(attr), NULL, 0), -ESTALE);
	rig_done(&r);
}

TEST(forgetting_frees_nodes_but_not_those_in_use_nor_the_root)
{
	struct fuse_forget_in forget = { .nlookup = 3 };
	struct {
		struct fuse_batch_forget_in head;
		struct fuse_forget_one one[2];
	} batch = { .head.count = 1000 }; /* more than there are */
	struct fs_counts c;
	uint64_t fh, n, m;
	struct rig r;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	is_int(rig_lookup(&r, ROOT, "f"), n); /* one node, two lookups */
	is_int(rig_lookup(&r, ROOT, "f"), n);
	is_int(rig_send(&r, FUSE_FORGET, n, &forget, sizeof(forget), NULL, 0), 2);
	fs_count(r.fs, &c);
	is_int(c.nodes, 2); /* the handle's */
	is_int(rig_write(&r, n, fh, 0, "x"), 0);
	const struct fuse_release_in release = { .fh = fh };
	is_int(rig_send(&r, FUSE_RELEASE, n, &release, sizeof(release), NULL, 0), 0);
	fs_count(r.fs, &c);
	is_int(c.nodes, 1);
	is_int(c.handles, 0);
	forget.nlookup = UINT64_MAX;
	is_int(rig_send(&r, FUSE_FORGET, ROOT, &forget, sizeof(forget), NULL, 0), 2);
	n = rig_lookup(&r, ROOT, "f");
	rig_put(r.root, "g", "");
	m = rig_lookup(&r, ROOT, "g");
	ok(n && m && n != m);
	batch.one[0] = (struct fuse_forget_one){ n, 1 };
	batch.one[1] = (struct fuse_forget_one){ m, 5 };
	is_int(rig_send(&r, FUSE_BATCH_FORGET, 0, &batch, sizeof(batch), NULL, 0), 2);
	fs_count(r.fs, &c);
	is_int(c.nodes, 1);
	rig_done(&r);
}

TEST(limits_of_nodes_and_handles_hold)
{
	const struct fs_config limits = { .nodes_max = 4, .handles_max = 2 };
	const struct fuse_open_in in = { .flags = O_RDONLY };
	uint64_t n[3];
	char name[2] = "a";
	struct rig r;

	rig_new(&r, &limits);
	is_int(rig_init_session(&r, UINT32_MAX), 0);
	for (int i = 0; i < 4; i++, name[0]++) {
		rig_put(r.root, name, "");
		if (i < 3)
			ok((n[i] = rig_lookup(&r, ROOT, name)));
	}
	is_int(rig_name(&r, FUSE_LOOKUP, ROOT, NULL, 0, "d"), -ENFILE);
	is_int(rig_lookup(&r, ROOT, "a"), n[0]); /* what is known costs nothing */
	rig_open(&r, n[0], O_RDONLY);
	rig_open(&r, n[1], O_RDONLY);
	is_int(rig_send(&r, FUSE_OPEN, n[2], &in, sizeof(in), NULL, 0), -ENFILE);
	rig_done(&r);
}

TEST(messages_of_the_wrong_length_are_errors_and_nothing_more)
{
	struct fuse_in_header h = { .len = 4000, .opcode = FUSE_GETATTR, .unique = 7, .nodeid = ROOT };
	struct fuse_write_in w = { .size = 100 };
	uint8_t small[15];
	uint64_t fh, n;
	struct rig r;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	w.fh = fh;
	is_int(rig_send(&r, FUSE_WRITE, n, &w, sizeof(w), "short", 5), -EINVAL);
	for (uint32_t op = 0; op < 64; op++) { /* each without its struct */
		int e = rig_send(&r, op, ROOT, NULL, 0, NULL, 0);

		if (op != FUSE_STATFS && op != FUSE_DESTROY && op != FUSE_READLINK && e != 2)
			ok(e == -EINVAL || e == -ENOSYS);
		if (op == FUSE_DESTROY)
			is_int(rig_init_session(&r, UINT32_MAX), 0);
	}
	memcpy(r.message, &h, sizeof(h)); /* says more than there is */
	is_int(fs_handle(r.fs, r.scratch, 1, r.message, sizeof(h), r.message, sizeof(r.message)), sizeof(struct fuse_out_header));
	is_int(rig_head(&r).error, -EINVAL);
	is_int(fs_handle(r.fs, r.scratch, 1, r.message, sizeof(h) - 1, r.message, sizeof(r.message)), FS_NO_ANSWER);
	h.len = sizeof(h);
	memcpy(r.message, &h, sizeof(h));
	is_int(fs_handle(r.fs, r.scratch, 1, r.message, sizeof(h), small, sizeof(small)), FS_NO_ANSWER);
	is_int(rig_send(&r, FUSE_SETXATTR, ROOT, r.message, FS_ARGS_MAX + 1, NULL, 0), -E2BIG); /* whatever it says */
	rig_done(&r);
}

TEST(a_new_session_knows_nothing_of_the_one_before)
{
	const struct fuse_getattr_in attr = { 0 };
	uint64_t n, fh;
	struct fs_counts c;
	struct rig r;

	rig_init(&r);
	rig_put(r.root, "e", "");
	rig_lookup(&r, ROOT, "e");
	n = rig_create(&r, ROOT, "f", &fh);
	is_int(rig_init_session(&r, UINT32_MAX), 0);
	is_int(rig_send(&r, FUSE_GETATTR, n, &attr, sizeof(attr), NULL, 0), -ESTALE);
	fs_count(r.fs, &c);
	is_int(c.nodes, 1);
	is_int(c.handles, 0);
	rig_done(&r);
}

TAP_MAIN()
