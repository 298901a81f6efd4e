/* Namespaces that several containers share: made of the kinds that are wanted, held by descriptors alone, memory included. */
#include "fixture.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

static const enum spec_ns kinds[] = { NS_NET, NS_IPC, NS_UTS, NS_MOUNT };

static ino_t inode_of(const char *path)
{
	struct stat st;

	ok(stat(path, &st) == 0);
	return st.st_ino;
}

static ino_t own(enum spec_ns n) { return inode_of(tap_keep(str_fmt("/proc/self/ns/%s", ns_table[n].proc))); }

static ino_t shared(const struct shared_ns *ns, enum spec_ns n)
{
	return inode_of(tap_keep(str_fmt("/proc/self/fd/%d", ns->fd[n])));
}

static struct shared_ns make(struct fixture *f)
{
	struct shared_ns ns;

	if (shared_ns_make(&f->spec, &ns, &f->err) < 0)
		TAP_FAIL("%s", f->err.msg);
	return ns;
}

static int memory(struct fixture *f, const struct shared_ns *ns)
{
	int fd;

	if (shared_ns_memory(ns, &fd, &f->err) < 0)
		TAP_FAIL("%s", f->err.msg);
	return fd;
}

/* fn in a process of its own, in one of the namespaces; it ends with 0. */
static void in_namespace(int fd, void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		ok(setns(fd, 0) == 0);
		fn();
		_exit(0); /* a leak checker would look for /proc, which there may not be */
	}
	ok(pid > 0 && waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
}

TEST(they_are_new_and_whoever_makes_them_stays_in_its_own)
{
	struct fixture f;
	struct shared_ns ns;
	ino_t before[NS_COUNT];

	fixture_init(&f);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		before[kinds[i]] = own(kinds[i]);
	ns = make(&f);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		ok(own(kinds[i]) == before[kinds[i]]);
		ok(shared(&ns, kinds[i]) != before[kinds[i]]);
		is_int(fcntl(ns.fd[kinds[i]], F_GETFD), FD_CLOEXEC);
	}
	is_int(ns.fd[NS_PID], -1);
	is_int(ns.fd[NS_USER], -1);
	ok(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* no process stands for them */
	shared_ns_close(&ns);
	for (size_t n = 0; n < NS_COUNT; n++)
		is_int(ns.fd[n], -1);
	fixture_done(&f);
}

static void has_loopback(void)
{
	struct ifreq q = { .ifr_name = "lo" };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ok(sock >= 0 && ioctl(sock, SIOCGIFFLAGS, &q) == 0);
	ok(q.ifr_flags & IFF_UP);
	close(sock);
}

static void is_called_pod(void)
{
	char name[65] = "";

	ok(gethostname(name, sizeof(name)) == 0);
	is_str(name, "pod");
}

TEST(loopback_is_up_and_the_host_name_is_the_specs)
{
	struct fixture f;
	struct shared_ns ns;

	fixture_init(&f);
	free(f.spec.hostname);
	f.spec.hostname = strdup("pod");
	ns = make(&f);
	in_namespace(ns.fd[NS_NET], has_loopback);
	in_namespace(ns.fd[NS_UTS], is_called_pod);
	shared_ns_close(&ns);
	fixture_done(&f);
}

TEST(kinds_that_are_not_wanted_new_are_not_made)
{
	struct fixture f;
	struct shared_ns ns;

	fixture_init(&f);
	f.spec.ns.wanted[NS_NET] = false;
	f.spec.ns.path[NS_UTS] = strdup("/proc/self/ns/uts");
	ns = make(&f);
	is_int(ns.fd[NS_NET], -1);
	is_int(ns.fd[NS_UTS], -1);
	ok(ns.fd[NS_IPC] >= 0 && ns.fd[NS_MOUNT] >= 0);
	shared_ns_close(&ns);
	/* The memory goes with IPC, as /dev/shm does. */
	f.spec.ns.wanted[NS_IPC] = false;
	ns = make(&f);
	is_int(ns.fd[NS_IPC], -1);
	is_int(memory(&f, &ns), -1);
	shared_ns_close(&ns);
	fixture_done(&f);
}

TEST(without_a_mount_for_it_there_is_no_memory)
{
	struct fixture f;
	struct shared_ns ns;

	fixture_init(&f);
	drop_mount(&f, SHARED_MEMORY);
	ns = make(&f);
	ok(ns.fd[NS_IPC] >= 0);
	is_int(memory(&f, &ns), -1);
	shared_ns_close(&ns);
	fixture_done(&f);
}

