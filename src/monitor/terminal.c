/* Raw mode and detach keys. A key sequence is held back while it may still become the detach sequence, and sent as typed once
 * it can't. */
#include <sys/ioctl.h>

#include "terminal.h"

int terminal_raw(struct terminal *t, int fd)
{
	struct terminal found = { .fd = fd };

	if (tcgetattr(fd, &found.before) < 0)
		return -errno;
	*t = found;
	terminal_again(t);
	return t->is_raw ? 0 : -errno;
}

void terminal_again(struct terminal *t)
{
	struct termios raw = t->before;

	cfmakeraw(&raw);
	t->is_raw = tcsetattr(t->fd, TCSANOW, &raw) == 0;
}

void terminal_restore(struct terminal *t)
{
	if (!t->is_raw)
		return;
	/* The other side may have hung up: nothing is left to restore then. */
	(void)tcsetattr(t->fd, TCSANOW, &t->before);
	t->is_raw = false;
}

int terminal_size(int fd, uint16_t *ret_rows, uint16_t *ret_cols)
{
	struct winsize ws;

	if (ioctl(fd, TIOCGWINSZ, &ws) < 0)
		return -errno;
	*ret_rows = ws.ws_row;
	*ret_cols = ws.ws_col;
	return 0;
}

/* One key: a letter, digit or sign by itself, or ctrl-X with X of a-z @ [ \ ] ^ _ (ASCII's columns 4 and 5). */
static int parse_key(const char *s, uint8_t *ret)
{
	const char *c = str_after(s, "ctrl-");

	if (!c)
		return s[0] > ' ' && s[0] < 0x7F && !s[1] ? (*ret = (uint8_t)s[0], 0) : -EINVAL;
	char up = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
	if (up < '@' || up > '_' || c[1])
		return -EINVAL;
	*ret = (uint8_t)(up - '@');
	return 0;
}

int detach_keys_parse(const char *s, struct detach_keys *ret, struct err *e)
{
	struct detach_keys d = { 0 };

	if (!s)
		s = "ctrl-p,ctrl-q";
	_cleanup_strv_ char **parts = *s ? strv_split(s, ',') : NULL;
	if (*s && !parts)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; parts && parts[i]; i++) {
		if (d.n == DETACH_KEYS_MAX)
			return err_set(e, EINVAL, "detach keys \"%s\": more than %d", s, DETACH_KEYS_MAX);
		if (parse_key(parts[i], &d.keys[d.n++]) < 0)
			return err_set(
				e, EINVAL,
				"detach keys \"%s\": \"%s\" is not a key: give a character, or ctrl- and one of a-z @ [ \\ ] ^ _",
				s, parts[i]);
	}
	*ret = d;
	return 0;
}

bool detach_keys_filter(struct detach_keys *d, const char *p, size_t n, struct buf *out)
{
	if (d->n == 0) {
		buf_add(out, p, n);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)p[i];
		/* The longest tail of what was held back, with this key, that begins the sequence anew; the rest goes out. */
		while (d->seen > 0 && c != d->keys[d->seen]) {
			size_t shift = 1;
			while (shift < d->seen && memcmp(d->keys, d->keys + shift, d->seen - shift) != 0)
				shift++;
			buf_add(out, d->keys, shift);
			d->seen -= shift;
		}
		if (c != d->keys[d->seen]) {
			buf_add(out, &p[i], 1);
		} else if (++d->seen == d->n) {
			d->seen = 0;
			return true;
		}
	}
	return false;
}
