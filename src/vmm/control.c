/* control: the socket by which a VM is asked and told while it runs: one JSON object a line in, one a line out, in order
 * (docs/FORMATS.md). Who holds the socket is trusted with the VM, and with nothing else: lines are bounded, files come as
 * descriptors, an unknown verb or key is refused by name.
 *
 * All on the vmm thread, whose filter needs for it: accept4, recvmsg, sendto, close, epoll_ctl, pread64 on the one descriptor
 * of /proc that control_new opens; and what snapshot.h lists. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "vmm_impl.h"

#define PEERS_MAX 4u
#define LINE_MAX_ (64u << 10)
#define REPLY_MAX (256u << 10) /* of one who does not read what it asked for */

struct peer {
	struct control *c;
	int fd; /* -1: free */
	struct loop_src *src;
	struct buf in, out;
	struct control_fds fds; /* that came, for the line that is being read */
};

struct control {
	struct vmm *vm;
	struct loop_src *src;
	struct peer peers[PEERS_MAX];
	struct control_env env;
};

static void on_peer(struct loop *l, int fd, uint32_t events, void *arg);

/* ---- peers ---- */

static void drop_fds(struct control_fds *f)
{
	for (size_t i = 0; i < f->n; i++)
		fd_close(f->fd[i]);
	f->n = 0;
}

static void drop(struct peer *p)
{
	loop_del(p->src);
	p->src = NULL;
	(void)shutdown(p->fd, SHUT_RDWR); /* the plan may hold it too */
	drop_fds(&p->fds);
	buf_done(&p->in);
	buf_done(&p->out);
	p->fd = fd_close(p->fd);
	if (p->c->env.taker == p) {
		p->c->env.taker = NULL;
		vmm_snapshot_take_back(p->c->vm);
	}
	/* Who stopped the VM for as long as he is there has gone, maybe by a kill. */
	if (p->c->env.pauses && p->c->env.pauser == p) {
		p->c->env.pauses = 0;
		p->c->env.pauser = NULL;
		vmm_resume(p->c->vm);
	}
}

static int adopt(struct control *c, int fd)
{
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &c->peers[i];

		if (p->fd >= 0)
			continue;
		*p = (struct peer){ .c = c, .fd = fd };
		return loop_add(c->vm->loop, fd, EPOLLIN, on_peer, p, &p->src);
	}
	return -EUSERS;
}

static void on_listen(struct loop *l, int fd, uint32_t events, void *arg)
{
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)l;
	(void)events;
	if (peer >= 0 && adopt(arg, peer) < 0)
		fd_close(peer);
}

/* ---- lines ---- */

static void send_out(struct peer *p)
{
	ssize_t n = p->out.len ? send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	if (n > 0)
		buf_consume(&p->out, (size_t)n);
	if ((n < 0 && errno != EAGAIN && errno != EINTR) || p->out.failed || p->out.len > REPLY_MAX ||
	    loop_mod(p->src, p->out.len ? EPOLLOUT : EPOLLIN) < 0)
		drop(p);
}

static void answer(struct peer *p, const char *line, size_t n)
{
	p->c->env.asker = p;
	_cleanup_json_ struct json_object *reply = control_answer(p->c->vm, &p->c->env, line, n, &p->fds);
	const char *text = reply ? json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN) : NULL;

	buf_str(&p->out, text ?: "{\"ok\":false,\"error\":\"out of memory\"}");
	buf_str(&p->out, "\n");
	drop_fds(&p->fds);
}

/* Lines wait while their predecessors' answers do. */
static void take_lines(struct peer *p)
{
	char *end;

	while (p->fd >= 0 && !p->out.len && p->in.len && (end = memchr(p->in.data, '\n', p->in.len))) {
		size_t n = (size_t)(end - p->in.data);

		answer(p, p->in.data, n);
		buf_consume(&p->in, n + 1);
		send_out(p);
	}
	if (p->fd >= 0 && p->in.len > LINE_MAX_) {
		buf_str(&p->out, "{\"ok\":false,\"error\":\"a line of more than 64 KiB\"}\n");
		send_out(p);
		if (p->fd >= 0)
			drop(p);
	}
}

static void on_peer(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct peer *p = arg;
	char piece[4096];
	size_t n_fds = CONTROL_FDS_MAX - p->fds.n;
	ssize_t n;

	(void)l;
	if (events & EPOLLOUT) {
		send_out(p);
		take_lines(p);
		return;
	}
	n = sock_recv_fds(fd, piece, sizeof(piece), p->fds.fd + p->fds.n, &n_fds);
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		drop(p);
		return;
	}
	p->fds.n += n_fds;
	buf_add(&p->in, piece, (size_t)n);
	take_lines(p);
}

/* ---- life ---- */

int control_new(struct vmm *vm, int fd, struct control **ret, struct err *e)
{
	int is_listening = 0, r;
	socklen_t n = sizeof(is_listening);
	struct control *c;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &n) < 0)
		return err_set(e, errno, "control socket: descriptor %d: %s", fd, strerror(errno));
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	c->vm = vm;
	for (unsigned i = 0; i < PEERS_MAX; i++)
		c->peers[i].fd = -1;
	/* -1: no /proc, and metrics say nothing of it */
	c->env.statm_fd = vm->plan->statm_fd > 0 ? fcntl(vm->plan->statm_fd, F_DUPFD_CLOEXEC, 0)
						 : open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	r = fd_nonblock(fd, true);
	if (r >= 0 && is_listening)
		r = loop_add(vm->loop, fd, EPOLLIN, on_listen, c, &c->src);
	else if (r >= 0) { /* a descriptor of our own: the plan's is closed with the plan */
		int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

		r = own < 0 ? -errno : adopt(c, own);
	}
	if (r < 0) {
		control_free(c);
		return err_set(e, -r, "control socket: %s", strerror(-r));
	}
	*ret = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < PEERS_MAX; i++)
		if (c->peers[i].fd >= 0)
			drop(&c->peers[i]);
	loop_del(c->src);
	fd_close(c->env.statm_fd);
	free(c);
}
