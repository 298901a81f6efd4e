/* berth-vmm: one virtual machine. Started with everything that it may have as open descriptors:
 *   berth-vmm --config-fd N [--trap] [--trace-startup US]
 * N holds the plan (JSON, vmm/plan.c; read to its end and closed). Ends with the VM: how is its exit status (vmm_end_status)
 * and one line on standard error, "berth-vmm: END[: REASON]". SIGTERM stops the VM. --trap: a system call that a thread may not
 * make is named on standard error; without, the kernel's log names it. --trace-startup: at the end, standard error gets when each stage
 * of the start was reached, counted from US, the starter's CLOCK_MONOTONIC in microseconds. */
#include "jail.h"
#include "vmm.h"

#include <malloc.h>
#include <stdio.h>

#define PLAN_MAX (1u << 20)

struct startup {
	struct timeline timeline;
	uint64_t began_us; /* 0: nobody asked */
};

/* What stands behind --config-fd N. */
static bool read_options(int argc, char **argv, bool *ret_traps, struct startup *s)
{
	for (int i = 3; i < argc; i++)
		if (streq(argv[i], "--trap"))
			*ret_traps = true;
		else if (!streq(argv[i], "--trace-startup") || ++i == argc || str_to_u64(argv[i], &s->began_us) < 0)
			return false;
	return argc >= 3 && streq(argv[1], "--config-fd");
}

static int read_plan(int argc, char **argv, struct startup *s, struct vmm_plan *ret, struct err *e)
{
	_cleanup_free_ char *json = NULL;
	_cleanup_fd_ int fd = -1;
	uint64_t n = 0;
	size_t len = 0;
	bool traps = false;
	int r;

	if (!read_options(argc, argv, &traps, s) || str_to_u64(argv[2], &n) < 0 || n > INT32_MAX)
		return err_set(e, EINVAL,
			       "usage: berth-vmm --config-fd N [--trap] [--trace-startup US]; berth starts it, people don't");
	fd = (int)n;
	r = fd_read_all(fd, PLAN_MAX, &json, &len);
	if (r < 0)
		return err_set(e, -r, "plan: descriptor %d: %s", fd, strerror(-r));
	r = vmm_plan_parse(json, len, ret, e);
	if (r >= 0 && traps)
		ret->seccomp = VMM_SECCOMP_TRAP;
	if (r >= 0 && s->began_us)
		ret->timeline = &s->timeline;
	timeline_mark(&s->timeline, "plan read");
	return r;
}

static void on_signal(struct loop *l, int sig, void *arg)
{
	(void)l;
	vmm_end(arg, VMM_STOPPED, "SIG%s", signal_name(sig) ?: "?");
}

static int stop_on_signals(struct vmm *vm, struct err *e)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	r = loop_signals(vmm_loop(vm), &set, on_signal, vm);
	(void)signal(SIGPIPE, SIG_IGN);
	return r < 0 ? err_set(e, -r, "signals: %s", strerror(-r)) : 0;
}

static int run(struct vmm_plan *plan, struct vmm_result *ret, struct err *e)
{
	_cleanup_(vmm_free_ptr) struct vmm *vm = NULL;
	int r = vmm_jail_enter(plan, e);

	if (r >= 0)
		r = vmm_new(plan, &vm, e);
	if (r >= 0)
		r = stop_on_signals(vm, e);
	return r < 0 ? r : vmm_run(vm, ret, e);
}

int main(int argc, char **argv)
{
	struct vmm_result result = { .end = VMM_RUNNING };
	struct vmm_plan plan = { VMM_PLAN_NO_FDS };
	struct startup startup = { .began_us = 0 };
	struct err e = { 0 };
	int r;

	timeline_mark(&startup.timeline, "main");
	(void)mallopt(M_ARENA_MAX,
		      1); /* threads allocate once, as they begin: an arena each would be system calls and pages for nothing */
	log_setup("berth-vmm", LOG_WARN_, false);
	r = build_id_check(&e);
	if (r >= 0)
		r = read_plan(argc, argv, &startup, &plan, &e);
	if (r >= 0) {
		r = run(&plan, &result, &e);
		if (plan.timeline)
			timeline_print(plan.timeline, startup.began_us, "vmm", STDERR_FILENO);
		vmm_plan_done(&plan);
	}
	if (r < 0) {
		fprintf(stderr, "berth-vmm: %s\n", e.msg);
		return 1;
	}
	fprintf(stderr, "berth-vmm: %s%s%s\n", vmm_end_name(result.end), result.reason[0] ? ": " : "", result.reason);
	return vmm_end_status(result.end);
}
