/* copy_vm.c: `cp` with a running virtual machine. Its agent has the files (guest/files.c); berth-transfer has this host's end; between
 * them is a process that speaks with the monitor, as `exec` does:
 *
 *   guest's child  == frames ==  monitor  ==  pump (here)  -- pipes --  berth-transfer copy --stream
 */
#include "container_root.h"
#include "transfer_run.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "guest.h"

#define CHANNEL 1

_noreturn_ static void pump_main(struct engine *en, const struct container_record *c, const struct copy_opts *o, int in, int out,
				 int report)
{
	const struct attach_opts a = { .channel = CHANNEL, .want_stdin = !o->is_out };
	char flags[3] = { '-', o->keeps_owner ? 'a' : '-', o->follows_link ? 'L' : 0 };
	const struct exec_opts wish = { .is_interactive = !o->is_out, .is_silent = true };
	_cleanup_(spec_done) struct spec spec;
	struct exit_status st = { 0 };
	_cleanup_fd_ int fd = -1;
	bool detached;
	struct err e = { 0 };
	int r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0
			? err_set(&e, errno, "%s", strerror(errno))
			: 0;

	/* Only the two that are passed on keep the pipes open. */
	fd_close(in);
	fd_close(out);
	spec_init(&spec);
	if (r == 0)
		r = bundle_read_spec(en, c->id, &spec, &e);
	strv_free(spec.process.args);
	spec.process.args = NULL;
	spec.process.terminal = false;
	if (r == 0 &&
	    (strv_push(&spec.process.args, GUEST_FILES) < 0 || strv_push(&spec.process.args, o->is_out ? "out" : "in") < 0 ||
	     strv_push(&spec.process.args, o->is_out ? o->source : o->dest) < 0 || strv_push(&spec.process.args, flags) < 0))
		r = OUT_OF_MEMORY(&e);
	if (r == 0)
		r = monitor_connect(en->paths, c->id, &fd, &e);
	if (r >= 0)
		r = exec_request(fd, &spec.process, CHANNEL, &wish, &e);
	if (r >= 0)
		r = attach_run(fd, &a, &st, &detached, &e);
	/* A report that can't be written is told by its absence. */
	_exit(fd_write_full(report, &e, sizeof(e)) < 0 || r < 0);
}

/* What broke the pump goes before what its silence made of the stream, and before nothing else. */
static int judge(pid_t pid, int report, int r, struct err *e)
{
	struct err said = { 0 };
	int status;

	if (fd_read_full(report, &said, sizeof(said)) != (ssize_t)sizeof(said))
		said.no = 0;
	spawn_wait(pid, &status);
	if (!said.no || (r < 0 && r != -EPIPE))
		return r;
	*e = said;
	return -said.no;
}

int copy_vm(struct engine *en, const struct container_record *c, const struct copy_opts *o, const struct transfer_call *given,
	    struct json_object **ret_answer, struct err *e)
{
	int to_guest[2] = { -1, -1 }, from_guest[2] = { -1, -1 }, report[2] = { -1, -1 }, r = 0;
	struct transfer_call call = *given;
	pid_t pid = -1;

	if (c->state == CS_PAUSED)
		return err_set(e, EBUSY, "virtual machine %s is paused: unpause it first", c->name);
	if (pipe2(to_guest, O_CLOEXEC) < 0 || pipe2(from_guest, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0)
		r = err_set(e, errno, "make a pipe: %s", strerror(errno));
	if (r == 0 && (pid = fork()) == 0) {
		fd_close(to_guest[1]);
		fd_close(from_guest[0]);
		pump_main(en, c, o, to_guest[0], from_guest[1], report[1]);
	}
	if (r == 0 && pid < 0)
		r = err_set(e, errno, "fork: %s", strerror(errno));
	fd_close(to_guest[0]);
	fd_close(from_guest[1]);
	fd_close(report[1]);
	if (r == 0) {
		call.stream_in_fd = from_guest[0];
		call.stream_out_fd = to_guest[1];
		r = transfer_run(en, &call, ret_answer, e);
	}
	fd_close(to_guest[1]);
	fd_close(from_guest[0]);
	if (pid > 0)
		r = judge(pid, report[0], r, e);
	fd_close(report[0]);
	return r;
}
