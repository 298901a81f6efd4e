/* Memory of processes, and blocks of files. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure_impl.h"
#include "tap.h"
#include "tap_dir.h"

enum { MIB = 1 << 20, SOME = 64 * MIB };

/* A "monitor" with a child that has touched so much of a mapping; both end when the pipe does. */
static pid_t family(size_t touched, pid_t *ret_child, int *ret_hold)
{
	int hold[2], tell[2];
	pid_t monitor;

	ok(pipe(hold) == 0 && pipe(tell) == 0);
	monitor = fork();
	if (monitor == 0) {
		pid_t child = fork();
		char c;

		close(hold[1]);
		if (child == 0) {
			/* As a VMM's: beside it code of its making and a larger reserve, in its midst other permissions, and a file. */
			char *code = mmap(NULL, 6 * SOME, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p = code + 2 * SOME;

			if (code == MAP_FAILED || mprotect(code, 2 * SOME, PROT_READ | PROT_WRITE | PROT_EXEC) < 0 ||
			    mprotect(p, SOME, PROT_READ | PROT_WRITE) < 0 || mprotect(p + SOME / 4, 4096, PROT_READ) < 0 ||
			    mmap(p + SOME / 2, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED,
				 open("/proc/self/exe", O_RDONLY | O_CLOEXEC), 0) == MAP_FAILED)
				_exit(1);
			memset(code, 1, MIB);
			memset(p, 1, touched);
			memset(p + SOME / 2 + 4096, 1, touched);
			child = getpid();
			(void)!write(tell[1], &child, sizeof(child));
		}
		(void)!read(hold[0], &c, 1);
		_exit(0);
	}
	close(hold[0]);
	is_int(read(tell[0], ret_child, sizeof(*ret_child)), sizeof(*ret_child));
	close(tell[0]);
	close(tell[1]);
	*ret_hold = hold[1];
	return monitor;
}

/* Of such a family that has touched twice 8 MiB. */
static struct pss look(uint64_t ram_bytes)
{
	struct err e = { 0 };
	struct pss p;
	pid_t child = 0;
	int hold;
	pid_t monitor = family(8 * MIB, &child, &hold);

	is_int(pss_of(child, ram_bytes, &p, &e), 0);
	close(hold);
	waitpid(monitor, NULL, 0);
	return p;
}

TEST(a_workload_is_told_from_what_is_outside)
{
	const struct pss p = look(0);

	ok(p.inside_kib >= 17408 && p.inside_kib < 17408 + 2048);
	ok(p.outside_kib > 0 && p.outside_kib < 4096);
	is_int(p.ram_kib, 0);
	ok(!p.is_passing);
}

#ifndef __SANITIZE_ADDRESS__ /* whose shadow is larger than any guest */
TEST(a_guests_memory_is_told_from_its_vmms)
{
	const struct pss p = look(SOME);

	is_int(p.inside_kib, 0);
	ok(p.ram_kib >= 16384 && p.ram_kib < 16384 + 512);
	ok(p.outside_kib < 4096);
}
#endif

TEST(a_process_that_is_not_there_is_said)
{
	struct err e = { 0 };
	struct pss p;

	is_int(pss_of(0x3fffffff, 0, &p, &e), -ESRCH);
	has_str(e.msg, "1073741823");
}

TEST(blocks_are_counted_not_lengths)
{
	struct err e = { 0 };
	uint64_t empty, with_hole, with_bytes;

	tap_dir_enter();
	is_int(disk_bytes(tap_dir, &empty, &e), 0);
	int fd = open("hole", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	is_int(ftruncate(fd, 1 << 30), 0);
	is_int(disk_bytes(tap_dir, &with_hole, &e), 0);
	ok(with_hole - empty < MIB);
	char block[65536];
	memset(block, 7, sizeof(block));
	is_int(fd_write_full(fd, block, sizeof(block)), 0);
	fsync(fd);
	close(fd);
	is_int(disk_bytes(tap_dir, &with_bytes, &e), 0);
	ok(with_bytes - with_hole >= sizeof(block));
	is_int(mkdir("closed", 0), 0);
	is_int(disk_bytes(tap_dir, &empty, &e), 0);
	is_int(disk_bytes("/nonexistent/x", &empty, &e), -ENOENT);
	has_str(e.msg, "/nonexistent/x");
	tap_dir_leave();
}

TAP_MAIN()
