/* snapshot_load: the state file, from both sides: what of a VM is in it and in which order it comes back. See snapshot.h. */
#include <sys/ioctl.h>
#include <unistd.h>

#include "snapshot.h"
#include "sum.h"
#include "vmm_impl.h"

#define STATE_MAGIC   "BERTHVMS"
#define CLOCK_VERSION 1u

/* ---- the head ---- */

static uint64_t sum_state(const struct snapshot_head *h, const void *records)
{
	struct snapshot_head copy = *h;
	struct sum s;

	copy.sum = 0;
	sum_init(&s);
	sum_add(&s, &copy, sizeof(copy));
	sum_add(&s, records, h->records_bytes);
	return sum_end(&s);
}

void snapshot_seal(struct snapshot_head *h, const void *records)
{
	memcpy(h->magic, STATE_MAGIC, sizeof(h->magic));
	h->version = SNAPSHOT_VERSION;
	h->head_bytes = sizeof(*h);
	h->sum = sum_state(h, records);
}

int snapshot_check(const void *data, size_t len, struct snapshot_head *ret, struct err *e)
{
	struct snapshot_head h;

	if (len < sizeof(h))
		return err_set(e, EBADMSG, "state file: incomplete: %zu bytes", len);
	memcpy(&h, data, sizeof(h));
	if (memcmp(h.magic, STATE_MAGIC, sizeof(h.magic)) != 0)
		return err_set(e, EBADMSG, "state file: not a saved virtual machine");
	if (h.version != SNAPSHOT_VERSION)
		return err_set(e, EBADMSG, "state file: version %u, this program reads %u: make the snapshot anew", h.version,
			       SNAPSHOT_VERSION);
	if (h.head_bytes != sizeof(h) || h.records_bytes != len - sizeof(h))
		return err_set(e, EBADMSG, "state file: cut off, or too long: %zu bytes", len);
	if (sum_state(&h, (const uint8_t *)data + sizeof(h)) != h.sum)
		return err_set(e, EBADMSG, "state file: damaged: its checksum is another");
	*ret = h;
	return 0;
}

/* The whole file, from its beginning, wherever the descriptor is: clones that start at the same time may share it. */
static int read_state(int fd, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *data = NULL;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "state file: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > (off_t)SNAPSHOT_STATE_MAX)
		return err_set(e, EBADMSG, "state file: %lld bytes: empty, too long, or no regular file", (long long)st.st_size);
	data = malloc((size_t)st.st_size);
	if (!data)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t done = 0; done < (size_t)st.st_size;) {
		ssize_t n = pread(fd, data + done, (size_t)st.st_size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_set(e, errno, "state file: %s", strerror(errno))
				     : err_set(e, EBADMSG, "state file: cut off while it was read");
		done += (size_t)n;
	}
	*ret = TAKE_PTR(data);
	*ret_len = (size_t)st.st_size;
	return 0;
}

int vmm_snapshot_check(int state_fd, int ram_fd, struct vmm_snapshot_facts *ret, struct err *e)
{
	_cleanup_free_ char *data = NULL;
	struct snapshot_head h = { .version = 0 };
	struct diff_head d = { .version = 0 };
	struct vmm_snapshot_facts f;
	size_t len;
	int r = read_state(state_fd, &data, &len, e);

	if (r >= 0)
		r = snapshot_check(data, len, &h, e);
	if (r >= 0)
		r = ram_check_diff(ram_fd, &d, e);
	if (r < 0)
		return r;
	f = (struct vmm_snapshot_facts){ .is_diff = r > 0, .mem_bytes = h.mem_bytes, .cpus = h.cpus };
	if (!f.is_diff)
		r = ram_check(ram_fd, h.mem_bytes, &h.id, e);
	else if (memcmp(&d.id, &h.id, sizeof(d.id)) != 0 || d.mem_bytes != h.mem_bytes)
		r = err_set(e, EBADMSG, "memory file: of another snapshot than the state file");
	if (r < 0)
		return r;
	memcpy(f.id, h.id.b, sizeof(f.id));
	memcpy(f.base, d.base.b, sizeof(f.base));
	*ret = f;
	return 0;
}

