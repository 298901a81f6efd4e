/* The agent over a socketpair, with plain forked processes behind it instead of a container. */
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "guest.h"
#include "tap.h"

/* ---- ops that fork a shell ---- */

static int fork_shell(char *const *args, struct agent_process *ret, struct err *e)
{
	int in[2], out[2], err[2];
	pid_t pid;

	if (streq(args[0], "/nowhere"))
		return err_set_exit(e, 127, ENOENT, "/nowhere: no such program");
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		return err_set(e, errno, "pipe");
	pid = fork();
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		execv(args[0], args);
		_exit(127);
	}
	fd_close(in[0]);
	fd_close(out[1]);
	fd_close(err[1]);
	*ret = (struct agent_process){ .pid = pid, .in = in[1], .out = out[0], .err = err[0] };
	return 0;
}
static pid_t main_pid; /* the agent's process has one */

static int t_start(void *arg _unused_, unsigned slot _unused_, const struct guest_start *s, struct agent_process *ret,
		   struct err *e)
{
	struct guest_start mine = *s;
	int r = fork_shell(mine.spec.process.args, ret, e);

	guest_start_done(&mine);
	main_pid = ret->pid;
	return r;
}
static int t_exec(void *arg _unused_, unsigned slot _unused_, const struct spec_process *p, struct agent_process *ret,
		  struct err *e)
{
	return fork_shell(p->args, ret, e);
}
static int t_kill(void *arg _unused_, unsigned slot _unused_, pid_t pid, bool is_main _unused_, int sig, struct err *e)
{
	return kill(pid, sig) < 0 ? err_set(e, errno, "kill") : 0;
}
static int t_reap(void *arg _unused_, unsigned slot _unused_, pid_t pid, bool is_main, int *ret_status, bool *ret_oom,
		  struct err *e)
{
	*ret_oom = is_main && WIFSIGNALED(*ret_status); /* shows that the flag travels */
	if (waitpid(pid, ret_status, 0) < 0)
		return err_set(e, errno, "wait");
	*ret_oom = is_main && WIFSIGNALED(*ret_status);
	return 0;
}
static int t_stats(void *arg _unused_, unsigned slot _unused_, struct json_object **ret, struct err *e _unused_)
{
	*ret = json_object_new_object();
	json_object_object_add(*ret, "pids", json_object_new_int(3));
	return 0;
}
static int t_update(void *arg _unused_, unsigned slot _unused_, const struct spec_resources *r, unsigned cpus, struct err *e)
{
	return r->memory_limit == 64 << 20 && cpus == 2
		       ? 0
		       : err_set(e, EINVAL, "limits of %lld and %u", (long long)r->memory_limit, cpus);
}
static int t_freeze(void *arg _unused_, unsigned slot _unused_, bool on, struct err *e)
{
	return kill(main_pid, on ? SIGSTOP : SIGCONT) < 0 ? err_set(e, errno, "freeze") : 0;
}
static int t_restore(void *arg _unused_, unsigned slot _unused_, const struct guest_identity *id, struct err *e)
{
	return id->hostname && streq(id->hostname, "refused") ? err_set(e, EPERM, "not so") : 0;
}
static const struct agent_ops ops = { t_start, t_exec, t_kill, t_reap, t_stats, t_update, t_freeze, t_restore };

/* ---- the host's side, blocking ---- */

struct host_end {
	int fd;
	pid_t agent;
	struct buf in;
};

static struct host_end begin(void)
{
	int sv[2];
	struct host_end h = { 0 };

	is_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	h.agent = fork();
	if (h.agent == 0) {
		struct err e = { 0 };

		fd_close(sv[0]);
		_exit(agent_run(sv[1], &ops, NULL, &e) < 0 ? 9 : 0);
	}
	fd_close(sv[1]);
	h.fd = sv[0];
	return h;
}

static void send_frame(struct host_end *h, enum frame_type type, uint16_t channel, const void *p, size_t n)
{
	_cleanup_buf_ struct buf b = { 0 };

	frame_put(&b, type, channel, p, (uint32_t)n);
	is_int(fd_write_full(h->fd, b.data, b.len), 0);
}

