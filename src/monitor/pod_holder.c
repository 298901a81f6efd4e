/* The process that holds a pod's virtual machine: berth-monitor --pod. Its run directory is RUN/containers/POD, as a container's is,
 * so that who looks can tell whether it lives; what it serves is in isolation/pod_vm.c. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor_impl.h"
#include "pod_run.h"

#define LAUNCH_MAX (64u << 10)

static int read_launch(const struct paths *p, const char *id, struct launch *ret, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/pods/%s/launch.json", p->root, id), *text = NULL;
	size_t len;
	int r = path ? file_read(AT_FDCWD, path, LAUNCH_MAX, &text, &len) : -ENOMEM;

	if (r < 0)
		return err_set(e, -r, "pod %.12s: launch.json: %s", id, strerror(-r));
	r = launch_parse(text, len, ret, e);
	return r < 0 ? err_push(e, r, "%s", path) : 0;
}

/* Under the pod's lock, since who sweeps removes what a dead holder has left under it. */
static int claim(const struct paths *p, const char *id, int *ret_rundirfd, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/pods/%s", p->run, id);
	_cleanup_fd_ int lock = -1;
	int r = path ? pod_run_open(p, id, true, &lock, e) : err_set(e, ENOMEM, "out of memory");

	if (r < 0)
		return r;
	r = state_claim(p, id, ret_rundirfd, e);
	rmdir(path);
	return r;
}

/* ---- its networks: made before the machine, which is given the taps, and taken away after it ---- */

static int attach(const struct pod_holder_config *c, struct net_hold *ret, struct err *e)
{
	struct net_call call = { 0 };
	int r = c->network ? net_call_begin(c->paths, "attach", c->network, -1, &call, e) : 0;

	if (r == 0 && c->network)
		r = net_call_end(&call, ret, e);
	if (r == 0 && ret->n_ports)
		c->on_ports(ret, c);
	return r;
}

/* Also of what an attach that has failed may have left. */
static void detach(const struct pod_holder_config *c, struct net_hold *held)
{
	struct err e = { 0 };

	net_hold_done(held);
	if (c->network && net_call(c->paths, "detach", c->network, &e) < 0)
		log_error("network", "pod %.12s: %s", c->id, e.msg);
}

static int serve(const struct pod_holder_config *c, int ready_fd, struct err *e)
{
	_cleanup_free_ char *rundir = str_fmt("%s/containers/%s", c->paths->run, c->id);
	_cleanup_(launch_done) struct launch launch = { 0 };
	_cleanup_(spec_done) struct spec plan;
	_cleanup_fd_ int rundirfd = -1;
	struct net_hold held = { 0 };
	int r;

	spec_init(&plan);
	r = rundir ? pod_read_plan(c->paths, c->id, &plan, e) : err_set(e, ENOMEM, "out of memory");
	if (r >= 0)
		r = read_launch(c->paths, c->id, &launch, e);
	if (r >= 0)
		r = claim(c->paths, c->id, &rundirfd, e);
	if (r < 0)
		return r;
	r = attach(c, &held, e);
	const struct pod_vm_config vm = { .id = c->id,
					  .paths = c->paths,
					  .plan = &plan,
					  .launch = &launch,
					  .network = c->network,
					  .taps = held.taps,
					  .n_taps = held.n_taps,
					  .members = c->members,
					  .n_members = c->n_members,
					  .rundirfd = rundirfd,
					  .rundir = rundir,
					  .ready_fd = ready_fd };
	if (r >= 0)
		r = pod_vm_run(&vm, e);
	detach(c, &held);
	int k = state_release(c->paths, c->id, r < 0 ? NULL : e);
	return r < 0 ? r : k;
}

static _noreturn_ void hold(const struct pod_holder_config *c, int ready_fd)
{
	_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct err e = { 0 };
	int r = serve(c, ready_fd, &e);

	(void)null;
	if (r < 0)
		log_error("pod", "%s", e.msg);
	_exit(r == -EBUSY ? 2 : r < 0 ? 1 : 0);
}

int pod_holder_start(const struct pod_holder_config *c, struct err *e)
{
	int p[2], status = 0;
	char word;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		fd_close(p[0]);
		hold(c, p[1]);
	}
	fd_close(p[1]);
	if (pid < 0)
		return err_set(e, errno, "fork: %s", strerror(errno));
	ssize_t n = fd_read_full(p[0], &word, 1);
	fd_close(p[0]);
	if (n == 1)
		return 0;
	spawn_wait(pid, &status);
	/* It has said why. */
	return status_to_exit(status) == 2 ? -EBUSY : -EIO;
}
