/* What this host offers beyond its cgroups (host_cgroup.c): asked for by `info`, and where a VM is to be made. */
#include <linux/landlock.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "fd.h"
#include "host.h"
#include "str.h"

#define CPUINFO_MAX (8u << 20)

/* PRETTY_NAME="Debian GNU/Linux 12 (bookworm)": os-release(5); the quotes are optional. */
static void read_os_name(char *ret, size_t size)
{
	_cleanup_free_ char *text = NULL;

	snprintf(ret, size, "Linux");
	if (file_read(AT_FDCWD, "/etc/os-release", 65536, &text, NULL) < 0 &&
	    file_read(AT_FDCWD, "/usr/lib/os-release", 65536, &text, NULL) < 0)
		return;
	const char *key = "PRETTY_NAME=";
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *v = str_after(line, key);
		if (!v)
			continue;
		v += *v == '"' || *v == '\'';
		snprintf(ret, size, "%.*s", (int)strcspn(v, "\"'\n"), v);
		return;
	}
}

/* The flags line of the first CPU, word by word: "vmx" and "svm" are also parts of other words (vmx_...). */
static bool cpu_has_virt(void)
{
	_cleanup_free_ char *text = NULL;

	if (file_read(AT_FDCWD, "/proc/cpuinfo", CPUINFO_MAX, &text, NULL) < 0)
		return false;
	char *flags = strstr(text, "\nflags");
	if (!flags)
		return false;
	flags++;
	flags[strcspn(flags, "\n")] = '\0';
	char *save = NULL;
	for (char *w = strtok_r(flags, " \t", &save); w; w = strtok_r(NULL, " \t", &save))
		if (streq(w, "vmx") || streq(w, "svm"))
			return true;
	return false;
}

int host_probe(struct host *h, struct err *e)
{
	int r = host_probe_cgroup(h, e);

	if (r < 0)
		return r;
	_cleanup_fd_ int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	h->has_kvm_node = kvm >= 0;
	h->has_hw_virt = cpu_has_virt();
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	h->landlock_abi = abi > 0 ? (int)abi : 0;
	cpu_set_t set;
	h->n_cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
	struct sysinfo si;
	if (sysinfo(&si) == 0)
		h->mem_bytes = (uint64_t)si.totalram * si.mem_unit;
	struct utsname u;
	if (uname(&u) == 0)
		snprintf(h->kernel, sizeof(h->kernel), "%.64s", u.release);
	read_os_name(h->os_name, sizeof(h->os_name));
	return 0;
}

void host_done(struct host *h)
{
	for (int c = 0; c < CG_CTRL_COUNT; c++)
		free(h->cgroup_v1[c]);
	free(h->cgroup_v2);
	*h = (struct host){ 0 };
}
