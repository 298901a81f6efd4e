/* process.c: the user's process: what is executed, with which environment, as whom, where. Docker's rules for merging the
 * image's config with the command line. */
#include "engine_impl.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define NOFILE_MOST  524288 /* systemd: DefaultLimitNOFILE */

/* --entrypoint is one word, or a JSON list of words (podman's form). "" = none at all. */
static int entrypoint_words(const char *text, char ***ret, struct err *e)
{
	_cleanup_json_ struct json_object *list = NULL;
	_cleanup_strv_ char **v = NULL;

	if (*text == '[') {
		int r = json_parse(text, strlen(text), "--entrypoint", &list, e);
		if (r < 0)
			return r;
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *word = json_object_array_get_idx(list, i);
			if (!json_object_is_type(word, json_type_string))
				return err_set(e, EINVAL, "--entrypoint: word %zu of the list is not a string", i);
			if (strv_push(&v, json_object_get_string(word)) < 0)
				return OUT_OF_MEMORY(e);
		}
	} else if (*text && strv_push(&v, text) < 0) {
		return OUT_OF_MEMORY(e);
	}
	*ret = TAKE_PTR(v);
	return 0;
}

static int push_all(char ***v, char *const *more)
{
	for (; more && *more; more++) {
		if (strv_push(v, *more) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* An --entrypoint of the command line also makes the image's CMD void; a COMMAND replaces CMD only. */
int process_args(const struct run_opts *o, const struct image_config *ic, char ***ret, struct err *e)
{
	_cleanup_strv_ char **args = NULL;
	char *const *tail = strv_len(o->command) ? o->command : o->has_entrypoint ? NULL : ic->config.cmd;
	int r = 0;

	if (o->has_entrypoint)
		r = entrypoint_words(o->entrypoint, &args, e);
	else if (push_all(&args, ic->config.entrypoint) < 0)
		r = OUT_OF_MEMORY(e);
	if (r < 0)
		return r;
	if (push_all(&args, tail) < 0)
		return OUT_OF_MEMORY(e);
	if (!args || !args[0])
		return err_set(e, EINVAL,
			       "no command to run: the image has neither ENTRYPOINT nor CMD; name one after the image");
	if (!*args[0])
		return err_set(e, EINVAL, "the command to run is an empty word");
	*ret = TAKE_PTR(args);
	return 0;
}

static void env_drop(char **env, const char *name)
{
	size_t n = strlen(name);

	for (char **v = env; v && *v; v++) {
		if (strncmp(*v, name, n) == 0 && (*v)[n] == '=') {
			free(*v);
			for (char **w = v; (w[0] = w[1]); w++)
				;
			return;
		}
	}
}

/* Docker's order: PATH, HOSTNAME, TERM, then the image's, then the command line's; a bare NAME takes the image's away, and so
 * does --unsetenv; --unsetenv-all leaves the command line's alone. */
int process_env(const struct run_opts *o, const struct image_config *ic, const char *hostname, char ***ret, struct err *e)
{
	_cleanup_strv_ char **env = NULL;
	_cleanup_free_ char *host = str_fmt("HOSTNAME=%s", hostname);

	if (!host || strv_push(&env, DEFAULT_PATH) < 0 || strv_push(&env, host) < 0)
		return OUT_OF_MEMORY(e);
	if (o->has_tty && strv_push(&env, "TERM=xterm") < 0)
		return OUT_OF_MEMORY(e);
	for (char **v = ic->config.env; v && *v; v++) {
		if (strchr(*v, '=') && **v != '=' && env_set(&env, *v) < 0)
			return OUT_OF_MEMORY(e);
	}
	for (char **v = o->unsetenv; v && *v; v++)
		env_drop(env, *v);
	if (o->unsetenv_all) {
		strv_free(env);
		env = NULL;
	}
	for (char **v = o->env; v && *v; v++) {
		if (!**v || **v == '=')
			return err_set(e, EINVAL, "--env: \"%s\" has no variable name", *v);
		if (!strchr(*v, '='))
			env_drop(env, *v);
		else if (env_set(&env, *v) < 0)
			return OUT_OF_MEMORY(e);
	}
	*ret = TAKE_PTR(env);
	return 0;
}

/* ---- limits of setrlimit(2) ---- */

static const char *const rlimit_names[] = { "as",   "core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue",
					    "nice", "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack" };

static int rlimit_value(const char *s, uint64_t *ret)
{
	if (streq(s, "-1") || streq(s, "unlimited")) {
		*ret = UINT64_MAX;
		return 0;
	}
	return str_to_u64(s, ret);
}

int process_rlimit(const char *text, struct spec_rlimit *ret, struct err *e)
{
	const char *eq = strchr(text, '=');
	_cleanup_free_ char *name = eq ? strndup(text, (size_t)(eq - text)) : NULL, *soft = eq ? strdup(eq + 1) : NULL;
	char *hard;
	struct spec_rlimit out = { 0 };
	size_t i = 0;

	if (!eq)
		return err_set(e, EINVAL, "--ulimit: \"%s\" is not NAME=SOFT[:HARD], such as nofile=1024:2048", text);
	if (!name || !soft)
		return OUT_OF_MEMORY(e);
	while (i < ARRAY_SIZE(rlimit_names) && !streq(rlimit_names[i], name))
		i++;
	if (i == ARRAY_SIZE(rlimit_names))
		return err_set(e, EINVAL,
			       "--ulimit: there is no limit named \"%s\"; nofile, nproc, core, memlock and stack are some", name);
	hard = strchr(soft, ':');
	if (hard)
		*hard++ = 0;
	if (rlimit_value(soft, &out.soft) < 0 || (hard && rlimit_value(hard, &out.hard) < 0))
		return err_set(e, EINVAL, "--ulimit: \"%s\": limits are whole numbers, or -1 for none", text);
	if (!hard)
		out.hard = out.soft;
	if (out.soft > out.hard)
		return err_set(e, EINVAL, "--ulimit: \"%s\": the soft limit is above the hard one", text);
	out.type = str_fmt("RLIMIT_%s", rlimit_names[i]);
	if (!out.type)
		return OUT_OF_MEMORY(e);
	for (char *c = out.type; *c; c++)
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
	*ret = out;
	return 0;
}

static size_t find_rlimit(const struct spec_process *proc, const char *type)
{
	size_t i = 0;

	while (i < proc->n_rlimits && !streq0(proc->rlimits[i].type, type))
		i++;
	return i;
}

/* Replaces one of the same type; takes limit.type. */
static int put_rlimit(struct spec_process *proc, struct spec_rlimit limit, struct err *e)
{
	size_t i = find_rlimit(proc, limit.type);
	struct spec_rlimit *grown;

	if (i == proc->n_rlimits) {
		grown = reallocarray(proc->rlimits, i + 1, sizeof(limit));
		if (!grown) {
			free(limit.type);
			return OUT_OF_MEMORY(e);
		}
		proc->rlimits = grown;
		proc->n_rlimits++;
	} else {
		free(proc->rlimits[i].type);
	}
	proc->rlimits[i] = limit;
	return 0;
}

int process_bound_files(struct spec_process *proc, const struct rlimit *own, struct err *e)
{
	struct spec_rlimit limit = { .hard = NOFILE_MOST, .soft = MIN(own->rlim_cur, (rlim_t)NOFILE_MOST) };

	if (own->rlim_max <= NOFILE_MOST || find_rlimit(proc, "RLIMIT_NOFILE") < proc->n_rlimits)
		return 0;
	limit.type = strdup("RLIMIT_NOFILE");
	return limit.type ? put_rlimit(proc, limit, e) : OUT_OF_MEMORY(e);
}

static int set_rlimits(struct plan *p, struct err *e)
{
	struct rlimit own;
	int r = 0;

	for (char **u = p->o->ulimits; r == 0 && u && *u; u++) {
		struct spec_rlimit limit = { 0 };

		r = process_rlimit(*u, &limit, e);
		if (r == 0)
			r = put_rlimit(&p->spec.process, limit, e);
	}
	if (r < 0)
		return r;
	if (getrlimit(RLIMIT_NOFILE, &own) < 0)
		return err_set(e, errno, "getrlimit: %s", strerror(errno));
	return process_bound_files(&p->spec.process, &own, e);
}

/* ---- user ---- */

bool user_is_root(const char *user)
{
	size_t n = user ? strcspn(user, ":") : 0;

	return n == 0 || (n == 1 && user[0] == '0') || (n == 4 && strncmp(user, "root", 4) == 0);
}

/* Looked up inside the root file system at start: the engine never reads an image's passwd. */
static int set_user(struct plan *p, struct err *e)
{
	const char *user = p->o->user && *p->o->user ? p->o->user : p->image.config.config.user;

	if (user && *user) {
		free(p->spec.process.user.username);
		p->spec.process.user.username = strdup(user);
		if (!p->spec.process.user.username)
			return OUT_OF_MEMORY(e);
	}
	for (char **g = p->o->group_add; g && *g; g++) {
		struct spec_user *u = &p->spec.process.user;
		uint64_t gid;
		if (!**g || strpbrk(*g, ":,\n"))
			return err_set(e, EINVAL, "--group-add: \"%s\" is neither a group's number nor its name", *g);
		if ((*g)[strspn(*g, "0123456789")]) { /* the image's own file knows it, at each start */
			if (strv_push(&u->additional_groups, *g) < 0)
				return OUT_OF_MEMORY(e);
			continue;
		}
		if (str_to_u64(*g, &gid) < 0 || gid > UINT32_MAX - 1)
			return err_set(e, EINVAL, "--group-add: \"%s\" is not a group number", *g);
		uint32_t *grown = reallocarray(u->additional_gids, u->n_additional_gids + 1, sizeof(*grown));
		if (!grown)
			return OUT_OF_MEMORY(e);
		grown[u->n_additional_gids++] = (uint32_t)gid;
		u->additional_gids = grown;
	}
	return 0;
}

static int set_cwd(struct plan *p, struct err *e)
{
	const char *dir = p->o->workdir && *p->o->workdir ? p->o->workdir : p->image.config.config.working_dir;

	if (!dir || !*dir)
		dir = "/";
	if (*dir != '/')
		return err_set(e, EINVAL, "working directory \"%s\" must be an absolute path", dir);
	free(p->spec.process.cwd);
	p->spec.process.cwd = strdup(dir);
	return p->spec.process.cwd ? 0 : OUT_OF_MEMORY(e);
}

static int set_umask(struct plan *p, struct err *e)
{
	const char *text = p->o->umask;
	size_t n = text ? strlen(text) : 0;

	if (n == 0)
		return 0;
	if (n > 4 || text[strspn(text, "01234567")] || strtol(text, NULL, 8) > 0777)
		return err_set(e, EINVAL, "--umask: \"%s\" is not an octal number up to 0777, such as 0027", text);
	p->spec.process.user.has_umask = true;
	p->spec.process.user.umask = (uint32_t)strtol(text, NULL, 8);
	return 0;
}

void process_set_terminal(struct spec_process *p, bool has_tty)
{
	struct winsize ws;

	p->terminal = has_tty;
	p->console_rows = p->console_cols = 0;
	if (has_tty && ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) == 0) {
		p->console_rows = ws.ws_row;
		p->console_cols = ws.ws_col;
	}
}

int plan_process(struct plan *p, struct err *e)
{
	struct spec_process *proc = &p->spec.process;
	int r;

	strv_free(proc->args);
	strv_free(proc->env);
	proc->args = proc->env = NULL;
	r = process_args(p->o, &p->image.config, &proc->args, e);
	if (r >= 0)
		r = process_env(p->o, &p->image.config, p->hostname, &proc->env, e);
	if (r >= 0)
		r = set_user(p, e);
	if (r >= 0)
		r = set_cwd(p, e);
	if (r >= 0)
		r = set_rlimits(p, e);
	if (r < 0)
		return r;
	r = set_umask(p, e);
	if (r < 0)
		return r;
	process_set_terminal(proc, p->o->has_tty);
	if (p->o->oom_score_adj != SPEC_UNSET)
		proc->oom_score_adj = p->o->oom_score_adj;
	return 0;
}
