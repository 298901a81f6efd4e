/* Guest RAM: the gate refuses whatever is not wholly RAM, whichever way the sum would wrap; private mappings; the dirty log. */
#include "memory.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define MIB (1ull << 20)

static struct vmm_mem *ram(uint64_t bytes)
{
	const struct vmm_mem_config c = { .bytes = bytes, .file_fd = -1 };
	struct vmm_mem *m = NULL;
	struct err e = { 0 };

	if (vmm_mem_new(&c, &m, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return m;
}

TEST(small_memory_is_one_region_from_zero)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
	const struct vmm_mem_region *r;

	is_int(vmm_mem_regions(m, &r), 1);
	is_int(r[0].gpa, 0);
	is_int(r[0].bytes, 32 * MIB);
	ok(vmm_mem_fd(m) >= 0);
}

TEST(memory_beyond_the_hole_goes_on_at_4_gib)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(VMM_HOLE_START + 64 * MIB);
	const struct vmm_mem_region *r;

	is_int(vmm_mem_regions(m, &r), 2);
	is_int(r[1].gpa, VMM_HOLE_END);
	is_int(r[1].bytes, 64 * MIB);
	is_int(r[1].file_offset, VMM_HOLE_START);
	ok(vmm_mem_at(m, VMM_HOLE_END, 64 * MIB) == (const char *)vmm_mem_at(m, 0, 1) + VMM_HOLE_START);
}

static struct vmm_mem *ram_and_room(uint64_t bytes, uint64_t room, bool is_private)
{
	const struct vmm_mem_config c = { .bytes = bytes, .room_bytes = room, .file_fd = -1, .is_private = is_private };
	struct vmm_mem *m = NULL;
	struct err e = { 0 };

