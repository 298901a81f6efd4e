/* The writer of container.log: docker's json-file format, one JSON object a line, rotated by size. Private to monitor/. */
#pragma once

#include "base.h"

#define LOG_CHUNK (16u << 10) /* a line longer than this is cut into records that don't end in a newline, as docker does */

struct log_file;
/* path: absolute; made 0640 when missing, appended to otherwise. max_bytes 0 = never rotated; files: how many are kept in
 * all (0 counts as 1), as path, path.1, path.2 ... oldest last. */
int log_file_open(const char *path, uint64_t max_bytes, uint32_t files, struct log_file **ret, struct err *e);
/* stream: 1 stdout, 2 stderr. Text that does not end in a newline is kept until more of it comes, or log_file_end. A full disk
 * is told once; the container goes on. */
void log_file_add(struct log_file *l, int stream, const char *p, size_t n);
void log_file_end(struct log_file *l, int stream);
void log_file_close(struct log_file *l);
DEFINE_CLEANUP(struct log_file *, log_file_close)
