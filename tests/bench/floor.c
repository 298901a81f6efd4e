/* floor: the least that an OCI runtime's `run` of the default config can cost on this kernel. One static C file, no library, no
 * parsing, no state, no checks beyond "did it fail": only the system calls that the container itself is made of, in the best
 * order known: the parent makes the cgroups while the child makes its network namespace and mounts. By hand:
 *   floor ROOTFS [--no-net] [--filter FILE]   ROOTFS holds /bin/true; exits with its status. FILE: a seccomp filter's instructions
 * What it does is what `berth-runtime spec` asks for, and stands here as tables. Whatever berth-runtime takes beyond it is its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEN(a) (sizeof(a) / sizeof(*(a)))

enum { CPU, CPUACCT, CPUSET, MEMORY, DEVICES, FREEZER, BLKIO, PIDS };
static const char *const v1[] = { "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids" };
static const char *const devices[] = { "c *:* m",   "b *:* m",   "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm",
				       "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm" };
static const struct {
	const char *name;
	unsigned minor, major;
} nodes[] = { { "null", 3, 1 }, { "zero", 5, 1 }, { "full", 7, 1 }, { "random", 8, 1 }, { "urandom", 9, 1 }, { "tty", 0, 5 } };
static const char *const links[][2] = { { "/proc/self/fd", "dev/fd" },       { "/proc/self/fd/0", "dev/stdin" },
					{ "/proc/self/fd/1", "dev/stdout" }, { "/proc/self/fd/2", "dev/stderr" },
					{ "/proc/kcore", "dev/core" },       { "pts/ptmx", "dev/ptmx" } };
static const char *const masked[] = { "proc/acpi",
				      "proc/asound",
				      "proc/config.gz",
				      "proc/interrupts",
				      "proc/kallsyms",
				      "proc/kcore",
				      "proc/keys",
				      "proc/latency_stats",
				      "proc/sched_debug",
				      "proc/scsi",
				      "proc/timer_list",
				      "proc/timer_stats",
				      "sys/firmware",
				      "sys/kernel/debug",
				      "sys/kernel/security",
				      "sys/kernel/tracing",
				      "sys/devices/virtual/powercap",
				      "sys/devices/virtual/thermal" };
static const char *const readonly[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };
static const uint64_t kept_caps = 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_FOWNER | 1 << CAP_FSETID | 1 << CAP_KILL |
				  1 << CAP_SETGID | 1 << CAP_SETUID | 1 << CAP_SETPCAP | 1 << CAP_NET_BIND_SERVICE |
				  1 << CAP_SYS_CHROOT | 1ull << CAP_SETFCAP;

static void die(const char *what)
{
	perror(what);
	_exit(125);
}

static long must(long r, const char *what)
{
	if (r < 0)
		die(what);
	return r;
}

static void put(const char *path, const char *text)
{
	int fd = (int)must(open(path, O_WRONLY | O_CLOEXEC), path);

	must(write(fd, text, strlen(text)), path);
	close(fd);
}

/* ---- cgroups ---- */

static int is_v2;
static char cg[LEN(v1)][64];

static void name_cgroups(void)
{
	is_v2 = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
	for (size_t i = 0; i < LEN(v1); i++)
		snprintf(cg[i], sizeof(cg[i]), "/sys/fs/cgroup/%s%sberth-floor-%d", is_v2 ? "" : v1[i], is_v2 ? "" : "/",
			 getpid());
}

static void make_cgroups(void)
{
	for (size_t i = 0; i < (is_v2 ? 1 : LEN(v1)); i++)
		must(mkdir(cg[i], 0755), cg[i]);
}

/* A new cpuset is empty, and nobody may join it. */
static void fill_cpuset(const char *name)
{
	char path[160], all[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/cpuset/%s", name);
	int fd = (int)must(open(path, O_RDONLY | O_CLOEXEC), path);
	n = must(read(fd, all, sizeof(all) - 1), path);
	all[n] = '\0';
	close(fd);
	snprintf(path, sizeof(path), "%.63s/%s", cg[CPUSET], name);
	put(path, all);
}

static void limit_cgroups(void)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/pids.max", cg[is_v2 ? 0 : PIDS]);
	put(path, "2048");
	if (is_v2)
		return; /* the device program is left out: the floor may be too low there */
	fill_cpuset("cpuset.cpus");
	fill_cpuset("cpuset.mems");
	snprintf(path, sizeof(path), "%s/devices.deny", cg[DEVICES]);
	put(path, "a");
	snprintf(path, sizeof(path), "%s/devices.allow", cg[DEVICES]);
	int fd = (int)must(open(path, O_WRONLY | O_CLOEXEC), path);
	for (size_t i = 0; i < LEN(devices); i++)
		must(pwrite(fd, devices[i], strlen(devices[i]), 0), devices[i]);
	close(fd);
}