	if (vmm_mem_new(&c, &m, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return m;
}

TEST(room_is_no_memory_before_it_is_asked_for_and_then_memory_in_whole_pieces)
{
	for (int is_private = 0; is_private < 2; is_private++) {
		_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram_and_room(64 * MIB, 256 * MIB, is_private);
		const struct vmm_mem_region *r, *room = vmm_mem_room(m);

		is_int(vmm_mem_regions(m, &r), 1);
		is_int(vmm_mem_boot_bytes(m), 64 * MIB);
		is_int(vmm_mem_bytes(m), 320 * MIB);
		is_int(vmm_mem_used_bytes(m), 64 * MIB);
		is_int(room->gpa, VMM_HOLE_END);
		is_int(vmm_mem_top(m), VMM_HOLE_END + 256 * MIB);
		ok(!vmm_mem_at(m, room->gpa, 1) && !vmm_mem_is_ram(m, room->gpa, 4096));
		is_int(vmm_mem_discard(m, room->gpa, 4096), -EFAULT);

		is_int(vmm_mem_grow(m, 2 * MIB, NULL), 0);
		is_int(vmm_mem_used_bytes(m), 192 * MIB); /* a piece */
		ok(vmm_mem_is_ram(m, room->gpa, 128 * MIB) && !vmm_mem_is_ram(m, room->gpa, 128 * MIB + 1));
		is_int(vmm_mem_zero(m, room->gpa + 128 * MIB - 8, 8), 0);
		is_int(vmm_mem_grow(m, 2 * MIB, NULL), 0);
		is_int(vmm_mem_grow(m, 256 * MIB, NULL), 0);
		ok(vmm_mem_at(m, room->gpa, 256 * MIB) == (const char *)vmm_mem_at(m, 0, 1) + 64 * MIB);
		is_int(vmm_mem_grow(m, 256 * MIB + 1, NULL), -ENOSPC);
		memset(vmm_mem_at_write(m, room->gpa + 200 * MIB, 2 * MIB), 7,
		       2 * MIB); /* across the pieces' border is one buffer */
		is_int(vmm_mem_discard_to_zero(m, room->gpa + 200 * MIB, 2 * MIB), 0);
		is_int(*(const char *)vmm_mem_at(m, room->gpa + 200 * MIB, 1), 0);
	}
}

TEST(room_begins_at_a_whole_gib_behind_the_memory_and_has_sixteen_pieces_at_most)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram_and_room(VMM_HOLE_START + 64 * MIB, 8192 * MIB, true);

	is_int(vmm_mem_room(m)->gpa, VMM_HOLE_END + 1024 * MIB);
	is_int(vmm_mem_grow(m, 1, NULL), 0);
	is_int(vmm_mem_room(m)->bytes, 512 * MIB);
	is_int(vmm_mem_grow(m, 8192 * MIB, NULL), 0);
	is_int(vmm_mem_room(m)->bytes, 8192 * MIB);
}

TEST(room_that_there_can_not_be_is_refused)
{
	const struct vmm_mem_config rows[] = {
		{ .bytes = 64 * MIB, .room_bytes = 64 * MIB, .file_fd = -1 },
		{ .bytes = 64 * MIB, .room_bytes = VMM_ROOM_MAX + VMM_ROOM_UNIT, .file_fd = -1 },
		{ .bytes = 64 * MIB, .room_bytes = VMM_ROOM_UNIT, .file_fd = -1, .pages = VMM_PAGES_HUGE },
		{ .bytes = VMM_MEM_MAX, .room_bytes = VMM_ROOM_UNIT, .file_fd = -1, .is_private = true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmm_mem *m = NULL;
		struct err e = { 0 };

		is_int(vmm_mem_new(&rows[i], &m, &e), -EINVAL);
		ok(strstr(e.msg, "guest memory"));
	}
}

TEST(what_is_written_to_memory_that_came_later_is_in_the_log)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram_and_room(64 * MIB, 256 * MIB, true);
	_cleanup_free_ uint64_t *bits = calloc(vmm_mem_log_words(m), sizeof(*bits));

	is_int(vmm_mem_log_start(m, NULL), 0);
	is_int(vmm_mem_grow(m, 256 * MIB, NULL), 0);
	is_int(vmm_mem_zero(m, VMM_HOLE_END + 255 * MIB, 1), 0);
	is_int(vmm_mem_log_collect(m, bits, NULL), 0);
	is_int(bits[319 * MIB / 4096 / 64], 1);
}

TEST(V03_a_range_that_is_not_wholly_ram_is_refused)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(VMM_HOLE_START + 64 * MIB);
	const struct {
		uint64_t gpa, len;
		bool is_ram;
	} rows[] = {
		{ 0, 1, true },
		{ 0, VMM_HOLE_START, true },
		{ 0, VMM_HOLE_START + 1, false }, /* into the hole */
		{ VMM_HOLE_START - 1, 1, true },
		{ VMM_HOLE_START - 1, 2, false },
		{ VMM_HOLE_START, 0, false },
		{ VMM_HOLE_START, 1, false },
		{ VMM_HOLE_START - 4096, VMM_HOLE_END - VMM_HOLE_START + 8192, false }, /* from RAM over the hole to RAM */
		{ VMM_HOLE_END - 1, 2, false },
		{ VMM_HOLE_END, 64 * MIB, true },
		{ VMM_HOLE_END, 64 * MIB + 1, false },
		{ VMM_HOLE_END + 64 * MIB, 1, false },
		{ 0, UINT64_MAX, false },
		{ 4096, UINT64_MAX, false }, /* wraps to 4095 */
		{ UINT64_MAX, 1, false },
		{ UINT64_MAX, 2, false }, /* wraps to 1 */
		{ UINT64_MAX - 4095, 8192, false },
		{ 4096, 0xffffffff, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t byte = 0;

		if ((vmm_mem_at(m, rows[i].gpa, rows[i].len) != NULL) != rows[i].is_ram)
			TAP_FAIL("row %zu", i);
		ok((vmm_mem_at_write(m, rows[i].gpa, rows[i].len) != NULL) == rows[i].is_ram);
		if (!rows[i].is_ram) {
			is_int(vmm_mem_zero(m, rows[i].gpa, rows[i].len), -EFAULT);
			is_int(vmm_mem_pread(m, rows[i].gpa, 0, 0, rows[i].len), -EFAULT);
			is_int(vmm_mem_discard(m, rows[i].gpa, rows[i].len), -EFAULT);
			if (rows[i].len > 1) /* one that would copy: nothing may be touched */
				is_int(vmm_mem_write(m, rows[i].gpa, &byte, rows[i].len), -EFAULT);
		}
	}
}

TEST(what_is_written_is_read_back_at_both_ends_of_each_region)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(VMM_HOLE_START + 64 * MIB);
	const uint64_t at[] = { 0, VMM_HOLE_START - 8, VMM_HOLE_END, VMM_HOLE_END + 64 * MIB - 8 };

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		uint64_t v = at[i] ^ 0x1122334455667788u, got = 0;

