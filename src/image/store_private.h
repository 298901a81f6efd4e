/* Private to image: the open store and the helpers that its files share. */
#pragma once

#include "image.h"

struct store {
	char *root;
	int rootfd, lockfd; /* lockfd: ROOT/lock, opened by the first store_lock */
	enum store_lock lock;
	struct records *records;
};

/* "blobs/sha256/HEX" beneath oci; digest is checked. */
#define BLOB_PATH_LEN 80
int blob_path(const char *digest, char ret[BLOB_PATH_LEN], struct err *e);
/* A small blob (manifest, config) whose bytes hash to its digest. -ENOENT, -EBADMSG (damaged; the digest is named). */
#define BLOB_JSON_MAX (8u << 20)
/* Does that failure of reading mean that what is on the disk is no good, whenever it is read? */
bool blob_is_damage(int r);
int blob_read(int rootfd, const char *digest, char **ret_text, size_t *ret_len, struct err *e);

/* Rewrites ROOT/oci/index.json from the records (index_json.c). */
int index_json_write(struct store *s, struct err *e);
