/* secrets.json, beside launch.json: the container's copy of what its secrets were when it was made, the only place of the bundle that
 * holds it. 0600. Writer: the engine, once; reader: the monitor, at each start. */
#pragma once

#include "launch.h"

#define SECRETS_FILE    "secrets.json"
#define SECRETS_VERSION 1

/* A variable; value in base64. */
struct secret_env {
	char *name, *value;
};
struct secrets {
	uint32_t version;
	struct launch_file *files; /* is_base64 */
	size_t n_files;
	struct secret_env *env;
	size_t n_env;
};
int secrets_parse(const char *text, size_t len, struct secrets *ret, struct err *e);
struct json_object *secrets_json(const struct secrets *s);
/* What is secret is wiped before it is freed. */
void secrets_done(struct secrets *s);