int vmm_snapshot_id(int state_fd, uint8_t ret[VMM_SNAPSHOT_ID_BYTES], struct err *e)
{
	struct snapshot_head h;

	if (pread(state_fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || memcmp(h.magic, STATE_MAGIC, sizeof(h.magic)) != 0 ||
	    h.version != SNAPSHOT_VERSION)
		return err_set(e, EBADMSG, "state file: not a saved virtual machine of this version");
	memcpy(ret, h.id.b, sizeof(h.id.b));
	return 0;
}

int snapshot_open(struct vmm *vm, struct err *e)
{
	const struct vmm_plan *p = vm->plan;
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r;

	if (p->state_fd < 0)
		return 0;
	r = read_state(p->state_fd, &data, &len, e);
	if (r < 0)
		return r;
	r = snapshot_check(data, len, &vm->restore.head, e);
	if (r < 0)
		return r;
	if (vm->restore.head.mem_bytes != vmm_plan_ram(p) || vm->restore.head.cpus != p->cpus)
		return err_set(e, EINVAL, "state file: of a VM with %llu bytes of memory and %u CPUs, the plan has %llu and %u",
			       (unsigned long long)vm->restore.head.mem_bytes, vm->restore.head.cpus,
			       (unsigned long long)vmm_plan_ram(p), p->cpus);
	r = ram_check(p->ram_fd, vmm_plan_ram(p), &vm->restore.head.id, e);
	if (r < 0)
		return r;
	vm->restore.data = TAKE_PTR(data);
	vm->restore.len = len;
	return 0;
}

/* ---- vCPUs ---- */

static int save_vcpus(struct vmm *vm, struct buf *out, struct err *e)
{
	_cleanup_free_ struct vcpu_state *s = malloc(sizeof(*s));
	int r = s ? 0 : err_set(e, ENOMEM, "out of memory");

	for (unsigned i = 0; r >= 0 && i < vm->n_vcpus; i++) {
		r = vcpu_state_get(&vm->vcpus[i], s, e);
		state_put(out, STATE_VCPU, i, VCPU_STATE_VERSION, s, sizeof(*s));
	}
	return r < 0 ? r : (int)vm->n_vcpus;
}

static int load_vcpus(struct vmm *vm, const void *data, size_t len, struct err *e)
{
	_cleanup_free_ struct vcpu_state *s = malloc(sizeof(*s));
	int r = s ? 0 : err_set(e, ENOMEM, "out of memory");

	for (unsigned i = 0; r >= 0 && i < vm->n_vcpus; i++) {
		r = state_get_struct(data, len, STATE_VCPU, i, VCPU_STATE_VERSION, s, sizeof(*s), e);
		if (r >= 0)
			r = vcpu_state_set(&vm->vcpus[i], s, e);
	}
	return r < 0 ? r : (int)vm->n_vcpus;
}

/* ---- time ----
 * Time stood still for the guest: TSC and kvmclock go on from where they were, whichever of them it counts with, so its monotonic
 * clock never jumps. (A jump of the TSC by days overflows the arithmetic of Linux before 6.10, and kvmclock alone would part
 * from the TSC.) Its wall clock is behind by the time between; what sets it is the agent in the guest. */

struct clock_state {
	uint64_t kvm_ns; /* kvmclock */
	uint32_t is_started, pad;
};

static int save_clock(struct vmm *vm, struct buf *out, struct err *e)
{
	struct kvm_clock_data c = { 0 };
	struct clock_state s = { 0 };

	if (ioctl(vm->fd_vm, KVM_GET_CLOCK, &c) < 0)
		return err_set(e, errno, "KVM's clock: %s", strerror(errno));
	s.kvm_ns = c.clock;
	pthread_mutex_lock(&vm->sync);
	s.is_started = vm->is_started;
	pthread_mutex_unlock(&vm->sync);
	state_put(out, STATE_CLOCK, 0, CLOCK_VERSION, &s, sizeof(s));
	return 1;
}

static int load_clock(struct vmm *vm, const void *data, size_t len, struct err *e)
{
	struct kvm_clock_data c = { 0 };
	struct clock_state s;
	int r = state_get_struct(data, len, STATE_CLOCK, 0, CLOCK_VERSION, &s, sizeof(s), e);

	if (r < 0)
		return r;
	c.clock = s.kvm_ns;
	if (s.is_started > 1 || s.kvm_ns > INT64_MAX)
		return err_set(e, EBADMSG, "saved state: an impossible time");
	if (ioctl(vm->fd_vm, KVM_SET_CLOCK, &c) < 0)
		return err_set(e, errno, "KVM's clock: %s", strerror(errno));
	/* The guest's watchdogs are told that it was stopped. EINVAL: it has no kvmclock. */
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		(void)ioctl(vm->vcpus[i].fd, KVM_KVMCLOCK_CTRL, 0);
	if (s.is_started)
		vmm_note_started(vm);
	return 1;
}

/* ---- the rest ---- */

static int save_pci(struct vmm *vm, struct buf *out, struct err *e)
{
	(void)e;
	return pci_save(vm->pci, out);
}
static int load_pci(struct vmm *vm, const void *data, size_t len, struct err *e) { return pci_load(vm->pci, data, len, e); }

static int save_ioapic(struct vmm *vm, struct buf *out, struct err *e)
{
	(void)e;
	return ioapic_save(vm->ioapic, out);
}
static int load_ioapic(struct vmm *vm, const void *data, size_t len, struct err *e)
{
	return ioapic_load(vm->ioapic, data, len, e);
}

static int save_serial(struct vmm *vm, struct buf *out, struct err *e)
{
	(void)e;
	return serial_save(vm->serial, out);
}
static int load_serial(struct vmm *vm, const void *data, size_t len, struct err *e)
{
	return serial_load(vm->serial, data, len, e);
}

/* In the order of loading. Local APICs come with the vCPUs, before whatever may interrupt; a function's configuration, with its
 * switch of MSI-X, before its vectors. Each returns how many records it has written or read. */
static const struct section {
	const char *name;
	int (*save)(struct vmm *vm, struct buf *out, struct err *e);
	int (*load)(struct vmm *vm, const void *data, size_t len, struct err *e);
} sections[] = {
	{ "vCPUs", save_vcpus, load_vcpus },         { "clock", save_clock, load_clock },
	{ "I/O APIC", save_ioapic, load_ioapic },    { "PCI", save_pci, load_pci },
	{ "serial port", save_serial, load_serial }, { "devices", virtio_save, virtio_load },
};

int snapshot_save_records(struct vmm *vm, struct buf *out, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(sections); i++) {
		r = sections[i].save(vm, out, e);
		if (r < 0)
			return err_push(e, r, "%s", sections[i].name);
	}
	return out->failed ? err_set(e, ENOMEM, "out of memory for the state") : 0;
}

int snapshot_load_records(struct vmm *vm, const void *records, size_t len, struct err *e)
{
	int n = state_count(records, len, e), used = 0;

	if (n < 0)
		return n;
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		int r = sections[i].load(vm, records, len, e);

		if (r < 0)
			return err_push(e, r, "%s", sections[i].name);
		used += r;
	}
	return used == n
		       ? 0
		       : err_set(e, EBADMSG, "saved state: of a VM with more in it: %d records, and %d are the plan's", n, used);
}

int snapshot_load(struct vmm *vm, struct err *e)
{
	int r = snapshot_load_records(vm, vm->restore.data + sizeof(vm->restore.head), vm->restore.len - sizeof(vm->restore.head),
				      e);

	free(vm->restore.data);
	vm->restore.data = NULL;
	if (r < 0)
		return err_push(e, r, "state file");
	if (vm->plan->tracks_writes) /* before anything is written to its memory */
		r = snapshot_track_start(vm, &vm->restore.head.id, e);
	return r < 0 ? r : generation_tell(vm, e);
}
