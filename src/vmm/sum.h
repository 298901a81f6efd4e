/* sum: the checksum of saved VMs, SHA-256 (FIPS 180-4). It tells a damaged file from a whole one; whoever may write the file can
 * make its sum, too, so nothing rests on it against an attacker. Written out here since nettle's brings its ciphers along, 37 KiB
 * of a program that is to be small, and asks for the CPU's features before main, which costs a nested machine an exit each. Digests
 * of images, where speed counts, are nettle's (codec/sha256.h). */
#pragma once

#include "base.h"

#define SUM_BYTES 32u

struct sum {
	uint32_t h[8];
	uint64_t bytes; /* added so far */
	uint8_t block[64];
};
void sum_init(struct sum *s);
void sum_add(struct sum *s, const void *p, size_t n);
/* s is used up. */
void sum_end(struct sum *s, uint8_t ret[SUM_BYTES]);
