/* peak: runs a command and prints the most memory that it, or any process it waited for, had resident, in KiB. A small program of its
 * own, because the kernel counts a child's memory before its exec too, which is that of whoever started it. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rusage used;
	int status;
	pid_t pid = argc > 1 ? fork() : -1;

	if (pid == 0) {
		execv(argv[1], argv + 1);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) < 0 || status != 0) {
		fprintf(stderr, "peak: usage: peak PROGRAM [ARG...]; it must end with 0\n");
		return 1;
	}
	printf("%ld\n", used.ru_maxrss);
	return 0;
}
