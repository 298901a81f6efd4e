/* vm_console: what a guest's kernel prints on its serial port. A guest may print without end (V16): only the last
 * CONSOLE_KEPT bytes are kept, and what is made of them for a person is one escaped line. */
#include <string.h>

#include "vm_impl.h"

void vm_console_add(struct vm_console *c, const char *p, size_t n)
{
	if (n > CONSOLE_KEPT) {
		p += n - CONSOLE_KEPT;
		n = CONSOLE_KEPT;
		c->is_full = true;
	}
	for (size_t done = 0; done < n;) {
		size_t part = MIN(n - done, CONSOLE_KEPT - c->at);

		memcpy(c->ring + c->at, p + done, part);
		done += part;
		c->at += part;
		if (c->at == CONSOLE_KEPT) {
			c->at = 0;
			c->is_full = true;
		}
	}
}

char *vm_console_text(const struct vm_console *c)
{
	struct buf b = { NULL };

	if (c->is_full)
		buf_add(&b, c->ring + c->at, CONSOLE_KEPT - c->at);
	buf_add(&b, c->ring, c->at);
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] == '\0')
			b.data[i] = ' ';
	if (!b.data)
		buf_str(&b, "");
	return buf_take(&b);
}

void vm_console_log(const struct vm_console *c)
{
	_cleanup_free_ char *text = log_enabled(LOG_DEBUG_) ? vm_console_text(c) : NULL;
	char *save = NULL;

	for (char *l = text ? strtok_r(text, "\r\n", &save) : NULL; l; l = strtok_r(NULL, "\r\n", &save))
		log_debug("console", "%s", l);
}

char *vm_console_reason(const char *text)
{
	static const struct {
		const char *mark, *says;
	} reasons[] = {
		{ "berth-init: ", "the guest could not be set up: " }, /* first: PID 1's end is a panic as well */
		{ "Kernel panic - not syncing: ", "the guest kernel panicked: " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		const char *s = strstr(text, reasons[i].mark);

		if (s) {
			s += strlen(reasons[i].mark);
			return str_fmt("%s%.*s", reasons[i].says, (int)MIN(strcspn(s, "\r\n"), 300u), s);
		}
	}
	return NULL;
}
