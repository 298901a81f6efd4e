/* What the unpacker's processes give up before they look at the first byte from outside. Phases, in order:
 *   common:   dies with its parent; no_new_privs; network and IPC namespaces of its own (where allowed); limits on memory and time
 *   inflater: no capability, no file system: a dozen system calls that move bytes between open fds
 *   writer:   Landlock to the one directory (ABI 2 on, Linux 5.19: before it, linking across directories could not be allowed), the
 *             seven capabilities that owners, devices, file capabilities and trusted xattrs need, and the system calls of a
 *             program that writes files. No exec, no socket, no ptrace, no mount, no fork, no executable memory.
 *   copier:   as the writer (`cp` and its like), with one more place, that it may only read, and the calls that reading a tree takes
 * System calls outside a list answer EPERM. Sanitized builds keep the capabilities and Landlock but not the seccomp filters, which
 * the sanitizers' own work does not fit into. */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unpack_private.h"

#define MEMORY_MAX (768ull << 20) /* beyond what is mapped at the start: zstd windows of 128 MiB, tables of directories */
#define CPU_MAX_S  3600

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

#ifdef __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif !defined(__cppcheck__)
#error "name this architecture's AUDIT_ARCH_"
#endif

static const int inflater_calls[] = {
	SYS_read,  SYS_write,        SYS_close, SYS_munmap,     SYS_mremap,          SYS_madvise,   SYS_brk,
	SYS_futex, SYS_rt_sigreturn, SYS_exit,  SYS_exit_group, SYS_restart_syscall, SYS_getrandom, SYS_clock_gettime,
};
static const int writer_calls[] = {
	/* memory, time, end */
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_brk,
	SYS_futex,
	SYS_rt_sigreturn,
	SYS_rt_sigprocmask,
	SYS_exit,
	SYS_exit_group,
	SYS_restart_syscall,
	SYS_getrandom,
	SYS_clock_gettime,
	SYS_getpid,
	SYS_wait4,
	/* open files */
	SYS_read,
	SYS_write,
	SYS_close,
	SYS_lseek,
	SYS_dup,
	SYS_fcntl,
	SYS_fstat,
	SYS_ftruncate,
	SYS_fchown,
	SYS_fchmod,
	SYS_fremovexattr,
	SYS_fsetxattr,
	SYS_getdents64,
	SYS_fchdir,
	/* names beneath the tree */
	SYS_openat,
	SYS_openat2,
	SYS_newfstatat,
	SYS_statx,
	SYS_mkdirat,
	SYS_mknodat,
	SYS_symlinkat,
	SYS_linkat,
	SYS_unlinkat,
	SYS_fchownat,
	SYS_utimensat,
	SYS_lsetxattr,
	SYS_readlinkat,
};

/* What reading a tree takes beyond that. */
static const int copier_calls[] = { SYS_getxattr, SYS_listxattr, SYS_pread64, SYS_fstatfs };

static int install_filter(const int *calls, size_t n, const int *more, size_t n_more, struct err *e)
{
	struct sock_filter prog[2 * 64 + 16];
	size_t at = 0;

#define PUT(...) (prog[at++] = (struct sock_filter)__VA_ARGS__)
	PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
	PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
	PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	for (size_t i = 0; i < n + n_more; i++) {
		PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(i < n ? calls[i] : more[i - n]), 0, 1));
		PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	}
	/* mmap and mprotect, but never executable. */
	PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0));
	PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3));
	PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])));
	PUT(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0));
	PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
#undef PUT
	struct sock_fprog p = { .len = (unsigned short)at, .filter = prog };
	if (!IS_SANITIZED && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) < 0)
		return err_set(e, errno, "confine the unpacker: seccomp: %s", strerror(errno));
	return 0;
}
_Static_assert(ARRAY_SIZE(writer_calls) + ARRAY_SIZE(copier_calls) <= 64 && ARRAY_SIZE(inflater_calls) <= 64,
	       "install_filter has room for 64");

static int keep_caps(uint64_t keep, struct err *e)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		return err_set(e, errno, "confine the unpacker: capget: %s", strerror(errno));
	for (int i = 0; i < 2; i++) {
		d[i].permitted &= (uint32_t)(keep >> (32 * i));
		d[i].effective = d[i].permitted;
		d[i].inheritable = 0;
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &h, d) < 0)
		return err_set(e, errno, "confine the unpacker: capset: %s", strerror(errno));
	return 0;
}

static int set_limit(int what, uint64_t v, struct err *e)
{
	struct rlimit now, l = { v, v };

	if (getrlimit(what, &now) == 0 && now.rlim_max < v)
		l.rlim_cur = l.rlim_max = now.rlim_max;
	return setrlimit(what, &l) < 0 ? err_set(e, errno, "confine the unpacker: setrlimit: %s", strerror(errno)) : 0;
}

