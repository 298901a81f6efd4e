/* Files that are in RAM without being read: byte by byte what a read would have given, and no pages but those that are written. */
#include "memory.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define MIB (1ull << 20)

static uint8_t byte_at(struct vmm_mem *m, uint64_t gpa) { return *(const uint8_t *)vmm_mem_at(m, gpa, 1); }

static struct vmm_mem *ram_without_a_file(void)
{
	const struct vmm_mem_config c = { .bytes = 32 * MIB, .file_fd = -1, .is_private = true, .pages = VMM_PAGES_THP };
	struct vmm_mem *m = NULL;

	is_int(vmm_mem_new(&c, &m, NULL), 0);
	return m;
}

/* Byte i of it is i / 1000, but never 0. */
static int kernel_like(size_t bytes)
{
	_cleanup_free_ uint8_t *p = malloc(bytes);
	int fd = file_unnamed(AT_FDCWD, ".");

	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(i / 1000 % 255 + 1);
	ok(fd >= 0);
	is_int(write(fd, p, bytes), bytes);
	return fd;
}
static int kernel_byte(size_t i) { return (int)(i / 1000 % 255 + 1); }

/* Of guest RAM alone, by /proc/self/smaps: what is this process's own and no file's. */
static uint64_t own_kib(const struct vmm_mem *m)
{
	_cleanup_free_ char *text = NULL;
	const uintptr_t ram = (uintptr_t)vmm_mem_at(m, 0, 1);
	unsigned long from, to, kib, sum = 0;
	bool is_ram = false;

	is_int(file_read(AT_FDCWD, "/proc/self/smaps", 16 << 20, &text, NULL), 0);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			is_ram = from >= ram && to <= ram + 32 * MIB;
		else if (is_ram && sscanf(line, "Anonymous: %lu kB", &kib) == 1)
			sum += kib;
	return sum;
}

TEST(a_file_that_is_loaded_is_in_ram_byte_by_byte_and_zeroes_around_it)
{
	static const struct {
		uint64_t gpa, offset, len;
	} rows[] = {
		{ 4 * MIB, 0, 3 * MIB },              /* whole pages */
		{ 4 * MIB, 8192, 1 },                 /* less than one */
		{ 4 * MIB + 100, 100, 3 * MIB - 50 }, /* both edges within pages */
		{ 4 * MIB + 100, 4196, 4096 },        /* two halves of pages */
		{ 4 * MIB, 1, 2 * MIB },              /* elsewhere in its page: read */
		{ 30 * MIB + 5, 4101, 2 * MIB - 5 },  /* up to the end */
	};
	const int fd = kernel_like(4 * MIB);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram_without_a_file();
		uint64_t last = rows[i].gpa + rows[i].len - 1;

		is_int(vmm_mem_load(m, rows[i].gpa, fd, rows[i].offset, rows[i].len), 0);
		for (uint64_t k = 0; k < rows[i].len; k += 999)
			if (byte_at(m, rows[i].gpa + k) != kernel_byte(rows[i].offset + k))
				TAP_FAIL("row %zu, byte %llu", i, (unsigned long long)k);
		is_int(byte_at(m, last), kernel_byte(rows[i].offset + rows[i].len - 1));
		is_int(byte_at(m, rows[i].gpa - 1), 0);
		if (last + 1 < 32 * MIB)
			is_int(byte_at(m, last + 1), 0);
	}
	close(fd);
}

TEST(a_loaded_file_costs_pages_only_where_it_is_written_and_stays_as_it_is)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram_without_a_file();
	const int fd = kernel_like(4 * MIB);
	uint64_t before, seen = 0;
	uint8_t byte = 0;

	before = own_kib(m);
	is_int(vmm_mem_load(m, 4 * MIB, fd, 0, 4 * MIB), 0);
	for (uint64_t k = 0; k < 4 * MIB; k += 4096)
		seen += (uint64_t)byte_at(m, 4 * MIB + k);
	ok(seen > 0);
	ok(own_kib(m) - before < 1024);
	is_int(vmm_mem_write(m, 5 * MIB, "x", 1), 0);
	is_int(byte_at(m, 5 * MIB), 'x');
	is_int(pread(fd, &byte, 1, MIB), 1);
	is_int(byte, kernel_byte(MIB));
	close(fd);
}

