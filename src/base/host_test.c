#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "host.h"
#include "str.h"
#include "tap.h"

TEST(the_layout_is_what_is_mounted)
{
	struct host h = { 0 };
	struct err e = { 0 };
	struct stat st;
	bool any_v1 = false;

	if (host_probe_cgroup(&h, &e) < 0)
		TAP_FAIL("%s", e.msg);
	for (int c = 0; c < CG_CTRL_COUNT; c++) {
		if (!h.cgroup_v1[c])
			continue;
		any_v1 = true;
		/* A v1 hierarchy's root holds this; a plain folder doesn't. */
		char *file = tap_keep(str_fmt("%s/cgroup.procs", h.cgroup_v1[c]));
		is_int(stat(file, &st), 0);
		/* No controller is on both sides. */
		ok(!(h.cgroup_v2_ctrls & 1u << c));
	}
	if (h.cgroup_v2) {
		char *file = tap_keep(str_fmt("%s/cgroup.controllers", h.cgroup_v2));
		is_int(stat(file, &st), 0);
	}
	is_int(h.cgroup, h.cgroup_v2 ? any_v1 ? CGROUP_HYBRID : CGROUP_V2 : any_v1 ? CGROUP_V1 : CGROUP_NONE);
	ok(h.caps_bounding != 0);
	host_done(&h);
	ok(!h.cgroup_v2);
}

TEST(the_usual_places_and_the_list_of_mounts_agree)
{
	struct host quick = { 0 }, whole = { 0 };
	struct err e = { 0 };

	is_int(host_probe_cgroup(&quick, &e), 0);
	is_int(host_probe_cgroup_mounts(&whole, &e), 0);
	is_int(quick.cgroup, whole.cgroup);
	ok(quick.cgroup_v2_ctrls == whole.cgroup_v2_ctrls && quick.caps_bounding == whole.caps_bounding);
	ok(streq0(quick.cgroup_v2, whole.cgroup_v2) || (!quick.cgroup_v2 && !whole.cgroup_v2));
	for (int c = 0; c < CG_CTRL_COUNT; c++)
		ok(!quick.cgroup_v1[c] == !whole.cgroup_v1[c] &&
		   (!quick.cgroup_v1[c] || streq(quick.cgroup_v1[c], whole.cgroup_v1[c])));
	host_done(&quick);
	host_done(&whole);
}

TEST(swap_accounting_is_what_the_files_say)
{
	struct host h = { 0 };
	struct err e = { 0 };
	struct stat st;

	is_int(host_probe_cgroup(&h, &e), 0);
	if (!h.cgroup_v1[CG_MEMORY])
		skip("memory is not on v1 here");
	char *knob = tap_keep(str_fmt("%s/memory.memsw.limit_in_bytes", h.cgroup_v1[CG_MEMORY]));
	is_int(h.has_swap_accounting, stat(knob, &st) == 0);
	host_done(&h);
}

TEST(the_rest_is_plausible)
{
	struct host h = { 0 };
	struct err e = { 0 };

	is_int(host_probe(&h, &e), 0);
	ok(h.n_cpus >= 1 && h.n_cpus <= get_nprocs_conf());
	ok(h.mem_bytes > (64ull << 20));
	ok(h.kernel[0] >= '1' && h.kernel[0] <= '9');
	ok(strlen(h.os_name) > 0 && !strchr(h.os_name, '"'));
	ok(h.landlock_abi >= 0);
	host_done(&h);
}

TEST(controllers_have_their_kernel_names)
{
	is_str(cgroup_ctrl_name(CG_CPU), "cpu");
	is_str(cgroup_ctrl_name(CG_RDMA), "rdma");
	for (int c = 0; c < CG_CTRL_COUNT; c++)
		ok(cgroup_ctrl_name((enum cgroup_ctrl)c));
	ok(!cgroup_ctrl_name(CG_CTRL_COUNT));
}

TAP_MAIN()