/* The next frame, waiting at most 20 s for it; its payload is valid until the call after. */
static struct frame next(struct host_end *h)
{
	static size_t drop;
	struct frame f = { 0 };

	buf_consume(&h->in, drop);
	drop = 0;
	for (;;) {
		char chunk[4096];
		struct pollfd p = { .fd = h->fd, .events = POLLIN };
		int r = frame_peek(&h->in, &f);

		ok(r >= 0);
		if (r == 1) {
			drop = FRAME_HDR + f.len;
			return f;
		}
		if (poll(&p, 1, 20000) != 1)
			TAP_FAIL("the agent says nothing");
		ssize_t n = read(h->fd, chunk, sizeof(chunk));
		if (n <= 0)
			TAP_FAIL("the agent is gone");
		buf_add(&h->in, chunk, (size_t)n);
	}
}

static struct frame want(struct host_end *h, enum frame_type type, uint16_t channel)
{
	struct frame f;

	do
		f = next(h);
	while (f.type == FRAME_CREDIT && type != FRAME_CREDIT);
	if (f.type != type)
		TAP_FAIL("got %s, expected %s", frame_type_name(f.type), frame_type_name(type));
	is_int(f.channel, channel);
	return f;
}

static void greet(struct host_end *h)
{
	struct frame f = want(h, FRAME_HELLO, 0);

	ok(f.len > 4);
	ok(memcmp(f.payload + 4, build_id(), f.len - 4) == 0);
	send_frame(h, FRAME_HELLO, 0, "\1\0\0\0test", 8);
}

static void start_as(struct host_end *h, const char *script, const char *more)
{
	_cleanup_free_ char *t = str_fmt("{\"id\":\"t\",\"config\":{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},"
					 "\"process\":{\"args\":[\"/bin/sh\",\"-c\",\"%s\"],"
					 "\"cwd\":\"/\"}},\"root\":{\"disk\":\"/dev/vda\"},\"time_ns\":1%s}",
					 script, more);

	greet(h);
	send_frame(h, FRAME_START, 0, t, strlen(t));
	want(h, FRAME_STARTED, 0);
}
static void start(struct host_end *h, const char *script) { start_as(h, script, ""); }

static void is_exit(struct host_end *h, uint16_t channel, uint32_t status)
{
	struct frame f = want(h, FRAME_EXIT, channel);
	uint32_t st = 0, sig = 0;
	bool oom = false;

	is_int(frame_get_exit(&f, &st, &sig, &oom), 0);
	is_int(st, status);
}

static void end(struct host_end *h)
{
	int st = -1;

	send_frame(h, FRAME_SHUTDOWN, 0, NULL, 0);
	is_int(waitpid(h->agent, &st, 0), h->agent);
	is_int(st, 0);
	fd_close(h->fd);
	buf_done(&h->in);
}

/* Collects a stream up to its end frame, granting as it goes; other frames of the same channel may come between. */
static size_t collect(struct host_end *h, enum frame_type type, uint16_t channel, struct buf *out)
{
	size_t n = 0;

	for (;;) {
		struct frame f = next(h);
		_cleanup_buf_ struct buf b = { 0 };

		if (f.type != type || f.channel != channel)
			continue;
		if (f.len == 0)
			return n;
		n += f.len;
		if (out)
			buf_add(out, f.payload, f.len);
		frame_put_credit(&b, channel, type, f.len);
		is_int(fd_write_full(h->fd, b.data, b.len), 0);
	}
}

TEST(output_comes_before_the_exit_status_and_the_streams_stay_apart)
{
	struct host_end h = begin();
	struct frame f;
	bool has_out = false, has_err = false;

	start(&h, "echo out; echo err >&2; exit 7");
	for (int ends = 0; ends < 2;) {
		f = next(&h);
		if (f.len == 0)
			ends++;
		else if (f.type == FRAME_STDOUT)
			has_out = f.len == 4 && memcmp(f.payload, "out\n", 4) == 0;
		else if (f.type == FRAME_STDERR)
			has_err = f.len == 4 && memcmp(f.payload, "err\n", 4) == 0;
	}
	ok(has_out && has_err);
	is_exit(&h, 0, 7);
	end(&h);
}

