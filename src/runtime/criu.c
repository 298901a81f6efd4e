/* criu: its process and the conversation. See criu.h. */
#include "criu.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_MAX = 64 << 10, SAYS_MAX = 256 << 10, LOG_MAX = 64 << 20 };

/* criu_req, criu_resp, criu_notify and criu_version of rpc.proto */
enum { REQ_TYPE = 1, REQ_OPTS = 2, REQ_NOTIFY_SUCCESS = 3, REQ_KEEP_OPEN = 4 };
enum { RESP_TYPE = 1, RESP_SUCCESS = 2, RESP_NOTIFY = 5, RESP_ERRMSG = 9, RESP_VERSION = 10 };
enum { NOTIFY_SCRIPT = 1, NOTIFY_PID = 2 };
enum { VERSION_MAJOR = 1, VERSION_MINOR = 2, VERSION_SUBLEVEL = 4 };

struct answer {
	uint64_t type, pid;
	bool success;
	char *script, *message;
	unsigned version; /* 31701 is 3.17.1 */
	int fd;
};
static void answer_done(struct answer *a)
{
	free(a->script);
	free(a->message);
	fd_close(a->fd);
}

/* ---- messages ---- */

static int send_request(const struct criu *c, enum criu_type type, const struct buf *opts, bool keeps_open, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };

	pb_put_int(&b, REQ_TYPE, type);
	if (opts)
		pb_put_message(&b, REQ_OPTS, opts);
	if (keeps_open)
		pb_put_bool(&b, REQ_KEEP_OPEN, true);
	if (b.failed)
		return err_set(e, ENOMEM, "out of memory");
	return send(c->sock, b.data, b.len, MSG_NOSIGNAL) == (ssize_t)b.len
		       ? 0
		       : err_set(e, EPIPE, "criu: it has ended without a word");
}

static int send_heard(const struct criu *c, bool success, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };

	pb_put_int(&b, REQ_TYPE, CRIU_NOTIFY);
	pb_put_bool(&b, REQ_NOTIFY_SUCCESS, success);
	if (b.failed)
		return err_set(e, ENOMEM, "out of memory");
	return send(c->sock, b.data, b.len, MSG_NOSIGNAL) == (ssize_t)b.len ? 0 : err_set(e, EPIPE, "criu: it has ended midway");
}

static int read_notify(struct pb_reader r, struct answer *a)
{
	struct pb_field f;
	int x;

	while ((x = pb_next(&r, &f)) == 1)
		if (f.field == NOTIFY_PID && f.type == PB_VARINT)
			a->pid = f.value;
		else if (f.field == NOTIFY_SCRIPT && f.type == PB_BYTES && !a->script && !(a->script = pb_str(&f)))
			return -ENOMEM;
	return x;
}

static int read_version(struct pb_reader r, struct answer *a)
{
	struct pb_field f;
	int x;

	while ((x = pb_next(&r, &f)) == 1) {
		unsigned part = f.value > 99 ? 99 : (unsigned)f.value;

		if (f.type == PB_VARINT && f.field == VERSION_MAJOR)
			a->version += part * 10000;
		else if (f.type == PB_VARINT && f.field == VERSION_MINOR)
			a->version += part * 100;
		else if (f.type == PB_VARINT && f.field == VERSION_SUBLEVEL)
			a->version += part;
	}
	return x;
}

static int read_answer(struct pb_reader r, struct answer *a)
{
	struct pb_field f;
	int x;

	while ((x = pb_next(&r, &f)) == 1) {
		int y = 0;

		if (f.field == RESP_TYPE && f.type == PB_VARINT)
			a->type = f.value;
		else if (f.field == RESP_SUCCESS && f.type == PB_VARINT)
			a->success = f.value != 0;
		else if (f.field == RESP_NOTIFY && f.type == PB_BYTES)
			y = read_notify(f.bytes, a);
		else if (f.field == RESP_VERSION && f.type == PB_BYTES)
			y = read_version(f.bytes, a);
		else if (f.field == RESP_ERRMSG && f.type == PB_BYTES && !a->message && !(a->message = pb_str(&f)))
			y = -ENOMEM;
		if (y < 0)
			return y;
	}
	return x;
}

