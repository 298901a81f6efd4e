/* exec.c: one more process in a running container. It begins as the container's own process did (environment, user, working
 * directory, capabilities, no_new_privs) with what the command line changes. */
#include "engine_impl.h"

#include <unistd.h>

#define EXEC_CHANNEL 1 /* numbered by the side that asks; this connection has but one */

static int set_words(struct spec_process *p, const struct exec_opts *o, struct err *e)
{
	strv_free(p->args);
	p->args = strv_copy(o->command);
	if (!p->args)
		return OUT_OF_MEMORY(e);
	if (!*p->args[0])
		return err_set(e, EINVAL, "the command to run is an empty word");
	if (o->has_tty && !env_get(p->env, "TERM") && strv_push(&p->env, "TERM=xterm") < 0)
		return OUT_OF_MEMORY(e);
	for (char **v = o->env; v && *v; v++) {
		if (!**v || **v == '=')
			return err_set(e, EINVAL, "--env: \"%s\" has no variable name", *v);
		if (strchr(*v, '=') && env_set(&p->env, *v) < 0)
			return OUT_OF_MEMORY(e);
	}
	return 0;
}

static int set_place(struct spec_process *p, const struct exec_opts *o, struct err *e)
{
	if (o->user && *o->user) {
		free(p->user.username);
		p->user.username = strdup(o->user);
		if (!p->user.username)
			return OUT_OF_MEMORY(e);
	}
	if (o->workdir && *o->workdir) {
		if (*o->workdir != '/')
			return err_set(e, EINVAL, "--workdir: \"%s\" must be an absolute path", o->workdir);
		free(p->cwd);
		p->cwd = strdup(o->workdir);
		if (!p->cwd)
			return OUT_OF_MEMORY(e);
	}
	return 0;
}

static int set_rights(struct spec_process *p, const struct exec_opts *o, struct err *e)
{
	uint64_t all;

	if (!o->is_privileged) {
		p->has_caps = false; /* the container's own */
		return 0;
	}
	if (cap_parse("ALL", &all) < 0)
		return err_set(e, EINVAL, "no capabilities are known");
	p->has_caps = true;
	p->caps = (struct spec_caps){ .bounding = all, .effective = all, .permitted = all };
	p->no_new_privs = false;
	return 0;
}

int exec_request(int fd, const struct spec_process *p, uint16_t channel, const struct exec_opts *o, struct err *e)
{
	_cleanup_json_ struct json_object *json = spec_process_json(p);
	struct json_object *extra = json_object_new_object();
	const char *text;
	size_t n = 0;

	if (json_add(json, "berth", extra) < 0 || json_add(extra, "stdin", json_object_new_boolean(o->is_interactive)) < 0 ||
	    json_add(extra, "detach", json_object_new_boolean(o->is_detached)) < 0 ||
	    json_add(extra, "silent", json_object_new_boolean(o->is_silent)) < 0)
		return OUT_OF_MEMORY(e);
	text = json_object_to_json_string_length(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	return monitor_request(fd, FRAME_EXEC, channel, text, n, NULL, e);
}

static int exec_in(struct engine *en, const struct container_record *c, const struct exec_opts *o, struct exit_status *ret_exit,
		   bool *ret_detached, struct err *e)
{
	const struct attach_opts a = { .channel = EXEC_CHANNEL,
				       .want_stdin = o->is_interactive,
				       .has_tty = o->has_tty,
				       .sig_proxy = !o->has_tty,
				       .detach_keys = o->detach_keys };
	_cleanup_fd_ int fd = -1;
	_cleanup_(spec_done) struct spec spec;
	int r;

	spec_init(&spec);
	r = bundle_read_spec(en, c->id, &spec, e);
	if (r >= 0)
		r = set_words(&spec.process, o, e);
	if (r >= 0)
		r = set_place(&spec.process, o, e);
	if (r >= 0)
		r = set_rights(&spec.process, o, e);
	if (r < 0)
		return r;
	process_set_terminal(&spec.process, o->has_tty);
	r = monitor_connect(en->paths, c->id, &fd, e);
	if (r >= 0)
		r = exec_request(fd, &spec.process, EXEC_CHANNEL, o, e);
	return r < 0 || o->is_detached ? r : attach_run(fd, &a, ret_exit, ret_detached, e);
}

int engine_exec(struct engine *en, const char *name, const struct exec_opts *o, struct exit_status *ret_exit, bool *ret_detached,
		struct err *e)
{
	struct container_record c;
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	if (!strv_len(o->command))
		r = err_set(e, EINVAL, "no command to run in %s", c.name);
	else if (c.state == CS_RESTARTING)
		r = err_set(e, EAGAIN, "container %s is restarting, wait until the container is running", c.name);
	else if (c.state != CS_RUNNING)
		r = err_set(e, EINVAL, "container %s is not running (%s)", c.name, container_state_name(c.state));
	else
		r = exec_in(en, &c, o, ret_exit, ret_detached, e);
	container_record_done(&c);
	return r;
}
