/* The event loop. A turn: wait, dispatch what is ready, fire the timers that are due, free what was deleted meanwhile.
 *
 * Invariant: a struct loop_src stays allocated until the end of the turn in which loop_del was called; `dead` makes the rest
 * of that turn pass it by. Files that epoll can't watch (regular files, /dev/null: EPERM) count as always ready, as poll(2)
 * has it. */
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "loop.h"

enum src_kind { SRC_EPOLL, SRC_ALWAYS, SRC_TIMER };

struct loop_src {
	struct loop *loop;
	struct loop_src *prev, *next; /* in loop->live, or (next only) in loop->graveyard */
	enum src_kind kind;
	int fd;
	uint32_t events;
	uint64_t due_us; /* SRC_TIMER */
	loop_cb cb;
	void *arg;
	bool dead;
};

struct loop {
	int epfd, sigfd;
	struct loop_src *live, *graveyard;
	size_t n_timers, n_always;
	loop_signal_cb signal_cb;
	void *signal_arg;
	bool stopped;
	int value;
	void (*idle_cb)(void *arg); /* NULL: none */
	void *idle_arg;
	uint64_t idle_ms, idle_due_us; /* due 0: nothing has happened since it was called */
};

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->sigfd = -1;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		free(l);
		return -errno;
	}
	*ret = l;
	return 0;
}

static void bury(struct loop *l)
{
	while (l->graveyard) {
		struct loop_src *s = l->graveyard;
		l->graveyard = s->next;
		free(s);
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->live)
		loop_del(l->live);
	bury(l);
	fd_close(l->sigfd);
	fd_close(l->epfd);
	free(l);
}

static struct loop_src *src_new(struct loop *l, enum src_kind kind, int fd, uint32_t events, loop_cb cb, void *arg)
{
	struct loop_src *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct loop_src){ .loop = l, .kind = kind, .fd = fd, .events = events, .cb = cb, .arg = arg, .next = l->live };
	return s;
}

static void src_link(struct loop_src *s, struct loop_src **ret_src)
{
	struct loop *l = s->loop;

	if (l->live)
		l->live->prev = s;
	l->live = s;
	l->n_timers += s->kind == SRC_TIMER;
	l->n_always += s->kind == SRC_ALWAYS;
	if (ret_src)
		*ret_src = s;
}

int loop_add(struct loop *l, int fd, uint32_t events, loop_cb cb, void *arg, struct loop_src **ret_src)
{
	struct loop_src *s = src_new(l, SRC_EPOLL, fd, events, cb, arg);

	if (!s)
		return -ENOMEM;
	struct epoll_event ev = { .events = events, .data.ptr = s };
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		if (errno != EPERM) {
			free(s);
			return -errno;
		}
		s->kind = SRC_ALWAYS;
	}
	src_link(s, ret_src);
	return 0;
}

int loop_mod(struct loop_src *s, uint32_t events)
{
	if (s->dead || s->events == events)
		return 0;
	if (s->kind == SRC_EPOLL) {
		struct epoll_event ev = { .events = events, .data.ptr = s };
		if (epoll_ctl(s->loop->epfd, EPOLL_CTL_MOD, s->fd, &ev) < 0)
			return -errno;
	}
	s->events = events;
	return 0;
}

void loop_del(struct loop_src *s)
{
	if (!s || s->dead)
		return;
	struct loop *l = s->loop;
	int keep = errno;
	/* A fd that was closed first has left the set by itself. */
	if (s->kind == SRC_EPOLL)
		epoll_ctl(l->epfd, EPOLL_CTL_DEL, s->fd, NULL);
	errno = keep;
	if (s->prev)
		s->prev->next = s->next;
	else
		l->live = s->next;
	if (s->next)
		s->next->prev = s->prev;
	l->n_timers -= s->kind == SRC_TIMER;
	l->n_always -= s->kind == SRC_ALWAYS;
	s->dead = true;
	s->next = l->graveyard;
	l->graveyard = s;
}

int loop_timer(struct loop *l, uint64_t after_ms, loop_cb cb, void *arg, struct loop_src **ret_src)
{
	struct loop_src *s = src_new(l, SRC_TIMER, -1, 0, cb, arg);

	if (!s)
		return -ENOMEM;
	s->due_us = clock_mono_us() + after_ms * 1000;
	src_link(s, ret_src);
	return 0;
}

