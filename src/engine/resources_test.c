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

TEST(docker_words_of_weights_and_swappiness)
{
	struct spec_resources r;
	struct run_opts given;

	run_opts_init(&given);
	spec_resources_init(&r);
	given.memory_swappiness = 101;
	is_int(resources_fill(&given, &r, &e), -EINVAL);
	has_str(e.msg, "Valid memory swappiness range is 0-100");
	given.memory_swappiness = 0;
	is_int(resources_fill(&given, &r, &e), 0);
	is_int(r.memory_swappiness, 0);
	given.memory_swappiness = -1;
	static const struct {
		const char *text, *why;
	} weights[] = {
		{ "/dev/null:500", "is not a block device" },
		{ "/dev/null", "is not DEVICE:WEIGHT" },
		{ "/dev/null:5", "a number from 10 to 1000" },
		{ "/dev/no-such-node:500", "No such file" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(weights); i++) {
		is_int(strv_push(&given.blkio_weight_devices, weights[i].text), 0);
		ok(resources_fill(&given, &r, &e) < 0);
		has_str(e.msg, weights[i].why);
		strv_free(given.blkio_weight_devices);
		given.blkio_weight_devices = NULL;
	}
	is_int(strv_push(&given.cgroup_conf, "memory.high"), 0);
	is_int(resources_fill(&given, &r, &e), -EINVAL);
	has_str(e.msg, "is not FILE=VALUE");
	run_opts_done(&given);
	spec_resources_done(&r);
}

TEST(device_rules_are_dockers)
{
	static const struct {
		const char *text;
		int r;
		char type;
		int64_t major, minor;
		const char *access;
	} rows[] = {
		{ "c 1:3 rwm", 0, 'c', 1, 3, "rwm" },    { "b 8:* r", 0, 'b', 8, -1, "r" },
		{ "a *:* m", 0, 'a', -1, -1, "m" },      { "c 1:3", -EINVAL, 0, 0, 0, NULL },
		{ "c 1:3 rwx", -EINVAL, 0, 0, 0, NULL }, { "x 1:3 rw", -EINVAL, 0, 0, 0, NULL },
		{ "c 1 rw", -EINVAL, 0, 0, 0, NULL },    { "c 1:3 ", -EINVAL, 0, 0, 0, NULL },
		{ "cc 1:3 r", -EINVAL, 0, 0, 0, NULL },  { "c -1:3 r", -EINVAL, 0, 0, 0, NULL },
		{ "", -EINVAL, 0, 0, 0, NULL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec_resources r;
		spec_resources_init(&r);
		is_int(device_rule_add(&r, rows[i].text, &e), rows[i].r);
		if (rows[i].r == 0) {
			is_int(r.n_devices, 1);
			ok(r.devices[0].allow && r.devices[0].type == rows[i].type && r.devices[0].major == rows[i].major &&
			   r.devices[0].minor == rows[i].minor);
			is_str(r.devices[0].access, rows[i].access);
		} else {
			has_str(e.msg, "invalid device cgroup format");
		}
		spec_resources_done(&r);
	}
}

TAP_MAIN()
