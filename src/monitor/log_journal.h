/* The container's output in the host's journal (--log-driver journald): docker's fields, one entry a line. Private to monitor/. */
#pragma once

#include "base.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct log_journal;
/* name, image: as they are now; NULL where there is none. -ENOENT and the like: no journal listens there; the error says so. */
int log_journal_open(const char *id, const char *name, const char *image, struct log_journal **ret, struct err *e);
/* As log_file_add and log_file_end. What the journal can't take at once is lost, and told once: it must not hold the container up. */
void log_journal_add(struct log_journal *l, int stream, const char *p, size_t n);
void log_journal_end(struct log_journal *l, int stream);
void log_journal_close(struct log_journal *l);
