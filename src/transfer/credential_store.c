/* credential_store: `login` and `logout` write where `pull` and `push` look (credentials.h). An entry goes into the file that has one
 * already, which would be found first, else into docker's; what else is in a file stays. Where the file names a helper, the helper
 * keeps the password, and the file only says that there is one, as docker does. */
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "credentials_impl.h"

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

static const char *key_of(const char *domain) { return credential_is_hub(domain, strlen(domain)) ? DOCKER_HUB_KEY : domain; }

/* An empty object where there is no file, or nothing in it. */
static int read_document(const char *file, struct json_object **ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = credential_file_text(file, &text, &len, e);

	if (r > 0)
		r = json_parse(text, len, file, ret, e);
	else if (r == 0)
		r = (*ret = json_object_new_object()) ? 0 : out_of_memory(e);
	if (text)
		explicit_bzero(text, len);
	if (r >= 0 && !json_object_is_type(*ret, json_type_object))
		return err_set(e, EINVAL, "%s: expected an object", file);
	return MIN(r, 0);
}

static struct json_object *auths_of(struct json_object *doc)
{
	struct json_object *auths;

	return json_object_object_get_ex(doc, "auths", &auths) && json_object_is_type(auths, json_type_object) ? auths : NULL;
}

/* Of the whole registry; one of a name space in it is its own. */
static char *find_key(struct json_object *auths, const char *domain)
{
	if (!auths)
		return NULL;
	json_object_object_foreach(auths, key, value)
	{
		(void)value;
		if (credential_key_fits(key, domain, "") > 0)
			return key;
	}
	return NULL;
}

static const char *helper_of(struct json_object *doc, const char *domain)
{
	struct json_object *helpers;
	const char *own = json_object_object_get_ex(doc, "credHelpers", &helpers) ? credential_text(helpers, domain) : NULL;

	return own ? own : credential_text(doc, "credsStore");
}

/* Whole or not at all, and nobody else's to read. A link is followed: people keep these files elsewhere. */
static int write_document(const char *file, struct json_object *doc, struct err *e)
{
	const char *text = json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_PRETTY_TAB |
								       JSON_C_TO_STRING_NOSLASHESCAPE);
	_cleanup_free_ char *real = realpath(file, NULL), *dir = strdup(real ? real : file);
	char *slash = dir ? strrchr(dir, '/') : NULL;
	_cleanup_fd_ int dirfd = -1;
	int r;

	if (!dir || !text)
		return out_of_memory(e);
	if (!slash)
		return err_set(e, EINVAL, "credentials file %s: give its whole path", file);
	*slash = '\0';
	r = mkdir_p(AT_FDCWD, *dir ? dir : "/", 0700);
	dirfd = r < 0 ? r : open(*dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_set(e, r < 0 ? -r : errno, "credentials file %s: %s", file, strerror(r < 0 ? -r : errno));
	r = file_replace_sweep(dirfd, slash + 1); /* of one that was killed: there is a password in it */
	if (r >= 0)
		r = file_replace(dirfd, slash + 1, text, strlen(text), 0600, true);
	return r < 0 ? err_set(e, -r, "credentials file %s: %s", file, strerror(-r)) : 0;
}

static struct json_object *entry_of(const struct credential *c)
{
	_cleanup_free_ char *plain = str_fmt("%s:%s", c->user, c->password);
	size_t n = plain ? strlen(plain) : 0;
	_cleanup_free_ unsigned char *coded = malloc(4 * (n / 3 + 1) + 1);
	struct json_object *o = plain && coded ? json_object_new_object() : NULL;

	if (!o)
		return NULL;
	EVP_EncodeBlock(coded, (const unsigned char *)plain, (int)n);
	explicit_bzero(plain, n);
	if (json_add(o, "auth", json_object_new_string((const char *)coded)) == 0)
		return o;
	json_object_put(o);
	return NULL;
}

/* The one that has an entry of the registry, or the last of the list, docker's. */
static int choose_file(char *const *files, const char *domain, const char **ret, struct err *e)
{
	*ret = NULL;
	for (char *const *f = files; f && *f; f++) {
		_cleanup_json_ struct json_object *doc = NULL;
		int r = read_document(*f, &doc, e);

		if (r < 0)
			return r;
		*ret = *f;
		if (find_key(auths_of(doc), domain))
			return 0;
	}
	/* There is always containers' own below /run; docker's is missing only where nobody has a home. */
	return *ret ? 0 : err_set(e, ENOENT, "no place to keep credentials in: set HOME, DOCKER_CONFIG or REGISTRY_AUTH_FILE");
}

int credential_store(const char *domain, const struct credential *c, char *const *env, struct credential_place *ret,
		     struct err *e)
{
	_cleanup_json_ struct json_object *doc = NULL;
	_cleanup_strv_ char **files = NULL;
	struct json_object *auths, *entry;
	const char *file = NULL, *helper, *key;
	int r = credential_files(env, &files);

	r = r < 0 ? out_of_memory(e) : choose_file(files, domain, &file, e);
	if (r >= 0)
		r = read_document(file, &doc, e);
	if (r < 0)
		return r;
	helper = helper_of(doc, domain);
	if (helper)
		r = credential_helper_store(helper, file, domain, c, e);
	if (r < 0)
		return r;
	*ret = (struct credential_place){ .file = strdup(file), .helper = helper ? strdup(helper) : NULL };
	auths = auths_of(doc);
	if (!ret->file || (helper && !ret->helper) || (!auths && json_add(doc, "auths", auths = json_object_new_object()) < 0))
		return out_of_memory(e);
	key = find_key(auths, domain);
	entry = helper ? json_object_new_object() : entry_of(c);
	if (!entry || json_add(auths, key ? key : key_of(domain), entry) < 0)
		return out_of_memory(e);
	return write_document(file, doc, e);
}

static int erase_from(const char *file, const char *domain, bool *found, struct err *e)
{
	_cleanup_json_ struct json_object *doc = NULL;
	const char *helper, *key;
	int r = read_document(file, &doc, e);

	if (r < 0)
		return r;
	key = find_key(auths_of(doc), domain);
	helper = helper_of(doc, domain);
	if (!key)
		return 0;
	*found = true;
	if (helper)
		r = credential_helper_erase(helper, file, domain, e);
	if (r < 0)
		return r;
	json_object_object_del(auths_of(doc), key);
	return write_document(file, doc, e);
}

int credential_erase(const char *domain, char *const *env, bool *ret_found, struct err *e)
{
	_cleanup_strv_ char **files = NULL;
	int r = credential_files(env, &files);

	if (r < 0)
		return out_of_memory(e);
	*ret_found = false;
	for (char **f = files; r >= 0 && f && *f; f++)
		r = erase_from(*f, domain, ret_found, e);
	return r;
}

void credential_place_done(struct credential_place *p)
{
	free(p->file);
	free(p->helper);
	*p = (struct credential_place){};
}
