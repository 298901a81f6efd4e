/* Rules about a user without root's rights: what his own containers lack. */
#include "rules.h"

#include <string.h>

#define IDS_ENOUGH 65536u

void judge_user_namespaces(const struct facts *f, struct verdict *v)
{
	const char *remedy =
		"let what is around this session (a container's seccomp profile, an LSM) allow unshare(2) with CLONE_NEWUSER";

	if (f->max_user_ns == 0)
		remedy = "as root: sysctl user.max_user_namespaces=65536";
	else if (f->is_userns_off)
		remedy = "as root: sysctl kernel.unprivileged_userns_clone=1";
	else if (f->is_userns_restricted)
		remedy = "as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for berth";
	if (f->user.ns_error)
		say(v, DOCTOR_ERROR, str_fmt("this user can't make his own: %s", strerror(f->user.ns_error)), remedy);
	else
		say(v, DOCTOR_OK, str_fmt("this user can make his own"), NULL);
}

void judge_user_ids(const struct facts *f, struct verdict *v)
{
	static const char grant[] =
		"as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER, with ranges that nobody "
		"has yet; then end what runs";
	const struct facts_user *u = &f->user;
	uint64_t least = u->uids < u->gids ? u->uids : u->gids;

	if (u->ids_trouble)
		say(v, DOCTOR_ERROR, strdup(u->ids_trouble), "let this user read /etc/subuid and /etc/subgid");
	else if (least == 0)
		say(v, DOCTOR_WARNING,
		    str_fmt("/etc/sub%cid grants none: containers have root alone, images with files of others can't be "
			    "unpacked, and there are no VMs",
			    u->uids ? 'g' : 'u'),
		    grant);
	else if (u->no_mapper)
		say(v, DOCTOR_ERROR, str_fmt("no %s that may do it, which maps the ids that are granted", u->no_mapper),
		    "install the package uidmap; its programs belong to root with the set-user-ID bit (or file capabilities), on "
		    "a file "
		    "system without nosuid");
	else if (least < IDS_ENOUGH)
		say(v, DOCTOR_WARNING,
		    str_fmt("%llu: users of images whose ids are above have none here", (unsigned long long)least), grant);
	else
		say(v, DOCTOR_OK, str_fmt("%llu users and %llu groups", (unsigned long long)u->uids, (unsigned long long)u->gids),
		    NULL);
}

void judge_user_network(const struct facts *f, struct verdict *v)
{
	if (!f->has_program[FACT_PASTA])
		say(v, DOCTOR_ERROR, str_fmt("no pasta, which carries it: containers start with --network none or host alone"),
		    "install the package passt");
	else if (f->user.tun_error)
		say(v, DOCTOR_ERROR,
		    str_fmt("/dev/net/tun: %s: containers start with --network none or host alone", strerror(f->user.tun_error)),
		    "as root: modprobe tun, and chmod 0666 /dev/net/tun");
	else
		say(v, DOCTOR_OK, str_fmt("pasta and /dev/net/tun"), NULL);
}

void judge_user_run(const struct facts *f, struct verdict *v)
{
	static const char session[] = "log in as this user, not by su or sudo, or export XDG_RUNTIME_DIR=/run/user/UID";
	const struct facts_user *u = &f->user;

	if (u->run_error)
		say(v, DOCTOR_ERROR, str_fmt("%s can't be written: %s", u->run, strerror(u->run_error)),
		    "let XDG_RUNTIME_DIR, BERTH_RUN or --run name a folder of this user's (is it of the session of somebody "
		    "else?)");
	else if (str_after(u->run, "/tmp/"))
		say(v, DOCTOR_NOTE,
		    str_fmt("%s, as XDG_RUNTIME_DIR is not set: sessions in which it is don't find what runs here", u->run),
		    session);
	else
		say(v, DOCTOR_OK, str_fmt("%s", u->run), NULL);
}

void judge_user_cgroup(const struct facts *f, struct verdict *v)
{
	static const struct {
		enum cgroup_ctrl c;
		const char *options;
	} wanted[] = {
		{ CG_MEMORY, "--memory" }, { CG_CPU, "--cpus" }, { CG_PIDS, "--pids-limit" }, { CG_CPUSET, "--cpuset-cpus" }
	};
	_cleanup_buf_ struct buf lost = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!(f->user.ctrls & 1u << wanted[i].c))
			buf_fmt(&lost, "%s%s", lost.len ? ", " : "", wanted[i].options);
	if (lost.failed)
		v->failed = true;
	else if (!f->user.has_cgroup)
		say(v, DOCTOR_WARNING, str_fmt("none is delegated to this user: limits and pauses of containers are refused"),
		    f->host.cgroup != CGROUP_V2 ? "boot with systemd.unified_cgroup_hierarchy=1: users have cgroups of v2 alone"
						: "log in by systemd, or systemd-run --user --scope berth ...; without systemd "
						  "have root give this user a "
						  "cgroup (chown -R), and this session's process be in one below");
	else if (lost.len)
		say(v, DOCTOR_WARNING, str_fmt("delegated without what %s needs", lost.data),
		    "as root: in /etc/systemd/system/user@.service.d/delegate.conf \"[Service]\" and \"Delegate=cpu cpuset io "
		    "memory "
		    "pids\", then systemctl daemon-reload, and log in again");
	else
		say(v, DOCTOR_OK, str_fmt("delegated, with all that limits need"), NULL);
}
