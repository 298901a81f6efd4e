/* pod_vm: one virtual machine with the containers of a pod in it. Private to isolation and monitor.
 *
 *   monitor of A --\                                  /-- container A (slot 0)
 *                   vm.sock --- holder --- port --- berth-init
 *   monitor of B --/                                  \-- container B (slot 1)
 *
 * The holder is a process of its own: it is the VMM's parent, starts with the first container and ends when the last one has left. To
 * each monitor it looks like a guest that holds one container: the frames of vm_link.c, whose channels it moves to that container's
 * slot (guest.h) on their way in and back on their way out. Credit goes from end to end, so that a stopped reader stops its own stream.
 *
 * Before HELLO a monitor says who it is (FRAME_ATTACH, {"id"}) and is answered with FRAME_OK, {"disk","upper","vmm","pid"}, or
 * FRAME_ERROR: disks and volumes are plugged in before the machine starts, and those whose container came later are not there. */
#pragma once

#include "isolation.h"

#define POD_VM_SOCKET "vm.sock"
/* On this channel, and only from the holder: FRAME_ERROR, why there is no machine any more. */
#define POD_VM_LOST      0xffff
#define POD_VM_DISKS_MAX 18 /* transports that QEMU's microvm has left */

/* A container that may come: its disks, by their paths, and its plan, whose bind mounts are its volumes. */
struct pod_vm_member {
	char *id, *image_disk, *upper_disk;
	struct spec plan;
};
struct pod_vm_config {
	const char *id; /* the pod's */
	const struct paths *paths;
	const struct spec *plan;     /* cgroup path and limits */
	const struct launch *launch; /* id, memory, processors, kernel */
	/* Its networks and their taps, as in instance_config; NULL: none. */
	const struct net_plan *network;
	const int *taps;
	size_t n_taps;
	const struct pod_vm_member *members;
	size_t n_members;
	int rundirfd; /* RUN/containers/ID, claimed */
	const char *rundir;
	int ready_fd; /* gets one byte once monitors may connect */
};
/* Starts the machine and serves it to its end. */
int pod_vm_run(const struct pod_vm_config *c, struct err *e);

/* ---- pod_vm_client.c: for the monitor of a container ---- */
struct pod_vm_place {
	int fd; /* to the holder, which speaks as a guest from here on */
	char *disk, *upper, *vmm;
	int64_t pid; /* the VMM's */
};
/* Starts the holder where there is none. */
int pod_vm_join(const struct paths *p, const char *pod_id, const char *id, struct pod_vm_place *ret, struct err *e);
void pod_vm_place_done(struct pod_vm_place *p); /* strings; fd is the caller's */
