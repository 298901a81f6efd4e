/* seccomp_table: what each class of threads may ask of the kernel once the guest runs. All else ends the process.
 *
 * No row but the file server's opens; none executes, makes a thread or a process, maps anything executable, or maps a file; one class connects, to what is in
 * the jail's root. What glibc does on its
 * own accord is in ALL: memory for malloc and for its locks, the end of a thread, abort(). Called by seccomp.c. */
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "seccomp.h"
#include "vcpu.h"

enum {
	CONNECT = 1 << VMM_THREAD_CONNECT,
	MAIN = 1 << VMM_THREAD_MAIN | CONNECT,
	VCPU = 1 << VMM_THREAD_VCPU,
	FILES = 1 << VMM_THREAD_FILE,
	SHARE = 1 << VMM_THREAD_SHARE,
	NET = 1 << VMM_THREAD_NET,
	ALL = (1 << VMM_THREADS) - 1,
};

#define EQ(i, v)                                                          \
	{                                                                 \
		.op = OP_EQ, .arg = (i), .mask = UINT64_MAX, .value = (v) \
	}
#define BITS(i, m, v)                                                     \
	{                                                                 \
		.op = OP_MASKED_EQ, .arg = (i), .mask = (m), .value = (v) \
	}
#define IF(...)        .n_checks = ARRAY_SIZE(((struct seccomp_check[]){ __VA_ARGS__ })), .checks = { __VA_ARGS__ }
#define IOCTL(request) IF(EQ(1, (request)))

/* KICK is SIGRTMIN + 1 as the kernel counts; glibc's SIGRTMIN is no constant, and is two above the kernel's 32. */
enum { KICK = 35 };
/* What a card's driver may take unfinished (virtio/net.c); UDP in pieces is not among it. */
enum { TUN_OFFLOADS = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN };
/* The operation of a futex without what only says how: private, and which clock. No priority inheritance, no requeueing. */
#define FUTEX_IS(op) IF(BITS(1, 0xffffffffu & ~(uint32_t)(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME), (op)))

