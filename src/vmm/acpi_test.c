/* The tables as a kernel reads them: from the RSDP on, every checksum, every pointer. */
#include "acpi.h"

#include "ioapic.h"
#include "tap.h"

#define GPA 0xe0000u

static uint8_t sum(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *b++);
	return s;
}

static uint64_t le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t le32(const void *p) { return (uint32_t)(le64(p) & UINT32_MAX); }

static const uint8_t *table(const struct buf *b, uint64_t gpa, const char *signature)
{
	const uint8_t *t = (const uint8_t *)b->data + (gpa - GPA);

	ok(gpa >= GPA && gpa - GPA + 36 <= b->len && gpa % 16 == 0);
	ok(memcmp(t, signature, 4) == 0);
	ok(le32(t + 4) <= b->len - (gpa - GPA));
	is_int(sum(t, le32(t + 4)), 0);
	return t;
}

static struct buf make(unsigned cpus, uint64_t bytes64)
{
	const struct acpi_config c = { .cpus = cpus,
				       .has_serial = true,
				       .pci_mmio = 0xc0000000,
				       .pci_mmio_bytes = 0x3ec00000,
				       .pci_mmio64 = 5ull << 30,
				       .pci_mmio64_bytes = bytes64,
				       .generation = 0x1234567890,
				       .gpa = GPA };
	struct buf b = { NULL };

	acpi_tables(&c, &b);
	buf_str(&b, "        "); /* room for le64 at the end */
	ok(!b.failed);
	return b;
}

TEST(every_table_is_reached_and_sums_to_zero)
{
	_cleanup_buf_ struct buf b = make(2, 1 << 30);
	const uint8_t *rsdp = (const uint8_t *)b.data, *xsdt, *fadt, *madt, *dsdt;

	ok(memcmp(rsdp, "RSD PTR ", 8) == 0);
	is_int(sum(rsdp, 20), 0);
	is_int(sum(rsdp, 36), 0);
	xsdt = table(&b, le64(rsdp + 24), "XSDT");
	is_int(le32(xsdt + 4), 36 + 2 * 8);
	fadt = table(&b, le64(xsdt + 36), "FACP");
	madt = table(&b, le64(xsdt + 44), "APIC");
	dsdt = table(&b, le64(fadt + 140), "DSDT");
	is_int(le32(fadt + 4), 276);
	ok(le32(fadt + 112) >> 20 & 1); /* hardware-reduced */
	is_int(le32(madt + 4), 44 + 2 * 8 + 12);
	is_int(madt[44 + 8 + 3], 1); /* the second CPU's APIC id */
	is_int(madt[44 + 16], 1);    /* an I/O APIC, where it listens */
	is_int(le32(madt + 44 + 16 + 4), IOAPIC_GPA);
	is_int(le32(madt + 44 + 16 + 8), IOAPIC_GSI);
	ok(memmem(dsdt, le32(dsdt + 4), "_S5_", 4));
	ok(memmem(dsdt, le32(dsdt + 4), "PCI0", 4));
	ok(memmem(dsdt, le32(dsdt + 4), "COM1", 4));
}

TEST(a_machine_that_is_never_copied_has_no_io_apic_and_no_event_device)
{
	const struct acpi_config c = { .cpus = 1, .pci_mmio = 0xc0000000, .pci_mmio_bytes = 0x3ec00000, .gpa = GPA };
	_cleanup_buf_ struct buf b = { NULL };

	acpi_tables(&c, &b);
	buf_str(&b, "        ");
	ok(!b.failed);
	is_int(le32(table(&b, le64(table(&b, le64(b.data + 24), "XSDT") + 44), "APIC") + 4), 44 + 8);
	ok(!memmem(b.data, b.len, "VGEN", 4) && !memmem(b.data, b.len, "ACPI0013", 8));
}

TEST(the_fixed_registers_are_the_ports_that_power_listens_on)
{
	_cleanup_buf_ struct buf b = make(1, 0);
	const uint8_t *rsdp = (const uint8_t *)b.data, *fadt = table(&b, le64(table(&b, le64(rsdp + 24), "XSDT") + 36), "FACP");

	is_int(le64(fadt + 116 + 4), VMM_PORT_RESET);
	is_int(fadt[128], VMM_RESET_VALUE);
	is_int(le64(fadt + 244 + 4), VMM_PORT_SLEEP_CONTROL);
	is_int(le64(fadt + 256 + 4), VMM_PORT_SLEEP_STATUS);
}

static const uint8_t *find(const struct buf *b, const void *what, size_t n)
{
	const uint8_t *p = memmem(b->data, b->len, what, n);

	ok(p);
	return p;
}

TEST(the_generation_is_where_it_is_said_to_be_and_the_event_device_notifies_it)
{
	_cleanup_buf_ struct buf b = make(1, 0);
	const uint8_t *addr = find(&b, "ADDR\x12", 5), *interrupt = find(&b, "\x89\x06\x00\x03\x01", 5);

	(void)find(&b, "_CID\x0dVM_Gen_Counter", 20);
	is_int(addr[6], 2); /* two elements: low and high half */
	is_int(le32(addr + 8), 0x34567890);
	is_int(le32(addr + 13), 0x12);
	(void)find(&b,
		   "_HID\x0d"
		   "ACPI0013",
		   14);
	is_int(le32(interrupt + 5), IOAPIC_GSI + IOAPIC_PIN_EVENTS);
	(void)find(&b, "_EVT\x01\x86VGEN\x0a\x80", 12); /* Notify (VGEN, 0x80) */
}

/* Walks one level of AML: every package ends where its length says, at the end of the table. */
static size_t package(const uint8_t *p, size_t *ret_head)
{
	unsigned more = p[0] >> 6;
	size_t n = more ? p[0] & 15 : p[0] & 63;

	for (unsigned i = 0; i < more; i++)
		n |= (size_t)p[1 + i] << (4 + 8 * i);
	*ret_head = 1 + more;
	return n;
}

TEST(the_lengths_of_the_byte_code_add_up)
{
	_cleanup_buf_ struct buf b = make(64, 1 << 30);
	const uint8_t *rsdp = (const uint8_t *)b.data, *dsdt, *end;
	size_t head, n;

	dsdt = table(&b, le64(table(&b, le64(table(&b, le64(rsdp + 24), "XSDT") + 36), "FACP") + 140), "DSDT");
	end = dsdt + le32(dsdt + 4);
	is_int(dsdt[36], 0x10); /* Scope */
	n = package(dsdt + 37, &head);
	const uint8_t *after = dsdt + 37 + n, *p = dsdt + 37 + head + 5;
	while (p < after) { /* the devices */
		ok(p[0] == 0x5b && p[1] == 0x82);
		p += 2 + package(p + 2, &head);
	}
	ok(p == after);
	ok(after[0] == 0x08 && memcmp(after + 1, "_S5_", 4) == 0 && after[5] == 0x12);
	ok(after + 6 + package(after + 6, &head) == end);
}

TAP_MAIN()
