/* words: what becomes of a start whose word can't be sent. The linker gives this program its own send (--wrap), which fails when a
 * test says so. */
#include <sys/socket.h>

#include "fixture.h"

static bool no_start; /* the word START can't be sent */

ssize_t __wrap_send(int fd, const void *data, size_t n, int flags);
ssize_t __real_send(int fd, const void *data, size_t n, int flags);

ssize_t __wrap_send(int fd, const void *data, size_t n, int flags)
{
	const struct sync_word *w = data;

	if (no_start && n == sizeof(*w) && w->kind == SYNC_START) {
		errno = ENOMEM;
		return -1;
	}
	return __real_send(fd, data, n, flags);
}

/* The process would wait for the word as long as its maker lives, and its maker for its exec. */
static void can_not_be_started(bool starts_at_once)
{
	struct fixture f;
	struct container *c = NULL;
	int r;

	fixture_init(&f);
	alarm(20);
	no_start = true;
	f.args.starts_at_once = starts_at_once;
	r = container_create(&f.args, &c, &f.err);
	if (r == 0)
		r = container_start(c, &f.err);
	is_int(r, -ENOMEM);
	is_str(f.err.msg, "start: Cannot allocate memory");
	container_destroy(c);
	is_int(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left waiting */
	fixture_done(&f);
}

TEST(a_process_that_can_not_be_told_to_start_is_an_error_and_ended) { can_not_be_started(false); }

TEST(a_process_that_starts_at_once_and_can_not_be_told_to_is_an_error_and_ended) { can_not_be_started(true); }

TAP_MAIN()
