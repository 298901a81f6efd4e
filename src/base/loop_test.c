#include <fcntl.h>
#include <stdio.h>

#include "clock.h"
#include "loop.h"
#include "tap.h"

static struct loop *l;
static int a[2], b[2], calls;
static struct loop_src *src_a, *src_b;

static void setup(void)
{
	is_int(loop_new(&l), 0);
	is_int(pipe(a), 0);
	is_int(pipe(b), 0);
}

static void stop_after(struct loop *loop, int fd _unused_, uint32_t events _unused_, void *arg)
{
	loop_stop(loop, (int)(intptr_t)arg);
}

/* Ends a loop once nothing has happened for a while: a timer might come before what is to happen, where this process gets no processor. */
static void stop_at_rest(void *arg) { loop_stop(l, (int)(intptr_t)arg); }

static void read_one(struct loop *loop _unused_, int fd, uint32_t events, void *arg _unused_)
{
	char c;

	ok(events & EPOLLIN);
	is_int(read(fd, &c, 1), 1);
	calls++;
}

TEST(readable_descriptors_are_reported_until_stop)
{
	setup();
	is_int(loop_add(l, a[0], EPOLLIN, read_one, NULL, NULL), 0);
	is_int(write(a[1], "xyz", 3), 3);
	loop_when_idle(l, 20, stop_at_rest, (void *)7);
	is_int(loop_run(l), 7);
	is_int(calls, 3);
	loop_free(l);
}

static void delete_both(struct loop *loop _unused_, int fd _unused_, uint32_t events _unused_, void *arg _unused_)
{
	calls++;
	loop_del(src_a);
	loop_del(src_b);
	loop_del(src_b); /* twice is once */
	loop_del(NULL);
}

TEST(a_source_deleted_in_a_callback_is_not_called_in_the_same_turn)
{
	setup();
	is_int(write(a[1], "x", 1), 1);
	is_int(write(b[1], "x", 1), 1);
	/* Both are ready in the same turn; whichever is first deletes both. */
	is_int(loop_add(l, a[0], EPOLLIN, delete_both, NULL, &src_a), 0);
	is_int(loop_add(l, b[0], EPOLLIN, delete_both, NULL, &src_b), 0);
	loop_when_idle(l, 20, stop_at_rest, NULL);
	is_int(loop_run(l), 0);
	is_int(calls, 1);
	loop_free(l);
}

static void replace(struct loop *loop, int fd, uint32_t events _unused_, void *arg _unused_)
{
	calls++;
	loop_del(src_a);
	if (calls < 5)
		is_int(loop_add(loop, fd, EPOLLIN, replace, NULL, &src_a), 0);
}

TEST(a_descriptor_can_be_registered_anew_inside_its_callback)
{
	setup();
	is_int(write(a[1], "x", 1), 1);
	is_int(loop_add(l, a[0], EPOLLIN, replace, NULL, &src_a), 0);
	loop_when_idle(l, 20, stop_at_rest, NULL);
	is_int(loop_run(l), 0);
	is_int(calls, 5);
	loop_free(l);
}

TEST(events_zero_delivers_nothing_but_hangups)
{
	setup();
	is_int(write(a[1], "x", 1), 1);
	is_int(loop_add(l, a[0], EPOLLIN, read_one, NULL, &src_a), 0);
	is_int(loop_mod(src_a, 0), 0);
	loop_when_idle(l, 20, stop_at_rest, NULL);
	is_int(loop_run(l), 0);
	is_int(calls, 0);
	is_int(loop_mod(src_a, EPOLLIN), 0);
	loop_when_idle(l, 20, stop_at_rest, NULL);
	is_int(loop_run(l), 0);
	is_int(calls, 1);
	loop_free(l);
}

static int order[3], n_fired;

static void fired(struct loop *loop _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	order[n_fired++] = (int)(intptr_t)arg;
}

