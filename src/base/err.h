/* The one error type: flat, heap-free, safe after clone(), and small enough for one atomic write() into a pipe, so the
 * same bytes travel child -> monitor -> CLI. */
#pragma once

#include <limits.h>
#include <stdarg.h>

#include "util.h"

#define ERR_MSG_LEN 504
struct err {
	int no;                /* positive errno; 0 = no error */
	int exit;              /* exit status the command should end with (125, 126, 127 ...); 0 = caller's default, 125 */
	char msg[ERR_MSG_LEN]; /* one line for a person; untrusted bytes are already escaped by err_set */
};
_Static_assert(sizeof(struct err) <= PIPE_BUF, "one write() must carry a struct err");

/* Fills e (may be NULL) and returns -no. no must be > 0 (a zero becomes EINVAL, so that it can't read as success).
 * Control bytes in the result are replaced by '?', so that a hostile name can't drive the terminal. */
int err_set(struct err *e, int no, const char *fmt, ...) _printf_(3, 4);

/* err_set with its arguments in ap. */
int err_vset(struct err *e, int no, const char *fmt, va_list ap) _printf_(3, 0);

/* Same as err_set, and sets the exit status that the command ends with. */
int err_set_exit(struct err *e, int exit_status, int no, const char *fmt, ...) _printf_(4, 5);

/* Prefixes "fmt: " to e's message and returns r unchanged (r < 0; where r >= 0 it is turned into -EINVAL).
 * When e holds no message yet, strerror(-r) becomes the message. */
int err_push(struct err *e, int r, const char *fmt, ...) _printf_(3, 4);

#ifdef __clang_analyzer__
/* The analyzer reads one file at a time; this tells it what the contract above says: an error is never 0. */
#define err_set(e, no, ...)              ((void)(err_set)((e), (no), __VA_ARGS__), -EIO)
#define err_set_exit(e, status, no, ...) ((void)(err_set_exit)((e), (status), (no), __VA_ARGS__), -EIO)
#define err_push(e, r, ...)              ((void)(err_push)((e), (r), __VA_ARGS__), (r) < 0 ? (r) : -EINVAL)
#endif
