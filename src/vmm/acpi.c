/* acpi: see acpi.h. Offsets are those of ACPI 6.4, chapter 5.2; opcodes of chapter 20 (AML). */
#include "acpi.h"

#include "ioapic.h"

enum {
	RSDP_BYTES = 36,
	HEADER_BYTES = 36,
	FADT_BYTES = 276,
	ALIGN = 16,
};

static void put8(struct buf *b, unsigned v) { buf_add(b, &(uint8_t){ (uint8_t)v }, 1); }
static void put16(struct buf *b, unsigned v) { buf_add(b, &(uint16_t){ (uint16_t)v }, 2); }
static void put32(struct buf *b, uint32_t v) { buf_add(b, &v, 4); }
static void put64(struct buf *b, uint64_t v) { buf_add(b, &v, 8); }

static uint8_t checksum(const void *p, size_t n)
{
	const uint8_t *b = p;
	unsigned sum = 0;

	while (n--)
		sum += *b++;
	return (uint8_t)(0x100 - (sum & 0xff));
}

/* ---- a table: header, body, checksum ---- */

static void begin(struct buf *t, const char *signature, unsigned revision)
{
	buf_add(t, signature, 4);
	put32(t, 0); /* length: finish() */
	put8(t, revision);
	put8(t, 0); /* checksum: finish() */
	buf_add(t, "BERTH ", 6);
	buf_add(t, "BERTHVMM", 8);
	put32(t, 1);
	buf_add(t, "BRTH", 4);
	put32(t, 1);
}

/* Appends t to out: its address. */
static uint64_t finish(const struct acpi_config *c, struct buf *out, struct buf *t)
{
	uint64_t at;

	while (!out->failed && out->len % ALIGN)
		put8(out, 0);
	at = c->gpa + out->len;
	if (t->failed || t->len < HEADER_BYTES) {
		out->failed = true;
	} else {
		uint32_t len = (uint32_t)t->len;

		memcpy(t->data + 4, &len, sizeof(len));
		t->data[9] = 0;
		t->data[9] = (char)checksum(t->data, t->len);
		buf_add(out, t->data, t->len);
	}
	buf_done(t);
	return at;
}

/* ---- AML ---- */

/* PkgLength (20.2.4) counts itself. */
static void put_package(struct buf *b, const struct buf *body)
{
	size_t n = body->len;

	if (body->failed) {
		b->failed = true;
	} else if (n + 1 < 0x40) {
		put8(b, (unsigned)n + 1);
	} else { /* two bytes: up to 4095, more than any table here */
		put8(b, 0x40 | ((unsigned)(n + 2) & 15));
		put8(b, (unsigned)(n + 2) >> 4);
		b->failed |= n + 2 > 0xfff;
	}
	buf_add(b, body->data, n);
}

static void put_block(struct buf *b, const char *op, size_t op_len, struct buf *body)
{
	buf_add(b, op, op_len);
	put_package(b, body);
	buf_done(body);
}

static void put_name(struct buf *b, const char *name)
{
	put8(b, 0x08);
	buf_add(b, name, 4);
}

static void put_hid(struct buf *b, const char id[4])
{
	put_name(b, "_HID");
	put8(b, 0x0c);
	buf_add(b, id, 4);
}

static void put_crs(struct buf *b, struct buf *resources)
{
	struct buf body = { NULL };

	buf_add(resources, "\x79\x00", 2); /* end tag, checksum not used */
	put8(&body, 0x0b);
	put16(&body, (unsigned)resources->len);
	buf_add(&body, resources->data, resources->len);
	body.failed |= resources->failed;
	buf_done(resources);
	put_name(b, "_CRS");
	put_block(b, "\x11", 1, &body);
}

/* Resource descriptors, 6.4.3.5: 0x0c: minimum and maximum are fixed. */
static void put_window16(struct buf *b, unsigned type, unsigned first, unsigned last)
{
	put8(b, 0x88);
	put16(b, 13);
	put8(b, type);
	put8(b, 0x0c);
	put8(b, 0);
	put16(b, 0);
	put16(b, first);
	put16(b, last);
	put16(b, 0);
	put16(b, last - first + 1);
}

static void put_window32(struct buf *b, uint64_t start, uint64_t bytes)
{
	put8(b, 0x87);
	put16(b, 23);
	put8(b, 0); /* memory */
	put8(b, 0x0c);
	put8(b, 1); /* read and write, not cached */
	put32(b, 0);
	put32(b, (uint32_t)start);
	put32(b, (uint32_t)(start + bytes - 1));
	put32(b, 0);
	put32(b, (uint32_t)bytes);
}

