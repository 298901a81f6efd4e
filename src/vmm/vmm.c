/* vmm: see vmm.h: building a VM in one readable order, running it, and the meeting point of its threads. */
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "vmm_impl.h"

/* ---- building ---- */

int vmm_create_vm(int fd_kvm)
{
	int fd;

	do /* a signal during the creation is reported so, and it is to be tried again */
		fd = ioctl(fd_kvm, KVM_CREATE_VM, 0);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static int open_kvm(struct vmm *vm, struct err *e)
{
	int version, fd;

	vm->fd_kvm = vm->plan->kvm_fd > 0 ? fcntl(vm->plan->kvm_fd, F_DUPFD_CLOEXEC, 0) : open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->fd_kvm < 0)
		return err_set(e, ENODEV, "/dev/kvm: %s", strerror(errno));
	version = ioctl(vm->fd_kvm, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return err_set(e, ENODEV, "/dev/kvm is not KVM");
	fd = vm->plan->vm_fd ?: vmm_create_vm(vm->fd_kvm);
	if (fd < 0)
		return err_set(e, -fd, "KVM can't make a virtual machine: %s", strerror(-fd));
	vm->fd_vm = fd;
	/* Three pages of the hole, for Intel CPUs without unrestricted guests; others don't mind. */
	(void)ioctl(vm->fd_vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	return 0;
}

static int make_memory(struct vmm *vm, struct err *e)
{
	const struct vmm_mem_config c = { .bytes = vm->plan->mem_bytes,
					  .room_bytes = vmm_plan_room(vm->plan),
					  .pages = vm->plan->pages,
					  .file_fd = vm->plan->state_fd >= 0 ? vm->plan->ram_fd : -1,
					  .is_private = vm->plan->state_fd >= 0 || vm->plan->pages == VMM_PAGES_THP };
	int r = vmm_mem_new(&c, &vm->mem, e);

	return r < 0 ? r : vmm_mem_attach(vm->mem, vm->fd_vm, e);
}

static int make_buses(struct vmm *vm, struct err *e)
{
	int r = vmm_bus_new(&vm->bus);

	if (r < 0)
		return err_set(e, -r, "out of memory");
	r = power_add(vm, e);
	if (r >= 0 && vm->plan->serial_fd >= 0)
		r = serial_add(vm->bus, vm->plan->serial_fd, &vm->serial, e);
	if (r >= 0)
		r = pci_host_new(vm->bus, vmm_mem_top(vm->mem), &vm->pci, e);
	return r;
}

static int make_irqs(struct vmm *vm, struct err *e)
{
	int r = vmm_irqs_new(vm->fd_vm, &vm->irqs, e);

	return r < 0 ? r : ioapic_new(vm->bus, vmm_irqs_send, vm->irqs, &vm->ioapic, e);
}

static int make_devices(struct vmm *vm, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < vm->plan->n_devices; i++) {
		r = virtio_add_planned(vm, &vm->plan->devices[i], e);
		if (r < 0)
			return err_push(e, r, "device #%zu", i);
	}
	return r;
}

static int make_vcpus(struct vmm *vm, struct err *e) { return vcpus_new(vm, vm->plan->cpus, e); }

/* Where a guest uses little, so that huge pages would be zeroed, and taken, for a few KiB: the first MiBs have tables of ours, a hole and
 * odds and ends, and behind the kernel is what is left of the last 2 MiB. What is between them is where Linux' first allocations are. */
#define FIRST_BYTES (2ull << 20)
#define ODDS_BYTES  (8ull << 20)

static void advise_sparse(struct vmm *vm, const struct boot_range *kernel)
{
	const uint64_t huge = 2ull << 20;

	if (MIN(kernel->start, ODDS_BYTES) / huge * huge > FIRST_BYTES)
		vmm_mem_sparse(vm->mem, FIRST_BYTES, MIN(kernel->start, ODDS_BYTES) / huge * huge - FIRST_BYTES);
	if (kernel->end % huge)
		vmm_mem_sparse(vm->mem, kernel->end / huge * huge, huge);
}

static int fill_memory(struct vmm *vm, struct err *e)
{
	struct acpi_config acpi = { .cpus = vm->plan->cpus,
				    .has_serial = vm->plan->serial_fd >= 0,
				    .pci_mmio = PCI_MMIO_START,
				    .pci_mmio_bytes = PCI_MMIO_END - PCI_MMIO_START,
				    .generation = vm->plan->tells_generation ? BOOT_GENERATION : 0,
				    .gpa = BOOT_ACPI };
	const struct boot_config boot = { .kernel_fd = vm->plan->kernel_fd,
					  .initrd_fd = vm->plan->initrd_fd,
					  .cmdline = vm->plan->cmdline,
					  .rsdp = BOOT_ACPI };
	_cleanup_buf_ struct buf tables = { NULL };
	struct vcpu_entry entry;
	int r;

	vmm_mem_sparse(vm->mem, 0, FIRST_BYTES);
	pci_window64(vm->pci, &acpi.pci_mmio64, &acpi.pci_mmio64_bytes);
	acpi_tables(&acpi, &tables);
	if (tables.failed || tables.len > BOOT_ACPI_MAX)
		return err_set(e, ENOMEM, "ACPI tables: no room");
	r = vmm_mem_write(vm->mem, BOOT_ACPI, tables.data, tables.len);
	if (r < 0)
		return err_set(e, -r, "ACPI tables: %s", strerror(-r));
	r = vm->plan->tells_generation ? generation_renew(vm, e) : 0;
	if (r >= 0)
		r = boot_load(vm->mem, &boot, &entry, &vm->written, e);
	if (r >= 0)
		advise_sparse(vm, &vm->written.kernel);
	return r < 0 ? r : vcpu_set_entry(&vm->vcpus[0], &entry, e);
}

static int fill(struct vmm *vm, struct err *e) { return vm->restore.data ? snapshot_load(vm, e) : fill_memory(vm, e); }

static int make_control(struct vmm *vm, struct err *e)
{
	return vm->plan->control_fd < 0 ? 0 : control_new(vm, vm->plan->control_fd, &vm->control, e);
}

/* The order matters where it says so. */
static const struct part {
	const char *name;
	int (*make)(struct vmm *vm, struct err *e);
} parts[] = {
	{ "snapshot", snapshot_open }, /* before anything is made of it */
	{ "KVM", open_kvm },
	{ "memory", make_memory },
	{ "buses", make_buses },
	{ "interrupts", make_irqs }, /* before the vCPUs, which get their APICs from it */
	{ "devices", make_devices },
	{ "vCPUs", make_vcpus },
	{ "kernel", fill }, /* after the devices, whose windows the tables describe, or whose state it is */
	{ "control", make_control },
};

static void on_wake(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct vmm *vm = arg;
	eventfd_t n;
	bool has_ended;

	(void)events;
	(void)!eventfd_read(fd, &n);
	pthread_mutex_lock(&vm->sync);
	vmm_calls_serve(vm);
	has_ended = vm->result.end != VMM_RUNNING;
	pthread_mutex_unlock(&vm->sync);
	if (has_ended)
		loop_stop(l, 0);
}

static int make_sync(struct vmm *vm, struct err *e)
{
	int r;

	pthread_mutex_init(&vm->sync, NULL);
	pthread_cond_init(&vm->changed, NULL);
	vm->loop_thread = pthread_self();
	vm->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->wake_fd < 0)
		return err_set(e, errno, "eventfd: %s", strerror(errno));
	r = loop_new(&vm->loop);
	if (r >= 0)
		r = loop_add(vm->loop, vm->wake_fd, EPOLLIN, on_wake, vm, NULL);
	return r < 0 ? err_set(e, -r, "event loop: %s", strerror(-r)) : 0;
}

