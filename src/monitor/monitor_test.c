/* A whole monitor in a process of its own, over a wall made of fork() alone; the tests are its clients. */
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
	struct task *tasks[16];
	pid_t pids[16];
	int pidfds[16];
	size_t n;
};

static int fake_available(const struct host *h _unused_, char **ret_note _unused_, struct err *e _unused_) { return 0; }

static int fake_new(const struct instance_config *cfg, struct instance **ret, struct err *e _unused_)
{
	struct instance *i = calloc(1, sizeof(*i));

	i->cfg = *cfg;
	*ret = i;
	return 0;
}

static void fake_ended(struct loop *l _unused_, int fd, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;

	for (size_t k = 0; k < i->n; k++) {
		int status;
		if (i->pidfds[k] != fd || waitpid(i->pids[k], &status, 0) != i->pids[k])
			continue;
		i->pidfds[k] = fd_close(fd);
		const struct exit_status st = { .code = status_to_exit(status),
						.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0 };
		i->tasks[k]->on_exit(i->tasks[k], &st);
		return;
	}
}

static int fake_run(struct instance *i, const struct spec_process *p, struct task *t, struct err *e)
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

static int fake_start(struct instance *i, struct task *t, struct err *e)
{
	int r = fake_run(i, &i->cfg.spec->process, t, e);

	if (r == 0)
		i->cfg.on_started(i->cfg.arg, NULL);
	return r;
}

static int fake_exec(struct instance *i, const struct spec_process *p, struct task *t,
		     void (*on_started)(struct task *t, const struct err *e), struct err *e)
{
	int r = fake_run(i, p, t, e);

	if (r == 0)
		on_started(t, NULL);
	return r;
}

static int fake_signal(struct instance *i _unused_, struct task *t, int sig, struct err *e)
{
	return kill(*(pid_t *)t->impl, sig) < 0 ? err_set(e, errno, "kill") : 0;
}

static int fake_resize(struct instance *i _unused_, struct task *t, uint16_t rows, uint16_t cols, struct err *e _unused_)
{
	const struct winsize ws = { .ws_row = rows, .ws_col = cols };

	ioctl(t->out, TIOCSWINSZ, &ws);
	return 0;
}

static int fake_close_stdin(struct instance *i _unused_, struct task *t _unused_, struct err *e _unused_) { return 0; }

static int fake_stats(struct instance *i, void (*cb)(struct instance *, struct json_object *, const struct err *, void *),
		      void *arg, struct err *e _unused_)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "cpu_ns", json_object_new_int(42));
	cb(i, o, NULL, arg);
	json_object_put(o);
	return 0;
}

static pid_t fake_pid(const struct instance *i) { return i->n ? i->pids[0] : 0; }

static void fake_destroy(struct instance *i)
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
	.stats = fake_stats,
	.pid = fake_pid,
	.destroy = fake_destroy,
};

static int fake_find(const char *name, const struct isolation_ops **ret, struct err *e)
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

static void clean(void)
{
	if (monitor_pid > 0) {
		kill(monitor_pid, SIGKILL);
		waitpid(monitor_pid, NULL, 0);
	}
	rm_rf(AT_FDCWD, dir);
}

struct want {
	const char *script;
	bool no_stdin, keep_stdin, tty, record_fails, detached;
};

