/* The file server against a guest's kernel of this test's own: what each operation does to the directory, and what no message can. */
#include <sys/file.h>
#include <sys/sysmacros.h>

#include "fs_rig.h"

#define ROOT FUSE_ROOT_ID

static void content_is(struct rig *r, const char *name, const char *want)
{
	_cleanup_free_ char *text = NULL;

	is_int(file_read(r->root, name, 1 << 20, &text, NULL), 0);
	is_str(text, want);
}

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

TEST(what_is_written_is_the_hosts_file_at_once_and_the_other_way_round)
{
	uint64_t fh, n;
	struct rig r;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	is_int(rig_write(&r, n, fh, 0, "from the guest"), 0);
	content_is(&r, "f", "from the guest");
	rig_put(r.root, "f", "from the host");
	is_int(rig_read(&r, n, fh, 5, 100), 0);
	is_int(r.got, sizeof(struct fuse_out_header) + 8);
	ok(memcmp(rig_out(&r, char), "the host", 8) == 0);
	is_int(rig_read(&r, n, fh, 1000, 100), 0);
	is_int(r.got, sizeof(struct fuse_out_header)); /* the end of the file */
	rig_done(&r);
}

TEST(nothing_is_said_to_be_valid_for_longer_than_the_answer)
{
	const struct fuse_getattr_in in = { 0 };
	struct rig r;

	rig_init(&r);
	rig_put(r.root, "f", "text");
	ok(rig_lookup(&r, ROOT, "f") > 1);
	is_int(rig_out(&r, struct fuse_entry_out)->entry_valid + rig_out(&r, struct fuse_entry_out)->entry_valid_nsec, 0);
	is_int(rig_out(&r, struct fuse_entry_out)->attr_valid + rig_out(&r, struct fuse_entry_out)->attr_valid_nsec, 0);
	is_int(rig_out(&r, struct fuse_entry_out)->attr.size, 4);
	is_int(rig_send(&r, FUSE_GETATTR, rig_lookup(&r, ROOT, "f"), &in, sizeof(in), NULL, 0), 0);
	is_int(rig_out(&r, struct fuse_attr_out)->attr_valid, 0);
	is_int(rig_name(&r, FUSE_LOOKUP, ROOT, NULL, 0, "not"), -ENOENT); /* and no negative entry */
	rig_done(&r);
}

