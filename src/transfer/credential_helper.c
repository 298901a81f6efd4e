/* credential_helper: programs that keep credentials (docker-credential-helpers' protocol: get, store and erase; the server's name or a
 * document on standard input, a document on standard output, "credentials not found" for none). At most 30 s each. */
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "credentials_impl.h"

#define HELPER_OUT_MAX (256u << 10)
#define HELPER_MS      30000

static bool is_helper_name(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] == '\0';
}

static int talk(int pidfd, int in, int out, const char *said, struct buf *ret_out)
{
	uint64_t end = clock_mono_us() + HELPER_MS * 1000u;
	int r = fd_write_full(in, said, strlen(said));

	fd_close(in);
	if (r < 0 && r != -EPIPE)
		goto dead;
	for (;;) {
		struct pollfd p = { .fd = out, .events = POLLIN };
		uint64_t now = clock_mono_us();
		char chunk[4096];
		ssize_t n;

		r = now >= end ? 0 : poll(&p, 1, (int)((end - now) / 1000) + 1);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			r = r < 0 ? -errno : -ETIMEDOUT;
			goto dead;
		}
		n = read(out, chunk, sizeof(chunk));
		if (n == 0)
			return 0;
		if (n < 0 || ret_out->len + (size_t)n > HELPER_OUT_MAX) {
			r = n < 0 ? -errno : -EFBIG;
			goto dead;
		}
		buf_add(ret_out, chunk, (size_t)n);
	}
dead:
	pidfd_kill(pidfd, SIGKILL);
	return r;
}

static int run(const char *program, const char *verb, const char *said, struct buf *ret_out, int *ret_status, struct err *e)
{
	char *const argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)verb, NULL };
	_cleanup_fd_ int in_r = -1, in_w = -1, out_r = -1, out_w = -1, pidfd = -1;
	int in[2], out[2], r, status = 0;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	in_r = in[0];
	in_w = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	out_r = out[0];
	out_w = out[1];
	const int fds[][2] = { { in_r, 0 }, { out_w, 1 }, { 2, 2 } };
	const struct spawn s = {
		.path = program, .argv = argv, .fds = fds, .n_fds = ARRAY_SIZE(fds), .die_with_parent = true, .cwd_fd = -1
	};

	r = spawn_start(&s, &pid, &pidfd, e);
	if (r < 0)
		return r;
	in_r = fd_close(in_r);
	out_w = fd_close(out_w);
	r = talk(pidfd, TAKE_FD(in_w), out_r, said, ret_out);
	spawn_wait(pid, &status);
	if (r < 0)
		return err_set(e, -r, "credential helper %s: %s", program, strerror(-r));
	*ret_status = status;
	return 0;
}

static int take_answer(const struct buf *out, const char *program, struct credential *c, struct err *e)
{
	_cleanup_json_ struct json_object *doc = NULL;
	const char *user, *secret;
	int r = json_parse(out->data ? out->data : "", out->len, program, &doc, e);

	if (r < 0)
		return r;
	user = credential_text(doc, "Username");
	secret = credential_text(doc, "Secret");
	if (!user || !secret)
		return err_set(e, EPROTO, "credential helper %s: its answer lacks Username or Secret", program);
	if (streq(user, "<token>")) /* docker's mark: the secret is an identity token */
		return (c->identity_token = strdup(secret)) ? 1 : err_set(e, ENOMEM, "out of memory");
	c->user = strdup(user);
	c->password = strdup(secret);
	return c->user && c->password ? 1 : err_set(e, ENOMEM, "out of memory");
}

/* 1; 0: "credentials not found", the protocol's words for none; -errno. ret_out: what it said. */
static int ask(const char *name, const char *what, const char *verb, const char *said, struct buf *ret_out, struct err *e)
{
	_cleanup_free_ char *program = NULL, *path = NULL;
	int r, status;

	if (!is_helper_name(name))
		return err_set(e, EINVAL, "%s: \"%s\" is no name of a credential helper", what, name);
	program = str_fmt("docker-credential-%s", name);
	if (!program)
		return err_set(e, ENOMEM, "out of memory");
	path = spawn_find(program);
	if (!path)
		return err_set(e, ENOENT, "%s asks for %s, which is not installed in /usr/bin or /usr/local/bin", what, program);
	r = run(path, verb, said, ret_out, &status, e);
	if (r < 0)
		return r;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 1;
	if (ret_out->data && strstr(ret_out->data, "credentials not found"))
		return 0;
	return err_set(e, EACCES, "credential helper %s fails: %.200s", program,
		       ret_out->data ? ret_out->data : "it says nothing");
}

static const char *server_of(const char *domain) { return credential_is_hub(domain, strlen(domain)) ? DOCKER_HUB_KEY : domain; }

static void forget(struct buf *out)
{
	if (out->data)
		explicit_bzero(out->data, out->len);
	buf_done(out);
}

int credential_helper_get(const char *name, const char *what, const char *domain, struct credential *c, struct err *e)
{
	struct buf out = {};
	int r = ask(name, what, "get", server_of(domain), &out, e);

	if (r > 0)
		r = take_answer(&out, name, c, e);
	forget(&out);
	return r;
}

int credential_helper_store(const char *name, const char *what, const char *domain, const struct credential *c, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct buf out = {};
	int r;

	if (!o || json_add(o, "ServerURL", json_object_new_string(server_of(domain))) < 0 ||
	    json_add(o, "Username", json_object_new_string(c->user)) < 0 ||
	    json_add(o, "Secret", json_object_new_string(c->password)) < 0)
		return err_set(e, ENOMEM, "out of memory");
	r = ask(name, what, "store", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
		&out, e);
	forget(&out);
	return r == 0 ? err_set(e, EACCES, "credential helper docker-credential-%s fails: credentials not found", name)
		      : MIN(r, 0);
}

int credential_helper_erase(const char *name, const char *what, const char *domain, struct err *e)
{
	struct buf out = {};
	int r = ask(name, what, "erase", server_of(domain), &out, e);

	forget(&out);
	return MIN(r, 0);
}
