/* process: limits, working directory and the small attributes of the process. Called as steps, in create and in exec. */
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "setup.h"

static const struct {
	const char *name;
	int resource;
} rlimit_table[] = {
	{ "RLIMIT_AS", RLIMIT_AS },           { "RLIMIT_CORE", RLIMIT_CORE },         { "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },       { "RLIMIT_FSIZE", RLIMIT_FSIZE },       { "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK }, { "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE }, { "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },   { "RLIMIT_NPROC", RLIMIT_NPROC },       { "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },   { "RLIMIT_RTTIME", RLIMIT_RTTIME },     { "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
};
_Static_assert(ARRAY_SIZE(rlimit_table) == RLIM_NLIMITS, "a row for each limit of the kernel");

static rlim_t limit_value(uint64_t v) { return v == UINT64_MAX ? RLIM_INFINITY : (rlim_t)v; }

static int set_rlimit(const struct spec_rlimit *l, struct err *e)
{
	struct rlimit r = { .rlim_cur = limit_value(l->soft), .rlim_max = limit_value(l->hard) }, now;

	for (size_t i = 0; i < ARRAY_SIZE(rlimit_table); i++) {
		if (!streq0(rlimit_table[i].name, l->type))
			continue;
		if (setrlimit((__rlimit_resource_t)rlimit_table[i].resource, &r) == 0)
			return 0;
		if (errno == EPERM && getrlimit((__rlimit_resource_t)rlimit_table[i].resource, &now) == 0)
			return err_set(
				e, EPERM,
				"%s: hard limit %llu is above this process's own %llu, and it may not raise it: ask for less",
				l->type, (unsigned long long)l->hard, (unsigned long long)now.rlim_max);
		return err_set(e, errno, "%s %llu:%llu: %s", l->type, (unsigned long long)l->soft, (unsigned long long)l->hard,
			       errno == EINVAL ? "the soft limit is above the hard one" : strerror(errno));
	}
	return err_set(e, EINVAL, "rlimit \"%s\": no such limit", l->type ? l->type : "");
}

int rlimits_apply(struct setup *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < s->process->n_rlimits && r == 0; i++)
		r = set_rlimit(&s->process->rlimits[i], e);
	return r;
}

static int write_oom_score(const struct setup *s, pid_t pid, struct err *e)
{
	int64_t v = s->process->oom_score_adj;
	char text[24];
	int r;

	if (v == SPEC_UNSET)
		return 0;
	snprintf(text, sizeof(text), "%lld", (long long)v);
	r = procfs_write_pid(pid, "oom_score_adj", text);
	return r < 0 ? err_set(e, -r, "oom_score_adj %s: %s", text,
			       r == -EACCES ? "lowering it below this process's own needs CAP_SYS_RESOURCE" : strerror(-r))
		     : 0;
}

/* By the parent: the child is not dumpable, so that in a user namespace its own /proc/self belongs to someone else. */
int oom_score_apply(struct setup *s, struct err *e)
{
	return s->is_privileged ? write_oom_score(s, s->is_exec ? s->exec_pid : s->c->pid, e) : 0;
}

/* Without privilege what is not dumpable is out of reach for the parent too. */
int oom_score_own(struct setup *s, struct err *e)
{
	int r = s->is_privileged || s->has_oom_score ? 0 : write_oom_score(s, 0, e);

	s->has_oom_score = r == 0;
	return r;
}

/* A session keyring of its own: the inherited one would be shared with the host. ENOSYS: no keyrings in this kernel. */
int keyring_apply(struct setup *s, struct err *e)
{
	if (s->no_new_keyring)
		return 0;
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) < 0 && errno != ENOSYS)
		return err_set(e, errno, "session keyring: %s",
			       errno == EDQUOT ? "too many keys: see /proc/sys/kernel/keys/maxkeys" : strerror(errno));
	return 0;
}

static const char *cwd_of(const struct setup *s) { return s->process->cwd && *s->process->cwd ? s->process->cwd : "/"; }

/* Made while the root can still be written to; an image may name a directory that it does not have. */
int cwd_make(struct setup *s, struct err *e)
{
	const char *cwd = cwd_of(s);
	_cleanup_fd_ int fd = -1;

	if (cwd[0] != '/')
		return err_set(e, EINVAL, "working directory \"%s\": expected an absolute path", cwd);
	if (path_is_under("/", cwd))
		return 0;
	fd = root_open(s->rootfd, cwd, O_PATH | O_DIRECTORY, 0);
	if (fd == -ENOENT)
		fd = root_mkdir_p(s->rootfd, cwd, 0755);
	if (fd == -ENOTDIR)
		return err_set_exit(e, 126, ENOTDIR, "working directory %s: is not a directory", cwd);
	/* EACCES: root may not look, the user perhaps may (FUSE, NFS): cwd_enter decides. */
	return fd < 0 && fd != -EACCES ? err_set(e, -fd, "working directory %s: %s", cwd,
						 fd == -ELOOP ? "leads through a magic link" : strerror(-fd))
				       : 0;
}

/* By fd and without magic links, so that "/proc/self/fd/7" is no way out; and once there the kernel itself must be able to
 * name the place from the root (CVE-2024-21626): for one outside getcwd(2) gives "(unreachable)/...". */
static int enter(struct setup *s, const char *cwd, struct err *e)
{
	_cleanup_fd_ int fd = root_open(s->rootfd, cwd, O_PATH | O_DIRECTORY, 0);
	char where[PATH_MAX];
	long n;

	if (fd < 0 || fchdir(fd) < 0) {
		int no = fd < 0 ? -fd : errno;

		return err_set_exit(e, no == ENOTDIR || no == EACCES ? 126 : 125, no, "working directory %s: %s", cwd,
				    no == ELOOP ? "leads through a magic link" : strerror(no));
	}
	n = syscall(SYS_getcwd, where, sizeof(where));
	if (n < 0 || where[0] != '/')
		return err_set(e, EPERM, "working directory %s: is not inside the container", cwd);
	return 0;
}

int cwd_enter(struct setup *s, struct err *e)
{
	struct err why = { 0 };
	int r = enter(s, cwd_of(s), &why);

	if (r == -EACCES && s->user.uid != 0) {
		s->cwd_pending = true;
		return 0;
	}
	if (r < 0 && e)
		*e = why;
	return r;
}

int privs_apply(struct setup *s, struct err *e)
{
	int r = s->cwd_pending ? enter(s, cwd_of(s), e) : 0;

	if (r < 0)
		return r;
	/* Again: the change of user has cleared it (kernel, commit_creds). Should the parent have ended in between, the wait for
	 * its next word ends at once with end of file. */
	if (s->args->die_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_set(e, errno, "PR_SET_PDEATHSIG: %s", strerror(errno));
	if (s->process->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "no_new_privs: %s", strerror(errno));
	umask(s->user.has_umask ? (mode_t)s->user.umask & 0777 : 022);
	return 0;
}
