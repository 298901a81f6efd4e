/* A VM without a cgroup: what it is held to all the same, and what is refused. */
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "vm_impl.h"

TEST(what_only_the_host_can_hold_is_refused_by_name)
{
	static char set[] = "0";
	struct spec_throttle throttle = { .rate = 1 };
	static const char *const names[] = { "--cpu-shares: ",       "--cpuset-cpus: ",      "--cpuset-mems: ",
					     "--blkio-weight: ",     "--device-read-bps: ",  "--device-write-bps: ",
					     "--device-read-iops: ", "--device-write-iops: " };

	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		struct spec_resources r;
		struct err e = { 0 };

		spec_resources_init(&r);
		r.cpu_shares = k == 0 ? 512 : SPEC_UNSET;
		r.cpuset_cpus = k == 1 ? set : NULL;
		r.cpuset_mems = k == 2 ? set : NULL;
		r.blkio_weight = k == 3 ? 100 : SPEC_UNSET;
		r.read_bps = r.write_bps = r.read_iops = r.write_iops = &throttle;
		r.n_read_bps = k == 4;
		r.n_write_bps = k == 5;
		r.n_read_iops = k == 6;
		r.n_write_iops = k == 7;
		is_int(vm_check_no_cgroup(&r, &e), -EPERM);
		ok(str_after(e.msg, names[k]));
		has_str(e.msg, "Delegate=yes");
	}
}

TEST(what_the_guest_is_held_to_anyway_is_not)
{
	struct spec_resources r;

	spec_resources_init(&r);
	is_int(vm_check_no_cgroup(&r, NULL), 0);
	r.memory_limit = 64 * MIB;
	r.cpu_quota = 50000;
	r.pids_limit = 100;
	is_int(vm_check_no_cgroup(&r, NULL), 0);
}

TEST(without_one_it_is_paused_by_a_signal_that_it_can_not_refuse_and_is_killed_all_the_same)
{
	struct host none = { .cgroup = CGROUP_NONE };
	struct instance i = { .cfg = { .host = &none } };
	struct err e = { 0 };
	int status;

	i.vmm = fork();
	if (i.vmm == 0)
		for (;;)
			pause();
	i.vmm_pidfd = (int)syscall(SYS_pidfd_open, i.vmm, 0);
	ok(i.vmm_pidfd >= 0);
	is_int(vm_cgroup_freeze(&i, true, &e), 0);
	ok(pid_is_stopped(i.vmm));
	is_int(vm_cgroup_freeze(&i, false, &e), 0);
	for (int k = 0; k < 1000 && pid_is_stopped(i.vmm); k++)
		usleep(10000);
	ok(!pid_is_stopped(i.vmm));
	is_int(vm_cgroup_freeze(&i, true, &e), 0);
	i.is_paused = true;
	vm_cgroup_thaw(&i);
	is_int(vm_limit_memory(&i, MIB, &e), 0);
	is_int(vm_cgroup_attach(NULL, i.vmm, &e), 0);
	is_int(pidfd_kill(i.vmm_pidfd, SIGKILL), 0);
	is_int(spawn_wait(i.vmm, &status), 0);
	is_int(WTERMSIG(status), SIGKILL);
	is_int(vm_cgroup_freeze(&i, true, &e), -ESRCH);
	has_str(e.msg, "the virtual machine's process");
}

TAP_MAIN()
