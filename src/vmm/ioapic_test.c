/* The I/O APIC as a kernel programs it, and as no kernel would. */
#include "ioapic.h"

#include "state.h"
#include "tap.h"

enum { MASKED = 1 << 16, LOGICAL = 1 << 11, LEVEL = 1 << 15 };

static struct {
	uint64_t addr;
	uint32_t data;
	unsigned n;
} told;

static int deliver(void *arg, uint64_t addr, uint32_t data)
{
	(void)arg;
	told.addr = addr;
	told.data = data;
	told.n++;
	return 0;
}

struct fixture {
	struct vmm_bus *bus;
	struct ioapic *a;
};

static struct fixture begin(void)
{
	struct fixture f = { NULL };

	memset(&told, 0, sizeof(told));
	is_int(vmm_bus_new(&f.bus), 0);
	is_int(ioapic_new(f.bus, deliver, NULL, &f.a, NULL), 0);
	return f;
}

static void end(struct fixture *f)
{
	ioapic_free(f->a);
	vmm_bus_free(f->bus);
}

static uint32_t get(const struct fixture *f, uint32_t reg)
{
	uint32_t v = 0;

	vmm_bus_write(f->bus, VMM_MMIO, IOAPIC_GPA, &reg, 4);
	vmm_bus_read(f->bus, VMM_MMIO, IOAPIC_GPA + 0x10, &v, 4);
	return v;
}

static void set(const struct fixture *f, uint32_t reg, uint32_t v)
{
	vmm_bus_write(f->bus, VMM_MMIO, IOAPIC_GPA, &reg, 4);
	vmm_bus_write(f->bus, VMM_MMIO, IOAPIC_GPA + 0x10, &v, 4);
}

TEST(a_kernel_finds_its_version_its_pins_and_all_of_them_masked)
{
	struct fixture f = begin();

	is_int(get(&f, 1), 0x20 + ((IOAPIC_PINS - 1) << 16));
	is_int(get(&f, 0), IOAPIC_ID << 24);
	for (uint32_t pin = 0; pin < IOAPIC_PINS; pin++) {
		is_int(get(&f, 0x10 + 2 * pin), MASKED);
		is_int(get(&f, 0x11 + 2 * pin), 0);
		ioapic_raise(f.a, pin);
	}
	is_int(told.n, 0);
	end(&f);
}

TEST(an_edge_becomes_the_message_that_its_entry_describes)
{
	static const struct {
		uint32_t high, low;
		uint64_t addr;
		uint32_t data;
	} rows[] = {
		{ 0x03000000, 0x31, 0xfee03000, 0x31 },
		{ 0xff000000, 0x1ff, 0xfeeff000, 0x1ff }, /* lowest priority */
		{ 0x01000000, LOGICAL | 0x22, 0xfee01004, 0x22 },
		{ 0x00ffffff, LEVEL | 0x40, 0xfee00000, 0x40 }, /* an edge, whatever it says */
	};
	struct fixture f = begin();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set(&f, 0x10, MASKED);
		set(&f, 0x11, rows[i].high);
		set(&f, 0x10, rows[i].low);
		is_int(get(&f, 0x11), rows[i].high & 0xff000000);
		is_int(get(&f, 0x10), rows[i].low);
		is_int(told.n, i);
		ioapic_raise(f.a, 0);
		is_int(told.n, i + 1);
		ok(told.addr == rows[i].addr);
		is_int(told.data, rows[i].data);
	}
	end(&f);
}

TEST(an_edge_that_comes_while_the_pin_is_masked_waits_and_comes_once)
{
	struct fixture f = begin();

	set(&f, 0x10, MASKED | 0x31);
	ioapic_raise(f.a, 0);
	ioapic_raise(f.a, 0);
	set(&f, 0x11, 0x02000000);
	is_int(told.n, 0);
	set(&f, 0x10, 0x31);
	is_int(told.n, 1);
	ok(told.addr == 0xfee02000);
	set(&f, 0x10, 0x32);
	is_int(told.n, 1);
	end(&f);
}

