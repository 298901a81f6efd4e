/* The filters of threads, each loaded in a process of its own: what no row names is killed, what a row names is let through with
 * the arguments that it names and no others. */
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "seccomp.h"
#include "tiny.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NEEDS_KILLS() skip("a sanitized build logs violations and does not kill")
#else
#define NEEDS_KILLS()
#endif

#define NR_END 500u /* beyond the last call of any kernel so far */

/* What a class's thread sees when it makes the call: -1: it was killed by SIGSYS; -2: something else happened; else the errno. */
static int try_call(enum vmm_thread class, long nr, long a, long b, long c, long d)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (seccomp_enter(class, VMM_SECCOMP_KILL) < 0)
			_exit(255);
		_exit(syscall(nr, a, b, c, d, -1, 0) < 0 ? errno : 0);
	}
	is_int(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? -1 : -2;
	ok(WEXITSTATUS(status) != 255);
	return WEXITSTATUS(status);
}

/* uretprobe and uprobe (Linux 6.11, 6.18 on x86): the kernel's own trampolines make them; filters are not asked, and from anywhere else
 * they are an illegal instruction (arch/x86/kernel/uprobes.c). */
static bool is_beyond_filters(uint32_t nr) { return nr == 335 || nr == 336; }

TEST(V11_every_call_that_a_class_does_not_list_ends_the_process)
{
	NEEDS_KILLS();
	for (int class = 0; class < VMM_THREADS; class ++)
		for (uint32_t nr = 0; nr < NR_END; nr++)
			if (!is_beyond_filters(nr) && !seccomp_lists(class, nr) && try_call(class, nr, -1, -1, -1, -1) != -1)
				TAP_FAIL("class %s: call %u was not killed", vmm_thread_name(class), nr);
}

TEST(V11_no_class_lists_what_makes_files_sockets_processes_or_keys)
{
	static const uint16_t never[] = { SYS_open,
					  SYS_openat,
					  SYS_openat2,
					  SYS_creat,
					  SYS_socket,
					  SYS_connect,
					  SYS_bind,
					  SYS_listen,
					  SYS_execve,
					  SYS_execveat,
					  SYS_fork,
					  SYS_vfork,
					  SYS_clone,
					  SYS_clone3,
					  SYS_unshare,
					  SYS_setns,
					  SYS_ptrace,
					  SYS_mount,
					  SYS_chroot,
					  SYS_process_vm_readv,
					  SYS_kill,
					  SYS_tkill,
					  SYS_bpf,
					  SYS_add_key,
					  SYS_prctl,
					  SYS_seccomp,
					  SYS_userfaultfd,
					  SYS_perf_event_open,
					  SYS_setuid,
					  SYS_memfd_create,
					  SYS_io_uring_setup,
					  SYS_pkey_mprotect,
					  SYS_rt_sigaction,
					  SYS_open_by_handle_at };

	for (int class = 0; class < VMM_THREADS; class ++)
		for (size_t i = 0; i < ARRAY_SIZE(never); i++)
			if (seccomp_lists(class, never[i]) &&
			    !(class == VMM_THREAD_SHARE && (never[i] == SYS_openat || never[i] == SYS_openat2)) &&
			    !(class == VMM_THREAD_CONNECT && (never[i] == SYS_socket || never[i] == SYS_connect)))
				TAP_FAIL("class %s lists call %u", vmm_thread_name(class), never[i]);
}

/* Firecracker's lists (resources/seccomp/x86_64-unknown-linux-musl.json) have 50 calls for its VMM thread and 27 for a vCPU. */
TEST(the_lists_stay_short)
{
	static const unsigned most[] = { [VMM_THREAD_MAIN] = 50, [VMM_THREAD_CONNECT] = 50, [VMM_THREAD_VCPU] = 27,
					 [VMM_THREAD_FILE] = 31, [VMM_THREAD_SHARE] = 62,   [VMM_THREAD_NET] = 31 };

	for (int class = 0; class < VMM_THREADS; class ++) {
		unsigned n = 0;

		for (uint32_t nr = 0; nr < NR_END; nr++)
			n += seccomp_lists(class, nr);
		printf("# class %s: %u calls\n", vmm_thread_name(class), n);
		ok(n > 0 && n < most[class]);
	}
}