int vmm_new(const struct vmm_plan *plan, struct vmm **ret, struct err *e)
{
	_cleanup_(vmm_free_ptr) struct vmm *vm = NULL;
	int r = vmm_plan_check(plan, e);

	if (r < 0)
		return r;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return err_set(e, ENOMEM, "out of memory");
	vm->plan = plan;
	vm->fd_kvm = vm->fd_vm = vm->wake_fd = -1;
	r = make_sync(vm, e);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++) {
		r = parts[i].make(vm, e);
		vmm_mark(plan, parts[i].name);
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(vm);
	return 0;
}

void vmm_free(struct vmm *vm)
{
	if (!vm)
		return;
	vcpus_stop(vm);
	control_free(vm->control);
	virtio_free_all(vm);
	vcpus_free(vm);
	pci_host_free(vm->pci);
	ioapic_free(vm->ioapic);
	vmm_irqs_free(vm->irqs);
	serial_free(vm->serial);
	vmm_bus_free(vm->bus);
	snapshot_track_stop(vm);
	free(vm->restore.data);
	vmm_mem_free(vm->mem);
	loop_free(vm->loop);
	fd_close(vm->wake_fd);
	fd_close(vm->fd_vm);
	fd_close(vm->fd_kvm);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->sync);
	free(vm);
}

/* ---- running ---- */

static void on_boot_limit(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct vmm *vm = arg;
	bool is_started;

	(void)l;
	(void)fd;
	(void)events;
	pthread_mutex_lock(&vm->sync);
	is_started = vm->is_started;
	pthread_mutex_unlock(&vm->sync);
	if (!is_started)
		vmm_end(vm, VMM_BOOT_HANG, "no sign of life within %u ms", vm->plan->boot_limit_ms);
}

