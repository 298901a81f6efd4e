/* The profile that a container gets when none is named: Docker's allow-list, and what each capability adds to it. What is not in
 * it answers ENOSYS when no table here knows it, so that programs fall back as they do on an older kernel, and EPERM when
 * it exists and is refused (docs/THREATS.md).
 *
 * Beyond Docker's list: address families of sockets are compared in the 32 bits that the kernel looks at (a comparison of
 * all 64 lets 0x100000026 pass for AF_ALG); TIOCSTI and TIOCLINUX, which type into a terminal, are refused.
 * Sources: moby profiles/seccomp default_linux.go, syscalls(2), ioctl_tty(2), CVE-2026-31431. */
#include <linux/capability.h>
#include <linux/sched.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <asm/ioctls.h>

#include "seccomp_impl.h"

#define CAP(c)   (UINT64_C(1) << (c))
#define LOW_BITS 0xffffffffu /* of an argument that the kernel reads as an int */
/* The flags of clone(2) that make namespaces; CLONE_NEWTIME shares its bit with the exit signal there. */
#define CLONE_NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)

/* Allowed to everyone; names that an ABI lacks mean nothing there. */
static const char allowed[] =
	"accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime "
	"clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 "
	"close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
	"epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat "
	"faccessat2 "
	"fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 "
	"fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync "
	"ftruncate "
	"ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat getcpu getcwd getdents "
	"getdents64 "
	"getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid "
	"getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid "
	"getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch "
	"inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64 "
	"ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self "
	"lchown "
	"lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr "
	"lstat "
	"lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 "
	"mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
	"mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap "
	"name_to_handle_at "
	"nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free "
	"pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv "
	"process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv "
	"recv "
	"recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 "
	"restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
	"rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam "
	"sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
	"sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop "
	"semtimedop "
	"semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid "
	"setgid32 "
	"setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 "
	"setreuid "
	"setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr "
	"setxattrat "
	"shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigpending sigprocmask sigreturn socket socketpair "
	"splice "
	"stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time "
	"timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create "
	"timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask "
	"uname "
	"unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev";

/* Only some machines have these, and there everyone needs them. */
#if defined(__x86_64__) || defined(__i386__)
static const char allowed_here[] = "arch_prctl modify_ldt";
static const char *const architectures[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", NULL };
#elif defined(__aarch64__)
static const char allowed_here[] = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";
static const char *const architectures[] = { "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", NULL };
#elif defined(__riscv)
static const char allowed_here[] = "riscv_flush_icache riscv_hwprobe";
static const char *const architectures[] = { "SCMP_ARCH_RISCV64", NULL };
#else
static const char allowed_here[] = "sync_file_range2";
static const char *const architectures[] = { NULL };
#endif

/* Allowed with one of these capabilities, refused (EPERM) without. A name may stand in several rows: one that allows is enough. */
static const struct {
	uint64_t caps;
	const char *names;
} gated[] = {
	{ CAP(CAP_DAC_READ_SEARCH), "open_by_handle_at" },
	{ CAP(CAP_SYS_ADMIN), "bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount "
			      "open_tree perf_event_open "
			      "quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare" },
	{ CAP(CAP_BPF), "bpf" },
	{ CAP(CAP_PERFMON), "perf_event_open" },
	{ CAP(CAP_SYSLOG), "syslog" },
	{ CAP(CAP_SYS_BOOT), "reboot" },
	{ CAP(CAP_SYS_CHROOT), "chroot" },
	{ CAP(CAP_SYS_MODULE), "delete_module finit_module init_module" },
	{ CAP(CAP_SYS_NICE), "get_mempolicy mbind set_mempolicy set_mempolicy_home_node" },
	{ CAP(CAP_SYS_PACCT), "acct" },
	{ CAP(CAP_SYS_PTRACE), "kcmp pidfd_getfd process_madvise" },
	{ CAP(CAP_SYS_RAWIO), "ioperm iopl" },
	{ CAP(CAP_SYS_TIME), "clock_settime clock_settime64 settimeofday stime" },
	{ CAP(CAP_SYS_TTY_CONFIG), "vhangup" },
};

/* They exist and no capability opens them: kernel memory and keys that have no namespace, obsolete calls, and io_uring, whose
 * operations no filter sees. socketcall hides the address family behind a pointer. */
static const char refused[] = "_sysctl add_key afs_syscall bdflush create_module get_kernel_syms getpmsg io_uring_enter "
			      "io_uring_register io_uring_setup "
			      "kexec_file_load kexec_load keyctl migrate_pages move_pages nfsservctl nice oldfstat oldlstat "
			      "oldolduname oldstat olduname "
			      "pivot_root putpmsg query_module request_key sgetmask socketcall ssetmask swapoff swapon sysfs "
			      "tuxcall uselib userfaultfd "
			      "ustat vm86 vm86old vserver";

struct arg {
	uint32_t index;
	const char *op;
	uint64_t value, value_two;
};
#define EQ(i, v)                       \
	{                              \
		i, "SCMP_CMP_EQ", v, 0 \
	}
#define LOW_EQ(i, v)                                 \
	{                                            \
		i, "SCMP_CMP_MASKED_EQ", LOW_BITS, v \
	}
#define MASKED(i, m, v)                       \
	{                                     \
		i, "SCMP_CMP_MASKED_EQ", m, v \
	}
#define ALLOW "SCMP_ACT_ALLOW"
#define ERRNO "SCMP_ACT_ERRNO"

/* Decided by one argument. `without`: only for processes that have none of these capabilities. */
static const struct {
	const char *name, *action;
	struct arg arg;
	uint64_t without;
} by_argument[] = {
	{ "socket", ERRNO, LOW_EQ(0, AF_ALG) },
	{ "socket", ERRNO, LOW_EQ(0, AF_VSOCK) },
	{ "socketpair", ERRNO, LOW_EQ(0, AF_ALG) },
	{ "socketpair", ERRNO, LOW_EQ(0, AF_VSOCK) },
	{ "ioctl", ERRNO, LOW_EQ(1, TIOCSTI) },
	{ "ioctl", ERRNO, LOW_EQ(1, TIOCLINUX) },
	{ "clone", ALLOW, MASKED(0, CLONE_NAMESPACES, 0), CAP(CAP_SYS_ADMIN) },
	{ "personality", ALLOW, EQ(0, PER_LINUX) },
	{ "personality", ALLOW, EQ(0, PER_LINUX32) },
	{ "personality", ALLOW, EQ(0, UNAME26) },
	{ "personality", ALLOW, EQ(0, PER_LINUX32 | UNAME26) },
	{ "personality", ALLOW, EQ(0, 0xffffffff) }, /* asks, sets nothing */
};

static struct spec_seccomp_rule *add_rule(struct spec_seccomp *p, const char *names, const char *action, uint32_t errno_ret)
{
	struct spec_seccomp_rule *r = &p->rules[p->n_rules];

	r->names = strv_split(names, ' ');
	r->action = strdup(action);
	if (!r->names || !r->action) {
		strv_free(r->names);
		free(r->action);
		*r = (struct spec_seccomp_rule){ 0 };
		return NULL;
	}
	if (streq(action, ERRNO)) {
		r->has_errno = true;
		r->errno_ret = errno_ret;
	}
	p->n_rules++;
	return r;
}

/* Does a row whose capability is in caps name it? What one row opens another must not close: the strictest rule wins. */
static bool is_opened(const char *name, uint64_t caps)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(gated); i++)
		for (const char *at = gated[i].names; gated[i].caps & caps && (at = strstr(at, name)); at++)
			if ((at == gated[i].names || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
				return true;
	return false;
}

/* The names of all gates, split by whether caps open them. */
static int add_gated(struct spec_seccomp *p, uint64_t caps)
{
	_cleanup_buf_ struct buf open = { 0 }, shut = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(gated); i++) {
		_cleanup_strv_ char **names = strv_split(gated[i].names, ' ');
		if (!names)
			return -ENOMEM;
		for (char **n = names; *n; n++) {
			struct buf *b = is_opened(*n, caps) ? &open : &shut;
			buf_fmt(b, "%s%s", b->len ? " " : "", *n);
		}
	}
	if (open.failed || shut.failed)
		return -ENOMEM;
	if (open.len && !add_rule(p, open.data, ALLOW, 0))
		return -ENOMEM;
	return shut.len && !add_rule(p, shut.data, ERRNO, EPERM) ? -ENOMEM : 0;
}

