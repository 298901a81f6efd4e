/* draft: a file that grows without a name and appears whole; who is killed meanwhile leaves nothing. Where the file system has no such
 * files it grows under another name. */
#pragma once

#include <sys/types.h>

struct draft {
	int fd;
	const char *path; /* borrowed */
	char *temp;       /* NULL: without a name */
};
/* Beside path. -errno; draft_done it in any case. */
int draft_open(struct draft *d, const char *path);
/* It is the file at path now, in the place of an older one. */
int draft_keep(struct draft *d, mode_t mode);
/* What was not kept goes. */
void draft_done(struct draft *d);

/* Removes temporary files of file_replace's for that name, of processes that were killed. */
int file_replace_sweep(int dirfd, const char *name);
