/* fetch: what is at an address, as a stream, by a confined process of its own (import). */
#pragma once

#include "base.h"

struct fetch {
	int fd; /* of the bytes; the caller's to close */
	int reportfd;
	pid_t pid;
};
bool fetch_is_address(const char *s); /* http:// or https:// */
/* rootfd: the store, as of confine_transfer. */
int fetch_start(const char *url, int rootfd, struct fetch *ret, struct err *e);
/* Waits for its end; r and e: how the reader of the bytes fared. What was wrong with fetching goes before what that made of the bytes. */
int fetch_end(struct fetch *f, int r, struct err *e);