TEST(input_reaches_the_process_and_its_end_as_well)
{
	struct host_end h = begin();
	_cleanup_buf_ struct buf out = { 0 };

	start(&h, "cat; echo done");
	send_frame(&h, FRAME_STDIN, 0, "one\n", 4);
	send_frame(&h, FRAME_STDIN, 0, "two\n", 4);
	send_frame(&h, FRAME_STDIN, 0, NULL, 0);
	collect(&h, FRAME_STDOUT, 0, &out);
	is_str(out.data, "one\ntwo\ndone\n");
	end(&h);
}

TEST(a_reader_that_stops_holds_back_one_stream_at_its_window)
{
	struct host_end h = begin();
	size_t got = 0;

	start(&h, "head -c 2000000 /dev/zero; exit 3");
	/* No credit is granted: exactly one window comes, and other requests are still answered. */
	while (got < FRAME_WINDOW) {
		struct frame f = next(&h);

		if (f.type == FRAME_STDOUT)
			got += f.len;
	}
	is_int(got, FRAME_WINDOW);
	send_frame(&h, FRAME_STATS, 0, NULL, 0);
	for (;;) {
		struct frame f = next(&h);

		ok(f.type != FRAME_STDOUT);
		if (f.type == FRAME_OK)
			break;
	}
	_cleanup_buf_ struct buf b = { 0 };
	frame_put_credit(&b, 0, FRAME_STDOUT, FRAME_WINDOW);
	is_int(fd_write_full(h.fd, b.data, b.len), 0);
	is_int(got + collect(&h, FRAME_STDOUT, 0, NULL), 2000000);
	end(&h);
}

static void update_is(struct host_end *h, const char *json, enum frame_type type, const char *says)
{
	struct frame f;

	send_frame(h, FRAME_UPDATE, 0, json, strlen(json));
	do
		f = next(h);
	while (f.type == FRAME_STDOUT || f.type == FRAME_STARTED);
	is_int(f.type, type);
	if (says) {
		struct err e = { 0 };

		is_int(frame_get_error(&f, &e), 0);
		has_str(e.msg, says);
	}
}

TEST(other_limits_are_answered_in_order_and_nonsense_is_refused_by_name)
{
	struct host_end h = begin();

	start(&h, "read line; exit 3");
	update_is(&h, "{\"resources\":{\"memory\":{\"limit\":67108864}},\"cpus\":2}", FRAME_OK, NULL);
	update_is(&h, "{\"resources\":{\"memory\":{\"limit\":67108864}}}", FRAME_ERROR, "and 0");
	update_is(&h, "{\"cpus\":2}", FRAME_ERROR, "resources");
	update_is(&h, "{\"resources\":{},\"cpus\":-1}", FRAME_ERROR, "cpus");
	update_is(&h, "{\"resources\":{},\"cpus\":\"two\"}", FRAME_ERROR, "cpus");
	update_is(&h, "{\"resources\":7}", FRAME_ERROR, NULL);
	update_is(&h, "nonsense", FRAME_ERROR, NULL);
	send_frame(&h, FRAME_STDIN, 0, "\n", 1);
	(void)collect(&h, FRAME_STDOUT, 0, NULL);
	end(&h);
}

TEST(an_exec_has_a_channel_of_its_own_and_its_own_exit_status)
{
	static const char exec[] = "{\"args\":[\"/bin/sh\",\"-c\",\"echo side; exit 5\"],\"cwd\":\"/\"}";
	struct host_end h = begin();
	_cleanup_buf_ struct buf out = { 0 };

	start(&h, "read x; exit 0");
	send_frame(&h, FRAME_EXEC, 1, exec, strlen(exec));
	want(&h, FRAME_STARTED, 1);
	for (;;) {
		struct frame f = next(&h);

		if (f.type == FRAME_STDOUT)
			buf_add(&out, f.payload, f.len);
		if (f.type == FRAME_EXIT) {
			uint32_t st, sig;
			bool oom;

			is_int(f.channel, 1);
			is_int(frame_get_exit(&f, &st, &sig, &oom), 0);
			is_int(st, 5);
			break;
		}
	}
	is_str(out.data, "side\n");
	send_frame(&h, FRAME_STDIN, 0, NULL, 0);
	collect(&h, FRAME_STDOUT, 0, NULL);
	end(&h);
}