		is_int(vmm_mem_write(m, at[i], &v, sizeof(v)), 0);
		is_int(vmm_mem_read(m, at[i], &got, sizeof(got)), 0);
		ok(v == got);
	}
}

TEST(a_private_mapping_leaves_its_file_alone)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB), *copy = NULL;
	const struct vmm_mem_config c = { .bytes = 32 * MIB, .file_fd = vmm_mem_fd(m), .is_private = true };
	char got[8] = "";

	is_int(vmm_mem_write(m, 4096, "before", 7), 0);
	is_int(vmm_mem_new(&c, &copy, NULL), 0);
	is_int(vmm_mem_fd(copy), -1);
	is_int(vmm_mem_read(copy, 4096, got, 7), 0);
	is_str(got, "before");
	is_int(vmm_mem_write(copy, 4096, "after!", 7), 0);
	is_int(vmm_mem_read(m, 4096, got, 7), 0);
	is_str(got, "before");
}

TEST(memory_without_a_file_is_zero_keeps_what_is_written_and_is_zero_again_when_it_was_given_back)
{
	const struct vmm_mem_config c = { .bytes = 32 * MIB, .file_fd = -1, .is_private = true, .pages = VMM_PAGES_THP };
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = NULL;
	uint64_t got = 1;

	is_int(vmm_mem_new(&c, &m, NULL), 0);
	is_int(vmm_mem_fd(m), -1);
	is_int(vmm_mem_read(m, 32 * MIB - 8, &got, sizeof(got)), 0);
	ok(got == 0);
	got = 7;
	is_int(vmm_mem_write(m, 16 * MIB, &got, sizeof(got)), 0);
	got = 0;
	is_int(vmm_mem_read(m, 16 * MIB, &got, sizeof(got)), 0);
	ok(got == 7);
	is_int(vmm_mem_discard(m, 16 * MIB, 4096), 0);
	is_int(vmm_mem_read(m, 16 * MIB, &got, sizeof(got)), 0);
	ok(got == 0);
}

TEST(V14_a_memory_file_that_is_too_short_is_refused)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB), *more = NULL;
	struct vmm_mem_config c = { .bytes = 64 * MIB, .file_fd = vmm_mem_fd(m), .is_private = true };
	struct err e = { 0 };

	is_int(vmm_mem_new(&c, &more, &e), -EINVAL);
	has_str(e.msg, "shorter");
	c.bytes = 32 * MIB;
	c.file_offset = 4096;
	is_int(vmm_mem_new(&c, &more, &e), -EINVAL);
	c.file_offset = 1;
	is_int(vmm_mem_new(&c, &more, &e), -EINVAL);
	c.file_offset = 4096; /* giving pages back would hit others */
	c.bytes = 16 * MIB;
	c.is_private = false;
	is_int(vmm_mem_new(&c, &more, &e), -EINVAL);
	ok(!more);
}

