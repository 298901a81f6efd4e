/* devices.c: device nodes of the host for a container: --device, and all of them for --privileged. */
#include "cdi.h"
#include "docker_json.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DEVICES_DEPTH 8 /* of directories below /dev; none is known to nest deeper than 4 */

int device_allow(struct spec_resources *r, char type, int64_t major, int64_t minor, const char *access, struct err *e)
{
	struct spec_device_rule *grown = reallocarray(r->devices, r->n_devices + 1, sizeof(*grown));

	if (!grown)
		return OUT_OF_MEMORY(e);
	r->devices = grown;
	struct spec_device_rule *rule = &grown[r->n_devices++];
	*rule = (struct spec_device_rule){ .allow = true, .type = type, .major = major, .minor = minor };
	snprintf(rule->access, sizeof(rule->access), "%s", access);
	return 0;
}

static int add_device(struct spec *s, const struct stat *st, const char *path, struct err *e)
{
	struct spec_device *grown;

	for (size_t i = 0; i < s->n_devices; i++) {
		if (streq(s->devices[i].path, path))
			return 0;
	}
	grown = reallocarray(s->devices, s->n_devices + 1, sizeof(*grown));
	if (!grown)
		return OUT_OF_MEMORY(e);
	s->devices = grown;
	struct spec_device d = {
		.path = strdup(path),
		.type = S_ISBLK(st->st_mode) ? 'b' : 'c',
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev),
		.has_mode = true,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
	};
	if (!d.path)
		return OUT_OF_MEMORY(e);
	if (in_user_namespace()) /* the host's own is bound, and stays whose it is */
		d.uid = d.gid = 0;
	s->devices[s->n_devices++] = d;
	return 0;
}

static bool is_access(const char *s) { return *s && strlen(s) <= 3 && s[strspn(s, "rwm")] == 0; }

/* Every node below dir (host) as one below target (inside); with rules unless access is NULL. */
static int add_directory(struct spec *s, const char *dir, const char *target, const char *access, int depth, struct err *e);

static int add_node(struct spec *s, const char *host, const char *target, const char *access, int depth, struct err *e)
{
	struct stat st;
	int r;

	if (lstat(host, &st) < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "--device: %s: %s", host, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return add_directory(s, host, target, access, depth + 1, e);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return 0;
	r = add_device(s, &st, target, e);
	if (r >= 0 && access)
		r = device_allow(&s->resources, S_ISBLK(st.st_mode) ? 'b' : 'c', major(st.st_rdev), minor(st.st_rdev), access, e);
	return r;
}

/* What the container gets of its own below /dev. */
static bool is_own(const char *target)
{
	static const char *const own[] = { "/dev/pts",  "/dev/shm", "/dev/mqueue", "/dev/console",
					   "/dev/ptmx", "/dev/fd",  "/dev/.lxc" };

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		if (streq(target, own[i]))
			return true;
	}
	return false;
}

