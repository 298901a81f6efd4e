#include <poll.h>
#include <sys/socket.h>

#include "guest.h"
#include "tap.h"

/* A child that has nothing but streams as 0 to 2 (-1: none) takes its own, says whether it has three that programs inherit and nothing else,
 * and stays until the socket ends. */
static pid_t spawn_init(int stream, int *ret_said)
{
	int sv[2];
	pid_t pid;

	is_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	pid = fork();
	if (pid == 0) {
		struct err e = { 0 };
		char said = 'y';

		dup2(sv[1], 100);
		for (int fd = 0; fd <= 2; fd++)
			if (stream < 0)
				close(fd);
			else
				dup2(stream, fd);
		close_range(3, 99, 0);
		if (guest_take_stdio(&e) < 0)
			said = 'e';
		for (int fd = 0; fd <= 2; fd++)
			if (fcntl(fd, F_GETFD) != 0)
				said = 'n';
		for (int fd = 3; fd < 100; fd++)
			if (fcntl(fd, F_GETFD) >= 0)
				said = 'm';
		_exit(write(100, &said, 1) != 1 || read(100, &said, 1) != 0);
	}
	close(sv[1]);
	*ret_said = sv[0];
	return pid;
}

static char answer_of(int said)
{
	char c = '?';

	is_int(read(said, &c, 1), 1);
	return c;
}

static void end(pid_t pid, int said)
{
	int st;

	close(said);
	is_int(waitpid(pid, &st, 0), pid);
	is_int(st, 0);
}

TEST(a_guests_first_process_holds_no_console_open)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave, said;
	struct pollfd p = { .fd = master };
	pid_t pid;

	ok(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ok(slave >= 0);
	pid = spawn_init(slave, &said);
	close(slave);
	is_int(answer_of(said), 'y');
	is_int(poll(&p, 1, 0), 1);
	is_int(p.revents & POLLHUP, POLLHUP);
	end(pid, said);
	close(master);
}

TEST(where_the_kernel_found_no_console_there_are_streams_all_the_same)
{
	int said;
	pid_t pid = spawn_init(-1, &said);

	is_int(answer_of(said), 'y');
	end(pid, said);
}

TAP_MAIN()
