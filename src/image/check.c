/* store_check: everything at rest is read again: each blob against its name, each unpacked layer against its file list
 * (check_layer.c says what that finds), each image record against the blobs and layers it stands on. Nothing is repaired: a
 * damaged object is named, `rmi` and a new pull replace it. Runs under the shared lock, so nothing is collected meanwhile. */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "check_private.h"

void check_report(struct check *c, const char *fmt, ...)
{
	struct err e = { 0 }; /* escapes control bytes of hostile names */
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	err_set(&e, EBADMSG, "%s", n < 0 ? "out of memory" : text);
	if (n >= 0)
		free(text);
	c->problems++;
	if (c->cb)
		c->cb(e.msg, c->arg);
}

static void check_blob(struct check *c, int blobsfd, const char *name)
{
	static uint8_t buf[128 << 10];
	_cleanup_fd_ int fd = openat(blobsfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char is[DIGEST_LEN];
	struct sha256_ctx sha;
	ssize_t n;

	sha256_init(&sha);
	while (fd >= 0 && (n = fd_read_full(fd, buf, sizeof(buf))) > 0)
		sha256_update(&sha, (size_t)n, buf);
	if (fd < 0 || n < 0) {
		check_report(c, "blob %s: can't be read: %s", name, strerror(fd < 0 ? errno : (int)-n));
		return;
	}
	sha256_finish_str(&sha, is);
	if (!streq(digest_hex(is), name))
		check_report(c, "blob sha256:%s: its bytes hash to %s", name, is);
}

static void check_image(struct check *c, const struct image_record *rec)
{
	_cleanup_(manifest_done) struct manifest m = { 0 };
	_cleanup_free_ char *text = NULL;
	char path[BLOB_PATH_LEN + 8], sum[DIGEST_LEN];
	struct err e = { 0 };
	size_t len;

	sha256_digest_str(rec->config_json, strlen(rec->config_json), sum);
	if (!streq(sum, rec->id))
		check_report(c, "image %s: its recorded config has changed", rec->id);
	if (blob_read(c->s->rootfd, rec->manifest_digest, &text, &len, &e) < 0 || manifest_parse(text, len, NULL, &m, &e) < 0) {
		check_report(c, "image %s: %s", rec->id, e.msg);
		return;
	}
	for (size_t i = 0; i <= m.n_layers; i++) {
		const char *digest = i < m.n_layers ? m.layers[i].digest : m.config.digest;
		snprintf(path, sizeof(path), "oci/blobs/sha256/%s", digest_hex(digest));
		if (faccessat(c->s->rootfd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			check_report(c, "image %s: blob %s is missing", rec->id, digest);
	}
	for (size_t i = 0; rec->chain_ids && rec->chain_ids[i]; i++) {
		snprintf(path, sizeof(path), "layers/%s", digest_hex(rec->chain_ids[i]));
		if (faccessat(c->s->rootfd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			check_report(c, "image %s: layer %s is missing", rec->id, rec->chain_ids[i]);
	}
}

static int check_images(struct check *c, struct err *e)
{
	struct image_record *list = NULL;
	size_t n = 0;
	int r = records_image_list(c->s->records, &list, &n, e);

	for (size_t i = 0; i < n; i++) {
		check_image(c, &list[i]);
		image_record_done(&list[i]);
	}
	free(list);
	return r;
}

static int each(struct check *c, const char *folder, void (*fn)(struct check *, int, const char *), struct err *e)
{
	int fd = openat(c->s->rootfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d) {
		int no = errno;
		fd_close(fd);
		return err_set(e, no, "open %s/%s: %s", c->s->root, folder, strerror(no));
	}
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.')
			fn(c, dirfd(d), entry->d_name);
	closedir(d);
	return 0;
}

int store_check(struct store *s, void (*cb)(const char *problem, void *arg), void *arg, struct err *e)
{
	struct check c = { .s = s, .cb = cb, .arg = arg };
	enum store_lock before = s->lock;
	int r = store_lock(s, STORE_SHARED, e);

	if (r == 0)
		r = each(&c, "oci/blobs/sha256", check_blob, e);
	if (r == 0)
		r = each(&c, "layers", check_layer, e);
	if (r == 0)
		r = check_images(&c, e);
	struct err ignored = { 0 };
	store_lock(s, before, &ignored);
	return r < 0 ? r : c.problems;
}