static void closedir_ptr(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int add_directory(struct spec *s, const char *dir, const char *target, const char *access, int depth, struct err *e)
{
	_cleanup_(closedir_ptr) DIR *d = depth > DEVICES_DEPTH ? NULL : opendir(dir);

	if (!d && depth <= DEVICES_DEPTH && errno == EACCES && !access) /* --privileged takes what there is for this user */
		return 0;
	if (!d)
		return depth > DEVICES_DEPTH ? err_set(e, ELOOP, "--device: %s: too deep", dir)
					     : err_set(e, errno, "--device: %s: %s", dir, strerror(errno));
	for (;;) {
		errno = 0;
		struct dirent *ent = readdir(d);
		if (!ent)
			return errno ? err_set(e, errno, "--device: %s: %s", dir, strerror(errno)) : 0;
		if (streq(ent->d_name, ".") || streq(ent->d_name, ".."))
			continue;
		_cleanup_free_ char *host = str_fmt("%s/%s", dir, ent->d_name), *inside = str_fmt("%s/%s", target, ent->d_name);
		if (!host || !inside)
			return OUT_OF_MEMORY(e);
		if (is_own(inside))
			continue;
		int r = add_node(s, host, inside, access, depth, e);
		if (r < 0)
			return r;
	}
}

struct device_words {
	char **parts; /* what the others point into */
	const char *host, *target, *access;
};

/* HOST[:PATH[:rwm]]; strv_free ret->parts. */
static int split_option(const char *text, struct device_words *ret, struct err *e)
{
	_cleanup_strv_ char **parts = strv_split(text, ':');
	struct device_words w = { .access = "rwm" };
	size_t n = strv_len(parts);

	if (!parts)
		return OUT_OF_MEMORY(e);
	if (n > 1 && is_access(parts[n - 1]))
		w.access = parts[--n];
	w.host = parts[0];
	w.target = n > 1 ? parts[1] : parts[0];
	if (n > 2 || *w.host != '/' || *w.target != '/')
		return err_set(
			e, EINVAL,
			"--device: \"%s\" is not HOST[:PATH[:rwm]] with absolute paths, nor a name such as vendor.com/class=name",
			text);
	w.parts = TAKE_PTR(parts);
	*ret = w;
	return 0;
}

void devices_inspect(struct doc d, const struct run_opts *o)
{
	struct json_object *list = json_object_new_array();

	for (char **text = o->devices; list && text && *text; text++) {
		struct device_words w;
		if (cdi_is_name(*text) || split_option(*text, &w, NULL) < 0)
			continue; /* that one stands in DeviceRequests */
		struct doc one = doc_new(d.failed);
		doc_text(one, "PathOnHost", w.host);
		doc_text(one, "PathInContainer", w.target);
		doc_text(one, "CgroupPermissions", w.access);
		json_object_array_add(list, one.o);
		strv_free(w.parts);
	}
	doc_put(d, "Devices", list);
}

static int add_words(struct spec *s, const struct device_words *w, const char *text, struct err *e)
{
	struct stat st;

	if (strstr(w->target, "/../") || str_ends(w->target, "/.."))
		return err_set(e, EINVAL, "--device: \"%s\": the path inside can't hold \"..\"", text);
	if (stat(w->host, &st) < 0)
		return err_set(e, errno, "--device: %s: %s", w->host, strerror(errno));
	if (!S_ISDIR(st.st_mode) && !S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, ENODEV, "--device: %s is not a device", w->host);
	if (S_ISDIR(st.st_mode))
		return add_directory(s, w->host, w->target, w->access, 0, e);
	int r = add_device(s, &st, w->target, e);
	return r < 0 ? r
		     : device_allow(&s->resources, S_ISBLK(st.st_mode) ? 'b' : 'c', major(st.st_rdev), minor(st.st_rdev),
				    w->access, e);
}

static int add_option(struct spec *s, const char *text, struct err *e)
{
	struct device_words w;
	int r = split_option(text, &w, e);

	if (r < 0)
		return r;
	r = add_words(s, &w, text, e);
	strv_free(w.parts);
	return r;
}

/* "c 10:* rm" */
static int rule_number(const char *s, int64_t *ret)
{
	uint64_t v;

	if (streq(s, "*")) {
		*ret = -1;
		return 0;
	}
	if (str_to_u64(s, &v) < 0 || v > UINT32_MAX)
		return -EINVAL;
	*ret = (int64_t)v;
	return 0;
}

int device_rule_add(struct spec_resources *r, const char *text, struct err *e)
{
	_cleanup_strv_ char **words = strv_split(text, ' ');
	char *colon = words && strv_len(words) == 3 ? strchr(words[1], ':') : NULL;
	int64_t major, minor;

	if (!words)
		return OUT_OF_MEMORY(e);
	if (colon)
		*colon = 0;
	if (!colon || strlen(words[0]) != 1 || !strchr("abc", *words[0]) || rule_number(words[1], &major) < 0 ||
	    rule_number(colon + 1, &minor) < 0 || !is_access(words[2]))
		return err_set(e, EINVAL, "--device-cgroup-rule: invalid device cgroup format '%s'; 'c 10:200 rwm' is one", text);
	return device_allow(r, *words[0], major, minor, words[2], e);
}

int plan_devices(struct plan *p, struct err *e)
{
	int r = 0;

	for (char **t = p->o->device_cgroup_rules; r >= 0 && t && *t; t++)
		r = device_rule_add(&p->spec.resources, *t, e);

	for (char **d = p->o->devices; r >= 0 && d && *d; d++)
		if (!cdi_is_name(*d))
			r = add_option(&p->spec, *d, e);
	if (r < 0 || !p->o->is_privileged)
		return r;
	r = device_allow(&p->spec.resources, 'a', -1, -1, "rwm", e);
	return r < 0 || p->is_vm ? r : add_directory(&p->spec, "/dev", "/dev", NULL, 0, e);
}
