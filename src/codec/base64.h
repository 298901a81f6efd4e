/* base64 (RFC 4648, section 4), for bytes inside JSON. */
#pragma once

#include "base.h"

/* malloc'd text, NULL on ENOMEM. */
char *base64_encode(const void *data, size_t n);
/* Strict: padding required, no white space, unused bits zero. Caller frees *ret (never NULL on success). -EINVAL. */
int base64_decode(const char *s, uint8_t **ret, size_t *ret_len);
