/* patience: when a signal waits, and that it comes in the end. */
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base.h"
#include "tap.h"

static struct loop *loop;
static struct patience patience;
static unsigned n_sent;
static volatile bool *is_ready; /* seen by the process too */

static void send_it(void *arg, int sig)
{
	n_sent++;
	kill(*(pid_t *)arg, sig);
	loop_stop(loop, 0);
}

static void on_term(int sig) { _exit(sig == SIGTERM ? 7 : 8); }

static void on_timeout(struct loop *l, int fd _unused_, uint32_t events _unused_, void *arg _unused_) { loop_stop(l, 1); }

/* The first process of a pid namespace. One that is busy works until it is told that it is ready for SIGTERM; the others wait for
 * something. */
static pid_t begin(bool is_busy)
{
	static pid_t pid;

	if (!is_ready)
		is_ready = mmap(NULL, sizeof(*is_ready), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ok(is_ready != MAP_FAILED);
	*is_ready = false;
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		while (is_busy && !*is_ready)
			;
		if (is_busy)
			signal(SIGTERM, on_term);
		for (;;)
			pause();
	}
	if (pid < 0)
		skip("a pid namespace can't be made here");
	for (int n = 0; n < 1000 && pid_is_at_work(pid) != is_busy; n++)
		usleep(1000);
	n_sent = 0;
	is_int(loop_new(&loop), 0);
	patience = (struct patience){ .loop = loop, .pid = pid, .send = send_it, .arg = &pid };
	return pid;
}

static int end(pid_t pid)
{
	int status;

	patience_end(&patience);
	loop_free(loop);
	is_int(spawn_wait(pid, &status), 0);
	return status_to_exit(status);
}

TEST(a_signal_that_would_be_lost_waits_until_the_program_has_its_handler)
{
	pid_t pid = begin(true);

	ok(patience_holds(&patience, SIGTERM));
	ok(patience_holds(&patience, SIGTERM)); /* as with the kernel, two are one */
	*is_ready = true;
	is_int(loop_run(loop), 0);
	is_int(end(pid), 7);
	is_int(n_sent, 1);
}

TEST(whom_it_waits_for_in_vain_it_is_sent_to_in_the_end)
{
	pid_t pid = begin(true);
	uint64_t began = clock_mono_us();

	ok(patience_holds(&patience, SIGTERM));
	is_int(loop_run(loop), 0);
	ok(clock_mono_us() - began >= PATIENCE_MS * 900);
	ok(pid_cpu_ms(pid) >= PATIENCE_MS || patience.naps >= PATIENCE_MOST_MS / PATIENCE_NAP_MS);
	is_int(n_sent, 1);
	ok(!patience_holds(&patience, SIGKILL));
	kill(pid, SIGKILL);
	is_int(end(pid), 137);
}

TEST(a_moment_is_the_programs_own_as_well_as_of_who_waits)
{
	enum { MOMENT = PATIENCE_MS / PATIENCE_NAP_MS };
	const uint64_t had = pid_cpu_ms(getpid());

	ok(!patience_is_over(getpid(), 2 * MOMENT, had)); /* it had no processor meanwhile */
	ok(patience_is_over(getpid(), PATIENCE_MOST_MS / PATIENCE_NAP_MS, had));
	while (pid_cpu_ms(getpid()) < had + PATIENCE_MS)
		;
	ok(patience_is_over(getpid(), MOMENT, had));
	ok(!patience_is_over(getpid(), MOMENT - 1, had)); /* who waits had none, and so had it perhaps */
}

TEST(who_waits_for_something_has_set_the_handlers_that_it_wants)
{
	pid_t pid = begin(false);

	ok(!patience_holds(&patience, SIGTERM));
	kill(pid, SIGKILL);
	is_int(end(pid), 137);
}

TEST(nothing_is_sent_after_the_end)
{
	pid_t pid = begin(true);

	ok(patience_holds(&patience, SIGTERM));
	patience_end(&patience);
	is_int(loop_timer(loop, 2 * PATIENCE_MS, on_timeout, NULL, NULL), 0);
	is_int(loop_run(loop), 1);
	is_int(n_sent, 0);
	kill(pid, SIGKILL);
	is_int(end(pid), 137);
}

TAP_MAIN()