static void on_signalfd(struct loop *l, int fd, uint32_t events _unused_, void *arg _unused_)
{
	struct signalfd_siginfo info;

	while (!l->stopped && read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		l->signal_cb(l, (int)info.ssi_signo, l->signal_arg);
}

int loop_signals(struct loop *l, const sigset_t *set, loop_signal_cb cb, void *arg)
{
	if (l->sigfd >= 0)
		return -EBUSY;
	if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
		return -errno;
	_cleanup_fd_ int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	int r = loop_add(l, fd, EPOLLIN, on_signalfd, NULL, NULL);
	if (r < 0)
		return r;
	l->signal_cb = cb;
	l->signal_arg = arg;
	l->sigfd = TAKE_FD(fd);
	return 0;
}

/* Milliseconds until the next timer, rounded up; 0 when something is ready for certain; -1 = no limit. */
static int wait_ms(const struct loop *l)
{
	uint64_t first = l->idle_due_us ? l->idle_due_us : UINT64_MAX, now;

	if (l->n_always)
		for (const struct loop_src *s = l->live; s; s = s->next)
			if (s->kind == SRC_ALWAYS && s->events & (EPOLLIN | EPOLLOUT))
				return 0;
	if (!l->n_timers && first == UINT64_MAX)
		return -1;
	for (const struct loop_src *s = l->live; s; s = s->next)
		if (s->kind == SRC_TIMER)
			first = MIN(first, s->due_us);
	now = clock_mono_us();
	return first <= now ? 0 : (int)MIN((first - now + 999) / 1000, (uint64_t)1000000);
}

/* Searches anew after each callback, since a callback may change the list in any way. Timers set meanwhile wait for the next
 * turn, so that one that sets itself again for "now" can't keep the rest waiting. */
static bool fire_timers(struct loop *l)
{
	uint64_t now = clock_mono_us();
	bool fired = false;

	while (!l->stopped && l->n_timers) {
		struct loop_src *next = NULL;
		for (struct loop_src *s = l->live; s; s = s->next)
			if (s->kind == SRC_TIMER && s->due_us <= now && (!next || s->due_us < next->due_us))
				next = s;
		if (!next)
			break;
		fired = true;
		loop_del(next); /* before the call: it stays readable until the turn's end, and can't fire twice */
		next->cb(l, -1, 0, next->arg);
	}
	return fired;
}

static void call_always_ready(struct loop *l)
{
	struct loop_src *ready[16];
	size_t n = 0;

	for (struct loop_src *s = l->live; s && n < ARRAY_SIZE(ready); s = s->next)
		if (s->kind == SRC_ALWAYS && s->events & (EPOLLIN | EPOLLOUT))
			ready[n++] = s;
	for (size_t i = 0; i < n && !l->stopped; i++)
		if (!ready[i]->dead)
			ready[i]->cb(l, ready[i]->fd, ready[i]->events & (EPOLLIN | EPOLLOUT), ready[i]->arg);
}

void loop_when_idle(struct loop *l, uint64_t after_ms, void (*cb)(void *arg), void *arg)
{
	l->idle_cb = cb;
	l->idle_arg = arg;
	l->idle_ms = after_ms;
	l->idle_due_us = clock_mono_us() + after_ms * 1000;
}

/* The end of a turn. Behind the call nothing is touched but what waiting takes: cb may have given its memory back. */
static void look_at_idling(struct loop *l, bool has_happened)
{
	if (has_happened) {
		l->idle_due_us = clock_mono_us() + l->idle_ms * 1000;
	} else if (l->idle_due_us && clock_mono_us() >= l->idle_due_us) {
		l->idle_due_us = 0;
		l->idle_cb(l->idle_arg);
	}
}

int loop_run(struct loop *l)
{
	struct epoll_event evs[32];

	l->stopped = false;
	while (!l->stopped) {
		int n = epoll_wait(l->epfd, evs, (int)ARRAY_SIZE(evs), wait_ms(l));
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n && !l->stopped; i++) {
			struct loop_src *s = evs[i].data.ptr;
			if (!s->dead)
				s->cb(l, s->fd, evs[i].events, s->arg);
		}
		if (l->n_always && !l->stopped)
			call_always_ready(l);
		bool has_happened = n > 0 || l->n_always;
		if (l->n_timers && !l->stopped)
			has_happened = fire_timers(l) || has_happened;
		bury(l);
		if (l->idle_cb && !l->stopped)
			look_at_idling(l, has_happened);
	}
	return l->value;
}

void loop_stop(struct loop *l, int value)
{
	l->stopped = true;
	l->value = value;
}
