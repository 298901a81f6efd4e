/* The jail, from inside: each test enters it and tries what must not work, one wall at a time where the others can be told apart
 * by what they answer. Filters of system calls are not loaded here (seccomp_test.c), so that these walls are seen to stand
 * alone. A test's process stays behind as the one that stands by and ends as the jailed one does. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <grp.h>
#include <linux/magic.h>

#include "jail.h"
#include "tap.h"

static void enter(struct vmm_plan *plan)
{
	struct err e = { 0 };
	int r = vmm_jail_enter(plan, &e);

	if (r == -EPERM || r == -ENOSPC) {
		printf("# %s\n", e.msg);
		skip("namespaces can't be made here");
	}
	if (r < 0)
		TAP_FAIL("%s", e.msg);
}

#ifdef __SANITIZE_ADDRESS__
/* The search for leaks reads /proc, which a jail has not. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return 1; } /* whatever ASAN_OPTIONS say */
#endif

/* Enters it with `kept` as one of the plan's descriptors (-1: none). Standard output is one too, for what a test has to say.
 * No KVM is needed. */
static void enter_with(int kept)
{
	struct vmm_plan plan = { VMM_PLAN_NO_FDS, .kvm_fd = open("/dev/null", O_RDWR | O_CLOEXEC), .mem_bytes = VMM_MEM_MIN };

	plan.kernel_fd = kept;
	plan.serial_fd = STDOUT_FILENO;
	enter(&plan);
}

static int landlock_abi(void) { return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* the version */); }

