/* program: finding and executing the user's program. The search happens as the user and inside the root; what fails here ends
 * with the shell's numbers: 127 not found, 126 found but can't be run. Called as the last steps. */
#include <linux/close_range.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "setup.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* 0 = an executable file. */
static int try_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	/* faccessat2 (Linux 5.8) looks with the effective ids and capabilities, as execve will. */
	if (!S_ISREG(st.st_mode) || syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return -EACCES;
	return 0;
}

static int not_found(struct err *e, const char *name, const char *where)
{
	return err_set_exit(e, 127, ENOENT, "exec \"%s\": not found%s", name, where);
}

static int find_as_given(struct setup *s, const char *name, struct err *e)
{
	int r = try_program(name);

	if (r == -ENOENT || r == -ENOTDIR)
		return not_found(e, name, " in the container");
	if (r < 0)
		return err_set_exit(e, 126, -r, "exec \"%s\": %s", name, strerror(-r));
	s->program = strdup(name);
	return s->program ? 0 : err_set(e, ENOMEM, "exec: out of memory");
}

int program_find(struct setup *s, struct err *e)
{
	const char *name = s->process->args ? s->process->args[0] : NULL, *path = env_get(s->env, "PATH");
	int denied = 0;

	if (!name)
		return err_set(e, EINVAL, "no command given, and the image has none");
	if (!*name)
		return not_found(e, name, ": the command is empty");
	if (strchr(name, '/'))
		return find_as_given(s, name, e);
	if (!path)
		path = DEFAULT_PATH;
	for (const char *p = path; *p; p += strcspn(p, ":"), p += *p == ':') {
		_cleanup_free_ char *full = NULL;
		int r;

		/* An empty or relative entry would make the working directory a place of programs. */
		if (*p != '/')
			continue;
		full = str_fmt("%.*s/%s", (int)strcspn(p, ":"), p, name);
		if (!full)
			return err_set(e, ENOMEM, "exec: out of memory");
		r = try_program(full);
		if (r == 0) {
			s->program = TAKE_PTR(full);
			return 0;
		}
		if (r == -EACCES && !denied)
			denied = r;
	}
	return denied ? err_set_exit(e, 126, EACCES, "exec \"%s\": found in $PATH, but may not be executed", name)
		      : not_found(e, name, " in $PATH");
}

/* Where create and start are two commands, a program that is missing fails the first, as engines expect of a runtime: they clean
 * up less well after the second. What it is is asked again at the start, and only then where a hook that runs inside may yet
 * bring it. */
int program_find_early(struct setup *s, struct err *e)
{
	bool early = s->args->start_fd > 0 && s->process->args && !s->spec->hooks.n[HOOK_START_CONTAINER];
	int r = early ? program_find(s, e) : 0;

	free_ptr(&s->program);
	return r;
}

/* berth-init: executed from a read-only detached mount, so that nothing need be in the image and /proc/1/exe can't be
 * written to from inside (CVE-2019-5736). Opened by the child while it still sees the host's tree. */
int init_open(struct setup *s, struct err *e)
{
	int r;

	if (!s->args->init_path)
		return 0;
	s->initfd = mount_clone(AT_FDCWD, s->args->init_path, false);
	if (s->initfd < 0)
		return err_set(e, -s->initfd, "%s: %s", s->args->init_path, strerror(-s->initfd));
	r = mount_attrs(s->initfd, false, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, 0);
	return r < 0 ? err_set(e, -r, "%s: read-only mount: %s", s->args->init_path, strerror(-r)) : 0;
}

/* argv of berth-init: berth-init -- CMD... */
static char **init_argv(char *const *args)
{
	_cleanup_strv_ char **v = NULL;

	if (strv_push(&v, "berth-init") < 0 || strv_push(&v, "--") < 0)
		return NULL;
	for (; *args; args++)
		if (strv_push(&v, *args) < 0)
			return NULL;
	return TAKE_PTR(v);
}

static int exec_error(struct setup *s, int no, struct err *e)
{
	const char *name = s->process->args[0];

	if (s->initfd >= 0)
		return err_set(e, no, "exec %s: %s", s->args->init_path, strerror(no));
	/* The file is there: it is its interpreter that is not. */
	if (no == ENOENT)
		return err_set_exit(e, 127, no,
				    "exec \"%s\": its interpreter (first line, or dynamic linker) is not in the container", name);
	if (no == ENOEXEC)
		return err_set_exit(e, 126, no, "exec \"%s\": not a program for this machine, and no script with a first line #!",
				    name);
	return err_set_exit(e, 126, no, "exec \"%s\": %s", name, strerror(no));
}

int program_exec(struct setup *s, struct err *e)
{
	static char *const no_env[] = { NULL };
	_cleanup_strv_ char **init = s->initfd >= 0 ? init_argv(s->process->args) : NULL;
	char *const *env = s->env ? s->env : no_env;
	int r = 0, listener = -1;

	if (s->initfd >= 0 && !init)
		return err_set(e, ENOMEM, "exec: out of memory");
	/* Everything but 0, 1, 2 and what was asked for ends with the exec, whatever the caller of the library has left open
	 * (CVE-2024-21626). */
	if (syscall(SYS_close_range, 3U + s->n_preserve_fds, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return err_set(e, errno, "close_range: %s", strerror(errno));
	if (s->args->trace)
		sync_report(s, s->sock, SYNC_EXEC, 0, NULL, -1);
	if (s->process->no_new_privs)
		r = caps_final(s, e);
	if (r == 0)
		r = seccomp_prog_load(s->seccomp, &listener, e);
	if (r == 0)
		r = seccomp_listener_hand_over(s, listener, e);
	if (r == 0 && !s->process->no_new_privs)
		r = caps_final(s, e);
	if (r < 0)
		return r;
	if (init)
		syscall(SYS_execveat, s->initfd, "", init, env, AT_EMPTY_PATH);
	else
		execve(s->program, s->process->args, env);
	return exec_error(s, errno, e);
}
