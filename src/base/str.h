/* Strings: formatted copies, NULL-terminated vectors, one growable buffer. */
#pragma once

#include <stdarg.h>
#include <string.h>

#include "util.h"

static inline bool streq(const char *a, const char *b) { return strcmp(a, b) == 0; }
static inline bool streq0(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }
/* The rest of s behind prefix, or NULL. */
const char *str_after(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* malloc'd printf; NULL on ENOMEM. */
char *str_fmt(const char *fmt, ...) _printf_(1, 2) _warn_unused_;

/* Strict decimal: the whole of s, no sign, no space. -EINVAL or -ERANGE. */
int str_to_u64(const char *s, uint64_t *ret_v);
int str_to_i64(const char *s, int64_t *ret_v);
/* "512", "64k", "1.5g", "2GiB": bytes, binary multiples as docker reads them. -EINVAL, -ERANGE. */
int str_to_bytes(const char *s, uint64_t *ret_bytes);
/* "90s", "1m30s", "100ms", "1h"; a bare number is seconds. */
int str_to_duration_ms(const char *s, uint64_t *ret_ms);
/* 12345678 -> "12.3MB", as docker prints images' sizes (decimal units, three digits) into buf; returns buf. */
char *str_human_size(uint64_t bytes, char buf[16]);
/* Bytes (1..4) of the well-formed UTF-8 sequence at the start of s[0..n), n > 0; 0 = ill-formed; -1 = cut short. */
int utf8_len(const void *s, size_t n);
/* Text from outside as one that can't drive a terminal: control bytes become '?' (R21). In place; returns s. */
char *text_defuse(char *s);
char *str_hex(const void *data, size_t n, char *ret_2n1);
/* "02:42:0a:4d:00:02", the hardware address of one station, not of many. -EINVAL. */
int str_to_mac(const char *s, uint8_t ret_mac[6]);

/* strv: NULL-terminated array of malloc'd strings; NULL is the empty one. */
size_t strv_len(char *const *v);
int strv_push(char ***v, const char *s); /* copies s; -ENOMEM */
int strv_push_take(char ***v, char *s);  /* owns s even on failure; NULL s = -ENOMEM */
int strv_push_option(char ***v, const char *option,
		     char *value); /* "--name" and its value, which it owns as strv_push_take does */
char **strv_copy(char *const *v);
char **strv_split(const char *s, char sep); /* empty s -> one empty string */
void strv_free(char **v);
DEFINE_CLEANUP(char **, strv_free)
#define _cleanup_strv_ _cleanup_(strv_free_ptr)

/* Environment vectors "NAME=value": value of NAME or NULL; set replaces or appends. */
const char *env_get(char *const *env, const char *name);
int env_set(char ***env, const char *name_eq_value);

/* buf: growable bytes; zero-initialised is empty. data is always NUL-terminated when non-NULL. After a failed append
 * `failed` stays set and further appends do nothing, so a chain of appends needs one check at its end. */
struct buf {
	char *data;
	size_t len, cap;
	bool failed;
};
void buf_add(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_fmt(struct buf *b, const char *fmt, ...) _printf_(2, 3);
/* Room for n more bytes behind data + len, for the caller to fill and to add to len; NULL when there is no memory (failed is set). */
char *buf_room(struct buf *b, size_t n);
void buf_consume(struct buf *b, size_t n); /* drops n bytes from the front */
void buf_done(struct buf *b);
char *buf_take(struct buf *b); /* the string, caller frees; NULL when failed; resets b */
#define _cleanup_buf_ _cleanup_(buf_done)
