/* Devices behind their transport, driven by this test as a guest's driver would: through configuration space and the BAR, with
 * rings in the guest's memory. The VM is built and never started; so every call runs on this thread. */
#include <linux/virtio_console.h>
#include <linux/virtio_pci.h>
#include <sys/socket.h>

#include "../tiny.h"

enum {
	QUEUE_BYTES = 0x4000,
	RINGS = 0x400000, /* queue i at RINGS + i * QUEUE_BYTES: descriptors, avail at 0x1000, used at 0x2000 */
	DATA = 0x800000,
	DRIVER = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER,
};

struct rig {
	struct vmm_plan plan;
	struct vmm_device_plan device;
	struct vmm *vm;
	struct virtio_device *d;
	uint64_t bar;
};

static void rig_init(struct rig *r)
{
	static const uint8_t code[] = { 0xf4 };

	r->plan = (struct vmm_plan){ VMM_PLAN_NO_FDS, .mem_bytes = 32 << 20, .cpus = 1, .devices = &r->device, .n_devices = 1 };
	r->plan.kernel_fd = tiny_kernel(code, 1);
	r->vm = tiny_vm(&r->plan);
	r->d = r->vm->devices[0];
	uint32_t bar = pci_config_read(r->vm->pci, 1, 0x10, 4);
	r->bar = bar;
	ok(bar >= PCI_MMIO_START && bar % 0x8000 == 0);
}

static void rig_done(struct rig *r)
{
	vmm_free(r->vm);
	close(r->plan.kernel_fd);
}

static void set(struct rig *r, unsigned offset, uint32_t v, unsigned n)
{
	vmm_bus_write(r->vm->bus, VMM_MMIO, r->bar + offset, &v, n);
}

static uint32_t get(struct rig *r, unsigned offset, unsigned n)
{
	uint32_t v = 0;

	vmm_bus_read(r->vm->bus, VMM_MMIO, r->bar + offset, &v, n);
	return v;
}

static uint8_t status(struct rig *r) { return (uint8_t)get(r, VIRTIO_PCI_COMMON_STATUS, 1); }

static void take_features(struct rig *r, uint64_t f)
{
	set(r, VIRTIO_PCI_COMMON_STATUS, DRIVER, 1);
	for (uint32_t i = 0; i < 2; i++) {
		set(r, VIRTIO_PCI_COMMON_GFSELECT, i, 4);
		set(r, VIRTIO_PCI_COMMON_GF, (uint32_t)(f >> 32 * i), 4);
	}
	set(r, VIRTIO_PCI_COMMON_STATUS, DRIVER | VIRTIO_CONFIG_S_FEATURES_OK, 1);
}