TEST(an_exec_that_leaves_a_child_behind_ends_all_the_same)
{
	static const char exec[] = "{\"args\":[\"/bin/sh\",\"-c\",\"sleep 60 & echo left\"],\"cwd\":\"/\"}";
	struct host_end h = begin();

	start(&h, "read x");
	send_frame(&h, FRAME_EXEC, 4, exec, strlen(exec));
	want(&h, FRAME_STARTED, 4);
	for (;;)
		if (next(&h).type == FRAME_EXIT)
			break;
	end(&h);
}

TEST(a_program_that_cannot_be_started_is_an_error_with_its_exit_status)
{
	static const char exec[] = "{\"args\":[\"/nowhere\"],\"cwd\":\"/\"}";
	struct host_end h = begin();
	struct frame f;
	struct err e = { 0 };

	start(&h, "read x");
	send_frame(&h, FRAME_EXEC, 2, exec, strlen(exec));
	f = want(&h, FRAME_ERROR, 2);
	is_int(frame_get_error(&f, &e), 0);
	is_int(e.exit, 127);
	has_str(e.msg, "/nowhere");
	end(&h);
}

TEST(a_signal_ends_the_process_with_128_and_its_number)
{
	struct host_end h = begin();
	static const uint8_t term[4] = { SIGTERM };
	struct frame f;
	uint32_t st, sig;
	bool oom = false;

	start(&h, "echo ready; read x");
	while ((f = next(&h)).type != FRAME_STDOUT)
		;
	send_frame(&h, FRAME_SIGNAL, 0, term, 4);
	while ((f = next(&h)).type != FRAME_EXIT)
		;
	is_int(frame_get_exit(&f, &st, &sig, &oom), 0);
	is_int(st, 128 + SIGTERM);
	is_int(sig, SIGTERM);
	ok(oom); /* as t_reap has it */
	end(&h);
}

TEST(more_input_than_was_granted_breaks_the_connection)
{
	struct host_end h = begin();
	_cleanup_free_ char *chunk = calloc(1, FRAME_DATA_MAX);
	_cleanup_buf_ struct buf b = { 0 };
	int st = 0;

	start(&h, "sleep 60");
	/* The pipe takes 64 KiB, the window 256 KiB: 20 chunks of 32 KiB are beyond both. */
	for (int i = 0; i < 20; i++)
		frame_put(&b, FRAME_STDIN, 0, chunk, FRAME_DATA_MAX);
	signal(SIGPIPE, SIG_IGN);
	(void)!fd_write_full(h.fd, b.data, b.len);
	is_int(waitpid(h.agent, &st, 0), h.agent);
	is_int(WEXITSTATUS(st), 9);
	buf_done(&h.in);
}

TEST(another_protocol_version_is_refused)
{
	struct host_end h = begin();
	int st = 0;

	send_frame(&h, FRAME_HELLO, 0, "\2\0\0\0x", 5);
	is_int(waitpid(h.agent, &st, 0), h.agent);
	is_int(WEXITSTATUS(st), 9);
	buf_done(&h.in);
}

#define IDENTITY(host)                                             \
	"{\"time_ns\":1,\"entropy\":\"AAAA\",\"hostname\":\"" host \
	"\",\"machine_id\":\"0123456789abcdef0123456789abcdef\",\"boot_id\":\"01234567-89ab-4def-8123-456789abcdef\"}"

static void ends_killed(struct host_end *h)
{
	uint32_t st = 0, sig = 0;
	bool oom;

	send_frame(h, FRAME_SIGNAL, 0, "\11\0\0\0", 4);
	for (;;) { /* the ends of streams come before */
		struct frame f = next(h);

		if (f.type != FRAME_EXIT || f.channel != 0)
			continue;
		is_int(frame_get_exit(&f, &st, &sig, &oom), 0);
		is_int(st, 137);
		break;
	}
	end(h);
}

static void is_silent(struct host_end *h)
{
	struct pollfd p = { .fd = h->fd, .events = POLLIN };

	is_int(poll(&p, 1, 300), 0);
}

