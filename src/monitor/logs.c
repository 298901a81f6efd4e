/* logs_print: reads what log_file.c writes, also while it is being written and rotated.
 *
 * Theory. A log is a chain of files, oldest first: path.N ... path.1, path. The reader holds one of them open; at its end it
 * looks for that file (by inode) in the chain and goes on with the next newer one. So a rotation between two reads loses
 * nothing, several rotations at once lose only what the writer itself has thrown away, and a file that was replaced is never
 * read twice.
 *
 * A record is a line. The last line of the newest file may be half-written: it is kept until it is whole (follow) or dropped
 * (no follow). Lines that are no records, such as one that a crash has torn, are skipped. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "log_line.h"
#include "monitor.h"

#define READ_MAX  (64u << 10)
#define CHAIN_MAX 1000 /* numbers tried for path.N: more than the writer ever keeps */

struct reader {
	const struct log_query *q;
	const char *path;
	int fd;
	struct buf data; /* read, not yet printed */
	int out, err;
	bool is_done;    /* a record beyond `until` */
	bool was_cut[2]; /* the last record of stdout, stderr did not end its line */
	bool tail_began; /* counting lines from the end: the last one has been seen */
};

static char *chain_path(const char *path, unsigned i) { return i ? str_fmt("%s.%u", path, i) : strdup(path); }

