/* The table of rules: what each fact means for who wants to run something, and what to do about it. A rule speaks once, whatever it finds. */
#include "rules.h"

#include <stdio.h>

void say(struct verdict *v, enum doctor_level level, char *text, const char *remedy)
{
	v->level = level;
	v->text = text;
	v->remedy = remedy ? strdup(remedy) : NULL;
	v->failed = !text || (remedy && !v->remedy);
}

static char *gib(uint64_t bytes, char buf[16])
{
	snprintf(buf, 16, "%.1f GiB", (double)bytes / (1 << 30));
	return buf;
}

/* ---- host ---- */

static void judge_system(const struct facts *f, struct verdict *v)
{
	say(v, DOCTOR_OK, str_fmt("%s, Linux %s", f->host.os_name, f->host.kernel), NULL);
}

static void judge_privileges(const struct facts *f, struct verdict *v)
{
	if (f->is_root)
		say(v, DOCTOR_OK, str_fmt("root"), NULL);
	else
		say(v, DOCTOR_OK, str_fmt("not root: containers, VMs and networks are this user's own"), NULL);
}

static void judge_programs(const struct facts *f, struct verdict *v)
{
	if (f->missing)
		say(v, DOCTOR_ERROR, str_fmt("missing of Berth itself: %s", f->missing),
		    "install Berth completely, or point BERTH_LIBEXECDIR at its programs");
	else
		say(v, DOCTOR_OK, str_fmt("all of Berth's own are there"), NULL);
}

#define STORE_ENOUGH (2ull << 30)

static void judge_store(const struct facts *f, struct verdict *v)
{
	static const char *const not_below_overlay[] = { "nfs", "overlay", "vfat", "fuse", "ecryptfs" };
	char free_text[16], size_text[16];
	const char *type = f->store_type ? f->store_type : "a file system";

	for (size_t i = 0; i < ARRAY_SIZE(not_below_overlay); i++)
		if (f->store_type && streq(f->store_type, not_below_overlay[i])) {
			say(v, DOCTOR_ERROR,
			    str_fmt("%s is on %s, which can't hold what containers write (an upper directory of overlayfs)",
				    f->store, type),
			    "give the store a folder on ext4, xfs or btrfs: --root or BERTH_ROOT");
			return;
		}
	say(v, f->store_free < STORE_ENOUGH ? DOCTOR_WARNING : DOCTOR_OK,
	    str_fmt("%s on %s: %s of %s free", f->store, type, gib(f->store_free, free_text), gib(f->store_size, size_text)),
	    f->store_free < STORE_ENOUGH ? "berth system prune removes what nothing uses" : NULL);
}

static void judge_memory(const struct facts *f, struct verdict *v)
{
	char available[16], total[16];
	bool is_short = f->mem_available < 512ull << 20;

	say(v, is_short ? DOCTOR_WARNING : DOCTOR_OK,
	    str_fmt("%s of %s available", gib(f->mem_available, available), gib(f->mem_total, total)),
	    is_short ? "give VMs less (--memory), or end something" : NULL);
}

static void judge_swap(const struct facts *f, struct verdict *v)
{
	char size[16];

	if (!f->swap_total)
		say(v, DOCTOR_NOTE, str_fmt("none: where memory runs out, processes are killed at once"),
		    "nothing, or a swap file: mkswap and swapon(8)");
	else if (!f->host.has_swap_accounting)
		say(v, DOCTOR_WARNING,
		    str_fmt("%s, but the kernel does not account for it: --memory-swap has no effect", gib(f->swap_total, size)),
		    "boot with swapaccount=1");
	else
		say(v, DOCTOR_OK, str_fmt("%s, accounted for", gib(f->swap_total, size)), NULL);
}

#define FILES_ENOUGH 65536u
#define PIDS_ENOUGH  32768

