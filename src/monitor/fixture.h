/* fixture: a whole monitor in a process of its own, over a wall made of fork() alone; the tests are its clients. Only tests include
 * this, each once. */
#pragma once

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor_impl.h"
#include "tap.h"

/* Tests needn't free their texts. */
#define str_fmt(...) ((char *)tap_keep(str_fmt(__VA_ARGS__)))

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* ---- the fake wall ---- */

struct instance {
	struct instance_config cfg;
	struct task *tasks[256];
	pid_t pids[256];
	int pidfds[256];
	size_t n;
};
static bool fake_is_unreadable; /* standard output is something that reading fails on */
static bool fake_is_unwaitable; /* nobody says how its processes have ended */

static inline int fake_available(const struct host *h _unused_, char **ret_note _unused_, struct err *e _unused_) { return 0; }

static inline int fake_new(const struct instance_config *cfg, struct instance **ret, struct err *e _unused_)
{
	struct instance *i = calloc(1, sizeof(*i));

	i->cfg = *cfg;
	*ret = i;
	return 0;
}

static inline void fake_ended(struct loop *l _unused_, int fd, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;

	for (size_t k = 0; k < i->n; k++) {
		int status;
		if (i->pidfds[k] != fd || waitpid(i->pids[k], &status, 0) != i->pids[k])
			continue;
		i->pidfds[k] = fd_close(fd);
		if (fake_is_unwaitable) {
			status = 125 << 8;
			err_set(&i->tasks[k]->lost, ECHILD, "its end is lost");
		}
		const struct exit_status st = { .code = status_to_exit(status),
						.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0 };
		i->tasks[k]->on_exit(i->tasks[k], &st);
		return;
	}
}

static inline int fake_run(struct instance *i, const struct spec_process *p, struct task *t, struct err *e)
{
	int in[2], out[2], err[2];
	pid_t pid;

	if (streq(p->args[0], "missing"))
		return err_set_exit(e, 127, ENOENT, "missing: not found in the image");
	if (t->has_tty) {
		int master;
		pid = forkpty(&master, NULL, NULL, NULL);
		t->in = t->out = master;
		if (pid > 0)
			fd_nonblock(master, true), fd_cloexec(master, true);
	} else {
		if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
			return err_set(e, errno, "pipe");
		pid = fork();
		if (pid == 0) {
			dup2(in[0], 0);
			dup2(out[1], 1);
			dup2(err[1], 2);
		} else {
			close(in[0]);
			close(out[1]);
			close(err[1]);
			t->in = in[1];
			t->out = out[0];
			t->err = err[0];
			if (fake_is_unreadable) {
				close(t->out);
				t->out = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			}
			fd_nonblock(t->in, true);
			fd_nonblock(t->out, true);
			fd_nonblock(t->err, true);
		}
	}
	if (pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		execvp(p->args[0], p->args);
		_exit(127);
	}
	i->tasks[i->n] = t;
	i->pids[i->n] = pid;
	i->pidfds[i->n] = pidfd_open_(pid);
	ok(loop_add(i->cfg.loop, i->pidfds[i->n], EPOLLIN, fake_ended, i, NULL) == 0);
	t->impl = &i->pids[i->n++];
	return 0;
}

static inline int fake_start(struct instance *i, struct task *t, struct err *e)
{
	int r = i->cfg.meanwhile(i->cfg.arg, e);

	if (r == 0)
		r = fake_run(i, &i->cfg.spec->process, t, e);
	if (r == 0)
		i->cfg.on_started(i->cfg.arg, NULL);
	return r;
}

/* "still": one that stands still says so, and adds a byte to $STILL, until that is gone. */
static inline int fake_still(const struct spec_process *p, struct err *e)
{
	const char *path = streq(p->args[0], "still") ? getenv("STILL") : NULL;
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

	if (fd < 0)
		return 0;
	ok(write(fd, ".", 1) == 1);
	close(fd);
	return err_set(e, EBUSY, "it stands still");
}

static inline int fake_exec(struct instance *i, const struct spec_process *p, struct task *t,
			    void (*on_started)(struct task *t, const struct err *e), struct err *e)
{
	int r = fake_still(p, e);

	if (r == 0)
		r = fake_run(i, p, t, e);
	if (r == 0)
		on_started(t, NULL);
	return r;
}

