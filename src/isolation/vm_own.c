/* vm_own: a guest on berth-vmm, our own VMM, which needs a KVM that is good for guests. It gets everything open: kernel,
 * initramfs, disks, /dev/kvm, the link's socket; the jail that it enters has not a single file. The plan (vmm.h) goes over a pipe and is sent
 * when the process is in its cgroup, so that nothing of a guest's memory is taken before its limit holds. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "vm_impl.h"
#include "vm_jail.h"
#include "vmm.h"

/* Where its descriptors are. */
enum {
	FD_AGENT = 3,
	FD_CONSOLE,
	FD_PLAN,
	FD_KERNEL,
	FD_INITRAMFS,
	FD_KVM,
	FD_CONTROL,
	FD_IMAGE,
	FD_SHARE,
	FD_UPPER,
	FD_MORE,
};
/* Of a VM that goes on from a saved state: these, in the places of what it would boot. */
#define FD_STATE  FD_KERNEL
#define FD_MEMORY FD_INITRAMFS

/* quiet, console, panic: as with QEMU (qemu_args.c). reboot=a: by ACPI's register; without it a kernel that meets hardware-reduced
 * ACPI looks for EFI (arch/x86/kernel/reboot.c, reboot_init) and hangs. */
#define KERNEL_ARGS                                                              \
	"console=ttyS0 panic=-1 reboot=a random.trust_cpu=on cryptomgr.notests " \
	"initcall_blacklist=init_kprobe_trace,init_blk_tracer,init_trace_printk_function_export,crypto_kdf108_init"

/* The k-th card of the plan; taps: of all of them. */
static void plan_card(const struct vm_own_config *c, size_t k, struct vmm_tap_plan *taps, struct vmm_net_plan *ret)
{
	const struct net_endpoint *ep = &c->network->endpoints[k];
	size_t queues = vm_network_queues(c->network);

	*ret = (struct vmm_net_plan){ .taps = &taps[k * queues], .n_taps = queues, .mtu = vm_network_mtu(ep) };
	for (size_t i = 0; i < queues; i++)
		ret->taps[i].fd = c->taps_fd + (int)(k * queues + i);
	(void)str_to_mac(ep->mac, ret->mac); /* which vm_network_check has looked at */
}

/* Devices are met in this order: vda is the image, vdb the writable disk, as FRAME_START says. */
struct json_object *vm_own_plan(const struct vm_own_config *c)
{
	char port_name[] = GUEST_PORT_NAME, maxcpus[24] = "", cmdline[sizeof(KERNEL_ARGS) + 32];
	struct vmm_blk_plan image = { .fd = FD_IMAGE, .is_read_only = true }, upper = { .fd = FD_UPPER };
	struct vmm_port_plan port = { port_name, FD_AGENT };
	struct vmm_console_plan console = { &port, 1 };
	struct vmm_rng_plan rng = { 0 };
	char tag[] = VM_SHARE_TAG;
	struct vmm_fs_plan fs = { tag, FD_SHARE };
	struct vmm_balloon_plan balloon = { .reports = true, .deflates_on_oom = true };
	struct vmm_mem_plan mem = { c->room_bytes };
	struct vmm_net_plan cards[VM_NETWORKS_MAX];
	struct vmm_tap_plan taps[VM_TAPS_MAX];
	struct vmm_device_plan devices[7 + VM_NETWORKS_MAX + VM_MORE_DISKS_MAX] = { { .blk = &image } };
	struct vmm_blk_plan more[VM_MORE_DISKS_MAX];
	char serials[VM_MORE_DISKS_MAX][VM_DISK_SERIAL];
	struct vmm_plan p = { VMM_PLAN_NO_FDS, .cpus = c->cpus, .mem_bytes = c->ram_bytes, .devices = devices, .n_devices = 1 };