static void judge_limits(const struct facts *f, struct verdict *v)
{
	int64_t pids = f->threads_max > 0 && f->threads_max < f->pid_max ? f->threads_max : f->pid_max;

	if (f->nofile < FILES_ENOUGH)
		say(v, DOCTOR_NOTE,
		    str_fmt("%llu open files for each process, and containers inherit it", (unsigned long long)f->nofile),
		    "raise it: ulimit -n 1048576, or LimitNOFILE= of the service that starts berth");
	else if (pids < PIDS_ENOUGH)
		say(v, DOCTOR_NOTE, str_fmt("%lld processes in all", (long long)pids),
		    "sysctl kernel.pid_max=4194304 kernel.threads-max=1000000");
	else if (f->inotify_instances > 0 && f->inotify_instances < 128)
		say(v, DOCTOR_NOTE, str_fmt("%lld inotify instances for each user", (long long)f->inotify_instances),
		    "sysctl fs.inotify.max_user_instances=1024");
	else
		say(v, DOCTOR_OK, str_fmt("%llu open files, %lld processes", (unsigned long long)f->nofile, (long long)pids),
		    NULL);
}

static void judge_smt(const struct facts *f, struct verdict *v)
{
	if (f->is_smt_on)
		say(v, DOCTOR_NOTE, str_fmt("on: two workloads that share a core can learn about each other"),
		    "for code that is not trusted: echo off >/sys/devices/system/cpu/smt/control, or --cpuset-cpus with whole "
		    "cores");
	else
		say(v, DOCTOR_OK, str_fmt("off, or the CPU has none"), NULL);
}

static void judge_vulnerabilities(const struct facts *f, struct verdict *v)
{
	if (f->vulnerable)
		say(v, DOCTOR_WARNING,
		    str_fmt("not mitigated: %s; what runs in a container or a VM can read memory that is not its own",
			    f->vulnerable),
		    "update kernel and microcode, and boot without mitigations=off; /sys/devices/system/cpu/vulnerabilities has "
		    "the details");
	else
		say(v, DOCTOR_OK, str_fmt("the kernel knows of none that is open"), NULL);
}

static void judge_ksm(const struct facts *f, struct verdict *v)
{
	if (f->is_ksm_on)
		say(v, DOCTOR_NOTE,
		    str_fmt("on: programs that ask for it share equal pages, and can tell by time that another has one. Berth's "
			    "VMs don't ask"),
		    "echo 2 >/sys/kernel/mm/ksm/run");
	else
		say(v, DOCTOR_OK, str_fmt("off"), NULL);
}

static void judge_service(const struct facts *f, struct verdict *v)
{
	if (!f->has_systemd)
		say(v, DOCTOR_NOTE, str_fmt("no systemd: after a boot nothing starts the containers that are to be restarted"),
		    "let the boot call: berth start --all-restartable");
	else if (!f->has_journal)
		say(v, DOCTOR_NOTE, str_fmt("systemd, without its journal: --log-driver journald is refused"),
		    "start systemd-journald, or keep json-file");
	else
		say(v, DOCTOR_OK,
		    f->is_root
			    ? str_fmt("systemd and its journal; systemctl enable berth-restart starts containers after a boot")
			    : str_fmt("systemd and its journal; systemctl --user enable berth-restart starts containers after a "
				      "boot, and loginctl enable-linger keeps them after a logout"),
		    NULL);
}

/* ---- containers ---- */

static void judge_containers(const struct facts *f, struct verdict *v)
{
	if (f->container_trouble)
		say(v, DOCTOR_ERROR, strdup(f->container_trouble), NULL);
	else
		say(v, DOCTOR_OK, str_fmt("containers work on this host"), NULL);
}

static bool has_controller(const struct host *h, enum cgroup_ctrl c) { return h->cgroup_v1[c] || (h->cgroup_v2_ctrls & 1u << c); }

