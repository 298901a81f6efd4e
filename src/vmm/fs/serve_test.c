/* The file server's whole process, with its filters, and a VM that this test plays at the other end of its socket. */
#include <dirent.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "staged.h"

enum { THREADS = 3 };

static int vm_sock;
static uint8_t *arena;

static _noreturn_ void serve(int sock, int root)
{
	struct fs_serve_config c = { .sock = sock, .threads = THREADS, .seccomp = VMM_SECCOMP_TRAP };
	struct err e = { 0 };

	if (fs_jail_enter(sock, root, &c.fs, &e) >= 0)
		(void)fs_serve(&c, &e);
	fprintf(stderr, "%s\n", e.msg);
	_exit(1);
}

static pid_t start(int root, bool says_hello)
{
	const struct fs_hello h = { FS_WIRE_MAGIC, FS_SLOTS, FS_SLOT_BYTES, 0 };
	int sv[2], fd;
	pid_t pid;

	is_int(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	pid = fork();
	if (pid == 0)
		serve(sv[1], root);
	close(sv[1]);
	vm_sock = sv[0];
	fd = fs_arena_new(&arena, NULL);
	ok(fd >= 0);
	if (says_hello)
		is_int(sock_send_fds(vm_sock, &h, sizeof(h), &fd, 1), 0);
	return pid;
}

static void call(uint32_t slot, uint32_t op, uint64_t node, const void *arg, size_t n)
{
	const struct fuse_in_header h = { .len = (uint32_t)(sizeof(h) + n), .opcode = op, .unique = slot + 1000, .nodeid = node };
	const struct fs_call c = { slot, h.len, FS_SLOT_BYTES, 0 };
	uint8_t *p = arena + (size_t)slot * FS_SLOT_BYTES;

	memcpy(p, &h, sizeof(h));
	memcpy(p + sizeof(h), arg, n);
	is_int(write(vm_sock, &c, sizeof(c)), sizeof(c));
}

/* The next answer; its slot. */
static uint32_t done(int32_t *ret_error, const void **ret_out)
{
	struct fs_done d = { 0 };
	const struct fuse_out_header *h;

	is_int(read(vm_sock, &d, sizeof(d)), sizeof(d));
	h = (const void *)(arena + (size_t)d.slot * FS_SLOT_BYTES);
	ok(d.len >= sizeof(*h));
	is_int(h->len, d.len);
	is_int(h->unique, d.slot + 1000);
	*ret_error = h->error;
	*ret_out = h + 1;
	return d.slot;
}

static int status_of(pid_t pid)
{
	int status;

	is_int(waitpid(pid, &status, 0), pid);
	return status;
}

static void begin(void)
{
	const struct fuse_init_in init = { .major = 7, .minor = 36 };
	const void *out;
	int32_t e;

	call(0, FUSE_INIT, 0, &init, sizeof(init));
	is_int(done(&e, &out), 0);
	is_int(e, 0);
}

/* Every operation once, lest one make a call that its filter has not. */
static void serves(int root)
{
	static const struct fuse_getattr_in getattr;
	const struct fuse_setattr_in set = { .valid = FATTR_MODE | FATTR_UID | FATTR_SIZE | FATTR_MTIME_NOW | FATTR_KILL_SUIDGID,
					     .mode = 0600 };
	struct fuse_lk_in lk = { .owner = 1, .lk = { .end = INT64_MAX, .type = F_WRLCK } };
	struct {
		struct fuse_create_in in;
		char name[2];
	} create = { { .flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644 }, "f" };
	struct {
		struct fuse_write_in in;
		char text[4];
	} wr = { { .size = 4, .write_flags = FUSE_WRITE_KILL_SUIDGID }, "text" };
	struct {
		struct fuse_mknod_in in;
		char name[2];
	} mk = { { .mode = S_IFIFO | 0644 }, "p" };
	struct {
		uint32_t size, flags;
		char words[10];
	} xattr = { 1, 0, "user.a\0v" };
	struct fuse_read_in rd = { .size = 1000 };
	struct fuse_fallocate_in falloc = { .length = 100 };
	struct fuse_lseek_in seek = { .whence = SEEK_HOLE };
	struct fuse_copy_file_range_in copy = { .len = 2, .off_out = 10 };
	struct fuse_flush_in flush = { .lock_owner = 2 };
	pid_t pid = start(root, true);
	uint64_t volume, f, dirfh = 0;
	const void *out;
	int32_t e;

	begin();
	call(1, FUSE_LOOKUP, FUSE_ROOT_ID, "0", 2);
	done(&e, &out);
	is_int(e, 0);
	volume = ((const struct fuse_entry_out *)out)->nodeid;
	call(2, FUSE_CREATE, volume, &create, sizeof(create.in) + 2);
	done(&e, &out);
	is_int(e, 0);
	f = ((const struct fuse_entry_out *)out)->nodeid;
	wr.in.fh = rd.fh = lk.fh = falloc.fh = seek.fh = copy.fh_in = copy.fh_out = flush.fh =
		((const struct fuse_open_out *)(const void *)((const struct fuse_entry_out *)out + 1))->fh;
	copy.nodeid_out = f;
	const struct fuse_fsync_in sync = { .fh = rd.fh };
	const struct fuse_release_in release = { .fh = rd.fh };
	const struct fuse_link_in link = { .oldnodeid = f };
	const struct fuse_syncfs_in syncfs = { 0 };
	const struct fuse_getxattr_in get = { .size = 100 };
	const struct fuse_open_in open_in = { .flags = O_RDWR };
	char link_args[sizeof(link) + 2], get_args[sizeof(get) + 7], rename_args[12];
	memcpy(link_args, &link, sizeof(link));
	memcpy(link_args + sizeof(link), "g", 2);
	memcpy(get_args, &get, sizeof(get));
	memcpy(get_args + sizeof(get), "user.a", 7);
	memcpy(rename_args, &volume, 8);
	memcpy(rename_args + 8, "g\0h", 4);
	const struct {
		uint32_t op;
		uint64_t node;
		const void *arg;
		size_t n;
	} rows[] = { { FUSE_WRITE, f, &wr, sizeof(wr.in) + 4 },
		     { FUSE_READ, f, &rd, sizeof(rd) },
		     { FUSE_GETATTR, f, &getattr, sizeof(getattr) },
		     { FUSE_SETATTR, f, &set, sizeof(set) },
		     { FUSE_FSYNC, f, &sync, sizeof(sync) },
		     { FUSE_STATFS, f, "", 0 },
		     { FUSE_SYNCFS, volume, &syncfs, sizeof(syncfs) },
		     { FUSE_LINK, volume, link_args, sizeof(link_args) },
		     { FUSE_RENAME, volume, rename_args, sizeof(rename_args) },
		     { FUSE_UNLINK, volume, "h", 2 },
		     { FUSE_SYMLINK, volume, "s\0target", 9 },
		     { FUSE_MKNOD, volume, &mk, sizeof(mk.in) + 2 },
		     { FUSE_SETXATTR, f, &xattr, 8 + 8 },
		     { FUSE_GETXATTR, f, get_args, sizeof(get_args) },
		     { FUSE_LISTXATTR, f, &get, sizeof(get) },
		     { FUSE_REMOVEXATTR, f, "user.a", 7 },
		     { FUSE_FALLOCATE, f, &falloc, sizeof(falloc) },
		     { FUSE_LSEEK, f, &seek, sizeof(seek) },
		     { FUSE_COPY_FILE_RANGE, f, &copy, sizeof(copy) },
		     { FUSE_SETLK, f, &lk, sizeof(lk) },
		     { FUSE_GETLK, f, &lk, sizeof(lk) },
		     { FUSE_OPENDIR, volume, &open_in, sizeof(open_in) } };
	for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++) {
		call(i % FS_SLOTS, rows[i].op, rows[i].node, rows[i].arg, rows[i].n);
		is_int(done(&e, &out), i % FS_SLOTS);
		if (e && !(e == -EOPNOTSUPP && (rows[i].op == FUSE_SETXATTR || rows[i].op == FUSE_GETXATTR)) && e != -ENODATA)
			TAP_FAIL("request #%u (%u): %s", i, rows[i].op, strerror(-e));
		if (rows[i].op == FUSE_OPENDIR)
			dirfh = ((const struct fuse_open_out *)out)->fh;
	}
	rd.fh = dirfh;
	call(3, FUSE_READDIRPLUS, volume, &rd, sizeof(rd));
	done(&e, &out);
	is_int(e, 0);
	/* A lock that is waited for is answered late, others meanwhile. */
	lk.owner = 2;
	call(7, FUSE_SETLKW, f, &lk, sizeof(lk));
	call(8, FUSE_GETATTR, f, &getattr, sizeof(getattr));
	is_int(done(&e, &out), 8);
	flush.lock_owner = 1;
	call(9, FUSE_FLUSH, f, &flush, sizeof(flush));
	uint32_t first = done(&e, &out);
	is_int(e, 0);
	is_int(first + done(&e, &out), 7 + 9);
	is_int(e, 0);
	call(10, FUSE_RELEASE, f, &release, sizeof(release));
	done(&e, &out);
	is_int(e, 0);
	close(vm_sock);
	is_int(status_of(pid), 0); /* it ends with the VM */
}
TEST(every_operation_is_served_in_the_jail_and_within_its_filter) { staged(serves); }