TEST(at_rest_the_agent_is_silent_and_goes_on_when_it_is_released)
{
	struct host_end h = begin();

	start(&h, "read x; echo got $x; exec sleep 100");
	send_frame(&h, FRAME_QUIESCE, 0, NULL, 0);
	is_int((int)want(&h, FRAME_QUIESCE, 0).len, 0);
	send_frame(&h, FRAME_STATS, 0, NULL, 0); /* answered, but not now */
	is_silent(&h);
	send_frame(&h, FRAME_RELEASE, 0, NULL, 0);
	want(&h, FRAME_OK, 0);
	send_frame(&h, FRAME_STDIN, 0, "word\n", 5);
	struct frame f = want(&h, FRAME_STDOUT, 0);
	is_int((int)f.len, 9);
	ok(memcmp(f.payload, "got word\n", 9) == 0);
	ends_killed(&h);
}

TEST(a_guest_of_several_containers_is_not_brought_to_rest)
{
	struct host_end h = begin();

	start_as(&h, "read x; exit 4", ",\"pod\":true");
	send_frame(&h, FRAME_QUIESCE, 0, NULL, 0);
	struct frame f = want(&h, FRAME_QUIESCE, 0);
	_cleanup_free_ char *why = strndup((const char *)f.payload, f.len);
	has_str(why, "several containers");
	send_frame(&h, FRAME_STDIN, 0, "go\n", 3); /* and goes on */
	for (f = next(&h); f.type != FRAME_EXIT;)
		f = next(&h);
	end(&h);
}

TEST(a_copy_forgets_who_it_spoke_with_and_its_streams_begin_anew)
{
	static const char exec[] = "{\"args\":[\"/bin/sh\",\"-c\",\"read gone; exit 3\"],\"cwd\":\"/\"}";
	struct host_end h = begin();

	start(&h, "read x; echo got $x; exec sleep 100");
	send_frame(&h, FRAME_EXEC, 1, exec, sizeof(exec) - 1);
	want(&h, FRAME_STARTED, 1);
	send_frame(&h, FRAME_QUIESCE, 0, NULL, 0);
	want(&h, FRAME_QUIESCE, 0);
	send_frame(&h, FRAME_STATS, 0, NULL, 0); /* the answer is for somebody who is not here */
	send_frame(&h, FRAME_RESTORE, 0, IDENTITY("new"), strlen(IDENTITY("new")));
	want(&h, FRAME_STARTED, 0); /* the first that comes: no answer to the statistics, no end of the exec'd process */
	send_frame(&h, FRAME_EXEC, 1, exec, sizeof(exec) - 1); /* the channel is free */
	want(&h, FRAME_STARTED, 1);
	send_frame(&h, FRAME_STDIN, 0, "word\n", 5);
	struct frame f = want(&h, FRAME_STDOUT, 0);
	ok(f.len == 9 && memcmp(f.payload, "got word\n", 9) == 0);
	ends_killed(&h);
}

TEST(a_copy_that_can_not_be_somebody_else_says_so)
{
	struct host_end h = begin();
	struct err e = { 0 };

	start(&h, "exec sleep 100");
	send_frame(&h, FRAME_QUIESCE, 0, NULL, 0);
	want(&h, FRAME_QUIESCE, 0);
	send_frame(&h, FRAME_RESTORE, 0, IDENTITY("refused"), strlen(IDENTITY("refused")));
	struct frame f = want(&h, FRAME_ERROR, 0);
	is_int(frame_get_error(&f, &e), 0);
	has_str(e.msg, "not so");
	end(&h);
}

TEST(a_restore_out_of_nowhere_breaks_the_connection)
{
	struct host_end h = begin();
	int st = -1;

	start(&h, "exec sleep 100");
	send_frame(&h, FRAME_RESTORE, 0, IDENTITY("new"), strlen(IDENTITY("new")));
	is_int(waitpid(h.agent, &st, 0), h.agent);
	is_int(WEXITSTATUS(st), 9);
	fd_close(h.fd);
	buf_done(&h.in);
}

TEST(the_agent_ends_when_the_host_goes_away)
{
	struct host_end h = begin();
	int st = 0;

	start(&h, "sleep 60");
	fd_close(h.fd);
	is_int(waitpid(h.agent, &st, 0), h.agent);
	is_int(WEXITSTATUS(st), 9);
	buf_done(&h.in);
}

TAP_MAIN()
