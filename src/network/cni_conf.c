/* Configurations of CNI, and where their programs are. See cni.h. */
#include "cni.h"

#include <sys/stat.h>
#include <unistd.h>

static const char *const versions[] = { "0.3.0", "0.3.1", "0.4.0", "1.0.0" };

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

static bool is_name(const char *s) { return s && *s && strspn(s, NAME_LETTERS) == strlen(s) && *s != '.' && *s != '-'; }

const char *cni_conf_text(struct json_object *conf, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(conf, key, &v) && json_object_is_type(v, json_type_string) ? json_object_get_string(v)
												    : NULL;
}

struct json_object *cni_conf_plugins(struct json_object *conf)
{
	struct json_object *list = NULL;

	return json_object_object_get_ex(conf, "plugins", &list) && json_object_is_type(list, json_type_array) ? list : NULL;
}

bool cni_plugin_can(struct json_object *plugin, const char *capability)
{
	struct json_object *all = NULL, *one = NULL;

	return json_object_object_get_ex(plugin, "capabilities", &all) && json_object_is_type(all, json_type_object) &&
	       json_object_object_get_ex(all, capability, &one) && json_object_get_boolean(one);
}

bool cni_conf_can(struct json_object *conf, const char *capability)
{
	struct json_object *list = cni_conf_plugins(conf);

	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (cni_plugin_can(json_object_array_get_idx(list, i), capability))
			return true;
	return false;
}

/* One plugin becomes a list of one. */
static int as_list(struct json_object *o, struct json_object **ret)
{
	_cleanup_json_ struct json_object *list = json_object_new_object();
	struct json_object *plugins = json_object_new_array();
	static const char *const shared[] = { "cniVersion", "name" };
	struct json_object *v = NULL;

	if (plugins && json_object_array_add(plugins, json_object_get(o)) < 0)
		json_object_put(o);
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
		if (json_object_object_get_ex(o, shared[i], &v) && json_add(list, shared[i], json_object_get(v)) < 0) {
			json_object_put(plugins);
			return -ENOMEM;
		}
	if (json_add(list, "plugins", plugins) < 0 || json_object_array_length(plugins) != 1)
		return -ENOMEM;
	*ret = json_object_get(list);
	return 0;
}

static int check_plugins(struct json_object *list, const char *what, struct err *e)
{
	const size_t n = list ? json_object_array_length(list) : 0;

	if (n == 0 || n > CNI_PLUGINS_MAX)
		return err_set(e, EINVAL, "%s: \"plugins\" is a list of 1 to %d plugins", what, CNI_PLUGINS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *type = json_object_is_type(one, json_type_object) ? cni_conf_text(one, "type") : NULL;

		if (!is_name(type))
			return err_set(e, EINVAL, "%s: .plugins[%zu].type: the name of a plugin is expected, such as bridge",
				       what, i);
	}
	return 0;
}

static int check(struct json_object *conf, const char *what, struct err *e)
{
	const char *version = cni_conf_text(conf, "cniVersion");
	bool is_known = false;

	for (size_t i = 0; version && i < ARRAY_SIZE(versions); i++)
		is_known |= streq(version, versions[i]);
	if (!is_known)
		return err_set(e, EINVAL, "%s: .cniVersion is %s: 0.3.0, 0.3.1, 0.4.0 or 1.0.0 is expected", what,
			       version ? version : "missing");
	if (!is_name(cni_conf_text(conf, "name")))
		return err_set(e, EINVAL, "%s: .name \"%.80s\": letters, digits, '_', '.', '-' are expected", what,
			       cni_conf_text(conf, "name") ? cni_conf_text(conf, "name") : "");
	return check_plugins(cni_conf_plugins(conf), what, e);
}

int cni_conf_parse(const char *text, size_t len, const char *what, const char *name, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL, *conf = NULL;
	int r = json_parse(text, len, what, &o, e);

	if (r < 0)
		return r;
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, EINVAL, "%s: a CNI configuration is a JSON object", what);
	if (json_object_object_get_ex(o, "plugins", NULL))
		conf = json_object_get(o);
	else if (as_list(o, &conf) < 0)
		return err_set(e, ENOMEM, "out of memory");
	if (!json_object_object_get_ex(conf, "name", NULL) && json_add(conf, "name", json_object_new_string(name)) < 0)
		return err_set(e, ENOMEM, "out of memory");
	r = check(conf, what, e);
	if (r < 0)
		return r;
	*ret = json_object_get(conf);
	return 0;
}

/* Root's, or this user's own, and nobody else's to write; of a directory where all may make files (/tmp) nobody takes another's away. */
static bool is_trusted(const struct stat *st)
{
	const bool is_sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX);

	return (st->st_uid == 0 || st->st_uid == geteuid()) &&
	       (S_ISLNK(st->st_mode) || is_sticky || !(st->st_mode & (S_IWGRP | S_IWOTH)));
}

#define UNTRUSTED "others than root can change %s, and a CNI plugin runs as root: chown root %s; chmod go-w %s"

