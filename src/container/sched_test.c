/* What a process may use of CPUs, disks and memory nodes, and the machine it believes in. */
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include "fixture.h"

/* nice, real-time priority and policy of the shell itself (proc(5), /proc/PID/stat: 19, 40, 41). */
#define SHOW_SCHED "set -- $(cat /proc/self/stat); echo ${19} ${40} ${41}"

TEST(each_policy_reaches_the_kernel)
{
	static const struct {
		struct spec_scheduler s;
		const char *want;
	} rows[] = {
		{ { .policy = SCHED_NORMAL, .nice = 7 }, "7 0 0\n" },
		{ { .policy = SCHED_BATCH, .nice = -3 }, "-3 0 3\n" },
		{ { .policy = SCHED_IDLE }, "0 0 5\n" },
		{ { .policy = SCHED_FIFO, .priority = 9 }, "0 9 1\n" },
		{ { .policy = SCHED_RR, .priority = 2, .flags = 0 }, "0 2 2\n" },
	};
	struct fixture f;
	int status;

	fixture_init(&f);
	/* Policies without a nice value of their own keep the one that was there. */
	is_int(setpriority(PRIO_PROCESS, 0, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec_scheduler s = rows[i].s;

		f.spec.process.scheduler = &s;
		ARGS(&f, "sh", "-c", SHOW_SCHED);
		/* Without real-time group scheduling time (v1) only root's own cgroup may have these. */
		if (fixture_run(&f, &status) < 0)
			TAP_FAIL("policy %d: %s", (int)s.policy, f.err.msg);
		is_str(f.out, rows[i].want);
	}
	/* A child of a process with the flag is an ordinary one again. */
	struct spec_scheduler reset = { .policy = SCHED_FIFO, .priority = 9, .flags = SCHED_FLAG_RESET_ON_FORK };
	f.spec.process.scheduler = &reset;
	is_str(sh(&f, SHOW_SCHED), "0 0 0\n");
	f.spec.process.scheduler = NULL;
	fixture_done(&f);
}

TEST(a_deadline_is_given_or_refused_with_its_reason)
{
	struct spec_scheduler s = {
		.policy = SCHED_DEADLINE, .runtime_ns = 1000000, .deadline_ns = 10000000, .period_ns = 100000000
	};
	struct spec_scheduler greedy = {
		.policy = SCHED_DEADLINE, .runtime_ns = 10000000, .deadline_ns = 10000000, .period_ns = 10000000
	};
	struct spec_scheduler iso = { .policy = 4 };
	struct container *c[64];
	struct fixture f;
	size_t n = 0;

	fixture_init(&f);
	f.spec.process.scheduler = &s;
	ARGS(&f, "cat", "/proc/self/stat");
	is_int(run_exit(&f), 0);
	has_str(f.out, " 0 6 "); /* real-time priority, policy */
	f.spec.process.scheduler = &iso;
	has_str(refused(&f), "scheduler: SCHED_ISO: Linux has no such policy");
	/* Each takes a CPU whole, and the kernel keeps some time back: one for each CPU is too many. */
	f.spec.process.scheduler = &greedy;
	while (n < ARRAY_SIZE(c) && container_create(&f.args, &c[n], &f.err) == 0)
		n++;
	has_str(f.err.msg, "scheduler: SCHED_DEADLINE: so much time is not free");
	while (n > 0)
		container_destroy(c[--n]);
	f.spec.process.scheduler = NULL;
	fixture_done(&f);
}

TEST(io_priority_holds_for_all_of_the_container)
{
	struct spec_io_priority p = { .class = IOPRIO_CLASS_BE, .priority = 6 };
	struct fixture f;

	fixture_init(&f);
	f.spec.process.io_priority = &p;
	has_str(sh(&f, "busybox ionice -p 1; busybox ionice -p $$"), "best-effort: prio 6\nbest-effort: prio 6\n");
	p = (struct spec_io_priority){ .class = IOPRIO_CLASS_IDLE, .priority = 0 };
	has_str(sh(&f, "busybox ionice -p 1"), "idle");
	f.spec.process.io_priority = NULL;
	fixture_done(&f);
}

TEST(personality_is_the_specs_also_in_exec)
{
	struct spec_personality p = { .domain = PER_LINUX32 };
	struct fixture f;

	fixture_init(&f);
	f.spec.personality = &p;
	is_str(sh(&f, "busybox uname -m | grep -c 64 || cat /proc/self/personality"), "0\n00000008\n");
	f.spec.personality = NULL;
	fixture_done(&f);
}

TEST(memory_comes_from_the_nodes_of_the_policy)
{
	struct spec_memory_policy p = { .mode = MPOL_BIND, .nodes = (char[]){ "0" } };
	struct fixture f;

	fixture_init(&f);
	if (access("/proc/self/numa_maps", F_OK) < 0) {
		fixture_done(&f);
		skip("a kernel without NUMA");
	}
	f.spec.memory_policy = &p;
	has_str(sh(&f, "cat /proc/self/numa_maps"), " bind:0 ");
	p.flags = MPOL_F_STATIC_NODES;
	has_str(sh(&f, "cat /proc/self/numa_maps"), " bind=static:0 ");
	p.nodes = (char[]){ "8000" };
	has_str(refused(&f), "memory policy: set_mempolicy: the kernel does not know this mode, or has none of these nodes");
	f.spec.memory_policy = NULL;
	fixture_done(&f);
}

/* Runs cmd in c and returns its exit status; its output goes to out. */
static int exec_in(struct fixture *f, struct container *c, struct spec_process *p, const char *cmd)
{
	struct container_exec_args a = { .process = p, .stdio = { 0, 1, 2 } };
	int fds[2], pidfd = -1, console = -1, status = -1;
	ssize_t n;
	pid_t pid;

	ok(strv_push(&p->args, "sh") == 0 && strv_push(&p->args, "-c") == 0 && strv_push(&p->args, cmd) == 0);
	ok(pipe2(fds, O_CLOEXEC) == 0);
	a.stdio[1] = fds[1];
	if (container_exec(c, &a, &pid, &pidfd, &console, &f->err) < 0)
		return -1;
	close(fds[1]);
	n = fd_read_full(fds[0], f->out, sizeof(f->out) - 1);
	f->out[n < 0 ? 0 : n] = 0;
	close(fds[0]);
	close(pidfd);
	ok(waitpid(pid, &status, 0) == pid);
	return status_to_exit(status);
}

TEST(an_exec_runs_on_its_cpus_and_with_its_own_priorities)
{
	struct spec_io_priority io = { .class = IOPRIO_CLASS_BE, .priority = 1 };
	struct spec_scheduler sched = { .policy = SCHED_NORMAL, .nice = 11 };
	struct fixture f;
	struct container *c;
	struct spec_process p;

	fixture_init(&f);
	ARGS(&f, "sleep", "100");
	if (container_create(&f.args, &c, &f.err) < 0 || container_start(c, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	spec_process_init(&p);
	p.exec_affinity.initial = strdup("0");
	p.io_priority = &io;
	p.scheduler = &sched;
	is_int(exec_in(&f, c, &p, "grep Cpus_allowed_list /proc/self/status; busybox ionice -p $$; " SHOW_SCHED), 0);
	has_str(f.out, "Cpus_allowed_list:\t0\n");
	has_str(f.out, "best-effort: prio 1\n");
	has_str(f.out, "11 0 0\n");
	p.io_priority = NULL;
	p.scheduler = NULL;
	spec_process_done(&p);
	spec_process_init(&p);
	p.exec_affinity.initial = strdup("0");
	p.exec_affinity.final = strdup("0-8191");
	is_int(exec_in(&f, c, &p,
		       "test $(grep Cpus_allowed_list /proc/self/status | grep -c '0$') = 0 || busybox nproc | grep -x 1"),
	       0);
	free(p.exec_affinity.final);
	p.exec_affinity.final = strdup("8191");
	is_int(exec_in(&f, c, &p, "true"), -1);
	has_str(f.err.msg, "execCPUAffinity.final: CPUs 8191: none of them is here");
	free(p.exec_affinity.initial);
	p.exec_affinity.initial = strdup("x");
	is_int(exec_in(&f, c, &p, "true"), -1);
	has_str(f.err.msg, "execCPUAffinity.initial: \"x\": expected CPUs");
	spec_process_done(&p);
	container_destroy(c);
	fixture_done(&f);
}

TAP_MAIN()
