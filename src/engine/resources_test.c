/* Limits: docker's rules on which go together, and what is out of range. */
#include "engine_impl.h"

#include "tap.h"

static struct run_opts o;
static struct spec s;
static struct err e;

static int fill(void)
{
	spec_done(&s); /* the one before: a spec of zeros at first */
	spec_init(&s);
	e = (struct err){ 0 };
	return resources_fill(&o, &s.resources, &e);
}

TEST(nothing_given_limits_only_the_number_of_processes)
{
	run_opts_init(&o);
	is_int(fill(), 0);
	ok(s.resources.memory_limit == SPEC_UNSET && s.resources.memory_swap == SPEC_UNSET &&
	   s.resources.cpu_quota == SPEC_UNSET);
	is_int(s.resources.pids_limit, 2048);
}

TEST(swap_is_twice_the_memory_unless_said)
{
	run_opts_init(&o);
	o.memory = 64 << 20;
	is_int(fill(), 0);
	is_int(s.resources.memory_swap, 128 << 20);
	o.memory_swap = -1;
	is_int(fill(), 0);
	is_int(s.resources.memory_swap, -1);
	o.memory_swap = 64 << 20;
	is_int(fill(), 0);
	is_int(s.resources.memory_swap, 64 << 20);
	o.memory_swap = 32 << 20;
	is_int(fill(), -EINVAL);
	has_str(e.msg, "can't be less than --memory");
	o.memory = SPEC_UNSET;
	is_int(fill(), -EINVAL);
	has_str(e.msg, "--memory-swap needs --memory");
}

TEST(cpus_become_a_quota_and_exclude_one)
{
	run_opts_init(&o);
	o.cpus = 1.5;
	is_int(fill(), 0);
	is_int(s.resources.cpu_period, 100000);
	is_int(s.resources.cpu_quota, 150000);
	o.cpu_quota = 5000;
	is_int(fill(), -EINVAL);
	has_str(e.msg, "say the same in two ways");
	o.cpu_quota = SPEC_UNSET;
	o.cpus = 0.001;
	is_int(fill(), -EINVAL);
}

TEST(values_out_of_range_are_named)
{
	static const struct {
		size_t offset;
		int64_t value;
		const char *says;
	} cases[] = {
		{ offsetof(struct run_opts, memory), 1024, "the least is 6m" },
		{ offsetof(struct run_opts, cpu_period), 10, "--cpu-period: 10" },
		{ offsetof(struct run_opts, cpu_quota), 10, "--cpu-quota: 10" },
		{ offsetof(struct run_opts, cpu_shares), 1, "--cpu-shares: 1" },
		{ offsetof(struct run_opts, blkio_weight), 5, "--blkio-weight: 5" },
		{ offsetof(struct run_opts, pids_limit), -2, "--pids-limit: -2" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		run_opts_init(&o);
		*(int64_t *)(void *)((char *)&o + cases[i].offset) = cases[i].value;
		is_int(fill(), -EINVAL);
		has_str(e.msg, cases[i].says);
	}
}

TEST(a_list_of_processors_is_checked)
{
	static const char *const right[] = { "0", "0-2", "0-2,4", "1,3,5" };
	static const char *const wrong[] = { "a", "0-", "-1", "0,", "0,,1", "0-2-3", " 1" };

	run_opts_init(&o);
	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		free(o.cpuset_cpus);
		o.cpuset_cpus = strdup(right[i]);
		is_int(fill(), 0);
		is_str(s.resources.cpuset_cpus, right[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		free(o.cpuset_cpus);
		o.cpuset_cpus = strdup(wrong[i]);
		is_int(fill(), -EINVAL);
		has_str(e.msg, "is not a list such as 0-2,4");
	}
}

TEST(an_unlimited_number_of_processes_is_minus_one_or_zero)
{
	run_opts_init(&o);
	o.pids_limit = -1;
	is_int(fill(), 0);
	is_int(s.resources.pids_limit, -1);
	o.pids_limit = 0;
	is_int(fill(), 0);
	is_int(s.resources.pids_limit, -1);
}

TEST(a_throttle_needs_a_block_device_and_a_rate)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {
		{ "/dev/null:1m", "/dev/null is not a block device" },
		{ "/dev/nonexistent:1m", "/dev/nonexistent: No such file" },
		{ "sda:1m", "is not DEVICE:RATE" },
		{ "/dev/sda", "is not DEVICE:RATE" },
		{ "/dev/sda:0", "a whole number above 0" },
		{ "/dev/sda:fast", "a whole number above 0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		run_opts_init(&o);
		strv_push(&o.device_read_bps, wrong[i].text);
		ok(fill() < 0);
		has_str(e.msg, "--device-read-bps");
		has_str(e.msg, wrong[i].says);
		run_opts_done(&o);
	}
}

TEST(freezing_instead_of_killing_needs_a_limit)
{
	run_opts_init(&o);
	o.oom_kill_disable = true;
	is_int(fill(), -EINVAL);
	o.memory = 64 << 20;
	is_int(fill(), 0);
	ok(s.resources.oom_kill_disable);
}

TAP_MAIN()
