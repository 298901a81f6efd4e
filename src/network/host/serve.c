/* The conversation: one plan, one answer. */
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rootless.h"
#include "serve.h"

enum { FD_PLAN = 3, FD_NS = 4, PLAN_MAX = 4 << 20, FDS_A_MESSAGE = 8 };

/* Of the network stack that the caller is in, and so locks on it are per stack, whatever else its processes share; only root opens it, so
 * that nobody else can hold up networks (/proc/self/ns/net, which would be as good, anybody can lock). */
int turns_open(void)
{
	const int fd = open("/proc/sys/net/ipv4/route/flush", O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int take_turn(struct nets *n, struct err *e)
{
	int r;

	n->turn = turns_open();
	if (n->turn < 0)
		return err_set(e, -n->turn, "/proc/sys/net/ipv4/route/flush: %s", strerror(-n->turn));
	r = flock(n->turn, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	n->has_waited = r == -EWOULDBLOCK;
	while (r == -EWOULDBLOCK || r == -EINTR)
		r = flock(n->turn, LOCK_EX) < 0 ? -errno : 0;
	return r < 0 ? err_set(e, -r, "lock /proc/sys/net/ipv4/route/flush: %s", strerror(-r)) : 0;
}

int nets_open(struct nets *n, struct err *e)
{
	int r;

	n->host_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (n->host_ns < 0)
		return err_set(e, errno, "/proc/self/ns/net: %s", strerror(errno));
	r = take_turn(n, e);
	if (r >= 0) {
		r = talk_open(NETLINK_ROUTE, &n->route);
		if (r >= 0)
			r = talk_open(NETLINK_NETFILTER, &n->filter);
		if (r < 0)
			err_set(e, -r, "netlink: %s%s", strerror(-r),
				r == -EPROTONOSUPPORT ? " (is the kernel's module nf_tables loaded?)" : "");
	}
	if (r < 0)
		nets_close(n);
	return r;
}

void nets_close(struct nets *n)
{
	n->turn = fd_close(n->turn);
	talk_close(&n->outside);
	n->host_ns = fd_close(n->host_ns);
	talk_close(&n->route);
	if (n->filter.s)
		closing_later(&n->filter, n->has_waited);
	talk_close(&n->filter);
}

void outcome_done(struct outcome *o)
{
	net_answer_done(&o->answer);
	for (size_t i = 0; i < o->n_taps; i++)
		fd_close(o->taps[i]);
	free(o->taps);
	reservation_done(&o->ports);
	free(o->inside);
	free(o->gone);
	for (size_t i = 0; i < o->n_claims; i++)
		fd_close(o->claims[i]);
	free(o->claims);
	*o = (struct outcome){ 0 };
}

static const struct {
	const char *name;
	int (*run)(struct nets *n, const struct net_plan *p, struct outcome *ret, struct err *e);
	bool makes; /* what is missing; the others find nothing to do then */
} verbs[] = {
	{ "attach", attach, true }, { "detach", detach }, { "sweep", sweep }, { "names", names }, { "reload", reload, true }
};

/* A site's plugins, out of turn: how long they take is their affair. before: how it went so far. */
static int plugins(size_t verb, int before, const struct net_plan *p, struct nets *n, struct outcome *o, struct err *e)
{
	struct err why = { 0 };
	int r;

	n->turn = fd_close(n->turn);
	if ((verbs[verb].run != attach && verbs[verb].run != detach && verbs[verb].run != sweep) ||
	    (verbs[verb].run == attach && before < 0))
		return before;
	if (verbs[verb].run == attach) {
		r = cni_attach(p, n->inside, &o->answer, e);
		return r < 0 ? r : attach_gateways(n, p, e);
	}
	r = cni_detach(p, &why);
	return before < 0 || r >= 0 ? before : err_set(e, NET_PLUGINS_HOLD, "%s", why.msg);
}

/* The turn is over when this returns; n is still to be closed: nf_tables lets whoever has removed something wait for its end then. */
static int run(size_t verb, const struct net_plan *p, struct nets *n, struct outcome *o, struct err *e)
{
	int r = check_plan(p, verbs[verb].name, n->inside >= 0, e), entered;

	if (r >= 0 && verb == 0)
		r = attach_ports(p, o, e);
	if (r < 0)
		return r;
	r = entered = rootless_enter(n, p, verbs[verb].makes, o, e);
	if (r == -ENOENT && !verbs[verb].makes)
		return 0;
	if (r >= 0)
		r = nets_open(n, e);
	if (r >= 0 && entered > 0 && verbs[verb].makes)
		r = rootless_routes(n, p, o, e);
	if (r >= 0)
		r = verbs[verb].run(n, p, o, e);
	if (cni_is_on(p))
		r = plugins(verb, r, p, n, o, e);
	n->turn = fd_close(n->turn);
	return r;
}

/* Descriptors ride on the text's first bytes, some on each. */
static int send_answer(struct outcome *o)
{
	_cleanup_json_ struct json_object *text = net_answer_json(&o->answer);
	_cleanup_free_ int *fds = calloc(o->n_taps + o->ports.n_fds + 1, sizeof(*fds));
	const size_t n_fds = o->n_taps + o->ports.n_fds;
	const char *p = text ? json_object_to_json_string_ext(text, JSON_C_TO_STRING_PLAIN) : NULL;
	size_t left = p ? strlen(p) : 0;
	int r = p && fds ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	if (o->n_taps)
		memcpy(fds, o->taps, o->n_taps * sizeof(*fds));
	if (o->ports.n_fds)
		memcpy(fds + o->n_taps, o->ports.fds, o->ports.n_fds * sizeof(*fds));
	for (size_t sent = 0; sent < n_fds && left > 1 && r >= 0; sent += FDS_A_MESSAGE, p++, left--)
		r = sock_send_fds(FD_PLAN, p, 1, fds + sent, MIN(n_fds - sent, (size_t)FDS_A_MESSAGE));
	return r < 0 ? r : sock_send_fds(FD_PLAN, p, left, NULL, 0);
}

/* Nobody has heard that it is attached: then it is not to be. */
static void take_back(const struct net_plan *p, struct outcome *o)
{
	struct nets n = { .host_ns = -1, .turn = -1, .inside = -1 };
	struct outcome detached = { 0 };
	struct err ignored = { 0 };

	(void)run(1, p, &n, &detached, &ignored);
	nets_close(&n);
	if (detached.lingers)
		(void)linger_begin(p, &detached, &ignored);
	outcome_done(&detached);
	outcome_done(o);
}

static int serve(size_t verb, int inside, const struct net_plan *p, struct err *e)
{
	struct nets n = { .host_ns = -1, .turn = -1, .inside = inside };
	struct outcome o = { 0 };
	int r = run(verb, p, &n, &o, e);

	if (o.lingers) {
		struct err why = { 0 };
		const int lingering = linger_begin(p, &o, &why);

		if (r >= 0 && lingering < 0)
			r = err_set(e, -lingering, "%s", why.msg);
	}
	if (r < 0) {
		if (verb == 0 && cni_is_on(p))
			take_back(p, &o);
		outcome_done(&o);
		o.answer.error = e->no;
		o.answer.message = strdup(e->msg);
	}
	r = send_answer(&o);
	shutdown(FD_PLAN, SHUT_RDWR);
	if (r < 0 && verb == 0 && !o.answer.error)
		take_back(p, &o);
	nets_close(&n);
	outcome_done(&o);
	return r;
}

static bool is_network_namespace(int fd)
{
	const int type = ioctl(fd, NS_GET_NSTYPE);

	return type == CLONE_NEWNET;
}

/* Closing the conversation with nf_tables waits for an RCU grace period where rules were taken away (nft_rcv_nl_event, Linux 5.13):
 * nobody who takes a container down waits for that, so that the process which does it is not the one that was started. */
static void step_aside(void)
{
	const pid_t pid = fork();

	if (pid > 0)
		_exit(0);
	/* Without a child the caller waits. */
}

int net_serve(const char *verb)
{
	struct net_plan p = { 0 };
	struct err e = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t len = 0, which = 0;
	int r;

	while (which < ARRAY_SIZE(verbs) && !(verb && streq(verb, verbs[which].name)))
		which++;
	if (which == ARRAY_SIZE(verbs) || fcntl(FD_PLAN, F_GETFD) < 0)
		return 2;
	if (which != 0)
		step_aside();
	const int inside = is_network_namespace(FD_NS) ? FD_NS : -1;
	fd_cloexec(FD_PLAN, true);
	umask(022); /* a resolver, which is not root, reads what we write for it */
	r = build_id_check(&e);
	if (r >= 0 && (r = fd_read_all(FD_PLAN, PLAN_MAX, &text, &len)) < 0)
		err_set(&e, -r, "read the network plan: %s", strerror(-r));
	if (r >= 0)
		r = net_plan_parse(text, len, &p, &e);
	if (r >= 0) {
		r = serve(which, inside, &p, &e);
	} else {
		struct outcome o = { .answer = { .error = e.no, .message = strdup(e.msg) } };
		r = send_answer(&o);
		outcome_done(&o);
	}
	net_plan_done(&p);
	return r < 0 ? 1 : 0;
}
