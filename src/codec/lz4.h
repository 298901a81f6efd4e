/* lz4: decodes the LZ4 "legacy frame", the form in which Linux kernels are packed: a magic number, then blocks of
 * u32 length and LZ4 sequences, each block at most 8 MiB when unpacked (lz4's doc/lz4_Frame_format.md, "Legacy frame"). */
#pragma once

#include "base.h"

#define LZ4_LEGACY_MAGIC 0x184C2102u
/* Fills exactly out_len bytes. -EBADMSG on anything else: damaged or short input, data left over in the last block. */
int lz4_legacy_decode(const uint8_t *in, size_t n, uint8_t *out, size_t out_len);