static inline int fake_signal(struct instance *i _unused_, struct task *t, int sig, struct err *e)
{
	return kill(*(pid_t *)t->impl, sig) < 0 ? err_set(e, errno, "kill") : 0;
}

static inline int fake_resize(struct instance *i _unused_, struct task *t, uint16_t rows, uint16_t cols, struct err *e _unused_)
{
	const struct winsize ws = { .ws_row = rows, .ws_col = cols };

	ioctl(t->out, TIOCSWINSZ, &ws);
	return 0;
}

static inline int fake_close_stdin(struct instance *i _unused_, struct task *t _unused_, struct err *e _unused_) { return 0; }

static inline int fake_stats(struct instance *i, void (*cb)(struct instance *, struct json_object *, const struct err *, void *),
			     void *arg, struct err *e _unused_)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "cpu_ns", json_object_new_int(42));
	cb(i, o, NULL, arg);
	json_object_put(o);
	return 0;
}

static inline int fake_update(struct instance *i, const struct spec_resources *r,
			      void (*cb)(struct instance *i, const struct err *e, void *arg), void *arg, struct err *e)
{
	struct err no = { 0 };

	if (r->pids_limit == 1)
		return err_set(e, EINVAL, "one is too few");
	if (r->pids_limit == 2)
		err_set(&no, EBUSY, "two are too few");
	cb(i, no.no ? &no : NULL, arg);
	return 0;
}

static inline int fake_pause(struct instance *i, bool on, struct err *e _unused_)
{
	return kill(i->pids[0], on ? SIGSTOP : SIGCONT);
}

static inline int fake_hold(struct instance *i, void (*cb)(struct instance *, const struct err *, void *), void *arg,
			    struct err *e _unused_)
{
	kill(i->pids[0], SIGSTOP);
	cb(i, NULL, arg);
	return 0;
}

static inline void fake_release(struct instance *i) { kill(i->pids[0], SIGCONT); }

static inline pid_t fake_pid(const struct instance *i) { return i->n ? i->pids[0] : 0; }

static inline void fake_destroy(struct instance *i)
{
	for (size_t k = 0; k < i->n; k++) {
		if (i->pidfds[k] < 0)
			continue;
		kill(i->pids[k], SIGKILL);
		waitpid(i->pids[k], NULL, 0);
	}
	free(i);
}

static const struct isolation_ops fake_ops = {
	.name = "fake",
	.available = fake_available,
	.new = fake_new,
	.start = fake_start,
	.exec = fake_exec,
	.signal = fake_signal,
	.resize = fake_resize,
	.close_stdin = fake_close_stdin,
	.pause = fake_pause,
	.hold = fake_hold,
	.release = fake_release,
	.stats = fake_stats,
	.update = fake_update,
	.pid = fake_pid,
	.destroy = fake_destroy,
};

static inline int fake_find(const char *name, const struct isolation_ops **ret, struct err *e)
{
	if (!streq(name, "fake"))
		return err_set(e, EINVAL, "unknown isolation \"%s\"", name);
	*ret = &fake_ops;
	return 0;
}

/* ---- a container of it ---- */

static char dir[64];
static struct paths paths;
static pid_t monitor_pid;
static uint64_t stall_ms = STALL_MS;

static inline void clean(void)
{
	if (monitor_pid > 0) {
		kill(monitor_pid, SIGKILL);
		waitpid(monitor_pid, NULL, 0);
	}
	rm_rf(AT_FDCWD, dir);
}

struct want {
	const char *script;
	const char *health; /* more of launch.json, such as "\"healthArgs\":[...]" */
	unsigned lives;     /* it is started again until so many are over */
	uint64_t again_ms;  /* after so long */
	bool no_stdin, keep_stdin, tty, record_fails, detached, unreadable, unwaitable, waits_for_go;
	int all_fd;
};