	if (c->has_upper)
		devices[p.n_devices++] = (struct vmm_device_plan){ .blk = &upper };
	for (size_t k = 0; k < c->n_more; k++) {
		more[k] = (struct vmm_blk_plan){ .fd = c->more_fd + (int)k, .is_read_only = c->more[k].is_readonly };
		if (c->more[k].given) {
			vm_disk_serial(c->more, k, serials[k]);
			more[k].serial = serials[k];
			more[k].holes_are_hints = streq(c->more[k].given->format, "qcow2"); /* vm_storage.c */
			more[k].bytes.per_second = c->more[k].given->bps;
			more[k].ops.per_second = c->more[k].given->iops;
		}
		devices[p.n_devices++] = (struct vmm_device_plan){ .blk = &more[k] };
	}
	devices[p.n_devices++] = (struct vmm_device_plan){ .console = &console };
	devices[p.n_devices++] = (struct vmm_device_plan){ .rng = &rng };
	if (c->has_shares)
		devices[p.n_devices++] = (struct vmm_device_plan){ .fs = &fs };
	for (size_t k = 0; c->network && k < c->network->n_endpoints; k++) {
		plan_card(c, k, taps, &cards[k]);
		devices[p.n_devices++] = (struct vmm_device_plan){ .net = &cards[k] };
	}
	devices[p.n_devices++] = (struct vmm_device_plan){ .balloon = &balloon };
	if (c->room_bytes)
		devices[p.n_devices++] = (struct vmm_device_plan){ .mem = &mem };
	p.kvm_fd = FD_KVM;
	p.control_fd = FD_CONTROL;
	p.uid = c->uid;
	p.tells_generation = c->may_be_copied;
	p.serial_fd = FD_CONSOLE;
	if (c->cpus_max > c->cpus) { /* there, and off: berth-init switches them on (guest/cpus.c) */
		p.cpus = c->cpus_max;
		snprintf(maxcpus, sizeof(maxcpus), " maxcpus=%u", c->cpus);
	}
	if (c->is_restore) { /* its memory is the snapshot's file, whatever it was before */
		p.state_fd = FD_STATE;
		p.ram_fd = FD_MEMORY;
	} else {
		p.kernel_fd = FD_KERNEL;
		p.initrd_fd = FD_INITRAMFS;
		p.pages = c->has_huge_pages ? VMM_PAGES_HUGE : VMM_PAGES_THP;
		p.cmdline = cmdline;
		snprintf(cmdline, sizeof(cmdline), KERNEL_ARGS "%s%s", c->is_verbose ? "" : " quiet", maxcpus);
	}
	return vmm_plan_json(&p);
}

/* What a snapshot's files may be longer than the guest's memory (src/vmm/snapshot.h). */
#define SNAPSHOT_ROOM (64 * MIB)

struct files {
	int program, null, kernel, initramfs, kvm, plan, plan_in;
};

static void close_files(struct files *f)
{
	fd_close(f->program);
	fd_close(f->null);
	fd_close(f->kernel);
	fd_close(f->initramfs);
	fd_close(f->kvm);
	fd_close(f->plan);
	fd_close(f->plan_in);
}

static int open_files(struct instance *i, struct files *f, struct err *e)
{
	_cleanup_free_ char *program = NULL;
	int p[2], r = paths_sibling(i->cfg.paths, "berth-vmm", &program, e);

	if (r < 0)
		return r;
	const struct {
		const char *path;
		int flags, *fd;
	} rows[] = { { program, O_PATH, &f->program },
		     { "/dev/null", O_RDWR, &f->null },
		     { "/dev/kvm", O_RDWR, &f->kvm },
		     { i->boot.kernel, O_RDONLY, &f->kernel },
		     { i->boot.initramfs, O_RDONLY, &f->initramfs } };
	for (size_t k = 0; k < ARRAY_SIZE(rows) - (i->is_restore ? 2 : 0); k++) {
		*rows[k].fd = open(rows[k].path, rows[k].flags | O_CLOEXEC);
		if (*rows[k].fd < 0)
			return err_set(e, errno, "%s: %s", rows[k].path, strerror(errno));
	}
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	f->plan = p[0];
	f->plan_in = p[1];
	return 0;
}

static int send_plan(struct instance *i, struct files *f, uid_t uid, struct err *e)
{
	const struct launch *l = i->cfg.launch;
	const struct vm_own_config c = { .cpus = l->vm_cpus ? l->vm_cpus : 1,
					 .cpus_max = l->vm_cpus_max,
					 .room_bytes = vm_room_bytes(l),
					 .uid = uid,
					 .ram_bytes = vm_ram_bytes(l),
					 .has_upper = l->upper_disk != NULL,
					 .has_shares = i->n_shares > 0,
					 .may_be_copied = i->n_shares == 0 && !i->on_pod_lost,
					 .more = i->more,
					 .n_more = i->n_more,
					 .more_fd = FD_MORE,
					 .network = i->cfg.network,
					 .taps_fd = FD_MORE + (int)i->n_more,
					 .is_restore = i->is_restore,
					 .has_huge_pages = l->vm_huge_pages,
					 .is_verbose = log_enabled(LOG_DEBUG_) };
	_cleanup_json_ struct json_object *o = vm_own_plan(&c);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
	int r;

	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	r = fd_write_full(f->plan_in, text, strlen(text));
	fd_close(f->plan_in);
	f->plan_in = -1;
	return r < 0 ? err_set(e, -r, "berth-vmm's plan: %s", strerror(-r)) : 0;
}

