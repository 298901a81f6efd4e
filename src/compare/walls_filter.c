/* walls_filter: the seccomp filters of a thread, read out of the kernel (PTRACE_SECCOMP_GET_FILTER) and judged number by number. The kernel
 * gives them only to who has CAP_SYS_ADMIN, is under no filter itself, and was built with CONFIG_CHECKPOINT_RESTORE. A child does it, which can be
 * given up: a thread that does not stop in time is let go by its end. */
#include <linux/audit.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf.h"
#include "walls.h"

#define PATIENCE_MS 2000
#define WAIT_MS     1
#define FILTERS_MAX 32

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c /* Linux 4.4 */
#endif

/* What the child tells. */
struct told {
	int r; /* 0 or -errno */
	unsigned always, sometimes;
};

/* All filters of a thread have to let a call pass: what is left in each place after one more of them. */
static int narrow(const struct sock_filter *f, size_t n, unsigned verdicts[WALLS_NUMBERS])
{
	int r = 0;

	for (uint32_t nr = 0; nr < WALLS_NUMBERS && r >= 0; nr++) {
		unsigned v = 0;
		r = bpf_judge(f, n, AUDIT_ARCH_X86_64, nr, &v);
		verdicts[nr] = (verdicts[nr] & v & BPF_MAY_PASS) | ((verdicts[nr] | v) & BPF_MAY_REFUSE);
	}
	return r;
}

static int get_filters(pid_t tid, unsigned verdicts[WALLS_NUMBERS])
{
	static struct sock_filter insns[BPF_MAXINSNS];
	int r = 0;

	for (uintptr_t i = 0; i < FILTERS_MAX && r >= 0; i++) {
		/* Without a place to put it the kernel says how long it is. */
		long n = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, (void *)i, NULL);

		if (n < 0 && errno == ENOENT)
			return i > 0 ? 0 : -ENOENT;
		if (n < 0 || n > BPF_MAXINSNS)
			return n < 0 ? -errno : -EINVAL;
		n = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, (void *)i, insns);
		r = n < 0 ? -errno : narrow(insns, (size_t)n, verdicts);
	}
	return r < 0 ? r : -E2BIG;
}

static int ask_stopped(pid_t tid, struct told *t)
{
	unsigned verdicts[WALLS_NUMBERS];
	int r;

	for (size_t i = 0; i < WALLS_NUMBERS; i++)
		verdicts[i] = BPF_MAY_PASS;
	r = get_filters(tid, verdicts);
	for (unsigned nr = 0; nr < WALLS_NUMBERS && r >= 0; nr++) {
		t->always += walls_call_name(nr) && verdicts[nr] == BPF_MAY_PASS;
		t->sometimes += walls_call_name(nr) && verdicts[nr] == (BPF_MAY_PASS | BPF_MAY_REFUSE);
	}
	return r;
}

_noreturn_ static void ask(pid_t tid, struct told *t)
{
	int status;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 ||
	    waitpid(tid, &status, __WALL) < 0)
		t->r = -errno;
	else if (!WIFSTOPPED(status))
		t->r = -ESRCH;
	else
		t->r = ask_stopped(tid, t);
	_exit(0);
}

/* What is told of an errno by people's words. */
static char *reason(int no)
{
	switch (no) {
	case EACCES:
	case EPERM:
		return strdup("the kernel shows filters to CAP_SYS_ADMIN and CAP_SYS_PTRACE only, and to nobody under a filter "
			      "himself");
	case EIO:
	case EMEDIUMTYPE:
	case EINVAL: return strdup("this kernel does not show filters (CONFIG_CHECKPOINT_RESTORE), or it is none of classic BPF");
	case ETIMEDOUT: return strdup("the thread did not stop in time");
	default: return strdup(strerror(no));
	}
}

static int wait_for(pid_t pid)
{
	uint64_t deadline = clock_mono_us() + PATIENCE_MS * 1000u;
	pid_t ended;

	while ((ended = waitpid(pid, NULL, WNOHANG)) == 0 && clock_mono_us() < deadline)
		usleep(WAIT_MS * 1000);
	if (ended == pid)
		return 0;
	kill(pid, SIGKILL);
	return waitpid(pid, NULL, 0) < 0 ? -errno : -ETIMEDOUT;
}

void walls_filter_of(pid_t tid, struct walls_filter *ret)
{
	struct told *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = -1;
	int r = -ENOMEM;

	if (t != MAP_FAILED) {
		t->r = -ECHILD;
		pid = fork();
		if (pid == 0)
			ask(tid, t);
		r = pid < 0 ? -errno : wait_for(pid);
		r = r < 0 ? r : t->r;
		*ret = (struct walls_filter){ .always = t->always, .sometimes = t->sometimes };
		munmap(t, sizeof(*t));
	}
	if (r < 0)
		*ret = (struct walls_filter){ .why = reason(-r) };
}
