/* The table of processes, of a made-up /proc and of this one. */
#include <fcntl.h>
#include <stdio.h>

#include "guest.h"
#include "tap.h"

static char top[] = "/tmp/berth-processes-XXXXXX";

static void put(const char *path, const char *text, size_t n)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ok(fd >= 0);
	is_int(fd_write_full(fd, text, n), 0);
}

static char *table(int procfd, const pid_t *pids, size_t n, int want)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	is_int(processes_print(procfd, pids, n, f), want);
	fclose(f);
	return tap_keep(text);
}

TEST(lines_are_pss)
{
	static const char stat_of_one[] = "7 (a (b) c\033) S 3 7 7 34817 7 4194560 1 2 3 4 370000 200 0 0 20 0 1 0 0 1 1";
	const pid_t pids[] = { 7, 8, 9 };

	ok(mkdtemp(top) && chdir(top) == 0 && mkdir("7", 0755) == 0 && mkdir("8", 0755) == 0);
	put("7/stat", stat_of_one, sizeof(stat_of_one) - 1);
	put("7/cmdline", "sh\0-c\0evil\033[2J\0", 15);
	put("8/stat", stat_of_one, sizeof(stat_of_one) - 1);
	put("8/cmdline", "", 0);
	_cleanup_fd_ int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *text = table(fd, pids, 3, 0);
	has_str(text, "UID          PID    PPID  C STIME TTY          TIME CMD\n");
	if (geteuid() == 0)
		has_str(text, "\nroot           7       3 ");
	has_str(text, " pts/1    01:01:42 sh -c evil?[2J\n");
	has_str(text, " pts/1    01:01:42 [a (b) c?]\n");
	ok(!strstr(text, "\n9 ") && !strchr(text, '\033'));
	ok(chdir("/") == 0);
	is_int(rm_rf(AT_FDCWD, top), 0);
}

TEST(what_is_no_stat_is_an_error)
{
	static const char *const texts[] = { "",         "7",       "7 (x",
					     "7 x) S 1", "7 (x) S", "7 )x( S 1 7 7 0 7 0 1 2 3 4 5 6 0 0 20 0 1 0 0" };
	const pid_t pids[] = { 7 };

	ok(mkdtemp(top) && chdir(top) == 0 && mkdir("7", 0755) == 0);
	_cleanup_fd_ int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		put("7/stat", texts[i], strlen(texts[i]));
		table(fd, pids, 1, -EPROTO);
	}
	ok(chdir("/") == 0);
	is_int(rm_rf(AT_FDCWD, top), 0);
}

TEST(this_process_is_in_its_own_table)
{
	const pid_t pids[] = { getpid(), 999999999 };
	_cleanup_fd_ int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *text = table(fd, pids, 2, 0);

	has_str(text, tap_keep(str_fmt(" %7d %7d ", getpid(), getppid())));
	has_str(text, "processes-test");
}
TAP_MAIN()
