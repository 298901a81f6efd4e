/* Facts that stand in files of /proc, /sys and /run. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "facts.h"

#define FILE_MAX (8u << 20)

const char *const fact_ns_names[FACT_NS_COUNT] = {
	[FACT_NS_MNT] = "mnt", [FACT_NS_PID] = "pid",       [FACT_NS_NET] = "net",   [FACT_NS_IPC] = "ipc",
	[FACT_NS_UTS] = "uts", [FACT_NS_CGROUP] = "cgroup", [FACT_NS_USER] = "user",
};

/* The text without the newline at its end; caller frees. NULL: not there. */
static char *text_of(int slash, const char *path)
{
	char *text = NULL;

	if (file_read(slash, path, FILE_MAX, &text, NULL) < 0)
		return NULL;
	size_t len = strlen(text);
	while (len && text[len - 1] == '\n')
		text[--len] = '\0';
	return text;
}

static int64_t number_of(int slash, const char *path, int64_t otherwise)
{
	_cleanup_free_ char *text = text_of(slash, path);
	uint64_t n;

	return text && str_to_u64(text, &n) == 0 && n <= INT64_MAX ? (int64_t)n : otherwise;
}

static bool is_there(int slash, const char *path) { return faccessat(slash, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

/* Is word one of the text's, which are apart by what is in between? */
static bool has_word(const char *text, const char *between, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = text; at && *at; at += strspn(at, between)) {
		size_t len = strcspn(at, between);
		if (len == n && memcmp(at, word, n) == 0)
			return true;
		at += len;
	}
	return false;
}

/* "MemTotal:       24566072 kB" -> bytes; 0: not there. */
static uint64_t meminfo(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		unsigned long long kib;
		at += *at == '\n';
		if (strncmp(at, key, n) == 0 && at[n] == ':' && sscanf(at + n + 1, "%llu kB", &kib) == 1)
			return (uint64_t)kib << 10;
	}
	return 0;
}

static void read_memory(struct facts *f, int slash)
{
	_cleanup_free_ char *text = text_of(slash, "proc/meminfo");
	int64_t pages = number_of(slash, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", 0);

	f->mem_total = meminfo(text, "MemTotal");
	f->mem_available = meminfo(text, "MemAvailable");
	f->swap_total = meminfo(text, "SwapTotal");
	f->huge_free = (uint64_t)pages << 21;
}

/* The first CPU's flags, which are all CPUs'. */
static void read_cpu(struct facts *f, int slash)
{
	_cleanup_free_ char *text = text_of(slash, "proc/cpuinfo");
	char *flags = text ? strstr(text, "\nflags") : NULL;
	_cleanup_free_ char *intel = text_of(slash, "sys/module/kvm_intel/parameters/nested");
	_cleanup_free_ char *amd = text_of(slash, "sys/module/kvm_amd/parameters/nested");
	const char *nested = intel ? intel : amd;

	if (flags) {
		flags[1 + strcspn(flags + 1, "\n")] = '\0';
		f->is_guest = has_word(flags, "\n \t:", "hypervisor");
	}
	f->is_nesting = nested && (streq(nested, "1") || streq(nested, "Y"));
	f->is_smt_on = number_of(slash, "sys/devices/system/cpu/smt/active", 0) == 1;
}

/* Names of the files beneath that say "Vulnerable", sorted by the table: the kernel's list grows, and what it does not know is no
 * matter of ours. Documentation/admin-guide/hw-vuln. */
static void read_vulnerabilities(struct facts *f, int slash)
{
	static const char *const names[] = { "gather_data_sampling",
					     "indirect_target_selection",
					     "itlb_multihit",
					     "l1tf",
					     "mds",
					     "meltdown",
					     "mmio_stale_data",
					     "reg_file_data_sampling",
					     "retbleed",
					     "spec_rstack_overflow",
					     "spec_store_bypass",
					     "spectre_v1",
					     "spectre_v2",
					     "srbds",
					     "tsa",
					     "tsx_async_abort",
					     "vmscape" };
	_cleanup_buf_ struct buf all = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[96];
		snprintf(path, sizeof(path), "sys/devices/system/cpu/vulnerabilities/%s", names[i]);
		_cleanup_free_ char *says = text_of(slash, path);
		if (!says || !str_after(says, "Vulnerable"))
			continue;
		if (all.len)
			buf_str(&all, ", ");
		buf_str(&all, names[i]);
	}
	f->vulnerable = all.len && !all.failed ? buf_take(&all) : NULL;
}

void facts_read(struct facts *f, int slash)
{
	_cleanup_free_ char *filesystems = text_of(slash, "proc/filesystems");
	_cleanup_free_ char *actions = text_of(slash, "proc/sys/kernel/seccomp/actions_avail");
	char path[32];

	for (size_t i = 0; i < FACT_NS_COUNT; i++) {
		snprintf(path, sizeof(path), "proc/self/ns/%s", fact_ns_names[i]);
		f->has_ns[i] = is_there(slash, path);
	}
	f->max_user_ns = number_of(slash, "proc/sys/user/max_user_namespaces", -1);
	f->is_userns_restricted = number_of(slash, "proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) == 1;
	f->is_userns_off = number_of(slash, "proc/sys/kernel/unprivileged_userns_clone", 1) == 0;
	f->has_overlay = has_word(filesystems, "\n\t ", "overlay");
	f->has_seccomp = has_word(actions, " ", "errno") && has_word(actions, " ", "kill_process");
	f->lsm = text_of(slash, "sys/kernel/security/lsm");
	f->is_ksm_on = number_of(slash, "sys/kernel/mm/ksm/run", 0) == 1;
	f->pid_max = number_of(slash, "proc/sys/kernel/pid_max", 0);
	f->threads_max = number_of(slash, "proc/sys/kernel/threads-max", 0);
	f->inotify_instances = number_of(slash, "proc/sys/fs/inotify/max_user_instances", 0);
	f->has_journal = is_there(slash, "run/systemd/journal/socket");
	f->has_systemd = is_there(slash, "run/systemd/system");
	read_memory(f, slash);
	read_cpu(f, slash);
	read_vulnerabilities(f, slash);
}

void facts_done(struct facts *f)
{
	host_done(&f->host);
	free(f->lsm);
	free(f->vulnerable);
	free(f->container_trouble);
	free(f->vm_trouble);
	free(f->vm_note);
	free(f->missing);
	free(f->store);
	free(f->store_type);
	free(f->kernel);
	free(f->user.ids_trouble);
	free(f->user.run);
	*f = (struct facts){ 0 };
}