static int limit_memory(struct err *e)
{
	_cleanup_free_ char *text = NULL;
	uint64_t pages = 0;
	int r = file_read(AT_FDCWD, "/proc/self/statm", 256, &text, NULL);

	if (r == 0) {
		text[strcspn(text, " ")] = '\0';
		r = str_to_u64(text, &pages);
	}
	if (r < 0)
		return err_set(e, EIO, "confine the unpacker: can't read /proc/self/statm");
	/* ASan maps terabytes of shadow. */
	return IS_SANITIZED ? 0 : set_limit(RLIMIT_AS, pages * (uint64_t)sysconf(_SC_PAGESIZE) + MEMORY_MAX, e);
}

int unpack_confine_common(pid_t parent, struct err *e)
{
	int r;

	overlay_has_user_xattrs(); /* known from now on */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		return err_set(e, ESRCH, "the parent is gone");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_set(e, errno, "confine the unpacker: prctl: %s", strerror(errno));
	/* Belt and braces: the filters have no socket call. Not allowed to a caller that is confined or not root. */
	if (unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
		log_debug("unpack", "without namespaces of its own: %s", strerror(errno));
	if ((r = set_limit(RLIMIT_CPU, CPU_MAX_S, e)) < 0 || (r = set_limit(RLIMIT_CORE, 0, e)) < 0)
		return r;
	return limit_memory(e);
}

int unpack_confine_inflater(struct err *e)
{
	int r = keep_caps(0, e);

	if (r == 0)
		r = set_limit(RLIMIT_NOFILE, 0, e);
	return r < 0 ? r : install_filter(inflater_calls, ARRAY_SIZE(inflater_calls), copier_calls, 0, e);
}

static int add_rule(int rs, int fd, uint64_t rights)
{
	const uint64_t of_files = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
	struct landlock_path_beneath_attr beneath = { .allowed_access = rights, .parent_fd = fd };
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode)) /* the kernel refuses rights on a file that only a directory can have */
		beneath.allowed_access &= of_files;
	return (int)syscall(SYS_landlock_add_rule, rs, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
}

/* dirfd: -1 = nothing may be written but what is open; likewise no readfds. */
static int landlock_to(const int *readfds, size_t n, int dirfd, struct err *e)
{
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	/* Bits by ABI: 13 in the first, REFER in 2, TRUNCATE in 3, IOCTL_DEV in 5 (linux/landlock.h). */
	uint64_t all = (1ull << 13) - 1, exec = LANDLOCK_ACCESS_FS_EXECUTE;
	if (abi < 2)
		return 0;
	all |= LANDLOCK_ACCESS_FS_REFER | (abi >= 3 ? 1ull << 14 : 0);
	/* Abstract sockets are scoped, signals are not: the death signal to the inflater would stop at the domain's edge. */
	struct {
		uint64_t fs, net, scoped;
	} rules = { .fs = all | (abi >= 5 ? 1ull << 15 : 0), .net = abi >= 4 ? 3 : 0, .scoped = abi >= 6 ? 1 : 0 };
	size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
	_cleanup_fd_ int rs = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);

	bool is_set = rs >= 0 && add_rule(rs, dirfd, all & ~exec) == 0;
	for (size_t i = 0; is_set && i < n; i++)
		is_set = add_rule(rs, readfds[i], LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR) == 0;
	if (!is_set || syscall(SYS_landlock_restrict_self, rs, 0) < 0)
		return err_set(e, errno, "confine the unpacker: Landlock: %s", strerror(errno));
	return 0;
}

#define CAP(x) (1ull << (x))

int unpack_confine_writer(int dirfd, const struct unpack_limits *lim, struct err *e)
{
	uint64_t caps = CAP(CAP_CHOWN) | CAP(CAP_FOWNER) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FSETID) | CAP(CAP_MKNOD) |
			CAP(CAP_SETFCAP) | CAP(CAP_SYS_ADMIN);
	int r = landlock_to(NULL, 0, dirfd, e);

	if (r == 0)
		r = keep_caps(caps, e);
	if (r == 0)
		r = set_limit(RLIMIT_NOFILE, 256, e);
	if (r == 0)
		r = set_limit(RLIMIT_FSIZE, lim->max_bytes, e);
	return r < 0 ? r : install_filter(writer_calls, ARRAY_SIZE(writer_calls), copier_calls, 0, e);
}

static bool is_copier;
bool unpack_is_copier(void) { return is_copier; }

int unpack_confine_copier(const int *readfds, size_t n_readfds, int writefd, bool reads_overlay, struct err *e)
{
	uint64_t caps = CAP(CAP_CHOWN) | CAP(CAP_FOWNER) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FSETID) | CAP(CAP_SETFCAP) |
			(reads_overlay ? CAP(CAP_SYS_ADMIN) : 0);
	int r = unpack_confine_common(getppid(), e);

	is_copier = true;
	if (r == 0)
		r = landlock_to(readfds, n_readfds, writefd, e);
	if (r == 0)
		r = keep_caps(caps, e);
	return r < 0 ? r : install_filter(writer_calls, ARRAY_SIZE(writer_calls), copier_calls, ARRAY_SIZE(copier_calls), e);
}
