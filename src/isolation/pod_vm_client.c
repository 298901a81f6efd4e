/* pod_vm_client: a monitor's way into its pod's virtual machine; see pod_vm.h. Called before the container starts; what follows on the
 * connection is what any guest says. */
#include "pod_vm.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define PATIENCE_MS 20000 /* for the last holder to end, or another monitor's to begin */
#define NAP_US      20000
#define ANSWER_MS   10000

struct answer {
	char *disk, *upper, *vmm;
	int64_t pid;
};
static const struct field answer_fields[] = {
	{ .name = "disk", .type = FIELD_STRING, .offset = offsetof(struct answer, disk), .flags = FIELD_REQUIRED },
	{ .name = "upper", .type = FIELD_STRING, .offset = offsetof(struct answer, upper), .flags = FIELD_REQUIRED },
	{ .name = "vmm", .type = FIELD_STRING, .offset = offsetof(struct answer, vmm), .flags = FIELD_REQUIRED },
	{ .name = "pid", .type = FIELD_I64, .offset = offsetof(struct answer, pid), .flags = FIELD_REQUIRED },
	{ 0 },
};

void pod_vm_place_done(struct pod_vm_place *p)
{
	free(p->disk);
	free(p->upper);
	free(p->vmm);
	p->disk = p->upper = p->vmm = NULL;
}

/* berth-monitor --pod: ends at once, with 0 when the machine is there for who connects, else with its reason on stderr. */
static int start_holder(const struct paths *p, const char *pod_id, struct err *e)
{
	_cleanup_free_ char *program = NULL;
	int r = paths_sibling(p, "berth-monitor", &program, e);
	char pod[] = "--pod", root[] = "--root", run[] = "--run";
	_cleanup_free_ char *id = strdup(pod_id), *said = NULL;
	char *argv[] = { program, root, p->root, run, p->run, pod, id, NULL };
	_cleanup_fd_ int ours = -1, theirs = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int pipefd[2], status = 0;
	pid_t pid;

	if (r < 0)
		return r;
	if (!id || null < 0 || pipe2(pipefd, O_CLOEXEC) < 0)
		return err_set(e, errno, "start the pod's machine: %s", strerror(errno));
	ours = pipefd[0];
	theirs = pipefd[1];
	const int fds[][2] = { { null, 0 }, { null, 1 }, { theirs, 2 } };
	const struct spawn s = { .path = program,
				 .argv = argv,
				 .fds = fds,
				 .n_fds = ARRAY_SIZE(fds),
				 .new_session = true,
				 .sealed = true,
				 .cwd_fd = -1 };
	r = spawn_start(&s, &pid, NULL, e);
	if (r < 0)
		return err_push(e, r, "start the pod's machine");
	theirs = fd_close(theirs);
	spawn_wait(pid, &status);
	if (status_to_exit(status) == 0)
		return 0;
	if (fd_nonblock(ours, true) == 0)
		fd_read_all(ours, 4096, &said, NULL);
	char *line = said ? strrchr(said, '\n') : NULL;
	if (line)
		*line = '\0';
	return err_set(e, status_to_exit(status) == 2 ? EBUSY : EIO, "%s",
		       said && *said ? said : "the pod's machine ended without a word");
}

static int connect_once(const struct paths *p, const char *pod_id)
{
	_cleanup_free_ char *dir = str_fmt("%s/containers/%s", p->run, pod_id);
	_cleanup_fd_ int fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	return fd < 0 ? -errno : sock_unix_connect(fd, POD_VM_SOCKET);
}

/* One that ends is waited for, and so is one that another monitor has just started. */
static int reach(const struct paths *p, const char *pod_id, int *ret_fd, struct err *e)
{
	uint64_t until = clock_mono_us() + PATIENCE_MS * 1000ull;

	for (;;) {
		int fd = connect_once(p, pod_id), r;
		if (fd >= 0) {
			*ret_fd = fd;
			return 0;
		}
		if (fd != -ENOENT && fd != -ECONNREFUSED)
			return err_set(e, -fd, "connect to the pod's machine: %s", strerror(-fd));
		struct err why = { 0 };
		r = start_holder(p, pod_id, &why);
		if (r < 0 && (r != -EBUSY || clock_mono_us() > until)) {
			*e = why;
			return r;
		}
		if (r < 0)
			usleep(NAP_US);
	}
}

static int read_answer(int fd, struct buf *in, struct frame *ret, struct err *e)
{
	for (;;) {
		struct pollfd pf = { .fd = fd, .events = POLLIN };
		char byte;
		int r = frame_peek(in, ret);

		if (r != 0)
			return r < 0 ? err_set(e, -r, "the pod's machine sent what is no frame") : 0;
		if (poll(&pf, 1, ANSWER_MS) != 1)
			return err_set(e, ETIMEDOUT, "the pod's machine does not answer");
		/* One at a time: what follows the answer belongs to whom it is for. */
		if (read(fd, &byte, 1) != 1)
			return err_set(e, EPIPE, "the pod's machine has just ended: try again");
		buf_add(in, &byte, 1);
		if (in->failed)
			return err_set(e, ENOMEM, "out of memory");
	}
}

static int ask(int fd, const char *id, struct pod_vm_place *ret, struct err *e)
{
	_cleanup_buf_ struct buf out = { 0 }, in = { 0 };
	_cleanup_free_ char *text = str_fmt("{\"id\":\"%s\"}", id);
	_cleanup_json_ struct json_object *o = NULL;
	struct answer a = { 0 };
	struct frame f;
	int r;

	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	frame_put(&out, FRAME_ATTACH, 0, text, (uint32_t)strlen(text));
	r = out.failed ? -ENOMEM : fd_write_full(fd, out.data, out.len);
	if (r < 0)
		return err_set(e, -r, "talk to the pod's machine: %s", strerror(-r));
	r = read_answer(fd, &in, &f, e);
	if (r < 0)
		return r;
	if (f.type == FRAME_ERROR)
		return frame_get_error(&f, e) < 0 ? err_set(e, EPROTO, "the pod's machine sent a false error")
						  : -(e->no > 0 ? e->no : EIO);
	if (f.type != FRAME_OK)
		return err_set(e, EPROTO, "the pod's machine did not answer as it should");
	r = json_parse((const char *)f.payload, f.len, "answer of the pod's machine", &o, e);
	if (r >= 0)
		r = json_read(o, answer_fields, &a, "", e);
	if (r < 0) {
		json_free_fields(answer_fields, &a);
		return r;
	}
	*ret = (struct pod_vm_place){ .fd = -1, .disk = a.disk, .upper = a.upper, .vmm = a.vmm, .pid = a.pid };
	return 0;
}

int pod_vm_join(const struct paths *p, const char *pod_id, const char *id, struct pod_vm_place *ret, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	int r = reach(p, pod_id, &fd, e);

	if (r >= 0)
		r = ask(fd, id, ret, e);
	if (r >= 0)
		ret->fd = TAKE_FD(fd);
	return r;
}
