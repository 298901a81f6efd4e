/* exec_at: exec_at PROGRAM ARG...: executes PROGRAM, with each ARG that is "@" replaced by CLOCK_MONOTONIC in microseconds, as it is
 * just before. What is measured from there on is the program's start alone, and not how it was started. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char now[24];
	struct timespec t;

	if (argc < 2)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &t);
	snprintf(now, sizeof(now), "%lld", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "@") == 0)
			argv[i] = now;
	execv(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