#define refused(call, no)                                                                                       \
	do {                                                                                                    \
		errno = 0;                                                                                      \
		if ((call) >= 0 || errno != (no))                                                               \
			TAP_FAIL("%s: %s, expected %s", #call, errno ? strerror(errno) : "done", strerror(no)); \
	} while (0)

TEST(V11_there_is_no_file_in_the_jail)
{
	struct statfs fs;
	struct stat st;

	enter_with(-1);
	refused(stat("/etc", &st), ENOENT);
	refused(stat("/proc/self", &st), ENOENT);
	refused(stat("/dev/kvm", &st), ENOENT);
	refused(stat("../../../usr", &st), ENOENT);
	is_int(statfs("/", &fs), 0);
	is_int(fs.f_type, TMPFS_MAGIC);
	ok(fs.f_flags & ST_RDONLY);
	ok(open("/x", O_CREAT | O_WRONLY, 0600) < 0);
	ok(mkdir("/x", 0700) < 0);
	ok(!opendir("/"));
}

TEST(V11_a_directory_that_leaks_into_the_jail_gives_no_file)
{
	char dir[] = "/tmp/berth-jail.XXXXXX";
	int fd, file;

	if (landlock_abi() < 1)
		skip("this kernel has no Landlock");
	ok(mkdtemp(dir));
	is_int(chmod(dir, 0777), 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file = openat(fd, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
	ok(fd >= 0 && file >= 0);
	is_int(fchmod(file, 0666), 0);
	pid_t pid = fork();
	if (pid == 0) {
		enter_with(fd);
		refused(openat(fd, "f", O_RDONLY), EACCES);
		refused(openat(fd, "f", O_WRONLY), EACCES);
		refused(openat(fd, "new", O_CREAT | O_WRONLY, 0600), EACCES);
		refused(mkdirat(fd, "new", 0700), EACCES);
		refused(unlinkat(fd, "f", 0), EACCES);
		refused(openat(fd, "..", O_RDONLY | O_DIRECTORY), EACCES);
		exit(0);
	}
	int status;
	is_int(waitpid(pid, &status, 0), pid);
	unlinkat(fd, "f", 0);
	rmdir(dir);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* For guests that may connect to sockets of the host, in a directory of the plan: these and no others. */
TEST(V11_a_directory_of_sockets_is_all_that_its_vm_sees)
{
	char dir[] = "/tmp/berth-jail.XXXXXX";
	struct sockaddr_un a = { AF_UNIX, "/vsock_52" };
	struct vmm_vsock_plan vsock = { .guest_cid = 3, .listen_fd = -1 };
	struct vmm_device_plan device = { .vsock = &vsock };
	struct vmm_plan plan = { VMM_PLAN_NO_FDS, .mem_bytes = VMM_MEM_MIN, .devices = &device, .n_devices = 1 };
	struct stat st;
	int status;

	ok(mkdtemp(dir));
	is_int(chmod(dir, 0755), 0);
	umask(0);
	vsock.dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int listener = sock_unix_listen(vsock.dir_fd, "vsock_52", 0666);
	ok(listener >= 0);
	plan.kvm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	plan.serial_fd = STDOUT_FILENO;
	pid_t pid = fork();
	if (pid == 0) {
		int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		close(s);
		enter(&plan);
		ok(vsock.is_root);
		s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(s, (void *)&a, sizeof(a)) < 0)
			TAP_FAIL("connect: %s", strerror(errno));
		refused(stat("/../../etc", &st), ENOENT);
		refused(fstatat(vsock.dir_fd, "../../etc", &st, 0), ENOENT);
		refused(unlink("/vsock_52"), EROFS);
		exit(0);
	}
	is_int(waitpid(pid, &status, 0), pid);
	unlinkat(vsock.dir_fd, "vsock_52", 0);
	rmdir(dir);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

TEST(V11_no_program_can_be_executed_in_the_jail)
{
	int fd = open("/bin/false", O_PATH | O_CLOEXEC); /* which would not say that all is well */
	char name[] = "false", *const argv[] = { name, NULL }, *const env[] = { NULL };

	if (landlock_abi() < 1)
		skip("this kernel has no Landlock");
	enter_with(fd);
	refused(execve("/bin/false", argv, env), ENOENT);
	refused(execveat(fd, "", argv, env, AT_EMPTY_PATH), EACCES);
}

TEST(V11_no_network_can_be_reached_from_the_jail)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t n = sizeof(in), un_n;
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), abstract = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	is_int(bind(tcp, (void *)&in, n), 0);
	is_int(listen(tcp, 1), 0);
	is_int(getsockname(tcp, (void *)&in, &n), 0);
	un_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "berth-jail-%d", getpid()));
	is_int(bind(abstract, (void *)&un, un_n), 0);
	is_int(listen(abstract, 1), 0);
	enter_with(-1);

	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	refused(connect(udp, (void *)&in, n), ENETUNREACH); /* nothing but an interface that is down */
	refused(connect(to, (void *)&in, n), landlock_abi() >= 4 ? EACCES : ENETUNREACH);
	to = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ok(connect(to, (void *)&un, un_n) < 0 && (errno == ECONNREFUSED || errno == EPERM));
}