static void write_file(const char *name, const char *text)
{
	char *p = str_fmt("%s/root/containers/" ID "/%s", dir, name);
	int fd = open(p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ok(fd >= 0);
	is_int(fd_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static int on_exited(const struct exit_status *st, const struct err *start_error, void *arg)
{
	const struct want *w = arg;
	char *text = str_fmt("%d %d %s", st->code, st->signal, start_error ? start_error->msg : "-");

	write_file("recorded", text);
	return w->record_fails ? -EIO : 0;
}

static char *recorded(void)
{
	static char *text;

	file_read(AT_FDCWD, str_fmt("%s/root/containers/" ID "/recorded", dir), 1000, &text, NULL);
	return text;
}

/* Starts a monitor for `sh -c SCRIPT` (or "missing"); the test's end of its first connection. */
static int run(const struct want *w)
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
			   "\"stdinOnce\":%s,\"logPath\":\"%s/log\",\"logMaxBytes\":1000000,\"logMaxFiles\":2}",
			   w->no_stdin ? "false" : "true", w->keep_stdin ? "false" : "true", dir));
	is_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	monitor_pid = fork();
	if (monitor_pid == 0) {
		const struct monitor_config cfg = { .id = ID,
						    .paths = &paths,
						    .client_fd = w->detached ? -1 : pair[1],
						    .on_exited = on_exited,
						    .arg = (void *)(uintptr_t)w };
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

static int monitor_end(void)
{
	int status;

	is_int(spawn_wait(monitor_pid, &status), 0);
	monitor_pid = 0;
	return status;
}

static struct monitor_state inspect(void)
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
static struct frame *next(struct peer *p)
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
static void send_buf(int fd, struct buf *b)
{
	ssize_t n = send(fd, b->data, b->len, MSG_NOSIGNAL);
	ok(n >= 0 || errno == EPIPE || errno == ECONNRESET);
	buf_done(b);
}

static void send_frame(int fd, enum frame_type type, uint16_t channel, const void *data, size_t n)
{
	struct buf b = { 0 };

	frame_put(&b, type, channel, data, (uint32_t)n);
	send_buf(fd, &b);
}

static void send_signal(int fd, uint16_t channel, int sig)
{
	const uint8_t p[4] = { (uint8_t)sig };

	send_frame(fd, FRAME_SIGNAL, channel, p, 4);
}

static void give_credit(int fd, uint16_t channel, enum frame_type stream, uint32_t n)
{
	struct buf b = { 0 };

	frame_put_credit(&b, channel, stream, n);
	send_buf(fd, &b);
}

/* Reads to the channel's end, giving credit. "OUT|ERR|code signal", or "error EXIT: message". */
static char *transcript_on(int fd, uint16_t channel)
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

static char *transcript(int fd) { return transcript_on(fd, 0); }

static int connect_now(void)
{
	struct err e = { 0 };
	int fd = -1;

	if (monitor_connect(&paths, ID, &fd, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return fd;
}

static int attach(bool with_stdin)
{
	const char *json = with_stdin ? "{\"stdin\":true}" : "{\"stdin\":false}";
	struct err e = { 0 };
	int fd = connect_now();

	if (monitor_request(fd, FRAME_ATTACH, 0, json, strlen(json), NULL, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return fd;
}

static int exec_request(int fd, uint16_t channel, const char *script, const char *extra, struct err *e)
{
	const char *json = streq(script, "missing")
				   ? str_fmt("{\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"missing\"]}")
				   : str_fmt("{\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\",\"-c\",\"%s\"]%s}",
					     script, extra);

	return monitor_request(fd, FRAME_EXEC, channel, json, strlen(json), NULL, e);
}

static void wait_started(int fd)
{
	struct err e = { 0 };

	if (monitor_wait_started(fd, &e) < 0)
		TAP_FAIL("%s", e.msg);
}

/* ---- claims ---- */

TEST(output_streams_and_exit_code_arrive)
{
	int fd = run(&(struct want){ .script = "echo out; echo err >&2; exit 7" });

	is_str(transcript(fd), "out\n|err\n|7 0");
	is_int(monitor_end(), 0);
	is_str(recorded(), "7 0 -");
	is_int(inspect().truth, MONITOR_NONE); /* the run directory is gone by the time of EXIT */
}

TEST(a_signal_is_told_as_128_and_its_number)
{
	int fd = run(&(struct want){ .script = "kill -9 $$" });

	is_str(transcript(fd), "||137 9");
	is_int(monitor_end(), 0);
}

TEST(everything_is_in_order_before_exit_is_told)
{
	int fd = run(&(struct want){ .script = "exit 3" });
	static struct peer p;
	p.fd = fd;
	struct frame *f;

	while ((f = next(&p)) && f->type != FRAME_EXIT)
		;
	ok(f);
	is_str(recorded(), "3 0 -");
	ok(access(str_fmt("%s/run/containers/" ID, dir), F_OK) < 0);
}

TEST(input_reaches_the_process_and_its_end_too)
{
	int fd = run(&(struct want){ .script = "cat; echo done" });

	send_frame(fd, FRAME_STDIN, 0, "hello ", 6);
	send_frame(fd, FRAME_STDIN, 0, "world\n", 6);
	send_frame(fd, FRAME_STDIN, 0, NULL, 0);
	is_str(transcript(fd), "hello world\ndone\n||0 0");
}

TEST(input_ends_with_the_last_client_that_could_give_it)
{
	int fd = run(&(struct want){ .script = "cat; echo end" });

	wait_started(fd);
	int second = attach(true), listener = attach(false);
	close(fd);
	send_frame(second, FRAME_STDIN, 0, "still\n", 6);
	static struct peer p;
	p.fd = listener;
	struct frame *f = next(&p);
	ok(f && f->type == FRAME_STDOUT && f->len == 6);
	close(second);
	is_str(transcript(listener), "end\n||0 0");
	is_int(monitor_end(), 0);
}

TEST(input_of_a_container_that_keeps_it_survives_its_clients)
{
	int fd = run(&(struct want){ .script = "read a; read b; echo $a $b", .keep_stdin = true });

	wait_started(fd);
	send_frame(fd, FRAME_STDIN, 0, "one\n", 4);
	send_frame(fd, FRAME_STDIN, 0, NULL, 0); /* and an end of input that doesn't count */
	int second = attach(true);
	close(fd);
	send_frame(second, FRAME_STDIN, 0, "two\n", 4);
	is_str(transcript(second), "one two\n||0 0");
}

TEST(a_start_that_fails_is_told_with_its_exit_status)
{
	int fd = run(&(struct want){ .script = "missing" });
	struct err e = { 0 };

	is_int(monitor_wait_started(fd, &e), -ENOENT);
	is_int(e.exit, 127);
	has_str(e.msg, "not found in the image");
	is_int(monitor_end(), 0);
	is_str(recorded(), "127 0 missing: not found in the image");
	is_int(inspect().truth, MONITOR_NONE);
}

TEST(a_bad_config_is_told_like_a_failed_start)
{
	int fd = run(&(struct want){ .script = "true" });
	close(fd);
	monitor_end();
	struct err e = { 0 };
	int pair[2];
	write_file("config.json", "{ nonsense");
	is_int(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	monitor_pid = fork();
	if (monitor_pid == 0) {
		static const struct want w = { 0 };
		const struct monitor_config cfg = {
			.id = ID, .paths = &paths, .client_fd = pair[1], .on_exited = on_exited, .arg = (void *)(uintptr_t)&w
		};
		close(pair[0]);
		_exit(monitor_run_with(&cfg, fake_find, stall_ms, &e) < 0);
	}
	close(pair[1]);
	ok(monitor_wait_started(pair[0], &e) < 0);
	has_str(e.msg, "config.json");
	is_int(monitor_end(), 0);
	has_str(recorded(), "125 0 ");
}

TEST(state_files_tell_the_truth_at_each_stage)
{
	int fd = run(&(struct want){ .script = "read x; exit 4", .record_fails = true });

	wait_started(fd);
	struct monitor_state st = inspect();
	is_int(st.truth, MONITOR_RUNNING);
	is_int(st.monitor_pid, monitor_pid);
	ok(st.pid > 0 && kill(st.pid, 0) == 0 && st.started_ns > 0);
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "||4 0");
	is_int(monitor_end(), 0);
	/* The record could not be written: the run files keep the truth. */
	st = inspect();
	is_int(st.truth, MONITOR_EXITED);
	is_int(st.exit.code, 4);
	ok(st.finished_ns >= st.started_ns);
}

TEST(a_killed_monitor_is_seen_as_died_and_can_be_replaced)
{
	int fd = run(&(struct want){ .script = "exec sleep 1000" });

	wait_started(fd);
	pid_t child = inspect().pid;
	kill(monitor_pid, SIGKILL);
	/* Also while it is a zombie: it is our child, not collected yet. */
	struct pollfd p = { .fd = pidfd_open_(monitor_pid), .events = POLLIN };
	is_int(poll(&p, 1, -1), 1);
	is_int(inspect().truth, MONITOR_DIED);
	monitor_end();
	kill(child, SIGKILL);
	struct err e = { 0 };
	/* EPIPE: its child has not executed yet and still holds the listening socket. */
	int r = monitor_connect(&paths, ID, &fd, &e);
	ok(r == -ECONNREFUSED || r == -EPIPE);
	fd = run(&(struct want){ .script = "echo again" });
	is_str(transcript(fd), "again\n||0 0");
}

TEST(a_second_monitor_is_refused_while_one_lives)
{
	int first = run(&(struct want){ .script = "read x" });
	pid_t first_pid = monitor_pid;

	wait_started(first);
	int second = run(&(struct want){ .script = "read x" });
	struct err e = { 0 };
	is_int(monitor_wait_started(second, &e), -EBUSY);
	has_str(e.msg, "running already");
	ok(monitor_end() != 0);
	monitor_pid = first_pid;
	ok(!recorded()); /* the refused one recorded no end */
	send_frame(first, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(first), "||0 0");
}

TEST(several_clients_see_the_same_output)
{
	int fd = run(&(struct want){ .script = "read x; echo both; echo e >&2", .keep_stdin = true });

	wait_started(fd);
	int second = attach(false);
	int third = connect_now(); /* not attached: hears of the end only */
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "both\n|e\n|0 0");
	is_str(transcript(second), "both\n|e\n|0 0");
	struct exit_status st;
	struct err e;
	is_int(monitor_wait_exit(third, &st, &e), 0);
	is_int(st.code, 0);
}

TEST(large_output_passes_within_the_window)
{
	int fd = run(&(struct want){ .script = "head -c 3000000 /dev/zero | tr '\\0' x" });
	char *text = transcript(fd);

	is_int(strlen(text), 3000000 + strlen("||0 0"));
}

TEST(a_client_without_credit_holds_the_process_at_the_window)
{
	int fd = run(&(struct want){ .script = "head -c 3000000 /dev/zero; echo end >&2" });
	static struct peer p;
	p.fd = fd;
	size_t got = 0;
	struct frame *f;

	while (got < FRAME_WINDOW && (f = next(&p)))
		if (f->type == FRAME_STDOUT)
			got += f->len;
	is_int(got, FRAME_WINDOW);
	/* Nothing more comes, neither of stdout nor of the process's later words. */
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	is_int(poll(&pfd, 1, 200), 0);
	give_credit(fd, 0, FRAME_STDOUT, FRAME_WINDOW);
	size_t rest = 0;
	while ((f = next(&p)) && f->type != FRAME_EXIT) {
		if (f->type != FRAME_STDOUT || !f->len)
			continue;
		rest += f->len;
		if (got + rest > 2 * FRAME_WINDOW || rest == FRAME_WINDOW)
			give_credit(fd, 0, FRAME_STDOUT, rest == FRAME_WINDOW ? FRAME_WINDOW : f->len);
	}
	is_int(got + rest, 3000000);
}

/* F22. A process that would fill any queue: 20 MB, of which the stopped reader never takes a byte beyond its window. */
TEST(a_stopped_reader_is_cut_off_and_the_container_goes_on)
{
	stall_ms = 100;
	int fd = run(&(struct want){ .script = "head -c 20000000 /dev/zero; echo through >&2; read x", .keep_stdin = true });

	wait_started(fd);
	int good = attach(true);
	static struct peer p;
	p.fd = good;
	struct frame *f;
	while ((f = next(&p)) && f->type != FRAME_STDERR) /* a reader that reads gets all of it */
		if (f->type == FRAME_STDOUT && f->len)
			give_credit(good, 0, FRAME_STDOUT, f->len);
	ok(f);
	static char path[64], *status;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)monitor_pid);
	is_int(file_read(AT_FDCWD, path, 100000, &status, NULL), 0);
	unsigned long peak = strtoul(strstr(status, "VmHWM:") + 6, NULL, 10);
#ifndef __SANITIZE_ADDRESS__
	ok(peak < 16384); /* kB; bounded by windows, not by what was said */
#endif
	ok(peak > 0);
	/* The stopped one finds, when it reads again, its window's worth and then the reason. */
	char *text = transcript(fd);
	has_str(text, "error 0: this reader has not read for 0.1 s");
	send_frame(good, FRAME_STDIN, 0, "\n", 1);
	while ((f = next(&p)) && f->type != FRAME_EXIT)
		;
	ok(f);
}

TEST(a_client_that_takes_more_than_its_window_is_cut_off)
{
	int fd = run(&(struct want){ .script = "read x", .keep_stdin = true });

	wait_started(fd);
	int bad = attach(false);
	give_credit(bad, 0, FRAME_STDOUT, 1);
	has_str(transcript(bad), "for more than was sent");
	bad = attach(true);
	kill(inspect().pid, SIGSTOP);
	static const char data[FRAME_DATA_MAX];
	for (int i = 0; i < 16; i++)
		send_frame(bad, FRAME_STDIN, 0, data, FRAME_DATA_MAX);
	has_str(transcript(bad), "beyond the window");
	kill(inspect().pid, SIGCONT);
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "||0 0");
}

TEST(strange_frames_end_their_connection_only)
{
	static const uint8_t junk[] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };
	int fd = run(&(struct want){ .script = "read x; echo fine", .keep_stdin = true });

	wait_started(fd);
	int a = connect_now();
	is_int(fd_write_full(a, junk, sizeof(junk)), 0);
	has_str(transcript(a), "does not speak");
	a = connect_now();
	send_frame(a, FRAME_SHUTDOWN, 0, NULL, 0);
	has_str(transcript(a), "may not send SHUTDOWN");
	a = connect_now();
	send_frame(a, FRAME_SIGNAL, 0, "x", 1);
	has_str(transcript(a), "malformed signal");
	a = connect_now();
	send_frame(a, FRAME_STDIN, 0, "x", 1); /* not attached: ignored */
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "fine\n||0 0");
}

