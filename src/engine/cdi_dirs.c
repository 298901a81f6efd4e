/* cdi_dirs.c: the files of all directories, and the device of a name among them. A later directory's device goes before an earlier one's;
 * two of one directory are nobody's. A file that can't be used doesn't hinder the others, and is told. */
#include "cdi.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#define CDI_FILE_MAX  (4u << 20)
#define LISTED_BYTES  200 /* of names in an error, which has room for 504 */
#define PROBLEM_BYTES 160

void cdi_done(struct cdi *c)
{
	for (size_t i = 0; i < c->n; i++)
		cdi_file_done(&c->files[i]);
	free(c->files);
	strv_free(c->dirs);
	strv_free(c->wrong);
	strv_free(c->yaml);
	*c = (struct cdi){ 0 };
}

static int note_wrong(struct cdi *c, const char *path, const char *why, struct err *e)
{
	return strv_push_take(&c->wrong, str_fmt("%s: %s", path, why)) < 0 ? OUT_OF_MEMORY(e) : 0;
}

static int add_file(struct cdi *c, const struct cdi_file *f, struct err *e)
{
	struct cdi_file *grown = reallocarray(c->files, c->n + 1, sizeof(*grown));

	if (!grown)
		return OUT_OF_MEMORY(e);
	c->files = grown;
	grown[c->n++] = *f;
	return 0;
}

/* A pipe, say, would keep the reader for ever. */
static int read_text(const char *path, char **ret, size_t *ret_len)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? fd_read_all(fd, CDI_FILE_MAX, ret, ret_len) : S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
}

static int load_json(struct cdi *c, const char *path, size_t rank, struct err *e)
{
	_cleanup_(cdi_file_done) struct cdi_file f = { 0 };
	_cleanup_free_ char *text = NULL;
	struct err why = { 0 };
	size_t len = 0;
	int r = read_text(path, &text, &len);

	if (r == -EISDIR)
		return 0;
	if (r < 0)
		return note_wrong(c, path, r == -EINVAL ? "is not a file" : strerror(-r), e);
	r = cdi_file_parse(text, len, &f, &why);
	if (r < 0)
		return r == -ENOMEM ? OUT_OF_MEMORY(e) : note_wrong(c, path, why.msg, e);
	f.rank = rank;
	f.path = strdup(path);
	r = f.path ? add_file(c, &f, e) : OUT_OF_MEMORY(e);
	if (r >= 0)
		f = (struct cdi_file){ 0 };
	return r;
}

static int load_one(struct cdi *c, const char *dir, const char *name, size_t rank, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", dir, name);

	if (!path)
		return OUT_OF_MEMORY(e);
	if (str_ends(name, ".json"))
		return load_json(c, path, rank, e);
	return strv_push(&c->yaml, path) < 0 ? OUT_OF_MEMORY(e) : 0;
}

static int is_wanted(const struct dirent *d) { return str_ends(d->d_name, ".json") || str_ends(d->d_name, ".yaml"); }

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static int load_dir(struct cdi *c, const char *dir, size_t rank, struct err *e)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, is_wanted, by_name), r = 0;

	if (n < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "devices' files: %s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (r >= 0)
			r = load_one(c, dir, list[i]->d_name, rank, e);
		free(list[i]);
	}
	free(list);
	return r;
}

int cdi_load(char *const *dirs, struct cdi *ret, struct err *e)
{
	_cleanup_(cdi_done) struct cdi c = { .dirs = strv_copy(dirs) };
	int r = c.dirs ? 0 : OUT_OF_MEMORY(e);

	for (size_t i = 0; r >= 0 && dirs[i]; i++)
		r = load_dir(&c, dirs[i], i, e);
	if (r < 0)
		return r;
	*ret = c;
	c = (struct cdi){ 0 };
	return 0;
}

/* ---- finding ---- */

static const struct cdi_device *find_in(const struct cdi_file *f, const char *name)
{
	const char *device = str_after(name, f->kind);

	for (size_t i = 0; device && *device == '=' && i < f->n_devices; i++)
		if (streq(f->devices[i].name, device + 1))
			return &f->devices[i];
	return NULL;
}

/* Names of c, those of `kind` first, as far as there is room. */
static void list_devices(const struct cdi *c, const char *kind, struct buf *b)
{
	size_t more = 0;

	for (int own = 1; own >= 0; own--)
		for (size_t i = 0; i < c->n; i++) {
			const struct cdi_file *f = &c->files[i];
			for (size_t k = 0; (str_after(kind, f->kind) != NULL) == own && k < f->n_devices; k++) {
				if (b->len + strlen(f->kind) + strlen(f->devices[k].name) > LISTED_BYTES)
					more++;
				else
					buf_fmt(b, "%s%s=%s", b->len ? ", " : "", f->kind, f->devices[k].name);
			}
		}
	if (more)
		buf_fmt(b, " and %zu more", more);
}

/* The file that is most likely why. */
static void list_problems(const struct cdi *c, struct buf *b)
{
	if (c->wrong)
		buf_fmt(b, "; can't be used: %.*s", PROBLEM_BYTES, c->wrong[0]);
	else if (c->yaml)
		buf_fmt(b, "; %s is YAML, which is not read: write it as JSON (nvidia-ctk cdi generate --format=json)",
			c->yaml[0]);
}

static int not_found(const struct cdi *c, const char *name, struct err *e)
{
	_cleanup_buf_ struct buf dirs = { 0 }, list = { 0 }, problems = { 0 };

	for (char **d = c->dirs; *d; d++)
		buf_fmt(&dirs, "%s%s", d == c->dirs ? "" : d[1] ? ", " : " and ", *d);
	list_devices(c, name, &list);
	list_problems(c, &problems);
	if (dirs.failed || list.failed || problems.failed)
		return OUT_OF_MEMORY(e);
	return err_set(e, ENODEV, "device %s is not described in %s, where %s%s%s", name, dirs.data ? dirs.data : "no directory",
		       list.len ? "there are " : "there is none", list.len ? list.data : "", problems.len ? problems.data : "");
}

int cdi_find(const struct cdi *c, const char *name, const struct cdi_file **ret_file, const struct cdi_device **ret,
	     struct err *e)
{
	const struct cdi_file *best = NULL, *other = NULL;
	const struct cdi_device *device = NULL;

	for (size_t i = 0; i < c->n; i++) {
		const struct cdi_device *d = find_in(&c->files[i], name);
		if (!d)
			continue;
		other = best && best->rank == c->files[i].rank ? best : NULL;
		best = &c->files[i];
		device = d;
	}
	if (!best)
		return not_found(c, name, e);
	if (other)
		return err_set(e, EEXIST, "device %s is described twice, in %s and in %s: remove one of them", name, other->path,
			       best->path);
	*ret_file = best;
	*ret = device;
	return 0;
}
