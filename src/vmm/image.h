/* image: a file of a VM's disk, as it is when the VM is built. */
#pragma once

#include "base.h"

struct image {
	uint64_t bytes; /* not 0; a multiple of block */
	uint32_t block; /* 512, or the block device's logical block */
	bool is_device;
};

/* Checks that fd is an image that can serve: a regular file or a block device, open for reading (and writing) at any place, whose
 * size is whole blocks; and locks it (F_OFD_SETLK, for as long as any copy of fd is open): two VMs that write one image, or one
 * that writes what others read, are refused with -EBUSY. what: a word for messages. -errno with e. */
int image_open(int fd, bool is_read_only, const char *what, struct image *ret, struct err *e);

/* What of an image goes into a saved VM's state: its size, in the device's unit, and one flag of the device's. */
struct image_state {
	uint64_t size;
	uint32_t flag, pad; /* 0 or 1 */
};
/* For the message: "a disk", "sectors", "read-only". */
struct image_words {
	const char *what, *unit, *flag;
};
/* Is the saved struct image_state that of the plan's image? 0, or -EBADMSG with e. */
int image_state_check(const void *saved, struct image_state of, const struct image_words *w, struct err *e);
