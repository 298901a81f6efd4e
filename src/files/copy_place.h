/* copy_place: where a path of `cp` leads, and what docker's rules make of two of them. */
#pragma once

#include <sys/stat.h>

#include "base.h"

/* One end of a copy. Its last component is known by the directory that it is in, so that it can be made or replaced there. */
struct place {
	char *path;       /* absolute and cleaned, for messages */
	int dirfd;        /* O_PATH, of the parent */
	char *name;       /* in it; "." = dirfd itself */
	char *base;       /* as the user has called it: what a copy of it is named */
	bool exists;      /* then: */
	struct stat st;   /* lstat */
	bool asserts_dir; /* ended in "/" or "/.": it must be a directory */
	bool is_content;  /* ended in "/.", or is the root: what is in it is meant */
};
/* rootfd: what "/" is (resolved by root_open); -1: this host's, and relative paths begin at the working directory. follow: a symlink
 * at the end too (one with a "/" behind it always is). One that is not there is no error as long as its directory is: -ENOENT. */
int place_open(struct place *p, int rootfd, const char *path, bool follow, struct err *e);
void place_done(struct place *p);
/* "/a/b" of base (absolute) and path (which may be absolute): without "..", "." and empty components; caller frees; NULL: no memory. */
char *path_absolute(const char *base, const char *path);

/* O_PATH: it itself, a directory, not followed; or (is_into false) the directory that it is in. -> fd */
int place_open_dir(const struct place *p, bool is_into, struct err *e);

/* What goes where. */
struct copy_plan {
	bool is_into;   /* into the destination, which is a directory; else beside it, in its parent */
	const char *as; /* the name that the top gets there; "" = only what is in it goes there. Borrowed from the places */
};
int copy_plan(const struct place *src, const struct place *dst, struct copy_plan *ret, struct err *e);