TEST(timers_fire_once_and_in_order_of_their_time)
{
	struct loop_src *gone;
	uint64_t t0 = clock_mono_us();

	setup();
	is_int(loop_timer(l, 150, fired, (void *)3, NULL), 0);
	is_int(loop_timer(l, 50, fired, (void *)1, NULL), 0);
	is_int(loop_timer(l, 100, fired, (void *)2, NULL), 0);
	is_int(loop_timer(l, 25, fired, (void *)9, &gone), 0);
	loop_del(gone);
	is_int(loop_timer(l, 200, stop_after, NULL, NULL), 0);
	is_int(loop_run(l), 0);
	is_int(n_fired, 3);
	ok(order[0] == 1 && order[1] == 2 && order[2] == 3);
	ok(clock_mono_us() - t0 >= 200000); /* never early */
	loop_free(l);
}

static void again(struct loop *loop, int fd _unused_, uint32_t events _unused_, void *arg _unused_)
{
	calls++;
	is_int(loop_timer(loop, 0, again, NULL, NULL), 0);
}

TEST(a_timer_that_sets_itself_again_starves_nobody)
{
	setup();
	is_int(write(a[1], "x", 1), 1);
	is_int(loop_timer(l, 0, again, NULL, NULL), 0);
	is_int(loop_add(l, a[0], EPOLLIN, stop_after, (void *)5, NULL), 0);
	is_int(loop_run(l), 5);
	loop_free(l);
}

static void got_signal(struct loop *loop, int sig, void *arg _unused_)
{
	calls += sig;
	if (sig == SIGUSR2)
		loop_stop(loop, 1);
}

TEST(signals_come_through_the_loop)
{
	sigset_t set;

	setup();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	is_int(loop_signals(l, &set, got_signal, NULL), 0);
	is_int(loop_signals(l, &set, got_signal, NULL), -EBUSY);
	is_int(kill(getpid(), SIGUSR1), 0);
	is_int(kill(getpid(), SIGUSR2), 0);
	is_int(loop_run(l), 1);
	is_int(calls, SIGUSR1 + SIGUSR2);
	loop_free(l);
}

static void read_file(struct loop *loop, int fd, uint32_t events, void *arg _unused_)
{
	char c;

	ok(events & EPOLLIN);
	if (read(fd, &c, 1) == 0)
		loop_stop(loop, 0);
	calls++;
}

TEST(files_that_epoll_refuses_are_always_ready)
{
	FILE *f = tmpfile();

	setup();
	fputs("four", f);
	fflush(f);
	rewind(f);
	is_int(loop_add(l, fileno(f), EPOLLIN, read_file, NULL, &src_a), 0);
	is_int(loop_run(l), 0);
	is_int(calls, 5);
	loop_del(src_a);
	loop_free(l);
	fclose(f);
}

static int idled;
static void note_idle(void *arg _unused_)
{
	if (!idled++)
		is_int(loop_timer(l, 100, stop_after, (void *)1, NULL), 0); /* long enough to be told of it again */
}

TEST(idling_is_told_of_once)
{
	setup();
	loop_when_idle(l, 10, note_idle, NULL);
	is_int(loop_run(l), 1);
	is_int(idled, 1);
	loop_free(l);
}

static void wake_or_stop(void *arg _unused_)
{
	if (++idled == 3)
		loop_stop(l, 2);
	else
		is_int(write(a[1], "x", 1), 1);
}

TEST(idling_is_told_of_again_once_something_has_happened)
{
	setup();
	is_int(loop_add(l, a[0], EPOLLIN, read_one, NULL, NULL), 0);
	loop_when_idle(l, 10, wake_or_stop, NULL);
	is_int(loop_run(l), 2);
	is_int(idled, 3);
	is_int(calls, 2);
	loop_free(l);
}

TEST(errors_of_registration_are_returned)
{
	setup();
	is_int(loop_add(l, 999, EPOLLIN, read_one, NULL, NULL), -EBADF);
	is_int(loop_add(l, a[0], EPOLLIN, read_one, NULL, NULL), 0);
	is_int(loop_add(l, a[0], EPOLLIN, read_one, NULL, NULL), -EEXIST);
	loop_free(l);
	loop_free(NULL);
}

TAP_MAIN()
