/* pull: the deed of `berth-transfer pull`. */
#pragma once

#include "transfer.h"

#define PULL_STALL_MS 60000u /* without progress for so long a pull is given up */

struct pull_request {
	const char *ref, *platform; /* platform: NULL = this host's */
	int rootfd, signalfd;       /* signalfd -1 = none */
	bool plain_http, tls_skip_verify, is_quiet;
	uint64_t stall_ms;
	unsigned max_downloads, max_unpacks;
	const char *ca_file, *ca_dir;
	int (*confine)(void *arg, struct err *e); /* called before the first byte from the network; may be NULL */
	void *confine_arg;
};
struct pull_answer {
	char *ref, *manifest_digest, *config_digest;
};
int pull(const struct pull_request *q, struct pull_answer *ret, struct err *e);
void pull_answer_done(struct pull_answer *a);