static int receive(const struct criu *c, struct answer *ret, struct err *e)
{
	_cleanup_free_ uint8_t *bytes = malloc(MESSAGE_MAX);
	size_t n_fds = 1;
	ssize_t n;
	int r;

	*ret = (struct answer){ .fd = -1 };
	if (!bytes)
		return err_set(e, ENOMEM, "out of memory");
	n = sock_recv_fds(c->sock, bytes, MESSAGE_MAX, &ret->fd, &n_fds);
	if (n <= 0)
		return err_set(e, n < 0 ? (int)-n : EPIPE, "criu: %s", n < 0 ? strerror((int)-n) : "it has ended midway");
	r = read_answer((struct pb_reader){ bytes, (size_t)n }, ret);
	return r < 0 ? err_set(e, -r, "criu: its answer can't be read: %s", strerror(-r)) : 0;
}

/* ---- the process ---- */

static char *find(const char *given, struct err *e)
{
	char *path;

	if (given && *given && strchr(given, '/')) {
		path = given[0] == '/' ? strdup(given) : NULL; /* the working directory is the bundle's by now */
		if (!path)
			err_set(e, EINVAL, "--criu %s: expected an absolute path, or a name", given);
		return path;
	}
	path = spawn_find(given && *given ? given : "criu");
	if (!path)
		err_set(e, ENOENT, "%s is not here: install it (the package criu), or give --criu PATH",
			given && *given ? given : "criu");
	return path;
}

static int spawn_it(const struct criu_start *s, struct criu *c, int sock, struct err *e)
{
	char number[12];
	_cleanup_free_ char *path = find(s->program, e);
	char *argv[] = { (char[]){ "criu" }, (char[]){ "swrk" }, number, NULL };
	int map[4 + CRIU_FDS_MAX][2] = { { sock, CRIU_SOCK } };
	size_t n = 1;

	if (!path)
		return -ENOENT;
	snprintf(number, sizeof(number), "%d", CRIU_SOCK);
	for (int fd = 0; fd < 3 && s->has_container_stdio; fd++, n++)
		map[n][0] = map[n][1] = fd;
	if (!s->has_container_stdio) {
		c->says = memfd_create("criu", MFD_CLOEXEC);
		if (c->says < 0)
			return err_set(e, errno, "memfd: %s", strerror(errno));
		map[n][0] = c->says;
		map[n++][1] = STDERR_FILENO;
	}
	for (size_t i = 0; i < s->n_fds && i < CRIU_FDS_MAX; i++, n++) {
		map[n][0] = s->fds[i];
		map[n][1] = CRIU_FIRST_FD + (int)i;
	}
	const struct spawn sp = { .path = path, .argv = argv, .fds = map, .n_fds = n, .cwd_fd = -1 };
	return spawn_start(&sp, &c->pid, &c->pidfd, e);
}

/* The last line that it wrote to standard error before it knew of a log. */
static void quote_says(const struct criu *c, struct err *e)
{
	_cleanup_free_ char *text = NULL;

	if (c->says < 0 || lseek(c->says, 0, SEEK_SET) < 0 || fd_read_all(c->says, SAYS_MAX, &text, NULL) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	if (*text && e)
		err_set(e, e->no, "%.200s: %.250s", e->msg, text);
}

static int check_version(struct criu *c, struct err *e)
{
	struct answer a = { .fd = -1 };
	int r = send_request(c, CRIU_VERSION, NULL, true, e);

	if (r == 0)
		r = receive(c, &a, e);
	if (r == 0 && (a.type != CRIU_VERSION || !a.success || a.version == 0))
		r = err_set(e, EPROTO, "criu: it does not say which version it is");
	if (r == 0 && a.version < CRIU_OLDEST)
		r = err_set(e, ENOTSUP, "criu: %u.%u is too old: %u.%u or newer is needed", a.version / 10000,
			    a.version / 100 % 100, CRIU_OLDEST / 10000, CRIU_OLDEST / 100 % 100);
	else if (r < 0)
		quote_says(c, e);
	answer_done(&a);
	return r;
}

int criu_start(const struct criu_start *s, struct criu *ret, struct err *e)
{
	struct criu c = CRIU_NONE;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, errno, "socketpair: %s", strerror(errno));
	c.sock = pair[0];
	r = spawn_it(s, &c, pair[1], e);
	fd_close(pair[1]);
	if (r == 0)
		r = check_version(&c, e);
	if (r < 0) {
		criu_end(&c, true);
		return r;
	}
	*ret = c;
	return 0;
}

