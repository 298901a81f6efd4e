/* Docker's config.json and containers' auth.json: {"auths": {KEY: {"auth": base64(user:password), "identitytoken",
 * "registrytoken"}}, "credHelpers": {DOMAIN: NAME}, "credsStore": NAME}. KEY is "domain", "https://domain/v1/" (docker) or
 * "domain/name/space" (containers-auth.json(5): the longest match wins). Called once, before the network is touched. */
#include "credentials_impl.h"

#include <openssl/evp.h>
#include <unistd.h>

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

const char *credential_text(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v) ||
	    !json_object_is_type(v, json_type_string) || json_object_get_string_len(v) == 0)
		return NULL;
	return json_object_get_string(v);
}

/* ---- keys ---- */

bool credential_is_hub(const char *s, size_t n)
{
	static const char *const names[] = { "docker.io", "index.docker.io", "registry-1.docker.io" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == n && strncasecmp(names[i], s, n) == 0)
			return true;
	return false;
}

size_t credential_key_fits(const char *key, const char *domain, const char *path)
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
	    !(credential_is_hub(key, host) && credential_is_hub(domain, strlen(domain))))
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
		size_t fit = credential_key_fits(key, domain, path);

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
	const char *auth = credential_text(entry, "auth"), *identity = credential_text(entry, "identitytoken");
	const char *registry = credential_text(entry, "registrytoken"), *user = credential_text(entry, "username");
	const char *password = credential_text(entry, "password");

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
	helper = json_object_object_get_ex(doc, "credHelpers", &o) ? credential_text(o, domain) : NULL;
	if (json_object_object_get_ex(doc, "auths", &o))
		entry = best_entry(o, domain, path);
	if (helper)
		r = credential_helper_get(helper, what, domain, &c, e);
	else if (entry)
		r = entry_read(entry, what, domain, &c, e);
	if (r == 0 && !helper && (helper = credential_text(doc, "credsStore")))
		r = credential_helper_get(helper, what, domain, &c, e);
	if (r > 0) {
		*ret = c;
		c = (struct credential){};
	}
	return r;
}

int credential_file_text(const char *file, char **ret_text, size_t *ret_len, struct err *e)
{
	_cleanup_fd_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "read credentials from %s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "read credentials from %s: not a regular file", file);
	r = fd_read_all(fd, CREDENTIAL_FILE_MAX, ret_text, ret_len);
	return r < 0 ? err_set(e, -r, "read credentials from %s: %s", file, strerror(-r)) : *ret_len > 0;
}

static int read_file(const char *file, const char *domain, const char *path, struct credential *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = credential_file_text(file, &text, &len, e);

	if (r > 0)
		r = credential_read(text, len, file, domain, path, ret, e);
	if (text)
		explicit_bzero(text, len);
	return r;
}

int credential_files(char *const *env, char ***ret)
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
	int r = credential_files(env, &files);

	if (r < 0)
		return err_set(e, -r, "out of memory");
	for (char **f = files; f && *f; f++) {
		r = read_file(*f, domain, path, ret, e);
		if (r != 0)
			return r;
	}
	return 0;
}
