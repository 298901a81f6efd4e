/* docker_json: building Docker's JSON shapes. A doc is one object being filled; after a failed allocation `failed` stays set
 * and further calls do nothing, so a whole document needs one check at its end. Empty lists become null where docker has null. */
#pragma once

#include "engine_impl.h"

struct doc {
	struct json_object *o; /* owned by the parent, or by who called doc_new */
	bool *failed;
};
struct doc doc_new(bool *failed);
struct doc doc_sub(struct doc d, const char *key);
void doc_put(struct doc d, const char *key, struct json_object *v); /* takes v; NULL = out of memory */
void doc_null(struct doc d, const char *key);
void doc_text(struct doc d, const char *key, const char *s); /* "" for NULL */
void doc_bool(struct doc d, const char *key, bool b);
void doc_int(struct doc d, const char *key, int64_t v);                  /* 0 for SPEC_UNSET */
void doc_time(struct doc d, const char *key, uint64_t real_ns);          /* "0001-01-01T00:00:00Z" for 0 */
void doc_list(struct doc d, const char *key, char *const *v);            /* null for none */
void doc_set(struct doc d, const char *key, char *const *keys);          /* {"80/tcp":{}}; left out for none */
void doc_map(struct doc d, const char *key, const struct string_map *m); /* {} for none */

/* devices.c: the list Devices: what --device was given, but for vendors' names. */
void devices_inspect(struct doc d, const struct run_opts *o);
/* secret_plan.c: the list Secrets, where --secret was given: names, and where they are; never what is secret. */
void secrets_inspect(struct doc d, const struct run_opts *o);
