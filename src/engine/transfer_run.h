/* transfer_run: the program that parses what comes from outside (berth-transfer), as one call. */
#pragma once

#include "engine_impl.h"

struct transfer_call {
	char *const *args;               /* behind "berth-transfer VERB --root ROOT" */
	const char *verb;                /* "pull", "load", "save", "copy"... */
	int stdin_fd;                    /* -1 = /dev/null */
	int output_fd;                   /* handed on as fd 3; -1 = none */
	int root_fd;                     /* of a container, handed on as fd 4; 0 or -1 = none */
	int stream_in_fd, stream_out_fd; /* from and to a guest, handed on as fds 7 and 8; likewise */
	int config_fd;                   /* a document, handed on as fd 6; likewise */
	int lower_fd;                    /* what is below its upper directory, handed on as fd 5; likewise */
	bool is_quiet;
};
/* The options of berth-transfer that say how it may speak to a registry. -ENOMEM. */
int transfer_trust_args(const struct registry_trust *t, char ***args);
/* Its result: the one JSON object that it wrote to fd 1. Its own error becomes e. */
int transfer_run(struct engine *en, const struct transfer_call *call, struct json_object **ret, struct err *e);
