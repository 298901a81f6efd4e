/* login.c: whom a registry knows the user as. berth-transfer asks it, and keeps what it took. */
#include "transfer_run.h"

#include <unistd.h>

/* A registry's name is what stands before the first slash of an image's; docker's own where none is said. */
static int registry_name(const char *server, char **ret, struct err *e)
{
	const char *name = server && *server ? server : "docker.io", *after = str_after(name, "https://");
	size_t n;

	if (!after)
		after = str_after(name, "http://");
	name = after ? after : name;
	n = strcspn(name, "/");
	if (n == 0 || name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:_[]")] != name[n])
		return err_set(e, EINVAL, "\"%s\" is no registry's name, such as registry.example.com:5000", name);
	*ret = strndup(name, n);
	return *ret ? 0 : OUT_OF_MEMORY(e);
}

/* A pipe that holds the text, and ends behind it. */
static int text_pipe(const char *text, struct err *e)
{
	_cleanup_fd_ int to = -1;
	int p[2], r;

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	to = p[1];
	r = fd_write_full(to, text, strlen(text)); /* at most what a pipe takes */
	if (r >= 0)
		r = fd_nonblock(p[0], false);
	if (r < 0) {
		fd_close(p[0]);
		return err_set(e, r == -EAGAIN ? E2BIG : -r, "the password: %s", r == -EAGAIN ? "it is too long" : strerror(-r));
	}
	return p[0];
}

int engine_login(struct engine *en, const char *server, const struct login_opts *o, struct login_place *ret, struct err *e)
{
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_free_ char *name = NULL;
	_cleanup_strv_ char **args = NULL;
	_cleanup_fd_ int password = -1;
	struct json_object *v;
	int r = registry_name(server, &name, e);

	if (r < 0)
		return r;
	if (strv_push(&args, name) < 0 || strv_push(&args, "--user") < 0 || strv_push(&args, o->user) < 0 ||
	    transfer_trust_args(&o->trust, &args) < 0)
		return OUT_OF_MEMORY(e);
	password = text_pipe(o->password, e);
	if (password < 0)
		return password;
	const struct transfer_call call = { .verb = "login", .args = args, .stdin_fd = password, .output_fd = -1 };
	r = transfer_run(en, &call, &answer, e);
	if (r < 0)
		return r;
	ret->file = json_object_object_get_ex(answer, "file", &v) ? strdup(json_object_get_string(v)) : NULL;
	ret->helper = json_object_object_get_ex(answer, "helper", &v) ? strdup(json_object_get_string(v)) : NULL;
	return ret->file ? 0 : err_set(e, EPROTO, "berth-transfer's answer lacks \"file\"");
}

void login_place_done(struct login_place *p)
{
	free(p->file);
	free(p->helper);
	*p = (struct login_place){ 0 };
}

int engine_logout(struct engine *en, const char *server, char **ret_name, bool *ret_found, struct err *e)
{
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_strv_ char **args = NULL;
	struct json_object *found;
	int r = registry_name(server, ret_name, e);

	if (r < 0)
		return r;
	if (strv_push(&args, *ret_name) < 0)
		return OUT_OF_MEMORY(e);
	const struct transfer_call call = { .verb = "logout", .args = args, .stdin_fd = -1, .output_fd = -1 };
	r = transfer_run(en, &call, &answer, e);
	if (r >= 0)
		*ret_found = json_object_object_get_ex(answer, "found", &found) && json_object_get_boolean(found);
	return r;
}
