/* Docker's config.json and containers' auth.json: {"auths": {KEY: {"auth": base64(user:password), "identitytoken",
 * "registrytoken"}}, "credHelpers": {DOMAIN: NAME}, "credsStore": NAME}. KEY is "domain", "https://domain/v1/" (docker) or
 * "domain/name/space" (containers-auth.json(5): the longest match wins). Called once, before the network is touched. */
#include "credentials.h"

#include <openssl/evp.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "codec.h"

#define AUTH_FILE_MAX  (1u << 20)
#define HELPER_OUT_MAX (256u << 10)
#define HELPER_MS      30000
#define DOCKER_HUB_KEY "https://index.docker.io/v1/" /* under which docker stores Docker Hub's */

void credential_done(struct credential *c)
{
	if (c->password)
		explicit_bzero(c->password, strlen(c->password));
	free(c->user);
	free(c->password);
	free(c->identity_token);
	free(c->registry_token);
	*c = (struct credential){};
}

static const char *string_at(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v) ||
	    !json_object_is_type(v, json_type_string) || json_object_get_string_len(v) == 0)
		return NULL;
	return json_object_get_string(v);
}

/* ---- keys ---- */

static bool is_docker_hub(const char *s, size_t n)
{
	static const char *const names[] = { "docker.io", "index.docker.io", "registry-1.docker.io" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == n && strncasecmp(names[i], s, n) == 0)
			return true;
	return false;
}

/* How well a key of `auths` fits: 0 = not, else more is better. */
static size_t key_fits(const char *key, const char *domain, const char *path)
{
	const char *after = str_after(key, "https://"), *rest;
	size_t host, n;

	if (after)
		key = after;
	else if ((after = str_after(key, "http://")))
		key = after;
	host = strcspn(key, "/");
	rest = key + host;
	if (!(host == strlen(domain) && strncasecmp(key, domain, host) == 0) &&
	    !(is_docker_hub(key, host) && is_docker_hub(domain, strlen(domain))))
		return 0;
	if (*rest == '\0' || streq(rest, "/") || streq(rest, "/v1/") || streq(rest, "/v1") || streq(rest, "/v2/") ||
	    streq(rest, "/v2"))
		return 1;
	n = strlen(++rest);
	if (strncmp(path, rest, n) == 0 && (path[n] == '/' || path[n] == '\0'))
		return 1 + n;
	return 0;
}

static struct json_object *best_entry(struct json_object *auths, const char *domain, const char *path)
{
	struct json_object *best = NULL;
	size_t best_fit = 0;

	if (!json_object_is_type(auths, json_type_object))
		return NULL;
	json_object_object_foreach(auths, key, value)
	{
		size_t fit = key_fits(key, domain, path);

		if (fit > best_fit) {
			best_fit = fit;
			best = value;
		}
	}
	return best;
}

/* ---- an entry ---- */

static int entry_decode(const char *auth, const char *what, const char *domain, struct credential *c, struct err *e)
{
	size_t n = strlen(auth);
	_cleanup_free_ char *plain = calloc(1, n + 4);
	char *colon;
	int len;

	if (!plain)
		return err_set(e, ENOMEM, "out of memory");
	len = n % 4 == 0 ? EVP_DecodeBlock((unsigned char *)plain, (const unsigned char *)auth, (int)n) : -1;
	if (len < 0)
		return err_set(e, EINVAL, "%s: the entry of %s is not base64", what, domain);
	for (size_t i = n; i > 0 && auth[i - 1] == '='; i--)
		len--; /* EVP_DecodeBlock counts the padding */
	plain[MAX(len, 0)] = '\0';
	colon = strchr(plain, ':');
	if (!colon)
		return err_set(e, EINVAL, "%s: the entry of %s is not \"user:password\"", what, domain);
	*colon = '\0';
	c->user = strdup(plain);
	c->password = strdup(colon + 1);
	explicit_bzero(plain, n);
	return c->user && c->password ? 1 : err_set(e, ENOMEM, "out of memory");
}

static int entry_read(struct json_object *entry, const char *what, const char *domain, struct credential *c, struct err *e)
{
	const char *auth = string_at(entry, "auth"), *identity = string_at(entry, "identitytoken");
	const char *registry = string_at(entry, "registrytoken"), *user = string_at(entry, "username");
	const char *password = string_at(entry, "password");

	if (identity)
		return (c->identity_token = strdup(identity)) ? 1 : err_set(e, ENOMEM, "out of memory");
	if (registry)
		return (c->registry_token = strdup(registry)) ? 1 : err_set(e, ENOMEM, "out of memory");
	if (auth)
		return entry_decode(auth, what, domain, c, e);
	if (!user || !password)
		return 0;
	c->user = strdup(user);
	c->password = strdup(password);
	return c->user && c->password ? 1 : err_set(e, ENOMEM, "out of memory");
}

/* ---- helpers: docker-credential-NAME get, the server's name on stdin, JSON on stdout ---- */

static bool helper_name_is_valid(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] == '\0';
}

static int helper_talk(int pidfd, int in, int out, const char *server, struct buf *ret_out)
{
	uint64_t end = clock_mono_us() + HELPER_MS * 1000u;
	int r = fd_write_full(in, server, strlen(server));

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

static int helper_run(const char *program, const char *server, struct buf *ret_out, int *ret_status, struct err *e)
{
	char *const argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t) "get", NULL };
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
	r = helper_talk(pidfd, TAKE_FD(in_w), out_r, server, ret_out);
	spawn_wait(pid, &status);
	if (r < 0)
		return err_set(e, -r, "credential helper %s: %s", program, strerror(-r));
	*ret_status = status;
	return 0;
}

