/* Conversations with nf_tables that are closed later. The kernel lets whoever closes one wait for the end of what anybody has just removed,
 * which is RCU's, and meanwhile nobody begins a transaction or makes a device (nft_rcv_nl_event, Linux 5.13). Of many that come and go at
 * once each would wait for all. So who had to wait for his turn gives his conversation away, to one process that keeps them until nobody
 * has come for a moment; then there is nothing to wait for.
 *
 * That process holds a record lock on the file of turns, which only root can open; the lock begins at the number of its descriptor that
 * takes conversations. So it is found with no name and no file of its own, and a killed one leaves nothing. Who can't give away closes. */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "impl.h"
#include "serve.h"

enum { QUIET_MS = 250, KEPT_MAX = 500, KEPT_FD = 3 };

static int give(int turns, int conversation)
{
	off_t at = 0;
	_cleanup_fd_ int pidfd = pidfd_of_lock(turns, TURNS_CLAIMS, &at);
	_cleanup_fd_ int to = pidfd < 0 ? pidfd : (int)syscall(SYS_pidfd_getfd, pidfd, (int)at, 0);

	return to < 0 ? -ESRCH : sock_send_fds(to, "", 1, &conversation, 1);
}

/* All that it is given it has open until it ends. */
static void keep(int conversation)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	char word;
	int pair[2], turns;

	if (dup2(conversation, KEPT_FD) < 0 || syscall(SYS_close_range, KEPT_FD + 1, ~0U, 0) < 0 ||
	    syscall(SYS_close_range, 0, KEPT_FD - 1, 0) < 0)
		return; /* what was another's to be waited for is closed when this ends, at once */
	fd_fill_stdio();
	turns = turns_open();
	if (turns < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return;
	lock.l_start = pair[1];
	if (chdir("/") < 0 || setsid() < 0 || fcntl(turns, F_SETLK, &lock) < 0)
		return;
	for (int n = 1; n < KEPT_MAX && poll(&(struct pollfd){ .fd = pair[0], .events = POLLIN }, 1, QUIET_MS) > 0; n++) {
		size_t n_fds = 1;
		int fd;

		if (sock_recv_fds(pair[0], &word, 1, &fd, &n_fds) < 0)
			return;
	}
}

void closing_later(const struct talk *t, bool may_keep)
{
	_cleanup_fd_ int turns = turns_open();
	const int conversation = mnl_socket_get_fd(t->s);

	if (turns < 0 || give(turns, conversation) >= 0 || !may_keep || fork() != 0)
		return;
	keep(conversation);
	_exit(0);
}
