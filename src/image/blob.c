/* Blobs of the store and the digests that name them. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "store_private.h"

int blob_path(const char *digest, char ret[BLOB_PATH_LEN], struct err *e)
{
	int r = digest_check(digest, e);

	if (r < 0)
		return r;
	snprintf(ret, BLOB_PATH_LEN, "blobs/sha256/%s", digest_hex(digest));
	return 0;
}

bool blob_is_damage(int r)
{
	return r == -EBADMSG || r == -EIO || r == -EUCLEAN || r == -ENODATA || r == -EINVAL || r == -EPROTO || r == -EFBIG ||
	       r == -EPROTONOSUPPORT;
}

int blob_read(int rootfd, const char *digest, char **ret_text, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char path[BLOB_PATH_LEN], is[DIGEST_LEN];
	size_t len;
	int r = blob_path(digest, path, e);

	if (r < 0)
		return r;
	_cleanup_fd_ int oci = openat(rootfd, "oci", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (oci < 0)
		return err_set(e, errno, "open the store's oci folder: %s", strerror(errno));
	if ((r = file_read(oci, path, BLOB_JSON_MAX, &text, &len)) < 0)
		return err_set(e, -r, "read blob %s: %s", digest, strerror(-r));
	sha256_digest_str(text, len, is);
	if (!streq(is, digest))
		return err_set(e, EBADMSG, "blob %s is damaged: its bytes hash to %s; pull the image again", digest, is);
	*ret_text = TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

int chain_id(const char *parent, const char *diff_id, char ret[DIGEST_LEN])
{
	char both[2 * DIGEST_LEN];

	if (!parent) {
		snprintf(ret, DIGEST_LEN, "%s", diff_id);
		return 0;
	}
	int n = snprintf(both, sizeof(both), "%s %s", parent, diff_id);
	if (n < 0 || (size_t)n >= sizeof(both))
		return -EINVAL;
	sha256_digest_str(both, (size_t)n, ret);
	return 0;
}
