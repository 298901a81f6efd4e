/* The log of this process, to stderr. Libraries log at debug only; the program that owns the user reports once. */
#pragma once

#include "util.h"

enum log_level { LOG_DEBUG_, LOG_INFO_, LOG_WARN_, LOG_ERROR_ };

/* Set once, at the start of main. program is kept, not copied. */
void log_setup(const char *program, enum log_level min, bool json);
/* Warnings and errors are from now on also appended to the file path (kept, not copied), each with its time: for programs whose
 * stderr nobody sees. Made (0600) with the first line. Before it outgrows max_bytes it becomes path.1, which replaces an
 * older one. */
void log_keep(const char *path, size_t max_bytes);
/* Where lines go instead of standard error, which is 2; fd is kept, not owned. */
void log_to(int fd);
bool log_enabled(enum log_level l);
/* subject: a constant word such as "pull"; one line, "berth: pull: ..." or {"level":..,"subject":..,"msg":..,"time":..}. */
void log_write(enum log_level l, const char *subject, const char *fmt, ...) _printf_(3, 4);

#define log_debug(subject, ...)                                      \
	do {                                                         \
		if (log_enabled(LOG_DEBUG_))                         \
			log_write(LOG_DEBUG_, subject, __VA_ARGS__); \
	} while (0)
#define log_info(subject, ...)  log_write(LOG_INFO_, subject, __VA_ARGS__)
#define log_warn(subject, ...)  log_write(LOG_WARN_, subject, __VA_ARGS__)
#define log_error(subject, ...) log_write(LOG_ERROR_, subject, __VA_ARGS__)
