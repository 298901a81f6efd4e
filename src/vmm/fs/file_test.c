/* The file server's files: their bytes and their attributes, and that both sides have the same ones. */
#include "fs_rig.h"

TEST(what_is_written_is_the_hosts_file_at_once_and_the_other_way_round)
{
	uint64_t fh, n;
	struct rig r;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	is_int(rig_write(&r, n, fh, 0, "from the guest"), 0);
	rig_content_is(&r, "f", "from the guest");
	rig_put(r.root, "f", "from the host");
	is_int(rig_read(&r, n, fh, 5, 100), 0);
	is_int(r.got, sizeof(struct fuse_out_header) + 8);
	ok(memcmp(rig_out(&r, char), "the host", 8) == 0);
	is_int(rig_read(&r, n, fh, 1000, 100), 0);
	is_int(r.got, sizeof(struct fuse_out_header)); /* the end of the file */
	rig_done(&r);
}

TEST(how_long_an_answer_is_to_be_trusted_is_its_volumes)
{
	static const struct fs_volume volumes[] = { { "strict", FS_TRUST_NEVER }, { "cached", FS_TRUST_SECOND } };
	static const struct {
		const char *volume;
		uint64_t file_s, file_ns, dir_s, dir_ns, attr_s, attr_ns; /* ns: one, which is a tick */
	} cases[] = { { "plain", 0, 0, 0, 1, 0, 1 }, { "strict", 0, 0, 0, 0, 0, 0 }, { "cached", 1, 0, 1, 0, 1, 0 } };
	const struct fs_config c = { .volumes = volumes, .n_volumes = ARRAY_SIZE(volumes) };
	const struct fuse_getattr_in in = { 0 };
	struct rig r;

	rig_new(&r, &c);
	is_int(rig_init_session(&r, UINT32_MAX), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct fuse_entry_out *e = rig_out(&r, struct fuse_entry_out);
		const struct fuse_attr_out *a = rig_out(&r, struct fuse_attr_out);
		uint64_t dir, deep, file;
		char path[32];

		snprintf(path, sizeof(path), "%s/deep/file", cases[i].volume);
		is_int(mkdir_p(r.root, path, 0755), 0);
		is_int(unlinkat(r.root, path, AT_REMOVEDIR), 0);
		rig_put(r.root, path, "text");
		dir = rig_lookup(&r, ROOT, cases[i].volume);
		is_int(e->entry_valid, cases[i].dir_s);
		is_int(e->entry_valid_nsec, cases[i].dir_ns);
		is_int(e->attr_valid, cases[i].attr_s);
		is_int(e->attr_valid_nsec, cases[i].attr_ns);
		deep = rig_lookup(&r, dir, "deep");
		is_int(e->entry_valid, cases[i].dir_s);
		is_int(e->entry_valid_nsec, cases[i].dir_ns);
		file = rig_lookup(&r, deep, "file");
		is_int(e->attr.size, 4);
		is_int(e->entry_valid, cases[i].file_s);
		is_int(e->entry_valid_nsec, cases[i].file_ns);
		is_int(e->attr_valid, cases[i].attr_s);
		is_int(e->attr_valid_nsec, cases[i].attr_ns);
		is_int(rig_send(&r, FUSE_GETATTR, file, &in, sizeof(in), NULL, 0), 0);
		is_int(a->attr_valid, cases[i].attr_s);
		is_int(a->attr_valid_nsec, cases[i].attr_ns);
		is_int(rig_name(&r, FUSE_LOOKUP, deep, NULL, 0, "not"), -ENOENT); /* and no negative entry */
	}
	rig_done(&r);
}

