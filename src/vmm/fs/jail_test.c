/* The file server's process: its walls, each tried from inside, and its ends, with a hand-made VM at the other end of its socket. */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "tap.h"
#include "wire.h"

#ifdef __SANITIZE_ADDRESS__
/* The search for leaks reads /proc, which a jail has not. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return 1; } /* whatever ASAN_OPTIONS say */
#endif

static char dir[] = "/tmp/berth-fsjail.XXXXXX";

/* In a child: a mount namespace with the tree (a tmpfs, as vm_shares.c stages it, with one volume), in which fn is called. Its
 * status is the test's. */
static void staged(void (*fn)(int root))
{
	int status, root;
	pid_t pid;

	if (geteuid() != 0)
		skip("needs root");
	ok(mkdtemp(dir));
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS | CLONE_NEWPID) < 0)
			skip("namespaces can't be made here");
		ok(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		ok(mount("tree", dir, "tmpfs", 0, "size=4m") == 0);
		root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		ok(mkdirat(root, "0", 0755) == 0 && symlinkat("/etc/passwd", root, "link") == 0);
		ok(mknodat(root, "null", S_IFCHR | 0666, makedev(1, 3)) == 0);
		pid = fork(); /* the first process of its pid namespace */
		if (pid == 0) {
			fn(root);
			exit(0);
		}
		ok(waitpid(pid, &status, 0) == pid);
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
	is_int(waitpid(pid, &status, 0), pid);
	rmdir(dir);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void enter(int root, struct fs_config *c)
{
	struct err e = { 0 };
	/* Standard output is kept as the socket: for what a test has to say. */
	if (fs_jail_enter(STDOUT_FILENO, root, c, &e) < 0)
		TAP_FAIL("%s", e.msg);
}

static int landlock_abi(void) { return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* the version */); }

