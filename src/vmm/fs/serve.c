/* serve: the server's process from hello to its end. Each thread takes a call from the socket, carries it out, and says that it is
 * done; so one that takes long (a sync, a slow disk) holds up nobody but itself. The main thread is the one for locks that are waited
 * for: it changes no ids, which would untie it from its parent (prctl(2), PR_SET_PDEATHSIG). */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../seccomp.h"
#include "../thread.h"
#include "wire.h"

enum { THREADS_MAX = 16 };

struct server {
	const struct fs_serve_config *c;
	struct fs *fs;
	uint8_t *arena;
};
struct thread {
	struct server *s;
	struct fs_scratch *scratch;
	pthread_t id;
};

static _noreturn_ void fail(const char *what, int no)
{
	log_error("fs", "%s: %s", what, strerror(no));
	_exit(1);
}

static void say_done(const struct server *s, uint32_t slot, size_t len)
{
	const struct fs_done d = { slot, (uint32_t)len };

	while (write(s->c->sock, &d, sizeof(d)) < 0)
		if (errno != EINTR)
			_exit(errno == EPIPE || errno == ECONNRESET ? 0 : 1); /* the VM has ended */
}

static void on_answer(void *arg, uint32_t tag, size_t len) { say_done(arg, tag, len); }

static void confine(const struct server *s)
{
	int r = s->c->seccomp == VMM_SECCOMP_OFF ? 0 : seccomp_enter(VMM_THREAD_SHARE, s->c->seccomp);

	if (r < 0)
		fail("system call filter", -r);
}

static void take_calls(struct thread *t)
{
	const struct server *s = t->s;
	struct fs_call c;

	for (;;) {
		ssize_t n = read(s->c->sock, &c, sizeof(c)), len;
		uint8_t *slot;

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			_exit(0);
		if (n < 0)
			fail("the VM's socket", errno);
		if (n != sizeof(c) || c.slot >= FS_SLOTS || c.in_len > FS_SLOT_BYTES || c.out_max > FS_SLOT_BYTES)
			fail("the VM's call", EPROTO);
		slot = s->arena + (size_t)c.slot * FS_SLOT_BYTES;
		len = fs_handle(s->fs, t->scratch, c.slot, slot, c.in_len, slot, c.out_max);
		if (len != FS_LATER)
			say_done(s, c.slot, (size_t)len);
	}
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	(void)pthread_setname_np(pthread_self(), "fs");
	confine(t->s);
	take_calls(t);
	return NULL;
}

/* The VM says it while it is built. */
static int hear_hello(struct server *s, struct err *e)
{
	struct fs_hello h = { 0 };
	_cleanup_fd_ int fd = -1;
	size_t n_fds = 1;
	ssize_t n = sock_recv_fds(s->c->sock, &h, sizeof(h), &fd, &n_fds);

	if (n == 0 || n == -ECONNRESET)
		_exit(0); /* no VM was made */
	if (n != sizeof(h) || n_fds != 1 || h.magic != FS_WIRE_MAGIC || h.slots != FS_SLOTS || h.slot_bytes != FS_SLOT_BYTES)
		return err_set(e, EPROTO, "the VM's hello is none");
	return fs_arena_map(fd, &s->arena, e);
}

static int make_threads(struct server *s, struct thread *t, struct err *e)
{
	for (unsigned i = 0; i < MIN(s->c->threads, (unsigned)THREADS_MAX); i++) {
		int r;

		t[i] = (struct thread){ .s = s, .scratch = fs_scratch_new() };
		if (!t[i].scratch)
			return err_set(e, ENOMEM, "out of memory");
		r = vmm_thread_new(&t[i].id, thread_main, &t[i]);
		if (r < 0)
			return err_set(e, -r, "thread: %s", strerror(-r));
	}
	return 0;
}

int fs_serve(const struct fs_serve_config *c, struct err *e)
{
	struct server s = { .c = c };
	struct fs_config fs = c->fs;
	struct thread threads[THREADS_MAX];
	sigset_t all;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	umask(0); /* the guest's kernel has applied its own */
	r = hear_hello(&s, e);
	if (r < 0)
		return r;
	fs.answer = on_answer;
	fs.arg = &s;
	r = fs_new(&fs, &s.fs, e);
	if (r < 0)
		return r;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	r = make_threads(&s, threads, e);
	if (r < 0)
		return r;
	confine(&s);
	for (;;)
		fs_sleep_locks(s.fs, fs_try_locks(s.fs));
}
