/* Private to load: what an archive or a directory holds, by path. Everything is taken in once, hashed on the way; large items lie in
 * nameless files beneath ROOT/tmp, which go away with the process. */
#pragma once

#include "unpack_private.h"

struct item {
	char *path, *link; /* cleaned; link: the path that it stands for (hard and symbolic links), else NULL */
	uint64_t size;
	char digest[DIGEST_LEN];
	char *data; /* small ones; NUL behind the end */
	int fd;     /* large ones; -1 */
};
struct source {
	int rootfd, dirfd; /* dirfd: of a directory, items are taken in when asked for; -1 for an archive */
	const struct unpack_limits *lim;
	struct item **items;
	size_t n;
	uint64_t bytes;
};
int source_open(struct source *s, int rootfd, int in, const struct unpack_limits *lim, struct err *e);
void source_done(struct source *s);
/* The item at path, links followed. *ret NULL when there is none. */
int source_find(struct source *s, const char *path, struct item **ret, struct err *e);
/* "blobs/sha256/HEX", whose bytes must hash to digest (-EBADMSG) and be there (-ENOENT). */
int source_blob(struct source *s, const char *digest, struct item **ret, struct err *e);
/* The text of an item that is a JSON document: -EFBIG when it is too large to be one. */
int item_text(const struct item *i, const char **ret, struct err *e);
/* Puts the item into ROOT/oci/blobs/sha256 under its digest, in place of what is there. */
int item_store(struct source *s, struct item *i, struct err *e);
