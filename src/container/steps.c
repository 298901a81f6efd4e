/* steps: THE ordered tables of what is done to make a container, and a further process in one. The order is the design: each
 * row may count on those above it, and the comments say which may not be exchanged. The runner names the failing row and
 * times each. Called by container.c, exec.c and child.c. */
#include "setup.h"

const struct step create_steps[] = {
	{ "check", STEP_BEFORE, check_spec },
	{ "security modules", STEP_BEFORE, lsm_check },
	{ "capabilities", STEP_BEFORE, caps_check },
	{ "namespaces to join", STEP_BEFORE, ns_open },
	{ "chroot", STEP_BEFORE, chroot_suspect },
	{ "mapped binds", STEP_BEFORE, mounts_open_mapped }, /* the child may have no right to */
	{ "record", STEP_BEFORE, record_early },
	{ "cgroup", STEP_BEFORE, cgroup_make_early },
	/* --- clone3: from here on parent and child work side by side --- */
	{ "network namespace", STEP_BESIDE, net_ahead_pass },
	{ "root", STEP_BESIDE, rootfs_make },
	{ "record", STEP_BESIDE, record_beside },
	{ "cgroup", STEP_BESIDE, cgroup_make_beside },
	{ "oom score", STEP_BESIDE, oom_score_apply },
	{ "id maps", STEP_BESIDE, userns_write_maps },
	{ "network devices", STEP_BESIDE, net_devices_move },
	{ "resctrl", STEP_BESIDE, rdt_apply },

	{ "oom score", STEP_CHILD, oom_score_own }, /* before "session" takes /proc/self away from a user without privilege */
	{ "id maps", STEP_CHILD, userns_wait_maps },
	{ "session", STEP_CHILD, child_session },
	{ "cgroup join", STEP_CHILD, cgroup_join_early }, /* before a user namespace takes the right to */
	{ "join namespaces", STEP_CHILD, ns_join },
	{ "user namespace", STEP_CHILD, userns_enter }, /* before anything is made: files need an owner */
	{ "init", STEP_CHILD, init_open },              /* while the host's tree is in sight */
	{ "network namespace", STEP_CHILD, ns_net },
	{ "procfs", STEP_CHILD, procfs_open },
	{ "hostname", STEP_CHILD, uts_apply },
	{ "network", STEP_CHILD, net_apply },
	{ "network devices", STEP_CHILD, net_devices_wait }, /* before their sysctls */
	{ "sysctl", STEP_CHILD, sysctl_apply },
	{ "shared binds", STEP_CHILD, mounts_open_shared }, /* while they still are in the host's peer groups */
	{ "chroot", STEP_CHILD, chroot_find },              /* before anything is mounted that must keep its propagation */
	{ "private", STEP_CHILD, mounts_private },
	{ "file store", STEP_CHILD, files_store }, /* before the new root covers the old one */
	{ "root", STEP_CHILD, rootfs_attach },
	{ "mounts", STEP_CHILD, mounts_apply },
	{ "devices", STEP_CHILD, dev_make },
	{ "console", STEP_CHILD, tty_open },
	{ "files", STEP_CHILD, files_apply },
	{ "working directory", STEP_CHILD, cwd_make }, /* while the root can be written to */
	{ "masked paths", STEP_CHILD, mask_apply },    /* after every mount that could uncover them */
	{ "read-only paths", STEP_CHILD, readonly_apply },
	{ "cgroup join", STEP_CHILD, cgroup_join },
	{ "cgroup namespace", STEP_CHILD, ns_cgroup }, /* rooted at the cgroups just joined */
	{ "cgroup mounts", STEP_CHILD, mounts_apply_late },
	{ "hooks", STEP_CHILD, hooks_wait },
	{ "pivot", STEP_CHILD, rootfs_pivot },
	{ "limits", STEP_CHILD, rlimits_apply },
	{ "keyring", STEP_CHILD, keyring_apply },
	{ "user", STEP_CHILD, user_resolve },
	{ "owner of stdio", STEP_CHILD, stdio_own },
	{ "stdio", STEP_CHILD, stdio_apply },
	{ "enter directory", STEP_CHILD, cwd_enter },
	{ "scheduler", STEP_CHILD, scheduler_apply }, /* in the cgroups whose time it is */
	{ "I/O priority", STEP_CHILD, io_priority_apply },
	{ "memory policy", STEP_CHILD, memory_policy_apply },
	{ "personality", STEP_CHILD, personality_apply },
	{ "LSM", STEP_CHILD, lsm_apply },
	{ "capabilities", STEP_CHILD, user_become }, /* from here on with the user's rights only */
	{ "privileges", STEP_CHILD, privs_apply },
	{ "look for program", STEP_CHILD, program_find_early }, /* as the user, in the root */
	/* --- READY; START --- */
	{ "startContainer hooks", STEP_START, hooks_start_container },
	{ "program", STEP_START, program_find },
	{ "exec", STEP_START, program_exec },
	{ NULL },
};
_Static_assert(ARRAY_SIZE(create_steps) <= STEP_MAX, "sync_report has room for each step's time");

