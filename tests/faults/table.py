"""Which errors a system call is made to answer. Almost every call can run out of memory; the rest is what the manual pages know, and
what makes a difference to the caller."""

import errno

NEVER_FAIL = """exit exit_group rt_sigreturn brk getpid gettid getppid getuid geteuid getgid getegid umask alarm arch_prctl
    set_tid_address set_robust_list rseq sched_yield restart_syscall""".split()

# Their pages know EINVAL, EFAULT, ECHILD and EINTR only; and the C library blocks signals itself around a spawn, and looks at no answer. futex
# lacks memory for priority inheritance alone, which nobody asks for, and the C library ends the process at an answer that can't be.
NEVER_SHORT_OF_MEMORY = "rt_sigprocmask rt_sigaction wait4 waitid futex".split()

_rows = {
    "EIO": """read write pread64 pwrite64 readv writev openat openat2 open stat fstat newfstatat statx statfs fstatfs getdents64 readlink
        readlinkat mkdir mkdirat rename renameat renameat2 unlink unlinkat rmdir link linkat symlinkat mknodat fsync fdatasync syncfs
        ftruncate close sendfile copy_file_range fchmod fchmodat fchown fchownat utimensat fsconfig fsmount mount""",
    "ENOSPC": """write pwrite64 writev openat open mkdir mkdirat rename renameat renameat2 linkat symlinkat mknodat fsync fdatasync
        syncfs ftruncate sendfile copy_file_range mount move_mount open_tree fsmount fsconfig clone clone3 unshare bind
        inotify_add_watch memfd_create keyctl bpf""",
    "EPERM": """openat openat2 mkdir mkdirat unlinkat rmdir rename renameat linkat symlinkat mknodat fchmod fchownat fchown mount umount2
        move_mount open_tree fsopen fsconfig fsmount mount_setattr pivot_root chroot setns unshare clone clone3 prctl capset capget
        setuid setgid setgroups setresuid setresgid prlimit64 setrlimit sethostname kill pidfd_send_signal pidfd_open bind connect
        socket sendmsg sendto setsockopt ioctl keyctl seccomp bpf setpriority sched_setaffinity sched_setattr setsid chdir fchdir
        write utimensat""",
    "EINTR": """read write openat open close poll ppoll epoll_wait epoll_pwait wait4 waitid accept4 connect recvmsg recvfrom sendmsg
        sendto fcntl flock nanosleep clock_nanosleep futex fsync rt_sigtimedwait""",
    "ECHILD": "wait4 waitid",
    "EAGAIN": "clone clone3 fork vfork setuid setresuid mmap mlock read recvmsg recvfrom keyctl",
    "EMFILE": """openat openat2 open dup dup2 dup3 fcntl socket socketpair pipe2 accept4 epoll_create1 eventfd2 signalfd4 timerfd_create
        inotify_init1 pidfd_open open_tree fsopen fsmount memfd_create clone3""",
}
ERRORS = {name: set(calls.split()) for name, calls in _rows.items()}
KINDS = ["kill", "ENOMEM", *ERRORS]


def faults_of(call: str, kinds) -> list:
    """The words that fault_at knows of the kinds (of KINDS) that fit this call."""
    found = []
    for kind in kinds:
        if kind == "kill":
            found.append("kill")
        elif kind == "ENOMEM":
            if call not in NEVER_FAIL + NEVER_SHORT_OF_MEMORY:
                found.append(kind)
        elif call not in NEVER_FAIL and call in ERRORS[kind]:
            found.append(kind)
    return found


def number(fault: str) -> str:
    return fault if fault == "kill" else str(getattr(errno, fault))
