/* progress.c: what is being done, on standard error: on a terminal one line that changes, elsewhere a line each. */
#include <stdarg.h>
#include <stdio.h>

#include "measure_impl.h"

void progress(struct measure *m, const char *fmt, ...)
{
	va_list ap;

	if (m->o->is_quiet)
		return;
	fputs(m->is_terminal ? "\r\033[K" : "berth compare: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (!m->is_terminal)
		fputc('\n', stderr);
	fflush(stderr);
}

void progress_end(struct measure *m)
{
	if (!m->o->is_quiet && m->is_terminal)
		fputs("\r\033[K", stderr);
}
