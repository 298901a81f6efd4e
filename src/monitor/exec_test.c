/* Further processes, signals, sizes and statistics. */
#include "fixture.h"

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

TEST(other_limits_are_answered_whether_they_hold_at_once_or_later_or_not)
{
	static const struct {
		const char *json, *says; /* NULL: they hold */
	} rows[] = {
		{ "{\"pids\":{\"limit\":7}}", NULL },
		{ "{\"pids\":{\"limit\":1}}", "one is too few" },
		{ "{\"pids\":{\"limit\":2}}", "two are too few" },
		{ "{\"pids\":7}", "pids" },
		{ "nonsense", "update" },
		{ "{}", NULL },
	};
	int fd = run(&(struct want){ .script = "read x", .keep_stdin = true });

	wait_started(fd);
	int c = connect_now();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = { 0 };
		int r = monitor_request(c, FRAME_UPDATE, 0, rows[i].json, strlen(rows[i].json), NULL, &e);

		is_int(r < 0, rows[i].says != NULL);
		if (rows[i].says)
			has_str(e.msg, rows[i].says);
	}
	kill(monitor_pid, SIGTERM);
	is_str(transcript(fd), "||143 15");
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

TAP_MAIN()
