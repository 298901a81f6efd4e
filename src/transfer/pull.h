/* pull: the deed of `berth-transfer pull`. */
#pragma once

#include "access.h"
#include "transfer.h"

struct pull_request {
	const char *ref, *platform; /* platform: NULL = this host's */
	int rootfd, signalfd;       /* signalfd -1 = none */
	bool is_quiet;
	unsigned max_downloads, max_unpacks;
	struct registry_access access;
};
struct pull_answer {
	char *ref, *manifest_digest, *config_digest;
};
int pull(const struct pull_request *q, struct pull_answer *ret, struct err *e);
void pull_answer_done(struct pull_answer *a);
