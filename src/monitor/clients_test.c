/* Several clients, slow ones, strange ones, and the log that has it all. */
#include "fixture.h"

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
	stall_ms = 1000; /* the good one is slow, too, on a busy machine */
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
	has_str(text, "error 0: this reader has not read for 1.0 s");
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

/* Whoever starts it is gone before it has begun to run: nobody can give it input any more. */
TEST(input_ends_also_where_its_only_client_was_gone_before_it_began)
{
	int fd = run(&(struct want){ .script = "cat; exit 7", .waits_for_go = true });
	const char go = MONITOR_GO;

	is_int(write(fd, &go, 1), 1);
	close(fd);
	is_int(monitor_end(), 0);
	has_str(recorded(), "7 0");
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
