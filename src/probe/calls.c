/* calls: which system calls a filter lets through, without one of them being made.
 *
 * A child sets a filter of its own on top of those that it has: it wants every call to be told to its supervisor (SECCOMP_RET_USER_NOTIF).
 * Of several filters' verdicts the kernel takes the strictest (seccomp(2)): KILL, TRAP and ERRNO come before USER_NOTIF, ALLOW and LOG after
 * it. So where a filter of the container's refuses the call, its refusal comes; and where none does, the supervisor is asked,
 * who answers with an errno that no kernel has. Either way the call itself is not made.
 *
 * Only one filter of a process may have a supervisor. Where there is one already, the child asks for SECCOMP_RET_TRACE, which without a
 * tracer is answered with ENOSYS: a filter that says ENOSYS can't be told from none. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "inside.h"

#define ANSWER_ERRNO 4000 /* the kernel's end at 4095 (MAX_ERRNO), those in use far below */
#define GOODBYE      0x5a
#define X32_BIT      0x40000000u
#define POLL_MS      5
#define PATIENCE_MS  10000
#define NOT_YET      INT32_MIN
/* A foreign ABI of which so many numbers in a row are killed is one that a filter kills as a whole: a process for each of the others would say no more. */
#define KILLS_ENOUGH 16

/* What the two processes share. */
struct talk {
	_Atomic int32_t listener; /* its number in both, as they share their descriptors; NOT_YET; or -errno */
	_Atomic uint32_t next;    /* the call that is being made */
	_Atomic uint32_t way;
	int32_t results[]; /* what came back: -errno */
};

/* ---- the child ---- */

static long call_x86_64(uint64_t nr, const uint64_t args[3])
{
	register uint64_t r10 __asm__("r10") = 0, r8 __asm__("r8") = 0, r9 __asm__("r9") = 0;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static long call_i386(uint32_t nr, const uint64_t args[3])
{
	int32_t r;

	/* The kernel of before Linux 4.4 does not keep r8 to r11. */
	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr), "b"((uint32_t)args[0]), "c"((uint32_t)args[1]), "d"((uint32_t)args[2]), "S"(0), "D"(0)
			 : "r8", "r9", "r10", "r11", "memory");
	return r;
}

static long make(const struct call_asked *c)
{
	switch (c->abi) {
	case CALL_I386: return call_i386(c->nr, c->args);
	case CALL_X32: return call_x86_64(c->nr | X32_BIT, c->args);
	default: return call_x86_64(c->nr, c->args);
	}
}

/* Verdict for all but exit_group(GOODBYE), by which the child ends. */
static int set_filter(uint32_t verdict, unsigned flags)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GOODBYE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, verdict),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(insns), .filter = insns };
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);

	return r < 0 ? -errno : (int)r;
}

_noreturn_ static void ask_all(struct talk *t, const struct call_asked *asked, uint32_t from, uint32_t n)
{
	const uint64_t goodbye[3] = { GOODBYE };
	int fd;

	/* No core of one that a filter kills; and it does not outlive its supervisor, who could not answer it any more. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		t->listener = -errno;
		_exit(1);
	}
	fd = set_filter(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (fd == -EBUSY || fd == -EINVAL) { /* there is one already; Linux before 5.0 */
		t->way = CALL_BY_TRACE;
		fd = set_filter(SECCOMP_RET_TRACE, 0);
	}
	t->listener = fd;
	for (uint32_t i = from; i < n && fd >= 0; i++) {
		t->next = i;
		t->results[i] = (int32_t)make(&asked[i]);
	}
	if (fd >= 0)
		t->next = n;
	call_x86_64(SYS_exit_group, goodbye);
	for (;;)
		__asm__ volatile("pause"); /* the filter has refused even that: it is killed */
}

/* ---- the supervisor ---- */

/* A child that shares the table of descriptors, so that its listener is ours as well. */
static pid_t fork_with_files(void) { return (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL); }

static int answer_one(int listener)
{
	struct seccomp_notif req;
	struct seccomp_notif_resp resp = { .error = -ANSWER_ERRNO };

	memset(&req, 0, sizeof(req));
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req) < 0)
		return errno == ENOENT || errno == EINTR ? 0 : -errno; /* ENOENT: it was killed meanwhile */
	resp.id = req.id;
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