static int spawn(struct instance *i, const struct vm_ends *t, uint64_t disk_bytes, struct err *e)
{
	_cleanup_(close_files) struct files f = { -1, -1, -1, -1, -1, -1, -1 };
	_cleanup_free_ char *build = str_fmt("BERTH_BUILD_ID=%s", build_id()), *place = str_fmt("%d", FD_PLAN);
	char name[] = "berth-vmm", option[] = "--config-fd", *argv[] = { name, option, place, NULL }, *env[] = { build, NULL };
	int r = build && place ? open_files(i, &f, e) : err_set(e, ENOMEM, "out of memory");

	if (r < 0)
		return r;
	const int optional[][2] = { { t->share, FD_SHARE }, { t->upper, FD_UPPER } };
	int fds[VM_JAIL_FDS][2] = { { f.null, 0 },
				    { f.null, 1 },
				    { t->err, 2 },
				    { t->agent, FD_AGENT },
				    { t->console, FD_CONSOLE },
				    { f.plan, FD_PLAN },
				    { i->is_restore ? i->state_fd : f.kernel, FD_KERNEL },
				    { i->is_restore ? i->memory_fd : f.initramfs, FD_INITRAMFS },
				    { f.kvm, FD_KVM },
				    { t->control, FD_CONTROL },
				    { t->image, FD_IMAGE } };
	size_t n_fds = 11;

	for (size_t k = 0; k < ARRAY_SIZE(optional); k++)
		if (optional[k][0] >= 0) {
			fds[n_fds][0] = optional[k][0];
			fds[n_fds++][1] = optional[k][1];
		}
	for (size_t k = 0; k < i->n_more; k++) {
		fds[n_fds][0] = t->more[k];
		fds[n_fds++][1] = FD_MORE + (int)k;
	}
	n_fds += vm_network_give(i, FD_MORE + (int)i->n_more, &fds[n_fds]);
	struct vm_jail j = { .program_fd = f.program,
			     .file_max =
				     MAX(disk_bytes, vm_ram_bytes(i->cfg.launch) + vm_room_bytes(i->cfg.launch) + SNAPSHOT_ROOM),
			     .argv = argv,
			     .env = env,
			     .fds = fds,
			     .n_fds = n_fds };
	r = vm_process_jail(i, &j, e);
	return r < 0 ? r : send_plan(i, &f, j.uid, e);
}

/* By the kernel, of which no VMM that a guest has taken over can buy itself free. */
static int set_paused(struct instance *i, bool paused, struct err *e) { return vm_cgroup_freeze(i, paused, e); }

/* "berth-vmm: END: REASON", or without a known end whatever it said. */
static void explain_exit(const struct vm_death *d, struct err *e)
{
	static const char *const ends[VMM_ENDS] = {
		[VMM_POWERED_OFF] = "the guest switched itself off",
		[VMM_RESET] = "the guest reset itself (a reboot from inside)",
		[VMM_TRIPLE_FAULT] = "the guest crashed so hard that its CPU gave up (a triple fault)",
		[VMM_GUEST_PANIC] = "the guest kernel panicked",
		[VMM_BOOT_HANG] = "the guest gave no sign of life while it booted",
		[VMM_STOPPED] = "the virtual machine was stopped from outside",
		[VMM_FAILED] = "KVM or berth-vmm failed",
	};
	enum vmm_end end = vmm_end_of_status(WEXITSTATUS(d->status));
	const char *said = d->said ?: "", *what = (unsigned)end < VMM_ENDS ? ends[end] : NULL;
	const char *reason = str_after(said, "berth-vmm: ");

	if (what && reason) { /* behind the end's name */
		reason = strstr(reason, ": ");
		reason = reason ? reason + 2 : "";
	} else if (!reason) {
		reason = said;
	}
	int n = (int)strcspn(reason, "\n");
	if (what)
		err_set(e, EIO, "%s%s%s%.*s", what, d->is_booting ? " while it booted (is the kernel one for this CPU?)" : "",
			n ? ": " : "", n, reason);
	else
		err_set(e, EIO, "berth-vmm: %.*s", n ? n : 23, n ? reason : "ended without a reason");
}

const struct vm_backend vm_backend_own = {
	.name = "berth-vmm",
	.has_control = true,
	.host_overhead_bytes = 64 * MIB,
	.stacks_bytes = 64 * MIB, /* half a MiB each */
	.spawn = spawn,
	.pause = set_paused,
	.can_grow = true,
	.explain_exit = explain_exit,
};
