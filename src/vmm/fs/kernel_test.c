/* The file server under a kernel's own FUSE client: this host's, by /dev/fuse, where a guest's would come by virtio. What programs do
 * to files is done here with the usual calls, on a mount of the tree, and looked at in the tree itself. */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "fs.h"
#include "tap.h"

static char dir[] = "/tmp/berth-fuse.XXXXXX";
static int tree = -1, seen = -1; /* the directory itself; the same through the server */
static struct fs_volume whole = { "", FS_TRUST_TICK };

static int device;
static uint8_t messages[64][FS_MESSAGE_MAX]; /* by tag, as a late answer is where its message was */

static void on_answer(void *arg, uint32_t tag, size_t len)
{
	(void)arg;
	if (write(device, messages[tag], len) != (ssize_t)len)
		_exit(3);
}

/* Until the mount has gone. */
static _noreturn_ void serve(void)
{
	const struct fs_config c = { .root_fd = tree,
				     .proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC),
				     .volumes = &whole,
				     .n_volumes = 1,
				     .answer = on_answer };
	struct fs_scratch *scratch = fs_scratch_new();
	struct pollfd p = { .fd = device, .events = POLLIN };
	struct err e = { 0 };
	uint32_t tag = 0;
	struct fs *fs;

	umask(0);
	if (!scratch || fs_new(&c, &fs, &e) < 0)
		_exit(2);
	for (;; tag = (tag + 1) % 48) {
		ssize_t n;

		int ms = fs_try_locks(fs);
		if (poll(&p, 1, ms) == 0)
			continue;
		n = read(device, messages[tag], sizeof(messages[tag]));
		if (n < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (n <= 0)
			_exit(0);
		n = fs_handle(fs, scratch, tag, messages[tag], (size_t)n, messages[tag], sizeof(messages[tag]));
		if (n > 0 && write(device, messages[tag], (size_t)n) != n && errno != ENOENT)
			_exit(3);
	}
}

