/* A directory of a test's own, in which it works. Only tests include this, each once. */
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "tap.h"

static char tap_dir[] = "/tmp/berth-test-XXXXXX";

static inline void tap_dir_enter(void)
{
	ok(mkdtemp(tap_dir));
	ok(chdir(tap_dir) == 0);
}

static inline void tap_dir_leave(void)
{
	ok(chdir("/") == 0);
	is_int(rm_rf(AT_FDCWD, tap_dir), 0);
}

/* A file with this text and, but for the umask, this mode. */
static inline void tap_file(const char *path, mode_t mode, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	ok(fd >= 0);
	is_int(fd_write_full(fd, text, strlen(text)), 0);
	close(fd);
}
