/* seccomp: see seccomp.h. */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp.h"

#define ROWS_MAX 160u

/* AddressSanitizer and its kin make calls of their own at any time, so a build with one is warned of violations (the kernel
 * logs them) and not ended. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const uint32_t refusals[VMM_SECCOMP_TRAP + 1] = { SECCOMP_RET_LOG, SECCOMP_RET_LOG, SECCOMP_RET_LOG };
#else
static const uint32_t refusals[VMM_SECCOMP_TRAP + 1] = { SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP };
#endif

/* ---- building ---- */

bool seccomp_lists(enum vmm_thread class, uint32_t nr)
{
	for (size_t i = 0; i < seccomp_n_rows; i++)
		if (seccomp_rows[i].nr == nr && seccomp_rows[i].classes >> class & 1)
			return true;
	return false;
}

struct builder {
	struct seccomp_check checks[ROWS_MAX][ARRAY_SIZE(seccomp_rows[0].checks)];
	struct seccomp_branch branches[ROWS_MAX];
	struct seccomp_leaf leaves[ROWS_MAX];
	struct seccomp_range ranges[2 * ROWS_MAX + 1];
	size_t n_branches, n_leaves, n_ranges;
	struct seccomp_leaf refuse;
};

/* The row's checks with what is known only now. */
static const struct seccomp_check *checks_of(struct builder *b, const struct seccomp_row *row)
{
	struct seccomp_check *to = b->checks[b->n_branches];

	memcpy(to, row->checks, sizeof(row->checks));
	for (size_t i = 0; i < row->n_checks; i++)
		if (to[i].op == OP_EQ && to[i].value == SECCOMP_SELF)
			to[i].value = (uint64_t)getpid();
	return to;
}

/* The rows of a class by their calls' numbers, those of one call in the order of the table. */
static size_t rows_of(enum vmm_thread class, const struct seccomp_row *ret[ROWS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < seccomp_n_rows; i++) {
		size_t at = n;

		if (!(seccomp_rows[i].classes >> class & 1))
			continue;
		for (; at > 0 && ret[at - 1]->nr > seccomp_rows[i].nr; at--)
			ret[at] = ret[at - 1];
		ret[at] = &seccomp_rows[i];
		n++;
	}
	return n;
}

/* n rows of one call: any without checks allows it whatever its arguments. */
static const struct seccomp_leaf *leaf_of(struct builder *b, const struct seccomp_row *const *rows, size_t n)
{
	struct seccomp_leaf *l = &b->leaves[b->n_leaves++];

	*l = (struct seccomp_leaf){ .branches = &b->branches[b->n_branches], .ret = b->refuse.ret };
	for (size_t i = 0; i < n; i++) {
		if (rows[i]->n_checks == 0) {
			*l = (struct seccomp_leaf){ .ret = SECCOMP_RET_ALLOW };
			return l;
		}
		b->branches[b->n_branches] =
			(struct seccomp_branch){ checks_of(b, rows[i]), rows[i]->n_checks, SECCOMP_RET_ALLOW };
		b->n_branches++;
		l->n++;
	}
	return l;
}

static void add_range(struct builder *b, uint32_t start, const struct seccomp_leaf *leaf)
{
	const struct seccomp_range *last;

	if (b->n_ranges > 0 && b->ranges[b->n_ranges - 1].start == start) /* an empty gap */
		b->n_ranges--;
	last = b->n_ranges > 0 ? &b->ranges[b->n_ranges - 1] : NULL;
	if (last && last->leaf->n == 0 && leaf->n == 0 && last->leaf->ret == leaf->ret) /* the same verdict goes on */
		return;
	b->ranges[b->n_ranges++] = (struct seccomp_range){ start, leaf };
}

int seccomp_build(enum vmm_thread class, enum vmm_seccomp mode, struct seccomp_code *ret, struct err *e)
{
	const struct seccomp_row *rows[ROWS_MAX];
	_cleanup_free_ struct builder *b = calloc(1, sizeof(*b));
	struct seccomp_code code = { 0 };
	size_t n_rows;
	int r;

	if (!b || seccomp_n_rows > ROWS_MAX)
		return err_set(e, ENOMEM, "seccomp: out of memory");
	b->refuse.ret = refusals[mode];
	add_range(b, 0, &b->refuse);
	n_rows = rows_of(class, rows);
	for (size_t i = 0, n; i < n_rows; i += n) {
		for (n = 1; i + n < n_rows && rows[i + n]->nr == rows[i]->nr; n++)
			;
		add_range(b, rows[i]->nr, leaf_of(b, &rows[i], n));
		add_range(b, rows[i]->nr + 1u, &b->refuse);
	}
	r = seccomp_emit_arch(&code, AUDIT_ARCH_X86_64, b->ranges, b->n_ranges, e);
	if (r >= 0)
		r = seccomp_emit_end(&code, e);
	if (r < 0) {
		free(code.insns);
		return r;
	}
	*ret = code;
	return 0;
}

/* ---- TRAP: what was it? ---- */

static const char *const call_names[] = {
#include "syscall_names.inc"
};

/* On the thread that made the call, with its filter: nothing but write and exit_group. */
static void on_violation(int sig, siginfo_t *info, void *context)
{
	unsigned nr = (unsigned)info->si_syscall;
	const char *name = nr < ARRAY_SIZE(call_names) && call_names[nr] ? call_names[nr] : "?";
	char line[160];
	int n = snprintf(line, sizeof(line), "berth-vmm: seccomp: thread %d made system call %u (%s), which its class has not\n",
			 (int)gettid(), nr, name);

	(void)context;
	(void)!write(STDERR_FILENO, line, (size_t)n);
	_exit(128 + sig);
}

static int hear_violations(void)
{
	struct sigaction sa = { .sa_sigaction = on_violation, .sa_flags = SA_SIGINFO };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	if (sigaction(SIGSYS, &sa, NULL) < 0)
		return -errno;
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- loading ---- */

int seccomp_enter(enum vmm_thread class, enum vmm_seccomp mode)
{
	struct seccomp_code code = { 0 };
	struct sock_fprog prog;
	int r = mode == VMM_SECCOMP_TRAP ? hear_violations() : 0;

	if (r >= 0)
		r = seccomp_build(class, mode, &code, NULL);
	if (r < 0)
		return r;
	prog = (struct sock_fprog){ .len = (unsigned short)code.n, .filter = code.insns };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		r = -errno;
	free(code.insns);
	return r;
}
