/* namespaces: which ones are new, which are joined, and in which order. The table is the fact; steps.c and exec.c act on it. */
#include <sched.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "setup.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080 /* Linux 5.6 */
#endif
#define NSFS_MAGIC 0x6e736673

/* oci: "type" in config.json; proc: the name below /proc/PID/ns. */
const struct ns_row ns_table[NS_COUNT] = {
	[NS_MOUNT] = { "mount", "mnt", CLONE_NEWNS },
	[NS_PID] = { "pid", "pid", CLONE_NEWPID },
	[NS_NET] = { "network", "net", CLONE_NEWNET },
	[NS_IPC] = { "ipc", "ipc", CLONE_NEWIPC },
	[NS_UTS] = { "uts", "uts", CLONE_NEWUTS },
	[NS_USER] = { "user", "user", CLONE_NEWUSER },
	[NS_CGROUP] = { "cgroup", "cgroup", CLONE_NEWCGROUP },
	[NS_TIME] = { "time", "time", CLONE_NEWTIME },
};
_Static_assert(ARRAY_SIZE(ns_table) == NS_COUNT, "a row for each namespace");

/* The user namespace first: the others may belong to it, and only its root may enter them. */
const enum spec_ns ns_join_order[NS_COUNT] = { NS_USER, NS_PID, NS_NET, NS_IPC, NS_UTS, NS_TIME, NS_CGROUP, NS_MOUNT };

bool ns_is_new(const struct spec *s, enum spec_ns n) { return s->ns.wanted[n] && !s->ns.path[n]; }

/* The parent moves devices into it, and so must find it. */
static bool is_net_born(const struct spec *s) { return ns_is_new(s, NS_NET) && s->n_net_devices > 0; }

uint64_t ns_clone_flags(const struct spec *s)
{
	uint64_t flags = 0;

	/* A cgroup namespace is rooted where its maker is at that moment: the child unshares it once it is in its cgroups. For the
	 * network see ns_net. With offsets the stage makes the time namespace. */
	for (int n = 0; n < NS_COUNT; n++)
		if (ns_is_new(s, n) && n != NS_CGROUP && n != NS_NET && !(n == NS_TIME && spec_has_time_offsets(s)))
			flags |= ns_table[n].clone_flag;
	if (is_net_born(s))
		flags |= CLONE_NEWNET;
	return flags;
}

/* setns into these counts for children only (pid, time), or must come before new ones are made that it owns (user). */
bool ns_needs_stage(const struct setup *s)
{
	return s->ns_fd[NS_USER] >= 0 || s->ns_fd[NS_PID] >= 0 || s->ns_fd[NS_TIME] >= 0 || spec_has_time_offsets(s->spec);
}

bool ns_mount_is_anothers(const struct setup *s) { return !ns_is_new(s->spec, NS_MOUNT); }

static bool is_callers(const struct setup *s, enum spec_ns n)
{
	char path[32];
	struct stat theirs, ours;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", ns_table[n].proc);
	/* What can't be told apart is taken for the caller's. */
	return fstat(s->ns_fd[n], &theirs) < 0 || stat(path, &ours) < 0 ||
	       (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino);
}

int ns_open(struct setup *s, struct err *e)
{
	for (int n = 0; n < NS_COUNT; n++) {
		const char *path = s->spec->ns.wanted[n] ? s->spec->ns.path[n] : NULL;
		struct statfs fs;

		if (!path)
			continue;
		s->ns_fd[n] = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (s->ns_fd[n] < 0)
			return err_set(e, errno, "%s namespace %s: %s", ns_table[n].oci, path, strerror(errno));
		if (fstatfs(s->ns_fd[n], &fs) < 0 || (unsigned long)fs.f_type != NSFS_MAGIC)
			return err_set(e, EINVAL, "%s namespace %s: is not a namespace file", ns_table[n].oci, path);
		s->ns_is_callers[n] = is_callers(s, n);
	}
	return 0;
}

static int join_one(struct setup *s, enum spec_ns n, struct err *e)
{
	if (s->ns_fd[n] < 0)
		return 0;
	if (setns(s->ns_fd[n], (int)ns_table[n].clone_flag) < 0)
		return err_set(e, errno, "%s namespace %s: can't join: %s", ns_table[n].oci, s->spec->ns.path[n],
			       errno == EINVAL ? "it is of another kind" : strerror(errno));
	return 0;
}

int ns_join_for_children(struct setup *s, struct err *e)
{
	static const enum spec_ns staged[] = { NS_USER, NS_PID, NS_TIME };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(staged) && r == 0; i++)
		r = join_one(s, staged[i], e);
	return r;
}

/* Offsets can be written until the first process is in the namespace (kernel/time/namespace.c, proc_timens_set_offset): the one
 * born next. */
int ns_time_offsets(struct setup *s, struct err *e)
{
	static const char *const clocks[SPEC_CLOCK_COUNT] = { [SPEC_MONOTONIC] = "monotonic", [SPEC_BOOTTIME] = "boottime" };

	if (!spec_has_time_offsets(s->spec))
		return 0;
	if (unshare(CLONE_NEWTIME) < 0)
		return err_set(e, errno, "new time namespace: %s",
			       errno == EINVAL ? "this kernel is built without them" : strerror(errno));
	for (int i = 0; i < SPEC_CLOCK_COUNT; i++) {
		const struct spec_time_offset *o = &s->spec->time_offsets[i];
		char line[64];
		int r;

		snprintf(line, sizeof(line), "%s %lld %u", clocks[i], (long long)o->secs, o->nanosecs);
		r = procfs_write_pid(getpid(), "timens_offsets", line);
		if (r < 0)
			return err_set(e, -r, "time offset \"%s\": %s", line,
				       r == -ERANGE ? "the clock would be below zero or beyond 146 years" : strerror(-r));
	}
	return 0;
}

int ns_join(struct setup *s, struct err *e)
{
	int r = 0;

	for (int i = 0; i < NS_COUNT && r == 0; i++) {
		enum spec_ns n = ns_join_order[i];

		if (n != NS_USER && n != NS_PID && n != NS_TIME && n != NS_CGROUP)
			r = join_one(s, n, e);
	}
	return r;
}

int ns_cgroup(struct setup *s, struct err *e)
{
	if (ns_is_new(s->spec, NS_CGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		return err_set(e, errno, "new cgroup namespace: %s", strerror(errno));
	return join_one(s, NS_CGROUP, e);
}

bool ns_may_take_network(const struct spec *s) { return ns_is_new(s, NS_NET) && !is_net_born(s) && !s->ns.wanted[NS_USER]; }

bool ns_takes_network(const struct setup *s) { return (s->args->network_fd > 0 || s->netfd > 0) && ns_may_take_network(s->spec); }

/* Of a new one for the network the kernel spends as long on as on all others together: so the child makes it, while the parent
 * makes the cgroups, where nobody has made one beforehand. */
int ns_net(struct setup *s, struct err *e)
{
	int r = net_ahead_is_begun(s->args->network) ? sync_wait(s, SYNC_NETWORK, e) : 0;

	if (r < 0)
		return r;
	if (ns_takes_network(s))
		return setns(s->netfd > 0 ? s->netfd : s->args->network_fd, CLONE_NEWNET) < 0
			       ? err_set(e, errno, "network namespace made beforehand: %s", strerror(errno))
			       : 0;
	if (ns_is_new(s->spec, NS_NET) && !is_net_born(s->spec) && unshare(CLONE_NEWNET) < 0)
		return err_set(e, errno, "new network namespace: %s", strerror(errno));
	return 0;
}
