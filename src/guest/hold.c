/* hold: the root of a container that does not run, kept by a process that does nothing: /proc/PID/root leads to it as to that of a running
 * one, and what is mounted in it goes with the process, whatever else this guest holds. */
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "guest.h"

#define HELD_DIR "/held"

static int enter(int rootfd, const struct guest_start *s, struct err *e)
{
	_cleanup_fd_ int at = -1;
	int r = mount_ns_new(MS_PRIVATE);

	if (r < 0)
		return err_set(e, -r, "make a mount namespace: %s", strerror(-r));
	if (mkdir_p(AT_FDCWD, HELD_DIR, 0755) < 0 || move_mount(rootfd, "", AT_FDCWD, HELD_DIR, MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    (at = open(HELD_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, errno, "mount the container's root: %s", strerror(errno));
	r = container_bind_volumes(at, &s->spec, e);
	if (r >= 0 && (chroot(HELD_DIR) < 0 || chdir("/") < 0))
		r = err_set(e, errno, "enter the container's root: %s", strerror(errno));
	return r;
}

_noreturn_ static void hold(int rootfd, const struct guest_start *s, int report)
{
	struct err e = { 0 };
	int r = enter(rootfd, s, &e);

	/* A report that can't be written is told by its absence. */
	if (fd_write_full(report, &e, sizeof(e)) < 0 || r < 0)
		_exit(1);
	close_range(0, ~0u, 0);
	for (;;)
		pause();
}

int guest_hold_root(int rootfd, const struct guest_start *s, pid_t *ret_pid, struct err *e)
{
	struct err said = { 0 };
	int report[2];
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		hold(rootfd, s, report[1]);
	int no = errno;
	fd_close(report[1]);
	bool is_told = pid > 0 && fd_read_full(report[0], &said, sizeof(said)) == (ssize_t)sizeof(said);
	fd_close(report[0]);
	if (pid < 0)
		return err_set(e, no, "fork: %s", strerror(no));
	if (is_told && !said.no) {
		*ret_pid = pid;
		return 0;
	}
	/* Reaped by the agent, as any child that it does not know. */
	return is_told ? err_set(e, said.no, "%s", said.msg) : err_set(e, EIO, "the process that holds the root was killed");
}
