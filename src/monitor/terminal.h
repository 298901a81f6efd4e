/* The user's terminal while a session is attached to it, and the keys that end the session. Private to monitor/. */
#pragma once

#include <termios.h>

#include "base.h"

struct terminal {
	int fd; /* -1 = not in use */
	struct termios before;
	bool is_raw;
};
/* Raw mode on fd, which must be a terminal. */
int terminal_raw(struct terminal *t, int fd);
/* As it was. Safe to call in any state. */
void terminal_restore(struct terminal *t);
void terminal_again(struct terminal *t); /* raw once more, after a stop */
int terminal_size(int fd, uint16_t *ret_rows, uint16_t *ret_cols);

#define DETACH_KEYS_MAX 16
struct detach_keys {
	uint8_t keys[DETACH_KEYS_MAX];
	size_t n, seen; /* seen: how many of them have just been typed and are held back */
};
/* "ctrl-p,ctrl-q", "a", "ctrl-@,x"; NULL = ctrl-p,ctrl-q; "" = none. -EINVAL names the part that is no key. */
int detach_keys_parse(const char *s, struct detach_keys *ret, struct err *e);
/* Filters what was typed: appends to out what is to be sent on. True = the whole sequence was typed. */
bool detach_keys_filter(struct detach_keys *d, const char *p, size_t n, struct buf *out);