TEST(sizes_that_are_not_whole_huge_pages_are_refused)
{
	const uint64_t sizes[] = { 0, 4096, 33 * MIB, VMM_MEM_MAX + 2 * MIB, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct vmm_mem_config c = { .bytes = sizes[i], .file_fd = -1 };
		struct vmm_mem *m = NULL;

		is_int(vmm_mem_new(&c, &m, NULL), -EINVAL);
	}
}

TEST(pages_given_back_read_as_zero)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
	char got = 0;

	is_int(vmm_mem_write(m, 8192, "x", 1), 0);
	is_int(vmm_mem_discard(m, 8192, 4096), 0);
	is_int(vmm_mem_read(m, 8192, &got, 1), 0);
	is_int(got, 0);
	is_int(vmm_mem_discard(m, 8192, 100), -EINVAL);
}

/* A file of 32 MiB, each page filled with its number + 1, and a private mapping of it. */
static struct vmm_mem *restored(int *ret_fd)
{
	struct vmm_mem_config c = { .bytes = 32 * MIB, .is_private = true };
	static uint8_t page[4096];
	struct vmm_mem *m = NULL;

	c.file_fd = *ret_fd = file_unnamed(AT_FDCWD, ".");
	for (unsigned i = 0; i < 32 * MIB / 4096; i++) {
		memset(page, (int)(i % 255 + 1), sizeof(page));
		is_int(pwrite(c.file_fd, page, sizeof(page), (off_t)i * 4096), 4096);
	}
	is_int(vmm_mem_new(&c, &m, NULL), 0);
	return m;
}
static uint8_t byte_at(struct vmm_mem *m, uint64_t gpa) { return *(const uint8_t *)vmm_mem_at(m, gpa, 1); }

TEST(a_page_given_back_to_a_snapshots_file_is_the_snapshots_again)
{
	int fd;
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = restored(&fd);

	is_int(vmm_mem_zero(m, 8192, 4096), 0);
	is_int(vmm_mem_discard(m, 8192, 4096), 0);
	is_int(byte_at(m, 8192), 3);
	close(fd);
}

TEST(what_has_to_be_zero_of_a_private_mapping_is_zero_or_untouched_and_the_file_is_as_it_was)
{
	int fd;
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = restored(&fd);
	uint8_t saved[2] = { 0 };

	is_int(vmm_mem_write(m, 6 * MIB - 4096, "mine", 4), 0);
	is_int(vmm_mem_write(m, 8 * MIB, "mine", 4), 0);
	/* half a piece, two whole ones, half a piece */
	is_int(vmm_mem_discard_to_zero(m, 3 * MIB, 6 * MIB), 0);
	is_int(byte_at(m, 3 * MIB), 3 * 256 % 255 + 1);
	is_int(byte_at(m, 4 * MIB - 1), (4 * 256 - 1) % 255 + 1);
	for (uint64_t at = 4 * MIB; at < 8 * MIB; at += 4095)
		is_int(byte_at(m, at), 0);
	is_int(memcmp(vmm_mem_at(m, 8 * MIB, 4), "mine", 4), 0);
	/* its pages are dropped like others from then on, one at a time, and read as zero */
	is_int(vmm_mem_write(m, 4 * MIB, "new", 3), 0);
	is_int(vmm_mem_write(m, 4 * MIB + 4096, "new", 3), 0);
	is_int(vmm_mem_discard_to_zero(m, 4 * MIB, 4096), 0);
	is_int(byte_at(m, 4 * MIB), 0);
	is_int(byte_at(m, 4 * MIB + 4096), 'n');
	is_int(pread(fd, saved, 1, 4 * MIB), 1);
	is_int(pread(fd, saved + 1, 1, 6 * MIB - 4096), 1);
	ok(saved[0] == 4 * 256 % 255 + 1 && saved[1] == (6 * 256 - 1) % 255 + 1);
	is_int(vmm_mem_discard_to_zero(m, 32 * MIB - 4096, 8192), -EFAULT);
	is_int(vmm_mem_discard_to_zero(m, 1, 4096), -EINVAL);
	close(fd);
}

