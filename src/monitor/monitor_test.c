/* From start to end: output, input, state files, exit. */
#include "fixture.h"

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

TAP_MAIN()
