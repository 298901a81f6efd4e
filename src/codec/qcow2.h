/* qcow2: the header of a qcow2 image (QEMU's docs/interop/qcow2.txt), as far as it decides whether a VM may be given it. Who reads and
 * writes such images is QEMU; here it is only asked, before QEMU opens one, what the image would make it do. */
#pragma once

#include "base.h"

#define QCOW2_HEADER_BYTES 104u /* version 3's, without what later ones append */

struct qcow2_header {
	uint32_t version;              /* 2 or 3 */
	uint64_t bytes;                /* of the disk that the guest sees */
	bool has_backing;              /* unwritten parts are read from another file, which the image names */
	bool has_data_file;            /* its contents lie in another file, likewise */
	bool is_encrypted, is_corrupt; /* corrupt: it says so of itself */
};
/* Does p begin as a qcow2 image (or one of its older version 1) of any kind? */
bool qcow2_has_magic(const void *p, size_t n);
/* p: the first bytes of the file, QCOW2_HEADER_BYTES of them where it is that long. -EBADMSG: e says what is wrong with it. */
int qcow2_parse(const void *p, size_t n, struct qcow2_header *ret, struct err *e);
