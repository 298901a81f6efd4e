/* seccomp_notify: the way of a seccomp listener (SCMP_ACT_NOTIFY) from the process that has loaded the filter to the agent at
 * linux.seccomp.listenerPath, as config-linux.md has it: one connection, one "container process state" with the descriptor.
 *
 *   child   loads the filter, reports SYNC_SECCOMP with the listener, waits
 *   parent  connects to the agent, sends, closes, says SYNC_AGENT
 *   child   closes its own end of it, drops its last capabilities, execs
 *
 * From the load on every call of the child may be one that only the agent can answer: but for the message that carries the
 * listener, which a profile may not ask to be notified of (seccomp_compile.c). When the agent can't be reached the listener
 * closes, calls that wait for it answer ENOSYS, and nothing of the user's has run. */
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "setup.h"

enum { AGENT_WAIT_S = 10 };

int seccomp_listener_hand_over(struct setup *s, int listener, struct err *e)
{
	int r;

	if (listener < 0)
		return 0;
	r = sync_report(s, s->sock, SYNC_SECCOMP, 0, NULL, listener);
	close(listener);
	return r < 0 ? err_set(e, -r, "seccomp listener: %s (the profile must allow sendmsg)", strerror(-r))
		     : sync_wait(s, SYNC_AGENT, e);
}

static char *process_state(const struct container_args *a, const char *status, pid_t container, pid_t process)
{
	const struct spec_seccomp *p = a->spec->seccomp;
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *fds = json_object_new_array();

	if (fds && json_object_array_add(fds, json_object_new_string("seccompFd")) < 0) {
		json_object_put(fds);
		return NULL;
	}
	if (!o || json_add(o, "ociVersion", json_object_new_string(state_version(a))) < 0 || json_add(o, "fds", fds) < 0 ||
	    json_add(o, "pid", json_object_new_int(process)) < 0)
		return NULL;
	if (p->listener_metadata && json_add(o, "metadata", json_object_new_string(p->listener_metadata)) < 0)
		return NULL;
	if (json_add(o, "state", state_json(a, status, container)) < 0)
		return NULL;
	return strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static int connect_agent(const char *path, struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval limit = { .tv_sec = AGENT_WAIT_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(e, ENAMETOOLONG, "seccomp listener %s: a socket's path has at most %zu bytes", path,
			       sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	/* An agent with a full backlog, or that reads nothing, must not hold the start for good. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return err_set(e, errno, "seccomp listener: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_set(e, errno, "seccomp listener %s: %s (does the agent run?)", path, strerror(errno));
	return TAKE_FD(fd);
}

int seccomp_listener_pass(struct container *c, pid_t process, int sock, int listener, struct err *e)
{
	const struct spec_seccomp *p = c->args.spec->seccomp;
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = -1;
	int r;

	if (listener < 0 || !p || !p->listener_path)
		return err_set(e, EPROTO, "seccomp listener: none was passed, or linux.seccomp.listenerPath is missing");
	text = process_state(&c->args, process == c->pid ? "created" : "running", c->pid, process);
	if (!text)
		return err_set(e, ENOMEM, "seccomp listener: out of memory");
	fd = connect_agent(p->listener_path, e);
	if (fd < 0)
		return fd;
	r = sock_send_fds(fd, text, strlen(text), &listener, 1);
	if (r < 0)
		return err_set(e, -r, "seccomp listener %s: %s", p->listener_path, strerror(-r));
	r = sync_send(sock, SYNC_AGENT);
	/* Gone: what it reported, if anything, is read next. */
	return r == -EPIPE || r == -ECONNRESET ? 0 : r < 0 ? err_set(e, -r, "seccomp listener: %s", strerror(-r)) : 0;
}
