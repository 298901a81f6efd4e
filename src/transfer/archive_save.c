/* archive_save: images of the store as an OCI layout, in a directory or in one tar; with docker's manifest.json beside it where asked.
 * What is written is what the store holds, byte for byte; each blob is hashed again on its way out, so a damaged one never leaves
 * the house unnoticed. */
#include "image_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK    (256u << 10)
#define JSON_MAX (8u << 20)
#define REF_NAME "org.opencontainers.image.ref.name"

struct save {
	int rootfd, out;
	enum save_format format;
	struct archive *tar; /* NULL for a directory */
	char **done;         /* digests written */
	struct image_index index;
	struct json_object *docker;
};

/* libarchive's words alone ("Write error") don't say that the disk is full. */
static int archive_failed(struct archive *a, struct err *e)
{
	int no = archive_errno(a);

	return err_set(e, no > 0 ? no : EIO, "write the archive: %s", no > 0 ? strerror(no) : archive_error_string(a));
}

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "save: out of memory"); }

/* ---- one file of the result ---- */

static int tar_header(struct save *s, const char *path, mode_t type, uint64_t size, struct err *e)
{
	struct archive_entry *entry = archive_entry_new();

	if (!entry)
		return out_of_memory(e);
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, type == AE_IFDIR ? 0755 : 0644);
	archive_entry_set_size(entry, (la_int64_t)size);
	archive_entry_set_mtime(entry, 0, 0); /* the same images make the same archive */
	int k = archive_write_header(s->tar, entry);
	archive_entry_free(entry);
	return k == ARCHIVE_OK ? 0 : archive_failed(s->tar, e);
}

static int tar_data(struct save *s, const void *p, size_t n, struct err *e)
{
	return archive_write_data(s->tar, p, n) == (la_ssize_t)n ? 0 : archive_failed(s->tar, e);
}

static int write_text(struct save *s, const char *path, const char *text, struct err *e)
{
	int r;

	if (s->tar) {
		r = tar_header(s, path, AE_IFREG, strlen(text), e);
		return r < 0 ? r : tar_data(s, text, strlen(text), e);
	}
	r = file_replace(s->out, path, text, strlen(text), 0644, false);
	return r < 0 ? err_set(e, -r, "write %s: %s", path, strerror(-r)) : 0;
}

static int copy_blob(struct save *s, int from, int to, uint64_t size, char ret_digest[DIGEST_LEN], struct err *e)
{
	_cleanup_free_ uint8_t *buf = malloc(CHUNK);
	struct sha256_ctx sha;
	uint64_t left = size;
	int r = buf ? 0 : out_of_memory(e);

	sha256_init(&sha);
	while (r == 0 && left > 0) {
		ssize_t n = fd_read_full(from, buf, (size_t)MIN((uint64_t)CHUNK, left));
		if (n <= 0)
			return err_set(e, n < 0 ? (int)-n : EIO, "read a blob: %s",
				       n < 0 ? strerror((int)-n) : "it became shorter");
		sha256_update(&sha, (size_t)n, buf);
		left -= (uint64_t)n;
		if (s->tar)
			r = tar_data(s, buf, (size_t)n, e);
		else if ((r = fd_write_full(to, buf, (size_t)n)) < 0)
			err_set(e, -r, "write a blob: %s", strerror(-r));
	}
	sha256_finish_str(&sha, ret_digest);
	return r;
}

static int write_blob(struct save *s, const char *digest, struct err *e)
{
	char path[96], is[DIGEST_LEN];
	_cleanup_fd_ int from = -1, to = -1;
	struct stat st;
	int r;

	for (char **d = s->done; d && *d; d++)
		if (streq(*d, digest))
			return 0;
	snprintf(path, sizeof(path), "oci/blobs/sha256/%s", digest_hex(digest));
	from = openat(s->rootfd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 || fstat(from, &st) < 0)
		return err_set(e, errno, "blob %s is not in the store: %s", digest, strerror(errno));
	const char *name = path + strlen("oci/");
	if (s->tar)
		r = tar_header(s, name, AE_IFREG, (uint64_t)st.st_size, e);
	else if ((to = openat(s->out, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644)) < 0)
		r = err_set(e, errno, "create %s: %s", name, strerror(errno));
	else
		r = 0;
	if (r == 0)
		r = copy_blob(s, from, to, (uint64_t)st.st_size, is, e);
	if (r == 0 && !streq(is, digest))
		r = err_set(e, EBADMSG, "blob %s is damaged in the store: its bytes hash to %s; pull the image again", digest,
			    is);
	if (r == 0 && strv_push(&s->done, digest) < 0)
		r = out_of_memory(e);
	return r;
}

/* ---- the documents ---- */

static int read_manifest(struct save *s, const char *digest, struct manifest *m, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char path[96];
	int r = digest_check(digest, e);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "oci/blobs/sha256/%s", digest_hex(digest));
	if ((r = file_read(s->rootfd, path, JSON_MAX, &text, ret_len)) < 0)
		return err_set(e, -r, "manifest %s is not in the store: %s", digest, strerror(-r));
	r = manifest_parse(text, *ret_len, NULL, m, e);
	return r < 0 ? err_push(e, r, "manifest %s", digest) : 0;
}

