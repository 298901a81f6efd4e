/* vm_qemu: a guest on QEMU: where KVM is not usable, emulated; and on KVM where it is asked for what berth-vmm has not. */
#include <unistd.h>

#include "vm_impl.h"
#include "vm_jail.h"

static int spawn(struct instance *i, const struct vm_ends *t, uint64_t disk_bytes, struct err *e)
{
	const struct launch *l = i->cfg.launch;
	_cleanup_free_ char *found = spawn_find("qemu-system-x86_64"), *program = found ? realpath(found, NULL) : NULL;
	_cleanup_strv_ char **argv = NULL;
	_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *env[] = { path, NULL };
	const struct qemu_config q = { .program = program,
				       .id = l->id,
				       .kernel = VM_JAIL_KERNEL,
				       .initramfs = VM_JAIL_INITRAMFS,
				       .has_kvm = i->has_kvm,
				       .is_verbose = log_enabled(LOG_DEBUG_),
				       .is_volatile = l->is_volatile,
				       .cpus = l->vm_cpus ? l->vm_cpus : 1,
				       .tsc_khz = i->has_kvm ? 0 : tsc_measure_khz(),
				       .ram_bytes = vm_ram_bytes(l),
				       .agent_fd = 3,
				       .console_fd = 4,
				       .qmp_fd = 5,
				       .image_fd = 6,
				       .upper_fd = l->upper_disk ? 7 : -1,
				       .more = i->more,
				       .n_more = i->n_more,
				       .more_fd = 9,
				       .share_fd = t->share >= 0 ? 8 : -1,
				       .network = i->cfg.network,
				       .taps_fd = 9 + (int)i->n_more,
				       .has_huge_pages = l->vm_huge_pages };
	const int more[][2] = { { t->image, q.image_fd }, { t->upper, q.upper_fd }, { t->share, q.share_fd } };
	int fds[VM_JAIL_FDS][2] = {
		{ null, 0 }, { null, 1 }, { t->err, 2 }, { t->agent, 3 }, { t->console, 4 }, { t->control, 5 }
	};
	size_t n = 6;

	if (!program)
		return err_set(e, ENOENT, "qemu-system-x86_64 is missing: install qemu-system-x86");
	if (q.network && q.network->n_endpoints > qemu_room_for_cards(i->n_more))
		return err_set(e, EINVAL, "%zu networks and %zu disks: QEMU's machine has no room for so many",
			       q.network->n_endpoints, i->n_more);
	if (null < 0)
		return err_set(e, errno, "/dev/null: %s", strerror(errno));
	for (size_t k = 0; k < ARRAY_SIZE(more); k++) {
		if (more[k][0] >= 0) {
			fds[n][0] = more[k][0];
			fds[n++][1] = more[k][1];
		}
	}
	for (size_t k = 0; k < i->n_more; k++) {
		fds[n][0] = t->more[k];
		fds[n++][1] = q.more_fd + (int)k;
	}
	n += vm_network_give(i, q.taps_fd, &fds[n]);
	argv = qemu_args(&q);
	if (!argv)
		return err_set(e, ENOMEM, "out of memory");
	struct vm_jail j = { .kernel = i->boot.kernel,
			     .initramfs = i->boot.initramfs,
			     .has_kvm = i->has_kvm,
			     .file_max = MAX(disk_bytes, q.ram_bytes),
			     .argv = argv,
			     .env = env,
			     .fds = fds,
			     .n_fds = n };
	return vm_process_jail(i, &j, e);
}

static int set_paused(struct instance *i, bool paused, struct err *e) { return vm_qmp(i, paused ? "stop" : "cont", e); }

/* QEMU says what it did not get; that its test guest ran makes it worth saying that KVM is the matter, and what to do. */
static void explain_exit(const struct vm_death *d, struct err *e)
{
	int n = d->said ? (int)strcspn(d->said, "\n") : 0;
	const char *said = n ? d->said : "ended without a reason";

	if (WEXITSTATUS(d->status) == 0) {
		err_set(e, EIO,
			d->is_booting ? "the guest ended itself while it booted (is the kernel one for this CPU?)"
				      : "the guest ended itself (a power-off or a reboot from inside, or a triple fault)");
		return;
	}
	if (!n)
		n = (int)strlen(said);
	if (d->has_kvm && d->is_booting && d->said && strcasestr(d->said, "kvm"))
		err_set(e, EIO,
			"QEMU can't use this host's KVM, though a test guest ran: %.*s; BERTH_VM_ACCEL=tcg emulates instead", n,
			said);
	else
		err_set(e, EIO, "QEMU: %.*s", n, said);
}

const struct vm_backend vm_backend_qemu = {
	.name = "qemu",
	.needs_virtiofsd = true,
	.knows_qcow2 = true,
	.host_overhead_bytes = VM_HOST_OVERHEAD_BYTES,
	.stacks_bytes = 1024 * MIB, /* 8 MiB each; its pool alone has up to 64 */
	.spawn = spawn,
	.pause = set_paused,
	.explain_exit = explain_exit,
};
