/* One record of container.log, parsed. Private to monitor/. */
#pragma once

#include "base.h"

#define LOG_LINE_MAX (256u << 10) /* a chunk of 16 KiB, each byte escaped as \u00XX, and the rest of the record */

struct log_line {
	char *text;
	size_t len;
	bool is_stderr;
	uint64_t time_ns;
};
/* line: without its newline. -EINVAL: no record, whole or torn. */
int log_line_parse(const char *line, size_t n, struct log_line *ret);
void log_line_done(struct log_line *l);
