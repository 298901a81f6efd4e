/* The file server's names: what is looked up, made, linked, renamed and removed; what no name leads to; directories as they are read. */
#include <sys/sysmacros.h>

#include "fs_rig.h"

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
	/* On a busy machine the other may rest for long while it is the link. */
	for (int i = 0; i < 3000 || (n == 0 && i < 1000000); i++) {
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
	rig_content_is(&r, "a", "B");
	to.flags = RENAME_WHITEOUT;
	is_int(rig_send(&r, FUSE_RENAME2, ROOT, &to, sizeof(to), "a\0c", 4), -EINVAL);
	is_int(rig_send(&r, FUSE_RENAME, ROOT, &to.newdir, 8, "a\0c", 4), 0);
	rig_content_is(&r, "c", "B");
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
	static const struct fs_volume all = { "", FS_TRUST_SECOND };
	const struct fs_config c = { .volumes = &all, .n_volumes = 1 };
	const struct fuse_open_in open_in = { 0 };
	struct fuse_read_in tiny = { .size = 8 };
	char name[24];
	unsigned nodes;
	uint64_t fh;
	struct rig r;

	rig_new(&r, &c);
	is_int(rig_init_session(&r, UINT32_MAX), 0);
	ok(rig_out(&r, struct fuse_init_out)->flags & FUSE_DO_READDIRPLUS);
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

TEST(attributes_come_with_a_directorys_names_only_where_they_are_trusted_for_long)
{
	const struct fuse_open_in open_in = { 0 };
	unsigned nodes;
	uint64_t fh;
	struct rig r;

	rig_init(&r);
	ok(!(rig_out(&r, struct fuse_init_out)->flags & (FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO)));
	rig_put(r.root, "file", "");
	is_int(rig_send(&r, FUSE_OPENDIR, ROOT, &open_in, sizeof(open_in), NULL, 0), 0);
	fh = rig_out(&r, struct fuse_open_out)->fh;
	is_int(list(&r, fh, FUSE_READDIRPLUS, 4096, &nodes), 3); /* a guest that asks all the same, as for other volumes it may */
	is_int(nodes, 0);
	rig_done(&r);
}

TAP_MAIN()
