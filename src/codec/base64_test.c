#include "base64.h"

#include "tap.h"

TEST(base64_encodes_the_vectors_of_rfc_4648)
{
	static const char *const v[][2] = { { "", "" },
					    { "f", "Zg==" },
					    { "fo", "Zm8=" },
					    { "foo", "Zm9v" },
					    { "foob", "Zm9vYg==" },
					    { "fooba", "Zm9vYmE=" },
					    { "foobar", "Zm9vYmFy" } };

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		_cleanup_free_ char *t = base64_encode(v[i][0], strlen(v[i][0]));
		_cleanup_free_ uint8_t *b = NULL;
		size_t n = 99;

		is_str(t, v[i][1]);
		is_int(base64_decode(t, &b, &n), 0);
		is_int(n, strlen(v[i][0]));
		ok(memcmp(b, v[i][0], n) == 0);
	}
}

TEST(base64_keeps_every_byte)
{
	uint8_t all[256];
	_cleanup_free_ uint8_t *b = NULL;
	_cleanup_free_ char *t = NULL;
	size_t n = 0;

	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	t = base64_encode(all, sizeof(all));
	is_int(base64_decode(t, &b, &n), 0);
	is_int(n, sizeof(all));
	ok(memcmp(all, b, n) == 0);
}

TEST(base64_refuses_what_is_not_strict)
{
	static const char *const bad[] = { "Z",    "Zg",   "Zg=",  "Z===",     "====",      "Zm9v\n",
					   "Zm 9", "Zh==", "Zm9=", "Zg==Zg==", "Z\xc3\xa4g" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t *b = NULL;
		size_t n = 0;

		printf("# %s\n", bad[i]);
		is_int(base64_decode(bad[i], &b, &n), -EINVAL);
		ok(b == NULL);
	}
}

TAP_MAIN()
