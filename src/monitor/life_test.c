/* A monitor is found for as long as its process lives, and no longer. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "monitor_impl.h"
#include "tap.h"

static char root[] = "/tmp/berth-life-test-XXXXXX";
static const struct paths paths = { .root = root };
static struct err e;

static int begin(void)
{
	ok(mkdtemp(root) != NULL);
	is_int(mkdir_p(AT_FDCWD, tap_keep(str_fmt("%s/containers/c1", root)), 0700), 0);
	int dir = open(tap_keep(str_fmt("%s/containers/c1", root)), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(dir >= 0);
	is_int(file_replace(dir, "launch.json", "{}", 2, 0600, false), 0);
	return dir;
}

/* A process that lives as a monitor until it is killed; a child of its own outlives it where there is to be one. */
static pid_t start_holder(int dir, bool with_child)
{
	int said[2];
	char c;

	is_int(pipe(said), 0);
	pid_t pid = fork();
	if (pid == 0) {
		bool held = life_hold(dir) >= 0;
		if (with_child && fork() == 0) {
			pause();
			_exit(0);
		}
		_exit(held && write(said[1], "x", 1) == 1 && pause() ? 0 : 1);
	}
	is_int(read(said[0], &c, 1), 1);
	fd_close(said[0]);
	fd_close(said[1]);
	return pid;
}

static bool has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

TEST(a_living_monitor_is_found_and_a_dead_one_is_not)
{
	int dir = begin(), pidfd = -1;

	is_int(monitor_pidfd(&paths, "c1", &pidfd, &e), 0);
	pid_t pid = start_holder(dir, false);
	is_int(monitor_pidfd(&paths, "c1", &pidfd, &e), 1);
	ok(!has_ended(pidfd));
	is_int(kill(pid, SIGKILL), 0);
	is_int(waitpid(pid, NULL, 0), pid);
	ok(has_ended(pidfd));
	fd_close(pidfd);
	is_int(monitor_pidfd(&paths, "c1", &pidfd, &e), 0);
	fd_close(dir);
	is_int(rm_rf(AT_FDCWD, root), 0);
}

TEST(a_monitor_is_found_after_what_it_was_started_with_is_replaced)
{
	int dir = begin(), pidfd = -1;
	pid_t pid = start_holder(dir, false);

	is_int(file_replace(dir, "launch.json", "{}", 2, 0600, false), 0); /* as update does */
	is_int(monitor_pidfd(&paths, "c1", &pidfd, &e), 1);
	fd_close(pidfd);
	is_int(kill(pid, SIGKILL), 0);
	is_int(waitpid(pid, NULL, 0), pid);
	is_int(monitor_pidfd(&paths, "c1", &pidfd, &e), 0);
	fd_close(dir);
	is_int(rm_rf(AT_FDCWD, root), 0);
}

TEST(a_child_that_outlives_the_monitor_is_not_taken_for_it)
{
	int dir = begin(), pidfd = -1;

	is_int(setpgid(0, 0), 0);
	pid_t pid = start_holder(dir, true);
	is_int(kill(pid, SIGKILL), 0);
	is_int(waitpid(pid, NULL, 0), pid);
	is_int(monitor_pidfd(&paths, "c1", &pidfd, &e), 0);
	signal(SIGTERM, SIG_IGN);
	is_int(kill(0, SIGTERM), 0); /* the child is in our group */
	fd_close(dir);
	is_int(rm_rf(AT_FDCWD, root), 0);
}

TEST(a_container_without_a_directory_has_no_monitor)
{
	int dir = begin(), pidfd = -1;

	is_int(monitor_pidfd(&paths, "c2", &pidfd, &e), 0);
	fd_close(dir);
	is_int(rm_rf(AT_FDCWD, root), 0);
}

TAP_MAIN()
