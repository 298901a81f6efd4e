/* cpio: writes "newc" archives, the form in which the kernel takes an initramfs (kernel documentation,
 * driver-api/early-userspace/buffer-format). Writing only: Berth never reads one. */
#pragma once

#include "base.h"

/* Zero-initialised is an empty archive. Entries are owned by root and dated 0, so equal input gives equal bytes. */
struct cpio {
	struct buf out;
	uint32_t n_entries;
};
/* name: relative, parents added before by the caller. mode: type and permission bits, as st_mode. */
void cpio_add(struct cpio *c, const char *name, uint32_t mode, const void *data, size_t n);
/* Writes the trailer. 0, or -ENOMEM (also where a member is beyond the format's 32 bits). The bytes are
 * c->out; the caller buf_done()s it in every case. */
int cpio_finish(struct cpio *c);
