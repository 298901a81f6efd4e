/* guest: what is spoken between the host (isolation/vm.c) and berth-init in the guest, and berth-init's own parts.
 * Transport: frames (frame.h) over a virtio-serial port named "dev.berth.agent" (QEMU) or vsock. After HELLO both ways the
 * host sends one FRAME_START on channel 0:
 *   { "config": config.json as the guest is to see it, "files": [...launch_file], "hostname": ...,
 *     "root": {"disk": "/dev/vda", "upper": "/dev/vdb"}, "shares": [{"tag","target"}], "init": bool,
 *     "seccomp": base64 of the compiled filter, "seccomp_flags": n, "time_ns": host clock, "entropy": base64 }
 * and is answered with FRAME_STARTED or FRAME_ERROR; then STDIN/STDOUT/... as frame.h says; FRAME_EXEC on channels 1.. .
 * When the main process has ended: output, FRAME_EXIT on channel 0; the host then sends FRAME_SHUTDOWN (sync, power off). */
#pragma once

#include "container.h"

#define GUEST_PORT_NAME "dev.berth.agent"

struct guest_share {
	char *tag, *target;
};
struct guest_start {
	struct spec spec;
	struct launch_file *files;
	size_t n_files;
	char *root_disk, *upper_disk;
	struct guest_share *shares;
	size_t n_shares;
	bool use_init;
	struct seccomp_prog seccomp;
	uint64_t time_ns;
	char *entropy_b64;
};
int guest_start_parse(const char *text, size_t len, struct guest_start *ret, struct err *e);
struct json_object *guest_start_json(const struct guest_start *s);
void guest_start_done(struct guest_start *s);