TEST(pages_of_a_loaded_file_become_our_own_with_what_was_written_and_what_was_not)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram_without_a_file();
	const int fd = kernel_like(4 * MIB);
	uint64_t before;
	int r;

	is_int(vmm_mem_load(m, 4 * MIB, fd, 0, 4 * MIB), 0);
	is_int(vmm_mem_write(m, 5 * MIB, "x", 1), 0);
	before = own_kib(m);
	r = vmm_mem_own(m, 4 * MIB + 1, 3 * MIB);
	if (r == -EINVAL)
		skip("a kernel before 5.14");
	is_int(r, 0);
	ok(own_kib(m) - before >= 3000 && own_kib(m) - before < 3200);
	is_int(byte_at(m, 5 * MIB), 'x');
	for (uint64_t k = 5 * MIB + 1; k < 8 * MIB; k += 999)
		is_int(byte_at(m, k), kernel_byte(k - 4 * MIB));
	is_int(vmm_mem_own(m, 8 * MIB + 1, 10), 0); /* no whole page */
	is_int(vmm_mem_own(m, 32 * MIB - 4096, 8192), -EFAULT);
	close(fd);
}

TEST(a_piece_of_a_loaded_file_becomes_pages_of_our_own_with_all_that_was_in_it)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram_without_a_file();
	const int fd = kernel_like(4 * MIB);
	void *pages = NULL;
	int r;

	is_int(vmm_mem_load(m, 5 * MIB, fd, 0, 4 * MIB), 0);
	ok(vmm_mem_is_file(m, 4 * MIB) && vmm_mem_is_file(m, 6 * MIB) && vmm_mem_is_file(m, 8 * MIB) &&
	   !vmm_mem_is_file(m, 10 * MIB));
	is_int(vmm_mem_write(m, 4 * MIB + 1, "ab", 2), 0);
	is_int(vmm_mem_write(m, 5 * MIB + 9000, "x", 1), 0);
	r = vmm_mem_piece_new(m, 4 * MIB, &pages);
	if (r == -EINVAL)
		skip("a kernel before 5.14");
	is_int(r, 0);
	is_int(vmm_mem_piece_put(m, 4 * MIB, pages), 0);
	ok(!vmm_mem_is_file(m, 4 * MIB) && vmm_mem_is_file(m, 6 * MIB));
	is_int(byte_at(m, 4 * MIB), 0);
	is_int(byte_at(m, 4 * MIB + 2), 'b');
	is_int(byte_at(m, 5 * MIB + 9000), 'x');
	for (uint64_t k = 5 * MIB; k < 9 * MIB; k += 997)
		if (k != 5 * MIB + 9000)
			is_int(byte_at(m, k), kernel_byte(k - 5 * MIB));
	is_int(vmm_mem_discard_to_zero(m, 4 * MIB, 2 * MIB), 0); /* as any other memory from now on */
	is_int(byte_at(m, 5 * MIB + 9000), 0);
	is_int(vmm_mem_piece_new(m, 6 * MIB, &pages), 0); /* made, and not used */
	vmm_mem_piece_drop(pages);
	is_int(byte_at(m, 6 * MIB), kernel_byte(MIB));
	is_int(vmm_mem_piece_new(m, 6 * MIB + 4096, &pages), -EFAULT);
	is_int(vmm_mem_piece_new(m, 32 * MIB, &pages), -EFAULT);
	ok(!vmm_mem_is_file(m, 32 * MIB));
	close(fd);
}

TEST(what_was_a_loaded_file_is_zero_or_untouched_when_it_was_given_back)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram_without_a_file();
	const int fd = kernel_like(4 * MIB);

	is_int(vmm_mem_load(m, 4 * MIB, fd, 0, 3 * MIB), 0);
	memset(vmm_mem_at_write(m, 0, 4 * MIB), 1, 4 * MIB);
	is_int(vmm_mem_discard_to_zero(m, 0, 4 * MIB), 0); /* beside it: as ever */
	is_int(byte_at(m, 0) + byte_at(m, 4 * MIB - 1), 0);
	is_int(vmm_mem_discard_to_zero(m, 4 * MIB, 2 * MIB), 0);
	is_int(byte_at(m, 4 * MIB) + byte_at(m, 6 * MIB - 1), 0);
	is_int(vmm_mem_discard_to_zero(m, 6 * MIB, 4096), 0); /* less than 2 MiB of a file's: not possible */
	is_int(byte_at(m, 6 * MIB), kernel_byte(2 * MIB));
	close(fd);
}

