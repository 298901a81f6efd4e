/* The bus: who answers, and that what nobody owns reads as ones. */
#include "bus.h"

#include "tap.h"

struct seen {
	uint64_t offset, value;
	unsigned size, n;
};

static void on_read(void *arg, uint64_t offset, void *data, unsigned size)
{
	struct seen *s = arg;

	s->offset = offset;
	s->size = size;
	s->n++;
	memcpy(data, &s->value, size);
}

static void on_write(void *arg, uint64_t offset, const void *data, unsigned size)
{
	struct seen *s = arg;

	s->offset = offset;
	s->size = size;
	s->n++;
	s->value = 0;
	memcpy(&s->value, data, size);
}
static const struct vmm_range_ops ops = { "test", on_read, on_write };
static const struct vmm_range_ops mute = { "mute", NULL, NULL };

TEST(an_access_reaches_the_range_that_holds_it)
{
	_cleanup_(vmm_bus_free_ptr) struct vmm_bus *b = NULL;
	struct seen low = { .value = 0x11223344 }, high = { .value = 0x55667788 };
	uint32_t v = 0;

	is_int(vmm_bus_new(&b), 0);
	is_int(vmm_bus_add(b, VMM_MMIO, 0x2000, 0x1000, &ops, &high, NULL), 0);
	is_int(vmm_bus_add(b, VMM_MMIO, 0x1000, 0x1000, &ops, &low, NULL), 0);
	vmm_bus_read(b, VMM_MMIO, 0x1ffc, &v, 4);
	is_int(v, 0x11223344);
	is_int(low.offset, 0xffc);
	vmm_bus_write(b, VMM_MMIO, 0x2000, &v, 2);
	is_int(high.value, 0x3344);
	is_int(high.offset, 0);
	is_int(high.size, 2);
}

TEST(V15_what_nobody_owns_reads_as_ones)
{
	_cleanup_(vmm_bus_free_ptr) struct vmm_bus *b = NULL;
	struct seen s = { 0 };
	const struct {
		uint64_t addr;
		unsigned size;
	} rows[] = { { 0, 4 },          { 0xfff, 1 },  { 0x2000, 1 }, { 0x1fff, 2 },        { 0xfff, 4 },
		     { UINT64_MAX, 8 }, { 0x1000, 3 }, { 0x1000, 0 }, { UINT64_MAX - 6, 8 } };

	is_int(vmm_bus_new(&b), 0);
	is_int(vmm_bus_add(b, VMM_MMIO, 0x1000, 0x1000, &ops, &s, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t v = 0;

		vmm_bus_read(b, VMM_MMIO, rows[i].addr, &v, rows[i].size);
		ok(memcmp(&v, (uint8_t[8]){ 255, 255, 255, 255, 255, 255, 255, 255 }, rows[i].size) == 0);
		vmm_bus_write(b, VMM_MMIO, rows[i].addr, &v, rows[i].size);
	}
	is_int(s.n, 0);
	is_int(vmm_bus_add(b, VMM_PIO, 0x80, 1, &mute, NULL, NULL), 0);
	uint8_t one = 0;
	vmm_bus_read(b, VMM_PIO, 0x80, &one, 1);
	is_int(one, 0xff);
	vmm_bus_write(b, VMM_PIO, 0x80, &one, 1);
}

TEST(a_port_access_is_at_most_4_bytes_wide)
{
	_cleanup_(vmm_bus_free_ptr) struct vmm_bus *b = NULL;
	struct seen s = { .n = 0 };
	uint64_t v = 0;

	is_int(vmm_bus_new(&b), 0);
	is_int(vmm_bus_add(b, VMM_PIO, 0x80, 8, &ops, &s, NULL), 0);
	vmm_bus_write(b, VMM_PIO, 0x80, &v, 8);
	vmm_bus_read(b, VMM_PIO, 0x80, &v, 8);
	ok(v == UINT64_MAX);
	is_int(s.n, 0);
}

TEST(ranges_that_overlap_or_wrap_are_refused)
{
	_cleanup_(vmm_bus_free_ptr) struct vmm_bus *b = NULL;
	struct err e = { 0 };
	const struct {
		enum vmm_space space;
		uint64_t base, size;
		int r;
	} rows[] = {
		{ VMM_MMIO, 0x1000, 0x1000, 0 }, { VMM_MMIO, 0x1fff, 1, -EEXIST },     { VMM_MMIO, 0x1fff, 0x10, -EEXIST },
		{ VMM_MMIO, 0xfff, 2, -EEXIST }, { VMM_MMIO, 0, UINT64_MAX, -EEXIST }, { VMM_MMIO, 0xfff, 1, 0 },
		{ VMM_MMIO, 0x2000, 1, 0 },      { VMM_MMIO, 0x3000, 0, -EINVAL },     { VMM_MMIO, UINT64_MAX, 2, -EINVAL },
		{ VMM_MMIO, UINT64_MAX, 1, 0 },  { VMM_PIO, 0x1000, 0x1000, 0 }, /* a space of its own */
		{ VMM_PIO, 0xffff, 1, 0 },       { VMM_PIO, 0x10000, 1, -EINVAL },
	};

	is_int(vmm_bus_new(&b), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (vmm_bus_add(b, rows[i].space, rows[i].base, rows[i].size, &mute, NULL, &e) != rows[i].r)
			TAP_FAIL("row %zu", i);
	has_str(e.msg, "mute");
}

TEST(a_full_bus_says_so)
{
	_cleanup_(vmm_bus_free_ptr) struct vmm_bus *b = NULL;
	uint64_t n = 0;

	is_int(vmm_bus_new(&b), 0);
	while (vmm_bus_add(b, VMM_MMIO, n * 16, 16, &mute, NULL, NULL) == 0)
		n++;
	is_int(n, 128);
	is_int(vmm_bus_add(b, VMM_MMIO, n * 16, 16, &mute, NULL, NULL), -ENOSPC);
}

TAP_MAIN()
