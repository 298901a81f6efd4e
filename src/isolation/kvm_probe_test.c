#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "vm_impl.h"

/* A KVM in a few lines: each test says which request fails, and what running does. Lives in the probe's child. */
static unsigned long failing; /* request */
static enum { RUNS_FAST, RUNS_SLOWLY, RUNS_FOREVER, SHUTS_DOWN, DIES } behaviour;
static struct kvm_run *run_page;

static int fake_run(void)
{
	run_page->exit_reason = behaviour == SHUTS_DOWN ? KVM_EXIT_SHUTDOWN : KVM_EXIT_HLT;
	if (behaviour == RUNS_SLOWLY) {
		for (clock_t end = clock() + CLOCKS_PER_SEC / 50; clock() < end;)
			;
	}
	while (behaviour == RUNS_FOREVER)
		__asm__ volatile("");
	if (behaviour == DIES)
		abort();
	return 0;
}

static int fake_vcpu(void)
{
	int fd = memfd_create("vcpu", 0);

	if (fd < 0 || ftruncate(fd, 2 * (off_t)sizeof(struct kvm_run)) < 0)
		return -1;
	run_page = mmap(NULL, sizeof(*run_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return run_page == MAP_FAILED ? -1 : fd;
}

static int fake_call(int fd _unused_, unsigned long request, unsigned long arg)
{
	if (request == failing) {
		errno = EBUSY;
		return -1;
	}
	switch (request) {
	case KVM_GET_API_VERSION: return KVM_API_VERSION;
	case KVM_CREATE_VM: return memfd_create("vm", 0);
	case KVM_CREATE_VCPU: return fake_vcpu();
	case KVM_GET_VCPU_MMAP_SIZE: return (int)sizeof(struct kvm_run);
	case KVM_GET_SREGS: memset((void *)arg, 0, sizeof(struct kvm_sregs)); return 0;
	case KVM_RUN: return fake_run();
	default: return 0;
	}
}

static struct kvm_report probe_fake(unsigned long fails)
{
	const struct kvm_calls fake = { "/dev/null", fake_call };
	struct kvm_report r;

	failing = fails;
	kvm_probe(&fake, &r);
	return r;
}

TEST(a_kvm_that_runs_a_guest_at_the_cpus_speed_is_usable)
{
	behaviour = RUNS_FAST;
	struct kvm_report r = probe_fake(0);

	is_str(r.reason, "");
	ok(r.is_usable);
}

TEST(a_kvm_that_steps_through_its_guest_is_not)
{
	behaviour = RUNS_SLOWLY;
	struct kvm_report r = probe_fake(0);

	ok(!r.is_usable && r.ratio > 100);
	has_str(r.reason, "times slower than the CPU");
}

TEST(a_guest_that_never_ends_is_ended)
{
	behaviour = RUNS_FOREVER;
	struct kvm_report r = probe_fake(0);

	ok(!r.is_usable);
	has_str(r.reason, "did not finish a test guest");
}

TEST(a_guest_that_stops_elsewhere_did_not_run)
{
	behaviour = SHUTS_DOWN;
	struct kvm_report r = probe_fake(0);

	ok(!r.is_usable);
	has_str(r.reason, "exit reason 8");
}

TEST(a_kvm_that_kills_who_tries_it_kills_only_a_child)
{
	behaviour = DIES;
	struct kvm_report r = probe_fake(0);

	ok(!r.is_usable);
	has_str(r.reason, "killed the process");
}

TEST(every_request_that_fails_is_a_reason)
{
	static const struct {
		unsigned long request;
		const char *says;
	} rows[] = {
		{ KVM_GET_API_VERSION, "is not KVM" },
		{ KVM_CREATE_VM, "can't make a virtual machine: Device or resource busy (another hypervisor" },
		{ KVM_SET_USER_MEMORY_REGION, "takes no memory" },
		{ KVM_CREATE_VCPU, "can't make a CPU" },
		{ KVM_GET_VCPU_MMAP_SIZE, "can't make a CPU" },
		{ KVM_GET_SREGS, "does not tell" },
		{ KVM_SET_SREGS, "refuses a CPU's state" },
		{ KVM_SET_REGS, "refuses a CPU's state" },
		{ KVM_RUN, "does not run a guest" },
	};

	behaviour = RUNS_FAST;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvm_report r = probe_fake(rows[i].request);
		ok(!r.is_usable);
		has_str(r.reason, rows[i].says);
	}
}

TEST(a_missing_or_foreign_node_is_named)
{
	const struct kvm_calls missing = { "/dev/no-such-kvm", fake_call }, directory = { "/dev", fake_call };
	struct kvm_report r;

	kvm_probe(&missing, &r);
	is_str(r.reason, "there is no /dev/no-such-kvm");
	kvm_probe(&directory, &r);
	is_str(r.reason, "/dev can't be opened: Is a directory");
}

TEST(who_may_not_open_it_is_told_which_group_may)
{
	char node[] = "/tmp/berth-kvm-XXXXXX";
	const struct kvm_calls closed = { node, fake_call };
	int fd = mkstemp(node), uid = 65534;
	struct kvm_report r;

	if (geteuid() != 0)
		skip("needs root, to become somebody else");
	is_int(fchmod(fd, 0), 0);
	is_int(setresuid(uid, uid, 0), 0);
	kvm_probe(&closed, &r);
	is_int(setresuid(0, 0, 0), 0);
	unlink(node);
	has_str(r.reason, "can't be opened: Permission denied; ");
	has_str(r.reason, "usermod -aG kvm USER, and a new session");
}

TEST(this_host_is_judged_one_way_or_the_other)
{
	struct kvm_report r;

	kvm_probe(&kvm_calls_host, &r);
	printf("# usable %d, ratio %u: %s\n", r.is_usable, r.ratio, r.reason);
	is_int(r.is_usable, r.reason[0] == '\0');
	if (r.is_usable)
		ok(r.ratio < 100);
}

TAP_MAIN()
