/* Limits as the kernel takes them and reads them back, at first and in updates; those that it can't have are named. */
#include <sched.h>

#include "cgroup_fixture.h"

TEST(limits_are_what_the_kernel_reads_back)
{
	struct fixture f;

	setup(&f);
	f.r.memory_limit = 64 << 20;
	f.r.memory_swap = f.h.has_swap_accounting ? 96 << 20 : SPEC_UNSET;
	f.r.cpu_quota = 25000;
	f.r.cpu_period = 50000;
	f.r.cpu_shares = 512;
	f.r.pids_limit = 33;
	create(&f);
	is_str(value(&f, CG_MEMORY, "memory.limit_in_bytes", "memory.max"), "67108864");
	if (f.h.has_swap_accounting) {
		bool v2 = cgroup_place_of(f.cg, CG_MEMORY)->is_v2;
		is_str(value(&f, CG_MEMORY, "memory.memsw.limit_in_bytes", "memory.swap.max"), v2 ? "33554432" : "100663296");
	}
	is_str(value(&f, CG_CPU, "cpu.cfs_quota_us", "cpu.max"), cgroup_place_of(f.cg, CG_CPU)->is_v2 ? "25000 50000" : "25000");
	is_str(value(&f, CG_CPU, "cpu.shares", "cpu.weight"), cgroup_place_of(f.cg, CG_CPU)->is_v2 ? "59" : "512");
	is_str(value(&f, CG_PIDS, "pids.max", "pids.max"), "33");
	teardown(&f);
}

TEST(update_raises_and_lowers_memory_and_swap_in_either_order)
{
	static const int64_t mib[][2] = { { 64, 64 }, { 256, 512 }, { 512, 1024 }, { 32, 48 }, { 128, 128 }, { -1, -1 } };
	struct fixture f;

	setup(&f);
	if (!f.h.has_swap_accounting)
		skip("this kernel has no swap accounting");
	create(&f);
	for (size_t i = 0; i < ARRAY_SIZE(mib); i++) {
		f.r.memory_limit = mib[i][0] < 0 ? -1 : mib[i][0] << 20;
		f.r.memory_swap = mib[i][1] < 0 ? -1 : mib[i][1] << 20;
		if (cgroup_update(f.cg, &f.r, &f.e) < 0)
			TAP_FAIL("%s", f.e.msg);
		if (mib[i][0] > 0)
			is_int(strtoll(value(&f, CG_MEMORY, "memory.limit_in_bytes", "memory.max"), NULL, 10), f.r.memory_limit);
	}
	teardown(&f);
}

TEST(quota_and_period_can_change_together)
{
	static const int64_t us[][2] = { { 1000000, 1000000 }, { 2000, 4000 }, { 500000, 1000000 }, { -1, 100000 } };
	struct fixture f;

	setup(&f);
	create(&f);
	for (size_t i = 0; i < ARRAY_SIZE(us); i++) {
		f.r.cpu_quota = us[i][0];
		f.r.cpu_period = us[i][1];
		if (cgroup_update(f.cg, &f.r, &f.e) < 0)
			TAP_FAIL("%s", f.e.msg);
	}
	teardown(&f);
}

TEST(quota_and_burst_can_change_together)
{
	static const int64_t us[][2] = { { 100000, 80000 }, { 20000, 10000 }, { 200000, 150000 }, { 50000, 0 } };
	struct fixture f;

	setup(&f);
	create(&f);
	if (access(tap_keep(str_fmt("%s/%s", cgroup_place_of(f.cg, CG_CPU)->dir,
				    cgroup_place_of(f.cg, CG_CPU)->is_v2 ? "cpu.max.burst" : "cpu.cfs_burst_us")),
		   F_OK) < 0) {
		teardown(&f);
		skip("this kernel has no CPU bursts (Linux 5.14)");
	}
	for (size_t i = 0; i < ARRAY_SIZE(us); i++) {
		f.r.cpu_quota = us[i][0];
		f.r.cpu_burst = us[i][1];
		if (cgroup_update(f.cg, &f.r, &f.e) < 0)
			TAP_FAIL("%s", f.e.msg);
		is_int(strtoll(value(&f, CG_CPU, "cpu.cfs_burst_us", "cpu.max.burst"), NULL, 10), us[i][1]);
	}
	teardown(&f);
}

TEST(idleness_and_weight_can_change_together)
{
	static const struct {
		int64_t idle, shares;
		const char *now;
	} rows[] = { { 1, 512, "1" }, { 0, 2048, "0" }, { SPEC_UNSET, 700, "0" } };
	struct fixture f;

	setup(&f);
	create(&f);
	if (streq(value(&f, CG_CPU, "cpu.idle", "cpu.idle"), "(unreadable)")) {
		teardown(&f);
		skip("this kernel has no cpu.idle (Linux 5.15)");
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		f.r.cpu_idle = rows[i].idle;
		f.r.cpu_shares = rows[i].shares;
		if (cgroup_update(f.cg, &f.r, &f.e) < 0)
			TAP_FAIL("%s", f.e.msg);
		is_str(value(&f, CG_CPU, "cpu.idle", "cpu.idle"), rows[i].now);
	}
	teardown(&f);
}