#define refused(call, no)                                                                                       \
	do {                                                                                                    \
		errno = 0;                                                                                      \
		if ((call) >= 0 || errno != (no))                                                               \
			TAP_FAIL("%s: %s, expected %s", #call, errno ? strerror(errno) : "done", strerror(no)); \
	} while (0)

static void sees_the_tree_alone(int root)
{
	struct fs_config c;
	struct stat st;

	enter(root, &c);
	is_int(stat("/0", &st), 0);
	refused(stat("/etc", &st), ENOENT);
	refused(stat("/proc", &st), ENOENT);
	refused(stat("/../../usr", &st), ENOENT);
	refused(fstatat(c.root_fd, "../../etc", &st, 0), ENOENT);
	refused(open("/link", O_RDONLY), ENOENT); /* leads to a name within */
	refused(openat(c.proc_fd, "../../1/root/etc", O_RDONLY), ENOENT);
}
TEST(V10_the_tree_is_all_that_the_server_sees) { staged(sees_the_tree_alone); }

static void keeps_few_descriptors(int root)
{
	struct fs_config c;
	unsigned n = 0;

	(void)open("/etc", O_RDONLY | O_DIRECTORY); /* a leak of its starter's */
	enter(root, &c);
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	is_int(n, 5); /* 0 to 2, the tree, the procfs */
}
TEST(V10_descriptors_that_leak_to_the_server_are_closed) { staged(keeps_few_descriptors); }

static void opens_nothing_outside_by_descriptor(int root)
{
	int passwd = open("/etc/passwd", O_PATH | O_CLOEXEC); /* as if a bug had handed it over */
	struct fs_config c;
	struct err e = { 0 };
	char name[16];

	if (landlock_abi() < 2)
		skip("this kernel's Landlock is too old");
	if (fs_jail_enter(passwd, root, &c, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_int(fchdir(c.proc_fd), 0);
	snprintf(name, sizeof(name), "%d", passwd);
	refused(open(name, O_RDONLY), EACCES);
	refused(open(name, O_WRONLY), EACCES);
}
TEST(V10_landlock_refuses_files_outside_of_the_tree_even_by_descriptor) { staged(opens_nothing_outside_by_descriptor); }

static void works_in_the_tree(int root)
{
	struct fs_config c;
	char name[16];
	int fd, path;

	enter(root, &c);
	is_int(mkdir("/0/a", 0755), 0);
	is_int(mkdir("/0/b", 0755), 0);
	fd = open("/0/a/f", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	ok(fd >= 0 && write(fd, "x", 1) == 1 && ftruncate(fd, 0) == 0);
	is_int(rename("/0/a/f", "/0/b/f"), 0); /* from one directory to another */
	is_int(chown("/0/b/f", 1, 2), 0);
	is_int(fchdir(c.proc_fd), 0);
	path = open("/0/b/f", O_PATH | O_CLOEXEC);
	snprintf(name, sizeof(name), "%d", path);
	ok(open(name, O_RDWR | O_CLOEXEC) >= 0); /* by the magic link, which needs no /proc */
	is_int(linkat(AT_FDCWD, name, AT_FDCWD, "/0/a/g", AT_SYMLINK_FOLLOW), 0);
}
TEST(what_a_guest_does_to_files_works_in_the_jail) { staged(works_in_the_tree); }

static void makes_and_opens_no_device(int root)
{
	struct fs_config c;

	enter(root, &c);
	ok(mknod("/0/d", S_IFCHR | 0666, makedev(1, 3)) < 0);
	ok(mknod("/0/d", S_IFBLK | 0666, makedev(8, 0)) < 0);
	refused(open("/null", O_RDONLY), EACCES);
}
TEST(V10_no_device_is_made_or_opened) { staged(makes_and_opens_no_device); }

static void executes_nothing(int root)
{
	int exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	char name[] = "x", *const argv[] = { name, NULL }, *const env[] = { NULL };
	struct fs_config c;
	struct err e = { 0 };

	if (landlock_abi() < 2)
		skip("this kernel's Landlock is too old");
	if (fs_jail_enter(exe, root, &c, &e) < 0)
		TAP_FAIL("%s", e.msg);
	refused(execveat(exe, "", argv, env, AT_EMPTY_PATH), EACCES);
}
TEST(V10_no_program_is_executed) { staged(executes_nothing); }

static void has_few_privileges(int root)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3], all = { UINT32_MAX, UINT32_MAX, 0 };
	struct fs_config c;
	struct rlimit l;

	enter(root, &c);
	is_int(syscall(SYS_capget, &head, data), 0);
	is_int(data[0].permitted, 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID |
					  1u << CAP_SETGID | 1u << CAP_SETUID | 1u << CAP_SETFCAP);
	is_int(data[0].effective, data[0].permitted);
	is_int(data[1].permitted, 0);
	is_int(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0), 0);
	is_int(prctl(PR_CAPBSET_READ, CAP_DAC_READ_SEARCH, 0, 0, 0), 0);
	data[0] = all;
	refused(syscall(SYS_capset, &head, data), EPERM);
	is_int(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	ok(prctl(PR_GET_SECUREBITS) & SECBIT_NO_SETUID_FIXUP_LOCKED);
#ifndef __SANITIZE_ADDRESS__
	is_int(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
#endif
	refused(mount("x", "/0", "tmpfs", 0, NULL), EPERM);
	refused(umount2("/", MNT_DETACH), EPERM);
	refused(unshare(CLONE_NEWNS), EPERM);
	refused(chroot("/0"), EPERM);
	is_int(getrlimit(RLIMIT_CORE, &l), 0);
	is_int(l.rlim_max, 0);
	is_int(getrlimit(RLIMIT_NOFILE, &l), 0);
	ok(c.nodes_max + c.handles_max < l.rlim_cur && c.nodes_max > c.handles_max);
	is_int(l.rlim_cur, l.rlim_max);
}
TEST(V10_the_server_has_seven_capabilities_and_gains_none) { staged(has_few_privileges); }

static void reaches_nobody(int root)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr to = { .sa_family = AF_INET };
	struct fs_config c;
	char host[65];

	close(s);
	enter(root, &c);
	is_int(getpid(), 1);
	refused(kill(2, 0), ESRCH);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ok(connect(s, &to, sizeof(to)) < 0 || send(s, "", 1, MSG_NOSIGNAL) < 0);
	refused(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL), ESRCH);
	is_int(gethostname(host, sizeof(host)), 0);
	refused(sethostname("x", 1), EPERM);
}
TEST(V10_the_server_reaches_no_process_and_no_network) { staged(reaches_nobody); }

/* ---- the whole process, with its filters, and a VM that this test plays ---- */

static int vm_sock;
static uint8_t *arena;

static _noreturn_ void serve(int sock, int root)
{
	struct fs_serve_config c = { .sock = sock, .threads = 3, .seccomp = VMM_SECCOMP_TRAP };
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
