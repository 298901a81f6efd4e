/* Credentials that the user stored with `berth login`, `docker login` or `podman login`. */
#pragma once

#include "base.h"

struct credential {
	char *user, *password; /* both or neither */
	char *identity_token;  /* OAuth2 refresh token, in place of a password */
	char *registry_token;  /* a bearer token to use as it is */
};
void credential_done(struct credential *c);
#define _cleanup_credential_ _cleanup_(credential_done)

/* Looks for what fits domain/path ("127.0.0.1:5000", "library/debian"), the first file that holds something wins:
 *   $REGISTRY_AUTH_FILE (then nothing else); ${XDG_RUNTIME_DIR}/containers/auth.json or /run/containers/UID/auth.json;
 *   ~/.config/containers/auth.json; $DOCKER_CONFIG/config.json or ~/.docker/config.json.
 * Within a file: credHelpers, then auths (longest matching key), then credsStore. A helper is docker-credential-NAME of the
 * fixed program path (spawn_find), asked with `get`, for at most 30 s. env: usually environ.
 * 1: found; 0: nothing stored; -errno: a file or helper is broken, e says which. */
int credential_find(const char *domain, const char *path, char *const *env, struct credential *ret, struct err *e);
/* ---- credential_store.c ---- */
struct credential_place {
	char *file, *helper; /* helper: who keeps the password in the file's place, or NULL */
};
void credential_place_done(struct credential_place *p);
/* Keeps user and password of the registry. *ret in any case to be done with. */
int credential_store(const char *domain, const struct credential *c, char *const *env, struct credential_place *ret,
		     struct err *e);
/* From every file that has them. */
int credential_erase(const char *domain, char *const *env, bool *ret_found, struct err *e);

/* One file's text (what: its name); 1, 0 or -errno. Helpers are started only through this. */
int credential_read(const char *text, size_t len, const char *what, const char *domain, const char *path, struct credential *ret,
		    struct err *e);