static void join_cgroups(void)
{
	char path[160];

	for (size_t i = 0; !is_v2 && i < LEN(v1); i++) {
		snprintf(path, sizeof(path), "%.63s/tasks", cg[i]);
		put(path, "0");
	}
}

/* ---- mounts, in the child, relative to the new root ---- */

static int fs_new(const char *type, const char *const *options, unsigned attrs)
{
	int fs = (int)must(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), type);

	for (; options && *options; options += 2)
		must(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, options[0], options[1], 0), options[0]);
	must(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), type);
	int m = (int)must(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attrs), type);
	close(fs);
	return m;
}

static void place(int m, const char *at)
{
	must(syscall(SYS_move_mount, m, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH), at);
	close(m);
}

static int clone_of(int dirfd, const char *path, unsigned flags)
{
	return (int)must(syscall(SYS_open_tree, dirfd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags), path);
}

enum { NO_SUID_DEV = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, NO_ALL = NO_SUID_DEV | MOUNT_ATTR_NOEXEC };

static void make_dev(void)
{
	umask(0);
	for (size_t i = 0; i < LEN(nodes); i++) {
		char path[32];
		snprintf(path, sizeof(path), "dev/%s", nodes[i].name);
		must(mknod(path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), path);
	}
	for (size_t i = 0; i < LEN(links); i++)
		must(symlink(links[i][0], links[i][1]), links[i][1]);
}

static void make_mounts(const char *rootfs)
{
	struct mount_attr private = { .propagation = MS_PRIVATE }, ro = { .attr_set = MOUNT_ATTR_RDONLY };

	must(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof(private)), "private");
	int root = (int)must(syscall(SYS_open_tree, AT_FDCWD, rootfs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), rootfs);
	must(syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH), "attach the root");
	must(fchdir(root), "root");
	place(fs_new("proc", NULL, NO_ALL), "proc");
	place(fs_new("tmpfs", (const char *const[]){ "mode", "755", "size", "65536k", NULL }, MOUNT_ATTR_NOSUID), "dev");
	mkdir("dev/pts", 0755);
	place(fs_new("devpts", (const char *const[]){ "ptmxmode", "0666", "mode", "0620", "gid", "5", NULL },
		     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
	      "dev/pts");
	place(fs_new("sysfs", NULL, NO_ALL | MOUNT_ATTR_RDONLY), "sys");
	mkdir("dev/mqueue", 0755);
	place(fs_new("mqueue", NULL, NO_ALL), "dev/mqueue");
	mkdir("dev/shm", 0755);
	place(fs_new("tmpfs", (const char *const[]){ "mode", "1777", "size", "65536k", NULL }, NO_ALL), "dev/shm");
	make_dev();
	int empty = -1;
	for (size_t i = 0; i < LEN(masked); i++) {
		struct stat st;
		if (stat(masked[i], &st) < 0)
			continue;
		if (!S_ISDIR(st.st_mode)) {
			place(clone_of(AT_FDCWD, "dev/null", 0), masked[i]);
		} else if (empty < 0) {
			empty = fs_new("tmpfs", NULL, MOUNT_ATTR_RDONLY);
			must(syscall(SYS_move_mount, empty, "", AT_FDCWD, masked[i], MOVE_MOUNT_F_EMPTY_PATH), masked[i]);
		} else {
			place(clone_of(empty, "", AT_EMPTY_PATH), masked[i]);
		}
	}
	for (size_t i = 0; i < LEN(readonly); i++) {
		int m = (int)syscall(SYS_open_tree, AT_FDCWD, readonly[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (m < 0)
			continue;
		must(syscall(SYS_mount_setattr, m, "", AT_EMPTY_PATH, &ro, sizeof(ro)), readonly[i]);
		place(m, readonly[i]);
	}
}

/* The container's own directory, bound: a tenth of what a new cgroup mount costs. */
static void mount_cgroup(const char *dir, const char *at)
{
	struct mount_attr ro = { .attr_set = NO_ALL | MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE };
	int m = clone_of(AT_FDCWD, dir, 0);

	must(syscall(SYS_mount_setattr, m, "", AT_EMPTY_PATH, &ro, sizeof(ro)), dir);
	place(m, at);
}

static void mount_cgroups(void)
{
	if (is_v2) {
		mount_cgroup(cg[0], "sys/fs/cgroup");
		return;
	}
	place(fs_new("tmpfs", (const char *const[]){ "mode", "755", NULL }, NO_ALL), "sys/fs/cgroup");
	for (size_t i = 0; i < LEN(v1); i++) {
		char path[64];
		snprintf(path, sizeof(path), "sys/fs/cgroup/%s", v1[i]);
		must(mkdir(path, 0555), path);
		mount_cgroup(cg[i], path);
	}
}

static void enter_root(void)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };

	must(syscall(SYS_mount_setattr, AT_FDCWD, ".", 0, &ro, sizeof(ro)), "read-only root");
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(chdir("/"), "/");
	must(umount2("/..", MNT_DETACH), "detach the old root");
}

