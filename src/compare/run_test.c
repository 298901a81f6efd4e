/* Children: when their first byte comes, what counts as one, their end, and ours. */
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure_impl.h"
#include "tap.h"

static const struct measure_options options = { .is_quiet = true };

/* What a shell does with this script, to its end. */
static struct run of(struct measure *m, const char *script, uint64_t within_ms, int *ret)
{
	struct run run;
	struct err e = { 0 };

	*ret = run_begin(m, NULL, "/bin/sh", WORDS("-c", script), &run, &e);
	if (*ret >= 0)
		*ret = run_end(m, &run, within_ms, &e);
	return run;
}

TEST(the_first_byte_is_before_the_end_and_all_that_is_said_is_kept)
{
	struct measure m = { .o = &options, .signals = -1 };
	int r;
	struct run run = of(&m, "printf a; sleep 0.2; printf b; echo c >&2; exit 3", 10000, &r);

	is_int(r, 0);
	is_str(run.said.data, "ab");
	is_str(run.complained.data, "c\n");
	ok(run.first_us && run.first_us + 150000 < run.ended_us);
	is_int(WEXITSTATUS(run.status), 3);
	run_done(&run);
}

TEST(berths_own_notes_are_no_first_byte)
{
	struct measure m = { .o = &options, .signals = -1 };
	int r;
	struct run run =
		of(&m, "echo 'berth: the VM is emulated' >&2; sleep 0.1; printf 'ber' >&2; sleep 0.1; echo 'th: image' >&2",
		   10000, &r);

	is_int(r, 0);
	is_int(run.first_us, 0);
	is_int(run.complained.len, 0);
	run_done(&run);
	run = of(&m, "echo 'berth: note' >&2; echo 'berries' >&2", 10000, &r);
	ok(run.first_us != 0);
	is_str(run.complained.data, "berries\n");
	run_done(&run);
}

TEST(who_does_not_end_is_given_up_and_killed)
{
	struct measure m = { .o = &options, .signals = -1 };
	int r;
	struct run run = of(&m, "exec sleep 1000", 100, &r);
	pid_t pid = run.pid;

	is_int(r, -ETIMEDOUT);
	is_int(kill(pid, 0), 0);
	run_done(&run);
	is_int(kill(pid, 0), -1);
}

TEST(its_last_line_is_its_error)
{
	struct measure m = { .o = &options, .signals = -1 };
	struct err e = { 0 };
	int r;
	struct run run = of(&m, "printf 'fetching\\nberth run: no such image\\n\\n' >&2; exit 125", 10000, &r);

	is_int(run_failed(&run, "run", &e), -EIO);
	is_str(e.msg, "run ended with 125: berth run: no such image");
	run_done(&run);
	run = of(&m, "exit 7", 10000, &r);
	run_failed(&run, "run", &e);
	is_str(e.msg, "run ended with 7: ");
	run_done(&run);
}

TEST(a_signal_that_is_for_us_ends_the_waiting)
{
	struct measure m = { .o = &options };
	struct err e = { 0 };
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	m.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	is_int(stop_is_wanted(&m, 0, &e), 0);
	kill(getpid(), SIGINT);
	struct run run = of(&m, "sleep 1000", 10000, &r);
	is_int(r, -EINTR);
	is_int(stop_is_wanted(&m, 0, &e), -EINTR);
	run_done(&run);
	close(m.signals);
}

TAP_MAIN()