static void judge_cgroups(const struct facts *f, struct verdict *v)
{
	static const struct {
		enum cgroup_ctrl c;
		const char *options;
	} wanted[] = {
		{ CG_MEMORY, "--memory" }, { CG_CPU, "--cpus" }, { CG_PIDS, "--pids-limit" }, { CG_CPUSET, "--cpuset-cpus" }
	};
	static const char *const layouts[] = {
		[CGROUP_NONE] = "none", [CGROUP_V1] = "v1", [CGROUP_HYBRID] = "v1 and v2 (hybrid)", [CGROUP_V2] = "v2"
	};
	_cleanup_buf_ struct buf lost = { 0 };

	if (f->host.cgroup == CGROUP_NONE) {
		say(v, DOCTOR_ERROR, str_fmt("none are mounted"), "mount -t cgroup2 none /sys/fs/cgroup");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!has_controller(&f->host, wanted[i].c))
			buf_fmt(&lost, "%s%s", lost.len ? ", " : "", wanted[i].options);
	if (lost.failed)
		v->failed = true;
	else if (lost.len)
		say(v, DOCTOR_WARNING, str_fmt("%s, without what %s needs", layouts[f->host.cgroup], lost.data),
		    f->host.cgroup == CGROUP_V2 ? "echo '+memory +cpu +pids +cpuset' >/sys/fs/cgroup/cgroup.subtree_control, or "
						  "a kernel that has them"
						: "boot with systemd.unified_cgroup_hierarchy=1, or a kernel that has them");
	else if (f->host.cgroup != CGROUP_V2)
		say(v, DOCTOR_NOTE,
		    str_fmt("%s: all limits work; starts take longer than with v2, and no user's own containers have limits",
			    layouts[f->host.cgroup]),
		    "boot with systemd.unified_cgroup_hierarchy=1");
	else
		say(v, DOCTOR_OK, str_fmt("v2, with all that limits need"), NULL);
}

static void judge_namespaces(const struct facts *f, struct verdict *v)
{
	_cleanup_buf_ struct buf lost = { 0 };

	for (size_t i = 0; i < FACT_NS_COUNT; i++)
		if (!f->has_ns[i])
			buf_fmt(&lost, "%s%s", lost.len ? ", " : "", fact_ns_names[i]);
	if (lost.failed)
		v->failed = true;
	else if (lost.len)
		say(v, DOCTOR_ERROR, str_fmt("this kernel has none of: %s", lost.data),
		    "a kernel built with CONFIG_NAMESPACES and all kinds of them");
	else if (f->max_user_ns == 0)
		say(v, DOCTOR_WARNING,
		    str_fmt("user namespaces are switched off: --userns and users' own containers are refused"),
		    "sysctl user.max_user_namespaces=65536");
	else if (f->is_userns_restricted)
		say(v, DOCTOR_NOTE,
		    str_fmt("AppArmor keeps users without privileges from making user namespaces: users' own containers are "
			    "refused"),
		    "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for berth-runtime");
	else
		say(v, DOCTOR_OK, str_fmt("all kinds"), NULL);
}

static void judge_overlay(const struct facts *f, struct verdict *v)
{
	if (f->has_overlay)
		say(v, DOCTOR_OK, str_fmt("overlayfs"), NULL);
	else
		say(v, DOCTOR_ERROR, str_fmt("this kernel has no overlayfs, of which roots are made"), "modprobe overlay");
}

static void judge_calls(const struct facts *f, struct verdict *v)
{
	static const struct {
		const char *name, *since, *without;
		bool is_needed;
	} calls[FACT_CALL_COUNT] = {
		[FACT_CALL_OPENAT2] = { "openat2", "5.6", "paths in containers are walked one step at a time" },
		[FACT_CALL_CLONE3] = { "clone3", "5.3", NULL, true },
		[FACT_CALL_PIDFD_OPEN] = { "pidfd_open", "5.3", NULL, true },
		[FACT_CALL_FSOPEN] = { "fsopen", "5.2", NULL, true },
		[FACT_CALL_MOUNT_SETATTR] = { "mount_setattr", "5.12", NULL, true },
		[FACT_CALL_CLOSE_RANGE] = { "close_range", "5.9", NULL, true },
		[FACT_CALL_IO_URING] = { "io_uring_setup", "5.1", "disks of VMs wait for each request in turn" },
	};
	size_t worst = FACT_CALL_COUNT;

	for (size_t i = 0; i < FACT_CALL_COUNT; i++)
		if (!f->has_call[i] && (worst == FACT_CALL_COUNT || (calls[i].is_needed && !calls[worst].is_needed)))
			worst = i;
	if (worst == FACT_CALL_COUNT)
		say(v, DOCTOR_OK, str_fmt("all system calls that Berth knows how to use"), NULL);
	else if (calls[worst].is_needed)
		say(v, DOCTOR_ERROR, str_fmt("no %s, without which nothing starts", calls[worst].name),
		    "a newer kernel (5.12 or later), or no filter around Berth that hides the call");
	else
		say(v, DOCTOR_NOTE, str_fmt("no %s (Linux %s): %s", calls[worst].name, calls[worst].since, calls[worst].without),
		    "a newer kernel, or no filter or switch that hides the call");
}

