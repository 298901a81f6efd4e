/* File descriptors and paths beneath them. Every path inside a container's or an image's tree goes through root_open();
 * from then on only the fd is used. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include "util.h"

/* Closes and preserves errno; -1 is fine. Never retried (close(2): EINTR leaves the fd closed on Linux). Returns -1. */
int fd_close(int fd);
static inline void fd_close_ptr(int *fd) { *fd = fd_close(*fd); }
#define _cleanup_fd_ _cleanup_(fd_close_ptr)
#define TAKE_FD(fd)               \
	({                        \
		int _take = (fd); \
		(fd) = -1;        \
		_take;            \
	})

/* openat2 beneath root as if it were "/": absolute paths and symlinks resolve inside it, "..", at the top stays, magic
 * links are refused (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, Linux 5.6). flags are open(2)'s; O_CLOEXEC is added.
 * Where openat2 answers ENOSYS a component-wise walk with O_NOFOLLOW does the same. -> fd or -errno. */
int root_open(int rootfd, const char *path, int flags, mode_t mode);
/* O_PATH handle on a directory, made with mkdirat (mode) component by component where missing. -> fd or -errno. */
int root_mkdir_p(int rootfd, const char *path, mode_t mode);
/* O_PATH handle of the directory that holds path's last component, and that component's name (malloc'd).
 * "/" gives -EINVAL; a last component of ".." is refused with -EINVAL. */
int root_open_parent(int rootfd, const char *path, char **ret_name);
/* "/proc/self/fd/N" for calls that take only paths. */
#define FD_PATH_LEN 32
char *fd_path(int fd, char buf[FD_PATH_LEN]);

ssize_t fd_read_full(int fd, void *p, size_t n);    /* n, fewer at EOF, or -errno */
int fd_write_full(int fd, const void *p, size_t n); /* 0 or -errno; EINTR retried */
/* Reads to EOF, at most max bytes (-EFBIG beyond). *ret_data is NUL-terminated, caller frees; ret_len may be NULL. */
int fd_read_all(int fd, size_t max, char **ret_data, size_t *ret_len);
int file_read(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len);
/* Whether it is there: 1 or 0; -errno where that can't be said, which is not the same as no. A link counts as itself. */
int file_exists(int dirfd, const char *path);
/* The next entry of a directory but "." and "..": 1 and *ret, 0 at the end, -errno. */
int dir_next(DIR *d, struct dirent **ret);
/* The directory's names are on the disk when this returns; "." is dirfd itself. 0 or -errno. */
int dir_sync(int dirfd, const char *path);
/* Whole-file replacement that readers never see half: temp + (fsync where durable) + rename (+ fsync of dirfd). */
int file_replace(int dirfd, const char *name, const void *p, size_t n, mode_t mode, bool durable);
/* The same, with nothing left behind even where the caller is killed on the way: the file has no name until it is whole. Where
 * there is one of that name already, readers may find none for a moment. Not durable. */
int file_replace_clean(int dirfd, const char *name, const void *p, size_t n, mode_t mode);
/* A file (0600, read and write) in the directory name of dirfd that no name leads to: O_TMPFILE, or where the file system has none
 * (overlayfs over a shared folder), one whose name is removed at once. -> fd or -errno. */
int file_unnamed(int dirfd, const char *name);
/* One write(2) of s to an existing file (cgroup and proc knobs). */
int file_write(int dirfd, const char *path, const char *s);
int fd_nonblock(int fd, bool on);
int fd_cloexec(int fd, bool on);
/* /dev/null at each of 0, 1 and 2 that the caller has left closed, lest a file of ours come to be there. For the beginning of main. */
void fd_fill_stdio(void);
/* mkdir -p under dirfd with plain (host) resolution. */
int mkdir_p(int dirfd, const char *path, mode_t mode);
/* rm -r of dirfd/name: never follows a symlink, does not cross mounts, 0 when it isn't there. */
int rm_rf(int dirfd, const char *name);

/* Sockets: bytes plus up to 8 fds. send: 0 or -errno. recv: bytes (0 = EOF) or -errno; *n_fds in: room, out: got;
 * received fds are O_CLOEXEC. */
int sock_send_fds(int sock, const void *p, size_t n, const int *fds, size_t n_fds);
ssize_t sock_recv_fds(int sock, void *p, size_t n, int *ret_fds, size_t *n_fds);
/* unix stream sockets by dirfd + name (goes through /proc/self/fd, so the 108-byte limit never bites). */
int sock_unix_listen(int dirfd, const char *name, mode_t mode);
int sock_unix_connect(int dirfd, const char *name);
/* The same for another type: SOCK_SEQPACKET, whose messages are whole or absent; SOCK_DGRAM, which is bound and has nothing to
 * accept. */
int sock_unix_listen_as(int type, int dirfd, const char *name, mode_t mode);
int sock_unix_connect_as(int type, int dirfd, const char *name);
