/* fault_at: runs a command and lets one of its system calls fail, or kills the process that makes it.
 *
 *   fault_at list FILE PROGRAM ARG...                  writes a line for each call: PROCESS CALL N
 *   fault_at PROCESS CALL N FAULT FILE PROGRAM ARG...  FAULT: "kill", or the number of an error; FILE gets "hit" when it struck, or "late"
 *                                                      when the command had already ended
 *
 * PROCESS is "0" for the command, "0.1" for its first child, "0.1.2" for the second child of that: unlike a pid or the order of
 * all calls, the same in every run. N counts a process's calls of one name. Exits as the command does (128 + signal). strace's
 * inject= counts in each process by itself and strikes in all of them, so that most calls of a child could never be hit alone.
 *
 * With FAULT_AT_UID in the environment the command is that user's (and group's), without groups of root's; the tracer stays root, so that
 * programs with a set-user-ID bit are what they are.
 *
 * What the container runs is let go at its exec: only programs whose name begins with "berth" are traced. Processes that outlive
 * the command are followed until they come to rest. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/ptrace.h>

enum { MAX_PROCS = 512, MAX_CALLS = 1024, NAME_LEN = 64, REST_MS = 60 };
#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)

struct proc {
	pid_t pid;           /* 0 = free */
	char name[NAME_LEN]; /* "" = its parent's report of its birth is still to come */
	bool is_stopped;     /* at birth, without a name yet */
	bool fails_now;      /* between entry and exit of the call that is to fail */
	unsigned n_children;
	unsigned n_calls[MAX_CALLS];
};
static struct proc procs[MAX_PROCS];

static struct {
	bool is_list;
	const char *process, *call;
	unsigned n;
	int error; /* 0 = kill */
	FILE *out;
	bool has_hit, is_late; /* the first process has ended before */
} plan;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "fault_at: %s: %s\n", what, strerror(errno));
	exit(99);
}

static struct proc *find(pid_t pid, bool add)
{
	struct proc *empty = NULL;

	for (size_t i = 0; i < MAX_PROCS; i++) {
		if (procs[i].pid == pid)
			return &procs[i];
		if (!procs[i].pid && !empty)
			empty = &procs[i];
	}
	if (!add)
		return NULL;
	if (!empty) {
		errno = EMFILE;
		fail("processes");
	}
	memset(empty, 0, sizeof(*empty));
	empty->pid = pid;
	return empty;
}

static void go_on(pid_t pid, int sig)
{
	/* ESRCH: it was killed meanwhile, and waitpid tells. */
	if (ptrace(PTRACE_SYSCALL, pid, 0, sig) < 0 && errno != ESRCH)
		fail("PTRACE_SYSCALL");
}

static void on_birth(struct proc *parent)
{
	unsigned long pid;
	struct proc *child;

	if (ptrace(PTRACE_GETEVENTMSG, parent->pid, 0, &pid) < 0)
		return;
	child = find((pid_t)pid, true);
	snprintf(child->name, sizeof(child->name), "%.*s.%u", NAME_LEN - 12, parent->name, ++parent->n_children);
	if (child->is_stopped)
		go_on(child->pid, 0);
	child->is_stopped = false;
}

/* The kernel's number for "no call", and then what it answers. */
static void set_register(pid_t pid, bool is_entry, long value)
{
#if defined(__x86_64__)
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0)
		return;
	if (is_entry)
		regs.orig_rax = (unsigned long)value;
	else
		regs.rax = (unsigned long)value;
	if (ptrace(PTRACE_SETREGS, pid, 0, &regs) < 0 && errno != ESRCH)
		fail("PTRACE_SETREGS");
#else
#error "fault_at: say here how this architecture's system calls are made to fail"
#endif
}

/* Of fcntl only what waits for a lock can be interrupted. */
static bool can_fail_so(unsigned nr, const __u64 *args)
{
	int cmd = (int)args[1];

	if (nr != SYS_fcntl || plan.error != EINTR)
		return true;
	return cmd == F_SETLK || cmd == F_SETLKW || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
}