static int add_to_index(struct save *s, const struct save_image *i, const struct manifest *m, size_t size, struct err *e)
{
	struct descriptor *more = reallocarray(s->index.manifests, s->index.n_manifests + 1, sizeof(*more));

	if (!more)
		return out_of_memory(e);
	s->index.manifests = more;
	struct descriptor *d = &more[s->index.n_manifests++];
	*d = (struct descriptor){ .size = size };
	d->media_type = strdup(m->media_type ? m->media_type : "application/vnd.oci.image.manifest.v1+json");
	d->digest = strdup(i->manifest_digest);
	if (!d->media_type || !d->digest || (*i->ref && map_set(&d->annotations, REF_NAME, i->ref) < 0))
		return out_of_memory(e);
	return 0;
}

static struct json_object *blob_name(const char *digest)
{
	char path[96];

	snprintf(path, sizeof(path), "blobs/sha256/%s", digest_hex(digest));
	return json_object_new_string(path);
}

/* One row of docker's manifest.json. */
static int add_to_docker(struct save *s, const struct save_image *i, const struct manifest *m, struct err *e)
{
	struct json_object *o = json_object_new_object(), *tags = json_object_new_array(), *layers = json_object_new_array();
	_cleanup_(ref_done) struct ref ref = { 0 };
	_cleanup_free_ char *name = NULL;

	if (*i->ref && ref_parse(i->ref, NULL, &ref, NULL) == 0 && ref.tag)
		name = ref_familiar(&ref);
	if (name)
		json_object_array_add(tags, json_object_new_string(name));
	for (size_t n = 0; n < m->n_layers; n++)
		json_object_array_add(layers, blob_name(m->layers[n].digest));
	if (!o || json_object_object_add(o, "Config", blob_name(m->config.digest)) < 0 ||
	    json_object_object_add(o, "RepoTags", tags) < 0 || json_object_object_add(o, "Layers", layers) < 0 ||
	    json_object_array_add(s->docker, o) < 0)
		return out_of_memory(e);
	return 0;
}

static int save_image(struct save *s, const struct save_image *i, struct err *e)
{
	_cleanup_(manifest_done) struct manifest m = { 0 };
	size_t size = 0;
	int r = read_manifest(s, i->manifest_digest, &m, &size, e);

	if (r == 0)
		r = write_blob(s, i->manifest_digest, e);
	if (r == 0)
		r = write_blob(s, m.config.digest, e);
	for (size_t n = 0; r == 0 && n < m.n_layers; n++)
		r = write_blob(s, m.layers[n].digest, e);
	if (r == 0)
		r = add_to_index(s, i, &m, size, e);
	return r < 0 || s->format != SAVE_DOCKER_ARCHIVE ? r : add_to_docker(s, i, &m, e);
}

static int write_documents(struct save *s, struct err *e)
{
	_cleanup_free_ char *index = NULL;
	int r;

	if (!(s->index.media_type = strdup("application/vnd.oci.image.index.v1+json")) || !(index = image_index_print(&s->index)))
		return out_of_memory(e);
	if ((r = write_text(s, "index.json", index, e)) < 0)
		return r;
	if (s->format == SAVE_DOCKER_ARCHIVE &&
	    (r = write_text(s, "manifest.json", json_object_to_json_string_ext(s->docker, JSON_C_TO_STRING_PLAIN), e)) < 0)
		return r;
	/* Last: its presence makes a directory a layout. */
	return write_text(s, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", e);
}

static int begin(struct save *s, struct err *e)
{
	int r;

	if (s->format == SAVE_OCI_DIR) {
		r = mkdir_p(s->out, "blobs/sha256", 0755);
		return r < 0 ? err_set(e, -r, "make blobs/sha256: %s", strerror(-r)) : 0;
	}
	if (!(s->tar = archive_write_new()))
		return out_of_memory(e);
	archive_write_set_format_pax_restricted(s->tar);
	archive_write_set_bytes_in_last_block(s->tar, 1);
	if (archive_write_open_fd(s->tar, s->out) != ARCHIVE_OK)
		return archive_failed(s->tar, e);
	if ((r = tar_header(s, "blobs/", AE_IFDIR, 0, e)) < 0)
		return r;
	return tar_header(s, "blobs/sha256/", AE_IFDIR, 0, e);
}

int archive_save(int rootfd, enum save_format format, const struct save_image *images, size_t n, int out, struct err *e)
{
	struct save s = { .rootfd = rootfd, .out = out, .format = format, .docker = json_object_new_array() };
	int r = s.docker ? begin(&s, e) : out_of_memory(e);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = save_image(&s, &images[i], e);
	if (r == 0)
		r = write_documents(&s, e);
	if (r == 0 && s.tar && archive_write_close(s.tar) != ARCHIVE_OK)
		r = archive_failed(s.tar, e);
	if (s.tar) {
		if (r < 0)
			archive_write_fail(s.tar);
		archive_write_free(s.tar);
	}
	json_object_put(s.docker);
	image_index_done(&s.index);
	strv_free(s.done);
	return r;
}
