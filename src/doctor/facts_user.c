/* Facts of a user without root's rights: what his containers need (container/rootless.h). */
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "facts.h"
#include "rootless_ids.h"
#include "spawn.h"

/* In a child. An LSM may let a namespace be made, and nothing be done in it. */
static int try_namespaces(void)
{
	int status, r;
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? errno
															: 0);
	r = spawn_wait(pid, &status);
	return r < 0 ? -r : status_to_exit(status);
}

/* Set-user-ID, or with a file capability: otherwise it maps no more than its caller might. */
static bool may_map(const char *program)
{
	_cleanup_free_ char *path = spawn_find(program);
	struct stat st;

	return path && stat(path, &st) == 0 && ((st.st_mode & S_ISUID) || getxattr(path, "security.capability", NULL, 0) > 0);
}

/* Whether it is the user's, or could be made. */
static int try_run(const char *run)
{
	_cleanup_free_ char *at = strdup(run);
	struct stat st;

	if (!at)
		return ENOMEM;
	if (stat(at, &st) == 0 && st.st_uid != geteuid())
		return EPERM;
	while (access(at, F_OK) < 0 && errno == ENOENT) {
		char *slash = strrchr(at, '/');

		if (!slash || slash == at)
			return ENOENT;
		*slash = '\0';
	}
	return access(at, W_OK | X_OK) < 0 ? errno : 0;
}

static int ask_cgroup(struct facts_user *u, struct err *e)
{
	struct host h = { 0 };
	int r = host_probe_cgroup(&h, e);

	if (r >= 0)
		r = host_narrow_cgroup_to_user(&h, e);
	if (r >= 0) {
		u->has_cgroup = h.cgroup != CGROUP_NONE;
		u->ctrls = h.cgroup_v2_ctrls;
		for (int c = 0; c < CG_CTRL_COUNT; c++)
			u->ctrls |= h.cgroup_v1[c] ? 1u << c : 0;
	}
	host_done(&h);
	return r;
}

int facts_ask_user(struct facts_user *u, const struct paths *p, struct err *e)
{
	struct err why = { 0 };

	u->ns_error = try_namespaces();
	if (rootless_count_ids(&u->uids, &u->gids, &why) < 0)
		u->ids_trouble = strdup(why.msg);
	u->no_mapper = !may_map("newuidmap") ? "newuidmap" : !may_map("newgidmap") ? "newgidmap" : NULL;
	u->tun_error = access("/dev/net/tun", R_OK | W_OK) < 0 ? errno : 0;
	u->kvm_error = access("/dev/kvm", R_OK | W_OK) < 0 ? errno : 0;
	u->run_error = try_run(p->run);
	u->run = strdup(p->run);
	return u->run ? ask_cgroup(u, e) : err_set(e, ENOMEM, "out of memory");
}