TEST(setattr_changes_mode_owner_size_and_times)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE | FATTR_SIZE | FATTR_MTIME,
				      .mode = S_IFREG | 04711,
				      .size = 3,
				      .mtime = 1234567,
				      .mtimensec = 89 };
	struct stat st;
	uint64_t n;
	struct rig r;

	rig_init(&r);
	rig_put(r.root, "f", "a long text");
	n = rig_lookup(&r, ROOT, "f");
	is_int(rig_send(&r, FUSE_SETATTR, n, &in, sizeof(in), NULL, 0), 0);
	is_int(rig_out(&r, struct fuse_attr_out)->attr.mtimensec, 89);
	rig_content_is(&r, "f", "a l");
	is_int(fstatat(r.root, "f", &st, 0), 0);
	is_int(st.st_mode, S_IFREG | 04711);
	is_int(st.st_mtim.tv_sec, 1234567);
	in = (struct fuse_setattr_in){ .valid = FATTR_MTIME, .mtimensec = UTIME_NOW };
	is_int(rig_send(&r, FUSE_SETATTR, n, &in, sizeof(in), NULL, 0), -EINVAL);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = UINT64_MAX };
	is_int(rig_send(&r, FUSE_SETATTR, n, &in, sizeof(in), NULL, 0), -EFBIG);
	if (geteuid() == 0) {
		in = (struct fuse_setattr_in){ .valid = FATTR_UID | FATTR_GID, .uid = 77, .gid = 88 };
		is_int(rig_send(&r, FUSE_SETATTR, n, &in, sizeof(in), NULL, 0), 0);
		is_int(rig_out(&r, struct fuse_attr_out)->attr.uid * 100 + rig_out(&r, struct fuse_attr_out)->attr.gid, 7788);
	}
	rig_done(&r);
}

TEST(writing_for_who_has_no_FSETID_takes_the_set_id_bits)
{
	struct fuse_write_in w = { .size = 1, .write_flags = FUSE_WRITE_KILL_SUIDGID };
	struct stat st;
	uint64_t n, fh;
	struct rig r;

	rig_init(&r);
	if (geteuid() != 0)
		skip("root keeps the bits otherwise");
	n = rig_create(&r, ROOT, "f", &fh);
	w.fh = fh;
	is_int(fchmodat(r.root, "f", 06755, 0), 0);
	is_int(rig_write(&r, n, fh, 0, "x"), 0);
	is_int(fstatat(r.root, "f", &st, 0), 0);
	is_int(st.st_mode & 07777, 06755);
	is_int(rig_send(&r, FUSE_WRITE, n, &w, sizeof(w), "y", 1), 0);
	is_int(fstatat(r.root, "f", &st, 0), 0);
	is_int(st.st_mode & 07777, 0755);
	rig_done(&r);
}

TEST(appending_goes_to_the_end_that_the_host_knows_and_cached_pages_to_their_place)
{
	struct fuse_write_in w = { .size = 1, .flags = O_APPEND | O_RDWR };
	uint64_t n, fh;
	struct rig r;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	w.fh = fh;
	rig_put(r.root, "f", "0123");
	is_int(rig_send(&r, FUSE_WRITE, n, &w, sizeof(w), "a", 1), 0); /* the guest thinks that the file is empty */
	rig_content_is(&r, "f", "0123a");
	w.write_flags = FUSE_WRITE_CACHE;
	is_int(rig_send(&r, FUSE_WRITE, n, &w, sizeof(w), "c", 1), 0);
	rig_content_is(&r, "f", "c123a");
	rig_done(&r);
}

TEST(holes_ranges_and_copies)
{
	struct fuse_fallocate_in alloc = { .length = 1 << 20 };
	struct fuse_lseek_in seek = { .whence = SEEK_DATA };
	struct fuse_copy_file_range_in copy = { .len = 5, .off_in = 2 };
	struct stat st;
	uint64_t n, fh, m;
	struct rig r;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	is_int(rig_write(&r, n, fh, 0, "0123456789"), 0);
	m = rig_create(&r, ROOT, "g", &copy.fh_out);
	copy.fh_in = fh;
	copy.nodeid_out = m;
	is_int(rig_send(&r, FUSE_COPY_FILE_RANGE, n, &copy, sizeof(copy), NULL, 0), 0);
	is_int(rig_out(&r, struct fuse_write_out)->size, 5);
	rig_content_is(&r, "g", "23456");
	copy.flags = 1;
	is_int(rig_send(&r, FUSE_COPY_FILE_RANGE, n, &copy, sizeof(copy), NULL, 0), -EINVAL);
	alloc.fh = seek.fh = fh;
	is_int(rig_send(&r, FUSE_FALLOCATE, n, &alloc, sizeof(alloc), NULL, 0), 0);
	is_int(fstatat(r.root, "f", &st, 0), 0);
	is_int(st.st_size, 1 << 20);
	alloc.mode = FALLOC_FL_COLLAPSE_RANGE;
	is_int(rig_send(&r, FUSE_FALLOCATE, n, &alloc, sizeof(alloc), NULL, 0), -EOPNOTSUPP);
	seek.whence = SEEK_HOLE;
	is_int(rig_send(&r, FUSE_LSEEK, n, &seek, sizeof(seek), NULL, 0), 0);
	seek.whence = SEEK_CUR;
	is_int(rig_send(&r, FUSE_LSEEK, n, &seek, sizeof(seek), NULL, 0), -EINVAL);
	is_int(rig_send(&r, FUSE_STATFS, n, NULL, 0, NULL, 0), 0);
	ok(rig_out(&r, struct fuse_statfs_out)->st.bsize > 0);
	const struct fuse_fsync_in sync = { .fh = fh };
	is_int(rig_send(&r, FUSE_FSYNC, n, &sync, sizeof(sync), NULL, 0), 0);
	rig_done(&r);
}