static int open_chain(const char *path, unsigned i)
{
	_cleanup_free_ char *p = chain_path(path, i);
	int fd = p ? open(p, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;

	return p ? fd < 0 ? -errno : fd : -ENOMEM;
}

/* The number of the oldest file; 0 also when there is none but path. */
static unsigned chain_oldest(const char *path)
{
	unsigned n = 0;

	for (unsigned i = 1; i < CHAIN_MAX; i++) {
		_cleanup_free_ char *p = chain_path(path, i);
		if (!p || access(p, F_OK) < 0)
			break;
		n = i;
	}
	return n;
}

/* ---- printing ---- */

static int print_record(struct reader *r, const struct log_line *l)
{
	const struct log_query *q = r->q;
	bool is_err = l->is_stderr;
	char stamp[RFC3339_LEN + 1];

	if (is_err ? !q->want_stderr : !q->want_stdout)
		return 0;
	if (q->since_ns && l->time_ns < q->since_ns)
		return 0;
	if (q->until_ns && l->time_ns > q->until_ns) {
		r->is_done = true;
		return 0;
	}
	int fd = is_err ? r->err : r->out, e = 0;
	/* A stamp belongs to the beginning of a line, not to each of its chunks. */
	if (q->timestamps && !r->was_cut[is_err]) {
		size_t n = strlen(clock_rfc3339(l->time_ns, stamp));
		stamp[n] = ' ';
		e = fd_write_full(fd, stamp, n + 1);
	}
	r->was_cut[is_err] = l->len == 0 || l->text[l->len - 1] != '\n';
	return e < 0 ? e : fd_write_full(fd, l->text, l->len);
}

/* Every whole line in r->data. */
static int print_lines(struct reader *r)
{
	size_t done = 0;
	int e = 0;

	while (e == 0 && !r->is_done) {
		const char *line = r->data.data + done;
		const char *nl = r->data.len > done ? memchr(line, '\n', r->data.len - done) : NULL;
		if (!nl)
			break;
		struct log_line l = { 0 };
		if (log_line_parse(line, (size_t)(nl - line), &l) == 0)
			e = print_record(r, &l);
		log_line_done(&l);
		done = (size_t)(nl - r->data.data) + 1;
	}
	buf_consume(&r->data, done);
	return e;
}

/* ---- reading ---- */

/* Up to the present end of the open file. */
static int read_to_end(struct reader *r)
{
	char chunk[READ_MAX];
	struct stat st;

	/* The writer empties a file that it can't rotate. */
	if (fstat(r->fd, &st) == 0 && st.st_size < lseek(r->fd, 0, SEEK_CUR) && lseek(r->fd, 0, SEEK_SET) == 0)
		r->data.len = 0;
	while (!r->is_done) {
		ssize_t n = read(r->fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		buf_add(&r->data, chunk, (size_t)n);
		if (r->data.failed)
			return -ENOMEM;
		int e = print_lines(r);
		if (e < 0)
			return e;
		if (r->data.len > LOG_LINE_MAX) /* no record is that long: not a log of ours, or a torn one */
			r->data.len = 0;
	}
	return 0;
}

/* Goes over to the file that follows the open one. 1 = did, 0 = the open one is the newest. */
static int next_file(struct reader *r)
{
	struct stat mine, st;
	unsigned oldest = chain_oldest(r->path);
	int found = -1;

	if (fstat(r->fd, &mine) < 0)
		return -errno;
	for (unsigned i = 0; i <= oldest && found < 0; i++) {
		_cleanup_free_ char *p = chain_path(r->path, i);
		if (!p)
			return -ENOMEM;
		if (stat(p, &st) == 0 && st.st_ino == mine.st_ino && st.st_dev == mine.st_dev)
			found = (int)i;
	}
	if (found == 0)
		return 0;
	/* It was rotated, so it is complete now, but the writer may have added to it since our last read. */
	int e = read_to_end(r);
	if (e < 0 || r->is_done)
		return e;
	/* Thrown away meanwhile: on with the oldest that is left. */
	int fd = open_chain(r->path, found > 0 ? (unsigned)found - 1 : oldest);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	/* What is left in `data` has no end any more. */
	r->data.len = 0;
	fd_close(r->fd);
	r->fd = fd;
	return 1;
}

static int read_chain(struct reader *r)
{
	int e;

	do {
		e = read_to_end(r);
		if (e == 0 && !r->is_done)
			e = next_file(r);
	} while (e > 0);
	return e;
}

/* ---- tail ---- */

/* Counts one record, met on the way from the end. True = it is one too many. A record that ends its line is a line; chunks
 * before it belong to it; so does text at the very end that has no newline yet. */
static bool tail_count(struct reader *r, const char *line, size_t n, uint64_t want, uint64_t *seen)
{
	struct log_line l = { 0 };
	bool is_over = false;

	if (log_line_parse(line, n, &l) == 0 && (l.is_stderr ? r->q->want_stderr : r->q->want_stdout)) {
		bool ends = l.len > 0 && l.text[l.len - 1] == '\n';
		is_over = ends && *seen == want;
		*seen += !is_over && (ends || !r->tail_began);
		r->tail_began = true;
	}
	log_line_done(&l);
	return is_over;
}

/* Position in the open file behind which there are `want` wanted lines, or 0 with *left: how many more it takes. */
static int tail_in_file(struct reader *r, uint64_t want, off_t *ret_at, uint64_t *ret_left)
{
	struct stat st;
	_cleanup_buf_ struct buf piece = { 0 }; /* from `at` on: what has been read and whose lines aren't all counted */
	_cleanup_free_ char *chunk = malloc(READ_MAX);
	uint64_t seen = 0;

	if (!chunk)
		return -ENOMEM;
	if (fstat(r->fd, &st) < 0)
		return -errno;
	for (off_t at = st.st_size; at > 0;) {
		size_t n = (size_t)MIN(at, (off_t)READ_MAX);
		at -= (off_t)n;
		ssize_t got = pread(r->fd, chunk, n, at);
		if (got != (ssize_t)n)
			return got < 0 ? -errno : -EIO;
		/* In front of the line whose beginning is still missing: lines are short beside READ_MAX. */
		struct buf joined = { 0 };
		buf_add(&joined, chunk, n);
		buf_add(&joined, piece.data, piece.len);
		buf_done(&piece);
		piece = joined;
		if (piece.failed)
			return -ENOMEM;
		size_t end = piece.len;
		for (size_t i = end; i-- > 0;) {
			if (i == 0 ? at > 0 : piece.data[i - 1] != '\n')
				continue;
			/* A last line without its newline is half-written and isn't counted. */
			if (piece.data[end - 1] == '\n' && tail_count(r, piece.data + i, end - i - 1, want, &seen)) {
				*ret_at = at + (off_t)end;
				*ret_left = 0;
				return 0;
			}
			end = i;
		}
		piece.len = end;
	}
	*ret_at = 0;
	*ret_left = want - seen;
	return 0;
}

/* Opens the file where printing begins, and seeks there. */
static int open_start(struct reader *r)
{
	unsigned oldest = chain_oldest(r->path);
	uint64_t left = r->q->tail < 0 ? UINT64_MAX : (uint64_t)r->q->tail;
	off_t at = 0;

	for (unsigned i = r->q->tail < 0 ? oldest : 0;; i++) {
		int fd = open_chain(r->path, i);
		if (fd == -ENOENT && i > 0 && r->fd >= 0)
			return 0; /* rotated away while we looked: what we have is the oldest */
		if (fd == -ENOENT && i < oldest)
			continue; /* between the writer's rename and its new file */
		if (fd < 0)
			return fd;
		fd_close(r->fd);
		r->fd = fd;
		if (r->q->tail < 0)
			return 0;
		if (left == 0) /* nothing of the past */
			return lseek(fd, 0, SEEK_END) < 0 ? -errno : 0;
		int e = tail_in_file(r, left, &at, &left);
		if (e < 0)
			return e;
		if (lseek(fd, at, SEEK_SET) < 0)
			return -errno;
		if (at > 0 || left == 0 || i >= oldest)
			return 0;
	}
}

/* ---- follow ---- */

/* A pidfd of the container's monitor: readable when it ends. -ESRCH when there is none. */
static int watch_monitor(const struct paths *p, const char *id)
{
	struct monitor_state st;
	int r = monitor_inspect(p, id, &st, NULL);

	if (r < 0)
		return r;
	if (st.truth != MONITOR_STARTING && st.truth != MONITOR_RUNNING)
		return -ESRCH;
	return pidfd_open_(st.monitor_pid);
}

/* Changes of the file, and the names in its folder: rotation. */
static int watch_log(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = strndup(path, (size_t)(slash - path) + 1);
	_cleanup_fd_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (!dir)
		return -ENOMEM;
	if (fd < 0 || inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Waits for more; 1 = look again, 0 = the monitor has ended: one last look. */
static int wait_more(int watchfd, int monitorfd, uint64_t until_ns)
{
	struct pollfd p[] = { { .fd = watchfd, .events = POLLIN }, { .fd = monitorfd, .events = POLLIN } };
	char events[4096];
	int timeout = -1;

	if (until_ns) {
		uint64_t now = clock_real_ns();
		if (now >= until_ns)
			return 0;
		timeout = (int)MIN((until_ns - now) / 1000000 + 1, (uint64_t)3600000);
	}
	if (poll(p, 2, timeout) < 0 && errno != EINTR)
		return -errno;
	while (read(watchfd, events, sizeof(events)) > 0)
		;
	return p[1].revents ? 0 : 1;
}

static int follow(struct reader *r, const struct paths *p, const char *id, int watchfd)
{
	_cleanup_fd_ int monitorfd = watch_monitor(p, id);
	int e;

	if (monitorfd < 0 && monitorfd != -ESRCH)
		return monitorfd;
	for (int more = monitorfd >= 0;;) {
		e = read_chain(r);
		if (e < 0 || r->is_done || !more)
			return e;
		more = wait_more(watchfd, monitorfd, r->q->until_ns);
		if (more < 0)
			return more;
	}
}

int logs_print(const struct paths *p, const char *id, const char *log_path, const struct log_query *q, int out, int err,
	       struct err *e)
{
	struct reader r = { .q = q, .path = log_path, .fd = -1, .out = out, .err = err };
	_cleanup_fd_ int watchfd = -1;
	int res = 0;

	/* Before the first look, so that nothing written between it and the watch goes unseen. */
	if (q->follow)
		watchfd = res = watch_log(log_path);
	if (res >= 0)
		res = open_start(&r);
	if (res == 0)
		res = q->follow ? follow(&r, p, id, watchfd) : read_chain(&r);
	fd_close(r.fd);
	buf_done(&r.data);
	if (res == -ENOENT)
		return err_set(e, ENOENT, "container %.12s has no log: it has not run, or runs with its log turned off", id);
	if (res == -EPIPE)
		return err_set_exit(e, 141, EPIPE, "nobody reads the log's output any more");
	return res < 0 ? err_set(e, -res, "log %s: %s", log_path, strerror(-res)) : 0;
}