TEST(exec_runs_beside_the_main_process)
{
	int fd = run(&(struct want){ .script = "read x", .keep_stdin = true });
	struct err e = { 0 };

	wait_started(fd);
	int c = connect_now();
	is_int(exec_request(c, 1, "cat; echo $0 >&2; exit 5", ",\"berth\":{\"stdin\":true}", &e), 0);
	send_frame(c, FRAME_STDIN, 1, "typed\n", 6);
	send_frame(c, FRAME_STDIN, 1, NULL, 0);
	is_str(transcript_on(c, 1), "typed\n|sh\n|5 0");
	/* The same connection serves the next one, on any channel. */
	is_int(exec_request(c, 7, "echo second", "", &e), 0);
	is_str(transcript_on(c, 7), "second\n||0 0");
	is_int(exec_request(c, 8, "missing", "", &e), -ENOENT);
	is_int(e.exit, 127);
	is_int(exec_request(c, 9, "kill -TERM $$", "", &e), 0);
	is_str(transcript_on(c, 9), "||143 15");
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "||0 0");
}

TEST(an_exec_ends_with_its_container)
{
	int fd = run(&(struct want){ .script = "read x", .keep_stdin = true });
	struct err e = { 0 };

	wait_started(fd);
	int c = connect_now();
	is_int(exec_request(c, 1, "exec sleep 1000", "", &e), 0);
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "||0 0");
	is_str(transcript_on(c, 1), "||137 9");
	is_int(monitor_end(), 0);
}

