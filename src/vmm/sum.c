/* sum: see sum.h. */
#include "sum.h"

/* FIPS 180-4 §4.2.2. */
static const uint32_t k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
	0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
	0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
	0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

static uint32_t word_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

/* §6.2.2, with its names. */
static void add_block(uint32_t h[8], const uint8_t *block)
{
	uint32_t w[64], v[8];

	for (unsigned t = 0; t < 16; t++)
		w[t] = word_at(block + 4 * (size_t)t);
	for (unsigned t = 16; t < 64; t++) {
		uint32_t s0 = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3;
		uint32_t s1 = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10;

		w[t] = s1 + w[t - 7] + s0 + w[t - 16];
	}
	memcpy(v, h, sizeof(v));
	/* The standard's a to h move by one place each round: here they stay, and what they are called moves. */
	for (unsigned t = 0; t < 64; t += 8)
#pragma GCC unroll 8
		for (unsigned i = 0; i < 8; i++) {
			uint32_t a = v[-i & 7], b = v[(1 - i) & 7], c = v[(2 - i) & 7];
			uint32_t e = v[(4 - i) & 7], f = v[(5 - i) & 7], g = v[(6 - i) & 7];
			uint32_t t1 = v[(7 - i) & 7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) +
				      k[t + i] + w[t + i];

			v[(3 - i) & 7] += t1;
			v[(7 - i) & 7] = t1 + (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
		}
	for (unsigned i = 0; i < 8; i++)
		h[i] += v[i];
}

void sum_init(struct sum *s)
{
	/* §5.3.3 */
	*s = (struct sum){ .h = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
				  0x5be0cd19 } };
}

void sum_add(struct sum *s, const void *p, size_t n)
{
	const uint8_t *from = p;
	size_t have = s->bytes % sizeof(s->block);

	s->bytes += n;
	while (n > 0) {
		size_t take = MIN(n, sizeof(s->block) - have);

		if (take == sizeof(s->block)) {
			add_block(s->h, from);
		} else {
			memcpy(s->block + have, from, take);
			if (have + take == sizeof(s->block))
				add_block(s->h, s->block);
		}
		have = 0;
		from += take;
		n -= take;
	}
}

/* §5.1.1: a one, zeros up to the last eight bytes of a block, and there the length in bits. */
void sum_end(struct sum *s, uint8_t ret[SUM_BYTES])
{
	static const uint8_t pad[64] = { 0x80 };
	uint64_t bits = __builtin_bswap64(s->bytes * 8);

	sum_add(s, pad, 1 + (119 - s->bytes % 64) % 64);
	sum_add(s, &bits, sizeof(bits));
	for (unsigned i = 0; i < 8; i++) {
		uint32_t v = __builtin_bswap32(s->h[i]);

		memcpy(ret + 4 * (size_t)i, &v, sizeof(v));
	}
}