static int check_one(const char *path, struct err *e)
{
	struct stat itself, behind;

	if (lstat(path, &itself) < 0 || stat(path, &behind) < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	return is_trusted(&itself) && is_trusted(&behind) ? 0 : err_set(e, EPERM, UNTRUSTED, path, path, path);
}

/* An absolute path, and every directory on it: who can write to one of them can put another program there. */
static int check_way(const char *path, struct err *e)
{
	_cleanup_free_ char *part = strdup(path);
	int r;

	if (!part)
		return err_set(e, ENOMEM, "out of memory");
	r = check_one("/", e);
	for (char *end = part; r >= 0 && *end;) {
		end += strspn(end, "/");
		end += strcspn(end, "/");
		const char next = *end;

		*end = '\0';
		r = check_one(part, e);
		*end = next;
	}
	return r;
}

/* As it is named, and where links lead. */
static int check_program(const char *path, struct err *e)
{
	_cleanup_free_ char *real = realpath(path, NULL);

	if (!real)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	int r = check_way(path, e);

	return r < 0 ? r : check_way(real, e);
}

int cni_conf_read(const char *file, const char *name, struct json_object **ret, struct err *e)
{
	_cleanup_fd_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len = 0;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "CNI configuration %s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "CNI configuration %s: it is no regular file", file);
	if (!is_trusted(&st))
		return err_set(e, EPERM, UNTRUSTED, file, file, file);
	r = fd_read_all(fd, CNI_CONF_MAX, &text, &len);
	if (r < 0)
		return err_set(e, -r, "CNI configuration %s: %s", file, r == -EFBIG ? "it is larger than 64 KiB" : strerror(-r));
	return cni_conf_parse(text, len, file, name, ret, e);
}

/* ---- programs ---- */

int cni_path_check(const char *path, struct err *e)
{
	_cleanup_strv_ char **dirs = strv_split(path, ':');

	if (!dirs)
		return err_set(e, ENOMEM, "out of memory");
	for (char **d = dirs; *d; d++)
		if (**d != '/')
			return err_set(e, EINVAL, "CNI_PATH=%s: \"%s\" is no absolute directory", path, *d);
	return *dirs ? 0 : err_set(e, EINVAL, "CNI_PATH is empty: unset it, or name the directories of the plugins");
}

int cni_find(const char *type, const char *path, char **ret, struct err *e)
{
	_cleanup_strv_ char **dirs = strv_split(path, ':');

	if (!dirs)
		return err_set(e, ENOMEM, "out of memory");
	for (char **d = dirs; *d; d++) {
		_cleanup_free_ char *program = str_fmt("%s/%s", *d, type);
		struct stat st;

		if (!program)
			return err_set(e, ENOMEM, "out of memory");
		if (stat(program, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
			continue;
		const int r = check_program(program, e);

		if (r >= 0)
			*ret = TAKE_PTR(program);
		return r;
	}
	return err_set(e, ENOENT,
		       "there is no CNI plugin %s in %s: install it (Debian's package " CNI_PACKAGE
		       " has the usual ones), or name its directory in CNI_PATH when the network is created",
		       type, path);
}

static bool lists(struct json_object *answer, const char *version)
{
	struct json_object *list = NULL;

	if (!json_object_object_get_ex(answer, "supportedVersions", &list) || !json_object_is_type(list, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (streq0(json_object_get_string(json_object_array_get_idx(list, i)), version))
			return true;
	return false;
}

static int probe(const char *type, const char *version, const char *path, unsigned seconds, struct err *e)
{
	_cleanup_json_ struct json_object *config = json_object_new_object(), *answer = NULL;
	const struct cni_call c = { .command = "VERSION", .type = type, .path = path, .config = config, .seconds = seconds };
	int r = json_add(config, "cniVersion", json_object_new_string(version));

	if (r < 0)
		return err_set(e, ENOMEM, "out of memory");
	r = cni_call(&c, &answer, e);
	if (r >= 0 && !lists(answer, version))
		r = err_set(e, EPROTONOSUPPORT, "CNI plugin %s does not know version %s of CNI: it has %s", type, version,
			    answer ? json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN) : "nothing to say");
	return r;
}

/* Addresses are a program's of their own. */
static const char *ipam_of(struct json_object *plugin)
{
	struct json_object *ipam = NULL;

	return json_object_object_get_ex(plugin, "ipam", &ipam) && json_object_is_type(ipam, json_type_object)
		       ? cni_conf_text(ipam, "type")
		       : NULL;
}

int cni_conf_probe(struct json_object *conf, const char *path, unsigned seconds, struct err *e)
{
	const char *version = cni_conf_text(conf, "cniVersion");
	struct json_object *list = cni_conf_plugins(conf);
	int r = cni_path_check(path, e);

	for (size_t i = 0; r >= 0 && i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *ipam = ipam_of(one);

		r = probe(cni_conf_text(one, "type"), version, path, seconds, e);
		if (r >= 0 && ipam && !is_name(ipam))
			r = err_set(e, EINVAL, ".plugins[%zu].ipam.type \"%.80s\": the name of a plugin is expected", i, ipam);
		if (r >= 0 && ipam)
			r = probe(ipam, version, path, seconds, e);
	}
	return r;
}
