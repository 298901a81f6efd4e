/* secret_store.c: the files of ROOT/secrets. Each is replaced as a whole; a name that begins with a dot is none of them. */
#include <dirent.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "docker_json.h"
#include "secret_store.h"

#define SECRETS_DIR "secrets"
#define ID_DIGITS   25
#define FILE_MAX    (1u << 20) /* SECRET_MAX in base64, and labels */

static const struct field secret_fields[] = {
	{ "id", FIELD_STRING, offsetof(struct secret, id), FIELD_REQUIRED },
	{ "name", FIELD_STRING, offsetof(struct secret, name), FIELD_REQUIRED },
	{ "created", FIELD_STRING, offsetof(struct secret, created), FIELD_REQUIRED },
	{ "updated", FIELD_STRING, offsetof(struct secret, updated), FIELD_REQUIRED },
	{ "labels", FIELD_MAP, offsetof(struct secret, labels), FIELD_OMIT_EMPTY },
	{ "data", FIELD_STRING, offsetof(struct secret, data), FIELD_REQUIRED },
	{ NULL },
};

void secret_done(struct secret *s)
{
	if (s->data)
		explicit_bzero(s->data, strlen(s->data));
	json_free_fields(secret_fields, s);
	*s = (struct secret){ 0 };
}

void secret_list_free(struct secret *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		secret_done(&list[i]);
	free(list);
}

