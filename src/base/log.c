/* The log: one line per event to stderr or where log_to says, written with a single write() so that lines of several processes never mix. Its
 * settings are the only mutable file-scope state in Berth. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "log.h"
#include "str.h"

static struct {
	const char *program;
	enum log_level min;
	bool json;
	const char *kept; /* path of the file that also gets warnings and errors; NULL = none */
	size_t kept_max;
	int fd;
} settings = { .program = "berth", .min = LOG_WARN_, .fd = STDERR_FILENO };

static const char *const level_names[] = {
	[LOG_DEBUG_] = "debug",
	[LOG_INFO_] = "info",
	[LOG_WARN_] = "warning",
	[LOG_ERROR_] = "error",
};

void log_setup(const char *program, enum log_level min, bool json)
{
	settings.program = program;
	settings.min = min;
	settings.json = json;
}

void log_keep(const char *path, size_t max_bytes)
{
	settings.kept = path;
	settings.kept_max = max_bytes;
}

void log_to(int fd) { settings.fd = fd; }

bool log_enabled(enum log_level l) { return l >= settings.min; }

/* JSON string body; bytes that are no part of the printable ASCII range but valid anywhere stay as they are. */
static void add_json(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_fmt(b, "\\%c", *s);
		else if ((unsigned char)*s < 0x20 || *s == 0x7F)
			buf_fmt(b, "\\u%04x", (unsigned)(unsigned char)*s);
		else
			buf_add(b, s, 1);
	}
}

static void add_plain(struct buf *b, const char *s)
{
	for (; *s; s++)
		buf_add(b, (unsigned char)*s < 0x20 || *s == 0x7F ? "?" : s, 1);
}

/* The file is opened for each line: lines are rare, and a program that has nothing to say pays nothing. */
static void keep_line(enum log_level l, const char *subject, const char *text)
{
	_cleanup_buf_ struct buf line = { 0 };
	_cleanup_free_ char *older = str_fmt("%s.1", settings.kept);
	char stamp[RFC3339_LEN];
	struct stat st;
	const int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC;

	buf_fmt(&line, "%s %s: %s: ", clock_rfc3339(clock_real_ns(), stamp), level_names[l], subject);
	add_plain(&line, text);
	buf_str(&line, "\n");
	_cleanup_fd_ int fd = open(settings.kept, flags, 0600);
	if (fd < 0 || line.failed || !older || fstat(fd, &st) < 0)
		return;
	if (st.st_size > 0 && (size_t)st.st_size + line.len > settings.kept_max && rename(settings.kept, older) == 0) {
		fd_close(fd);
		fd = open(settings.kept, flags, 0600);
	}
	(void)fd_write_full(fd, line.data, line.len);
}

void log_write(enum log_level l, const char *subject, const char *fmt, ...)
{
	_cleanup_buf_ struct buf line = { 0 };
	int keep = errno;
	char text[1024], stamp[RFC3339_LEN];
	va_list ap;

	if (!log_enabled(l))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (settings.json) {
		buf_fmt(&line, "{\"level\":\"%s\",\"program\":\"%s\",\"subject\":\"%s\",\"msg\":\"", level_names[l],
			settings.program, subject);
		add_json(&line, text);
		buf_fmt(&line, "\",\"time\":\"%s\"}\n", clock_rfc3339(clock_real_ns(), stamp));
	} else {
		buf_fmt(&line, "%s: %s: ", settings.program, subject);
		if (l != LOG_INFO_)
			buf_fmt(&line, "%s: ", level_names[l]);
		add_plain(&line, text);
		buf_str(&line, "\n");
	}
	/* Nothing sensible can be done about a log that can't be written: it is where failures are told. */
	if (!line.failed)
		(void)fd_write_full(settings.fd, line.data, line.len);
	if (settings.kept && l >= LOG_WARN_)
		keep_line(l, subject, text);
	errno = keep;
}
