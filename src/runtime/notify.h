/* notify: systemd's word of readiness (sd_notify(3)), from inside a container to whoever started this program. */
#pragma once

#include "bundle.h"

/* $NOTIFY_SOCKET is set: somebody wants to know. */
bool notify_is_wanted(void);
/* Where it is wanted the bundle's container gets the directory notify/ of its record as /run/notify, and the variable. *ret_passed: set where
 * it does; a container without a process, or in another's mounts, can't. */
int notify_prepare(const struct runtime *rt, const struct held *h, struct bundle *b, bool *ret_passed, struct err *e);
#define NOTIFY_INSIDE "/run/notify"
/* $NOTIFY_SOCKET is not set, or can be one. */
int notify_check(struct err *e);
/* For a checkpoint: it has that directory, and the mount of it, which its config.json does not know of. */
int notify_is_lent(const struct held *h); /* 1, 0 or -errno */
/* config.json has a mount there of its own. */
bool notify_is_configured(const struct spec *s);
int notify_add_mount(const struct runtime *rt, const struct held *h, struct spec *s, struct err *e);
/* For a restore: the directory and the mount, without the variable. */
int notify_lend(const struct runtime *rt, const struct held *h, struct spec *s, struct err *e);
/* The socket in that directory, before the process may look for it. *ret_fd: owned by the caller. -ENOENT: the container was made
 * without. */
int notify_listen(const struct held *h, int *ret_fd, struct err *e);
/* Something is there to read: whether it says that the container is ready. Others' words are read and left. */
bool notify_heard_ready(int fd);
/* Says so, and that the service's main process is main_pid from now on; what can't be said is a warning. is_leaving: this process
 * ends soon, and so waits until the message is taken: of one that has gone systemd can't tell which service it was. */
void notify_host(pid_t main_pid, bool is_leaving);
/* Until the container is ready, and then tells; or until its first process (pidfd) has ended. */
int notify_wait(int fd, int pidfd, pid_t pid, struct err *e);