TEST(a_detached_exec_outlives_its_client)
{
	int fd = run(&(struct want){ .script = "read x", .keep_stdin = true });
	struct err e = { 0 };

	wait_started(fd);
	char *flag = str_fmt("%s/flag", dir);
	is_int(mkfifo(flag, 0600), 0);
	int c = connect_now();
	is_int(exec_request(c, 1, str_fmt("yes | head -c 100000; echo ran > %s", flag), ",\"berth\":{\"detach\":true}", &e), 0);
	close(c);
	static char *text;
	is_int(file_read(AT_FDCWD, flag, 100, &text, NULL), 0);
	is_str(text, "ran\n");
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "||0 0");
}

TEST(signals_reach_the_main_process_and_exec_ones)
{
	int fd = run(&(struct want){ .script = "trap 'echo usr1; exit 9' USR1; echo ready; while :; do sleep 0.05; done" });
	static struct peer p;
	p.fd = fd;
	struct frame *f;
	struct err e = { 0 };

	while ((f = next(&p)) && f->type != FRAME_STDOUT)
		;
	int c = connect_now();
	is_int(exec_request(c, 1, "exec sleep 1000", "", &e), 0);
	send_signal(c, 1, SIGTERM);
	is_str(transcript_on(c, 1), "||143 15");
	send_signal(fd, 0, SIGUSR1);
	is_str(transcript(fd), "usr1\n||9 0");
}