static void set_queue(struct rig *r, unsigned i)
{
	uint32_t base = RINGS + i * QUEUE_BYTES;

	set(r, VIRTIO_PCI_COMMON_Q_SELECT, i, 2);
	set(r, VIRTIO_PCI_COMMON_Q_MSIX, i + 1, 2);
	set(r, VIRTIO_PCI_COMMON_Q_DESCLO, base, 4);
	set(r, VIRTIO_PCI_COMMON_Q_AVAILLO, base + 0x1000, 4);
	set(r, VIRTIO_PCI_COMMON_Q_USEDLO, base + 0x2000, 4);
	set(r, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

static void *guest(struct rig *r, uint64_t gpa, uint64_t n)
{
	void *p = vmm_mem_at_write(r->vm->mem, gpa, n);

	ok(p);
	return p;
}

static struct vring_avail *avail(struct rig *r, unsigned q) { return guest(r, RINGS + q * QUEUE_BYTES + 0x1000, 4096); }
static struct vring_used *used(struct rig *r, unsigned q) { return guest(r, RINGS + q * QUEUE_BYTES + 0x2000, 4096); }

/* Offers one buffer; the descriptor has the number of the request. */
static void offer(struct rig *r, unsigned q, uint64_t gpa, uint32_t n, uint16_t flags)
{
	struct vring_desc *desc = guest(r, RINGS + q * QUEUE_BYTES, 4096);
	struct vring_avail *a = avail(r, q);
	uint16_t i = a->idx % 64;

	desc[i] = (struct vring_desc){ gpa, n, flags, 0 };
	a->ring[a->idx % r->d->queues[q].s.size] = i;
	a->idx++;
}

static void start(struct rig *r, uint64_t features)
{
	take_features(r, features | 1ull << VIRTIO_F_VERSION_1);
	is_int(status(r), DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned i = 0; i < r->d->n_queues; i++)
		set_queue(r, i);
}

static void go(struct rig *r)
{
	set(r, VIRTIO_PCI_COMMON_STATUS, DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK, 1);
}

static void on_turn_end(struct loop *l, int fd, uint32_t events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	loop_stop(l, 0);
}

/* What is due in the loop, and then a little. */
static void turn(struct rig *r)
{
	is_int(loop_timer(r->vm->loop, 20, on_turn_end, NULL, NULL), 0);
	is_int(loop_run(r->vm->loop), 0);
}

static bool is_raised(struct rig *r, unsigned vector)
{
	struct msix *x = (struct msix *)(void *)((char *)r->d->pci + sizeof(struct pci_function));

	return vmm_msi_is_pending(&x->msi[vector]);
}

/* ---- the transport ---- */

TEST(features_that_were_not_offered_are_not_agreed_on)
{
	struct vmm_rng_plan rng = { 0 };
	struct rig r = { .device = { .rng = &rng } };

	rig_init(&r);
	take_features(&r, 1ull << VIRTIO_F_VERSION_1 | 1ull << 5);
	is_int(status(&r), DRIVER);
	take_features(&r, 0); /* a legacy driver */
	is_int(status(&r), DRIVER);
	go(&r); /* and without that there is no start */
	ok(!r.d->is_active);
	rig_done(&r);
}

TEST(a_driver_finds_the_structures_by_their_capabilities)
{
	struct vmm_rng_plan rng = { 0 };
	struct rig r = { .device = { .rng = &rng } };
	unsigned seen = 0, at;

	rig_init(&r);
	is_int(pci_config_read(r.vm->pci, 1, 0, 4), 0x10441af4);
	for (at = pci_config_read(r.vm->pci, 1, 0x34, 1); at; at = pci_config_read(r.vm->pci, 1, at + 1, 1)) {
		ok(at >= 0x40 && at < 0x100);
		if (pci_config_read(r.vm->pci, 1, at, 1) == 9)
			seen |= 1u << pci_config_read(r.vm->pci, 1, at + 3, 1);
		else
			seen |= pci_config_read(r.vm->pci, 1, at, 1) == 0x11;
	}
	is_int(seen, 1 | 1 << VIRTIO_PCI_CAP_COMMON_CFG | 1 << VIRTIO_PCI_CAP_NOTIFY_CFG | 1 << VIRTIO_PCI_CAP_ISR_CFG |
			     1 << VIRTIO_PCI_CAP_DEVICE_CFG | 1 << VIRTIO_PCI_CAP_PCI_CFG);
	rig_done(&r);
}

TEST(V05_queue_registers_are_deaf_after_driver_ok)
{
	struct vmm_rng_plan rng = { 0 };
	struct rig r = { .device = { .rng = &rng } };
	struct vq_state before;

	rig_init(&r);
	start(&r, 0);
	before = r.d->queues[0].s;
	set(&r, VIRTIO_PCI_COMMON_Q_DESCLO, 0, 4); /* enabled is enough */
	go(&r);
	ok(r.d->is_active);
	for (unsigned i = VIRTIO_PCI_COMMON_Q_SIZE; i < 0x38; i += 2)
		for (unsigned n = 1; n <= 4; n *= 2)
			set(&r, i, 0x11111111, n);
	ok(r.d->queues[0].s.desc == before.desc && r.d->queues[0].s.avail == before.avail &&
	   r.d->queues[0].s.used == before.used);
	is_int(r.d->queues[0].s.size, before.size);
	is_int(r.d->queues[0].s.vector, before.vector);
	rig_done(&r);
}

TEST(V15_a_sweep_of_the_registers_leaves_the_device_standing)
{
	struct vmm_rng_plan rng = { 0 };
	struct rig r = { .device = { .rng = &rng } };

	rig_init(&r);
	for (int round = 0; round < 2; round++) { /* before it runs, and while it does */
		for (unsigned size = 1; size <= 8; size *= 2)
			for (unsigned at = 0; at < 0x8000; at++) {
				uint64_t v = UINT64_MAX;

				vmm_bus_read(r.vm->bus, VMM_MMIO, r.bar + at, &v, size);
				if (at != VIRTIO_PCI_COMMON_STATUS)
					vmm_bus_write(r.vm->bus, VMM_MMIO, r.bar + at, &v, size);
			}
		set(&r, VIRTIO_PCI_COMMON_STATUS, 0, 1);
		is_int(status(&r), 0);
		start(&r, 0);
		go(&r);
		ok(r.d->is_active);
	}
	rig_done(&r);
}

TEST(a_vector_that_is_not_there_reads_back_as_none)
{
	struct vmm_rng_plan rng = { 0 };
	struct rig r = { .device = { .rng = &rng } };

	rig_init(&r);
	set(&r, VIRTIO_PCI_COMMON_MSIX, 1, 2);
	is_int(get(&r, VIRTIO_PCI_COMMON_MSIX, 2), 1);
	set(&r, VIRTIO_PCI_COMMON_MSIX, 2, 2); /* one queue: vectors 0 and 1 */
	is_int(get(&r, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	set(&r, VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	is_int(get(&r, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	rig_done(&r);
}

TEST(the_window_in_configuration_space_reaches_the_registers)
{
	struct vmm_rng_plan rng = { 0 };
	struct rig r = { .device = { .rng = &rng } };
	unsigned at;

	rig_init(&r);
	for (at = pci_config_read(r.vm->pci, 1, 0x34, 1); pci_config_read(r.vm->pci, 1, at + 3, 1) != VIRTIO_PCI_CAP_PCI_CFG;)
		at = pci_config_read(r.vm->pci, 1, at + 1, 1);
	pci_config_write(r.vm->pci, 1, at + 8, VIRTIO_PCI_COMMON_STATUS, 4);
	pci_config_write(r.vm->pci, 1, at + 12, 1, 4);
	pci_config_write(r.vm->pci, 1, at + 16, DRIVER, 1);
	is_int(status(&r), DRIVER);
	is_int(pci_config_read(r.vm->pci, 1, at + 16, 1), DRIVER);
	static const uint32_t bad[][2] = { { 0x8000, 1 }, { 0x7fff, 2 }, { UINT32_MAX, 4 }, { UINT32_MAX - 3, 4 },
					   { 1, 2 },      { 0, 3 },      { 0, 0 } };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		pci_config_write(r.vm->pci, 1, at + 8, bad[i][0], 4);
		pci_config_write(r.vm->pci, 1, at + 12, bad[i][1], 4);
		pci_config_write(r.vm->pci, 1, at + 16, 0, 4);
		(void)pci_config_read(r.vm->pci, 1, at + 16, 4);
	}
	is_int(status(&r), DRIVER);
	rig_done(&r);
}

/* ---- random numbers ---- */

TEST(rng_fills_what_it_is_given_and_interrupts)
{
	struct vmm_rng_plan rng = { 0 };
	struct rig r = { .device = { .rng = &rng } };
	uint8_t zero[32] = { 0 };

	rig_init(&r);
	start(&r, 0);
	offer(&r, 0, DATA, 32, VRING_DESC_F_WRITE);
	go(&r);
	is_int(used(&r, 0)->idx, 1);
	is_int(used(&r, 0)->ring[0].len, 32);
	ok(memcmp(guest(&r, DATA, 32), zero, 32) != 0);
	ok(is_raised(&r, 1));
	offer(&r, 0, DATA, 16, VRING_DESC_F_WRITE);
	set(&r, 0x3000, 0, 2); /* notify */
	turn(&r);
	is_int(used(&r, 0)->idx, 2);
	rig_done(&r);
}

TEST(rng_gives_no_more_a_second_than_its_rate)
{
	struct vmm_rng_plan rng = { .bytes_per_second = 100 };
	struct rig r = { .device = { .rng = &rng } };

	rig_init(&r);
	start(&r, 0);
	for (int i = 0; i < 4; i++)
		offer(&r, 0, DATA, 64, VRING_DESC_F_WRITE);
	go(&r);
	is_int(used(&r, 0)->idx, 2);
	is_int(used(&r, 0)->ring[0].len, 64);
	is_int(used(&r, 0)->ring[1].len, 36);
	set(&r, VIRTIO_PCI_COMMON_STATUS, 0, 1); /* and its timer goes with it */
	ok(!r.d->is_active);
	rig_done(&r);
}

TEST(V01_a_loop_of_descriptors_makes_the_device_ask_for_its_reset_and_the_reset_helps)
{
	struct vmm_rng_plan rng = { 0 };
	struct rig r = { .device = { .rng = &rng } };

	rig_init(&r);
	start(&r, 0);
	set(&r, VIRTIO_PCI_COMMON_MSIX, 0, 2);
	offer(&r, 0, DATA, 32, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT); /* next: 0, itself */
	go(&r);
	ok(status(&r) & VIRTIO_CONFIG_S_NEEDS_RESET);
	ok(is_raised(&r, 0));
	is_int(used(&r, 0)->idx, 0);
	set(&r, VIRTIO_PCI_COMMON_STATUS, 0, 1);
	is_int(status(&r), 0);
	memset(guest(&r, RINGS, QUEUE_BYTES), 0, QUEUE_BYTES);
	start(&r, 0);
	offer(&r, 0, DATA, 32, VRING_DESC_F_WRITE);
	go(&r);
	is_int(used(&r, 0)->idx, 1);
	rig_done(&r);
}

/* ---- snapshots of devices ---- */

/* A VM from a snapshot of r's, with n devices. */
static int restore(const struct rig *r, struct vmm_device_plan *device, unsigned n, struct rig *ret, struct err *e)
{
	static const struct vmm_snapshot_opts o;
	struct vmm_snapshot_info info;

	memset(ret, 0, sizeof(*ret));
	ret->plan = r->plan;
	ret->plan.kernel_fd = -1;
	ret->plan.devices = device;
	ret->plan.n_devices = n;
	ret->plan.state_fd = memfd_create("state", MFD_CLOEXEC);
	ret->plan.ram_fd = memfd_create("ram", MFD_CLOEXEC);
	if (vmm_snapshot(r->vm, &o, ret->plan.state_fd, ret->plan.ram_fd, &info, e) < 0)
		TAP_FAIL("%s", e->msg);
	int res = vmm_new(&ret->plan, &ret->vm, e);
	if (res >= 0) {
		ret->d = ret->vm->devices[0];
		ret->bar = r->bar;
	}
	return res;
}

TEST(a_device_goes_on_in_a_clone_with_its_queues_where_they_were)
{
	struct vmm_rng_plan rng = { 0 };
	struct rig r = { .device = { .rng = &rng } }, clone;
	struct err e = { 0 };

	rig_init(&r);
	start(&r, 0);
	offer(&r, 0, DATA, 32, VRING_DESC_F_WRITE);
	go(&r);
	is_int(used(&r, 0)->idx, 1);
	pci_config_write(r.vm->pci, 1, 0x04, 6, 2);
	offer(&r, 0, DATA + 64, 32, VRING_DESC_F_WRITE); /* nobody was told of this one yet */
	if (restore(&r, &r.device, 1, &clone, &e) < 0)
		TAP_FAIL("%s", e.msg);
	ok(clone.d->is_active);
	is_int(status(&clone), status(&r));
	is_int(clone.d->features_acked, r.d->features_acked);
	is_int(used(&clone, 0)->idx, 2); /* found by the clone as it began */
	is_int(used(&r, 0)->idx, 1);     /* which is no business of the parent's */
	is_int(pci_config_read(clone.vm->pci, 1, 0x04, 2), 6);
	is_int(get(&clone, 0x4000 + 16 + 8, 4), get(&r, 0x4000 + 16 + 8, 4)); /* the message of vector 1 */
	offer(&clone, 0, DATA + 128, 32, VRING_DESC_F_WRITE);
	set(&clone, 0x3000, 0, 2);
	turn(&clone);
	is_int(used(&clone, 0)->idx, 3);
	set(&clone, VIRTIO_PCI_COMMON_STATUS, 0, 1);
	is_int(status(&clone), 0);
	rig_done(&r);
	vmm_free(clone.vm);
}

TEST(two_clones_get_random_numbers_of_their_own)
{
	struct vmm_rng_plan rng = { 0 };
	struct rig r = { .device = { .rng = &rng } }, a, b;
	struct err e = { 0 };

	rig_init(&r);
	start(&r, 0);
	go(&r);
	offer(&r, 0, DATA, 32, VRING_DESC_F_WRITE);
	is_int(restore(&r, &r.device, 1, &a, &e), 0);
	is_int(restore(&r, &r.device, 1, &b, &e), 0);
	is_int(used(&a, 0)->idx, 1);
	is_int(used(&b, 0)->idx, 1);
	ok(memcmp(guest(&a, DATA, 32), guest(&b, DATA, 32), 32) != 0);
	rig_done(&r);
	vmm_free(a.vm);
	vmm_free(b.vm);
}

TEST(V14_a_snapshot_of_other_devices_is_refused)
{
	struct vmm_rng_plan rng = { 0 };
	struct vmm_port_plan port = { NULL, -1 };
	struct vmm_console_plan console = { &port, 1 };
	struct vmm_device_plan others[2] = { { .console = &console }, { .rng = &rng } };
	struct rig r = { .device = { .rng = &rng } }, clone;
	struct err e = { 0 };

	rig_init(&r);
	start(&r, 0);
	go(&r);
	is_int(restore(&r, others, 1, &clone, &e), -EBADMSG);
	has_str(e.msg, "slot 1");
	is_int(restore(&r, others, 0, &clone, &e), -EBADMSG);
	has_str(e.msg, "more in it");
	others[0] = others[1];
	is_int(restore(&r, others, 2, &clone, &e), -ENOENT);
	rig_done(&r);
}

/* ---- console ---- */

enum { CONTROL_IN = 2, CONTROL_OUT = 3, AGENT_IN = 4, AGENT_OUT = 5 };

static void send_control(struct rig *r, uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control m = { id, event, value };

	memcpy(guest(r, DATA + 0x10000, sizeof(m)), &m, sizeof(m));
	offer(r, CONTROL_OUT, DATA + 0x10000, sizeof(m), 0);
	r->d->ops->kick(r->d, CONTROL_OUT);
}

static struct virtio_console_control control(struct rig *r, unsigned i)
{
	struct virtio_console_control m;

	ok(used(r, CONTROL_IN)->idx > i);
	memcpy(&m, guest(r, DATA + 0x20000 + 64ull * i, 64), sizeof(m));
	return m;
}

static char agent[] = "dev.berth.agent";

static void console_start(struct rig *r, struct vmm_console_plan *console)
{
	r->device.console = console;
	rig_init(r);
	is_int(get(r, 0x2000 + 4, 4), 2); /* ports, in the config */
	start(r, 1ull << VIRTIO_CONSOLE_F_MULTIPORT);
	for (unsigned i = 0; i < 16; i++)
		offer(r, CONTROL_IN, DATA + 0x20000 + 64ull * i, 64, VRING_DESC_F_WRITE);
	go(r);
	send_control(r, UINT32_MAX, VIRTIO_CONSOLE_DEVICE_READY, 1);
	is_int(control(r, 0).event, VIRTIO_CONSOLE_PORT_ADD);
	is_int(control(r, 1).id, 1);
	send_control(r, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	is_int(control(r, 2).event, VIRTIO_CONSOLE_PORT_NAME);
	is_int(used(r, CONTROL_IN)->ring[2].len, 8 + strlen(agent));
	ok(memcmp(guest(r, DATA + 0x20000 + 128 + 8, 16), agent, strlen(agent)) == 0);
	is_int(control(r, 3).event, VIRTIO_CONSOLE_PORT_OPEN);
	is_int(control(r, 3).value, 1);
}

TEST(console_carries_bytes_both_ways_once_the_guest_has_opened_the_port)
{
	int s[2];
	struct vmm_port_plan ports[2] = { { NULL, -1 }, { agent, -1 } };
	struct vmm_console_plan console = { ports, 2 };
	struct rig r = { 0 };
	char got[16] = "";

	is_int(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	ports[1].fd = s[0];
	console_start(&r, &console);
	is_int(write(s[1], "early", 5), 5);
	offer(&r, AGENT_IN, DATA, 64, VRING_DESC_F_WRITE);
	r.d->ops->kick(r.d, AGENT_IN);
	turn(&r);
	is_int(used(&r, AGENT_IN)->idx, 0); /* nobody reads there yet */
	ok(!r.vm->is_started);
	send_control(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	ok(r.vm->is_started);
	is_int(used(&r, AGENT_IN)->idx, 1);
	ok(memcmp(guest(&r, DATA, 5), "early", 5) == 0);
	offer(&r, AGENT_IN, DATA, 64, VRING_DESC_F_WRITE);
	r.d->ops->kick(r.d, AGENT_IN);
	is_int(write(s[1], "later", 5), 5);
	turn(&r);
	is_int(used(&r, AGENT_IN)->idx, 2);
	is_int(used(&r, AGENT_IN)->ring[1].len, 5);
	memcpy(guest(&r, DATA + 4096, 5), "hello", 5);
	offer(&r, AGENT_OUT, DATA + 4096, 5, 0);
	r.d->ops->kick(r.d, AGENT_OUT);
	is_int(read(s[1], got, sizeof(got)), 5);
	is_str(got, "hello");
	offer(&r, AGENT_IN, DATA, 64, VRING_DESC_F_WRITE);
	r.d->ops->kick(r.d, AGENT_IN);
	close(s[1]);
	turn(&r);
	is_int(control(&r, 4).event, VIRTIO_CONSOLE_PORT_OPEN); /* the host has gone */
	is_int(control(&r, 4).value, 0);
	rig_done(&r);
}

TEST(console_output_that_nobody_takes_waits_in_the_guest_and_arrives_whole)
{
	int s[2];
	struct vmm_port_plan ports[2] = { { NULL, -1 }, { agent, -1 } };
	struct vmm_console_plan console = { ports, 2 };
	struct rig r = { 0 };
	const uint32_t bytes = 4 << 20;
	_cleanup_free_ uint8_t *back = malloc(bytes);
	uint8_t *sent;
	uint32_t n = 0;

	is_int(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	ports[1].fd = s[0];
	console_start(&r, &console);
	is_int(fd_nonblock(s[1], true), 0);
	send_control(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	sent = guest(&r, 0x1000000, bytes);
	for (uint32_t i = 0; i < bytes; i++)
		sent[i] = (uint8_t)(i * 7 + (i >> 9));
	offer(&r, AGENT_OUT, 0x1000000, bytes, 0);
	r.d->ops->kick(r.d, AGENT_OUT);
	is_int(used(&r, AGENT_OUT)->idx, 0); /* a socket holds less */
	while (n < bytes) {
		ssize_t got = read(s[1], back + n, bytes - n);

		if (got > 0)
			n += (uint32_t)got;
		else
			turn(&r);
	}
	turn(&r);
	is_int(used(&r, AGENT_OUT)->idx, 1);
	ok(memcmp(sent, back, bytes) == 0);
	rig_done(&r);
}

TEST(console_saves_and_loads_its_ports_and_refuses_nonsense)
{
	struct vmm_port_plan ports[2] = { { NULL, -1 }, { agent, -1 } };
	struct vmm_console_plan console = { ports, 2 };
	struct rig r = { 0 };
	_cleanup_free_ uint8_t *state = NULL;

	r.device.console = &console;
	rig_init(&r);
	state = calloc(1, r.d->ops->state_bytes);
	is_int(r.d->ops->save(r.d, state, NULL), 0);
	is_int(r.d->ops->load(r.d, state, NULL), 0);
	memset(state, 0xff, r.d->ops->state_bytes);
	is_int(r.d->ops->load(r.d, state, NULL), -EBADMSG);
	rig_done(&r);
}

TAP_MAIN()