TEST(memory_is_one_tmpfs_for_all_with_the_specs_options)
{
	struct fixture f;
	struct shared_ns ns;
	struct statvfs st;
	struct statfs fs;
	int a, b, file;

	fixture_init(&f);
	drop_mount(&f, SHARED_MEMORY);
	add_mount(&f, "tmpfs", "shm", SHARED_MEMORY, "nosuid,noexec,nodev,mode=1777,size=128k");
	ns = make(&f);
	a = memory(&f, &ns);
	b = memory(&f, &ns);
	ok(fstatfs(a, &fs) == 0 && fs.f_type == 0x01021994 /* TMPFS_MAGIC */);
	ok(fstatvfs(a, &st) == 0);
	is_int(st.f_blocks * st.f_frsize, 128 << 10);
	is_int(st.f_flag & (ST_NOSUID | ST_NOEXEC | ST_NODEV), ST_NOSUID | ST_NOEXEC | ST_NODEV);
	file = openat(a, "x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ok(file >= 0 && write(file, "y", 1) == 1);
	ok(faccessat(b, "x", F_OK, 0) == 0);
	/* It is where it is, and nobody's else. */
	ok(access(SHARED_MEMORY "/x", F_OK) < 0);
	close(file);
	close(a);
	/* It stays while there is anyone who holds it, and goes with the last. */
	shared_ns_close(&ns);
	ok(faccessat(b, "x", F_OK, 0) == 0);
	close(b);
	fixture_done(&f);
}

static int proc_for_child;

/* Of the host's mounts none is held by it: "8 7 0:50 / / rw,... - tmpfs shm rw". */
static void has_only_memory(void)
{
	int fd = openat(proc_for_child, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	char *text = NULL;

	ok(fd >= 0 && fd_read_all(fd, 1 << 16, &text, NULL) == 0);
	has_str(text, " / / ");
	has_str(text, " - tmpfs shm ");
	ok(strchr(text, '\n') == text + strlen(text) - 1);
	free(text);
	close(fd);
}

TEST(the_memory_s_mount_namespace_has_nothing_else)
{
	struct fixture f;
	struct shared_ns ns;

	fixture_init(&f);
	proc_for_child = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ok(proc_for_child >= 0);
	ns = make(&f);
	in_namespace(ns.fd[NS_MOUNT], has_only_memory);
	shared_ns_close(&ns);
	close(proc_for_child);
	fixture_done(&f);
}

TEST(containers_that_join_them_share_names_networks_and_memory)
{
	struct fixture f;
	struct shared_ns ns;

	fixture_init(&f);
	free(f.spec.hostname);
	f.spec.hostname = strdup("pod");
	ns = make(&f);
	free_ptr(&f.spec.hostname);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i] != NS_MOUNT)
			f.spec.ns.path[kinds[i]] = str_fmt("/proc/self/fd/%d", ns.fd[kinds[i]]);
	f.args.memory_fd = memory(&f, &ns);
	is_str(sh(&f, "hostname; cat /sys/class/net/lo/flags; echo here >/dev/shm/first; stat -c %a /dev/shm"),
	       "pod\n0x9\n1777\n");
	close(f.args.memory_fd);
	f.args.memory_fd = memory(&f, &ns);
	is_str(sh(&f, "hostname; cat /dev/shm/first"), "pod\nhere\n");
	close(f.args.memory_fd);
	shared_ns_close(&ns);
	fixture_done(&f);
}

TEST(memory_that_can_not_be_is_an_error_and_nothing_is_left)
{
	struct fixture f;
	struct shared_ns ns = { .fd = { 99 } };
	int before;

	fixture_init(&f);
	drop_mount(&f, SHARED_MEMORY);
	add_mount(&f, "tmpfs", "shm", SHARED_MEMORY, "size=lots");
	before = count_fds();
	is_int(shared_ns_make(&f.spec, &ns, &f.err), -EINVAL);
	has_str(f.err.msg, "size");
	is_int(ns.fd[0], 99);
	is_int(count_fds(), before);
	ok(waitpid(-1, NULL, WNOHANG) == -1);
	fixture_done(&f);
}

TEST(what_is_no_mount_namespace_gives_no_memory)
{
	struct fixture f;
	struct shared_ns ns = SHARED_NS_NONE;
	int fd = 99, before;

	fixture_init(&f);
	ns.fd[NS_MOUNT] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	before = count_fds();
	is_int(shared_ns_memory(&ns, &fd, &f.err), -EINVAL);
	has_str(f.err.msg, "shared memory: enter its mount namespace");
	is_int(fd, 99);
	is_int(count_fds(), before);
	shared_ns_close(&ns);
	fixture_done(&f);
}

TEST(who_may_make_none_is_told_so)
{
	struct fixture f;
	struct shared_ns ns;
	int status;
	pid_t pid;

	fixture_init(&f);
	pid = fork();
	if (pid == 0) {
		ok(setresuid(65534, 65534, 65534) == 0);
		is_int(shared_ns_make(&f.spec, &ns, &f.err), -EPERM);
		has_str(f.err.msg, "new namespaces");
		_exit(0);
	}
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	fixture_done(&f);
}

/* Wherever descriptors run out, in this process or the helper: an error with words, and none is lost. */
TEST(any_lack_of_descriptors_is_an_error_that_leaves_none)
{
	struct rlimit was, low;
	struct fixture f;
	struct shared_ns ns;
	int before, r = -1;

	fixture_init(&f);
	ok(getrlimit(RLIMIT_NOFILE, &was) == 0);
	before = count_fds();
	for (low = was, low.rlim_cur = 0; r < 0; low.rlim_cur++) {
		f.err = (struct err){ 0 };
		ok(low.rlim_cur < 64 && setrlimit(RLIMIT_NOFILE, &low) == 0);
		r = shared_ns_make(&f.spec, &ns, &f.err);
		ok(setrlimit(RLIMIT_NOFILE, &was) == 0);
		ok(r == 0 || f.err.msg[0]);
		if (r < 0)
			is_int(count_fds(), before);
		ok(waitpid(-1, NULL, WNOHANG) == -1);
	}
	ok(low.rlim_cur > 4);
	shared_ns_close(&ns);
	is_int(count_fds(), before);
	fixture_done(&f);
}

TAP_MAIN()
