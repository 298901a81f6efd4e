/* SHA-256 through nettle, and digests as the OCI image spec writes them: "sha256:" + 64 lower-case hex digits. */
#pragma once

#include <nettle/sha2.h>

#include "base.h"

#define DIGEST_LEN 72 /* with the NUL */
void sha256_digest_str(const void *p, size_t n, char ret[DIGEST_LEN]);
void sha256_finish_str(struct sha256_ctx *ctx, char ret[DIGEST_LEN]);
/* Exactly that form; anything else, sha512 and path tricks included, is -EINVAL. Check BEFORE a file is named from it. */
int digest_check(const char *s, struct err *e);
/* The 64 hex digits of a checked digest. */
static inline const char *digest_hex(const char *d) { return d + 7; }