TEST(memory_without_a_file_reads_as_zero_when_it_was_given_back)
{
	const struct vmm_mem_config c = { .bytes = 32 * MIB, .file_fd = -1, .is_private = true };
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = NULL;

	is_int(vmm_mem_new(&c, &m, NULL), 0);
	memset(vmm_mem_at_write(m, 0, 32 * MIB), 1, 32 * MIB);
	is_int(vmm_mem_discard(m, 8192, 4096), 0);
	is_int(vmm_mem_discard_to_zero(m, 3 * MIB, 2 * MIB), 0);
	is_int(byte_at(m, 8192) + byte_at(m, 3 * MIB) + byte_at(m, 5 * MIB - 1), 0);
	is_int(byte_at(m, 8191) + byte_at(m, 12288) + byte_at(m, 3 * MIB - 1) + byte_at(m, 5 * MIB), 4);
}

TEST(memory_given_back_is_the_hosts_and_is_told_to_the_log)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
	_cleanup_free_ uint64_t *bits = calloc(vmm_mem_log_words(m), 8);
	struct stat before, after;

	memset(vmm_mem_at_write(m, 0, 32 * MIB), 1, 32 * MIB);
	is_int(fstat(vmm_mem_fd(m), &before), 0);
	is_int(vmm_mem_log_start(m, NULL), 0);
	is_int(vmm_mem_discard_to_zero(m, 8 * MIB, 16 * MIB), 0);
	is_int(fstat(vmm_mem_fd(m), &after), 0);
	is_int((before.st_blocks - after.st_blocks) * 512, 16 * MIB);
	is_int(byte_at(m, 8 * MIB), 0);
	is_int(byte_at(m, 8 * MIB - 1), 1);
	is_int(vmm_mem_log_collect(m, bits, NULL), 0);
	ok(bits[8 * 4 - 1] == 0 && bits[8 * 4] == UINT64_MAX && bits[24 * 4 - 1] == UINT64_MAX && bits[24 * 4] == 0);
}

/* The pool has fewer pages than this asks for. */
TEST(huge_pages_that_are_not_there_are_told_when_the_memory_is_made)
{
	const struct vmm_mem_config c = { .bytes = VMM_MEM_MAX / 2, .file_fd = -1, .pages = VMM_PAGES_HUGE };
	struct vmm_mem *m = NULL;
	struct err e = { 0 };

	ok(vmm_mem_new(&c, &m, &e) < 0 && !m);
	has_str(e.msg, "vm.nr_hugepages");
}

TEST(a_file_is_read_into_ram_and_its_end_is_an_error)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
	int fd = file_unnamed(AT_FDCWD, ".");

	ok(fd >= 0);
	is_int(write(fd, "0123456789", 10), 10);
	is_int(vmm_mem_pread(m, 0x1000, fd, 2, 8), 0);
	is_str(vmm_mem_at(m, 0x1000, 9), "23456789");
	is_int(vmm_mem_pread(m, 0x1000, fd, 2, 9), -ENODATA);
	is_int(vmm_mem_pread(m, 0x1000, fd, UINT64_MAX, 9), -ENODATA);
	is_int(vmm_mem_pread(m, 0x1000, -1, 0, 9), -EBADF);
	close(fd);
}

