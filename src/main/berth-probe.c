/* berth-probe: measures and looks from inside a container or a virtual machine. What its words do is in probe/probe.h. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "probe.h"

/* Also as the first process of its pid namespace, which a signal without a handler does not reach. */
static void end(int sig)
{
	(void)sig;
	_exit(0);
}

static int hold(void)
{
	if (puts(PROBE_READY) < 0 || fflush(stdout) < 0)
		return 1;
	for (;;)
		pause();
}

/* Its own file. */
static int remove_self(const char *program)
{
	if (unlink(program) == 0)
		return 0;
	fprintf(stderr, PROBE_PROGRAM ": remove %s: %s\n", program, strerror(errno));
	return 1;
}

static int usage(void)
{
	fprintf(stderr, "usage: " PROBE_PROGRAM
			" start | hold | speed [seconds=S] [dir=PATH] [NAME...] | serve PORT | walls [remove] [wait] | remove\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char byte = PROBE_BYTE;

	if (argc == 2 && streq(argv[1], "start"))
		return write(STDOUT_FILENO, &byte, 1) == 1 ? 0 : 1;
	signal(SIGTERM, end);
	signal(SIGINT, end);
	if (argc < 2)
		return usage();
	if (streq(argv[1], "hold") && argc == 2)
		return hold();
	if (streq(argv[1], "speed"))
		return probe_speed(argc - 2, argv + 2);
	if (streq(argv[1], "serve") && argc == 3)
		return probe_serve(argv[2]);
	if (streq(argv[1], "remove") && argc == 2)
		return remove_self(argv[0]);
	if (streq(argv[1], "walls"))
		return probe_walls(argc - 2, argv + 2, argv[0]);
	return streq(argv[1], "nothing") && argc == 2 ? 0 : usage();
}