/* Each thread has entered its filter before it takes the first call. */
static void has_filters(int root)
{
	pid_t pid = start(root, true);
	char name[64];
	unsigned n = 0;
	DIR *tasks;

	ok(mount("proc", "/proc", "proc", 0, NULL) == 0);
	begin();
	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	tasks = opendir(name);
	ok(tasks);
	for (struct dirent *d; (d = readdir(tasks));) {
		_cleanup_free_ char *text = NULL;

		if (d->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "/proc/%d/task/%.16s/status", pid, d->d_name);
		for (int i = 0; i < 500; i++) { /* begin() has an answer of one of them; others may still be on their way */
			free(text);
			is_int(file_read(AT_FDCWD, name, 1 << 16, &text, NULL), 0);
			if (strstr(text, "\nSeccomp:\t2\n"))
				break;
			text = (free(text), NULL);
			usleep(10000);
		}
		if (!text)
			TAP_FAIL("thread %s has no filter", d->d_name);
		n++;
	}
	closedir(tasks);
	is_int(n, 1 + THREADS);
	close(vm_sock);
	is_int(status_of(pid), 0);
}
TEST(V10_each_thread_of_the_server_has_its_filter) { staged(has_filters); }

static void ends_at_nonsense(int root)
{
	const struct fs_call bad[] = { { FS_SLOTS, 40, 40, 0 }, { 0, FS_SLOT_BYTES + 1, 40, 0 }, { 0, 40, UINT32_MAX, 0 } };
	struct fs_hello h = { FS_WIRE_MAGIC, FS_SLOTS, FS_SLOT_BYTES + 4096, 0 };
	int small = memfd_create("small", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	pid_t pid;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		pid = start(root, true);
		is_int(write(vm_sock, &bad[i], sizeof(bad[i])), sizeof(bad[i]));
		is_int(status_of(pid), 1 << 8);
	}
	pid = start(root, true);
	is_int(write(vm_sock, "short", 5), 5);
	is_int(status_of(pid), 1 << 8);
	pid = start(root, false);
	is_int(sock_send_fds(vm_sock, &h, sizeof(h), &small, 1), 0);
	is_int(status_of(pid), 1 << 8);
	h.slot_bytes = FS_SLOT_BYTES; /* and memory that can shrink */
	is_int(ftruncate(small, FS_ARENA_BYTES), 0);
	pid = start(root, false);
	is_int(sock_send_fds(vm_sock, &h, sizeof(h), &small, 1), 0);
	is_int(status_of(pid), 1 << 8);
	pid = start(root, false); /* a VM that was never made */
	close(vm_sock);
	is_int(status_of(pid), 0);
}
TEST(a_vm_that_talks_nonsense_ends_its_server) { staged(ends_at_nonsense); }

TAP_MAIN()
