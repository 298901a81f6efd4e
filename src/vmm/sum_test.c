#include "sum.h"

#include <nettle/sha2.h>

#include "tap.h"

static void sum_in_pieces(const uint8_t *p, size_t n, size_t piece, uint8_t ret[SUM_BYTES])
{
	struct sum s;

	sum_init(&s);
	for (size_t at = 0; at < n; at += piece)
		sum_add(&s, p + at, MIN(piece, n - at));
	sum_end(&s, ret);
}

TEST(what_the_standard_gives_as_examples)
{
	/* FIPS 180-4's example values: "abc", and the empty message of NIST's test vectors. */
	static const uint8_t abc[] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
				       0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
				       0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad };
	static const uint8_t none[] = { 0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
					0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
					0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55 };
	uint8_t got[SUM_BYTES];

	sum_in_pieces((const uint8_t *)"abc", 3, 3, got);
	ok(memcmp(got, abc, sizeof(got)) == 0);
	sum_in_pieces(NULL, 0, 1, got);
	ok(memcmp(got, none, sizeof(got)) == 0);
}

TEST(every_length_in_any_pieces_is_what_nettle_says)
{
	uint8_t data[300], got[SUM_BYTES], want[SUM_BYTES];
	static const size_t pieces[] = { 1, 7, 63, 64, 65, 300 };

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37 + i / 7);
	for (size_t n = 0; n <= sizeof(data); n++) {
		struct sha256_ctx c;

		sha256_init(&c);
		sha256_update(&c, n, data);
		sha256_digest(&c, sizeof(want), want);
		for (size_t p = 0; p < ARRAY_SIZE(pieces); p++) {
			sum_in_pieces(data, n, pieces[p], got);
			if (memcmp(got, want, sizeof(got)) != 0)
				TAP_FAIL("%zu bytes in pieces of %zu", n, pieces[p]);
		}
	}
	ok(true);
}

TAP_MAIN()
