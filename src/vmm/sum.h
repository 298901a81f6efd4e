/* sum: the checksum of saved VMs, XXH64. It tells a damaged file from a whole one, at a tenth of what SHA-256 takes of a restore's time;
 * whoever may write the file can make its sum, too, so nothing rests on it against an attacker. Digests of images, on which much rests,
 * are nettle's SHA-256 (codec/sha256.h). */
#pragma once

#include "base.h"

struct sum {
	uint64_t state[11]; /* XXH64_state_t, which sum.c alone knows */
};
void sum_init(struct sum *s);
void sum_add(struct sum *s, const void *p, size_t n);
/* Of all that was added, in whatever pieces. */
uint64_t sum_end(const struct sum *s);
