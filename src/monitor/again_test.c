/* A container that is started again: what its clients hear, what its files say between two lives, and how it is given up. */
#include <dirent.h>
#include <sys/eventfd.h>

#include "fixture.h"

static char scratch[32];

static void clean_scratch(void) { rm_rf(AT_FDCWD, scratch); }

/* $DIR of the scripts. */
static void make_scratch(void)
{
	strcpy(scratch, "/tmp/berth-again-XXXXXX");
	ok(mkdtemp(scratch));
	atexit(clean_scratch);
	setenv("DIR", scratch, 1);
}

static size_t entries(const char *path)
{
	DIR *d = opendir(path);
	size_t n = 0;

	ok(d);
	for (const struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void await(enum monitor_truth truth)
{
	for (int i = 0; i < 1000 && inspect().truth != truth; i++)
		usleep(10000);
	is_int(inspect().truth, truth);
}

TEST(each_life_ends_for_its_clients_and_the_last_for_the_monitor)
{
	make_scratch();
	int fd = run(&(struct want){ .script = "echo x >>$DIR/lives; wc -l <$DIR/lives; exit 3", .lives = 3 });
	_cleanup_free_ char *text = NULL, *log = NULL;

	is_str(transcript(fd), "1\n||3 0"); /* of the first alone */
	is_int(monitor_end(), 0);
	is_str(recorded(), "3 0 -");
	is_int(inspect().truth, MONITOR_NONE);
	is_int(file_read(AT_FDCWD, str_fmt("%s/lives", scratch), 1000, &text, NULL), 0);
	is_str(text, "x\nx\nx\n");
	/* One log for all of them. */
	is_int(file_read(AT_FDCWD, str_fmt("%s/log", dir), 10000, &log, NULL), 0);
	ok(strstr(log, "\"1\\n") && strstr(log, "\"2\\n") && strstr(log, "\"3\\n"));
}

TEST(between_two_lives_it_is_as_before_the_first)
{
	int fd = run(&(struct want){ .script = "exit 1", .lives = 2, .again_ms = 60000 });
	struct err e = { 0 };
	struct exit_status st = { 0 };

	is_str(transcript(fd), "||1 0");
	await(MONITOR_STARTING);
	is_int(inspect().monitor_pid, monitor_pid);
	is_int(inspect().pid, 0);
	is_int(entries(str_fmt("%s/run/containers/" ID, dir)), 2); /* who it is, and where it listens */
	fd = connect_now();
	is_int(monitor_request(fd, FRAME_ATTACH, 0, "{}", 2, NULL, &e), -EAGAIN);
	has_str(e.msg, "is restarting");
	is_int(monitor_request(fd, FRAME_STATS, 0, NULL, 0, NULL, &e), -ESRCH);
	is_int(monitor_request(fd, FRAME_EXEC, 1, "{}", 2, NULL, &e), -ESRCH);
	uint8_t usr1[4] = { SIGUSR1 }, term[4] = { SIGTERM };
	is_int(monitor_request(fd, FRAME_SIGNAL, 0, usr1, 4, NULL, &e), -EAGAIN);
	/* A stop ends the wait, and is answered before that. */
	is_int(monitor_request(fd, FRAME_SIGNAL, 0, term, 4, NULL, &e), 0);
	is_int(monitor_wait_exit(fd, &st, &e), 0);
	is_int(st.code, 1);
	is_int(monitor_end(), 0);
	is_str(recorded(), "not again, as asked for");
	is_int(inspect().truth, MONITOR_NONE);
}

TEST(a_monitor_that_is_told_to_end_while_it_waits_ends)
{
	int fd = run(&(struct want){ .script = "exit 1", .lives = 2, .again_ms = 60000 });

	is_str(transcript(fd), "||1 0");
	await(MONITOR_STARTING);
	kill(monitor_pid, SIGTERM);
	is_int(monitor_end(), 0);
	is_str(recorded(), "not again");
}

TEST(what_is_stopped_is_not_started_again)
{
	make_scratch();
	int fd =
		run(&(struct want){ .script = "trap 'exit 5' TERM; touch $DIR/ready; while :; do sleep 0.05; done", .lives = 9 });
	uint8_t term[4] = { SIGTERM };
	struct err e = { 0 };

	wait_started(fd);
	int other = connect_now();
	is_int(inspect().truth, MONITOR_RUNNING);
	for (int i = 0; i < 1000 && access(str_fmt("%s/ready", scratch), F_OK) < 0; i++)
		usleep(10000);
	is_int(monitor_request(other, FRAME_SIGNAL, 0, term, 4, NULL, &e), 0);
	close(fd);
	is_int(monitor_end(), 0);
	is_str(recorded(), "5 0 -");
}

TEST(who_connects_to_a_later_life_follows_it)
{
	make_scratch();
	int fd = run(&(struct want){ .script = "test -e $DIR/again || { touch $DIR/again; exit 7; }; echo second; read x; exit 8",
				     .lives = 2 });

	is_str(transcript(fd), "||7 0");
	await(MONITOR_RUNNING);
	fd = connect_now();
	struct err e = { 0 };
	is_int(monitor_request(fd, FRAME_ATTACH, 0, "{\"stdin\":true}", 14, NULL, &e), 0);
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	has_str(transcript(fd), "||8 0");
	is_int(monitor_end(), 0);
}

TEST(a_later_start_that_fails_is_an_end_like_another)
{
	/* The plan is read anew for each life. */
	int fd = run(&(struct want){ .script = "exit 1", .lives = 3, .again_ms = 300 });

	is_str(transcript(fd), "||1 0");
	await(MONITOR_STARTING);
	write_file("config.json", "{ nonsense");
	is_int(monitor_end(), 0);
	const char *how = recorded();
	has_str(how, "125 0 ");
	has_str(how, "config.json");
}

TEST(one_of_several_that_dies_before_all_are_there_is_not_started_again)
{
	struct exit_status st = { 0 };
	struct err e = { 0 };
	char *text = NULL;

	make_scratch();
	int fd = run(&(struct want){ .script = "echo x >>$DIR/lives; exit 1", .lives = 9, .all_fd = eventfd(0, 0) });
	is_int(monitor_wait_exit(fd, &st, &e), 0);
	is_int(st.code, 1);
	usleep(300000);
	is_int(file_read(AT_FDCWD, str_fmt("%s/lives", scratch), 1000, &text, NULL), 0);
	is_str(text, "x\n");
	free(text);
	close(fd);
	is_int(monitor_end(), 0);
}

TAP_MAIN()
