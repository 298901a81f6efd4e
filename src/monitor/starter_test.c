/* One of several that are made together: it lives as long as its maker, until all are. */
#include <sys/eventfd.h>

#include "fixture.h"

static int given_up(void)
{
	struct stat st;

	return stat(str_fmt("%s/given-up", dir), &st) < 0 ? 0 : (int)st.st_size;
}

static int run_one(const char *script, int *ret_all)
{
	*ret_all = eventfd(0, EFD_CLOEXEC);
	ok(*ret_all > 0);
	return run(&(struct want){ .script = script, .all_fd = *ret_all });
}

static void let_all_live(int all)
{
	const uint64_t one = 1;

	is_int(write(all, &one, sizeof(one)), sizeof(one));
}

/* Whether the first client is told an end, or an error. */
static bool is_told(int fd, bool of_an_error)
{
	static struct peer p;
	struct frame *f;

	p = (struct peer){ .fd = fd };
	while ((f = next(&p)) && f->type != FRAME_EXIT && !(of_an_error && f->type == FRAME_ERROR))
		;
	return f;
}

TEST(before_all_are_there_it_goes_with_its_maker)
{
	int all, fd = run_one("echo $$ >&2; exec sleep 1000", &all);
	pid_t pid;

	wait_started(fd);
	pid = inspect().pid;
	close(fd);
	is_int(monitor_end(), 0);
	is_int(given_up(), 1);
	ok(recorded() == NULL);
	ok(kill(pid, 0) < 0);
	ok(access(str_fmt("%s/run/containers/" ID, dir), F_OK) < 0);
}

TEST(once_all_are_it_lives_on_without_him)
{
	int all, fd = run_one("read x; exit 3", &all);

	wait_started(fd);
	let_all_live(all);
	close(fd);
	usleep(200000);
	is_int(inspect().truth, MONITOR_RUNNING);
	fd = attach(true);
	send_frame(fd, FRAME_STDIN, 0, "x\n", 2);
	is_str(transcript(fd), "||3 0");
	is_int(monitor_end(), 0);
	is_int(given_up(), 0);
	is_str(recorded(), "3 0 -");
}

TEST(its_end_is_told_and_nothing_is_forgotten_while_he_is_there)
{
	int all, fd = run_one("exit 3", &all);

	ok(is_told(fd, false));
	is_str(recorded(), "3 0 -");
	is_int(given_up(), 0);
	usleep(200000);
	is_int(waitpid(monitor_pid, NULL, WNOHANG), 0); /* it has one more thing to see */
	let_all_live(all);
	close(fd);
	is_int(monitor_end(), 0);
	is_int(given_up(), 0);
}

TEST(one_that_has_ended_already_is_given_up_with_the_others)
{
	int all, fd = run_one("exit 3", &all);

	ok(is_told(fd, false));
	close(fd);
	is_int(monitor_end(), 0);
	is_int(given_up(), 1);
}

TEST(one_that_could_not_start_is_given_up_with_the_others)
{
	int all, fd = run(&(struct want){ .script = "missing", .all_fd = all = eventfd(0, EFD_CLOEXEC) });

	ok(is_told(fd, true));
	close(fd);
	is_int(monitor_end(), 0);
	is_int(given_up(), 1);
	close(all);
}

TEST(its_process_has_nothing_of_that)
{
	int all = eventfd(0, 0),
	    fd = run(&(struct want){ .script = "sleep 0.3; ls -l /proc/$$/fd | grep -c eventfd; read x", .all_fd = all });
	const uint64_t one = 1;

	wait_started(fd);
	is_int(write(all, &one, sizeof(one)), sizeof(one));
	close(fd);
	fd = attach(true);
	send_frame(fd, FRAME_STDIN, 0, NULL, 0);
	is_str(transcript(fd), "0\n||1 0");
	is_int(monitor_end(), 0);
}

TEST(what_was_not_even_ordered_is_given_up)
{
	int all = eventfd(0, EFD_CLOEXEC), fd = run(&(struct want){ .script = "exit 3", .all_fd = all, .waits_for_go = true });

	close(fd);
	is_int(monitor_end(), 0);
	is_int(given_up(), 1);
	ok(recorded() == NULL);
	ok(access(str_fmt("%s/run/containers/" ID, dir), F_OK) < 0);
}

TEST(others_may_come_and_go_meanwhile)
{
	int all, fd = run_one("sleep 0.5; echo done; read x", &all), other;

	wait_started(fd);
	other = attach(false);
	close(other);
	usleep(100000);
	is_int(inspect().truth, MONITOR_RUNNING);
	is_int(given_up(), 0);
	close(fd);
	is_int(monitor_end(), 0);
	is_int(given_up(), 1);
}

TAP_MAIN()