const struct seccomp_row seccomp_rows[] = {
	/* ---- time, locks, memory, and how a thread ends ---- */
	{ SYS_futex, ALL, FUTEX_IS(FUTEX_WAIT) },
	{ SYS_futex, ALL, FUTEX_IS(FUTEX_WAKE) },
	{ SYS_futex, ALL, FUTEX_IS(FUTEX_WAIT_BITSET) },
	{ SYS_clock_gettime, ALL }, /* where the vDSO can't tell */
	{ SYS_restart_syscall, ALL },
	{ SYS_brk, ALL },
	{ SYS_mmap, ALL, IF(BITS(2, PROT_EXEC, 0), BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS)) },
	{ SYS_mprotect, ALL, IF(BITS(2, PROT_EXEC, 0)) },
	{ SYS_mremap, ALL },
	{ SYS_munmap, ALL },
	{ SYS_madvise, ALL, IF(EQ(2, MADV_DONTNEED)) },
	{ SYS_madvise, MAIN, IF(EQ(2, MADV_POPULATE_WRITE)) }, /* of a kernel's file (vmm.c) */
	{ SYS_madvise, MAIN, IF(EQ(2, MADV_HUGEPAGE)) },       /* of what memory_discard.c maps in a snapshot's place */
	{ SYS_madvise, MAIN, IF(EQ(2, MADV_NOHUGEPAGE)) },
	{ SYS_madvise, MAIN, IF(EQ(2, MADV_DONTDUMP)) },
	{ SYS_rt_sigprocmask, ALL },
	{ SYS_rt_sigreturn, MAIN | VCPU },
	{ SYS_getpid, ALL },
	{ SYS_gettid, ALL },
	{ SYS_tgkill, ALL, IF(EQ(0, SECCOMP_SELF), EQ(2, SIGABRT)) },
	{ SYS_exit, ALL },
	{ SYS_exit_group, ALL },
	/* ---- descriptors that are there: eventfds, streams, the log ---- */
	{ SYS_read, ALL },
	{ SYS_write, ALL },
	{ SYS_poll, ALL },
	{ SYS_readv, MAIN | NET },
	{ SYS_writev, MAIN | NET },
	{ SYS_close, MAIN },
	{ SYS_fstat, MAIN },
	{ SYS_newfstatat, MAIN, IF(EQ(3, AT_EMPTY_PATH)) }, /* fstat in newer glibc */
	{ SYS_fcntl, MAIN, IF(EQ(1, F_GETFL)) },
	{ SYS_fcntl, MAIN, IF(EQ(1, F_SETFL)) },
	/* ---- the loop, and pausing vCPUs ---- */
	{ SYS_epoll_wait, MAIN },
	{ SYS_epoll_ctl, MAIN },
	{ SYS_tgkill, MAIN, IF(EQ(0, SECCOMP_SELF), EQ(2, KICK)) },
	{ SYS_getrandom, MAIN },
	{ SYS_fallocate, MAIN, IF(EQ(1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) }, /* memory that the balloon gives back */
	/* ---- KVM: interrupts and kicks ---- */
	{ SYS_ioctl, VCPU, IOCTL(KVM_RUN) },
	{ SYS_ioctl, VCPU, IOCTL(KVM_SIGNAL_MSI) }, /* what waited at an I/O APIC's pin when that is unmasked */
	{ SYS_ioctl, MAIN | VCPU, IOCTL(KVM_IRQFD) },
	{ SYS_ioctl, MAIN | VCPU, IOCTL(KVM_SET_GSI_ROUTING) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_IOEVENTFD) },
	/* ---- KVM: memory and the log of it ---- */
	{ SYS_ioctl, MAIN, IOCTL(KVM_SET_USER_MEMORY_REGION) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_DIRTY_LOG) },
	/* ---- KVM: a paused vCPU's state, to be saved ---- */
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_MSR_INDEX_LIST) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_MP_STATE) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_REGS) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_SREGS) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_XSAVE) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_XCRS) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_DEBUGREGS) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_LAPIC) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_TSC_KHZ) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_MSRS) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_CPUID2) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_VCPU_EVENTS) },
	{ SYS_ioctl, MAIN, IOCTL(KVM_GET_CLOCK) },
	/* ---- snapshots: into files that come over the control socket ---- */
	{ SYS_pread64, MAIN },
	{ SYS_pwrite64, MAIN },
	{ SYS_lseek, MAIN },
	{ SYS_ftruncate, MAIN },
	{ SYS_fsync, MAIN },
	/* ---- files ---- */
	{ SYS_preadv, FILES },
	{ SYS_pwritev, FILES },
	{ SYS_fdatasync, FILES },
	{ SYS_fallocate, FILES },
	{ SYS_io_uring_enter, FILES },
	/* ---- taps: what the driver chooses ---- */
	{ SYS_ioctl, MAIN, IF(EQ(1, TUNSETOFFLOAD), BITS(2, ~(uint64_t)TUN_OFFLOADS, 0)) },
	{ SYS_ioctl, MAIN, IOCTL(TUNSETQUEUE) },
	/* ---- vsock and the control socket: streams that are connected, or come to a listening socket ---- */
	{ SYS_recvmsg, MAIN },
	{ SYS_sendmsg, MAIN },
	{ SYS_sendto, MAIN, IF(EQ(4, 0)) }, /* where it is connected to, and nowhere else */
	{ SYS_shutdown, MAIN },
	{ SYS_accept4, MAIN },
	{ SYS_socket, CONNECT, IF(EQ(0, AF_UNIX), BITS(1, 15, SOCK_STREAM)) },
	{ SYS_connect, CONNECT },
	/* ---- the file server: the tree that is its root. No device is made ---- */
	{ SYS_openat, SHARE },
	{ SYS_openat2, SHARE },
	{ SYS_close, SHARE },
	{ SYS_statx, SHARE },
	{ SYS_fstatfs, SHARE },
	{ SYS_getdents64, SHARE },
	{ SYS_readlinkat, SHARE },
	{ SYS_mknodat, SHARE, IF(BITS(2, S_IFMT, S_IFREG)) },
	{ SYS_mknodat, SHARE, IF(BITS(2, S_IFMT, S_IFIFO)) },
	{ SYS_mknodat, SHARE, IF(BITS(2, S_IFMT, S_IFSOCK)) },
	{ SYS_mkdirat, SHARE },
	{ SYS_symlinkat, SHARE },
	{ SYS_linkat, SHARE },
	{ SYS_unlinkat, SHARE },
	{ SYS_renameat2, SHARE, IF(BITS(4, ~(uint64_t)(RENAME_NOREPLACE | RENAME_EXCHANGE), 0)) },
	{ SYS_fchmodat, SHARE },
	{ SYS_fchownat, SHARE },
	{ SYS_utimensat, SHARE },
	{ SYS_ftruncate, SHARE },
	{ SYS_fallocate, SHARE },
	{ SYS_lseek, SHARE },
	{ SYS_pread64, SHARE },
	{ SYS_pwritev2, SHARE },
	{ SYS_copy_file_range, SHARE },
	{ SYS_fsync, SHARE },
	{ SYS_fdatasync, SHARE },
	{ SYS_syncfs, SHARE },
	{ SYS_flock, SHARE },
	{ SYS_fcntl, SHARE, IF(EQ(1, F_OFD_SETLK)) },
	{ SYS_fcntl, SHARE, IF(EQ(1, F_OFD_GETLK)) },
	{ SYS_fcntl, SHARE, IF(EQ(1, F_DUPFD_CLOEXEC)) },
	{ SYS_getxattr, SHARE },
	{ SYS_setxattr, SHARE },
	{ SYS_listxattr, SHARE },
	{ SYS_removexattr, SHARE },
	{ SYS_setfsuid, SHARE },
	{ SYS_setfsgid, SHARE },
	{ SYS_capset, SHARE }, /* CAP_FSETID down and up; what was given away does not come back */
};
const size_t seccomp_n_rows = ARRAY_SIZE(seccomp_rows);
_Static_assert(KICK == 34 + 1 && SIGSYS == 31, "the kernel's numbers of signals on x86");
