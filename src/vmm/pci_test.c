/* PCI configuration space by its two ports, without KVM. */
#include "pci.h"

#include "tap.h"

#define MIB (1ull << 20)

struct rig {
	struct vmm_bus *bus;
	struct pci_host *host;
	struct pci_function f;
	unsigned writes;
};

static void on_write(struct pci_function *f, unsigned offset, unsigned size)
{
	(void)offset;
	(void)size;
	container_of(f, struct rig, f)->writes++;
}

static void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	is_int(vmm_bus_new(&r->bus), 0);
	is_int(pci_host_new(r->bus, VMM_HOLE_END + 5 * MIB, &r->host, NULL), 0);
	pci_function_init(&r->f, 0x1af4, 0x1044, 0xff000001, 0x1af4, 0x1100);
	r->f.on_write = on_write;
	is_int(pci_add(r->host, &r->f, NULL), 0);
	is_int(r->f.slot, 1);
}

static void rig_done(struct rig *r)
{
	pci_host_free(r->host);
	vmm_bus_free(r->bus);
}

static void choose(struct rig *r, uint32_t address) { vmm_bus_write(r->bus, VMM_PIO, 0xcf8, &address, 4); }

static uint32_t port_read(struct rig *r, uint32_t address, unsigned size)
{
	uint32_t v = 0;

	choose(r, 0x80000000u | (address & ~3u));
	vmm_bus_read(r->bus, VMM_PIO, 0xcfc + (address & 3), &v, size);
	return v;
}

static void port_write(struct rig *r, uint32_t address, uint32_t v, unsigned size)
{
	choose(r, 0x80000000u | (address & ~3u));
	vmm_bus_write(r->bus, VMM_PIO, 0xcfc + (address & 3), &v, size);
}

TEST(functions_answer_at_their_slot_and_nothing_else_does)
{
	struct rig r;

	rig_init(&r);
	is_int(port_read(&r, 0, 4) >> 16, 0x0d57);
	is_int(port_read(&r, 0xa, 2), 0x0600); /* a host bridge: what kernels look for */
	is_int(port_read(&r, 1 << 11, 4), 0x10441af4);
	is_int(port_read(&r, 1 << 11 | 2, 2), 0x1044);
	ok(port_read(&r, 2 << 11, 4) == UINT32_MAX);
	ok(port_read(&r, 1 << 16 | 1 << 11, 4) == UINT32_MAX); /* another bus */
	ok(port_read(&r, 1 << 11 | 1 << 8, 4) == UINT32_MAX);  /* another function */
	rig_done(&r);
}

TEST(the_address_port_keeps_its_value_and_takes_whole_words_only)
{
	struct rig r;
	uint32_t v = 0;
	uint8_t one = 1;

	rig_init(&r);
	choose(&r, 0x80000800);
	vmm_bus_write(r.bus, VMM_PIO, 0xcfb, &one, 1);
	vmm_bus_read(r.bus, VMM_PIO, 0xcf8, &v, 4);
	is_int(v, (uint32_t)0x80000800);
	choose(&r, 0x800); /* not enabled */
	vmm_bus_read(r.bus, VMM_PIO, 0xcfc, &v, 4);
	ok(v == UINT32_MAX);
	rig_done(&r);
}

TEST(only_writable_bits_change)
{
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < 256; i += 4)
		if (i < 0x10 || i >= 0x28)
			port_write(&r, 1 << 11 | i, UINT32_MAX, 4);
	is_int(port_read(&r, 1 << 11, 4), 0x10441af4);
	is_int(port_read(&r, 1 << 11 | 4, 4), 0x0406);
	is_int(port_read(&r, 1 << 11 | 0x3c, 4), 0xff);
	for (unsigned i = 0x40; i < 256; i += 4)
		is_int(port_read(&r, 1 << 11 | i, 4), 0);
	ok(r.writes > 0);
	rig_done(&r);
}