/* Until the child has ended. */
static int supervise(pid_t pid, struct talk *t, uint32_t n)
{
	uint64_t deadline = clock_mono_us() + (uint64_t)PATIENCE_MS * 1000;
	int r = 0;

	for (;;) {
		int listener = t->way == CALL_BY_NOTIFY && t->listener >= 0 ? t->listener : -1;
		struct pollfd p = { .fd = listener, .events = POLLIN };
		bool is_asked = poll(&p, 1, t->listener == NOT_YET ? 1 : POLL_MS) > 0 && p.revents & POLLIN;
		pid_t ended = is_asked ? 0 : waitpid(pid, NULL, WNOHANG);

		if (ended == pid)
			return r;
		if (is_asked)
			r = answer_one(listener);
		if (clock_mono_us() > deadline && r >= 0)
			r = -ETIMEDOUT;
		if (r < 0 || (!is_asked && t->next == n)) /* it has no more to ask, and could not end by itself */
			kill(pid, SIGKILL);
		if (r < 0)
			return waitpid(pid, NULL, 0) < 0 ? -errno : r;
	}
}

static enum call_answer judge(int32_t result, enum call_way way)
{
	if (way == CALL_BY_NOTIFY)
		return result == -ANSWER_ERRNO ? CALL_REACHED : CALL_REFUSED;
	return result == -ENOSYS ? CALL_REACHED : CALL_REFUSED;
}

/* From one on, until all are answered or one of them ends the child. *ret_next: what has not been answered yet. */
static int ask_from(struct talk *t, const struct call_asked *asked, uint32_t from, uint32_t n, uint32_t *ret_next)
{
	pid_t pid;
	int r;

	t->listener = NOT_YET;
	t->next = from;
	t->way = CALL_BY_NOTIFY;
	pid = fork_with_files();
	if (pid == 0)
		ask_all(t, asked, from, n);
	if (pid < 0)
		return -errno;
	r = supervise(pid, t, n);
	if (t->listener >= 0 && t->way == CALL_BY_NOTIFY)
		fd_close(t->listener);
	if (r >= 0 && t->listener < 0)
		r = t->listener == NOT_YET ? -ECHILD : t->listener;
	*ret_next = t->next;
	return r;
}

/* Whether that way into the kernel is there at all: a filter is asked before the kernel has looked whether it knows the number. */
static bool has_abi(enum call_abi abi)
{
	const struct call_asked getpid_ = { abi, abi == CALL_I386 ? 20 : SYS_getpid, { 0 } };
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_DUMPABLE, 0);
		_exit(make(&getpid_) == -ENOSYS);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return true;
	return !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) && !(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static int ask(struct talk *t, const struct call_asked *asked, uint32_t n, enum call_answer *ret, enum call_way *ret_way)
{
	bool there[] = { [CALL_X86_64] = true, [CALL_I386] = has_abi(CALL_I386), [CALL_X32] = has_abi(CALL_X32) };
	uint32_t next = 0, kills = 0;
	int r = 0;

	for (uint32_t from = 0; from < n && r >= 0; from = next) {
		enum call_abi abi = asked[from].abi;
		uint32_t end = from;

		while (end < n && asked[end].abi == abi)
			end++;
		if (from == 0 || asked[from - 1].abi != abi)
			kills = 0;
		if (!there[abi] || (abi != CALL_X86_64 && kills >= KILLS_ENOUGH)) {
			for (next = from; next < end; next++)
				ret[next] = there[abi] ? CALL_KILLED : CALL_NO_ABI;
			continue;
		}
		r = ask_from(t, asked, from, end, &next);
		for (uint32_t i = from; i < next && r >= 0; i++)
			ret[i] = judge(t->results[i], (enum call_way)t->way);
		kills = next == from ? kills + 1 : 1;
		if (r >= 0 && next < end)
			ret[next++] = CALL_KILLED;
	}
	*ret_way = (enum call_way)t->way;
	return r;
}

int calls_ask(const struct call_asked *asked, size_t n, enum call_answer *ret, enum call_way *ret_way)
{
	size_t bytes = sizeof(struct talk) + n * sizeof(int32_t);
	struct talk *t = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int r;

	if (t == MAP_FAILED)
		return -errno;
	r = ask(t, asked, (uint32_t)n, ret, ret_way);
	munmap(t, bytes);
	return r;
}