/* fn, with the two directories; its end is the test's. */
static void mounted(void (*fn)(void))
{
	char options[128], path[64];
	int status;
	pid_t pid, server;

	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0 || geteuid() != 0)
		skip("needs root and /dev/fuse");
	ok(mkdtemp(dir));
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			skip("namespaces can't be made here");
		umask(0);
		for (unsigned i = 0; i < 2; i++) {
			snprintf(path, sizeof(path), "%s/%s", dir, i ? "seen" : "tree");
			ok(mkdir(path, 0755) == 0);
		}
		snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other,default_permissions",
			 device);
		ok(mount("tree", path, "fuse", 0, options) == 0);
		snprintf(options, sizeof(options), "%s/tree", dir);
		tree = open(options, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		server = fork();
		if (server == 0)
			serve();
		seen = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ok(tree >= 0 && seen >= 0);
		pid = fork();
		if (pid == 0) {
			alarm(60);
			fn();
			exit(0);
		}
		ok(waitpid(pid, &status, 0) == pid);
		close(seen);
		ok(umount2(path, MNT_DETACH) == 0);
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
	is_int(waitpid(pid, &status, 0), pid);
	(void)rm_rf(AT_FDCWD, dir);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void put(int at, const char *name, const char *text)
{
	int fd = openat(at, name, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

	ok(fd >= 0);
	is_int(write(fd, text, strlen(text)), strlen(text));
	is_int(close(fd), 0);
}

static void has(int at, const char *name, const char *want)
{
	_cleanup_free_ char *text = NULL;

	is_int(file_read(at, name, 1 << 20, &text, NULL), 0);
	is_str(text, want);
}

static void coherent(void)
{
	char buf[64] = "";
	int fd;

	put(seen, "f", "through the server");
	has(tree, "f", "through the server");
	put(tree, "f", "by the host, and longer");
	has(seen, "f", "by the host, and longer");
	fd = openat(seen, "f", O_RDONLY | O_CLOEXEC);
	is_int(pread(fd, buf, 5, 0), 5);
	put(tree, "f", "short"); /* while it is open and its pages are cached */
	if (whole.trust == FS_TRUST_TICK)
		usleep(50000); /* two ticks of the slowest clock that kernels are built with (CONFIG_HZ_100), and some more */
	is_int(pread(fd, buf, sizeof(buf), 0), 5);
	is_int(memcmp(buf, "short", 5), 0);
	is_int(renameat(tree, "f", tree, "g"), 0);
	ok(openat(seen, "f", O_RDONLY | O_CLOEXEC) < 0 && errno == ENOENT);
	has(seen, "g", "short");
	is_int(mkdirat(tree, "d", 0755), 0);
	is_int(unlinkat(seen, "d", AT_REMOVEDIR), 0);
	ok(faccessat(tree, "d", F_OK, 0) < 0);
}
TEST(what_one_side_writes_renames_or_removes_the_other_sees_at_once) { mounted(coherent); }
TEST(what_is_consistent_an_open_descriptor_sees_at_once_as_well)
{
	whole.trust = FS_TRUST_NEVER;
	mounted(coherent);
}

/* A name, what it is, and what it holds: by its name each is asked for anew, directories on the way included once they are a tick old. */
static void looked_at_again_and_again(void)
{
	char text[16];
	struct stat st;

	is_int(mkdirat(tree, "d", 0755), 0);
	for (int i = 0; i < 300; i++) {
		int n = snprintf(text, sizeof(text), "%d", i * i);

		put(tree, "d/f", text);
		is_int(fstatat(seen, "d/f", &st, 0), 0);
		is_int(st.st_size, n);
		has(seen, "d/f", text);
		is_int(renameat(tree, "d/f", tree, "d/g"), 0);
		ok(faccessat(seen, "d/f", F_OK, 0) < 0 && errno == ENOENT);
		has(seen, "d/g", text);
		is_int(unlinkat(tree, "d/g", 0), 0);
		ok(openat(seen, "d/g", O_RDONLY | O_CLOEXEC) < 0 && errno == ENOENT);
	}
}
TEST(whoever_names_a_file_sees_it_as_it_is) { mounted(looked_at_again_and_again); }

static void mapped(void)
{
	char *p;
	int fd;

	put(tree, "f", "before, by the host");
	fd = openat(seen, "f", O_RDWR | O_CLOEXEC);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ok(p != MAP_FAILED);
	is_int(memcmp(p, "before", 6), 0);
	memcpy(p, "BEFORE", 6);
	is_int(msync(p, 4096, MS_SYNC), 0);
	has(tree, "f", "BEFORE, by the host");
	is_int(munmap(p, 4096), 0);
	close(fd);
	/* A page that was changed in a mapping goes to its place also where the file was opened for appending. */
	fd = openat(seen, "f", O_RDWR | O_APPEND | O_CLOEXEC);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memcpy(p, "again!", 6);
	is_int(write(fd, " more", 5), 5);
	is_int(munmap(p, 4096), 0);
	is_int(fsync(fd), 0);
	close(fd);
	has(tree, "f", "again!, by the host more");
}
TEST(a_shared_mapping_is_the_file) { mounted(mapped); }

static void owned(void)
{
	struct stat st;
	pid_t pid;
	int status;

	is_int(mkdirat(tree, "open", 01777), 0);
	is_int(mkdirat(tree, "closed", 0755), 0);
	pid = fork();
	if (pid == 0) {
		ok(setgid(22) == 0 && setuid(11) == 0);
		umask(027);
		ok(mkdirat(seen, "closed/d", 0777) < 0 && errno == EACCES);
		is_int(mkdirat(seen, "open/d", 0777), 0);
		int fd = openat(seen, "open/f", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
		ok(fd >= 0 && write(fd, "x", 1) == 1);
		ok(fchownat(seen, "open/f", 0, 0, 0) < 0 && errno == EPERM);
		exit(0);
	}
	ok(waitpid(pid, &status, 0) == pid && status == 0);
	is_int(fstatat(tree, "open/f", &st, 0), 0);
	is_int(st.st_uid, 11);
	is_int(st.st_gid, 22);
	is_int(st.st_mode & 07777, 0640);
	is_int(fchmodat(seen, "open/f", 06755, 0), 0);
	is_int(fchownat(seen, "open/f", 33, 44, 0), 0);
	is_int(fstatat(tree, "open/f", &st, 0), 0);
	is_int(st.st_uid * 100 + st.st_gid, 3344);
	is_int(st.st_mode & 06000, 0); /* a change of owner takes the bits, as on any file system */
	is_int(fchmodat(seen, "open/f", 06777, 0), 0);
	pid = fork(); /* and so does a write by somebody else */
	if (pid == 0) {
		ok(setgid(22) == 0 && setuid(11) == 0);
		int fd = openat(seen, "open/f", O_WRONLY | O_CLOEXEC);
		ok(fd >= 0 && write(fd, "y", 1) == 1);
		exit(0);
	}
	ok(waitpid(pid, &status, 0) == pid && status == 0);
	is_int(fstatat(tree, "open/f", &st, 0), 0);
	is_int(st.st_mode & 07777, 0777);
}
TEST(owners_modes_and_set_id_bits_are_as_on_any_file_system) { mounted(owned); }

static void locked(void)
{
	struct flock all = { .l_type = F_WRLCK };
	int host, guest, status, p[2];
	pid_t pid;
	char c;

	put(tree, "f", "");
	host = openat(tree, "f", O_RDWR | O_CLOEXEC);
	guest = openat(seen, "f", O_RDWR | O_CLOEXEC);
	is_int(fcntl(host, F_OFD_SETLK, &all), 0);
	ok(fcntl(guest, F_SETLK, &all) < 0 && errno == EAGAIN);
	is_int(fcntl(guest, F_GETLK, &all), 0);
	is_int(all.l_type, F_WRLCK);
	all = (struct flock){ .l_type = F_WRLCK };
	is_int(pipe(p), 0);
	pid = fork();
	if (pid == 0) { /* waits until the host gives it up */
		ok(write(p[1], "w", 1) == 1);
		is_int(fcntl(guest, F_SETLKW, &all), 0);
		ok(write(p[1], "l", 1) == 1);
		exit(0); /* which gives it up */
	}
	ok(read(p[0], &c, 1) == 1);
	usleep(100000);
	ok(waitpid(pid, &status, WNOHANG) == 0);
	all.l_type = F_UNLCK;
	is_int(fcntl(host, F_OFD_SETLK, &all), 0);
	ok(waitpid(pid, &status, 0) == pid && status == 0);
	all.l_type = F_WRLCK;
	is_int(fcntl(host, F_OFD_SETLK, &all), 0);
	is_int(flock(guest, LOCK_EX | LOCK_NB), 0);
	ok(flock(host, LOCK_EX | LOCK_NB) < 0 && errno == EAGAIN);
	close(guest);
	is_int(flock(host, LOCK_EX), 0);
}
TEST(locks_hold_across_posix_and_flock) { mounted(locked); }

static void interrupted(void)
{
	struct flock all = { .l_type = F_WRLCK };
	int host, status;
	pid_t pid;

	put(tree, "f", "");
	host = openat(tree, "f", O_RDWR | O_CLOEXEC);
	is_int(fcntl(host, F_OFD_SETLK, &all), 0);
	pid = fork();
	if (pid == 0) {
		int fd = openat(seen, "f", O_RDWR | O_CLOEXEC);

		exit(fcntl(fd, F_SETLKW, &all) < 0);
	}
	usleep(200000);
	is_int(kill(pid, SIGTERM), 0);
	ok(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}
TEST(who_waits_for_a_lock_can_be_killed) { mounted(interrupted); }

static void others(void)
{
	char text[64] = "", path[64];
	struct stat st;
	int fd, out;

	snprintf(path, sizeof(path), "%s/seen/f", dir);
	put(seen, "f", "0123456789");
	is_int(linkat(seen, "f", seen, "g", 0), 0);
	is_int(fstatat(tree, "g", &st, 0), 0);
	is_int(st.st_nlink, 2);
	is_int(symlinkat("../tree/f", seen, "l"), 0);
	is_int(readlinkat(seen, "l", text, sizeof(text)), 9);
	is_int(mkfifoat(seen, "p", 0600), 0);
	ok(mknodat(seen, "c", S_IFCHR | 0600, makedev(1, 3)) < 0 && errno == EPERM);
	is_int(setxattr(path, "user.x", "1", 1, 0), 0);
	is_int(listxattr(path, text, sizeof(text)), 7);
	ok(setxattr(path, "trusted.x", "1", 1, 0) < 0 && errno == EOPNOTSUPP);
	fd = openat(seen, "f", O_RDWR | O_CLOEXEC);
	static const char data[256 << 10] = "0123456789";
	is_int(pwrite(fd, data, sizeof(data), 0), sizeof(data));
	is_int(fallocate(fd, 0, 0, 1 << 20), 0);
	is_int(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 65536), 0);
	is_int(lseek(fd, 0, SEEK_HOLE), 65536);
	is_int(lseek(fd, 65536, SEEK_DATA), 131072);
	out = openat(seen, "copy", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	is_int(lseek(fd, 0, SEEK_SET), 0);
	is_int(copy_file_range(fd, NULL, out, NULL, 10, 0), 10);
	has(tree, "copy", "0123456789");
	is_int(renameat2(seen, "copy", seen, "p", RENAME_EXCHANGE), 0);
	is_int(fstatat(tree, "copy", &st, 0), 0);
	ok(S_ISFIFO(st.st_mode));
	is_int(unlinkat(seen, "f", 0), 0);
	is_int(pread(fd, text, 4, 0), 4); /* it lives on in its descriptor */
	is_int(fsync(fd), 0);
	is_int(syncfs(fd), 0);
	is_int(unlinkat(seen, "p", 0), 0);
	const struct timespec t[2] = { { 1, 2 }, { 3, 4 } };
	is_int(utimensat(seen, "g", t, 0), 0);
	is_int(utimensat(seen, "l", t, AT_SYMLINK_NOFOLLOW), 0);
	is_int(fstatat(tree, "l", &st, AT_SYMLINK_NOFOLLOW), 0);
	is_int(st.st_mtim.tv_sec, 3);
}
TEST(links_fifos_attributes_holes_copies_exchanges_and_times) { mounted(others); }

static void big(void)
{
	static char a[3 << 20], b[3 << 20];
	int fd;

	for (size_t i = 0; i < sizeof(a); i++)
		a[i] = (char)(i * 31 + (i >> 12));
	fd = openat(seen, "f", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	is_int(pwrite(fd, a, sizeof(a), 77), sizeof(a));
	close(fd);
	fd = openat(tree, "f", O_RDONLY | O_CLOEXEC);
	is_int(pread(fd, b, sizeof(b), 77), sizeof(b));
	ok(memcmp(a, b, sizeof(a)) == 0);
	close(fd);
	memset(b, 0, sizeof(b));
	fd = openat(seen, "f", O_RDONLY | O_CLOEXEC);
	is_int(pread(fd, b, sizeof(b), 77), sizeof(b));
	ok(memcmp(a, b, sizeof(a)) == 0);
}
TEST(three_megabytes_come_back_as_they_were) { mounted(big); }

TAP_MAIN()