TEST(extended_attributes_of_users_are_shared_and_no_others)
{
	struct {
		uint32_t size, flags;
	} set = { .size = 5 };
	struct fuse_getxattr_in get = { .size = 100 };
	char text[64];
	uint64_t n;
	struct rig r;

	rig_init(&r);
	rig_put(r.root, "f", "");
	n = rig_lookup(&r, ROOT, "f");
	if (rig_send(&r, FUSE_SETXATTR, n, &set, sizeof(set), "user.a\0value", 12) == -EOPNOTSUPP)
		skip("/tmp has no extended attributes");
	is_int(rig_head(&r).error, 0);
	snprintf(text, sizeof(text), "%s/tree/f", r.dir);
	is_int(getxattr(text, "user.a", text, sizeof(text)), 5);
	is_int(rig_name(&r, FUSE_GETXATTR, n, &get, sizeof(get), "user.a"), 0);
	ok(r.got == sizeof(struct fuse_out_header) + 5 && memcmp(rig_out(&r, char), "value", 5) == 0);
	is_int(rig_name(&r, FUSE_GETXATTR, n, &get, sizeof(get), "user.b"), -ENODATA);
	snprintf(text, sizeof(text), "%s/tree/f", r.dir);
	if (geteuid() == 0)
		(void)setxattr(text, "trusted.x", "1", 1, 0);
	is_int(rig_send(&r, FUSE_LISTXATTR, n, &get, sizeof(get), NULL, 0), 0);
	ok(r.got == sizeof(struct fuse_out_header) + 7 && memcmp(rig_out(&r, char), "user.a", 7) == 0);
	get.size = 3;
	is_int(rig_send(&r, FUSE_LISTXATTR, n, &get, sizeof(get), NULL, 0), -ERANGE);
	is_int(rig_name(&r, FUSE_GETXATTR, n, &get, sizeof(get), "user.a"), -ERANGE);
	get.size = 0;
	is_int(rig_name(&r, FUSE_GETXATTR, n, &get, sizeof(get), "user.a"), 0);
	is_int(rig_out(&r, struct fuse_getxattr_out)->size, 5);
	get.size = UINT32_MAX;
	is_int(rig_name(&r, FUSE_GETXATTR, n, &get, sizeof(get), "user.a"), -EINVAL);
	static const char *const others[] = { "trusted.overlay.opaque", "system.posix_acl_access", "security.selinux", "user",
					      "user." };
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		size_t len = (size_t)snprintf(text, sizeof(text), "%s%cvalue", others[i], 0);

		is_int(rig_send(&r, FUSE_SETXATTR, n, &set, sizeof(set), text, len), -EOPNOTSUPP);
		is_int(rig_name(&r, FUSE_REMOVEXATTR, n, NULL, 0, others[i]), -EOPNOTSUPP);
	}
	set.size = 6; /* than there are */
	is_int(rig_send(&r, FUSE_SETXATTR, n, &set, sizeof(set), "user.a\0value", 12), -EINVAL);
	is_int(rig_name(&r, FUSE_REMOVEXATTR, n, NULL, 0, "user.a"), 0);
	rig_done(&r);
}

TEST(access_is_judged_by_owner_group_and_mode)
{
	struct fuse_access_in in = { .mask = 4 };
	uint64_t n;
	struct rig r;

	rig_init(&r);
	rig_put(r.root, "f", "");
	is_int(fchmodat(r.root, "f", 0640, 0), 0);
	n = rig_lookup(&r, ROOT, "f");
	r.uid = r.gid = 4711;
	is_int(rig_send(&r, FUSE_ACCESS, n, &in, sizeof(in), NULL, 0), -EACCES);
	r.uid = 0;
	is_int(rig_send(&r, FUSE_ACCESS, n, &in, sizeof(in), NULL, 0), 0);
	in.mask = 1;
	is_int(rig_send(&r, FUSE_ACCESS, n, &in, sizeof(in), NULL, 0), -EACCES);
	rig_done(&r);
}

TAP_MAIN()
