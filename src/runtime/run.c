/* run: create, start, and be there until it ends. */
#include <signal.h>
#include <unistd.h>

#include "foreground.h"
#include "make.h"
#include "notify.h"

#define CREATE(m) offsetof(union verb_opts, run.create.m)
#define RUN(m)    offsetof(union verb_opts, run.m)
const struct opt run_options[] = {
	{ "bundle", 'b', OPT_STRING, CREATE(bundle), "DIR", "where config.json is (default: the working directory)" },
	{ "console-socket", 0, OPT_STRING, CREATE(console_socket), "PATH", "unix socket that is sent the terminal's master" },
	{ "pidfd-socket", 0, OPT_STRING, CREATE(pidfd_socket), "PATH", "unix socket that is sent the first process's pidfd" },
	{ "detach", 'd', OPT_FLAG, RUN(is_detached), NULL, "return when it runs" },
	{ "keep", 0, OPT_FLAG, RUN(keeps), NULL, "do not delete it when it has ended" },
	{ "no-subreaper", 0, OPT_FLAG, RUN(no_subreaper), NULL, "leave orphans of the container to the host's init" },
	{ "pid-file", 0, OPT_STRING, CREATE(pid_file), "PATH", "write the first process's pid there" },
	{ "no-pivot", 0, OPT_FLAG, CREATE(no_pivot), NULL, "enter the root by chroot, for hosts that run from an initramfs" },
	{ "no-new-keyring", 0, OPT_FLAG, CREATE(no_new_keyring), NULL, "keep this process's session keyring" },
	{ "preserve-fds", 0, OPT_I64, CREATE(preserve_fds), "N", "pass descriptors 3 to 3+N-1 on to the process" },
	{ "trace-startup", 0, OPT_FLAG, CREATE(traces), NULL, "print how long each step of the start took" },
	{ NULL },
};

/* What has begun is ended where it can't be waited for. */
static void abandon(struct made *m)
{
	struct err e = { 0 };

	if (container_delete_made(m, &e) < 0)
		log_warn("run", "%s", e.msg);
}

int container_attend(struct runtime *rt, bool keeps, struct made *m, const sigset_t *before, struct err *e)
{
	struct attended a = { .pid = m->pid, .pidfd = m->pidfd, .notify = m->notify, .console = m->console };
	int status = 0, r;

	m->console = -1;
	r = foreground_wait(&a, before, &status, e);
	trace_mark(&rt->trace, "ended");
	if (r < 0)
		abandon(m);
	else if (!keeps)
		r = container_delete_made(m, e);
	trace_mark(&rt->trace, "deleted");
	return r < 0 ? r : status_to_exit(status);
}

int verb_run(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	const struct run_opts *o = &opts->run;
	const char *id = rt->operands[0];
	struct made m = MADE_NONE;
	sigset_t before;
	int r = 0;

	if (!o->is_detached)
		r = foreground_begin(!o->no_subreaper, &before, e);
	if (r == 0)
		r = container_make(rt, id, &o->create, o->is_detached ? MAKE_DETACHED : MAKE_ATTACHED, &m, e);
	if (r < 0)
		return r;
	trace_print(&rt->trace);
	if (!o->is_detached)
		r = container_attend(rt, o->keeps, &m, &before, e);
	else if (m.notify >= 0)
		r = notify_wait(m.notify, m.pidfd, m.pid, e);
	made_done(&m);
	return r;
}
