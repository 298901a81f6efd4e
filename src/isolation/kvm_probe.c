/* kvm_probe: whether a guest really runs on this host's KVM. A device node and the CPU's flags do not tell: a KVM without the
 * CPU's help (paravirtual, or with virtualisation masked by the hypervisor below) answers every question and then steps
 * through a guest in its instruction emulator, a thousand times slower. So one is made and run:
 *
 *   one page of memory, one vCPU in 32-bit protected mode without paging (real mode is emulated on old Intel CPUs even where
 *   hardware virtualisation works), a loop of a known length, HLT.
 *
 * The same loop runs on the host's CPU; the judgement is the ratio of the two, in CPU time, so neither a slow nor a busy host
 * matters. Hardware has a ratio of 1 to 10, the cost of the exit included; an emulator has thousands.
 *
 * All of this happens in a child with timers that kill it: whatever KVM does with such a guest, the answer comes. */
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vm_impl.h"

#define LOOPS     10000u
#define RATIO_MAX 100u
#define TRIES     3
#define PAGE      4096u
#define CODE_GPA  0x1000u
#define CPU_MS    500 /* of the child: 20 times what the emulator of a paravirtual KVM needs */
#define WALL_S    10

/* 1: dec %ecx; jnz 1b; hlt */
static const uint8_t guest_code[] = { 0x49, 0x75, 0xfd, 0xf4 };

struct guest {
	const struct kvm_calls *k;
	int node, vm, vcpu;
	struct kvm_run *run;
	size_t run_size;
	uint8_t *page;
	struct kvm_report *report;
};

_printf_(2, 3) static int say(struct guest *g, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(g->report->reason, sizeof(g->report->reason), fmt, ap);
	va_end(ap);
	return -1;
}

static int call(struct guest *g, int fd, unsigned long request, unsigned long arg) { return g->k->call(fd, request, arg); }

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the guest; whatever it opens goes with the child ---- */