static void put_window64(struct buf *b, uint64_t start, uint64_t bytes)
{
	put8(b, 0x8a);
	put16(b, 43);
	put8(b, 0);
	put8(b, 0x0c);
	put8(b, 7); /* prefetchable */
	put64(b, 0);
	put64(b, start);
	put64(b, start + bytes - 1);
	put64(b, 0);
	put64(b, bytes);
}

static void put_io(struct buf *b, unsigned port, unsigned n)
{
	put8(b, 0x47);
	put8(b, 1); /* 16-bit decode */
	put16(b, port);
	put16(b, port);
	put8(b, 1);
	put8(b, n);
}

static void put_pci(const struct acpi_config *c, struct buf *b)
{
	struct buf dev = { NULL }, res = { NULL };

	put_window16(&res, 2, 0, 0); /* bus 0 and no other */
	put_io(&res, 0xcf8, 8);
	put_window32(&res, c->pci_mmio, c->pci_mmio_bytes);
	if (c->pci_mmio64_bytes)
		put_window64(&res, c->pci_mmio64, c->pci_mmio64_bytes);
	buf_add(&dev, "PCI0", 4);
	put_hid(&dev, "\x41\xd0\x0a\x03"); /* PNP0A03 */
	put_crs(&dev, &res);
	put_block(b, "\x5b\x82", 2, &dev);
}

/* Without an interrupt: the driver polls. */
static void put_serial(struct buf *b)
{
	struct buf dev = { NULL }, res = { NULL };

	put_io(&res, 0x3f8, 8);
	buf_add(&dev, "COM1", 4);
	put_hid(&dev, "\x41\xd0\x05\x01"); /* PNP0501 */
	put_crs(&dev, &res);
	put_block(b, "\x5b\x82", 2, &dev);
}

static void put_string(struct buf *b, const char *name, const char *value)
{
	put_name(b, name);
	put8(b, 0x0d);
	buf_add(b, value, strlen(value) + 1);
}

/* Microsoft, "Virtual Machine Generation ID": any _HID, and ADDR: low and high half of where the id is. */
static void put_generation(const struct acpi_config *c, struct buf *b)
{
	struct buf dev = { NULL }, addr = { NULL };

	put8(&addr, 2); /* elements */
	put8(&addr, 0x0c);
	put32(&addr, (uint32_t)c->generation);
	put8(&addr, 0x0c);
	put32(&addr, (uint32_t)(c->generation >> 32));
	buf_add(&dev, "VGEN", 4);
	put_string(&dev, "_HID", "BRTH0001");
	put_string(&dev, "_CID", "VM_Gen_Counter");
	put_string(&dev, "_DDN", "VM_Gen_Counter");
	put_name(&dev, "ADDR");
	put_block(&dev, "\x12", 1, &addr);
	put_block(b, "\x5b\x82", 2, &dev);
}

/* The generic event device, 5.6.9: an edge, active high, on one pin; its method notifies the device above. */
static void put_events(struct buf *b)
{
	struct buf dev = { NULL }, res = { NULL }, method = { NULL };

	buf_add(&res, "\x89\x06\x00\x03\x01", 5); /* extended interrupt (6.4.3.6): one, consumed, edge, high, not shared */
	put32(&res, IOAPIC_GSI + IOAPIC_PIN_EVENTS);
	buf_add(&dev, "GED_", 4);
	put_string(&dev, "_HID", "ACPI0013");
	put_crs(&dev, &res);
	buf_add(&method, "_EVT\x01", 5);         /* one argument: the interrupt */
	buf_add(&method, "\x86VGEN\x0a\x80", 7); /* Notify (VGEN, 0x80) */
	put_block(&dev, "\x14", 1, &method);
	put_block(b, "\x5b\x82", 2, &dev);
}

static uint64_t put_dsdt(const struct acpi_config *c, struct buf *out)
{
	struct buf t = { NULL }, sb = { NULL }, s5 = { NULL };

	begin(&t, "DSDT", 2);
	buf_add(&sb, "\\_SB_", 5);
	put_pci(c, &sb);
	if (c->has_serial)
		put_serial(&sb);
	if (c->generation) {
		put_generation(c, &sb);
		put_events(&sb);
	}
	put_block(&t, "\x10", 1, &sb);
	put_name(&t, "_S5_");
	put8(&s5, 4); /* elements */
	put8(&s5, 0x0a);
	put8(&s5, VMM_SLEEP_TYPE_S5);
	buf_add(&s5, "\0\0\0", 3);
	put_block(&t, "\x12", 1, &s5);
	return finish(c, out, &t);
}

/* ---- FADT and MADT ---- */

