/* What `update` makes of what was given and what a container has: docker's rules over both together, and only what changes. */
#include "engine_impl.h"

#include "tap.h"

static struct run_opts has, given;
static struct spec_resources r;
static struct err e;

static void begin(void)
{
	spec_resources_done(&r);
	spec_resources_init(&r);
	run_opts_done(&has);
	run_opts_done(&given);
	e = (struct err){ 0 };
}

static int plan(void) { return update_plan(&given, &has, &r, &e); }

TEST(nothing_given_is_an_error)
{
	begin();
	is_int(plan(), -EINVAL);
	has_str(e.msg, "--memory");
}

TEST(only_what_is_given_changes)
{
	begin();
	has.memory = 64 << 20;
	has.cpu_shares = 512;
	given.pids_limit = 99;
	is_int(plan(), 0);
	is_int(r.pids_limit, 99);
	ok(r.memory_limit == SPEC_UNSET && r.cpu_shares == SPEC_UNSET && r.cpu_quota == SPEC_UNSET);
	is_int(has.pids_limit, 99);
	is_int(has.memory, 64 << 20);
}

TEST(how_far_a_vm_may_grow_is_kept_and_changes_nothing_that_runs)
{
	begin();
	has.memory = 64 << 20;
	given.memory_max = 1 << 30;
	given.cpus_max = 2;
	is_int(plan(), 0);
	ok(r.memory_limit == SPEC_UNSET && r.cpu_quota == SPEC_UNSET);
	is_int(has.memory_max, 1 << 30);
	is_int(has.cpus_max, 2);
}

TEST(a_vm_may_grow_while_it_runs_as_far_as_it_is_said_and_not_to_less_than_it_has)
{
	struct launch l = { 0 };

	begin();
	given.memory = 64 << 20;
	guest_size(&given, &l);
	is_int(l.vm_mem_max, 0);
	is_int(l.vm_cpus_max, 0);
	given.memory_max = 128 << 20;
	given.cpus_max = 1;
	is_int(guest_check_max(&given, &e), 0);
	guest_size(&given, &l);
	is_int(l.vm_mem_max, 128 << 20);
	is_int(l.vm_cpus_max, 1);

	given.memory_max = 32 << 20;
	is_int(guest_check_max(&given, &e), -EINVAL);
	has_str(e.msg, "--memory-max: 32 MiB");
	given.memory = SPEC_UNSET;
	given.memory_max = 300 << 20; /* 512m is what it starts with */
	is_int(guest_check_max(&given, &e), -EINVAL);
	given.memory_max = (int64_t)257 << 30;
	is_int(guest_check_max(&given, &e), -EINVAL);
	has_str(e.msg, "256g");
	given.memory_max = SPEC_UNSET;
	for (int64_t n = 0; n <= 100000; n += 100000) {
		given.cpus_max = n;
		is_int(guest_check_max(&given, &e), -EINVAL);
		has_str(e.msg, "--cpus-max");
	}
	given.cpus_max = 1;
	given.cpus = 1.5;
	is_int(guest_check_max(&given, &e), -EINVAL);
	given.memory_max = SPEC_UNSET;
	is_int(guest_refuse_max(&given, &e), -EINVAL);
	has_str(e.msg, "--cpus-max is for virtual machines");
}

TEST(memory_takes_its_swap_with_it_and_both_are_judged_together)
{
	begin();
	has.memory = 64 << 20;
	given.memory = 128 << 20;
	is_int(plan(), 0);
	is_int(r.memory_limit, 128 << 20);
	is_int(r.memory_swap, 256 << 20);

	begin();
	has.memory = 64 << 20;
	has.memory_swap = 96 << 20;
	given.memory = 128 << 20;
	is_int(plan(), -EINVAL);
	has_str(e.msg, "--memory-swap");

	begin();
	given.memory_swap = 96 << 20;
	is_int(plan(), -EINVAL);
	has_str(e.msg, "needs --memory");

	begin();
	has.memory = 64 << 20;
	given.memory_swap = -1;
	is_int(plan(), 0);
	is_int(r.memory_swap, -1);
	is_int(r.memory_limit, 64 << 20);

	begin();
	given.memory = 1 << 20;
	is_int(plan(), -EINVAL);
	has_str(e.msg, "6m");
}

TEST(cpus_and_quota_replace_each_other)
{
	begin();
	has.cpu_quota = 20000;
	has.cpu_period = 50000;
	given.cpus = 0.5;
	is_int(plan(), 0);
	is_int(r.cpu_quota, 50000);
	is_int(r.cpu_period, 100000);
	ok(has.cpu_quota == SPEC_UNSET && has.cpu_period == SPEC_UNSET);

	begin();
	has.cpus = 0.5;
	given.cpu_quota = 20000;
	is_int(plan(), 0);
	is_int(r.cpu_quota, 20000);
	ok(has.cpus == 0);

	begin();
	given.cpus = 100000;
	is_int(plan(), -EINVAL);
	has_str(e.msg, "more than this host has");
}

TEST(lists_and_weights_are_judged_as_at_the_creation)
{
	begin();
	given.cpuset_cpus = strdup("0-x");
	is_int(plan(), -EINVAL);
	has_str(e.msg, "--cpuset-cpus");

	begin();
	given.cpuset_cpus = strdup("0");
	given.blkio_weight = 300;
	given.cpu_shares = 2048;
	is_int(plan(), 0);
	is_str(r.cpuset_cpus, "0");
	is_str(has.cpuset_cpus, "0");
	is_int(r.blkio_weight, 300);
	is_int(r.cpu_shares, 2048);
	ok(r.pids_limit == SPEC_UNSET);

	begin();
	given.pids_limit = -1;
	is_int(plan(), 0);
	is_int(r.pids_limit, -1);
	begin();
}

TAP_MAIN()
