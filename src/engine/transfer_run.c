/* transfer_run.c: see transfer_run.h; the protocol is transfer.h's. */
#include "transfer_run.h"

#include <sys/wait.h>
#include <unistd.h>

#define RESULT_MAX    (4u << 20)
#define OUTPUT_FD     3
#define ROOT_FD       4
#define LOWER_FD      5
#define CONFIG_FD     6
#define STREAM_IN_FD  7
#define STREAM_OUT_FD 8

int transfer_trust_args(const struct registry_trust *t, char ***args)
{
	if (t->plain_http && strv_push(args, "--plain-http") < 0)
		return -ENOMEM;
	return t->tls_skip_verify && strv_push(args, "--tls-skip-verify") < 0 ? -ENOMEM : 0;
}

static int build_argv(struct engine *en, const struct transfer_call *call, char ***ret, struct err *e)
{
	_cleanup_strv_ char **argv = NULL;

	if (strv_push(&argv, "berth-transfer") < 0 || strv_push(&argv, call->verb) < 0 || strv_push(&argv, "--root") < 0 ||
	    strv_push(&argv, en->paths->root) < 0 || (call->is_quiet && strv_push(&argv, "--quiet") < 0) ||
	    (log_enabled(LOG_DEBUG_) && strv_push(&argv, "--debug") < 0))
		return OUT_OF_MEMORY(e);
	for (char *const *a = call->args; a && *a; a++) {
		if (strv_push(&argv, *a) < 0)
			return OUT_OF_MEMORY(e);
	}
	*ret = TAKE_PTR(argv);
	return 0;
}

static int build_env(char ***ret, struct err *e)
{
	_cleanup_strv_ char **env = strv_copy(environ);
	_cleanup_free_ char *id = str_fmt("BERTH_BUILD_ID=%s", build_id());

	if (!id || env_set(&env, id) < 0)
		return OUT_OF_MEMORY(e);
	*ret = TAKE_PTR(env);
	return 0;
}

/* {"error":{"no":2,"msg":"..."}} */
static int error_of(struct json_object *o, struct err *e)
{
	struct json_object *error, *no = NULL, *msg = NULL;
	int n;

	if (!json_object_object_get_ex(o, "error", &error))
		return 0;
	json_object_object_get_ex(error, "no", &no);
	json_object_object_get_ex(error, "msg", &msg);
	n = no ? json_object_get_int(no) : 0;
	return err_set(e, n > 0 ? n : EIO, "%s", msg ? json_object_get_string(msg) : "failed without a message");
}

static int judge(const char *verb, const char *text, size_t len, int status, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	int r;

	if (WIFSIGNALED(status))
		return err_set(e, EIO, "%s: berth-transfer was killed by signal %d", verb, WTERMSIG(status));
	if (len == 0)
		return err_set(e, EIO, "%s: berth-transfer ended with status %d and said nothing", verb, WEXITSTATUS(status));
	r = json_parse(text, len, "berth-transfer's answer", &o, e);
	if (r >= 0)
		r = error_of(o, e);
	if (r >= 0 && status != 0)
		r = err_set(e, EIO, "%s: berth-transfer ended with status %d", verb, WEXITSTATUS(status));
	if (r < 0)
		return r;
	*ret = TAKE_PTR(o);
	return 0;
}

int transfer_run(struct engine *en, const struct transfer_call *call, struct json_object **ret, struct err *e)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	_cleanup_strv_ char **argv = NULL, **env = NULL;
	_cleanup_fd_ int null = -1, ours = -1, theirs = -1;
	int pipefd[2], status = 0, r = paths_sibling(en->paths, "berth-transfer", &path, e);
	size_t len = 0;
	pid_t pid;

	if (r >= 0)
		r = build_argv(en, call, &argv, e);
	if (r >= 0)
		r = build_env(&env, e);
	if (r < 0)
		return r;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return err_set(e, errno, "/dev/null: %s", strerror(errno));
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_set(e, errno, "make a pipe: %s", strerror(errno));
	ours = pipefd[0];
	theirs = pipefd[1];
	int fds[9][2] = { { call->stdin_fd >= 0 ? call->stdin_fd : null, 0 }, { theirs, 1 }, { 2, 2 } };
	size_t n_fds = 3;
	const int given[][2] = { { call->output_fd, OUTPUT_FD },       { call->root_fd, ROOT_FD },
				 { call->lower_fd, LOWER_FD },         { call->config_fd, CONFIG_FD },
				 { call->stream_in_fd, STREAM_IN_FD }, { call->stream_out_fd, STREAM_OUT_FD } };
	for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
		if (given[i][0] > 0)
			memcpy(fds[n_fds++], given[i], sizeof(given[i]));
	}
	const struct spawn s = {
		.path = path, .argv = argv, .env = env, .fds = fds, .n_fds = n_fds, .die_with_parent = true, .cwd_fd = -1
	};
	r = spawn_start(&s, &pid, NULL, e);
	if (r < 0)
		return err_push(e, r, "start berth-transfer");
	theirs = fd_close(theirs);
	r = fd_read_all(ours, RESULT_MAX, &text, &len);
	ours = fd_close(ours); /* else it could block on a pipe that nobody reads */
	int waited = spawn_wait(pid, &status);
	if (r < 0 || waited < 0)
		return err_set(e, r < 0 ? -r : -waited, "read berth-transfer's answer: %s", strerror(r < 0 ? -r : -waited));
	return judge(call->verb, text, len, status, ret, e);
}