TEST(V15_what_is_no_interrupt_of_a_device_is_not_delivered)
{
	struct fixture f = begin();

	for (uint32_t low = 0; low < 0x800; low++) { /* each mode, each vector */
		const bool is_one = low >> 8 <= 1 && (low & 0xff) >= 16;

		told.n = 0;
		set(&f, 0x10, low);
		ioapic_raise(f.a, 0);
		is_int(told.n, is_one);
	}
	end(&f);
}

TEST(V15_registers_that_there_are_not_read_as_ones_and_keep_nothing)
{
	struct fixture f = begin();

	for (uint32_t reg = 0; reg < 0x200; reg++) { /* of the select register only the low byte is there */
		const uint32_t at = reg & 0xff, was = get(&f, reg);

		if (at >= 0x10 && at < 0x10 + 2 * IOAPIC_PINS)
			continue;
		if (at > 2)
			is_int(was, UINT32_MAX);
		set(&f, reg, 0x5a5a5a5a);
		is_int(get(&f, reg), was);
	}
	is_int(get(&f, 0x10), MASKED);
	set(&f, 0x10, UINT32_MAX);
	is_int(get(&f, 0x10), 0x1afff); /* neither delivery status nor remote IRR */
	end(&f);
}

TEST(V15_accesses_of_another_width_or_place_change_nothing)
{
	struct fixture f = begin();
	const uint64_t bad = 0x1111111111111111;

	set(&f, 0x10, MASKED | 0x31);
	for (unsigned size = 1; size <= 8; size *= 2)
		for (uint64_t at = 0; at < 0x60; at++) {
			uint64_t v = 0;

			vmm_bus_read(f.bus, VMM_MMIO, IOAPIC_GPA + at, &v, size);
			if (size == 4 && (at == 0 || at == 0x10))
				continue;
			ok(memcmp(&v, (uint8_t[8]){ 255, 255, 255, 255, 255, 255, 255, 255 }, size) == 0);
			vmm_bus_write(f.bus, VMM_MMIO, IOAPIC_GPA + at, &bad, size);
		}
	is_int(get(&f, 0x10), MASKED | 0x31);
	end(&f);
}

TEST(what_was_saved_is_there_again_and_so_is_an_edge_that_waits)
{
	struct fixture f = begin();
	_cleanup_buf_ struct buf s = { NULL };

	set(&f, 0x11, 0x04000000);
	set(&f, 0x10, MASKED | 0x55);
	ioapic_raise(f.a, 0);
	is_int(ioapic_save(f.a, &s), 1);
	end(&f);
	f = begin();
	is_int(ioapic_load(f.a, s.data, s.len, NULL), 1);
	is_int(get(&f, 0x11), 0x04000000);
	is_int(told.n, 0);
	set(&f, 0x10, 0x55);
	is_int(told.n, 1);
	ok(told.addr == 0xfee04000);
	end(&f);
}

TEST(V14_a_saved_one_with_what_it_has_not_is_refused)
{
	static const size_t heads = 16; /* of a record: kind, instance, version, length */
	struct fixture f = begin();
	_cleanup_buf_ struct buf s = { NULL };
	struct err e = { 0 };

	is_int(ioapic_save(f.a, &s), 1);
	for (size_t bit = 8 * heads; bit < 8 * s.len; bit++) {
		/* Of an entry what can be written; of "selected" a byte; of "waiting" a bit per pin. */
		const size_t at = bit - 8 * heads, entries = IOAPIC_PINS * 64ul;
		const bool is_fine = at < entries ? 0xff0000000001afffull >> at % 64 & 1
						  : at - entries < 8 || (at - entries >= 32 && at - entries < 32 + IOAPIC_PINS);

		s.data[bit / 8] ^= (char)(1 << bit % 8);
		if (ioapic_load(f.a, s.data, s.len, &e) != (is_fine ? 1 : -EBADMSG))
			TAP_FAIL("bit %zu: %s", at, e.msg);
		s.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	has_str(e.msg, "I/O APIC");
	is_int(ioapic_load(f.a, NULL, 0, &e), -ENOENT);
	end(&f);
}

TAP_MAIN()