/* ---- the process ---- */

static void loopback_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s = (int)must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");

	must(ioctl(s, SIOCSIFFLAGS, &lo), "lo");
	close(s);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { 0 };

	for (int c = 0; c <= CAP_LAST_CAP; c++)
		if (!(kept_caps & 1ull << c))
			must(prctl(PR_CAPBSET_DROP, c, 0, 0, 0), "drop a capability");
	for (int i = 0; i < 2; i++)
		d[i].effective = d[i].permitted = (uint32_t)(kept_caps >> 32 * i);
	must(syscall(SYS_capset, &h, d), "capset");
}

static struct sock_filter filter[4096];
static struct sock_fprog program = { .filter = filter };

static void read_filter(const char *path)
{
	int fd = (int)must(open(path, O_RDONLY | O_CLOEXEC), path);

	program.len = (unsigned short)(must(read(fd, filter, sizeof(filter)), path) / (long)sizeof(*filter));
	close(fd);
}

static _Noreturn void child(const char *rootfs, int has_net, int ready)
{
	char word;

	must(setsid(), "setsid");
	if (has_net)
		must(unshare(CLONE_NEWNET), "network namespace");
	must(sethostname("floor", 5), "host name");
	if (has_net)
		loopback_up();
	make_mounts(rootfs);
	must(read(ready, &word, 1), "wait for the cgroups");
	join_cgroups();
	must(unshare(CLONE_NEWCGROUP), "cgroup namespace");
	mount_cgroups();
	enter_root();
	drop_capabilities();
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must(syscall(SYS_close_range, 3, ~0u, 4 /* CLOEXEC */), "close_range");
	if (program.len > 0)
		must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "filter");
	execve("/bin/true", (char *[]){ (char[]){ "/bin/true" }, NULL }, (char *[]){ NULL });
	die("/bin/true");
	_exit(125);
}

int main(int argc, char **argv)
{
	int ready[2], status, pidfd, cgfd = -1, has_net = 1, i = 2;

	if (argc > i && strcmp(argv[i], "--no-net") == 0) {
		has_net = 0;
		i++;
	}
	if (argc > i + 1 && strcmp(argv[i], "--filter") == 0) {
		read_filter(argv[i + 1]);
		i += 2;
	}
	if (argc < 2 || i < argc) {
		fprintf(stderr, "usage: floor ROOTFS [--no-net] [--filter FILE]\n");
		return 125;
	}
	name_cgroups();
	must(pipe2(ready, O_CLOEXEC), "pipe");
	if (is_v2) {
		make_cgroups();
		cgfd = (int)must(open(cg[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC), cg[0]);
	}
	struct clone_args a = { .flags = CLONE_PIDFD | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID |
					 (is_v2 ? CLONE_INTO_CGROUP : 0),
				.pidfd = (uintptr_t)&pidfd,
				.exit_signal = SIGCHLD,
				.cgroup = cgfd >= 0 ? (unsigned)cgfd : 0 };
	long pid = must(syscall(SYS_clone3, &a, sizeof(a)), "clone3");
	if (pid == 0)
		child(argv[1], has_net, ready[0]);
	if (!is_v2)
		make_cgroups();
	limit_cgroups();
	must(write(ready[1], "", 1), "tell the child");
	must(waitpid((pid_t)pid, &status, 0), "wait");
	for (size_t i = 0; i < (is_v2 ? 1 : LEN(v1)); i++)
		must(rmdir(cg[i]), cg[i]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