TEST(the_monitors_own_sigterm_stops_its_container)
{
	int fd = run(&(struct want){ .script = "exec sleep 1000" });

	wait_started(fd);
	kill(monitor_pid, SIGTERM);
	is_str(transcript(fd), "||143 15");
	is_int(monitor_end(), 0);
}

TEST(statistics_are_answered_to_who_asked)
{
	int fd = run(&(struct want){ .script = "read x", .keep_stdin = true });
	struct err e = { 0 };
	static char *reply;

	wait_started(fd);
	int c = connect_now();
	is_int(monitor_request(c, FRAME_STATS, 0, NULL, 0, &reply, &e), 0);
	is_str(reply, "{\"cpu_ns\":42}");
	kill(monitor_pid, SIGTERM);
	is_str(transcript(fd), "||143 15");
	ok(monitor_request(c, FRAME_STATS, 0, NULL, 0, &reply, &e) < 0);
}

TEST(a_terminal_is_one_stream_with_a_size)
{
	int fd = run(&(struct want){ .script = "read x; stty size; echo err >&2", .tty = true });
	struct buf b = { 0 };

	wait_started(fd);
	frame_put_resize(&b, 0, 33, 99);
	send_buf(fd, &b);
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "\r\n33 99\r\nerr\r\n||0 0");
}