void criu_end(struct criu *c, bool kills)
{
	int status;

	c->sock = fd_close(c->sock);
	if (c->pid > 0 && kills)
		pidfd_kill(c->pidfd, SIGKILL);
	if (c->pid > 0 && spawn_wait(c->pid, &status) == 0)
		log_debug("criu", "it ended with %d", status_to_exit(status));
	fd_close(c->pidfd);
	fd_close(c->says);
	*c = CRIU_NONE;
}

/* ---- requests ---- */

static int hear(const struct criu *c, struct answer *a, const struct criu_listener *l, struct err *first)
{
	struct err why = { 0 };
	int r = 0, x;

	log_debug("criu", "%s", a->script ? a->script : "?");
	if (l && l->heard && a->script)
		r = l->heard(l->arg, a->script, (pid_t)a->pid, TAKE_FD(a->fd), &why);
	/* It goes on to undo what it has done, and says when it has: our own error is the one to report. */
	x = send_heard(c, r == 0, r < 0 ? NULL : first);
	if (r < 0 && !first->no)
		*first = why;
	return x;
}

int criu_ask(struct criu *c, enum criu_type type, const struct buf *opts, const struct criu_listener *l, struct err *e)
{
	struct err first = { 0 };
	int r = opts && opts->failed ? err_set(e, ENOMEM, "out of memory") : send_request(c, type, opts, false, e);

	for (bool ended = false; r == 0 && !ended;) {
		struct answer a;

		r = receive(c, &a, &first);
		if (r == 0 && a.success && a.type == CRIU_NOTIFY)
			r = hear(c, &a, l, &first);
		else if (r == 0 && (!a.success || a.type != type || first.no))
			r = first.no ? -first.no : err_set(&first, EIO, "criu: %s", a.message ? a.message : "it says no");
		else
			ended = true;
		answer_done(&a);
	}
	if (first.no) {
		quote_says(c, &first);
		r = -first.no;
		if (e)
			*e = first;
	}
	return r;
}

/* ---- why not ---- */

/* "(00.012345)     42: Error (criu/x.c:12): words" -> "words" */
static const char *error_words(const char *line)
{
	const char *at = strstr(line, "Error (");

	at = at ? strstr(at, "): ") : NULL;
	return at ? at + 3 : NULL;
}

/* The first two different errors of a log: the cause, and what it was the end of. */
static void quote_log(int dirfd, const char *log, char ret[2][160])
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	if (file_read(dirfd, log, LOG_MAX, &text, NULL) < 0)
		return;
	for (char *line = text; *line && n < 2;) {
		char *end = line + strcspn(line, "\n");
		const char *words;

		if (*end)
			*end++ = '\0';
		words = error_words(line);
		if (words && (n == 0 || strncmp(words, ret[0], sizeof(ret[0]) - 1) != 0))
			snprintf(ret[n++], sizeof(ret[0]), "%s", words);
		line = end;
	}
}

/* `criu check`, since a request for it (CRIU_REQ_TYPE__CHECK) fails in 3.17 whatever it finds. */
static bool works_here(const char *program, struct err *why)
{
	_cleanup_free_ char *path = find(program, why), *out = NULL;
	char *const argv[] = { path, (char[]){ "check" }, NULL };

	return path && spawn_output(argv, SAYS_MAX, &out, why) == 0;
}

void criu_explain(const char *program, int dirfd, const char *log, struct err *e)
{
	char said[2][160] = { "", "" };
	struct err why = { 0 };
	int no = e->no;

	quote_log(dirfd, log, said);
	if (!works_here(program, &why)) {
		const char *words = error_words(why.msg);

		err_set(e, ENOTSUP, "`criu check` says that processes can't be saved or restored on this host: %.200s",
			words      ? words
			: *said[1] ? said[1]
				   : why.msg);
	} else if (*said[0]) {
		err_set(e, no, "criu: %s%s%s", said[0], *said[1] ? "; " : "", said[1]);
	}
}
