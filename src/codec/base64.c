/* base64: see base64.h. */
#include "base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t n)
{
	const uint8_t *p = data;
	char *out = malloc((n + 2) / 3 * 4 + 1), *o = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);

		*o++ = digits[v >> 18];
		*o++ = digits[v >> 12 & 63];
		*o++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
		*o++ = i + 2 < n ? digits[v & 63] : '=';
	}
	*o = '\0';
	return out;
}

int base64_decode(const char *s, uint8_t **ret, size_t *ret_len)
{
	size_t n = strlen(s), len = n / 4 * 3, pad = 0, o = 0;
	_cleanup_free_ uint8_t *out = malloc(len + 1);

	if (!out)
		return -ENOMEM;
	if (n % 4)
		return -EINVAL;
	if (n)
		pad = (size_t)(s[n - 1] == '=') + (s[n - 1] == '=' && s[n - 2] == '=');
	for (size_t i = 0; i < n; i += 4) {
		uint32_t v = 0;

		for (size_t j = 0; j < 4; j++) {
			const char *d = i + j < n - pad ? strchr(digits, s[i + j]) : digits;

			if (!d)
				return -EINVAL;
			v = v << 6 | (uint32_t)(d - digits);
		}
		out[o++] = (uint8_t)(v >> 16);
		out[o++] = (uint8_t)(v >> 8);
		out[o++] = (uint8_t)v;
	}
	for (size_t i = len - pad; i < len; i++)
		if (out[i])
			return -EINVAL;
	out[len - pad] = 0;
	*ret = TAKE_PTR(out);
	*ret_len = len - pad;
	return 0;
}