TEST(V11_arguments_are_looked_at)
{
	enum { R = PROT_READ, W = PROT_WRITE, X = PROT_EXEC, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
	const long self = 0; /* stands for the child's own id */
	const struct {
		enum vmm_thread class;
		long nr, a, b, c, d;
		int want; /* -1: killed; else the errno that the kernel gives */
	} rows[] = {
		{ VMM_THREAD_SHARE, SYS_mknodat, -1, 0, S_IFCHR | 0666, 0, -1 },
		{ VMM_THREAD_SHARE, SYS_mknodat, -1, 0, S_IFBLK | 0666, 0, -1 },
		{ VMM_THREAD_SHARE, SYS_mknodat, -1, 0, S_IFIFO | 0666, 0, EFAULT },
		{ VMM_THREAD_SHARE, SYS_fcntl, -1, F_OFD_SETLKW, 0, 0, -1 },
		{ VMM_THREAD_SHARE, SYS_fcntl, -1, F_OFD_SETLK, 0, 0, EBADF },
		{ VMM_THREAD_SHARE, SYS_mmap, 0, 4096, R, MAP_SHARED, -1 },
		{ VMM_THREAD_SHARE, SYS_renameat2, -1, 0, -1, 0, -1 },
		{ VMM_THREAD_VCPU, SYS_ioctl, -1, KVM_RUN, 0, 0, EBADF },
		{ VMM_THREAD_VCPU, SYS_ioctl, -1, KVM_SIGNAL_MSI, 0, 0, EBADF },
		{ VMM_THREAD_VCPU, SYS_ioctl, -1, KVM_CREATE_VM, 0, 0, -1 },
		{ VMM_THREAD_VCPU, SYS_ioctl, -1, KVM_SET_USER_MEMORY_REGION, 0, 0, -1 },
		{ VMM_THREAD_VCPU, SYS_ioctl, -1, KVM_GET_SREGS, 0, 0, -1 },
		{ VMM_THREAD_VCPU, SYS_ioctl, -1, (long)(1ull << 32 | KVM_RUN), 0, 0, -1 },
		{ VMM_THREAD_MAIN, SYS_ioctl, -1, KVM_RUN, 0, 0, -1 },
		{ VMM_THREAD_MAIN, SYS_ioctl, -1, KVM_IRQFD, 0, 0, EBADF },
		{ VMM_THREAD_MAIN, SYS_ioctl, -1, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, 0, EBADF },
		{ VMM_THREAD_MAIN, SYS_ioctl, -1, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_UFO, 0, -1 },
		{ VMM_THREAD_MAIN, SYS_ioctl, -1, TUNSETIFF, 0, 0, -1 },
		{ VMM_THREAD_MAIN, SYS_ioctl, -1, TUNSETPERSIST, 1, 0, -1 },
		{ VMM_THREAD_NET, SYS_ioctl, -1, TUNSETOFFLOAD, TUN_F_CSUM, 0, -1 },
		{ VMM_THREAD_NET, SYS_readv, -1, 0, 0, 0, EBADF },
		{ VMM_THREAD_MAIN, SYS_ioctl, -1, KVM_CREATE_DEVICE, 0, 0, -1 },
		{ VMM_THREAD_FILE, SYS_ioctl, -1, KVM_RUN, 0, 0, -1 },
		{ VMM_THREAD_NET, SYS_ioctl, -1, KVM_RUN, 0, 0, -1 },
		{ VMM_THREAD_MAIN, SYS_mmap, 0, 4096, R | W, ANON, 0 },
		{ VMM_THREAD_MAIN, SYS_mmap, 0, 4096, R | W | X, ANON, -1 },
		{ VMM_THREAD_MAIN, SYS_mmap, 0, 4096, X, ANON, -1 },
		{ VMM_THREAD_MAIN, SYS_mmap, 0, 4096, R, MAP_PRIVATE, -1 }, /* of a file */
		{ VMM_THREAD_VCPU, SYS_mprotect, 0, 0, R, 0, 0 },
		{ VMM_THREAD_VCPU, SYS_mprotect, 0, 0, R | X, 0, -1 },
		{ VMM_THREAD_VCPU, SYS_futex, 0, FUTEX_WAKE_PRIVATE, 0, 0, 0 },
		{ VMM_THREAD_VCPU, SYS_futex, 0, FUTEX_LOCK_PI, 0, 0, -1 },
		{ VMM_THREAD_VCPU, SYS_futex, 0, FUTEX_CMP_REQUEUE_PI, 0, 0, -1 },
		{ VMM_THREAD_MAIN, SYS_tgkill, 1, 1, VCPU_SIGNAL_KICK, 0, -1 }, /* another process */
		{ VMM_THREAD_MAIN, SYS_tgkill, self, 0x7fffffff, VCPU_SIGNAL_KICK, 0, ESRCH },
		{ VMM_THREAD_MAIN, SYS_tgkill, self, 0x7fffffff, SIGKILL, 0, -1 },
		{ VMM_THREAD_VCPU, SYS_tgkill, self, 0x7fffffff, VCPU_SIGNAL_KICK, 0, -1 },
		{ VMM_THREAD_VCPU, SYS_tgkill, self, 0x7fffffff, SIGABRT, 0, ESRCH },
		{ VMM_THREAD_MAIN, SYS_fcntl, -1, F_GETFL, 0, 0, EBADF },
		{ VMM_THREAD_MAIN, SYS_fcntl, -1, F_DUPFD, 0, 0, -1 },
		{ VMM_THREAD_MAIN, SYS_madvise, 0, 4096, MADV_HWPOISON, 0, -1 },
		{ VMM_THREAD_MAIN, SYS_madvise, 0, 0, MADV_HUGEPAGE, 0, 0 },
		{ VMM_THREAD_VCPU, SYS_madvise, 0, 0, MADV_HUGEPAGE, 0, -1 },
		{ VMM_THREAD_VCPU, SYS_madvise, 0, 0, MADV_DONTNEED, 0, 0 },
		{ VMM_THREAD_MAIN, SYS_madvise, 0, 0, MADV_MERGEABLE, 0, -1 },
		{ VMM_THREAD_MAIN, SYS_fallocate, -1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096, EBADF },
		{ VMM_THREAD_MAIN, SYS_fallocate, -1, 0, 0, 4096, -1 },
		{ VMM_THREAD_VCPU, SYS_fallocate, -1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096, -1 },
		{ VMM_THREAD_CONNECT, SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0 },
		{ VMM_THREAD_CONNECT, SYS_socket, AF_UNIX, SOCK_DGRAM, 0, 0, -1 },
		{ VMM_THREAD_CONNECT, SYS_socket, AF_INET, SOCK_STREAM, 0, 0, -1 },
		{ VMM_THREAD_CONNECT, SYS_socket, AF_VSOCK, SOCK_STREAM, 0, 0, -1 },
		{ VMM_THREAD_MAIN, SYS_newfstatat, AT_FDCWD, 0, 0, 0, -1 },
	};

	NEEDS_KILLS();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int status, got;
		pid_t pid = fork();

		if (pid == 0) {
			long a = rows[i].nr == SYS_tgkill && rows[i].a == self ? getpid() : rows[i].a;

			if (seccomp_enter(rows[i].class, VMM_SECCOMP_KILL) < 0)
				_exit(255);
			_exit(syscall(rows[i].nr, a, rows[i].b, rows[i].c, rows[i].d, -1, 0) < 0 ? errno : 0);
		}
		is_int(waitpid(pid, &status, 0), pid);
		got = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : -2;
		if (got != rows[i].want)
			TAP_FAIL("row %zu: %d, expected %d", i, got, rows[i].want);
	}
}

