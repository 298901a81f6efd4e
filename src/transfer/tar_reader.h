/* tar_reader: a tar that comes from outside through a descriptor, read once from where it stands to the end, by libarchive. What its
 * entries may be is judged by who takes them. */
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include "base.h"

struct tar_reader {
	struct archive *a;
	int fd; /* not owned */
	int no; /* errno of a failed read, else 0 */
	uint8_t *buf;
};
/* filters: gzip, bzip2, xz and zstd are taken too; else the bytes are the tar. In any case to be done with. */
int tar_reader_open(struct tar_reader *t, int fd, bool filters, struct err *e);
/* 1: the next entry, libarchive's; 0: the end; else the errno that fits, negative, and archive_error_string says more. */
int tar_reader_next(struct tar_reader *t, struct archive_entry **ret);
/* Reads what stands behind the end of the archive. */
int tar_reader_drain(struct tar_reader *t, struct err *e);
void tar_reader_done(struct tar_reader *t);
