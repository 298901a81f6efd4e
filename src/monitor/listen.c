/* New connections on the container's socket. What is said on them is in client.c and requests.c. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor_impl.h"

static void on_connection(struct loop *loop _unused_, int fd, uint32_t events _unused_, void *arg)
{
	struct monitor *m = arg;
	struct err e = { 0 };
	struct ucred who;
	socklen_t len = sizeof(who);
	struct client *c;

	_cleanup_fd_ int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (conn < 0) {
		log_debug("attach", "accept: %s", strerror(errno));
		return;
	}
	/* The directory's mode keeps others out; this also holds when somebody opens it up. */
	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || (who.uid != geteuid() && who.uid != 0)) {
		log_warn("attach", "a connection of uid %u was refused", (unsigned)who.uid);
		return;
	}
	if (client_add(m, conn, &c, &e) < 0) {
		log_warn("attach", "%s", e.msg);
		return;
	}
	conn = -1;
	if (m->n_clients > CLIENTS_MAX) {
		err_set(&e, EAGAIN, "%d clients are connected to this container already", CLIENTS_MAX);
		client_refuse(c, 0, &e, true);
	} else {
		client_flush(c);
	}
	clients_reap(m);
}

int monitor_listen(struct monitor *m, struct err *e)
{
	m->listenfd = sock_unix_listen(m->rundirfd, "monitor.sock", 0600);
	if (m->listenfd < 0)
		return err_set(e, -m->listenfd, "%s/monitor.sock: %s", m->rundir, strerror(-m->listenfd));
	int r = loop_add(m->loop, m->listenfd, EPOLLIN, on_connection, m, &m->listen_src);
	return r < 0 ? err_set(e, -r, "watch %s/monitor.sock: %s", m->rundir, strerror(-r)) : 0;
}
