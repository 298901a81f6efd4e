/* Digests: text of a hash, and the one accepted form of such text. Everything that names a file by a digest has had it
 * checked here, so a digest from outside can't be a path. */
#include "sha256.h"

static const char prefix[] = "sha256:";

void sha256_finish_str(struct sha256_ctx *ctx, char ret[DIGEST_LEN])
{
	uint8_t hash[SHA256_DIGEST_SIZE];

	sha256_digest(ctx, sizeof(hash), hash);
	memcpy(ret, prefix, sizeof(prefix) - 1);
	str_hex(hash, sizeof(hash), ret + sizeof(prefix) - 1);
}

void sha256_digest_str(const void *p, size_t n, char ret[DIGEST_LEN])
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, n, p);
	sha256_finish_str(&ctx, ret);
}

int digest_check(const char *s, struct err *e)
{
	const char *hex = str_after(s, prefix);

	if (hex && strlen(hex) == 2 * SHA256_DIGEST_SIZE && strspn(hex, "0123456789abcdef") == 2 * SHA256_DIGEST_SIZE)
		return 0;
	if (str_after(s, "sha512:"))
		return err_set(e, EINVAL, "digest %.160s: only sha256 digests are supported", s);
	return err_set(e, EINVAL, "\"%.160s\" is not a digest: expected sha256: and 64 lower-case hex digits", s);
}
