/* runtime: the command line of an OCI runtime, as runc's, so that containerd, Docker, Podman, CRI-O and Buildah may call it in
 * runc's place. No daemon and no monitor: a container is its first process, its cgroup, and a directory ROOT/ID that says so.
 *
 * Theory of operation. `create` makes the container through container/ and records it; its first process then waits on
 * ROOT/ID/start.sock, whatever becomes of the program that made it. Every other verb begins with the record:
 *
 *   (nothing) -create-> creating -create-> created -start-> running -the process ends-> stopped -delete-> (nothing)
 *                                          running <-pause, resume-> paused
 *
 * "creating", "created" and "running" are written; "paused" and "stopped" are never written but asked of the kernel, as is
 * whether one recorded as created has been started since (record.c). */
#pragma once

#include "container.h"
#include "opts.h"

/* argv as main's; -> exit status. */
int runtime_main(int argc, char **argv);
