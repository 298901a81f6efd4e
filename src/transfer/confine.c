/* Self-confinement of the process that talks to registries. The seccomp part is a deny list, as libcurl, OpenSSL and glibc's
 * resolver (threads, NSS modules) may use about anything harmless; what they never need is gone. Called by
 * main/berth-transfer.c through pull(). */
#include "confine.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights of newer kernels than this system's headers know. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13) /* ABI 2, Linux 5.19 */
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* ABI 3, Linux 6.2 */
#endif

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILE_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define RIGHTS_ABI1 ((1ULL << 13) - 1) /* EXECUTE .. MAKE_SYM */

static const char *const system_dirs[] = {
	"/etc", "/usr", "/lib", "/lib64", "/run", "/proc", "/dev", "/var/lib/ca-certificates"
};

static uint64_t rights_of_abi(int abi)
{
	return RIGHTS_ABI1 | (abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) | (abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
}

static int allow(int ruleset, int fd, uint64_t rights)
{
	const struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = fd };

	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int allow_path(int ruleset, const char *path, uint64_t rights)
{
	_cleanup_fd_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : -errno;
	/* The kernel refuses rights on a file that only a directory can have. */
	return allow(ruleset, fd, S_ISDIR(st.st_mode) ? rights : rights & FILE_RIGHTS);
}

static int landlock(int rootfd, const char *const *readable, struct err *e)
{
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION), r = 0;
	struct landlock_ruleset_attr attr;
	_cleanup_fd_ int ruleset = -1;

	if (abi < 0) {
		log_debug("pull", "no Landlock here (%s): writes are not narrowed to the store", strerror(errno));
		return 0;
	}
	attr = (struct landlock_ruleset_attr){ .handled_access_fs = rights_of_abi(abi) };
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return err_set(e, errno, "confine (Landlock ruleset): %s", strerror(errno));
	/* Without EXECUTE; MAKE_CHAR and MAKE_BLOCK stay: the unpacker makes layers' device nodes. */
	r = allow(ruleset, rootfd, attr.handled_access_fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE);
	if (r >= 0) /* the unpackers' stdin and stdout */
		r = allow_path(ruleset, "/dev/null", FILE_RIGHTS);
	for (size_t i = 0; i < ARRAY_SIZE(system_dirs) && r >= 0; i++)
		r = allow_path(ruleset, system_dirs[i], READ_RIGHTS);
	for (; readable && *readable && r >= 0; readable++)
		r = allow_path(ruleset, *readable, READ_RIGHTS);
	if (r >= 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	return r < 0 ? err_set(e, -r, "confine (Landlock): %s", strerror(-r)) : 0;
}

/* Kernel ABI of this build; a syscall made through another one (i386, x32) is refused as a whole. */
#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "add this machine's AUDIT_ARCH"
#endif
#define X32_BIT 0x40000000u

static const uint32_t denied[] = {
	SYS_execve,
	SYS_execveat,
#ifndef __SANITIZE_ADDRESS__ /* LeakSanitizer looks at its own process by ptrace */
	SYS_ptrace,
#endif
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_kcmp,
	SYS_pidfd_getfd,
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_mount_setattr,
	SYS_setns,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_kexec_file_load,
	SYS_reboot,
	SYS_swapon,
	SYS_swapoff,
	SYS_acct,
	SYS_quotactl,
	SYS_syslog,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_adjtimex,
	SYS_clock_adjtime,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	SYS_open_by_handle_at,
	SYS_fanotify_init,
	SYS_personality,
#ifdef SYS_iopl
	SYS_iopl,
	SYS_ioperm,
#endif
};

static int seccomp(struct err *e)
{
	struct sock_filter f[ARRAY_SIZE(denied) + 8];
	struct sock_fprog prog = { .filter = f };
	unsigned n = 0;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, (uint8_t)ARRAY_SIZE(denied) + 1, 0);
	for (size_t i = 0; i < ARRAY_SIZE(denied); i++)
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denied[i], (uint8_t)(ARRAY_SIZE(denied) - i), 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	prog.len = (unsigned short)n;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return err_set(e, errno, "confine (seccomp): %s", strerror(errno));
	return 0;
}
_Static_assert(ARRAY_SIZE(denied) < 250, "jump offsets are 8 bits");

int confine_transfer(int rootfd, const char *const *readable, struct err *e)
{
	const struct rlimit none = {};
	int r;

	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "confine: %s", strerror(errno));
	r = landlock(rootfd, readable, e);
	return r < 0 ? r : seccomp(e);
}
