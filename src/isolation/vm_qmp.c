/* vm_qmp: orders to a running QEMU, one at a time. Its answers are those of a process that a guest may have taken over: bounded
 * in size and in time, and parsed as JSON from outside. */
#include <poll.h>
#include <unistd.h>

#include "vm_impl.h"

/* The next line, NUL-terminated; QEMU answers at once or not at all. */
static int qmp_line(struct instance *i, struct buf *in, char **ret, struct err *e)
{
	char *nl;

	while (!(nl = in->data ? memchr(in->data, '\n', in->len) : NULL)) {
		struct pollfd p = { .fd = i->control_fd, .events = POLLIN };
		char chunk[2048];
		ssize_t n;

		if (in->len > (64u << 10) || poll(&p, 1, 3000) != 1)
			return err_set(e, ETIMEDOUT, "QEMU does not answer");
		n = read(i->control_fd, chunk, sizeof(chunk));
		if (n <= 0)
			return err_set(e, EPIPE, "QEMU does not answer");
		buf_add(in, chunk, (size_t)n);
	}
	*ret = strndup(in->data, (size_t)(nl - in->data));
	buf_consume(in, (size_t)(nl - in->data) + 1);
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* Events and the greeting come in between. */
static int qmp_answer(struct instance *i, struct buf *in, struct err *e)
{
	for (;;) {
		_cleanup_free_ char *line = NULL;
		_cleanup_json_ struct json_object *o = NULL;
		struct json_object *v;
		int r = qmp_line(i, in, &line, e);

		if (r >= 0)
			r = json_parse(line, strlen(line), "QEMU's answer", &o, e);
		if (r < 0)
			return r;
		if (json_object_object_get_ex(o, "return", &v))
			return 0;
		if (json_object_object_get_ex(o, "error", &v))
			return err_set(e, EIO, "QEMU: %s", json_object_to_json_string(v));
	}
}

int vm_qmp(struct instance *i, const char *command, struct err *e)
{
	static const char hello[] = "{\"execute\":\"qmp_capabilities\"}\n";
	_cleanup_free_ char *text = str_fmt("{\"execute\":\"%s\"}\n", command);
	_cleanup_buf_ struct buf in = { NULL };
	int r = text ? 0 : -ENOMEM;

	if (r >= 0 && !i->qmp_ready) {
		r = fd_write_full(i->control_fd, hello, sizeof(hello) - 1);
		r = r < 0 ? err_set(e, -r, "QEMU: %s", strerror(-r)) : qmp_answer(i, &in, e);
		i->qmp_ready = r >= 0;
	}
	if (r >= 0 && i->qmp_ready) {
		r = fd_write_full(i->control_fd, text, strlen(text));
		r = r < 0 ? err_set(e, -r, "QEMU: %s", strerror(-r)) : qmp_answer(i, &in, e);
	}
	return r;
}
