/* lock: what the database's locks withstand. The linker gives this program its own fcntl (--wrap), which fails to unlock. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>

#include "records_db.h"
#include "tap.h"

static unsigned n_unlocks, fails_at; /* counted from 1 */

int __wrap_fcntl64(int fd, int cmd, ...);
int __real_fcntl64(int fd, int cmd, ...);

int __wrap_fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (cmd == F_SETLK && ((struct flock *)arg)->l_type == F_UNLCK && ++n_unlocks == fails_at) {
		errno = ENOLCK;
		return -1;
	}
	return __real_fcntl64(fd, cmd, arg);
}

static char root[64];
static pid_t owner;

static void leave(void)
{
	if (getpid() == owner)
		rm_rf(AT_FDCWD, root);
}

static void use_database(void)
{
	struct records *r;
	struct err e = { 0 };

	if (records_open(root, &r, &e) < 0 || records_event_add(r, "container", "test", "id", "{}", &e) < 0)
		TAP_FAIL("%s", e.msg);
}

/* A process of its own, since locks are held against others only. It lives on with the database open, as a monitor does; -> its pid,
 * and how often it has unlocked something. */
static pid_t hold_database(unsigned failing, unsigned *ret_unlocks)
{
	int fds[2];
	pid_t pid;

	ok(pipe2(fds, O_CLOEXEC) == 0);
	pid = fork();
	ok(pid >= 0);
	if (pid == 0) {
		fails_at = failing;
		use_database();
		ok(write(fds[1], &n_unlocks, sizeof(n_unlocks)) == sizeof(n_unlocks));
		for (;;)
			pause();
	}
	close(fds[1]);
	ok(read(fds[0], ret_unlocks, sizeof(*ret_unlocks)) == sizeof(*ret_unlocks));
	close(fds[0]);
	return pid;
}

static bool others_can_use_it(void)
{
	pid_t pid = fork();
	int status;

	ok(pid >= 0);
	if (pid == 0) {
		use_database();
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

TEST(an_unlocking_that_fails_once_leaves_nobody_waiting)
{
	unsigned n = 0, count;

	strcpy(root, "/tmp/records-test-XXXXXX");
	ok(mkdtemp(root));
	owner = getpid();
	atexit(leave);
	ok(others_can_use_it()); /* not from here: SQLite's idea of what is locked would be inherited */
	do {
		pid_t holder = hold_database(++n, &count);
		bool is_free = others_can_use_it();

		kill(holder, SIGKILL);
		waitpid(holder, NULL, 0);
		ok(is_free);
	} while (n < count);
	ok(n > 3);
}

TAP_MAIN()
