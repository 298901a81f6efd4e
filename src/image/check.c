/* store_check: everything at rest is read again: each blob against its name, each unpacked layer against its file list
 * (check_layer.c says what that finds), each image record against the blobs and layers it stands on (check_images.c).
 *
 * Without repair it runs under the shared lock, so that nothing is collected meanwhile, and changes nothing. With it, it has the store
 * for itself: a damaged blob or layer is moved out of its place and removed, guests' disks made of the layer too. What is not there
 * is what a pull or load brings, so that either makes the image whole. A layer that a running container stands on stays. */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "check_private.h"

void check_begin(struct check *c, const char *kind, const char *name, char **users)
{
	c->n++;
	c->kind = kind;
	c->name = name;
	strv_free(c->needed_by);
	c->needed_by = users;
	c->problems = 0;
	c->will_be_set_aside = c->is_held = false;
	if (c->o->progress)
		c->o->progress(MIN(c->n, c->of), c->of, name, c->o->arg);
}

void check_report(struct check *c, const char *fmt, ...)
{
	const char *image = c->needed_by ? c->needed_by[0] : NULL;
	_cleanup_free_ char *remedy = NULL;
	struct err e = { 0 }; /* escapes control bytes of hostile names */
	va_list ap;

	va_start(ap, fmt);
	(void)err_vset(&e, EBADMSG, fmt, ap);
	va_end(ap);
	if (image)
		remedy = str_fmt("`berth pull %s` repairs it, if that is where it came from; else load it again", image);
	const struct check_finding f = { .kind = c->kind,
					 .name = c->name,
					 .problem = e.msg,
					 .images = c->needed_by,
					 .remedy = remedy,
					 .is_set_aside = c->will_be_set_aside,
					 .is_held = c->is_held,
					 .is_repaired = c->will_be_set_aside && !image };
	if (c->problems++ == 0) /* out of memory: it may be told twice */
		strv_push_take(&c->told, str_fmt("%c%s", *c->kind, c->name));
	c->remaining += !f.is_repaired;
	if (c->o->found)
		c->o->found(&f, c->o->arg);
}

void check_unreadable(struct check *c, int no, const char *what)
{
	if (blob_is_damage(-no) || no == ENOENT || no == ENOTDIR || no == ELOOP)
		check_report(c, "%s%scan't be read: %s", what, *what ? ": " : "", strerror(no));
	else if (!c->failed.no)
		err_set(&c->failed, no, "read %s %s: %s%s%s", c->kind, c->name, what, *what ? ": " : "", strerror(no));
}

/* Nothing is set aside that could not be read to its end for a reason of the moment. */
static int outcome(struct check *c, struct err *e)
{
	if (c->failed.no && e)
		*e = c->failed;
	return c->failed.no ? -c->failed.no : 0;
}

bool check_is_told(const struct check *c, const char *kind, const char *name)
{
	for (char **t = c->told; t && *t; t++)
		if (**t == *kind && streq(*t + 1, name))
			return true;
	return false;
}

/* ---- setting aside ---- */

/* Out of its place at once, so that half of a layer never stands under its name; then away. */
static int set_aside(struct check *c, const char *folder, const char *hex, struct err *e)
{
	char from[100], to[100];

	snprintf(from, sizeof(from), "%s/%.64s", folder, hex);
	snprintf(to, sizeof(to), "tmp/damaged-%.64s", hex);
	int r = rm_rf(c->s->rootfd, to); /* of an earlier check that was killed */
	if (r == 0 && renameat(c->s->rootfd, from, c->s->rootfd, to) < 0)
		r = -errno;
	if (r == 0)
		r = rm_rf(c->s->rootfd, to);
	return r < 0 ? err_set(e, -r, "remove the damaged %s/%s: %s", c->s->root, from, strerror(-r)) : 0;
}

/* ---- blobs and layers ---- */