TEST(a_bar_tells_its_size_and_stays_where_it_is)
{
	struct rig r;
	uint64_t start = 0, bytes = 0;

	rig_init(&r);
	is_int(pci_add_bar(r.host, &r.f, 0, 0x8000, false, NULL, NULL, NULL), 0);
	is_int(pci_add_bar(r.host, &r.f, 2, 16 * MIB, true, NULL, NULL, NULL), 0);
	is_int(port_read(&r, 1 << 11 | 0x10, 4), (uint32_t)PCI_MMIO_START);
	port_write(&r, 1 << 11 | 0x10, UINT32_MAX, 4);
	is_int(port_read(&r, 1 << 11 | 0x10, 4), (uint32_t)~0x7fff);
	port_write(&r, 1 << 11 | 0x10, 0xd0000000, 4);
	is_int(port_read(&r, 1 << 11 | 0x10, 4), (uint32_t)PCI_MMIO_START);
	/* 64-bit, prefetchable, above RAM, aligned to itself */
	is_int(r.f.bars[2].gpa, 5ull << 30);
	is_int(port_read(&r, 1 << 11 | 0x18, 4), 0x4000000c);
	is_int(port_read(&r, 1 << 11 | 0x1c, 4), 1);
	port_write(&r, 1 << 11 | 0x18, UINT32_MAX, 4);
	port_write(&r, 1 << 11 | 0x1c, UINT32_MAX, 4);
	is_int(port_read(&r, 1 << 11 | 0x18, 4), (uint32_t)0xff00000c);
	is_int(port_read(&r, 1 << 11 | 0x1c, 4), UINT32_MAX);
	is_int(port_read(&r, 1 << 11 | 0x14, 4), 0); /* none there */
	pci_window64(r.host, &start, &bytes);
	is_int(start, 5ull << 30);
	is_int(bytes, 16 * MIB);
	rig_done(&r);
}

TEST(regions_that_can_not_be_are_refused)
{
	struct rig r;

	rig_init(&r);
	is_int(pci_add_bar(r.host, &r.f, 0, 0x800, false, NULL, NULL, NULL), -EINVAL);
	is_int(pci_add_bar(r.host, &r.f, 0, 0x3000, false, NULL, NULL, NULL), -EINVAL);
	is_int(pci_add_bar(r.host, &r.f, 6, 0x1000, false, NULL, NULL, NULL), -EINVAL);
	is_int(pci_add_bar(r.host, &r.f, 5, 0x1000, true, NULL, NULL, NULL), -EINVAL);
	is_int(pci_add_bar(r.host, &r.f, 0, 1ull << 31, false, NULL, NULL, NULL), -ENOSPC);
	rig_done(&r);
}

TEST(capabilities_are_a_chain)
{
	struct rig r;
	uint8_t a[8] = { 9 }, b[13] = { 0x11 }, big[200] = { 9 };

	rig_init(&r);
	is_int(pci_add_cap(&r.f, a, sizeof(a)), 0x40);
	is_int(pci_add_cap(&r.f, b, sizeof(b)), 0x48);
	is_int(pci_add_cap(&r.f, a, sizeof(a)), 0x58);
	is_int(port_read(&r, 1 << 11 | 0x34, 1), 0x40);
	is_int(port_read(&r, 1 << 11 | 0x40, 2), 0x4809);
	is_int(port_read(&r, 1 << 11 | 0x48, 2), 0x5811);
	is_int(port_read(&r, 1 << 11 | 0x58, 2), 0x0009);
	is_int(port_read(&r, 1 << 11 | 6, 2), 0x10);
	is_int(pci_add_cap(&r.f, big, sizeof(big)), -ENOSPC);
	rig_done(&r);
}

TEST(the_bus_has_32_slots)
{
	static struct pci_function more[PCI_SLOTS];
	struct rig r;
	struct err e = { 0 };

	rig_init(&r);
	for (unsigned i = 2; i < PCI_SLOTS; i++)
		is_int(pci_add(r.host, &more[i], NULL), 0);
	is_int(pci_add(r.host, &more[0], &e), -ENOSPC);
	has_str(e.msg, "31");
	rig_done(&r);
}

TAP_MAIN()
