/* The walls of the file server's process, each tried from inside. */
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

#include "staged.h"

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
	ok(open(name, O_WRONLY) < 0); /* EROFS where the host's root is read-only */
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

TAP_MAIN()
