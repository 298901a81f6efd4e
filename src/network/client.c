/* See client.h. berth-net outlives a caller that is killed: it finishes what it does, and what is then nobody's is swept as any dead one's. */
#include "client.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawn.h"

#define SOCKET_FD   3
#define NETNS_FD    4
#define ANSWER_MAX  (4u << 20)
#define FDS_AT_ONCE 8 /* sock_recv_fds's */

static void close_all(int **fds, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		fd_close((*fds)[i]);
	free(*fds);
	*fds = NULL;
	*n = 0;
}

void net_hold_done(struct net_hold *h)
{
	close_all(&h->taps, &h->n_taps);
	close_all(&h->sockets, &h->n_sockets);
	struct net_answer rest = { .ports = h->ports, .n_ports = h->n_ports, .results = h->results, .n_results = h->n_results };
	net_answer_done(&rest);
	*h = (struct net_hold){ 0 };
}

static int send_plan(int fd, const struct net_plan *plan, struct err *e)
{
	_cleanup_json_ struct json_object *o = net_plan_json(plan);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
	int r;

	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	r = sock_send_fds(fd, text, strlen(text), NULL, 0);
	if (r >= 0 && shutdown(fd, SHUT_WR) < 0)
		r = -errno;
	/* One that has ended early has said why, or its status does. */
	return r < 0 && r != -EPIPE && r != -ECONNRESET ? err_set(e, -r, "talk to berth-net: %s", strerror(-r)) : 0;
}

static int start(const struct paths *p, const char *verb, int theirs, int netns_fd, pid_t *ret, struct err *e)
{
	_cleanup_free_ char *path = NULL, *id = str_fmt("BERTH_BUILD_ID=%s", build_id()), *word = strdup(verb);
	char *argv[] = { (char[]){ "berth-net" }, word, NULL },
	     *env[] = { id, (char[]){ "PATH=/usr/sbin:/usr/bin:/sbin:/bin" }, NULL };
	const int fds[][2] = { { theirs, SOCKET_FD }, { 2, 2 }, { netns_fd, NETNS_FD } };
	int r = id && word ? paths_sibling(p, "berth-net", &path, e) : err_set(e, ENOMEM, "out of memory");

	if (r < 0)
		return r;
	const struct spawn s = { .path = path,
				 .argv = argv,
				 .env = env,
				 .fds = fds,
				 .n_fds = ARRAY_SIZE(fds) - (netns_fd < 0),
				 .new_session = true,
				 .cwd_fd = -1 };
	r = spawn_start(&s, ret, NULL, e);
	return r < 0 ? err_push(e, r, "start berth-net") : 0;
}

int net_call_begin(const struct paths *p, const char *verb, const struct net_plan *plan, int netns_fd, struct net_call *ret,
		   struct err *e)
{
	_cleanup_fd_ int ours = -1, theirs = -1;
	int pair[2], status, r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, errno, "make a socket pair: %s", strerror(errno));
	ours = pair[0];
	theirs = pair[1];
	r = start(p, verb, theirs, netns_fd, &pid, e);
	if (r < 0)
		return r;
	theirs = fd_close(theirs);
	r = send_plan(ours, plan, e);
	if (r < 0) {
		ours = fd_close(ours);
		spawn_wait(pid, &status);
		return r;
	}
	*ret = (struct net_call){ .pid = pid, .fd = TAKE_FD(ours) };
	return 0;
}

/* ---- the answer ---- */

struct received {
	struct buf text;
	int *fds;
	size_t n_fds;
};

static int keep_fds(struct received *v, const int *fds, size_t n)
{
	int *grown = n ? reallocarray(v->fds, v->n_fds + n, sizeof(int)) : v->fds;

	if (n && !grown) {
		for (size_t i = 0; i < n; i++)
			fd_close(fds[i]);
		return -ENOMEM;
	}
	v->fds = grown;
	for (size_t i = 0; i < n; i++)
		v->fds[v->n_fds++] = fds[i];
	return 0;
}

