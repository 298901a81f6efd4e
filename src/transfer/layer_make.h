/* layer_make: nodes become a layer of the store: a tar, hashed and compressed as it comes, unpacked and installed as a pulled one is.
 *
 *   child (confined to what it reads)  -- tar -->  this process: hash, gzip, hash --> nameless file in ROOT/tmp --> layer, blob
 *
 * The child parses what comes from outside; this process sees the bytes of its tar, and the store. */
#pragma once

#include "files_tar.h"
#include "image_archive.h"

/* Fills the sink, in the child; confines itself first. */
typedef int layer_fill(struct tar_sink *t, void *arg, struct err *e);

struct made_layer {
	struct item *item;        /* its blob, gzip; made_layer_done frees it */
	char diff_id[DIGEST_LEN]; /* of the tar */
};
/* is_overlay: nodes are an upper directory's: marks become whiteouts. progress: what to call it on the terminal, or NULL. */
int layer_make(int rootfd, layer_fill *fill, void *arg, bool is_overlay, const char *progress, struct made_layer *ret,
	       struct err *e);
void made_layer_done(struct made_layer *l);
