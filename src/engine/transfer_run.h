/* transfer_run: the program that parses what comes from outside (berth-transfer), as one call. */
#pragma once

#include "engine_impl.h"

struct transfer_call {
	char *const *args; /* behind "berth-transfer VERB --root ROOT" */
	const char *verb;  /* "pull", "load", "save" */
	int stdin_fd;      /* -1 = /dev/null */
	int output_fd;     /* handed on as fd 3; -1 = none */
	bool is_quiet;
};
/* Its result: the one JSON object that it wrote to fd 1. Its own error becomes e. */
int transfer_run(struct engine *en, const struct transfer_call *call, struct json_object **ret, struct err *e);
