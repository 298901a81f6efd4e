/* files_tar: tars as a source and a sink of nodes (files.h), by libarchive. */
#pragma once

#include "files.h"

/* Every entry of the tar in fd (plain, or compressed by gzip, bzip2, xz or zstd), named as it is there. -EBADMSG: no tar, or damaged. */
int files_untar(int fd, enum walk_xattrs xattrs, struct file_sink *s, struct err *e);

/* A tar, in pax format where plain ustar can't say it; the same nodes make the same bytes. */
struct archive;
struct tar_sink {
	struct file_sink base;
	struct archive *a;
	bool is_layer; /* overlay's whiteouts and opaque marks are written as OCI's; sockets left out as ever */
};
int tar_sink_init(struct tar_sink *t, int fd, struct err *e);
int tar_sink_finish(struct tar_sink *t, struct err *e);
void tar_sink_done(struct tar_sink *t);