/* The other ABIs of an x86 have other numbers for the same calls, so a filter that forgot them would be none. */
TEST(V11_calls_by_another_abi_end_the_process)
{
	int status;
	pid_t pid;

	NEEDS_KILLS();
	is_int(try_call(VMM_THREAD_MAIN, 0x40000000 | SYS_getpid, 0, 0, 0, 0), -1); /* x32 */
	pid = fork();
	if (pid == 0) {
		long ret;

		if (seccomp_enter(VMM_THREAD_MAIN, VMM_SECCOMP_KILL) < 0)
			_exit(255);
		__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20) : "memory", "r8", "r9", "r10", "r11"); /* i386's getpid */
		_exit(ret > 0 ? 0 : 1);
	}
	is_int(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		skip("this kernel has no 32-bit calls"); /* IA32_EMULATION off: #GP */
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

TEST(a_violation_can_be_told_by_name)
{
	char text[256] = "";
	int p[2], status;

	NEEDS_KILLS();
	is_int(pipe(p), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(p[1], STDERR_FILENO);
		if (seccomp_enter(VMM_THREAD_VCPU, VMM_SECCOMP_TRAP) == 0)
			syscall(SYS_socket, 1, 1, 0);
		_exit(0);
	}
	is_int(waitpid(pid, &status, 0), pid);
	is_int(WEXITSTATUS(status), 128 + SIGSYS);
	ok(read(p[0], text, sizeof(text) - 1) > 0);
	has_str(text, "system call 41 (socket)");
}

/* ---- what is needed works ---- */

struct work {
	struct vmm *vm;
	enum vmm_thread class;
	int go_fd;
	_Atomic int has_run;
};

/* What any thread does: memory of all sizes in an arena of its own, locks, the clock, a line in the log. */
static void do_work(void *arg)
{
	struct work *w = arg;
	eventfd_t n;

	(void)!eventfd_read(w->go_fd, &n);
	for (size_t size = 16; size < 64u << 20; size *= 4) {
		char *p = malloc(size), *larger;

		memset(p, 1, MIN(size, (size_t)4096));
		larger = realloc(p, size * 2);
		free(larger ? larger : p);
	}
	(void)clock_mono_us();
	log_warn("test", "a line");
	w->has_run = 1;
}

static void run_works(enum vmm_thread class)
{
	const struct vmm_plan plan = { .seccomp = VMM_SECCOMP_KILL };
	struct vmm vm = { .plan = &plan, .wake_fd = -1 };
	struct work w = { .vm = &vm, .class = class, .go_fd = eventfd(0, EFD_CLOEXEC) };
	struct vmm_worker *worker = NULL;

	pthread_mutex_init(&vm.sync, NULL);
	is_int(vmm_worker_new(&vm, class, "work", &worker, NULL), 0);
	is_int(vmm_thread_enter(&vm, VMM_THREAD_MAIN, "main"), 0); /* after the threads: they can't be made later */
	for (int i = 0; i < 3; i++) {
		w.has_run = 0;
		vmm_worker_start(worker, do_work, &w);
		eventfd_write(w.go_fd, 1);
		vmm_worker_wait(worker);
		is_int(w.has_run, 1);
	}
	vmm_worker_free(worker);
	_exit(0);
}

TEST(what_threads_need_they_may)
{
	for (int class = 0; class < VMM_THREADS; class ++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			run_works(class);
		is_int(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			TAP_FAIL("class %s: status %#x", vmm_thread_name(class), status);
	}
}

/* A whole VM with every thread in its filter: it runs, is paused, asked for its state, and ends. */
static void look_inside(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct vmm *vm = arg;
	struct vcpu_state *s = calloc(1, sizeof(*s));

	(void)l;
	(void)fd;
	(void)events;
	vmm_pause(vm);
	if (vcpu_state_get(&vm->vcpus[0], s, NULL) == 0)
		vmm_stop(vm);
	vmm_resume(vm);
	free(s);
}

static _noreturn_ void live(int done_fd)
{
	static const uint8_t code[] = { 0xeb, 0xfe };
	struct vmm_plan plan = { VMM_PLAN_NO_FDS, .mem_bytes = 32 << 20, .cpus = 2, .seccomp = VMM_SECCOMP_TRAP };
	struct vmm_result res = { .end = VMM_RUNNING };
	struct vmm *vm;

	plan.kernel_fd = tiny_kernel(code, sizeof(code));
	vm = tiny_vm(&plan);
	is_int(loop_timer(vmm_loop(vm), 30, look_inside, vm, NULL), 0);
	is_int(vmm_run(vm, &res, NULL), 0);
	is_str(vmm_end_name(res.end), "stopped");
	vmm_free(vm);
	(void)!write(done_fd, "+", 1);
	syscall(SYS_getppid); /* listed nowhere */
	_exit(0);
}

TEST(a_vm_lives_and_ends_under_its_filters)
{
	int status, p[2];
	char c;

	NEEDS_KILLS();
	is_int(pipe2(p, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0)
		live(p[1]);
	close(p[1]);
	is_int(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		exit(77);
	is_int(read(p[0], &c, 1), 1);
	is_int(WEXITSTATUS(status), 128 + SIGSYS);
}

TAP_MAIN()
