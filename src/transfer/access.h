/* access: how a registry is to be reached: what each deed with one is told by its caller, and the way there. */
#pragma once

#include "base.h"

#define ACCESS_STALL_MS 60000u /* without progress for so long a registry is given up */

struct credential;
struct http;
struct registry;

struct registry_access {
	bool plain_http, tls_skip_verify;
	uint64_t stall_ms;
	const char *ca_file, *ca_dir;             /* in place of the system's CAs, or NULL */
	int (*confine)(void *arg, struct err *e); /* of the process that talks to it, before its first byte; may be NULL */
	void *confine_arg;
};
/* Credentials -> confinement -> registry. path NULL: the registry as a whole. cred NULL: what the user's files have for it; else taken
 * over (zeroed). Also after a failure the caller closes the registry, and then frees *ret_http where it is not NULL. */
int registry_connect(const struct registry_access *a, const char *domain, const char *path, bool pushes, struct credential *cred,
		     struct registry *reg, struct http **ret_http, struct err *e);
