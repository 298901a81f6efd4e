/* guest_files: what a shell has no word for, done to files of a shared directory from within a guest. One line of output; status 1
 * and why, where it does not work.
 *   map FILE TEXT       writes TEXT to the file's beginning through a shared mapping, and syncs it
 *   show FILE           the file's first bytes, as a shared mapping shows them
 *   lock FILE           a POSIX lock for writing; keeps it until standard input ends
 *   trylock FILE        "free" or "taken", for a POSIX lock
 *   waitlock FILE       waits for one, says "locked"
 *   flock, tryflock, waitflock   the same with flock(2)
 *   set FILE NAME VALUE, get FILE NAME   extended attributes
 *   watch FILE MS       "event" or "nothing": inotify's modify, within that time
 *   mknod FILE          a character device, 1:3
 *   hole FILE           where the first hole and the data behind it begin, after punching 64 KiB at 64 KiB
 *   as ID COMMAND ARG...   the command as this user and group, of no others
 *   exchange A B, copy A B */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static int fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		exit(fail(path));
	return fd;
}

static int map(const char *path, const char *text)
{
	int fd = open_or_die(path, text ? O_RDWR : O_RDONLY);
	char *p = mmap(NULL, 4096, text ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return fail("mmap");
	if (!text) {
		printf("%.*s\n", (int)strcspn(p, "\n"), p);
		return 0;
	}
	memcpy(p, text, strlen(text));
	return msync(p, 4096, MS_SYNC) < 0 ? fail("msync") : (puts("mapped"), 0);
}

enum how { KEEP, TRY, WAIT };
static int lock(const char *path, int is_flock, enum how how)
{
	struct flock l = { .l_type = F_WRLCK };
	int fd = open_or_die(path, O_RDWR), r;
	char c;

	r = is_flock ? flock(fd, LOCK_EX | (how == WAIT ? 0 : LOCK_NB)) : fcntl(fd, how == WAIT ? F_SETLKW : F_SETLK, &l);
	if (r < 0 && how == TRY && (errno == EAGAIN || errno == EACCES))
		return puts("taken") < 0;
	if (r < 0)
		return fail("lock");
	puts(how == TRY ? "free" : "locked");
	fflush(stdout);
	while (how == KEEP && read(0, &c, 1) > 0)
		;
	return 0;
}

static int watch(const char *path, int ms)
{
	int fd = inotify_init1(IN_CLOEXEC);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY) < 0)
		return fail("inotify");
	puts("watching");
	fflush(stdout);
	return puts(poll(&p, 1, ms) == 1 ? "event" : "nothing") < 0;
}

static int hole(const char *path)
{
	int fd = open_or_die(path, O_RDWR);
	off_t h, d;

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 65536) < 0)
		return fail("fallocate");
	h = lseek(fd, 0, SEEK_HOLE);
	d = lseek(fd, h, SEEK_DATA);
	return printf("hole %ld data %ld\n", (long)h, (long)d) < 0;
}

static int copy(const char *from, const char *to)
{
	ssize_t n = copy_file_range(open_or_die(from, O_RDONLY), NULL, open_or_die(to, O_WRONLY | O_CREAT | O_TRUNC), NULL,
				    1 << 20, 0);

	return n < 0 ? fail("copy_file_range") : printf("copied %zd\n", n) < 0;
}

static int as(unsigned id, char **command)
{
	if (setgroups(0, NULL) < 0 || setgid(id) < 0 || setuid(id) < 0)
		return fail("setuid");
	execvp(command[0], command);
	return fail(command[0]);
}

static int get(const char *path, const char *name)
{
	char value[256];
	ssize_t n = getxattr(path, name, value, sizeof(value));

	return n < 0 ? fail(name) : printf("%.*s\n", (int)n, value) < 0;
}

static int is(char **argv, const char *verb) { return strcmp(argv[1], verb) == 0; }

int main(int argc, char **argv)
{
	const char *a = argc > 2 ? argv[2] : "", *b = argc > 3 ? argv[3] : NULL;

	if (argc < 3)
		return 2;
	if (is(argv, "map") || is(argv, "show"))
		return map(a, b);
	if (is(argv, "lock") || is(argv, "flock"))
		return lock(a, is(argv, "flock"), KEEP);
	if (is(argv, "trylock") || is(argv, "tryflock"))
		return lock(a, is(argv, "tryflock"), TRY);
	if (is(argv, "waitlock") || is(argv, "waitflock"))
		return lock(a, is(argv, "waitflock"), WAIT);
	if (is(argv, "set") && argc > 4)
		return setxattr(a, b, argv[4], strlen(argv[4]), 0) < 0 ? fail("setxattr") : 0;
	if (is(argv, "get") && b)
		return get(a, b);
	if (is(argv, "as") && b)
		return as((unsigned)atoi(a), argv + 3);
	if (is(argv, "watch") && b)
		return watch(a, atoi(b));
	if (is(argv, "mknod"))
		return mknod(a, S_IFCHR | 0666, makedev(1, 3)) < 0 ? fail("mknod") : 0;
	if (is(argv, "hole"))
		return hole(a);
	if (is(argv, "exchange") && b)
		return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0 ? fail("renameat2") : 0;
	if (is(argv, "copy") && b)
		return copy(a, b);
	return 2;
}