static int open_node(struct guest *g)
{
	int version;

	g->node = open(g->k->node, O_RDWR | O_CLOEXEC);
	if (g->node < 0)
		return errno == ENOENT
			       ? say(g, "there is no %s", g->k->node)
			       : say(g, "%s can't be opened: %s%s", g->k->node, strerror(errno),
				     errno == EACCES ? "; who is in its group may: usermod -aG kvm USER, and a new session" : "");
	version = call(g, g->node, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return say(g, "%s is not KVM", g->k->node);
	return 0;
}

static int make_vm(struct guest *g)
{
	struct kvm_userspace_memory_region region = { .guest_phys_addr = CODE_GPA, .memory_size = PAGE };
	int size;

	g->vm = call(g, g->node, KVM_CREATE_VM, 0);
	if (g->vm < 0)
		return say(g, "KVM can't make a virtual machine: %s%s", strerror(errno),
			   errno == EBUSY ? " (another hypervisor has the CPU)" : "");
	/* Three pages that Intel CPUs without unrestricted guests need somewhere; others don't mind. */
	(void)call(g, g->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	g->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g->page == MAP_FAILED)
		return say(g, "no memory for a test guest");
	memcpy(g->page, guest_code, sizeof(guest_code));
	region.userspace_addr = (uintptr_t)g->page;
	if (call(g, g->vm, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&region) < 0)
		return say(g, "KVM takes no memory: %s", strerror(errno));
	g->vcpu = call(g, g->vm, KVM_CREATE_VCPU, 0);
	size = call(g, g->node, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (g->vcpu < 0 || size < (int)sizeof(struct kvm_run))
		return say(g, "KVM can't make a CPU: %s", strerror(errno));
	g->run_size = (size_t)size;
	g->run = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	return g->run == MAP_FAILED ? say(g, "KVM can't make a CPU: %s", strerror(errno)) : 0;
}

/* Flat segments and CR0.PE: SDM vol. 3, 3.4.5 has the types (11: code that ran; 3: data that was written). */
static int enter_protected_mode(struct guest *g)
{
	struct kvm_segment data = { .limit = 0xffffffff, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 };
	struct kvm_segment code = data;
	struct kvm_sregs s;

	if (call(g, g->vcpu, KVM_GET_SREGS, (uintptr_t)&s) < 0)
		return say(g, "KVM does not tell a CPU's state: %s", strerror(errno));
	code.selector = 8;
	code.type = 11;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr0 |= 1;
	if (call(g, g->vcpu, KVM_SET_SREGS, (uintptr_t)&s) < 0)
		return say(g, "KVM refuses a CPU's state: %s", strerror(errno));
	return 0;
}

static int run_loops(struct guest *g, unsigned loops, uint64_t *ret_ns)
{
	struct kvm_regs regs = { .rip = CODE_GPA, .rcx = loops, .rflags = 2 };
	uint64_t start;

	if (call(g, g->vcpu, KVM_SET_REGS, (uintptr_t)&regs) < 0)
		return say(g, "KVM refuses a CPU's state: %s", strerror(errno));
	start = cpu_ns();
	if (call(g, g->vcpu, KVM_RUN, 0) < 0)
		return say(g, "KVM does not run a guest: %s", strerror(errno));
	*ret_ns = cpu_ns() - start;
	if (g->run->exit_reason != KVM_EXIT_HLT)
		return say(g, "KVM does not run a guest (exit reason %u)", g->run->exit_reason);
	return 0;
}

/* ---- the judgement ---- */

static uint64_t native_ns(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t start = cpu_ns(), took;
		unsigned n = LOOPS;

		__asm__ volatile("1: decl %0\n\tjnz 1b" : "+r"(n) : : "cc");
		took = cpu_ns() - start;
		best = MIN(best, took);
	}
	return MAX(best, 1u);
}

static int measure(struct guest *g)
{
	uint64_t native = native_ns(), best = UINT64_MAX, took = 0;

	if (run_loops(g, 1, &took) < 0) /* what only the first entry pays: page tables, the translation of an emulated host */
		return -1;
	for (int i = 0; i < TRIES && best > native * RATIO_MAX; i++) {
		if (run_loops(g, LOOPS, &took) < 0)
			return -1;
		best = MIN(best, took);
	}
	g->report->ratio = (unsigned)MIN(best / native, (uint64_t)UINT32_MAX);
	if (best > native * RATIO_MAX)
		return say(g, "its KVM is paravirtual or emulated: a test guest ran more than %u times slower than the CPU",
			   RATIO_MAX);
	g->report->is_usable = true;
	return 0;
}

static _noreturn_ void child(const struct kvm_calls *k, int out)
{
	const struct itimerval cpu = { .it_value = { .tv_usec = CPU_MS * 1000 } };
	struct kvm_report report = { .ratio = 0 };
	struct guest g = { .k = k, .node = -1, .vm = -1, .vcpu = -1, .report = &report };
	sigset_t none;

	(void)signal(SIGPROF, SIG_DFL);
	(void)signal(SIGALRM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(WALL_S);
	if (setitimer(ITIMER_PROF, &cpu, NULL) < 0)
		_exit(1);
	if (open_node(&g) >= 0 && make_vm(&g) >= 0 && enter_protected_mode(&g) >= 0)
		(void)measure(&g);
	_exit(fd_write_full(out, &report, sizeof(report)) < 0);
}

static int system_call(int fd, unsigned long request, unsigned long arg) { return ioctl(fd, request, arg); }

void kvm_probe(const struct kvm_calls *k, struct kvm_report *ret)
{
	int p[2], status = 0;
	struct kvm_report got;
	bool is_answered;
	pid_t pid;

	*ret = (struct kvm_report){ .ratio = 0 };
	if (pipe2(p, O_CLOEXEC) < 0) {
		snprintf(ret->reason, sizeof(ret->reason), "KVM can't be tried: %s", strerror(errno));
		return;
	}
	pid = fork();
	if (pid == 0)
		child(k, p[1]);
	fd_close(p[1]);
	if (pid < 0) {
		fd_close(p[0]);
		snprintf(ret->reason, sizeof(ret->reason), "KVM can't be tried: %s", strerror(errno));
		return;
	}
	is_answered = fd_read_full(p[0], &got, sizeof(got)) == (ssize_t)sizeof(got);
	fd_close(p[0]);
	(void)spawn_wait(pid, &status);
	if (is_answered)
		*ret = got;
	else if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGALRM))
		snprintf(ret->reason, sizeof(ret->reason), "its KVM did not finish a test guest of %u instructions in time",
			 2 * LOOPS);
	else
		snprintf(ret->reason, sizeof(ret->reason), "its KVM killed the process that tried it");
}

const struct kvm_calls kvm_calls_host = { "/dev/kvm", system_call };
