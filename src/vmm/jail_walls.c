/* jail_walls: the walls that every process with a jail here has: its descriptors, who it is, what of the host's files it may use. See
 * jail_impl.h. */
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail_impl.h"

#define NOBODY 65534

int jail_failed(struct err *e, const char *what) { return err_set(e, errno, "jail: %s: %s", what, strerror(errno)); }

/* ---- keep_fds ---- */

static int by_number(const void *a, const void *b) { return *(const int32_t *)a < *(const int32_t *)b ? -1 : 1; }

int jail_keep_fds(const int32_t *fds, size_t n, struct err *e)
{
	_cleanup_free_ int32_t *kept = calloc(n + 1, sizeof(*kept));
	_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	unsigned next = STDERR_FILENO + 1;
	bool is_kept[2] = { false };

	if (!kept)
		return err_set(e, ENOMEM, "out of memory");
	if (null < 0)
		return jail_failed(e, "/dev/null");
	memcpy(kept, fds, n * sizeof(*kept));
	qsort(kept, n, sizeof(*kept), by_number);
	for (size_t i = 0; i < n; i++)
		if (kept[i] == 0 || kept[i] == 1)
			is_kept[kept[i]] = true;
	for (int fd = 0; fd < 2; fd++)
		if (!is_kept[fd] && dup2(null, fd) < 0)
			return jail_failed(e, "/dev/null");
	for (size_t i = 0; i <= n; i++) {
		unsigned fd = i < n ? (unsigned)kept[i] : ~0u;

		if (i < n && (kept[i] < 0 || fd < next))
			continue;
		if (fd > next && syscall(SYS_close_range, next, i < n ? fd - 1 : ~0u, 0) < 0)
			return jail_failed(e, "close_range (Linux 5.9)");
		next = fd + 1;
	}
	null = -1; /* closed with the others */
	return 0;
}

/* ---- drop ---- */

/* The calls themselves: glibc's functions change all threads, and wait for the one that makes the VM (ahead), which ends anyway. */
static int be(long nr, uid_t id) { return (int)syscall(nr, id, id, id); }

/* In a user namespace that maps few ids the VM's own is none (EINVAL); nobody is, as a rule. */
static int change_user(uid_t uid, struct err *e)
{
	if (syscall(SYS_setgroups, 0, NULL) < 0)
		return jail_failed(e, "groups");
	if (be(SYS_setresgid, uid) < 0 && (errno != EINVAL || be(SYS_setresgid, NOBODY) < 0))
		return jail_failed(e, "group");
	if (be(SYS_setresuid, uid) < 0 && (errno != EINVAL || be(SYS_setresuid, NOBODY) < 0))
		return jail_failed(e, "user");
	return 0;
}

int jail_gain_nothing(struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return jail_failed(e, "no_new_privs");
#ifndef __SANITIZE_ADDRESS__ /* whose search for leaks traces the process */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return jail_failed(e, "dumpable");
#endif
	return 0;
}

int jail_drop(uid_t uid, struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	int r = 0;

	/* EINVAL: there is no further one. EPERM: who may not take any from the set gains none by it either, with no_new_privs. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0;)
		cap++;
	if (errno != EINVAL && errno != EPERM)
		return jail_failed(e, "bounding set");
	if (geteuid() == 0)
		r = change_user(uid, e);
	if (r < 0)
		return r;
	if (syscall(SYS_capset, &head, none) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return jail_failed(e, "capabilities");
	return jail_gain_nothing(e);
}

/* ---- deny ---- */

/* What each version of Landlock's interface can refuse (linux/landlock.h): everything is, and nothing excepted. */
static const struct landlock_row {
	int abi;
	uint64_t fs, net, scoped;
} landlock_rows[] = {
	{ 1, (1ull << 13) - 1, 0, 0 }, /* Linux 5.13: files and directories */
	{ 2, 1ull << 13, 0, 0 },       /* 5.19: links and renames across directories */
	{ 3, 1ull << 14, 0, 0 },       /* 6.2: truncation */
	{ 4, 0, 3, 0 },                /* 6.7: TCP bind, connect */
	{ 5, 1ull << 15, 0, 0 },       /* 6.10: ioctl of devices that are opened from now on */
	{ 6, 0, 0, 3 },                /* 6.12: abstract sockets, signals */
};
enum { SCOPE_SIGNAL = 2, ABI_REFER = 2 };

/* tree < 0: nothing is excepted. Else files below it may be used by `rights`, as far as this kernel knows them. */
static int deny(bool may_signal, int tree, uint64_t rights, struct err *e)
{
	struct landlock_path_beneath_attr beneath = { .parent_fd = tree };
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct {
		uint64_t fs, net, scoped;
	} all = { 0 };
	_cleanup_fd_ int rules = -1;

	if (abi < 0) {
		log_info("jail", "this kernel has no Landlock (%s): the other walls stand alone", strerror(errno));
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(landlock_rows) && landlock_rows[i].abi <= abi; i++) {
		all.fs |= landlock_rows[i].fs;
		all.net |= landlock_rows[i].net;
		all.scoped |= landlock_rows[i].scoped;
	}
	if (may_signal)
		all.scoped &= ~(uint64_t)SCOPE_SIGNAL;
	if (tree >= 0 && abi < ABI_REFER) { /* it would refuse every rename from one directory to another */
		log_info("jail", "this kernel's Landlock knows no renames: the other walls stand alone");
		return 0;
	}
	beneath.allowed_access = rights & all.fs;
	rules = (int)syscall(SYS_landlock_create_ruleset, &all, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
	if (rules < 0 || (tree >= 0 && syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0) ||
	    syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return jail_failed(e, "Landlock");
	return 0;
}

int jail_deny(bool may_signal, struct err *e) { return deny(may_signal, -1, 0, e); }
int jail_deny_but(int tree, uint64_t rights, struct err *e) { return deny(false, tree, rights, e); }
