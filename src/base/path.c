/* Where things are: the two roots of state, the sibling programs, names and ids. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "build_id.h"
#include "config.h"
#include "fd.h"
#include "path.h"
#include "str.h"

#define DEFAULT_ROOT "/var/lib/berth"
#define DEFAULT_RUN  "/run/berth"
#define ROOT_NAMED   "--root, BERTH_ROOT, or of a user XDG_DATA_HOME or HOME"
#define RUN_NAMED    "--run, BERTH_RUN, or of a user XDG_RUNTIME_DIR"

/* A user's, as the XDG Base Directory Specification has them; NULL on ENOMEM. */
static char *users_root(void)
{
	const char *data = secure_getenv("XDG_DATA_HOME"), *home = secure_getenv("HOME");

	if (data && *data == '/')
		return str_fmt("%s/berth", data);
	return str_fmt("%s/.local/share/berth", home && *home == '/' ? home : "/nonexistent");
}

static char *users_run(void)
{
	const char *dir = secure_getenv("XDG_RUNTIME_DIR");
	unsigned uid = geteuid();
	struct stat st;
	char login[40];

	if (dir && *dir == '/')
		return str_fmt("%s/berth", dir);
	snprintf(login, sizeof(login), "/run/user/%u", uid);
	if (lstat(login, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid)
		return str_fmt("%s/berth", login);
	return str_fmt("/tmp/berth-%u", uid);
}

/* Makes the folder, or checks that the one there is ours alone to write. named: what else could name one. */
static int claim_dir(const char *path, const char *named, struct err *e)
{
	struct stat st;
	int r = mkdir_p(AT_FDCWD, path, 0700);

	if (r < 0)
		return err_set(e, -r, "%s: can't make this folder: %s (%s names another)", path, strerror(-r), named);
	if (stat(path, &st) < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (st.st_uid != geteuid())
		return err_set(e, EPERM, "%s belongs to uid %u, not to %u: remove it or choose another folder", path, st.st_uid,
			       geteuid());
	if ((st.st_mode & 0077) && chmod(path, 0700) < 0)
		return err_set(e, errno, "%s: can't close it to other users: %s", path, strerror(errno));
	return 0;
}

/* Chosen from the option, the environment, the default; absolute, so that a later chdir changes nothing. */
static int choose_dir(const char *option, const char *env, const char *roots, char *(*users)(void), char **ret, struct err *e)
{
	const char *path = option ? option : secure_getenv(env);
	_cleanup_free_ char *own = (!path || !*path) && geteuid() != 0 ? users() : NULL;

	if (!path || !*path)
		path = own ? own : roots;
	_cleanup_free_ char *cwd = path[0] == '/' ? NULL : get_current_dir_name();
	char *whole = path[0] == '/' ? strdup(path) : cwd ? str_fmt("%s/%s", cwd, path) : NULL;
	if (!whole)
		return err_set(e, ENOMEM, "%s: can't tell where this folder is", path);
	for (size_t n = strlen(whole); n > 1 && whole[n - 1] == '/'; n--)
		whole[n - 1] = '\0';
	*ret = whole;
	return 0;
}

static char *own_folder(void)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0)
		return NULL;
	exe[n] = '\0';
	char *slash = strrchr(exe, '/');
	if (!slash || slash == exe)
		return NULL;
	*slash = '\0';
	_cleanup_free_ char *monitor = str_fmt("%s/berth-monitor", exe);
	return monitor && access(monitor, X_OK) == 0 ? strdup(exe) : NULL;
}

char *paths_libexec(void)
{
	const char *env = secure_getenv("BERTH_LIBEXECDIR");
	char *found = env && *env ? strdup(env) : own_folder();

	return found ? found : strdup(LIBEXECDIR);
}

int paths_name(struct paths *p, const char *root, const char *run, struct err *e)
{
	struct paths found = { 0 };
	int r = choose_dir(root, "BERTH_ROOT", DEFAULT_ROOT, users_root, &found.root, e);

	if (r == 0)
		r = choose_dir(run, "BERTH_RUN", DEFAULT_RUN, users_run, &found.run, e);
	if (r == 0) {
		found.libexec = paths_libexec();
		if (!found.libexec)
			r = err_set(e, ENOMEM, "out of memory");
	}
	if (r < 0) {
		paths_done(&found);
		return r;
	}
	*p = found;
	return 0;
}

int paths_init(struct paths *p, const char *root, const char *run, struct err *e)
{
	struct paths found = { 0 };
	int r = paths_name(&found, root, run, e);

	if (r == 0)
		r = claim_dir(found.root, ROOT_NAMED, e);
	if (r == 0)
		r = claim_dir(found.run, RUN_NAMED, e);
	if (r < 0) {
		paths_done(&found);
		return r;
	}
	*p = found;
	return 0;
}

void paths_done(struct paths *p)
{
	free(p->root);
	free(p->run);
	free(p->libexec);
	*p = (struct paths){ 0 };
}

int paths_sibling(const struct paths *p, const char *program, char **ret_path, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", p->libexec, program);

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	if (access(path, X_OK) < 0)
		return err_set(e, errno,
			       "%s is missing from %s (%s): install Berth completely, or point BERTH_LIBEXECDIR at its programs",
			       program, p->libexec, strerror(errno));
	*ret_path = TAKE_PTR(path);
	return 0;
}

const char *build_id(void) { return BERTH_BUILD_ID; }

const char *berth_version(void) { return BERTH_VERSION; }

int build_id_check(struct err *e)
{
	const char *given = getenv("BERTH_BUILD_ID");

	if (!given)
		return err_set(e, EINVAL, "this program is started by berth, not by hand");
	if (!streq(given, BERTH_BUILD_ID))
		return err_set(e, EINVAL, "this program is of build %s, berth is of build %s: install both from one build",
			       BERTH_BUILD_ID, given);
	return 0;
}

bool name_is_valid(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++) {
		char c = s[n];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
		if (!alnum && (n == 0 || (c != '_' && c != '.' && c != '-')))
			return false;
	}
	return n >= 1 && n <= 128;
}

int id_new(char ret_id[65])
{
	uint8_t raw[32];
	size_t got = 0;

	while (got < sizeof(raw)) {
		ssize_t n = getrandom(raw + got, sizeof(raw) - got, 0);
		if (n < 0 && errno != EINTR)
			return -errno;
		got += n > 0 ? (size_t)n : 0;
	}
	str_hex(raw, sizeof(raw), ret_id);
	return 0;
}