static void on_call(struct proc *p)
{
	struct ptrace_syscall_info info;
	char *name;
	unsigned nr;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, sizeof(info), &info) < 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && p->fails_now) {
		p->fails_now = false;
		set_register(p->pid, false, -plan.error);
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY || info.entry.nr >= MAX_CALLS)
		return;
	nr = (unsigned)info.entry.nr;
	p->n_calls[nr]++;
	name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)nr);
	if (!name)
		return;
	if (plan.is_list) {
		fprintf(plan.out, "%s %s %u\n", p->name, name, p->n_calls[nr]);
	} else if (!plan.has_hit && strcmp(plan.process, p->name) == 0 && strcmp(plan.call, name) == 0 &&
		   plan.n == p->n_calls[nr] && can_fail_so(nr, info.entry.args)) {
		plan.has_hit = true;
		if (plan.error == 0) {
			kill(p->pid, SIGKILL);
		} else {
			p->fails_now = true;
			/* Linux's close gives the descriptor up whatever it answers (close(2), "Dealing with error returns"). */
			if (nr != SYS_close)
				set_register(p->pid, true, -1);
		}
	}
	free(name);
}

static bool is_ours(pid_t pid)
{
	char path[64], exe[4096];
	const char *base;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n < 0)
		return false;
	exe[n] = '\0';
	base = strrchr(exe, '/');
	/* "/": a detached clone of its file's mount, which is where Berth runs from. */
	return strcmp(exe, "/") == 0 || strncmp(base ? base + 1 : exe, "berth", 5) == 0 || strncmp(exe, "/memfd:berth", 12) == 0;
}

static void on_stop(struct proc *p, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (!p->name[0]) {
		p->is_stopped = true;
		return;
	}
	if (sig == (SIGTRAP | 0x80)) {
		on_call(p);
		go_on(p->pid, 0);
	} else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
		on_birth(p);
		go_on(p->pid, 0);
	} else if (event == PTRACE_EVENT_EXEC && !is_ours(p->pid)) {
		ptrace(PTRACE_DETACH, p->pid, 0, 0);
		p->pid = 0;
	} else if (event == PTRACE_EVENT_STOP && (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)) {
		ptrace(PTRACE_LISTEN, p->pid, 0, 0);
	} else {
		go_on(p->pid, event ? 0 : sig);
	}
}

static void become(const char *uid)
{
	const unsigned id = (unsigned)strtoul(uid, NULL, 10);

	if (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
		fail("become the user");
}

static pid_t begin(char **argv)
{
	const char *uid = getenv("FAULT_AT_UID");
	struct proc *p;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		if (uid)
			become(uid);
		kill(getpid(), SIGSTOP);
		execv(argv[0], argv);
		fail(argv[0]);
	}
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		fail("the command's beginning");
	if (ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) < 0)
		fail("PTRACE_SEIZE");
	p = find(pid, true);
	strcpy(p->name, "0");
	kill(pid, SIGCONT);
	return pid;
}

/* The next report; once the command has ended, none where nothing happens for a while. */
static pid_t next(bool has_ended, int *status)
{
	for (int waited = 0;; waited++) {
		pid_t pid = waitpid(-1, status, __WALL | (has_ended ? WNOHANG : 0));

		if (pid > 0 || (pid < 0 && errno != EINTR))
			return pid;
		if (has_ended && waited >= REST_MS)
			return 0;
		if (has_ended)
			nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
	}
}

static int follow(pid_t first)
{
	bool has_ended = false;
	int status, code = 0;
	pid_t pid;

	while ((pid = next(has_ended, &status)) > 0) {
		struct proc *p = find(pid, WIFSTOPPED(status));

		if (WIFSTOPPED(status)) {
			on_stop(p, status);
			continue;
		}
		if (p)
			p->pid = 0;
		if (pid == first) {
			has_ended = true;
			plan.is_late = !plan.has_hit;
			code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
	}
	return code;
}

int main(int argc, char **argv)
{
	char **command = argv + 3, *file = argv[2];
	int code;

	plan.is_list = argc > 3 && strcmp(argv[1], "list") == 0;
	if (!plan.is_list) {
		if (argc < 7) {
			fprintf(stderr,
				"usage: fault_at list FILE PROGRAM ARG... | PROCESS CALL N kill|ERRNO FILE PROGRAM ARG...\n");
			return 99;
		}
		plan.process = argv[1];
		plan.call = argv[2];
		plan.n = (unsigned)strtoul(argv[3], NULL, 10);
		plan.error = strcmp(argv[4], "kill") == 0 ? 0 : atoi(argv[4]);
		file = argv[5];
		command = argv + 6;
	}
	plan.out = fopen(file, "we");
	if (!plan.out)
		fail(file);
	code = follow(begin(command));
	if (plan.has_hit)
		fputs(plan.is_late ? "late\n" : "hit\n", plan.out);
	if (fclose(plan.out) == EOF)
		fail(file);
	return code;
}