static int helper_read(const struct buf *out, const char *program, struct credential *c, struct err *e)
{
	_cleanup_json_ struct json_object *doc = NULL;
	const char *user, *secret;
	int r = json_parse(out->data ? out->data : "", out->len, program, &doc, e);

	if (r < 0)
		return r;
	user = string_at(doc, "Username");
	secret = string_at(doc, "Secret");
	if (!user || !secret)
		return err_set(e, EPROTO, "credential helper %s: its answer lacks Username or Secret", program);
	if (streq(user, "<token>")) /* docker's mark: the secret is an identity token */
		return (c->identity_token = strdup(secret)) ? 1 : err_set(e, ENOMEM, "out of memory");
	c->user = strdup(user);
	c->password = strdup(secret);
	return c->user && c->password ? 1 : err_set(e, ENOMEM, "out of memory");
}

static int helper_find(const char *name, const char *what, const char *domain, struct credential *c, struct err *e)
{
	_cleanup_free_ char *program = NULL, *path = NULL;
	_cleanup_buf_ struct buf out = {};
	const char *server = is_docker_hub(domain, strlen(domain)) ? DOCKER_HUB_KEY : domain;
	int r, status;

	if (!helper_name_is_valid(name))
		return err_set(e, EINVAL, "%s: \"%s\" is no name of a credential helper", what, name);
	program = str_fmt("docker-credential-%s", name);
	if (!program)
		return err_set(e, ENOMEM, "out of memory");
	path = spawn_find(program);
	if (!path)
		return err_set(e, ENOENT, "%s asks for %s, which is not installed in /usr/bin or /usr/local/bin", what, program);
	r = helper_run(path, server, &out, &status, e);
	if (r < 0)
		return r;
	if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
		if (out.data && strstr(out.data, "credentials not found")) /* the protocol's words for "none" */
			return 0;
		return err_set(e, EACCES, "credential helper %s fails: %.200s", program, out.data ? out.data : "it says nothing");
	}
	r = helper_read(&out, program, c, e);
	if (out.data)
		explicit_bzero(out.data, out.len);
	return r;
}

/* ---- files ---- */

int credential_read(const char *text, size_t len, const char *what, const char *domain, const char *path, struct credential *ret,
		    struct err *e)
{
	_cleanup_json_ struct json_object *doc = NULL;
	_cleanup_credential_ struct credential c = {};
	struct json_object *o = NULL, *entry = NULL;
	const char *helper;
	int r = json_parse(text, len, what, &doc, e);

	if (r < 0)
		return r;
	if (!json_object_is_type(doc, json_type_object))
		return err_set(e, EINVAL, "%s: expected an object", what);
	helper = json_object_object_get_ex(doc, "credHelpers", &o) ? string_at(o, domain) : NULL;
	if (json_object_object_get_ex(doc, "auths", &o))
		entry = best_entry(o, domain, path);
	if (helper)
		r = helper_find(helper, what, domain, &c, e);
	else if (entry)
		r = entry_read(entry, what, domain, &c, e);
	if (r == 0 && !helper && (helper = string_at(doc, "credsStore")))
		r = helper_find(helper, what, domain, &c, e);
	if (r > 0) {
		*ret = c;
		c = (struct credential){};
	}
	return r;
}

static int read_file(const char *file, const char *domain, const char *path, struct credential *ret, struct err *e)
{
	_cleanup_fd_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "read credentials from %s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "read credentials from %s: not a regular file", file);
	r = fd_read_all(fd, AUTH_FILE_MAX, &text, &len);
	if (r < 0)
		return err_set(e, -r, "read credentials from %s: %s", file, strerror(-r));
	r = len == 0 ? 0 : credential_read(text, len, file, domain, path, ret, e);
	explicit_bzero(text, len);
	return r;
}

static int candidate_files(char *const *env, char ***ret)
{
	const char *home = env_get(env, "HOME"), *runtime = env_get(env, "XDG_RUNTIME_DIR");
	const char *config = env_get(env, "XDG_CONFIG_HOME"), *docker = env_get(env, "DOCKER_CONFIG"),
		   *only = env_get(env, "REGISTRY_AUTH_FILE");
	_cleanup_strv_ char **v = NULL;
	int r;

	if (only && *only) {
		r = strv_push(&v, only);
		*ret = TAKE_PTR(v);
		return r;
	}
	r = runtime && *runtime ? strv_push_take(&v, str_fmt("%s/containers/auth.json", runtime))
				: strv_push_take(&v, str_fmt("/run/containers/%u/auth.json", (unsigned)geteuid()));
	if (r >= 0 && config && *config)
		r = strv_push_take(&v, str_fmt("%s/containers/auth.json", config));
	else if (r >= 0 && home && *home)
		r = strv_push_take(&v, str_fmt("%s/.config/containers/auth.json", home));
	if (r >= 0 && docker && *docker)
		r = strv_push_take(&v, str_fmt("%s/config.json", docker));
	else if (r >= 0 && home && *home)
		r = strv_push_take(&v, str_fmt("%s/.docker/config.json", home));
	if (r >= 0)
		*ret = TAKE_PTR(v);
	return r;
}

int credential_find(const char *domain, const char *path, char *const *env, struct credential *ret, struct err *e)
{
	_cleanup_strv_ char **files = NULL;
	int r = candidate_files(env, &files);

	if (r < 0)
		return err_set(e, -r, "out of memory");
	for (char **f = files; f && *f; f++) {
		r = read_file(*f, domain, path, ret, e);
		if (r != 0)
			return r;
	}
	return 0;
}
