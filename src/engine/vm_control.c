/* vm_control.c: questions to a running berth-vmm, over the socket that it listens on. A guest may have taken it over, so its answers are
 * those of a stranger: bounded in size and in time, and read as JSON from outside. */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "snapshot.h"

#define ANSWER_MAX (256u << 10)
#define ANSWER_MS  120000 /* a snapshot writes all of the guest's memory before it answers */

int vm_control_open(struct engine *en, const char *id, int *ret_fd, struct err *e)
{
	_cleanup_free_ char *dir = str_fmt("%s/containers/%s", en->paths->run, id);
	_cleanup_fd_ int dirfd = dir ? open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	int fd;

	if (!dir)
		return OUT_OF_MEMORY(e);
	if (dirfd < 0)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	fd = sock_unix_connect(dirfd, VM_CONTROL_SOCKET);
	if (fd < 0)
		return err_set(e, -fd, "berth-vmm's socket %s/" VM_CONTROL_SOCKET ": %s", dir, strerror(-fd));
	*ret_fd = fd;
	return 0;
}

static int read_line(int fd, struct buf *in, struct err *e)
{
	uint64_t until = clock_mono_us() + ANSWER_MS * 1000ull;

	while (!in->len || !memchr(in->data, '\n', in->len)) {
		uint64_t now = clock_mono_us();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char piece[4096];
		ssize_t n;
		int r = in->len > ANSWER_MAX || now >= until ? 0 : poll(&p, 1, (int)((until - now) / 1000) + 1);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return err_set(e, ETIMEDOUT, "berth-vmm does not answer");
		n = recv(fd, piece, sizeof(piece), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, EPIPE, "the virtual machine ended meanwhile");
		buf_add(in, piece, (size_t)n);
		if (in->failed)
			return OUT_OF_MEMORY(e);
	}
	return 0;
}

static int refused(struct json_object *o, struct err *e)
{
	struct json_object *v;
	const char *text = json_object_object_get_ex(o, "error", &v) ? json_object_get_string(v) : "no reason given";
	int no = json_object_object_get_ex(o, "errno", &v) ? json_object_get_int(v) : 0;

	return err_set(e, no > 0 && no < 4096 ? no : EIO, "berth-vmm: %s", text);
}

int vm_control_ask(int fd, const char *request, const int *fds, size_t n_fds, struct json_object **ret, struct err *e)
{
	_cleanup_free_ char *line = str_fmt("%s\n", request);
	_cleanup_buf_ struct buf in = { NULL };
	struct json_object *o = NULL, *v;
	int r;

	if (!line)
		return OUT_OF_MEMORY(e);
	r = sock_send_fds(fd, line, strlen(line), fds, n_fds);
	if (r < 0)
		return err_set(e, -r, "ask berth-vmm: %s", strerror(-r));
	r = read_line(fd, &in, e);
	if (r >= 0)
		r = json_parse(in.data, (size_t)((char *)memchr(in.data, '\n', in.len) - in.data), "berth-vmm's answer", &o, e);
	if (r < 0)
		return r;
	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "ok", &v))
		r = err_set(e, EPROTO, "berth-vmm's answer is none");
	else if (!json_object_get_boolean(v))
		r = refused(o, e);
	if (r < 0 || !ret)
		json_object_put(o);
	else
		*ret = o;
	return r;
}

static int on_qemu(const char *what, struct err *e)
{
	_cleanup_free_ char *why = vm_reason_for_qemu();

	return err_set(e, EOPNOTSUPP, "%s needs berth-vmm: the VM runs on QEMU, because %s", what,
		       why ?: "of how the host was when it started: stop it and start it again");
}

int vm_control_check(struct engine *en, const struct container_record *c, const char *what, struct err *e)
{
	struct monitor_state m = { 0 };
	int r;

	if (!streq(c->isolation, "vm"))
		return err_set(e, EINVAL, "%s is for virtual machines: %s is a container", what, c->name);
	if (c->state == CS_PAUSED)
		return err_set(e, EBUSY, "%s: %s is paused: unpause it first", what, c->name);
	if (c->state != CS_RUNNING)
		return err_set(e, ESRCH, "%s: %s does not run", what, c->name);
	r = monitor_inspect(en->paths, c->id, &m, e);
	if (r < 0)
		return r;
	return streq(m.vmm, "berth-vmm") ? 0 : on_qemu(what, e);
}
