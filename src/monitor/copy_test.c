/* A VM at rest for who copies it, and pauses. */
#include "fixture.h"

/* 'T' of /proc/PID/stat, within a second. */
static bool stands_still(pid_t pid, bool wanted)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	for (int i = 0; i < 200; i++, usleep(5000)) {
		char *text = NULL;
		bool is;

		if (file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
			return false;
		is = strstr(text, ") T ") != NULL;
		free(text);
		if (is == wanted)
			return true;
	}
	return false;
}

static int ask(int fd, enum frame_type type, struct err *e) { return monitor_request(fd, type, 0, NULL, 0, NULL, e); }

static int ask_pause(int fd, uint8_t on, struct err *e)
{
	const uint8_t payload[4] = { on };

	return monitor_request(fd, FRAME_PAUSE, 0, payload, sizeof(payload), NULL, e);
}

TEST(rest_lasts_until_it_is_released_or_its_client_is_gone)
{
	int fd = run(&(struct want){ .script = "read x", .keep_stdin = true });
	struct err e = { 0 };

	wait_started(fd);
	pid_t pid = inspect().pid;
	int a = connect_now(), b = connect_now();
	is_int(ask(a, FRAME_QUIESCE, &e), 0);
	ok(stands_still(pid, true));
	is_int(ask(b, FRAME_QUIESCE, &e), -EBUSY);
	has_str(e.msg, "another command");
	is_int(ask_pause(b, 1, &e), -EBUSY);
	is_int(ask(a, FRAME_RELEASE, &e), 0);
	ok(stands_still(pid, false));
	is_int(ask(b, FRAME_QUIESCE, &e), 0);
	ok(stands_still(pid, true));
	close(b); /* as if it were killed */
	ok(stands_still(pid, false));
	ok(ask(a, FRAME_RELEASE, &e) < 0); /* who holds nothing breaks the protocol */
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "||0 0");
}

/* Not of the size that launch.json asks for by now (update). */
TEST(who_copies_is_told_of_what_size_the_machine_was_started)
{
	int fd = run(&(struct want){ .script = "read x", .keep_stdin = true });
	_cleanup_free_ char *size = NULL;
	struct err e = { 0 };

	wait_started(fd);
	write_file("launch.json", "{}");
	int a = connect_now();
	is_int(monitor_request(a, FRAME_QUIESCE, 0, NULL, 0, &size, &e), 0);
	is_str(size, "{\"mem_bytes\":64000000,\"cpus\":3,\"mem_max\":0,\"cpus_max\":0}");
	is_int(ask(a, FRAME_RELEASE, &e), 0);
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "||0 0");
}

TEST(a_pause_outlives_its_client)
{
	int fd = run(&(struct want){ .script = "read x", .keep_stdin = true });
	struct err e = { 0 };

	wait_started(fd);
	pid_t pid = inspect().pid;
	int a = connect_now();
	is_int(ask_pause(a, 1, &e), 0);
	close(a);
	ok(stands_still(pid, true));
	a = connect_now();
	is_int(ask_pause(a, 0, &e), 0);
	ok(stands_still(pid, false));
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "||0 0");
}

TAP_MAIN()
