/* process: see process.h. */
#include "process.h"

#define PROCESS_MAX (16u << 20)
#define ID_MAX      4294967294U /* (uid_t)-1 means "unchanged" to the kernel */

static int read_file(const char *path, struct spec_process *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, path, PROCESS_MAX, &text, &len);

	if (r < 0)
		return err_set(e, -r, "--process %s: %s", path, strerror(-r));
	r = json_parse(text, len, path, &o, e);
	if (r == 0)
		r = spec_process_parse(o, ret, e);
	for (char *const *w = r == 0 ? ret->warnings : NULL; w && *w; w++)
		log_warn("exec", "%s", *w);
	return r;
}

/* Through JSON: the one place that knows all members. */
static int copy_process(const struct spec_process *base, struct spec_process *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = spec_process_json(base);

	return o ? spec_process_parse(o, ret, e) : err_set(e, ENOMEM, "out of memory");
}

static int read_id(const char *s, const char *option, uint32_t *ret, struct err *e)
{
	uint64_t v;

	if (str_to_u64(s, &v) < 0 || v > ID_MAX)
		return err_set(e, EINVAL, "%s: \"%.40s\" is not a number from 0 to %u", option, s, ID_MAX);
	*ret = (uint32_t)v;
	return 0;
}

/* uid[:gid]; the gid of the container's process stays where none is given. */
static int set_user(const char *user, struct spec_user *u, struct err *e)
{
	_cleanup_free_ char *copy = strdup(user);
	char *colon = copy ? strchr(copy, ':') : NULL;
	int r;

	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	if (colon)
		*colon = '\0';
	free_ptr(&u->username); /* would win over the number */
	r = read_id(copy, "--user", &u->uid, e);
	return r < 0 || !colon ? r : read_id(colon + 1, "--user", &u->gid, e);
}

static int add_gids(char *const *gids, struct spec_user *u, struct err *e)
{
	int r = 0;

	for (; gids && *gids && r == 0; gids++) {
		uint32_t *more = reallocarray(u->additional_gids, u->n_additional_gids + 1, sizeof(*more));

		if (!more)
			return err_set(e, ENOMEM, "out of memory");
		u->additional_gids = more;
		r = read_id(*gids, "--additional-gids", &more[u->n_additional_gids], e);
		u->n_additional_gids += r == 0;
	}
	return r;
}

static int add_env(char *const *env, struct spec_process *p, struct err *e)
{
	for (; env && *env; env++) {
		if (!strchr(*env, '=') || **env == '=')
			return err_set(e, EINVAL, "--env \"%.60s\": expected NAME=VALUE", *env);
		if (env_set(&p->env, *env) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

/* As runc's: into all sets but the inheritable one (CVE-2022-29162), and so not the ambient one either. */
static int add_caps(char *const *caps, struct spec_process *p, struct err *e)
{
	for (; caps && *caps; caps++) {
		uint64_t mask;

		if (cap_parse(*caps, &mask) < 0)
			return err_set(e, EINVAL, "--cap: \"%.40s\" is no capability", *caps);
		p->has_caps = true;
		p->caps.bounding |= mask;
		p->caps.permitted |= mask;
		p->caps.effective |= mask;
	}
	return 0;
}

/* As runc has it an empty value is none: callers pass on what they may not have been given. */
static bool is_given(const char *value) { return value && *value; }

static int replace(char **member, const char *value, struct err *e)
{
	char *copy;

	if (!is_given(value))
		return 0;
	copy = strdup(value);
	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	free(*member);
	*member = copy;
	return 0;
}

static int apply_options(const struct exec_opts *o, char *const *command, struct spec_process *p, struct err *e)
{
	int r;

	if (!*command)
		return err_set(e, EINVAL, "exec: give a command, or --process FILE");
	strv_free(p->args);
	p->args = strv_copy(command);
	if (!p->args)
		return err_set(e, ENOMEM, "out of memory");
	if (is_given(o->cwd) && o->cwd[0] != '/')
		return err_set(e, EINVAL, "--cwd \"%.80s\": expected an absolute path", o->cwd);
	p->terminal = o->has_tty;
	p->no_new_privs |= o->no_new_privs;
	r = replace(&p->cwd, o->cwd, e);
	if (r == 0)
		r = replace(&p->apparmor_profile, o->apparmor, e);
	if (r == 0)
		r = replace(&p->selinux_label, o->label, e);
	if (r == 0 && o->user) /* not runc's way: an empty one would run as whoever the container is */
		r = set_user(o->user, &p->user, e);
	if (r == 0)
		r = add_gids(o->gids, &p->user, e);
	if (r == 0)
		r = add_env(o->env, p, e);
	return r < 0 ? r : add_caps(o->caps, p, e);
}

int process_make(const struct exec_opts *o, const struct spec_process *base, char *const *command, struct spec_process *ret,
		 struct err *e)
{
	struct spec_process p;
	int r;

	if (o->process_file && *o->process_file)
		return read_file(o->process_file, ret, e);
	spec_process_init(&p);
	r = copy_process(base, &p, e);
	if (r == 0)
		r = apply_options(o, command, &p, e);
	if (r < 0) {
		spec_process_done(&p);
		return r;
	}
	*ret = p;
	return 0;
}
