/* Copies of disks: the same bytes, and holes where there were holes. */
#include <unistd.h>

#include "tap.h"
#include "vm_impl.h"

static int new_file(void)
{
	int fd = file_unnamed(AT_FDCWD, "/tmp");

	ok(fd >= 0);
	return fd;
}

static void count(uint64_t done, void *arg) { *(uint64_t *)arg = done; }

TEST(data_is_copied_and_holes_stay_holes)
{
	int from = new_file(), to = new_file();
	static char a[70000], b[sizeof(a)];
	uint64_t done = 0;
	struct stat st;

	memset(a, 'x', sizeof(a));
	is_int((int)pwrite(from, a, sizeof(a), 5 << 20), (int)sizeof(a));
	is_int((int)pwrite(from, "end", 3, 20 << 20), 3);
	is_int(ftruncate(from, 64 << 20), 0);
	is_int(vm_copy_disk(from, to, count, &done), 0);
	is_int(fstat(to, &st), 0);
	is_int((int)(st.st_size >> 20), 64);
	ok(st.st_blocks * 512 < 1 << 20);
	ok(done == 0 || done >= sizeof(a)); /* 0: the blocks are shared */
	is_int((int)pread(to, b, sizeof(b), 5 << 20), (int)sizeof(b));
	ok(memcmp(a, b, sizeof(a)) == 0);
	is_int((int)pread(to, b, 4, 20 << 20), 4);
	ok(memcmp(b, "end\0", 4) == 0);
	close(from);
	close(to);
}

TEST(a_disk_that_is_full_is_an_error)
{
	int from = new_file(), full = open("/dev/full", O_RDWR | O_CLOEXEC);

	is_int((int)pwrite(from, "data", 4, 0), 4);
	ok(vm_copy_disk(from, full, NULL, NULL) < 0);
	close(from);
	close(full);
}

TAP_MAIN()
