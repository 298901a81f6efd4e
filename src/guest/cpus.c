/* cpus: a guest's processors, switched on and off by sysfs (Documentation/core-api/cpu_hotplug.rst). Those that the host has
 * given the machine but not the guest ("maxcpus=") are there and off. For PID 1 of a guest only. */
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "guest.h"

#define DIR_OF_CPUS "/sys/devices/system/cpu"

/* "cpu7" -> 7; -1: another file. */
static int number_of(const char *name)
{
	const char *digits = str_after(name, "cpu");
	uint64_t n;

	return digits && str_to_u64(digits, &n) >= 0 && n < UINT16_MAX ? (int)n : -1;
}

static int count(unsigned *ret, struct err *e)
{
	DIR *d = opendir(DIR_OF_CPUS);
	struct dirent *de;

	if (!d)
		return err_set(e, errno, DIR_OF_CPUS ": %s", strerror(errno));
	*ret = 0;
	while ((de = readdir(d)))
		*ret += number_of(de->d_name) >= 0;
	closedir(d);
	return 0;
}

/* 0 is always on, and has no such file. */
static int set(unsigned cpu, bool on, struct err *e)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), DIR_OF_CPUS "/cpu%u/online", cpu);
	r = file_write(AT_FDCWD, path, on ? "1" : "0");
	return r < 0 ? err_set(e, -r, "switch processor %u %s: %s", cpu, on ? "on" : "off", strerror(-r)) : 0;
}

int guest_set_cpus(unsigned n, struct err *e)
{
	unsigned there;
	int r = count(&there, e);

	if (r >= 0 && (n == 0 || n > there))
		return err_set(e, EINVAL, "%u processors: this machine has %u", n, there);
	for (unsigned i = 1; r >= 0 && i < there; i++)
		r = set(i, i < n, e);
	return r;
}