TEST(V11_no_other_process_can_be_seen_from_the_jail)
{
	int outside = getpid(), kept[2], status;
	pid_t pid = fork(); /* a neighbour, of the user that the jail's process had */

	is_int(pipe(kept), 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	pid_t jailed = fork();
	if (jailed == 0) {
		enter_with(-1);
		is_int(getpid(), 1);
		refused(kill(pid, 0), ESRCH);
		refused(kill(outside, SIGKILL), ESRCH);
		refused(ptrace(PTRACE_SEIZE, pid, 0, 0), ESRCH);
		is_int(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
		is_int(prctl(PR_GET_PDEATHSIG, &status, 0, 0, 0), 0);
		is_int(status, SIGKILL);
#ifndef __SANITIZE_ADDRESS__
		is_int(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
#endif
		exit(0);
	}
	is_int(waitpid(jailed, &status, 0), jailed);
	kill(pid, SIGKILL);
	is_int(waitpid(pid, NULL, 0), pid);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

TEST(V11_there_is_no_capability_in_the_jail_and_none_to_gain)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct c[_LINUX_CAPABILITY_U32S_3];
	bool was_root = geteuid() == 0;

	enter_with(-1);
	is_int(syscall(SYS_capget, &head, c), 0);
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		is_int(c[i].effective | c[i].permitted | c[i].inheritable, 0);
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		is_int(prctl(PR_CAPBSET_READ, cap, 0, 0, 0), 0);
		is_int(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0), 0);
	}
	ok(geteuid() != 0 && getegid() != 0);
	if (was_root) {
		gid_t groups[8];

		is_int(getgroups(8, groups), 0);
		refused(setresuid(0, 0, 0), EPERM);
		refused(setresgid(0, 0, 0), EPERM);
	}
	refused(mount("x", "/", "tmpfs", 0, NULL), EPERM);
	refused(unshare(CLONE_NEWNET), EPERM);
	refused(sethostname("x", 1), EPERM);
	refused(chroot("/"), EPERM);
}

TEST(V11_descriptors_that_the_plan_does_not_name_are_closed)
{
	int kept = open("/dev/zero", O_RDONLY | O_CLOEXEC), low = open("/", O_RDONLY | O_CLOEXEC),
	    high = fcntl(low, F_DUPFD, 900);
	int middle = fcntl(kept, F_DUPFD, 40), above = fcntl(low, F_DUPFD, 41);
	char c = 1;

	enter_with(middle);
	refused(fcntl(kept, F_GETFD), EBADF);
	refused(fcntl(low, F_GETFD), EBADF);
	refused(fcntl(above, F_GETFD), EBADF);
	refused(fcntl(high, F_GETFD), EBADF);
	is_int(read(middle, &c, 1), 1);
	is_int(c, 0);
	is_int(read(0, &c, 1), 0); /* /dev/null */
	for (int fd = 3, open_fds = 0; fd < 1024; fd++) {
		open_fds += fcntl(fd, F_GETFD) >= 0;
		ok(open_fds <= 3); /* the plan's, what stands for /dev/kvm, statm */
	}
}

TEST(V11_limits_hold_in_the_jail)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct rlimit l;

	enter_with(fd);
	is_int(getrlimit(RLIMIT_CORE, &l), 0);
	is_int(l.rlim_max, 0);
	is_int(getrlimit(RLIMIT_NOFILE, &l), 0);
	ok(l.rlim_max <= 4096);
	is_int(getrlimit(RLIMIT_MEMLOCK, &l), 0);
	ok(l.rlim_max <= 64 << 10);
	is_int(pwrite(fd, "x", 1, VMM_MEM_MIN), 1);
	refused(pwrite(fd, "x", 1, 1 << 30), EFBIG);
	refused(ftruncate(fd, 1 << 30), EFBIG);
}

TEST(who_is_not_root_gets_a_jail_by_a_user_namespace)
{
	struct stat st;

	if (geteuid() == 0) {
		is_int(setgroups(0, NULL), 0);
		is_int(setresgid(65534, 65534, 65534), 0);
		is_int(setresuid(65534, 65534, 65534), 0);
		is_int(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0); /* an exec would have made it so: /proc/self is the user's */
	}
	enter_with(-1);
	is_int(getpid(), 1);
	refused(stat("/etc", &st), ENOENT);
	refused(mount("x", "/", "tmpfs", 0, NULL), EPERM);
	refused(unshare(CLONE_NEWNET), EPERM);
	is_int(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0), 0);
}

/* ---- the two processes ---- */

