/* berth-init: PID 1, in two places.
 *   /init of a guest's initramfs: brings the guest up and serves the host's orders (guest/agent.c) until it is told to stop.
 *   berth-init -- CMD [ARG...]: PID 1 inside a container that was started with --init (guest/reaper.c). */
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest.h"

#define PORT_TIMEOUT_MS 10000

/* The kernel's log is the one place that reaches the host before the port is open; "<2>" = critical passes "quiet". The
 * device node is made here, because /dev may be what could not be mounted. */
static void say(const char *what)
{
	_cleanup_fd_ int fd = mknod("/kmsg", S_IFCHR | 0600, makedev(1, 11)) == 0 ? open("/kmsg", O_WRONLY | O_CLOEXEC) : -1;
	_cleanup_free_ char *line = str_fmt("<2>berth-init: %s\n", what);

	if (fd >= 0 && line && write(fd, line, strlen(line)) < 0)
		return; /* nowhere left to say it */
}

static int run_guest(struct guest **ret, struct err *e)
{
	_cleanup_fd_ int port = -1;
	int r = guest_mount_early(e);

	if (r >= 0)
		r = guest_load_modules(GUEST_MODULES_BOOT, e);
	if (r >= 0)
		r = port = guest_open_port(GUEST_PORT_NAME, PORT_TIMEOUT_MS, e);
	if (r >= 0)
		r = guest_tune(e);
	if (r >= 0)
		r = guest_new(ret, e);
	if (r >= 0)
		r = agent_run(port, &guest_agent_ops, *ret, e);
	return r;
}

int main(int argc, char **argv)
{
	struct guest *g = NULL;
	struct err e = { 0 };
	bool is_volatile;

	if (argc > 2 && streq(argv[1], "--"))
		return reaper_run(argv + 2);
	if (getpid() != 1) {
		fprintf(stderr, "usage: berth-init -- CMD [ARG...] (otherwise only as the first process of a guest)\n");
		return 125;
	}
	log_setup("init", LOG_WARN_, false); /* not as say() does: a warning is no reason why a guest went down (vm_console.c) */
	if (run_guest(&g, &e) < 0)
		say(e.msg);
	is_volatile = g && guest_is_volatile(g);
	guest_free(g);
	guest_power_off(is_volatile);
}
