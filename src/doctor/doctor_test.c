/* Facts from a tree of files, and what the rules make of facts. */
#include <fcntl.h>

#include "facts.h"
#include "tap.h"

static char top[] = "/tmp/berth-doctor-XXXXXX";

static void put(const char *path, const char *text)
{
	_cleanup_free_ char *dir = strdup(path);

	*strrchr(dir, '/') = '\0';
	ok(mkdir_p(AT_FDCWD, dir, 0755) == 0);
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ok(fd >= 0);
	is_int(fd_write_full(fd, text, strlen(text)), 0);
}

TEST(facts_are_read_from_the_kernels_files)
{
	struct facts f = { 0 };

	ok(mkdtemp(top) && chdir(top) == 0);
	put("proc/self/ns/mnt", "");
	put("proc/self/ns/user", "");
	put("proc/sys/user/max_user_namespaces", "0\n");
	put("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
	put("proc/sys/kernel/unprivileged_userns_clone", "0\n");
	put("proc/filesystems", "nodev\tsysfs\n\text4\nnodev\toverlay\n");
	put("proc/sys/kernel/seccomp/actions_avail", "kill_process kill_thread trap errno allow\n");
	put("proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\nSwapTotal:       512 kB\n");
	put("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu svm hypervisor\n\nprocessor\t: 1\n");
	put("proc/sys/kernel/pid_max", "4194304\n");
	put("sys/module/kvm_amd/parameters/nested", "1\n");
	put("sys/devices/system/cpu/smt/active", "1\n");
	put("sys/devices/system/cpu/vulnerabilities/mds", "Vulnerable: Clear CPU buffers attempted, no microcode\n");
	put("sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n");
	put("sys/devices/system/cpu/vulnerabilities/tsa", "Vulnerable\n");
	put("sys/kernel/mm/ksm/run", "1\n");
	put("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3\n");
	put("sys/kernel/security/lsm", "capability,landlock\n");
	put("run/systemd/system", "");
	_cleanup_fd_ int slash = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	facts_read(&f, slash);
	ok(f.has_ns[FACT_NS_MNT] && f.has_ns[FACT_NS_USER] && !f.has_ns[FACT_NS_NET]);
	ok(f.max_user_ns == 0 && f.is_userns_restricted && f.is_userns_off && f.has_overlay && f.has_seccomp);
	ok(f.mem_total == 2 << 20 && f.mem_available == 1 << 20 && f.swap_total == 512 << 10 && f.huge_free == 6 << 20);
	ok(f.is_guest && f.is_nesting && f.is_smt_on && f.is_ksm_on && f.has_systemd && !f.has_journal);
	is_int(f.pid_max, 4194304);
	is_str(f.vulnerable, "mds, tsa");
	is_str(f.lsm, "capability,landlock");
	facts_done(&f);
	ok(chdir("/") == 0);
	is_int(rm_rf(AT_FDCWD, top), 0);
}

TEST(what_is_not_there_is_no_error)
{
	struct facts f = { 0 };

	ok(mkdtemp(top));
	_cleanup_fd_ int slash = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	facts_read(&f, slash);
	ok(!f.is_userns_off && !f.has_overlay && !f.has_seccomp && !f.vulnerable && !f.lsm && !f.mem_total &&
	   f.max_user_ns == -1);
	facts_done(&f);
	is_int(rm_rf(AT_FDCWD, top), 0);
}

/* A host on which there is nothing to complain about. */
static void make_good(struct facts *f)
{
	static char store[] = "/var/lib/berth", type[] = "ext4", kernel[] = "6.1", lsm[] = "landlock";

	*f = (struct facts){
		.max_user_ns = 1000,
		.has_overlay = true,
		.has_seccomp = true,
		.has_journal = true,
		.has_systemd = true,
		.lsm = lsm,
		.mem_total = 8ull << 30,
		.mem_available = 4ull << 30,
		.swap_total = 1 << 30,
		.pid_max = 4194304,
		.threads_max = 200000,
		.inotify_instances = 128,
		.host = { .cgroup = CGROUP_V2, .cgroup_v2_ctrls = ~0u, .has_swap_accounting = true, .landlock_abi = 3 },
		.is_root = true,
		.nofile = 1 << 20,
		.store = store,
		.store_type = type,
		.store_free = 10ull << 30,
		.store_size = 100ull << 30,
		.kernel = kernel
	};
	memset(f->has_ns, true, sizeof(f->has_ns));
	memset(f->has_call, true, sizeof(f->has_call));
	memset(f->has_program, true, sizeof(f->has_program));
}

/* The same for a user. */
static void make_good_user(struct facts *f)
{
	static char run[] = "/run/user/1000/berth";

	make_good(f);
	f->is_root = false;
	f->user = (struct facts_user){ .uids = 65536, .gids = 65536, .run = run, .has_cgroup = true, .ctrls = ~0u };
}

static enum doctor_level level_of(const struct facts *f, const char *area, const char *subject, char *ret_text, size_t size)
{
	struct doctor_finding *list = NULL;
	enum doctor_level l = DOCTOR_OK;
	struct err e = { 0 };
	bool found = false;
	size_t n = 0;

	is_int(rules_judge(f, &list, &n, &e), 0);
	for (size_t i = 0; i < n; i++)
		if (streq(list[i].area, area) && streq(list[i].subject, subject)) {
			l = list[i].level;
			found = true;
			snprintf(ret_text, size, "%s -> %s", list[i].text, list[i].remedy ? list[i].remedy : "");
		}
	doctor_done(list, n);
	ok(found);
	return l;
}

static size_t complaints_expected_none(const struct facts *f, bool is_user)
{
	struct doctor_finding *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	is_int(rules_judge(f, &list, &n, &e), 0);
	for (size_t i = 0; i < n; i++)
		ok(is_user || !streq(list[i].area, "user"));
	for (size_t i = 0; i < n; i++)
		if (list[i].level != DOCTOR_OK || list[i].remedy)
			TAP_FAIL("%s/%s: %s", list[i].area, list[i].subject, list[i].text);
	doctor_done(list, n);
	return n;
}

TEST(a_good_host_has_no_complaints)
{
	struct facts f;
	size_t n;

	make_good(&f);
	n = complaints_expected_none(&f, false);
	ok(n > 20);
	make_good_user(&f);
	ok(complaints_expected_none(&f, true) > n);
}

static char said[] = "why it does not work", nfs[] = "nfs", mds[] = "mds", hierarchy[] = "/sys/fs/cgroup/x";
static void no_program(struct facts *f) { f->missing = said; }
static void on_nfs(struct facts *f) { f->store_type = nfs; }
static void full(struct facts *f) { f->store_free = 1 << 20; }
static void no_memory(struct facts *f) { f->mem_available = 1 << 20; }
static void no_swap(struct facts *f) { f->swap_total = 0; }
static void no_swap_accounting(struct facts *f) { f->host.has_swap_accounting = false; }
static void few_files(struct facts *f) { f->nofile = 1024; }
static void few_pids(struct facts *f) { f->threads_max = 1000; }
static void few_watches(struct facts *f) { f->inotify_instances = 8; }
static void smt(struct facts *f) { f->is_smt_on = true; }
static void flaws(struct facts *f) { f->vulnerable = mds; }
static void ksm(struct facts *f) { f->is_ksm_on = true; }
static void no_systemd(struct facts *f) { f->has_systemd = false; }
static void no_journal(struct facts *f) { f->has_journal = false; }
static void no_containers(struct facts *f) { f->container_trouble = said; }
static void hybrid(struct facts *f)
{
	f->host.cgroup = CGROUP_HYBRID;
	f->host.cgroup_v2_ctrls = 0;
	for (int c = 0; c < CG_CTRL_COUNT; c++)
		f->host.cgroup_v1[c] = hierarchy;
}
static void no_pids(struct facts *f) { f->host.cgroup_v2_ctrls = ~(1u << CG_PIDS); }
static void no_cgroups(struct facts *f) { f->host.cgroup = CGROUP_NONE; }
static void no_net_ns(struct facts *f) { f->has_ns[FACT_NS_NET] = false; }
static void no_user_ns(struct facts *f) { f->max_user_ns = 0; }
static void userns_restricted(struct facts *f) { f->is_userns_restricted = true; }
static void no_overlay(struct facts *f) { f->has_overlay = false; }
static void no_openat2(struct facts *f) { f->has_call[FACT_CALL_OPENAT2] = false; }
static void no_fsopen(struct facts *f) { f->has_call[FACT_CALL_OPENAT2] = f->has_call[FACT_CALL_FSOPEN] = false; }
static void no_seccomp(struct facts *f) { f->has_seccomp = false; }
static void no_landlock(struct facts *f) { f->host.landlock_abi = 0; }
static void no_criu(struct facts *f) { f->has_program[FACT_CRIU] = false; }
static void no_ps(struct facts *f) { f->has_program[FACT_PS] = false; }
static void emulated(struct facts *f) { f->vm_note = said; }
static void emulated_in_a_vm(struct facts *f)
{
	f->vm_note = said;
	f->is_guest = true;
}
static void no_vms(struct facts *f)
{
	f->vm_trouble = said;
	f->has_program[FACT_QEMU] = false;
}
static void no_qemu(struct facts *f) { f->has_program[FACT_QEMU] = false; }
static void no_virtiofsd(struct facts *f)
{
	f->vm_note = said;
	f->has_program[FACT_VIRTIOFSD] = false;
}
static void no_kernel(struct facts *f) { f->kernel = NULL; }
static void no_kernel_nor_apt(struct facts *f)
{
	f->kernel = NULL;
	f->has_program[FACT_APT] = false;
}
static void no_erofs(struct facts *f) { f->has_program[FACT_MKFS_EROFS] = false; }
static void no_qcow2(struct facts *f) { f->has_program[FACT_QEMU_STORAGE] = false; }

TEST(what_is_missing_is_named_with_the_remedy)
{
	static const struct {
		void (*spoil)(struct facts *f);
		const char *area, *subject;
		enum doctor_level level;
		const char *text; /* a part */
	} rows[] = {
		{ no_program, "host", "programs", DOCTOR_ERROR, "-> install Berth" },
		{ on_nfs, "host", "store", DOCTOR_ERROR, "nfs" },
		{ full, "host", "store", DOCTOR_WARNING, "-> berth system prune" },
		{ no_memory, "host", "memory", DOCTOR_WARNING, "-> give VMs less" },
		{ no_swap, "host", "swap", DOCTOR_NOTE, "swapon" },
		{ no_swap_accounting, "host", "swap", DOCTOR_WARNING, "-> boot with swapaccount=1" },
		{ few_files, "host", "limits", DOCTOR_NOTE, "1024 open files" },
		{ few_pids, "host", "limits", DOCTOR_NOTE, "1000 processes" },
		{ few_watches, "host", "limits", DOCTOR_NOTE, "-> sysctl fs.inotify" },
		{ smt, "host", "SMT", DOCTOR_NOTE, "smt/control" },
		{ flaws, "host", "CPU flaws", DOCTOR_WARNING, "not mitigated: mds" },
		{ ksm, "host", "KSM", DOCTOR_NOTE, "-> echo 2 >/sys/kernel/mm/ksm/run" },
		{ no_systemd, "host", "service", DOCTOR_NOTE, "-> let the boot call" },
		{ no_journal, "host", "service", DOCTOR_NOTE, "journald is refused" },
		{ no_containers, "container", "isolation", DOCTOR_ERROR, "why it does not work" },
		{ no_cgroups, "container", "cgroups", DOCTOR_ERROR, "-> mount -t cgroup2" },
		{ hybrid, "container", "cgroups", DOCTOR_NOTE, "-> boot with systemd.unified" },
		{ no_pids, "container", "cgroups", DOCTOR_WARNING, "--pids-limit" },
		{ no_net_ns, "container", "namespaces", DOCTOR_ERROR, "none of: net" },
		{ no_user_ns, "container", "namespaces", DOCTOR_WARNING, "-> sysctl user.max_user" },
		{ userns_restricted, "container", "namespaces", DOCTOR_NOTE, "AppArmor" },
		{ no_overlay, "container", "root", DOCTOR_ERROR, "-> modprobe overlay" },
		{ no_openat2, "container", "system calls", DOCTOR_NOTE, "no openat2 (Linux 5.6)" },
		{ no_fsopen, "container", "system calls", DOCTOR_ERROR, "no fsopen" },
		{ no_seccomp, "container", "seccomp", DOCTOR_ERROR, "-> a kernel with CONFIG_SECCOMP_FILTER" },
		{ no_landlock, "container", "Landlock", DOCTOR_NOTE, "lsm=" },
		{ no_criu, "container", "helpers", DOCTOR_NOTE, "-> install the package criu" },
		{ no_ps, "container", "helpers", DOCTOR_WARNING, "-> install the package procps" },
		{ emulated, "vm", "isolation", DOCTOR_WARNING, "firmware" },
		{ emulated_in_a_vm, "vm", "isolation", DOCTOR_WARNING, "nested virtualisation" },
		{ no_vms, "vm", "isolation", DOCTOR_ERROR, "why it does not work" },
		{ no_vms, "vm", "emulator", DOCTOR_ERROR, "-> install the package qemu" },
		{ no_qemu, "vm", "emulator", DOCTOR_OK, "nothing needs here" },
		{ no_virtiofsd, "vm", "emulator", DOCTOR_WARNING, "-> install the package virtiofsd" },
		{ no_kernel, "vm", "kernel", DOCTOR_NOTE, "berth kernel build" },
		{ no_kernel_nor_apt, "vm", "kernel", DOCTOR_WARNING, "--kernel PATH" },
		{ no_erofs, "vm", "disks", DOCTOR_ERROR, "-> install the package erofs-utils" },
		{ no_qcow2, "vm", "disks", DOCTOR_NOTE, "raw disks only" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[512];
		struct facts f;
		make_good(&f);
		rows[i].spoil(&f);
		is_int(level_of(&f, rows[i].area, rows[i].subject, text, sizeof(text)), rows[i].level);
		has_str(text, rows[i].text);
	}
}

static void no_user_namespaces(struct facts *f) { f->user.ns_error = EPERM; }
static void none_allowed(struct facts *f)
{
	f->user.ns_error = ENOSPC;
	f->max_user_ns = 0;
}
static void switched_off(struct facts *f)
{
	f->user.ns_error = EPERM;
	f->is_userns_off = true;
}
static void apparmor(struct facts *f)
{
	f->user.ns_error = EACCES;
	f->is_userns_restricted = true;
}
static void no_uids(struct facts *f) { f->user.uids = 0; }
static void no_gids(struct facts *f) { f->user.gids = 0; }
static void few_ids(struct facts *f) { f->user.gids = 1000; }
static void secret_ids(struct facts *f) { f->user.ids_trouble = said; }
static void no_mapper(struct facts *f) { f->user.no_mapper = "newgidmap"; }
static void no_pasta(struct facts *f) { f->has_program[FACT_PASTA] = false; }
static void no_tun(struct facts *f) { f->user.tun_error = EACCES; }
static void anothers_run(struct facts *f) { f->user.run_error = EPERM; }
static void run_in_tmp(struct facts *f)
{
	static char tmp[] = "/tmp/berth-1000";

	f->user.run = tmp;
}
static void none_delegated(struct facts *f)
{
	f->user.has_cgroup = false;
	f->user.ctrls = 0;
}
static void none_delegated_of_v1(struct facts *f)
{
	none_delegated(f);
	f->host.cgroup = CGROUP_HYBRID;
}
static void some_delegated(struct facts *f) { f->user.ctrls = 1u << CG_MEMORY | 1u << CG_PIDS; }

TEST(what_a_user_s_containers_lack_is_named_with_the_remedy)
{
	static const struct {
		void (*spoil)(struct facts *f);
		const char *subject;
		enum doctor_level level;
		const char *text, *remedy; /* parts */
	} rows[] = {
		{ no_user_namespaces, "namespaces", DOCTOR_ERROR, "not permitted", "-> let what is around" },
		{ none_allowed, "namespaces", DOCTOR_ERROR, "No space", "-> as root: sysctl user.max_user_namespaces=" },
		{ switched_off, "namespaces", DOCTOR_ERROR, "not permitted", "sysctl kernel.unprivileged_userns_clone=1" },
		{ apparmor, "namespaces", DOCTOR_ERROR, "denied", "kernel.apparmor_restrict_unprivileged_userns=0" },
		{ no_uids, "ids", DOCTOR_WARNING, "/etc/subuid grants none", "-> as root: usermod --add-subuids" },
		{ no_gids, "ids", DOCTOR_WARNING, "/etc/subgid grants none", "--add-subgids" },
		{ few_ids, "ids", DOCTOR_WARNING, "1000: users of images", "--add-subgids" },
		{ secret_ids, "ids", DOCTOR_ERROR, "why it does not work", "-> let this user read" },
		{ no_mapper, "ids", DOCTOR_ERROR, "no newgidmap", "-> install the package uidmap" },
		{ no_pasta, "network", DOCTOR_ERROR, "--network none or host", "-> install the package passt" },
		{ no_tun, "network", DOCTOR_ERROR, "/dev/net/tun: Permission denied", "-> as root: modprobe tun" },
		{ anothers_run, "run directory", DOCTOR_ERROR, "/run/user/1000/berth can't be written", "XDG_RUNTIME_DIR" },
		{ run_in_tmp, "run directory", DOCTOR_NOTE, "/tmp/berth-1000", "-> log in as this user" },
		{ none_delegated, "cgroup", DOCTOR_WARNING, "limits and pauses of containers", "systemd-run --user --scope" },
		{ none_delegated_of_v1, "cgroup", DOCTOR_WARNING, "limits", "-> boot with systemd.unified_cgroup_hierarchy=1" },
		{ some_delegated, "cgroup", DOCTOR_WARNING, "without what --cpus, --cpuset-cpus needs", "delegate.conf" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[512];
		struct facts f;

		make_good_user(&f);
		rows[i].spoil(&f);
		is_int(level_of(&f, "user", rows[i].subject, text, sizeof(text)), rows[i].level);
		has_str(text, rows[i].text);
		has_str(text, rows[i].remedy);
	}
}

TEST(a_user_who_may_not_open_kvm_is_told_of_its_group)
{
	char text[512];
	struct facts f;

	make_good_user(&f);
	f.vm_note = said;
	f.user.kvm_error = EACCES;
	is_int(level_of(&f, "vm", "isolation", text, sizeof(text)), DOCTOR_WARNING);
	has_str(text, "-> as root: usermod --append --groups kvm USER");
	f.user.kvm_error = 0;
	is_int(level_of(&f, "vm", "isolation", text, sizeof(text)), DOCTOR_WARNING);
	has_str(text, "firmware");
	is_int(level_of(&f, "host", "service", text, sizeof(text)), DOCTOR_OK);
	has_str(text, "systemctl --user enable berth-restart");
}

TEST(this_host_is_looked_at_without_a_trace)
{
	struct doctor_finding *list = NULL;
	struct paths p = { 0 };
	struct err e = { 0 };
	size_t n = 0;

	is_int(paths_name(&p, "/tmp/berth-doctor-no-such-store/root", "/tmp/berth-doctor-no-such-store/run", &e), 0);
	is_int(doctor_look(&p, &list, &n, &e), 0);
	ok(n > 20);
	for (size_t i = 0; i < n; i++)
		ok(list[i].text && *list[i].text && !strchr(list[i].text, '\n'));
	ok(access("/tmp/berth-doctor-no-such-store", F_OK) < 0);
	doctor_done(list, n);
	paths_done(&p);
}
TAP_MAIN()
