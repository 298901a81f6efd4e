/* push: the deed of `berth-transfer push`. */
#pragma once

#include "access.h"
#include "transfer.h"

/* What the registry may have already: an image of the store that has a name in another repository of it. */
struct push_sibling {
	const char *path, *manifest_digest; /* "library/debian" */
};
struct push_request {
	const char *ref, *manifest_digest; /* where to, and which image of the store */
	const struct push_sibling *siblings;
	size_t n_siblings;
	int rootfd, signalfd; /* signalfd -1 = none */
	bool is_quiet;
	unsigned max_uploads;
	struct registry_access access;
};
struct push_answer {
	char *ref;
	uint64_t bytes; /* of the manifest, whose digest is what was asked for */
};
int push(const struct push_request *q, struct push_answer *ret, struct err *e);
void push_answer_done(struct push_answer *a);