TEST(an_idle_cgroup_that_is_given_a_weight_says_why_it_takes_none)
{
	struct fixture f;

	setup(&f);
	create(&f);
	if (streq(value(&f, CG_CPU, "cpu.idle", "cpu.idle"), "(unreadable)")) {
		teardown(&f);
		skip("this kernel has no cpu.idle (Linux 5.15)");
	}
	f.r.cpu_idle = 1;
	is_int(cgroup_update(f.cg, &f.r, &f.e), 0);
	f.r.cpu_shares = 700;
	is_int(cgroup_update(f.cg, &f.r, &f.e), -EINVAL);
	has_str(f.e.msg, "the container is idle");
	has_str(f.e.msg, "--cpu-idle 0");
	f.e = (struct err){ 0 };
	f.r.cpu_idle = 0;
	is_int(cgroup_update(f.cg, &f.r, &f.e), 0);
	teardown(&f);
}

TEST(an_update_makes_the_cgroups_that_a_new_limit_needs)
{
	struct fixture f;
	struct cgroup *again;
	cpu_set_t set;
	pid_t pid;

	setup(&f);
	create(&f);
	pid = child(&f, sleep_long);
	wait_joined(&f, 1);
	is_int(cgroup_open(&f.h, f.path, &again, &f.e), 0);
	f.r.cpuset_cpus = strdup("0");
	if (cgroup_grow(&f.h, again, &f.r, &f.e) < 0 || cgroup_update(again, &f.r, &f.e) < 0)
		TAP_FAIL("%s", f.e.msg);
	is_int(sched_getaffinity(pid, sizeof set, &set), 0);
	is_int(CPU_COUNT(&set), 1);
	if (cgroup_grow(&f.h, again, &f.r, &f.e) < 0) /* there already */
		TAP_FAIL("%s", f.e.msg);
	is_int(cgroup_kill(again, &f.e), 0);
	waitpid(pid, NULL, 0);
	cgroup_free(f.cg);
	f.cg = again;
	free(f.r.cpuset_cpus);
	teardown(&f);
}

/* By who has made it, and whose removal takes the new ones away too: teardown looks. */
TEST(an_update_makes_them_for_the_one_who_made_the_cgroup)
{
	struct fixture f;
	cpu_set_t set;
	pid_t pid;

	setup(&f);
	create(&f);
	pid = child(&f, sleep_long);
	wait_joined(&f, 1);
	f.r.cpuset_cpus = strdup("0");
	if (cgroup_grow(&f.h, f.cg, &f.r, &f.e) < 0 || cgroup_update(f.cg, &f.r, &f.e) < 0)
		TAP_FAIL("%s", f.e.msg);
	is_int(sched_getaffinity(pid, sizeof set, &set), 0);
	is_int(CPU_COUNT(&set), 1);
	is_int(cgroup_kill(f.cg, &f.e), 0);
	waitpid(pid, NULL, 0);
	free(f.r.cpuset_cpus);
	teardown(&f);
}

TEST(kernel_memory_is_limited_or_refused)
{
	struct fixture f;
	int r;

	setup(&f);
	f.r.memory_kernel = 64 << 20;
	r = cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e);
	if (r == 0)
		is_str(value(&f, CG_MEMORY, "memory.kmem.limit_in_bytes", ""), "67108864");
	else
		has_str(f.e.msg, "memory.kernel: ");
	teardown(&f);
	setup(&f);
	f.r.memory_kernel = -1;
	create(&f);
	teardown(&f);
}

TEST(impossible_limits_name_their_flag_and_leave_nothing)
{
	struct fixture f;

	setup(&f);
	f.r.memory_limit = 64 << 20;
	f.r.memory_swap = 32 << 20;
	is_int(cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e), -EINVAL);
	has_str(f.e.msg, "--memory-swap");
	f.r.memory_limit = f.r.memory_swap = SPEC_UNSET;
	f.r.cpu_shares = 1;
	is_int(cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e), -EINVAL);
	has_str(f.e.msg, "--cpu-shares (cpu.shares): 1 ");
	f.r.cpu_shares = SPEC_UNSET;
	f.r.cpu_quota = 1;
	ok(cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e) < 0);
	has_str(f.e.msg, "--cpu");
	f.r.cpu_quota = SPEC_UNSET;
	f.r.cpuset_cpus = strdup("99999");
	ok(cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e) < 0);
	has_str(f.e.msg, "--cpuset-cpus");
	free(f.r.cpuset_cpus);
	f.r.cpuset_cpus = NULL;
	teardown(&f);
}

TEST(a_limit_whose_file_is_missing_names_flag_and_file)
{
	struct spec_hugepage three = { (char[]){ "3MB" }, 1 << 30 }; /* a size that no CPU has */
	struct fixture f;

	setup(&f);
	f.r.hugepages = &three;
	f.r.n_hugepages = 1;
	ok(cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e) < 0);
	has_str(f.e.msg, "hugepageLimits: ");
	has_str(f.e.msg, strstr(f.e.msg, "no hugetlb") ? "controller" : "hugetlb.3MB.");
	f.r.n_hugepages = 0;
	f.r.memory_kernel = 64 << 20; /* Linux 5.16 took it out of v1, v2 never had it */
	if (cgroup_create(&f.h, f.path, &f.r, &f.cg, &f.e) < 0)
		has_str(f.e.msg, "memory.kernel: ");
	f.r.memory_kernel = SPEC_UNSET;
	teardown(&f);
}

TAP_MAIN()
