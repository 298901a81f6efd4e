/* login: a registry is asked for its root ("/v2/", distribution spec "Determining Support") with what the user gave; its challenge is
 * answered as a pull's is (exchange.c, auth.c). Who talks to it is confined and ends with it; who writes the file never does. */
#include "login.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exchange.h"

static int copy_credential(const struct credential *c, struct credential *ret, struct err *e)
{
	*ret = (struct credential){ .user = strdup(c->user), .password = strdup(c->password) };
	return ret->user && ret->password ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int ask_root(struct registry *g, struct err *e)
{
	_cleanup_(exchange_done) struct exchange x = { .reg = g, .url = str_fmt("%s/v2/", g->base), .what = "its root" };
	int r = x.url ? exchange_start(&x, e) : err_set(e, ENOMEM, "out of memory");

	while (r == 0) {
		int ms = exchange_wait_ms(&x);

		r = http_turn(g->http, NULL, 0, ms < 0 ? 1000 : ms, e);
		if (r == 0)
			r = exchange_step(&x, e);
	}
	return MIN(r, 0);
}

static int verify(const struct login_request *q, struct err *e)
{
	_cleanup_(registry_close) struct registry g = {};
	_cleanup_credential_ struct credential cred = {};
	_cleanup_(http_free_ptr) struct http *http = NULL;
	int r = copy_credential(q->cred, &cred, e);

	if (r >= 0)
		r = registry_connect(&q->access, q->domain, NULL, false, &cred, &g, &http, e);
	if (r >= 0)
		r = ask_root(&g, e);
	registry_close(&g); /* before the connections that it uses */
	return r;
}

/* Never returns. */
static _noreturn_ void verify_alone(const struct login_request *q, int to)
{
	struct err e = {};
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = verify(q, &e);
	if (r < 0 && !e.no)
		err_set(&e, -r, "%s", strerror(-r));
	_exit(r < 0 && fd_write_full(to, &e, sizeof(e)) < 0 ? 2 : r < 0);
}

static int verify_in_child(const struct login_request *q, struct err *e)
{
	_cleanup_fd_ int from = -1, to = -1;
	struct err said = {};
	int p[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	from = p[0];
	to = p[1];
	pid = fork();
	if (pid < 0)
		return err_set(e, errno, "fork: %s", strerror(errno));
	if (pid == 0)
		verify_alone(q, to);
	to = fd_close(to);
	n = fd_read_full(from, &said, sizeof(said));
	if (spawn_wait(pid, &status) < 0 || (n != 0 && n != (ssize_t)sizeof(said)) || (n == 0 && status != 0))
		return err_set(e, EIO, "who asked registry %s ended without an answer", q->domain);
	if (n == 0)
		return 0;
	said.msg[sizeof(said.msg) - 1] = '\0';
	return err_set(e, said.no > 0 ? said.no : EIO, "%s", said.msg);
}

int login(const struct login_request *q, struct credential_place *ret, struct err *e)
{
	int r = verify_in_child(q, e);

	return r < 0 ? r : credential_store(q->domain, q->cred, environ, ret, e);
}