TEST(V10_a_name_is_one_component)
{
	static const char *const bad[] = { "", ".", "..", "/", "a/b", "../outside", "/etc", "d/", "d/.." };
	const struct fuse_mkdir_in mk = { .mode = 0755 };
	const struct fuse_mknod_in node = { .mode = S_IFREG | 0644 };
	const struct fuse_create_in create = { .flags = O_RDWR, .mode = 0644 };
	const struct fuse_rename2_in to = { .newdir = ROOT };
	char two[64], longest[300];
	struct rig r;

	rig_init(&r);
	is_int(mkdirat(r.root, "d", 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fuse_link_in link = { .oldnodeid = rig_lookup(&r, ROOT, "d") };
		size_t n = (size_t)snprintf(two, sizeof(two), "d%c%s", 0, bad[i]) + 1;

		is_int(rig_name(&r, FUSE_LOOKUP, ROOT, NULL, 0, bad[i]), -EINVAL);
		is_int(rig_name(&r, FUSE_MKDIR, ROOT, &mk, sizeof(mk), bad[i]), -EINVAL);
		is_int(rig_name(&r, FUSE_MKNOD, ROOT, &node, sizeof(node), bad[i]), -EINVAL);
		is_int(rig_name(&r, FUSE_CREATE, ROOT, &create, sizeof(create), bad[i]), -EINVAL);
		is_int(rig_name(&r, FUSE_UNLINK, ROOT, NULL, 0, bad[i]), -EINVAL);
		is_int(rig_name(&r, FUSE_RMDIR, ROOT, NULL, 0, bad[i]), -EINVAL);
		is_int(rig_name(&r, FUSE_LINK, ROOT, &link, sizeof(link), bad[i]), -EINVAL);
		is_int(rig_send(&r, FUSE_RENAME2, ROOT, &to, sizeof(to), two, n), -EINVAL);
	}
	memset(longest, 'a', sizeof(longest));
	longest[256] = '\0';
	is_int(rig_name(&r, FUSE_LOOKUP, ROOT, NULL, 0, longest), -ENAMETOOLONG);
	is_int(rig_send(&r, FUSE_LOOKUP, ROOT, NULL, 0, "no end", 6), -EINVAL);
	rig_done(&r);
}

TEST(V10_symbolic_links_are_never_followed)
{
	const struct fuse_setattr_in cut = { .valid = FATTR_SIZE, .size = 0 };
	const struct fuse_open_in in = { .flags = O_RDWR };
	const struct fuse_create_in create = { .flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644 };
	uint64_t link, dirlink;
	int out;
	struct rig r;

	rig_init(&r);
	out = open(r.outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rig_put(out, "secret", "of the host");
	is_int(rig_send(&r, FUSE_SYMLINK, ROOT, NULL, 0, "l\0../outside/secret", 20), 0);
	link = rig_out(&r, struct fuse_entry_out)->nodeid;
	is_int(symlinkat("../outside", r.root, "d"), 0);
	dirlink = rig_lookup(&r, ROOT, "d");
	ok(S_ISLNK(rig_out(&r, struct fuse_entry_out)->attr.mode));
	is_int(rig_send(&r, FUSE_OPEN, link, &in, sizeof(in), NULL, 0), -ELOOP);
	is_int(rig_send(&r, FUSE_OPENDIR, dirlink, &in, sizeof(in), NULL, 0), -ELOOP);
	is_int(rig_send(&r, FUSE_SETATTR, link, &cut, sizeof(cut), NULL, 0), -ELOOP);
	is_int(rig_name(&r, FUSE_LOOKUP, dirlink, NULL, 0, "secret"), -ENOTDIR);
	is_int(rig_name(&r, FUSE_CREATE, dirlink, &create, sizeof(create), "new"), -ENOTDIR);
	is_int(rig_name(&r, FUSE_CREATE, ROOT, &create, sizeof(create), "l"), -ELOOP);
	is_int(rig_send(&r, FUSE_READLINK, link, NULL, 0, NULL, 0), 0);
	ok(memcmp(rig_out(&r, char), "../outside/secret", 17) == 0);
	is_int(faccessat(out, "new", F_OK, 0), -1);
	close(out);
	rig_done(&r);
}

TEST(V10_a_directory_that_is_swapped_for_a_link_while_names_are_looked_up_leads_nowhere)
{
	struct rig r;
	unsigned n = 0;
	pid_t racer;
	int out;

	rig_init(&r);
	out = open(r.outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rig_put(out, "f", "outside");
	is_int(mkdirat(r.root, "d", 0755), 0);
	rig_put(r.root, "d/f", "tree");
	is_int(symlinkat(r.outside, r.root, "l"), 0);
	racer = fork();
	if (racer == 0)
		for (;;)
			(void)renameat2(r.root, "d", r.root, "l", RENAME_EXCHANGE);
	for (int i = 0; i < 3000; i++) {
		uint64_t d = rig_lookup(&r, ROOT, "d"), f = d ? rig_lookup(&r, d, "f") : 0;

		if (f) {
			uint64_t fh = rig_open(&r, f, O_RDONLY);
			const struct fuse_release_in rel = { .fh = fh };

			is_int(rig_read(&r, f, fh, 0, 100), 0);
			ok(r.got == sizeof(struct fuse_out_header) + 4 && memcmp(rig_out(&r, char), "tree", 4) == 0);
			is_int(rig_send(&r, FUSE_RELEASE, f, &rel, sizeof(rel), NULL, 0), 0);
			n++;
		}
	}
	ok(n > 0);
	kill(racer, SIGKILL);
	waitpid(racer, NULL, 0);
	close(out);
	rig_done(&r);
}

TEST(what_is_made_belongs_to_the_caller)
{
	const struct fuse_mkdir_in mk = { .mode = 0750 };
	const struct fuse_mknod_in fifo = { .mode = S_IFIFO | 0600 };
	struct stat st;
	uint64_t fh;
	struct rig r;

	rig_init(&r);
	if (geteuid() != 0)
		skip("acts for others as root only");
	r.uid = 12345;
	r.gid = 23456;
	is_int(rig_name(&r, FUSE_MKDIR, ROOT, &mk, sizeof(mk), "d"), 0); /* the root is root's: the guest's kernel has judged */
	is_int(rig_name(&r, FUSE_MKNOD, ROOT, &fifo, sizeof(fifo), "p"), 0);
	is_int(rig_send(&r, FUSE_SYMLINK, ROOT, NULL, 0, "l\0x", 4), 0);
	rig_create(&r, ROOT, "f", &fh);
	for (size_t i = 0; i < 4; i++) {
		is_int(fstatat(r.root, (const char *[]){ "d", "p", "l", "f" }[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		is_int(st.st_uid, 12345);
		is_int(st.st_gid, 23456);
	}
	is_int(fstatat(r.root, "d", &st, 0), 0);
	is_int(st.st_mode, S_IFDIR | 0750);
	r.uid = UINT32_MAX;
	is_int(rig_name(&r, FUSE_MKDIR, ROOT, &mk, sizeof(mk), "e"), -EINVAL);
	is_int(geteuid(), 0);
	rig_put(r.root, "after", "");
	is_int(fstatat(r.root, "after", &st, 0), 0);
	is_int(st.st_uid, 0); /* we are ourselves again */
	rig_done(&r);
}

TEST(nodes_of_devices_are_not_made_and_only_files_and_directories_are_opened)
{
	const struct fuse_mknod_in chr = { .mode = S_IFCHR | 0666, .rdev = 0x103 }, blk = { .mode = S_IFBLK | 0666 },
				   odd = { .mode = 0666 };
	const struct fuse_open_in in = { .flags = O_RDONLY };
	uint64_t n;
	struct rig r;

	rig_init(&r);
	is_int(rig_name(&r, FUSE_MKNOD, ROOT, &chr, sizeof(chr), "c"), -EPERM);
	is_int(rig_name(&r, FUSE_MKNOD, ROOT, &blk, sizeof(blk), "b"), -EPERM);
	is_int(rig_name(&r, FUSE_MKNOD, ROOT, &odd, sizeof(odd), "o"), -EINVAL);
	is_int(mkfifoat(r.root, "p", 0666), 0);
	n = rig_lookup(&r, ROOT, "p");
	is_int(rig_send(&r, FUSE_OPEN, n, &in, sizeof(in), NULL, 0), -ENXIO);
	if (geteuid() == 0 && mknodat(r.root, "null", S_IFCHR | 0666, makedev(1, 3)) == 0) {
		n = rig_lookup(&r, ROOT, "null");
		is_int(rig_out(&r, struct fuse_entry_out)->attr.rdev, 0x103);
		is_int(rig_send(&r, FUSE_OPEN, n, &in, sizeof(in), NULL, 0), -ENXIO);
	}
	is_int(rig_send(&r, FUSE_OPEN, ROOT, &in, sizeof(in), NULL, 0), -EISDIR);
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
	content_is(&r, "f", "a l");
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
	content_is(&r, "f", "0123a");
	w.write_flags = FUSE_WRITE_CACHE;
	is_int(rig_send(&r, FUSE_WRITE, n, &w, sizeof(w), "c", 1), 0);
	content_is(&r, "f", "c123a");
	rig_done(&r);
}

TEST(names_are_renamed_exchanged_linked_and_removed)
{
	struct fuse_rename2_in to = { .newdir = ROOT, .flags = RENAME_NOREPLACE };
	struct fuse_link_in link;
	struct stat st;
	struct rig r;

	rig_init(&r);
	rig_put(r.root, "a", "A");
	rig_put(r.root, "b", "B");
	is_int(rig_send(&r, FUSE_RENAME2, ROOT, &to, sizeof(to), "a\0b", 4), -EEXIST);
	to.flags = RENAME_EXCHANGE;
	is_int(rig_send(&r, FUSE_RENAME2, ROOT, &to, sizeof(to), "a\0b", 4), 0);
	content_is(&r, "a", "B");
	to.flags = RENAME_WHITEOUT;
	is_int(rig_send(&r, FUSE_RENAME2, ROOT, &to, sizeof(to), "a\0c", 4), -EINVAL);
	is_int(rig_send(&r, FUSE_RENAME, ROOT, &to.newdir, 8, "a\0c", 4), 0);
	content_is(&r, "c", "B");
	link.oldnodeid = rig_lookup(&r, ROOT, "c");
	is_int(rig_name(&r, FUSE_LINK, ROOT, &link, sizeof(link), "d"), 0);
	is_int(rig_out(&r, struct fuse_entry_out)->nodeid, link.oldnodeid);
	is_int(rig_out(&r, struct fuse_entry_out)->attr.nlink, 2);
	is_int(rig_name(&r, FUSE_UNLINK, ROOT, NULL, 0, "c"), 0);
	is_int(rig_name(&r, FUSE_RMDIR, ROOT, NULL, 0, "d"), -ENOTDIR);
	is_int(fstatat(r.root, "c", &st, 0), -1);
	is_int(rig_send(&r, FUSE_SYMLINK, ROOT, NULL, 0, "l\0nowhere", 10), 0);
	link.oldnodeid = rig_out(&r, struct fuse_entry_out)->nodeid;
	is_int(rig_name(&r, FUSE_LINK, ROOT, &link, sizeof(link), "m"), 0);
	is_int(fstatat(r.root, "m", &st, AT_SYMLINK_NOFOLLOW), 0);
	ok(S_ISLNK(st.st_mode)); /* the link, not what it says */
	rig_done(&r);
}

TEST(an_unlinked_file_lives_on_in_its_handle_and_node)
{
	const struct fuse_setattr_in mode = { .valid = FATTR_MODE, .mode = 0600 };
	const struct fuse_getattr_in attr = { 0 };
	uint64_t n, fh;
	struct rig r;

	rig_init(&r);
	n = rig_create(&r, ROOT, "f", &fh);
	is_int(rig_name(&r, FUSE_UNLINK, ROOT, NULL, 0, "f"), 0);
	is_int(rig_write(&r, n, fh, 0, "still"), 0);
	is_int(rig_send(&r, FUSE_SETATTR, n, &mode, sizeof(mode), NULL, 0), 0);
	is_int(rig_send(&r, FUSE_GETATTR, n, &attr, sizeof(attr), NULL, 0), 0);
	is_int(rig_out(&r, struct fuse_attr_out)->attr.nlink, 0);
	is_int(rig_out(&r, struct fuse_attr_out)->attr.size, 5);
	is_int(rig_read(&r, n, rig_open(&r, n, O_RDONLY), 0, 9), 0);
	is_int(r.got, sizeof(struct fuse_out_header) + 5);
	rig_done(&r);
}

/* ---- directories ---- */

static unsigned list(struct rig *r, uint64_t fh, uint32_t op, uint32_t size, unsigned *ret_nodes)
{
	struct fuse_read_in in = { .fh = fh, .size = size };
	size_t head = op == FUSE_READDIRPLUS ? offsetof(struct fuse_direntplus, dirent) : 0;
	unsigned n = 0;

	*ret_nodes = 0;
	for (;;) {
		is_int(rig_send(r, op, ROOT, &in, sizeof(in), NULL, 0), 0);
		size_t len = (size_t)r->got - sizeof(struct fuse_out_header);
		if (len == 0)
			return n;
		ok(len <= size);
		for (size_t at = 0; at < len; n++) {
			const uint8_t *p = rig_out(r, uint8_t) + at;
			const struct fuse_dirent *d = (const void *)(p + head);

			ok(at + head + FUSE_NAME_OFFSET + d->namelen <= len && d->namelen > 0);
			if (head && ((const struct fuse_entry_out *)(const void *)p)->nodeid)
				(*ret_nodes)++;
			in.offset = d->off;
			at += head + FUSE_DIRENT_SIZE(d);
		}
	}
}

TEST(a_directory_is_read_whole_however_small_the_pieces)
{
	const struct fuse_open_in open_in = { 0 };
	struct fuse_read_in tiny = { .size = 8 };
	char name[24];
	unsigned nodes;
	uint64_t fh;
	struct rig r;

	rig_init(&r);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		rig_put(r.root, name, "");
	}
	is_int(rig_send(&r, FUSE_OPENDIR, ROOT, &open_in, sizeof(open_in), NULL, 0), 0);
	fh = rig_out(&r, struct fuse_open_out)->fh;
	is_int(list(&r, fh, FUSE_READDIR, 4096, &nodes), 302);
	is_int(list(&r, fh, FUSE_READDIR, 128, &nodes), 302);
	is_int(list(&r, fh, FUSE_READDIRPLUS, 1024, &nodes), 302);
	is_int(nodes, 300);
	is_int(list(&r, fh, FUSE_READDIRPLUS, 128 << 10, &nodes), 302);
	tiny.fh = fh;
	is_int(rig_send(&r, FUSE_READDIR, ROOT, &tiny, sizeof(tiny), NULL, 0), -EINVAL);
	tiny.offset = UINT64_MAX;
	is_int(rig_send(&r, FUSE_READDIR, ROOT, &tiny, sizeof(tiny), NULL, 0), -EINVAL);
	is_int(rig_read(&r, ROOT, fh, 0, 10), -EBADF); /* no file */
	rig_done(&r);
}

/* ---- more of files ---- */

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
	content_is(&r, "g", "23456");
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

/* ---- locks ---- */

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