TEST(the_log_has_the_pages_that_this_process_wrote)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
	_cleanup_free_ uint64_t *bits = calloc(vmm_mem_log_words(m), 8);

	is_int(vmm_mem_log_words(m), 32 * MIB / 4096 / 64);
	is_int(vmm_mem_log_collect(m, bits, NULL), -EINVAL);
	is_int(vmm_mem_log_start(m, NULL), 0);
	ok(vmm_mem_at_write(m, 64 * 4096 - 1, 2)); /* pages 63 and 64 */
	vmm_mem_dirty(m, 32 * MIB - 1, 1);
	vmm_mem_dirty(m, 32 * MIB - 1, 2); /* not RAM: nothing */
	is_int(vmm_mem_log_collect(m, bits, NULL), 0);
	ok(bits[0] == 1ull << 63);
	ok(bits[1] == 1);
	ok(bits[vmm_mem_log_words(m) - 1] == 1ull << 63);
	memset(bits, 0, vmm_mem_log_words(m) * 8);
	is_int(vmm_mem_log_collect(m, bits, NULL), 0);
	ok(bits[0] == 0);
	vmm_mem_log_stop(m);
}

TEST(windows_are_above_ram_aligned_and_apart)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB), *large = ram(4096 * MIB);
	uint8_t *host = (uint8_t *)(uintptr_t)(64 * MIB); /* nobody looks there */
	const struct vmm_mem_window first = { 8192 * MIB, 4 * MIB, host, true };
	const struct vmm_mem_window bad[] = {
		{ 8192 * MIB + 4096, 2 * MIB, host },
		{ 16384 * MIB, 2 * MIB + 4096, host },
		{ 16384 * MIB, 2 * MIB, host + 4096 },
		{ 16384 * MIB, 0, host },
		{ 0, 2 * MIB, host },
		{ 3072 * MIB, 2 * MIB, host }, /* the hole */
		{ 8194 * MIB, 2 * MIB, host },
		{ 8190 * MIB, 4 * MIB, host },
		{ 8190 * MIB, 64 * MIB, host },
		{ VMM_WINDOW_END, 2 * MIB, host },
		{ VMM_WINDOW_END - 2 * MIB, 4 * MIB, host },
		{ 16384 * MIB, UINT64_MAX & ~(2 * MIB - 1), host },
	};

	is_int(vmm_mem_add_window(m, &first, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (vmm_mem_add_window(m, &bad[i], NULL) != -EINVAL)
			TAP_FAIL("row %zu", i);
	const struct vmm_mem_window low = { 4096 * MIB, 2 * MIB, host }; /* where large has RAM, and m has not */
	is_int(vmm_mem_add_window(large, &low, NULL), -EINVAL);
	is_int(vmm_mem_add_window(m, &low, NULL), 0);
}

TEST(the_gate_gives_windows_and_read_only_ones_for_reading_only)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
	uint8_t *host = (uint8_t *)(uintptr_t)(64 * MIB);
	const struct vmm_mem_window ro = { 8192 * MIB, 4 * MIB, host, true }, rw = { 8196 * MIB, 2 * MIB, host + 8 * MIB, false };

	is_int(vmm_mem_add_window(m, &ro, NULL), 0);
	is_int(vmm_mem_add_window(m, &rw, NULL), 0);
	ok(vmm_mem_at(m, 8192 * MIB + 5, 10) == host + 5);
	ok(vmm_mem_at(m, 8196 * MIB - 1, 1) == host + 4 * MIB - 1);
	ok(vmm_mem_at(m, 8196 * MIB - 1, 2) == NULL); /* neighbours in the guest are none here */
	ok(vmm_mem_at(m, 8192 * MIB, UINT64_MAX) == NULL);
	ok(vmm_mem_at_write(m, 8192 * MIB, 1) == NULL);
	ok(vmm_mem_at_fill(m, 8192 * MIB, 1) == NULL);
	ok(vmm_mem_at_write(m, 8196 * MIB, 2 * MIB) == host + 8 * MIB);
	ok(vmm_mem_at_fill(m, 8196 * MIB + 1, 1) == host + 8 * MIB + 1);
	ok(vmm_mem_at(m, 8198 * MIB, 1) == NULL);
	is_int(vmm_mem_discard(m, 8196 * MIB, 4096), -EFAULT);
}

TAP_MAIN()
