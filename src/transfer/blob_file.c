/* Small blobs in one piece, and the directories that transfers need. Called by pull.c. */
#include <unistd.h>

#include "download.h"

static int sha_dir(int rootfd, struct err *e)
{
	int fd = openat(rootfd, "oci/blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? err_set(e, errno, "open ROOT/oci/blobs/sha256: %s", strerror(errno)) : fd;
}

int blob_put(int rootfd, const char *digest, const char *text, size_t len, struct err *e)
{
	_cleanup_fd_ int dir = sha_dir(rootfd, e);
	int r;

	if (dir < 0)
		return dir;
	/* Not durable by itself: one syncfs ends the pull. */
	r = file_replace(dir, digest_hex(digest), text, len, 0644, false);
	return r < 0 ? err_set(e, -r, "write blob %s: %s", digest, strerror(-r)) : 0;
}

int blob_get(int rootfd, const char *digest, size_t max, char **ret_text, size_t *ret_len, struct err *e)
{
	_cleanup_fd_ int dir = sha_dir(rootfd, e);
	_cleanup_free_ char *text = NULL;
	char sum[DIGEST_LEN];
	size_t len;
	int r;

	if (dir < 0)
		return dir;
	r = file_read(dir, digest_hex(digest), max, &text, &len);
	if (r < 0)
		return err_set(e, -r, "read blob %s: %s", digest, strerror(-r));
	sha256_digest_str(text, len, sum);
	if (!streq(sum, digest))
		return err_set(e, EBADMSG, "blob %s is damaged: its bytes hash to %s", digest, sum);
	*ret_text = TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

int blob_dirs_make(int rootfd, struct err *e)
{
	static const char *const dirs[] = { "oci/blobs/sha256", "layers", "tmp" };
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}"; /* image-layout.md, "oci-layout file" */
	_cleanup_fd_ int oci = -1;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		r = mkdir_p(rootfd, dirs[i], 0700);
		if (r < 0)
			return err_set(e, -r, "make ROOT/%s: %s", dirs[i], strerror(-r));
	}
	oci = openat(rootfd, "oci", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (oci < 0)
		return err_set(e, errno, "open ROOT/oci: %s", strerror(errno));
	if (faccessat(oci, "oci-layout", F_OK, 0) == 0)
		return 0;
	r = file_replace(oci, "oci-layout", layout, sizeof(layout) - 1, 0644, false);
	return r < 0 ? err_set(e, -r, "write ROOT/oci/oci-layout: %s", strerror(-r)) : 0;
}