TEST(V18_a_file_that_is_too_short_or_does_not_fit_is_not_loaded)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram_without_a_file();
	const int fd = kernel_like(MIB);

	is_int(vmm_mem_load(m, 4 * MIB, fd, 0, MIB + 1), -ENODATA);
	is_int(vmm_mem_load(m, 4 * MIB, fd, 4096, MIB), -ENODATA);
	is_int(vmm_mem_load(m, 4 * MIB, fd, UINT64_MAX - 4095, MIB), -ENODATA);
	is_int(vmm_mem_load(m, 4 * MIB, -1, 0, MIB), -EBADF);
	is_int(vmm_mem_load(m, 32 * MIB - 4096, fd, 0, MIB), -EFAULT);
	is_int(vmm_mem_load(m, UINT64_MAX - 4095, fd, 0, MIB), -EFAULT);
	is_int(byte_at(m, 4 * MIB), 0);
	close(fd);
}

/* /proc/self/smaps: the mapping that has this address, up to the next one. */
static bool has_flag(const void *p, const char *flag)
{
	_cleanup_free_ char *text = NULL;
	unsigned long from, to;
	bool is_it = false;

	is_int(file_read(AT_FDCWD, "/proc/self/smaps", 16 << 20, &text, NULL), 0);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			is_it = from <= (uintptr_t)p && (uintptr_t)p < to;
		else if (is_it && strncmp(line, "VmFlags:", 8) == 0)
			return strstr(line, flag) != NULL;
	return false;
}

TEST(what_is_sparse_gets_no_huge_pages_and_the_rest_may)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram_without_a_file();

	if (access("/sys/kernel/mm/transparent_hugepage", F_OK) < 0)
		skip("a kernel without huge pages of this kind");
	vmm_mem_sparse(m, 0, 2 * MIB);
	vmm_mem_sparse(m, 32 * MIB, 2 * MIB); /* not RAM: nothing */
	ok(has_flag(vmm_mem_at(m, 0, 1), " nh"));
	ok(has_flag(vmm_mem_at(m, 2 * MIB, 1), " hg"));
	is_int(vmm_mem_write(m, 4096, "x", 1), 0);
	ok(own_kib(m) < 4096);
}

/* One whose file system lets nobody map it for writing, be it privately. */
TEST(a_file_that_can_not_be_mapped_is_read)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram_without_a_file();
	int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
	uint8_t want[3] = { 0 };

	if (fd < 0)
		skip("no file that can't be mapped");
	is_int(pread(fd, want, 3, 8192), 3);
	is_int(vmm_mem_load(m, 4 * MIB, fd, 0, 16384), 0);
	ok(memcmp(vmm_mem_at(m, 4 * MIB + 8192, 3), want, 3) == 0);
	is_int(byte_at(m, 4 * MIB + 16384), 0);
	is_int(vmm_mem_write(m, 4 * MIB, "x", 1), 0);
	close(fd);
}

TEST(memory_that_is_shared_has_files_read_into_it)
{
	const struct vmm_mem_config c = { .bytes = 32 * MIB, .file_fd = -1 };
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = NULL;
	const int fd = kernel_like(MIB);
	uint8_t byte = 0;

	is_int(vmm_mem_new(&c, &m, NULL), 0);
	is_int(vmm_mem_load(m, 4 * MIB, fd, 0, MIB), 0);
	is_int(byte_at(m, 5 * MIB - 1), kernel_byte(MIB - 1));
	is_int(pread(vmm_mem_fd(m), &byte, 1, 4 * MIB), 1);
	is_int(byte, kernel_byte(0));
	close(fd);
}

TAP_MAIN()