static void put_gas(uint8_t *p, uint16_t port)
{
	p[0] = 1; /* a port */
	p[1] = 8; /* bits */
	p[3] = 1; /* byte access */
	memcpy(p + 4, &port, sizeof(port));
}

static uint64_t put_fadt(const struct acpi_config *c, uint64_t dsdt, struct buf *out)
{
	enum {
		DSDT = 40,
		BOOT_ARCH = 109,
		FLAGS = 112,
		RESET_REG = 116,
		RESET_VALUE = 128,
		MINOR = 131,
		X_DSDT = 140,
		SLEEP_CONTROL = 244,
		SLEEP_STATUS = 256,
		/* boot architecture: no VGA, no ASPM, no CMOS clock; no 8042 and no legacy devices by their bits being zero */
		NO_VGA = 1 << 2,
		NO_ASPM = 1 << 4,
		NO_CMOS = 1 << 5,
		/* flags */
		WBINVD = 1 << 0,
		PROC_C1 = 1 << 2,
		NO_POWER_BUTTON = 1 << 4,
		NO_SLEEP_BUTTON = 1 << 5,
		RESET_SUPPORTED = 1 << 10,
		APIC_PHYSICAL = 1 << 19, /* interrupts name one CPU: what an MSI without remapping can say */
		HW_REDUCED = 1 << 20,
	};
	uint8_t f[FADT_BYTES] = { 0 };
	const uint16_t arch = NO_VGA | NO_ASPM | NO_CMOS;
	const uint32_t flags =
		WBINVD | PROC_C1 | NO_POWER_BUTTON | NO_SLEEP_BUTTON | RESET_SUPPORTED | APIC_PHYSICAL | HW_REDUCED;
	uint32_t low = (uint32_t)dsdt;
	struct buf t = { NULL };

	memcpy(f + DSDT, &low, sizeof(low));
	memcpy(f + BOOT_ARCH, &arch, sizeof(arch));
	memcpy(f + FLAGS, &flags, sizeof(flags));
	put_gas(f + RESET_REG, VMM_PORT_RESET);
	f[RESET_VALUE] = VMM_RESET_VALUE;
	f[MINOR] = 4;
	memcpy(f + X_DSDT, &dsdt, sizeof(dsdt));
	put_gas(f + SLEEP_CONTROL, VMM_PORT_SLEEP_CONTROL);
	put_gas(f + SLEEP_STATUS, VMM_PORT_SLEEP_STATUS);
	begin(&t, "FACP", 6);
	buf_add(&t, f + HEADER_BYTES, FADT_BYTES - HEADER_BYTES);
	return finish(c, out, &t);
}

static uint64_t put_madt(const struct acpi_config *c, struct buf *out)
{
	struct buf t = { NULL };

	begin(&t, "APIC", 5);
	put32(&t, 0xfee00000);
	put32(&t, 0); /* no 8259 */
	for (unsigned i = 0; i < c->cpus; i++) {
		put8(&t, 0); /* processor local APIC */
		put8(&t, 8);
		put8(&t, i);
		put8(&t, i);
		put32(&t, 1); /* enabled */
	}
	if (c->generation) {
		put8(&t, 1); /* I/O APIC */
		put8(&t, 12);
		put8(&t, IOAPIC_ID);
		put8(&t, 0);
		put32(&t, IOAPIC_GPA);
		put32(&t, IOAPIC_GSI);
	}
	return finish(c, out, &t);
}

/* The RSDP is first, so its place is kept while the others are written. */
void acpi_tables(const struct acpi_config *c, struct buf *out)
{
	uint8_t rsdp[RSDP_BYTES] = "RSD PTR ";
	struct buf x = { NULL };
	uint64_t dsdt, fadt, madt, xsdt;

	buf_add(out, rsdp, sizeof(rsdp));
	dsdt = put_dsdt(c, out);
	fadt = put_fadt(c, dsdt, out);
	madt = put_madt(c, out);
	begin(&x, "XSDT", 1);
	put64(&x, fadt);
	put64(&x, madt);
	xsdt = finish(c, out, &x);
	memcpy(rsdp + 9, "BERTH ", 6);
	rsdp[15] = 2; /* revision: with an XSDT */
	memcpy(rsdp + 20, &(uint32_t){ RSDP_BYTES }, 4);
	memcpy(rsdp + 24, &xsdt, sizeof(xsdt));
	rsdp[8] = checksum(rsdp, 20);
	rsdp[32] = checksum(rsdp, RSDP_BYTES);
	if (!out->failed)
		memcpy(out->data, rsdp, sizeof(rsdp));
}
