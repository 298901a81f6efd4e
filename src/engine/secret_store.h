/* secrets: what containers are given without its standing anywhere that can be looked at: ROOT/secrets/NAME, one file each, 0600. */
#pragma once

#include "codec.h"

struct engine;

#define SECRET_MAX 512000 /* bytes, as podman's */

struct secret {
	char *id, *name;         /* 25 hex digits, as podman's */
	char *created, *updated; /* RFC 3339 */
	struct string_map labels;
	char *data; /* base64 */
};
void secret_done(struct secret *s);
struct secret_create_opts {
	const char *name;
	const void *data;
	size_t len;
	char *const *labels; /* "NAME=VALUE" */
	bool replaces;
};
/* Durable when it returns; *ret_id: caller frees. -EEXIST: "NAME: secret name in use". */
int engine_secret_create(struct engine *en, const struct secret_create_opts *o, char **ret_id, struct err *e);
/* By name; secrets_list_free it. */
int engine_secret_list(struct engine *en, struct secret **ret, size_t *ret_n, struct err *e);
/* The names alone, of the store at root; nothing is made or changed. Caller frees; NULL: there is none. */
int secret_names(const char *root, char ***ret, struct err *e);
void secret_list_free(struct secret *list, size_t n);
/* By name, id or the beginning of one. -ENOENT: "no secret with name or id ...". */
int engine_secret_get(struct engine *en, const char *name, struct secret *ret, struct err *e);
/* Podman's JSON, without what is secret unless shows. */
int engine_secret_inspect(struct engine *en, const char *name, bool shows, struct json_object **ret, struct err *e);
/* Containers keep theirs. *ret_id: caller frees. */
int engine_secret_remove(struct engine *en, const char *name, char **ret_id, struct err *e);