/* A process that stands by, and the read end of a pipe that the jailed one holds open; *ret_said: what it writes comes here. */
static pid_t start_jailed(int *ret_fd, int exit_code)
{
	int p[2];
	char c;

	is_int(pipe2(p, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(p[0]);
		enter_with(p[1]);
		(void)!write(p[1], "+", 1);
		if (exit_code >= 0)
			_exit(exit_code);
		pause();
		_exit(0);
	}
	close(p[1]);
	if (read(p[0], &c, 1) != 1) {
		int status;

		is_int(waitpid(pid, &status, 0), pid);
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	*ret_fd = p[0];
	return pid;
}

TEST(F03_a_jailed_process_dies_with_the_one_that_stands_by)
{
	struct pollfd p = { .events = POLLIN };
	pid_t pid = start_jailed(&p.fd, -1);
	int status;

	is_int(poll(&p, 1, 0), 0);
	is_int(kill(pid, SIGKILL), 0);
	is_int(waitpid(pid, &status, 0), pid);
	is_int(poll(&p, 1, 10000), 1);
	ok(p.revents & POLLHUP);
}

TEST(who_stands_by_ends_as_the_jailed_process_ends)
{
	int fd, status;
	pid_t pid = start_jailed(&fd, 66);

	is_int(waitpid(pid, &status, 0), pid);
	ok(WIFEXITED(status));
	is_int(WEXITSTATUS(status), 66);
}

/* Whoever is in the test's place: the monitor. */
TEST(F02_both_end_with_the_starter_that_has_asked_for_it)
{
	struct pollfd p = { .events = POLLIN };
	int out[2];
	char c;

	is_int(pipe2(out, O_CLOEXEC), 0);
	pid_t starter = fork();
	if (starter == 0) {
		if (fork() == 0) {
			is_int(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), 0);
			close(out[0]);
			enter_with(out[1]);
			usleep(100000); /* the one that stands by drops its user, which must not make it forget */
			(void)!write(out[1], "+", 1);
			pause();
		}
		close(out[1]);
		pause();
	}
	close(out[1]);
	p.fd = out[0];
	if (read(out[0], &c, 1) != 1)
		skip("namespaces can't be made here");
	is_int(kill(starter, SIGKILL), 0);
	is_int(waitpid(starter, NULL, 0), starter);
	is_int(poll(&p, 1, 10000), 1);
	ok(p.revents & POLLHUP);
}

/* unshare(2): CLONE_THREAD is refused to a process of several threads, and for others it is nothing. A thread that was joined may take a
 * moment to be gone for the kernel. */
static bool is_single_threaded(void)
{
	for (unsigned i = 0; i < 1000; i++, usleep(1000))
		if (unshare(CLONE_THREAD) == 0)
			return true;
	return false;
}

TEST(V11_the_vm_is_made_while_the_jail_is_and_by_nobody_who_is_still_there)
{
	struct vmm_plan plan = { VMM_PLAN_NO_FDS, .mem_bytes = VMM_MEM_MIN };

	plan.kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	plan.serial_fd = STDOUT_FILENO;
	if (plan.kvm_fd < 0)
		skip("no KVM here");
	enter(&plan);
	ok(plan.vm_fd > 0);
	ok(fcntl(plan.vm_fd, F_GETFD) == FD_CLOEXEC);
	ok(is_single_threaded());
}

TEST(a_vm_that_could_not_be_made_ahead_is_told_by_who_wants_it)
{
	struct vmm_plan plan = { VMM_PLAN_NO_FDS, .kvm_fd = open("/dev/null", O_RDWR | O_CLOEXEC), .mem_bytes = VMM_MEM_MIN };

	plan.serial_fd = STDOUT_FILENO;
	enter(&plan);
	is_int(plan.vm_fd, -ENOTTY);
}

TEST(the_first_process_of_a_pid_namespace_stays_one_process)
{
	int status;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0);

	if (pid < 0)
		skip("pid namespaces can't be made here");
	if (pid == 0) {
		struct vmm_plan plan = { VMM_PLAN_NO_FDS, .mem_bytes = VMM_MEM_MIN };
		pid_t parent = getppid();
		struct err e = { 0 };

		plan.kvm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		plan.serial_fd = STDOUT_FILENO;
		is_int(vmm_jail_enter(&plan, &e), -EINVAL);
		has_str(e.msg, "uid");
		plan.uid = VMM_JAIL_UID_BASE + 77;
		if (vmm_jail_enter(&plan, &e) < 0)
			TAP_FAIL("%s", e.msg);
		is_int(getppid(), parent);
		is_int(geteuid(), VMM_JAIL_UID_BASE + 77);
		exit(0);
	}
	is_int(waitpid(pid, &status, 0), pid);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

TAP_MAIN()