static int receive(int fd, struct received *v)
{
	char part[4096];

	for (;;) {
		int fds[FDS_AT_ONCE];
		size_t n_fds = FDS_AT_ONCE;
		ssize_t n = sock_recv_fds(fd, part, sizeof(part), fds, &n_fds);
		int r;

		if (n <= 0)
			return (int)n;
		r = keep_fds(v, fds, n_fds);
		if (r < 0)
			return r;
		buf_add(&v->text, part, (size_t)n);
		if (v->text.failed || v->text.len > ANSWER_MAX)
			return v->text.failed ? -ENOMEM : -EMSGSIZE;
	}
}

/* Of most verbs the process that was started ends well at once, and its child, of which we hear nothing else, does the work. */
static int silent(int status, struct err *e)
{
	if (status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		return err_set(e, EAGAIN, "berth-net was killed before it had answered: try again");
	if (WIFSIGNALED(status))
		return err_set(e, EIO, "berth-net ended by signal %d", WTERMSIG(status));
	return err_set(e, EIO, "berth-net ended with status %d and said nothing", WEXITSTATUS(status));
}

static int take_fds(struct received *v, size_t from, size_t n, int **ret, size_t *ret_n)
{
	if (n == 0)
		return 0;
	*ret = calloc(n, sizeof(int));
	if (!*ret)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		(*ret)[i] = TAKE_FD(v->fds[from + i]);
	*ret_n = n;
	return 0;
}

/* Takes from a what it keeps. */
static int sort_out(struct received *v, struct net_answer *a, struct net_hold *ret, struct err *e)
{
	struct net_hold h = { 0 };

	if ((size_t)a->taps + a->sockets != v->n_fds)
		return err_set(e, EPROTO, "berth-net: %u taps and %u sockets were announced, %zu descriptors came", a->taps,
			       a->sockets, v->n_fds);
	if (take_fds(v, 0, a->taps, &h.taps, &h.n_taps) < 0 || take_fds(v, a->taps, a->sockets, &h.sockets, &h.n_sockets) < 0) {
		net_hold_done(&h);
		return err_set(e, ENOMEM, "out of memory");
	}
	h.ports = TAKE_PTR(a->ports);
	h.n_ports = a->n_ports;
	a->n_ports = 0;
	h.results = TAKE_PTR(a->results);
	h.n_results = a->n_results;
	a->n_results = 0;
	*ret = h;
	return 0;
}

static int judge(struct received *v, int status, struct net_hold *ret, struct err *e)
{
	struct net_answer a = { 0 };
	int r;

	if (v->text.len == 0)
		return silent(status, e);
	r = net_answer_parse(v->text.data, v->text.len, &a, e);
	if (r < 0)
		return r;
	if (a.error != 0)
		r = err_set(e, a.error > 0 ? a.error : EIO, "%s", a.message ? a.message : "berth-net failed without a message");
	else if (ret)
		r = sort_out(v, &a, ret, e);
	net_answer_done(&a);
	return r;
}

int net_call_end(struct net_call *c, struct net_hold *ret, struct err *e)
{
	struct received v = { 0 };
	int status = 0, r = receive(c->fd, &v);

	c->fd = fd_close(c->fd);
	spawn_wait(c->pid, &status);
	c->pid = 0;
	r = r < 0 && r != -ECONNRESET ? err_set(e, -r, "berth-net's answer: %s", strerror(-r)) : judge(&v, status, ret, e);
	close_all(&v.fds, &v.n_fds);
	buf_done(&v.text);
	return MIN(r, 0);
}

int net_call(const struct paths *p, const char *verb, const struct net_plan *plan, struct err *e)
{
	struct net_call c;
	int r = net_call_begin(p, verb, plan, -1, &c, e);

	return r < 0 ? r : net_call_end(&c, NULL, e);
}
