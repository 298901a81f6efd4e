/* guest_files.c: files of a virtual machine. Its agent has them (guest/files.c); berth-transfer has this host's end; between them is a process
 * that speaks with the monitor, as `exec` does:
 *
 *   guest's child  == frames ==  monitor  ==  pump (here)  -- pipes --  berth-transfer VERB --stream
 */
#include "container_root.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

#define CHANNEL 1

int guest_files_spec(struct engine *en, const struct container_record *c, const struct guest_files_wish *w, struct spec *spec,
		     struct err *e)
{
	const char *const words[] = { GUEST_FILES, w->verb, w->path, w->flags };
	int r = bundle_read_spec(en, c->id, spec, e);

	if (r < 0)
		return r;
	strv_free(spec->process.args);
	spec->process.args = NULL;
	spec->process.terminal = false;
	for (size_t i = 0; i < ARRAY_SIZE(words) && r >= 0; i++)
		r = strv_push(&spec->process.args, words[i]);
	for (char *const *m = w->mounts; r >= 0 && m && *m; m++)
		r = strv_push(&spec->process.args, *m);
	return r < 0 ? OUT_OF_MEMORY(e) : 0;
}

static int pump(struct engine *en, const struct container_record *c, const struct guest_files_wish *w, struct err *e)
{
	const bool is_in = streq(w->verb, GUEST_FILES_IN);
	const struct attach_opts a = { .channel = CHANNEL, .want_stdin = is_in };
	const struct exec_opts wish = { .is_interactive = is_in, .is_silent = true };
	_cleanup_(spec_done) struct spec spec;
	struct exit_status st = { 0 };
	_cleanup_fd_ int fd = -1;
	bool detached;
	int r;

	spec_init(&spec);
	r = guest_files_spec(en, c, w, &spec, e);
	if (r >= 0)
		r = monitor_connect(en->paths, c->id, &fd, e);
	if (r >= 0)
		r = exec_request(fd, &spec.process, CHANNEL, &wish, e);
	return r < 0 ? r : attach_run(fd, &a, &st, &detached, e);
}

_noreturn_ static void pump_main(struct engine *en, const struct container_record *c, const struct guest_files_wish *w, int in,
				 int out, int report)
{
	struct err e = { 0 };
	int r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0
			? err_set(&e, errno, "%s", strerror(errno))
			: 0;

	/* Only the two that are passed on keep the pipes open. */
	fd_close(in);
	fd_close(out);
	if (r == 0)
		r = pump(en, c, w, &e);
	/* A report that can't be written is told by its absence. */
	_exit(fd_write_full(report, &e, sizeof(e)) < 0 || r < 0);
}

int guest_files_open(struct engine *en, const struct container_record *c, const struct guest_files_wish *w,
		     struct guest_files *ret, struct err *e)
{
	int to_guest[2] = { -1, -1 }, from_guest[2] = { -1, -1 }, report[2] = { -1, -1 }, r = 0;
	pid_t pid = -1;

	if (c->state == CS_RESTARTING)
		return err_set(e, EAGAIN, "virtual machine %s is restarting: wait until it runs, or stop it", c->name);
	if (!container_runs(c))
		return guest_idle_open(en, c, w, ret, e);
	if (c->state == CS_PAUSED)
		return err_set(e, EBUSY, "virtual machine %s is paused: unpause it first", c->name);
	if (pipe2(to_guest, O_CLOEXEC) < 0 || pipe2(from_guest, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0)
		r = err_set(e, errno, "make a pipe: %s", strerror(errno));
	if (r == 0 && (pid = fork()) == 0) {
		fd_close(to_guest[1]);
		fd_close(from_guest[0]);
		fd_close(report[0]);
		pump_main(en, c, w, to_guest[0], from_guest[1], report[1]);
	}
	if (r == 0 && pid < 0)
		r = err_set(e, errno, "fork: %s", strerror(errno));
	fd_close(to_guest[0]);
	fd_close(from_guest[1]);
	fd_close(report[1]);
	if (r == 0) {
		*ret = (struct guest_files){ .pid = pid, .from = from_guest[0], .to = to_guest[1], .report = report[0] };
		return 0;
	}
	fd_close(to_guest[1]);
	fd_close(from_guest[0]);
	fd_close(report[0]);
	return r;
}

/* What broke the pump goes before what its silence made of the stream, and before nothing else: not before what stopped its reader. */
static int judge(const struct guest_files *g, int r, struct err *e)
{
	struct err said = { 0 };
	int status;

	if (fd_read_full(g->report, &said, sizeof(said)) != (ssize_t)sizeof(said))
		said.no = 0;
	spawn_wait(g->pid, &status);
	if (!said.no || (r < 0 && (r != -EPIPE || said.no == EPIPE)))
		return r;
	return err_set(e, said.no, "%s", said.msg);
}

int guest_files_close(struct guest_files *g, int r, struct err *e)
{
	if (g->pid <= 0)
		return r;
	fd_close(g->to);
	fd_close(g->from);
	if (g->is_idle)
		shutdown(g->report, SHUT_WR);
	r = judge(g, r, e);
	fd_close(g->report);
	*g = (struct guest_files)GUEST_FILES_NONE;
	return r;
}