static inline void write_file(const char *name, const char *text)
{
	char *p = str_fmt("%s/root/containers/" ID "/%s", dir, name);
	int fd = open(p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ok(fd >= 0);
	is_int(fd_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static inline int on_exited(const struct life_end *end, uint64_t *ret_again_ms, void *arg)
{
	static unsigned lives;
	const struct want *w = arg;
	char *text = str_fmt("%d %d %s", end->st.code, end->st.signal, end->why ? end->why->msg : "-");

	if (++lives < w->lives && !end->is_users && !end->is_last)
		*ret_again_ms = w->again_ms ? w->again_ms : 10;

	write_file("recorded", text);
	return w->record_fails ? -EIO : 0;
}

static inline int on_not_again(bool is_users, void *arg _unused_)
{
	write_file("recorded", is_users ? "not again, as asked for" : "not again");
	return 0;
}

/* One word a change. */
static inline void on_health(enum container_health h, void *arg _unused_)
{
	int fd = open(str_fmt("%s/health", dir), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	const char *word = container_health_name(h);

	is_int(fd_write_full(fd, word, strlen(word)), 0);
	is_int(fd_write_full(fd, " ", 1), 0);
	close(fd);
}

/* Counted in bytes. */
static inline void on_given_up(void *arg _unused_)
{
	int fd = open(str_fmt("%s/given-up", dir), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	is_int(write(fd, "x", 1), 1);
	close(fd);
}

static inline char *recorded(void)
{
	static char *text;

	file_read(AT_FDCWD, str_fmt("%s/root/containers/" ID "/recorded", dir), 1000, &text, NULL);
	return text;
}

/* Starts a monitor for `sh -c SCRIPT` (or "missing"); the test's end of its first connection. */
static inline int run(const struct want *w)
{
	int pair[2];
	struct err e = { 0 };

	if (!*dir) {
		strcpy(dir, "/tmp/berth-monitor-XXXXXX");
		ok(mkdtemp(dir));
		atexit(clean);
		char *containers = str_fmt("%s/root/containers/" ID, dir), *root = str_fmt("%s/root", dir),
		     *r = str_fmt("%s/run", dir);
		is_int(mkdir_p(AT_FDCWD, containers, 0700), 0);
		if (paths_init(&paths, root, r, &e) < 0)
			TAP_FAIL("%s", e.msg);
	}
	struct json_object *args = json_object_new_array();
	if (streq(w->script, "missing")) {
		json_object_array_add(args, json_object_new_string("missing"));
	} else {
		json_object_array_add(args, json_object_new_string("sh"));
		json_object_array_add(args, json_object_new_string("-c"));
		json_object_array_add(args, json_object_new_string(w->script));
	}
	write_file("config.json",
		   str_fmt("{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"x\"},\"process\":{\"cwd\":\"/\",\"terminal\":%s,"
			   "\"user\":{\"uid\":0,\"gid\":0},\"args\":%s}}",
			   w->tty ? "true" : "false", json_object_to_json_string(args)));
	json_object_put(args);
	write_file("launch.json",
		   str_fmt("{\"version\":1,\"id\":\"" ID "\",\"name\":\"t\",\"isolation\":\"fake\",\"openStdin\":%s,"
			   "\"stdinOnce\":%s,\"logPath\":\"%s/"
			   "log\",\"logMaxBytes\":1000000,\"logMaxFiles\":2,\"vmMemBytes\":64000000,\"vmCpus\":3%s%s}",
			   w->no_stdin ? "false" : "true", w->keep_stdin ? "false" : "true", dir, w->health ? "," : "",
			   w->health ? w->health : ""));
	is_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	monitor_pid = fork();
	if (monitor_pid == 0) {
		const struct monitor_config cfg = { .id = ID,
						    .paths = &paths,
						    .client_fd = w->detached ? -1 : pair[1],
						    .waits_for_go = w->waits_for_go,
						    .all_fd = w->all_fd,
						    .on_given_up = on_given_up,
						    .on_exited = on_exited,
						    .on_not_again = on_not_again,
						    .on_health = on_health,
						    .arg = (void *)(uintptr_t)w };
		fake_is_unreadable = w->unreadable;
		fake_is_unwaitable = w->unwaitable;
		close(pair[0]);
		if (w->detached)
			close(pair[1]);
		int r = monitor_run_with(&cfg, fake_find, stall_ms, &e);
		if (r < 0)
			printf("# monitor: %s\n", e.msg);
		fflush(stdout);
		_exit(r < 0 ? 1 : 0);
	}
	close(pair[1]);
	return pair[0];
}

static inline int monitor_end(void)
{
	int status;

	is_int(spawn_wait(monitor_pid, &status), 0);
	monitor_pid = 0;
	return status;
}

static inline struct monitor_state inspect(void)
{
	struct monitor_state st;
	struct err e;

	if (monitor_inspect(&paths, ID, &st, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return st;
}

/* ---- a client ---- */

struct peer {
	int fd;
	struct buf in;
	struct frame f;
	size_t drop; /* the last frame's bytes */
};

/* The next frame that is no HELLO, OK or CREDIT of the other side; NULL at the end. */
static inline struct frame *next(struct peer *p)
{
	char data[65536];
	int r;

	for (;;) {
		buf_consume(&p->in, p->drop);
		p->drop = 0;
		while ((r = frame_peek(&p->in, &p->f)) == 0) {
			ssize_t n = recv(p->fd, data, sizeof(data), 0);
			if (n <= 0)
				return NULL;
			buf_add(&p->in, data, (size_t)n);
		}
		is_int(r, 1);
		p->drop = FRAME_HDR + p->f.len;
		if (p->f.type != FRAME_HELLO && p->f.type != FRAME_CREDIT)
			return &p->f;
	}
}

/* The monitor may have gone meanwhile: what it said last is still read. */
static inline void send_buf(int fd, struct buf *b)
{
	ssize_t n = send(fd, b->data, b->len, MSG_NOSIGNAL);
	ok(n >= 0 || errno == EPIPE || errno == ECONNRESET);
	buf_done(b);
}

static inline void send_frame(int fd, enum frame_type type, uint16_t channel, const void *data, size_t n)
{
	struct buf b = { 0 };

	frame_put(&b, type, channel, data, (uint32_t)n);
	send_buf(fd, &b);
}

static inline void send_signal(int fd, uint16_t channel, int sig)
{
	const uint8_t p[4] = { (uint8_t)sig };

	send_frame(fd, FRAME_SIGNAL, channel, p, 4);
}

static inline void give_credit(int fd, uint16_t channel, enum frame_type stream, uint32_t n)
{
	struct buf b = { 0 };

	frame_put_credit(&b, channel, stream, n);
	send_buf(fd, &b);
}

/* Reads to the channel's end, giving credit. "OUT|ERR|code signal", or "error EXIT: message". */
static inline char *transcript_on(int fd, uint16_t channel)
{
	struct peer p = { .fd = fd };
	struct buf out = { 0 }, err = { 0 };
	struct frame *f;
	char *said = NULL;

	while (!said && (f = next(&p))) {
		uint32_t code, sig;
		struct err e;
		bool oom;
		if (f->channel != channel)
			continue;
		if (f->type == FRAME_STDOUT || f->type == FRAME_STDERR) {
			buf_add(f->type == FRAME_STDOUT ? &out : &err, f->payload, f->len);
			if (f->len)
				give_credit(fd, channel, f->type, f->len);
		} else if (f->type == FRAME_ERROR) {
			is_int(frame_get_error(f, &e), 0);
			said = str_fmt("error %d: %s", e.exit, e.msg);
		} else if (f->type == FRAME_EXIT) {
			is_int(frame_get_exit(f, &code, &sig, &oom), 0);
			said = str_fmt("%s|%s|%u %u", out.data ? out.data : "", err.data ? err.data : "", code, sig);
		}
	}
	if (!said)
		said = str_fmt("gone after %s", out.data ? out.data : "");
	buf_done(&out);
	buf_done(&err);
	buf_done(&p.in);
	return said;
}

static inline char *transcript(int fd) { return transcript_on(fd, 0); }

static inline int connect_now(void)
{
	struct err e = { 0 };
	int fd = -1;

	if (monitor_connect(&paths, ID, &fd, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return fd;
}

static inline int attach(bool with_stdin)
{
	const char *json = with_stdin ? "{\"stdin\":true}" : "{\"stdin\":false}";
	struct err e = { 0 };
	int fd = connect_now();

	if (monitor_request(fd, FRAME_ATTACH, 0, json, strlen(json), NULL, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return fd;
}

static inline int exec_request(int fd, uint16_t channel, const char *script, const char *extra, struct err *e)
{
	const char *json = streq(script, "missing")
				   ? str_fmt("{\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"missing\"]}")
				   : str_fmt("{\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\",\"-c\",\"%s\"]%s}",
					     script, extra);

	return monitor_request(fd, FRAME_EXEC, channel, json, strlen(json), NULL, e);
}

static inline void wait_started(int fd)
{
	struct err e = { 0 };

	if (monitor_wait_started(fd, &e) < 0)
		TAP_FAIL("%s", e.msg);
}