const struct step exec_steps[] = {
	{ "security modules", STEP_BEFORE, lsm_check },
	{ "oom score", STEP_BESIDE, oom_score_apply },
	{ "resctrl", STEP_BESIDE, rdt_join },

	{ "session", STEP_CHILD, child_session },
	{ "CPU affinity", STEP_CHILD, affinity_final },
	{ "user namespace", STEP_CHILD, exec_userns_root },
	{ "root", STEP_CHILD, rootfs_of_exec },
	{ "procfs", STEP_CHILD, exec_procfs },
	{ "console", STEP_CHILD, tty_open },
	{ "limits", STEP_CHILD, rlimits_apply },
	{ "keyring", STEP_CHILD, keyring_apply },
	{ "user", STEP_CHILD, user_resolve },
	{ "owner of stdio", STEP_CHILD, stdio_own },
	{ "stdio", STEP_CHILD, stdio_apply },
	{ "enter directory", STEP_CHILD, cwd_enter },
	{ "scheduler", STEP_CHILD, scheduler_apply },
	{ "I/O priority", STEP_CHILD, io_priority_apply },
	{ "memory policy", STEP_CHILD, memory_policy_apply },
	{ "personality", STEP_CHILD, personality_apply },
	{ "LSM", STEP_CHILD, lsm_apply },
	{ "capabilities", STEP_CHILD, user_become },
	{ "privileges", STEP_CHILD, privs_apply },

	{ "program", STEP_START, program_find },
	{ "exec", STEP_START, program_exec },
	{ NULL },
};
_Static_assert(ARRAY_SIZE(exec_steps) <= STEP_MAX, "sync_report has room for each step's time");

static void mark(struct setup *s, const struct step *row)
{
	if (!s->args->trace)
		return;
	s->step_us[row - s->table] = clock_mono_us() - s->c->began_us;
	if (row->where <= STEP_BESIDE)
		s->args->trace(row->name, s->step_us[row - s->table] * 1000, s->args->trace_arg);
}

int steps_run(struct setup *s, enum where where, struct err *e)
{
	for (const struct step *row = s->table; row->name; row++) {
		struct err why = { 0 };
		int r;

		if (row->where != where)
			continue;
		r = row->apply(s, &why);
		if (r < 0) {
			/* The exec's own messages are whole sentences, as is what chooses the command's exit status. */
			if (row->where != STEP_START && !why.exit)
				err_push(&why, r, "%s", row->name);
			else if (!why.no)
				err_set(&why, -r, "%s: %s", row->name, strerror(-r));
			if (e)
				*e = why;
			return r;
		}
		mark(s, row);
	}
	return 0;
}

void steps_trace_stage(const struct container *c, const char *what)
{
	if (c->args.trace)
		c->args.trace(what, (clock_mono_us() - c->began_us) * 1000, c->args.trace_arg);
}

void steps_trace(const struct setup *s, const struct sync_report *rep, enum where where)
{
	for (const struct step *row = s->table; s->args->trace && row->name; row++)
		if (row->where == where && rep->step_us[row - s->table])
			s->args->trace(row->name, rep->step_us[row - s->table] * 1000, s->args->trace_arg);
}