static void judge_seccomp(const struct facts *f, struct verdict *v)
{
	if (f->has_seccomp)
		say(v, DOCTOR_OK, str_fmt("filters of system calls"), NULL);
	else
		say(v, DOCTOR_ERROR, str_fmt("no filters: containers with the default profile don't start"),
		    "a kernel with CONFIG_SECCOMP_FILTER");
}

static void judge_landlock(const struct facts *f, struct verdict *v)
{
	if (f->host.landlock_abi >= 2)
		say(v, DOCTOR_OK, str_fmt("ABI %d", f->host.landlock_abi), NULL);
	else
		say(v, DOCTOR_NOTE,
		    str_fmt("%s: what unpacks images and copies files has one wall less",
			    f->host.landlock_abi ? "too old (ABI 1)" : "off"),
		    "a kernel from 5.19 on, booted with landlock among the names of lsm=");
}

static void judge_helpers(const struct facts *f, struct verdict *v)
{
	if (!f->has_program[FACT_PS])
		say(v, DOCTOR_WARNING, str_fmt("no ps: berth top is refused"), "install the package procps");
	else if (!f->has_program[FACT_CRIU])
		say(v, DOCTOR_NOTE, str_fmt("no criu: berth-runtime checkpoint and restore are refused"),
		    "install the package criu");
	else
		say(v, DOCTOR_OK, str_fmt("ps and criu"), NULL);
}

/* ---- virtual machines ---- */

static void judge_kvm(const struct facts *f, struct verdict *v)
{
	if (!f->vm_trouble && !f->vm_note)
		say(v, DOCTOR_OK,
		    str_fmt("berth-vmm, at the CPU's own speed%s%s", f->is_guest ? "; this host is a VM itself" : "",
			    f->is_nesting ? "; guests may have guests" : ""),
		    NULL);
	else
		say(v, f->vm_trouble ? DOCTOR_ERROR : DOCTOR_WARNING, strdup(f->vm_trouble ? f->vm_trouble : f->vm_note),
		    f->user.kvm_error == EACCES ? "as root: usermod --append --groups kvm USER, then log in again"
		    : f->is_guest ? "this host is a VM itself: let its hypervisor pass virtualisation on (nested virtualisation)"
				  : "switch virtualisation on in the firmware (VT-x, AMD-V), then modprobe kvm_intel or kvm_amd");
}

static void judge_emulator(const struct facts *f, struct verdict *v)
{
	bool is_needed = f->vm_trouble || f->vm_note;

	if (!f->has_program[FACT_QEMU])
		say(v, is_needed ? DOCTOR_ERROR : DOCTOR_OK,
		    str_fmt("no QEMU%s", is_needed ? ", which VMs need here" : ", which nothing needs here"),
		    is_needed ? "install the package qemu-system-x86" : NULL);
	else if (!f->has_program[FACT_VIRTIOFSD])
		say(v, is_needed ? DOCTOR_WARNING : DOCTOR_OK,
		    str_fmt("QEMU, without virtiofsd%s",
			    is_needed ? ": VMs with volumes don't start" : ", which nothing needs here"),
		    is_needed ? "install the package virtiofsd, or qemu-system-common" : NULL);
	else
		say(v, DOCTOR_OK, str_fmt("QEMU and virtiofsd%s", is_needed ? "" : ", which nothing needs here"), NULL);
}

