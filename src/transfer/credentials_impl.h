/* credentials_impl: what the files that know stored credentials share. */
#pragma once

#include "codec.h"
#include "credentials.h"

#define CREDENTIAL_FILE_MAX (1u << 20)
#define DOCKER_HUB_KEY      "https://index.docker.io/v1/" /* under which docker stores Docker Hub's */

/* A member that is a string and not empty, or NULL. */
const char *credential_text(struct json_object *o, const char *key);
bool credential_is_hub(const char *s, size_t n);
/* How well a key of `auths` fits: 0 = not, else more is better; path "": the registry as a whole. */
size_t credential_key_fits(const char *key, const char *domain, const char *path);
/* The files that are looked at, in order. -ENOMEM. strv_free *ret. */
int credential_files(char *const *env, char ***ret);
/* 1; 0: there is no such file, or nothing in it; -errno. Caller frees. */
int credential_file_text(const char *file, char **ret_text, size_t *ret_len, struct err *e);

/* ---- credential_helper.c: docker-credential-NAME, of the fixed program path. what: who asks for it, in messages ---- */
/* 1, 0 (it knows none), -errno */
int credential_helper_get(const char *name, const char *what, const char *domain, struct credential *c, struct err *e);
int credential_helper_store(const char *name, const char *what, const char *domain, const struct credential *c, struct err *e);
/* 0 as well where it knew none. */
int credential_helper_erase(const char *name, const char *what, const char *domain, struct err *e);
