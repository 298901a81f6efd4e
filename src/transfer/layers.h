/* layers: all layers of an image at once: downloaded, and unpacked while they are being downloaded. */
#pragma once

#include "download.h"
#include "progress.h"
#include "transfer.h"

struct layers_opts {
	struct registry *reg;
	int rootfd;
	int signalfd; /* readable = the user wants us to stop; -1 = none */
	unsigned max_downloads, max_unpacks;
	const struct unpack_limits *limits;
	struct progress *progress; /* one row a layer */
};
/* descs and diff_ids: n of each, lowest layer first. On success all blobs and unpacked layers are in place (not synced). On
 * failure what is whole stays, downloads stay as .part, unpacks are removed. */
int layers_fetch(const struct layers_opts *o, const struct descriptor *descs, char *const *diff_ids, size_t n, struct err *e);
/* Removes unpacks whose process died. Run at the start of a pull. */
void layers_sweep(int rootfd);
