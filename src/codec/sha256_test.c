#include "sha256.h"
#include "tap.h"

/* FIPS 180-2, appendix B.1, and the empty message. */
TEST(digests_are_sha256_in_oci_form)
{
	char d[DIGEST_LEN];

	sha256_digest_str("abc", 3, d);
	is_str(d, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_digest_str("", 0, d);
	is_str(d, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	is_str(digest_hex(d), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(a_hash_in_pieces_is_the_hash_of_the_whole)
{
	struct sha256_ctx ctx;
	char whole[DIGEST_LEN], pieces[DIGEST_LEN];

	sha256_digest_str("hello, world", 12, whole);
	sha256_init(&ctx);
	sha256_update(&ctx, 5, (const uint8_t *)"hello");
	sha256_update(&ctx, 7, (const uint8_t *)", world");
	sha256_finish_str(&ctx, pieces);
	is_str(pieces, whole);
}

TEST(only_the_exact_form_is_a_digest)
{
#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	static const char *const bad[] = {
		"",
		"sha256:",
		"sha256:..",
		HEX,
		"sha256:" HEX "0",
		"sha256:" HEX "\n",
		"sha256:../../../etc/passwd",
		"SHA256:" HEX,
		"sha256:Ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha256:/a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha1:" HEX,
	};
	struct err e = { 0 };

	is_int(digest_check("sha256:" HEX, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		is_int(digest_check(bad[i], &e), -EINVAL);
	is_int(digest_check("sha512:" HEX HEX, &e), -EINVAL);
	has_str(e.msg, "only sha256");
}

TAP_MAIN()
