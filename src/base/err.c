/* The error type's writers. They format into a local buffer first, because arguments may point into e->msg itself
 * (err_set(e, EIO, "...: %s", e->msg)), and they allocate nothing, so they are safe between clone() and exec(). */
#include <stdio.h>
#include <string.h>

#include "err.h"

/* Here they are defined, so the analyzer must see the functions themselves. */
#undef err_set
#undef err_set_exit
#undef err_push

/* Cuts a UTF-8 sequence that truncation has left incomplete at the end of s[0..n). */
static void trim_partial_utf8(char *s, size_t n)
{
	size_t i = n, back = 0;

	while (i > 0 && back < 3 && ((unsigned char)s[i - 1] & 0xC0) == 0x80)
		i--, back++;
	if (i == 0)
		return;
	unsigned char lead = (unsigned char)s[i - 1];
	size_t need = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
	if (need > back)
		s[i - 1] = '\0';
}

/* C0 controls, DEL, and the C1 controls in their UTF-8 form (0xC2 0x80..0x9F), all of which terminals may obey. */
static void escape_controls(char *s)
{
	for (unsigned char *p = (unsigned char *)s; *p; p++) {
		if (*p < 0x20 || *p == 0x7F)
			*p = '?';
		else if (p[0] == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F)
			p[0] = p[1] = '?';
	}
}

/* text: what snprintf left in a buffer as large as e->msg when it wanted to write `wanted` bytes. */
static void set_message(struct err *e, const char *text, size_t wanted)
{
	size_t n = MIN(wanted, sizeof(e->msg) - 1);

	memcpy(e->msg, text, n);
	e->msg[n] = '\0';
	if (wanted > n)
		trim_partial_utf8(e->msg, n);
	escape_controls(e->msg);
}

static int err_set_v(struct err *e, int exit_status, int no, const char *fmt, va_list ap)
{
	char text[ERR_MSG_LEN];
	int n;

	if (no <= 0)
		no = EINVAL;
	if (!e)
		return -no;
	n = vsnprintf(text, sizeof(text), fmt, ap);
	set_message(e, text, n > 0 ? (size_t)n : 0);
	e->no = no;
	e->exit = exit_status;
	return -no;
}

int err_vset(struct err *e, int no, const char *fmt, va_list ap) { return err_set_v(e, 0, no, fmt, ap); }

int err_set(struct err *e, int no, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int r = err_set_v(e, 0, no, fmt, ap);
	va_end(ap);
	return r;
}

int err_set_exit(struct err *e, int exit_status, int no, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int r = err_set_v(e, exit_status, no, fmt, ap);
	va_end(ap);
	return r;
}

int err_push(struct err *e, int r, const char *fmt, ...)
{
	char old[ERR_MSG_LEN], text[ERR_MSG_LEN];
	va_list ap;
	int n;

	if (r >= 0)
		r = -EINVAL;
	if (!e)
		return r;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	size_t len = n > 0 ? MIN((size_t)n, sizeof(text) - 1) : 0;
	memcpy(old, e->msg, sizeof(old));
	old[sizeof(old) - 1] = '\0';
	int m = snprintf(text + len, sizeof(text) - len, ": %s", old[0] ? old : strerror(-r));
	set_message(e, text, len + (m > 0 ? (size_t)m : 0));
	if (e->no <= 0)
		e->no = -r;
	return r;
}