static void judge_kernel(const struct facts *f, struct verdict *v)
{
	if (f->kernel)
		say(v, DOCTOR_OK, str_fmt("%s", f->kernel), NULL);
	else if (f->has_program[FACT_APT])
		say(v, DOCTOR_NOTE, str_fmt("the store has none: the first VM fetches the distribution's"),
		    "berth kernel build makes one that boots faster");
	else
		say(v, DOCTOR_WARNING, str_fmt("the store has none, and there is no apt-get to fetch one with"),
		    "berth run --kernel PATH, or berth kernel build");
}

static void judge_disks(const struct facts *f, struct verdict *v)
{
	bool has_erofs = f->has_program[FACT_MKFS_EROFS], has_ext4 = f->has_program[FACT_MKE2FS];

	if (!has_erofs || !has_ext4)
		say(v, DOCTOR_ERROR, str_fmt("no %s, of which each VM's disks are made", has_erofs ? "mke2fs" : "mkfs.erofs"),
		    has_erofs ? "install the package e2fsprogs" : "install the package erofs-utils");
	else if (!f->has_program[FACT_QEMU_STORAGE])
		say(v, DOCTOR_NOTE, str_fmt("no qemu-storage-daemon: berth-vmm takes raw disks only"),
		    "install the package qemu-system-common");
	else
		say(v, DOCTOR_OK, str_fmt("all programs that make disks"), NULL);
}

static void judge_huge_pages(const struct facts *f, struct verdict *v)
{
	char size[16];

	if (f->huge_free)
		say(v, DOCTOR_OK, str_fmt("%s reserved and free", gib(f->huge_free, size)), NULL);
	else
		say(v, DOCTOR_OK, str_fmt("none are reserved: --huge-pages is refused until vm.nr_hugepages is raised"), NULL);
}

static const struct rule {
	const char *area, *subject;
	void (*judge)(const struct facts *f, struct verdict *v);
	bool is_users; /* not of root */
} rules[] = {
	{ "host", "system", judge_system },
	{ "host", "privileges", judge_privileges },
	{ "host", "programs", judge_programs },
	{ "host", "store", judge_store },
	{ "host", "memory", judge_memory },
	{ "host", "swap", judge_swap },
	{ "host", "limits", judge_limits },
	{ "host", "SMT", judge_smt },
	{ "host", "CPU flaws", judge_vulnerabilities },
	{ "host", "KSM", judge_ksm },
	{ "host", "service", judge_service },
	{ "user", "namespaces", judge_user_namespaces, true },
	{ "user", "ids", judge_user_ids, true },
	{ "user", "network", judge_user_network, true },
	{ "user", "run directory", judge_user_run, true },
	{ "user", "cgroup", judge_user_cgroup, true },
	{ "container", "isolation", judge_containers },
	{ "container", "cgroups", judge_cgroups },
	{ "container", "namespaces", judge_namespaces },
	{ "container", "root", judge_overlay },
	{ "container", "system calls", judge_calls },
	{ "container", "seccomp", judge_seccomp },
	{ "container", "Landlock", judge_landlock },
	{ "container", "helpers", judge_helpers },
	{ "vm", "isolation", judge_kvm },
	{ "vm", "emulator", judge_emulator },
	{ "vm", "kernel", judge_kernel },
	{ "vm", "disks", judge_disks },
	{ "vm", "huge pages", judge_huge_pages },
};

int rules_judge(const struct facts *f, struct doctor_finding **ret, size_t *ret_n, struct err *e)
{
	struct doctor_finding *list = calloc(ARRAY_SIZE(rules), sizeof(*list));
	bool failed = !list;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rules) && !failed; i++) {
		struct verdict v = { 0 };

		if (rules[i].is_users && f->is_root)
			continue;
		rules[i].judge(f, &v);
		list[n++] = (struct doctor_finding){ rules[i].area, rules[i].subject, v.level, v.text, v.remedy };
		failed = v.failed;
	}
	if (failed) {
		doctor_done(list, n);
		return err_set(e, ENOMEM, "out of memory");
	}
	*ret = list;
	*ret_n = n;
	return 0;
}
