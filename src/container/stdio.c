/* stdio: descriptors 0, 1, 2 of the new process. Called as steps of the child, `stdio` the last before READY: until then 0 to
 * 2 are the parent's. */
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

/* Pipes and the pty belong to the user, so that a process that is not root can open /dev/stdout again. Files, sockets and
 * shared devices stay as they are: they are somebody else's. */
int stdio_own(struct setup *s, struct err *e)
{
	for (int i = 0; i < 3; i++) {
		int fd = s->console_slave >= 0 ? s->console_slave : s->stdio[i];
		struct stat st;

		if (fstat(fd, &st) < 0)
			return err_set(e, errno, "descriptor %d: %s", i, strerror(errno));
		if (s->console_slave < 0 && !S_ISFIFO(st.st_mode))
			continue;
		/* EINVAL: the owner is not mapped into this user namespace; EPERM: not ours to give. Either way the process
		 * can use it, if not reopen it. */
		if (st.st_uid != s->user.uid && fchown(fd, s->user.uid, (gid_t)-1) < 0 && errno != EINVAL && errno != EPERM &&
		    errno != EROFS)
			return err_set(e, errno, "owner of descriptor %d: %s", i, strerror(errno));
	}
	return 0;
}

/* They are where they belong; only that nothing closes them at the exec. */
static int keep_as_they_are(struct err *e)
{
	for (int i = 0; i < 3; i++)
		if (fcntl(i, F_SETFD, 0) < 0)
			return err_set(e, errno, "descriptor %d: %s", i, strerror(errno));
	return 0;
}

int stdio_apply(struct setup *s, struct err *e)
{
	int high[3], from[3];

	for (int i = 0; i < 3; i++)
		from[i] = s->console_slave >= 0 ? s->console_slave : s->stdio[i];
	if (from[0] == 0 && from[1] == 1 && from[2] == 2)
		return keep_as_they_are(e);
	/* Out of the way first: {1, 0, 2} must come out swapped, not doubled. */
	for (int i = 0; i < 3; i++) {
		high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 10);
		if (high[i] < 0)
			return err_set(e, errno, "descriptor %d: %s", i, strerror(errno));
	}
	for (int i = 0; i < 3; i++) {
		if (dup2(high[i], i) < 0)
			return err_set(e, errno, "descriptor %d: %s", i, strerror(errno));
		close(high[i]);
	}
	if (s->console_slave >= 0 && ioctl(0, TIOCSCTTY, 0) < 0)
		return err_set(e, errno, "controlling terminal: %s", strerror(errno));
	return 0;
}
