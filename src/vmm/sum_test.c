#include "sum.h"

#include "tap.h"

static uint64_t sum_in_pieces(const uint8_t *p, size_t n, size_t piece)
{
	struct sum s;

	sum_init(&s);
	for (size_t at = 0; at < n; at += piece)
		sum_add(&s, p + at, MIN(piece, n - at));
	return sum_end(&s);
}

/* Files outlive programs: what was a sum once stays one. */
TEST(the_sums_are_those_that_the_algorithm_gives)
{
	is_int(sum_in_pieces(NULL, 0, 1) == 0xef46db3751d8e999ull, true); /* XXH64 of nothing, seed 0 */
	is_int(sum_in_pieces((const uint8_t *)"abc", 3, 3) == 0x44bc2cf5ad770999ull, true);
}

TEST(the_pieces_do_not_matter_and_every_bit_does)
{
	static const size_t pieces[] = { 1, 7, 31, 32, 33, 300 };
	uint8_t data[300];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37 + i / 7);
	for (size_t n = 1; n <= sizeof(data); n++) {
		uint64_t whole = sum_in_pieces(data, n, n);

		for (size_t p = 0; p < ARRAY_SIZE(pieces); p++)
			if (sum_in_pieces(data, n, pieces[p]) != whole)
				TAP_FAIL("%zu bytes in pieces of %zu", n, pieces[p]);
		data[n - 1] ^= 1u << n % 8;
		ok(sum_in_pieces(data, n, n) != whole);
		data[n - 1] ^= 1u << n % 8;
	}
}

TAP_MAIN()