TEST(output_that_a_stray_process_holds_open_does_not_delay_the_end_for_long)
{
	/* setsid and a sleeper that inherits the pipe; the fake wall does not kill it, so we do. */
	int fd = run(&(struct want){ .script = "setsid sleep 1000 & echo $!" });
	char *text = transcript(fd);

	ok(str_ends(text, "||0 0"));
	kill(atoi(text), SIGKILL);
	is_int(monitor_end(), 0);
}

TEST(the_log_has_all_output_also_without_clients)
{
	int fd = run(&(struct want){ .script = "echo one; echo two >&2", .detached = true });
	struct err e = { 0 };
	struct log_query q = { .want_stdout = true, .want_stderr = true, .tail = -1 };
	static char *text;

	close(fd);
	is_int(monitor_end(), 0);
	int out = open(dir, O_TMPFILE | O_RDWR, 0600);
	is_int(logs_print(&paths, ID, str_fmt("%s/log", dir), &q, out, out, &e), 0);
	lseek(out, 0, SEEK_SET);
	is_int(fd_read_all(out, 1000, &text, NULL), 0);
	ok(streq(text, "one\ntwo\n") || streq(text, "two\none\n"));
}

TEST(a_followed_log_ends_with_its_container)
{
	int fd = run(&(struct want){ .script = "echo early; read x; echo late", .keep_stdin = true });
	struct log_query q = { .want_stdout = true, .want_stderr = true, .tail = -1, .follow = true };
	int p[2];

	wait_started(fd);
	is_int(pipe(p), 0);
	pid_t reader = fork();
	if (reader == 0) {
		struct err e = { 0 };
		close(p[0]);
		monitor_pid = 0;
		_exit(logs_print(&paths, ID, str_fmt("%s/log", dir), &q, p[1], p[1], &e) < 0);
	}
	close(p[1]);
	char got[16] = "";
	is_int(fd_read_full(p[0], got, 6), 6);
	is_str(got, "early\n");
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "early\nlate\n||0 0");
	close(fd);
	is_int(monitor_end(), 0);
	static char *rest;
	is_int(fd_read_all(p[0], 100, &rest, NULL), 0);
	is_str(rest, "late\n");
	int status;
	is_int(spawn_wait(reader, &status), 0);
	is_int(status, 0);
}

TAP_MAIN()