/* -ENOENT where there was never one, unless made. */
static int open_dir(struct engine *en, bool makes, int *ret_fd, struct err *e)
{
	int rootfd = store_rootfd(en->store), fd;

	if (makes && mkdirat(rootfd, SECRETS_DIR, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "make %s/" SECRETS_DIR ": %s", en->paths->root, strerror(errno));
	fd = openat(rootfd, SECRETS_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "%s/" SECRETS_DIR ": %s", en->paths->root, strerror(errno));
	*ret_fd = fd;
	return 0;
}

static int read_one(int dirfd, const char *name, struct secret *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *text = NULL;
	struct secret s = { 0 };
	size_t len = 0;
	int r = file_read(dirfd, name, FILE_MAX, &text, &len);

	if (r < 0)
		return err_set(e, -r, "secret %s: %s", name, strerror(-r));
	r = json_parse(text, len, name, &o, e);
	explicit_bzero(text, len);
	if (r >= 0)
		r = json_read(o, secret_fields, &s, "", e);
	if (r < 0) {
		secret_done(&s);
		return err_push(e, r, "secret %s", name);
	}
	*ret = s;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct secret *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int add_one(int dirfd, const char *name, struct secret **list, size_t *n, struct err *e)
{
	struct secret *grown = reallocarray(*list, *n + 1, sizeof(*grown));
	int r;

	if (!grown)
		return OUT_OF_MEMORY(e);
	*list = grown;
	r = read_one(dirfd, name, &grown[*n], e);
	if (r == -ENOENT) { /* removed meanwhile */
		*e = (struct err){ 0 };
		return 0;
	}
	*n += r == 0;
	return r;
}

/* Caller frees; NULL: none. */
static int read_names(int rootfd, char ***ret, struct err *e)
{
	_cleanup_strv_ char **names = NULL;
	int fd = openat(rootfd, SECRETS_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	*ret = NULL;
	if (!d && fd < 0 && errno == ENOENT)
		return 0;
	if (!d) {
		r = err_set(e, errno, SECRETS_DIR ": %s", strerror(errno));
		fd_close(fd);
		return r;
	}
	for (struct dirent *ent; r == 0 && (errno = 0, ent = readdir(d));)
		if (name_is_valid(ent->d_name) && strv_push(&names, ent->d_name) < 0)
			r = OUT_OF_MEMORY(e);
	if (r == 0 && errno)
		r = err_set(e, errno, SECRETS_DIR ": %s", strerror(errno));
	closedir(d);
	if (r == 0) {
		*ret = names;
		names = NULL;
	}
	return r;
}

int secret_names(const char *root, char ***ret, struct err *e)
{
	_cleanup_fd_ int rootfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return rootfd < 0 ? err_set(e, errno, "%s: %s", root, strerror(errno)) : read_names(rootfd, ret, e);
}

int engine_secret_list(struct engine *en, struct secret **ret, size_t *ret_n, struct err *e)
{
	_cleanup_strv_ char **names = NULL;
	struct secret *list = NULL;
	size_t n = 0;
	_cleanup_fd_ int fd = -1;
	int r = read_names(store_rootfd(en->store), &names, e);

	if (r >= 0 && names)
		r = open_dir(en, false, &fd, e);
	for (char **at = names; r >= 0 && at && *at; at++)
		r = add_one(fd, *at, &list, &n, e);
	if (r < 0) {
		secret_list_free(list, n);
		return r;
	}
	if (n)
		qsort(list, n, sizeof(*list), by_name);
	*ret = list;
	*ret_n = n;
	return 0;
}

static int not_there(const char *name, struct err *e)
{
	return err_set(e, ENOENT, "no secret with name or id \"%s\": no such secret", name);
}

int engine_secret_get(struct engine *en, const char *name, struct secret *ret, struct err *e)
{
	struct secret *list = NULL, *found = NULL;
	size_t n = 0, matches = 0, len = strlen(name);
	int r = engine_secret_list(en, &list, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (streq(list[i].name, name)) {
			found = &list[i];
			matches = 1;
			break;
		}
		if (len && strncmp(list[i].id, name, len) == 0) {
			found = &list[i];
			matches++;
		}
	}
	if (matches == 1) {
		*ret = *found;
		*found = (struct secret){ 0 };
	} else {
		r = matches ? err_set(e, EINVAL, "secret \"%s\": %zu ids begin so", name, matches) : not_there(name, e);
	}
	secret_list_free(list, n);
	return r;
}

static int write_one(int dirfd, const struct secret *s, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_write(secret_fields, s);
	_cleanup_fd_ int fd = -1;
	size_t len = 0;
	const char *text =
		o ? json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len) : NULL;
	int r;

	if (!text)
		return OUT_OF_MEMORY(e);
	r = file_replace_clean(dirfd, s->name, text, len, 0600);
	if (r == 0) {
		fd = openat(dirfd, s->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fsync(fd) < 0 || fsync(dirfd) < 0)
			r = -errno;
	}
	return r < 0 ? err_set(e, -r, "write secret %s: %s", s->name, strerror(-r)) : 0;
}

static int create_in(struct engine *en, int dirfd, const struct secret_create_opts *o, char **ret_id, struct err *e)
{
	_cleanup_(secret_done) struct secret s = { 0 };
	char at[RFC3339_LEN], id[ID_LEN + 1];
	struct err none = { 0 };
	int r = read_one(dirfd, o->name, &s, &none);

	(void)en;
	if (r == 0 && !o->replaces)
		return err_set(e, EEXIST, "%s: secret name in use", o->name);
	if (r < 0 && r != -ENOENT) {
		*e = none;
		return r;
	}
	secret_done(&s); /* podman's --replace is another secret of that name */
	r = id_new(id);
	if (r < 0)
		return err_set(e, -r, "make an id: %s", strerror(-r));
	clock_rfc3339(clock_real_ns(), at);
	s.id = strndup(id, ID_DIGITS);
	s.name = strdup(o->name);
	s.created = strdup(at);
	s.updated = strdup(at);
	s.data = base64_encode(o->data, o->len);
	if (!s.id || !s.name || !s.created || !s.updated || !s.data)
		return OUT_OF_MEMORY(e);
	r = labels_add(o->labels, &s.labels, e);
	if (r >= 0)
		r = write_one(dirfd, &s, e);
	if (r >= 0)
		*ret_id = TAKE_PTR(s.id);
	return r;
}

int engine_secret_create(struct engine *en, const struct secret_create_opts *o, char **ret_id, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	int r;

	if (!name_is_valid(o->name))
		return err_set(
			e, EINVAL,
			"secret name \"%s\" can not include '=', '/', ',', or the NULL ('\\0') and be [a-zA-Z0-9][a-zA-Z0-9_.-]*",
			o->name);
	if (o->len == 0 || o->len >= SECRET_MAX)
		return err_set(e, EINVAL, "secret data must be larger than 0 and less than %d bytes", SECRET_MAX);
	r = open_dir(en, true, &fd, e);
	if (r < 0)
		return r;
	if (flock(fd, LOCK_EX) < 0) /* one at a time finds a name free, and takes it */
		return err_set(e, errno, "lock the secrets: %s", strerror(errno));
	return create_in(en, fd, o, ret_id, e);
}

int engine_secret_remove(struct engine *en, const char *name, char **ret_id, struct err *e)
{
	_cleanup_(secret_done) struct secret s = { 0 };
	_cleanup_fd_ int fd = -1;
	int r = engine_secret_get(en, name, &s, e);

	if (r >= 0)
		r = open_dir(en, false, &fd, e);
	if (r < 0)
		return r;
	if (unlinkat(fd, s.name, 0) < 0)
		return errno == ENOENT ? not_there(name, e) : err_set(e, errno, "remove secret %s: %s", name, strerror(errno));
	if (fsync(fd) < 0)
		return err_set(e, errno, "remove secret %s: write that to the disk: %s", name, strerror(errno));
	*ret_id = TAKE_PTR(s.id);
	return 0;
}

int engine_secret_inspect(struct engine *en, const char *name, bool shows, struct json_object **ret, struct err *e)
{
	_cleanup_(secret_done) struct secret s = { 0 };
	_cleanup_free_ uint8_t *bytes = NULL;
	bool failed = false;
	size_t n = 0;
	int r = engine_secret_get(en, name, &s, e);

	if (r < 0)
		return r;
	struct doc d = doc_new(&failed), spec, driver;
	doc_text(d, "ID", s.id);
	doc_text(d, "CreatedAt", s.created);
	doc_text(d, "UpdatedAt", s.updated);
	spec = doc_sub(d, "Spec");
	doc_text(spec, "Name", s.name);
	driver = doc_sub(spec, "Driver");
	doc_text(driver, "Name", "file");
	doc_sub(driver, "Options");
	doc_map(spec, "Labels", &s.labels);
	if (shows && base64_decode(s.data, &bytes, &n) == 0)
		doc_put(d, "SecretData", json_object_new_string_len((const char *)bytes, (int)n));
	if (failed) {
		json_object_put(d.o);
		return OUT_OF_MEMORY(e);
	}
	*ret = d.o;
	return 0;
}