static int check_blob(struct check *c, int blobsfd, const char *name, struct err *e)
{
	static uint8_t buf[128 << 10];
	char is[DIGEST_LEN], digest[DIGEST_LEN];
	struct sha256_ctx sha;
	ssize_t n = 0;

	snprintf(digest, sizeof(digest), "sha256:%.64s", name);
	if (!check_wants_blob(c, digest))
		return 0;
	check_begin(c, "blob", digest, check_blob_users(c, digest));
	c->will_be_set_aside = c->o->repair;
	_cleanup_fd_ int fd = openat(blobsfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	sha256_init(&sha);
	while (fd >= 0 && (n = fd_read_full(fd, buf, sizeof(buf))) > 0)
		sha256_update(&sha, (size_t)n, buf);
	if (fd < 0 || n < 0) {
		check_unreadable(c, fd < 0 ? errno : (int)-n, "");
	} else {
		sha256_finish_str(&sha, is);
		if (!streq(digest_hex(is), name))
			check_report(c, "its bytes hash to %s", is);
	}
	int r = outcome(c, e);
	if (r == 0 && c->problems && c->will_be_set_aside)
		r = set_aside(c, "oci/blobs/sha256", name, e);
	c->name = NULL;
	return r;
}

static bool is_held(const struct check *c, const char *chain)
{
	for (char *const *h = c->o->held; h && *h; h++)
		if (streq(*h, chain))
			return true;
	return false;
}

static int check_chain(struct check *c, int layersfd, const char *name, const char *chain, struct err *e)
{
	int r;

	check_begin(c, "layer", chain, check_layer_users(c, chain));
	c->is_held = c->o->repair && is_held(c, chain);
	c->will_be_set_aside = c->o->repair && !c->is_held;
	check_layer(c, layersfd, name);
	if ((r = outcome(c, e)) < 0 || !c->problems || !c->o->repair)
		return r;
	if (!c->will_be_set_aside) {
		check_report(c, "a running container stands on it: stop that first, then repair");
		return 0;
	}
	r = check_drop_disks(c, chain, e);
	return r < 0 ? r : set_aside(c, "layers", name, e);
}

static int check_one_layer(struct check *c, int layersfd, const char *name, struct err *e)
{
	char chain[DIGEST_LEN];
	int r = 0;

	snprintf(chain, sizeof(chain), "sha256:%.64s", name);
	if (check_wants_layer(c, chain))
		r = check_chain(c, layersfd, name, chain, e);
	c->name = NULL;
	return r;
}

/* fn NULL: only counts. */
static int each(struct check *c, const char *folder, int (*fn)(struct check *, int, const char *, struct err *), struct err *e)
{
	int fd = openat(c->s->rootfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d) {
		int no = errno;
		fd_close(fd);
		return err_set(e, no, "open %s/%s: %s", c->s->root, folder, strerror(no));
	}
	while (r >= 0 && (errno = 0, entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		if (fn)
			r = fn(c, dirfd(d), entry->d_name, e);
		else
			c->of++;
	}
	if (r >= 0 && errno)
		r = err_set(e, errno, "read %s/%s: %s", c->s->root, folder, strerror(errno));
	closedir(d);
	return r;
}

/* ---- all ---- */

static int check_all(struct check *c, struct err *e)
{
	static const char blobs[] = "oci/blobs/sha256", layers[] = "layers";
	int r = check_images_read(c, e);

	if (r >= 0)
		r = each(c, blobs, NULL, e);
	if (r >= 0)
		r = each(c, layers, NULL, e);
	c->of += c->n_images;
	if (c->only) /* how many of them are this image's is not known beforehand */
		c->of = 0;
	if (r >= 0)
		r = each(c, blobs, check_blob, e);
	if (r >= 0)
		r = each(c, layers, check_one_layer, e);
	if (r >= 0)
		check_images(c);
	return r < 0 ? r : outcome(c, e);
}

int store_check(struct store *s, const struct check_opts *o, struct err *e)
{
	struct check c = { .s = s, .o = o };
	enum store_lock before = s->lock;
	struct err ignored = { 0 };
	int r = store_lock(s, o->repair ? STORE_EXCLUSIVE : before == STORE_UNLOCKED ? STORE_SHARED : before, e);

	if (r == 0)
		r = check_all(&c, e);
	check_images_done(&c);
	strv_free(c.needed_by);
	strv_free(c.told);
	if (s->lock != before && before != STORE_EXCLUSIVE)
		store_lock(s, before, &ignored);
	return r < 0 ? r : c.remaining;
}