int vmm_run(struct vmm *vm, struct vmm_result *ret, struct err *e)
{
	int r = 0;

	vm->loop_thread = pthread_self();
	if (vm->plan->boot_limit_ms)
		r = loop_timer(vm->loop, vm->plan->boot_limit_ms, on_boot_limit, vm, NULL);
	if (r < 0)
		return err_set(e, -r, "event loop: %s", strerror(-r));
	vmm_pause(vm); /* no vCPU enters the guest before every thread has its filter */
	r = vcpus_start(vm, e);
	if (r >= 0) {
		r = vmm_thread_enter(vm, vmm_plan_sockets(vm->plan) ? VMM_THREAD_CONNECT : VMM_THREAD_MAIN, "berth-vmm");
		if (r < 0)
			err_set(e, -r, "system call filter: %s", strerror(-r));
	}
	vmm_mark(vm->plan, "threads"); /* the last of this thread's */
	vmm_resume(vm);
	if (r >= 0) {
		vmm_own_written(vm);
		r = loop_run(vm->loop);
		if (r < 0)
			err_set(e, -r, "event loop: %s", strerror(-r));
	}
	vcpus_stop(vm);
	virtio_reset_all(vm);
	if (r < 0)
		return r;
	*ret = vm->result;
	return 0;
}

void vmm_end(struct vmm *vm, enum vmm_end end, const char *reason, ...)
{
	pthread_mutex_lock(&vm->sync);
	if (vm->result.end == VMM_RUNNING) {
		vm->result.end = end;
		if (reason) {
			va_list ap;

			va_start(ap, reason);
			vsnprintf(vm->result.reason, sizeof(vm->result.reason), reason, ap);
			va_end(ap);
		}
	}
	pthread_mutex_unlock(&vm->sync);
	(void)!eventfd_write(vm->wake_fd, 1);
}

void vmm_note_started(struct vmm *vm)
{
	pthread_mutex_lock(&vm->sync);
	vm->is_started = true;
	pthread_mutex_unlock(&vm->sync);
}

struct loop *vmm_loop(struct vmm *vm) { return vm->loop; }

/* ---- calls to the vmm thread, and the pause ---- */

struct vmm_call {
	void (*fn)(void *arg);
	void *arg;
	bool is_done;
	struct vmm_call *next;
};

/* sync is held; it is not while a call runs. */
void vmm_calls_serve(struct vmm *vm)
{
	while (vm->calls) {
		struct vmm_call *c = vm->calls;

		vm->calls = c->next;
		pthread_mutex_unlock(&vm->sync);
		c->fn(c->arg);
		pthread_mutex_lock(&vm->sync);
		c->is_done = true;
		pthread_cond_broadcast(&vm->changed);
	}
}

void vmm_call(struct vmm *vm, void (*fn)(void *arg), void *arg)
{
	struct vmm_call c = { .fn = fn, .arg = arg }, **last;

	if (pthread_equal(pthread_self(), vm->loop_thread)) {
		fn(arg);
		return;
	}
	pthread_mutex_lock(&vm->sync);
	for (last = &vm->calls; *last; last = &(*last)->next)
		;
	*last = &c;
	pthread_cond_broadcast(&vm->changed);
	(void)!eventfd_write(vm->wake_fd, 1);
	while (!c.is_done)
		pthread_cond_wait(&vm->changed, &vm->sync);
	pthread_mutex_unlock(&vm->sync);
}

/* sync is held. Until n vCPUs are out of the guest for good or parked; takes calls meanwhile, as one of them may wait for one. */
static void wait_for_vcpus(struct vmm *vm, bool counts_parked)
{
	while (vm->n_done + (counts_parked ? vm->n_parked : 0) < vm->n_threads)
		if (vm->calls)
			vmm_calls_serve(vm);
		else
			pthread_cond_wait(&vm->changed, &vm->sync);
}

void vmm_pause(struct vmm *vm)
{
	pthread_mutex_lock(&vm->sync);
	if (vm->pause_depth++ == 0) {
		vcpus_kick(vm);
		wait_for_vcpus(vm, true);
	}
	pthread_mutex_unlock(&vm->sync);
}

void vmm_resume(struct vmm *vm)
{
	pthread_mutex_lock(&vm->sync);
	if (vm->pause_depth > 0 && --vm->pause_depth == 0)
		pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->sync);
}

void vcpus_stop(struct vmm *vm)
{
	pthread_mutex_lock(&vm->sync);
	vm->is_quitting = true;
	vcpus_kick(vm);
	pthread_cond_broadcast(&vm->changed);
	wait_for_vcpus(vm, false);
	pthread_mutex_unlock(&vm->sync);
	vcpus_join(vm);
}
