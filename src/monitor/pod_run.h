/* The run directory of a pod, RUN/pods/ID (monitor.h). Private to monitor/.
 *
 * One file a container that runs, written and removed by that container's monitor; the directory is there while there is one. Who
 * looks or changes anything holds the directory's lock, for as long as that takes and no longer: so of two that start at once one
 * makes what they share, and the last that leaves knows that it is the last. */
#pragma once

#include "monitor.h"

/* Locked: closing the fd is letting go. make: where there is none; else -ENOENT, without a message. */
int pod_run_open(const struct paths *p, const char *pod_id, bool make, int *ret_dirfd, struct err *e);
/* What one that is alive holds, opened for this process: 1; 0 where nobody is. Files of the dead are removed. sockets: those that
 * reserve the published ports, net_hold_done them; NULL: they are not wanted. */
int pod_run_find(int dirfd, struct shared_ns *ret, struct net_hold *sockets, struct err *e);
/* This process holds ns, and sockets (NULL: none), for container id. */
int pod_run_add(int dirfd, const char *id, const struct shared_ns *ns, const struct net_hold *sockets, struct err *e);
/* pod_still.c: of a user's virtual machine; 0: the pod is another's, or has none. 1: it is so. */
int pod_stand_still(const struct paths *p, const char *pod_id, bool still, struct err *e);
bool pod_stands_still(const struct paths *p, const char *pod_id);
/* Of a pod's run. */
struct pod_place {
	const struct paths *paths;
	const char *pod_id;
	const struct host *host;
	const char *cgroup;          /* the pod's */
	const struct pod_last *last; /* NULL: nothing more to do */
};
/* That container's file (NULL: of nobody) and, when it was the last, what `last` does, the pod's cgroup and the directory. */
int pod_run_drop(const struct pod_place *p, int dirfd, const char *id, struct err *e);
