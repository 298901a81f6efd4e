/* tty: the container's terminal. The pty comes from the container's own devpts; its slave is opened through the master
 * (TIOCGPTPEER), never by a name that could be swapped (CVE-2025-52565). Called as step `console`, in create and in exec. */
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "setup.h"

static int open_ptmx(struct setup *s, struct err *e)
{
	_cleanup_fd_ int pts = target_open_strict(s->rootfd, "/dev/pts", false, 0), fd = -1;
	struct statfs fs;
	struct stat st;

	if (pts < 0)
		return err_set(e, -pts, "/dev/pts: %s: a terminal needs a devpts mount there", strerror(-pts));
	if (fstatfs(pts, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC)
		return err_set(e, ENODEV, "/dev/pts is not a devpts: a terminal needs one mounted there");
	fd = openat(pts, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "/dev/pts/ptmx: %s", strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
		return err_set(e, ENODEV, "/dev/pts/ptmx is not a pty multiplexer");
	return TAKE_FD(fd);
}

/* /dev/console is the slave itself, bound onto an empty file. */
static int bind_console(struct setup *s, struct err *e)
{
	_cleanup_fd_ int made = -1, target = -1, fd = -1;
	int r;

	if (s->devfd < 0)
		return 0;
	made = openat(s->devfd, "console", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
	if (made < 0 && errno != EEXIST)
		return err_set(e, errno, "/dev/console: %s", strerror(errno));
	target = openat(s->devfd, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		return err_set(e, errno, "/dev/console: %s", strerror(errno));
	fd = mount_clone(s->console_slave, "", false);
	if (fd < 0)
		return err_set(e, -fd, "/dev/console: %s", strerror(-fd));
	r = mount_attach(fd, target);
	return r < 0 ? err_set(e, -r, "/dev/console: attach: %s", strerror(-r)) : 0;
}

int tty_open(struct setup *s, struct err *e)
{
	_cleanup_fd_ int master = -1;
	int unlocked = 0;

	if (!s->process->terminal)
		return 0;
	master = open_ptmx(s, e);
	if (master < 0)
		return master;
	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return err_set(e, errno, "unlock the pty: %s", strerror(errno));
	s->console_slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->console_slave < 0)
		return err_set(e, errno, "open the pty's slave: %s", strerror(errno));
	if (s->process->console_rows && s->process->console_cols) {
		struct winsize size = { .ws_row = (unsigned short)MIN(s->process->console_rows, 65535U),
					.ws_col = (unsigned short)MIN(s->process->console_cols, 65535U) };

		if (ioctl(master, TIOCSWINSZ, &size) < 0)
			return err_set(e, errno, "size of the pty: %s", strerror(errno));
	}
	s->console_master = TAKE_FD(master);
	return s->is_exec ? 0 : bind_console(s, e);
}