static int add_by_argument(struct spec_seccomp *p, uint64_t caps)
{
	for (size_t i = 0; i < ARRAY_SIZE(by_argument); i++) {
		const struct arg *a = &by_argument[i].arg;
		struct spec_seccomp_rule *r;
		if (by_argument[i].without & caps)
			continue;
		r = add_rule(p, by_argument[i].name, by_argument[i].action, EPERM);
		if (!r || !(r->args = calloc(1, sizeof *r->args)))
			return -ENOMEM;
		r->n_args = 1;
		r->args[0] = (struct spec_seccomp_arg){ a->index, a->value, a->value_two, strdup(a->op) };
		if (!r->args[0].op)
			return -ENOMEM;
	}
	return 0;
}

static int fill(struct spec_seccomp *p, uint64_t caps)
{
	bool is_admin = caps & CAP(CAP_SYS_ADMIN);

	p->default_action = strdup(ERRNO);
	p->has_default_errno = true;
	p->default_errno = ENOSYS;
	for (size_t i = 0; architectures[i]; i++)
		if (strv_push(&p->architectures, architectures[i]) < 0)
			return -ENOMEM;
	p->rules = calloc(ARRAY_SIZE(by_argument) + 8, sizeof *p->rules);
	if (!p->default_action || !p->rules || !add_rule(p, allowed, ALLOW, 0) || !add_rule(p, allowed_here, ALLOW, 0) ||
	    !add_rule(p, refused, ERRNO, EPERM) || add_gated(p, caps) < 0)
		return -ENOMEM;
	/* clone3's flags lie behind a pointer: without the right to make namespaces it has to seem absent, and libc calls clone. */
	if (is_admin ? !add_rule(p, "clone clone3", ALLOW, 0) : !add_rule(p, "clone3", ERRNO, ENOSYS))
		return -ENOMEM;
	if (!add_rule(p, is_admin ? "personality" : "clone personality", ERRNO, EPERM))
		return -ENOMEM;
	return add_by_argument(p, caps);
}

void seccomp_profile_free(struct spec_seccomp *p)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		strv_free(p->rules[i].names);
		free(p->rules[i].action);
		for (size_t k = 0; k < p->rules[i].n_args; k++)
			free(p->rules[i].args[k].op);
		free(p->rules[i].args);
	}
	free(p->rules);
	free(p->default_action);
	strv_free(p->architectures);
	free(p);
}

int container_seccomp_default(uint64_t caps, struct spec_seccomp **ret, struct err *e)
{
	struct spec_seccomp *p = calloc(1, sizeof *p);

	if (!p || fill(p, caps) < 0) {
		if (p)
			seccomp_profile_free(p);
		return err_set(e, ENOMEM, "default seccomp profile: out of memory");
	}
	*ret = p;
	return 0;
}
