/* Fuzz target: image references. What parses must print and parse to itself, and hold no byte that a URL or a file name
 * would have to escape. */
#include "ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_form(const char *text, const struct ref *want)
{
	struct ref again = {};

	if (!text || ref_parse(text, NULL, &again, NULL) < 0)
		abort();
	if (!streq(again.domain, want->domain) || !streq(again.path, want->path) || !streq0(again.tag, want->tag) ||
	    !streq0(again.digest, want->digest))
		abort();
	ref_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	_cleanup_(ref_done) struct ref r = {};
	struct err e = {};

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (ref_parse(text, "registry.example:5000", &r, &e) < 0) {
		if (e.no <= 0 || !e.msg[0])
			abort();
		return 0;
	}
	if (strspn(r.path, "abcdefghijklmnopqrstuvwxyz0123456789._-/") != strlen(r.path) || strstr(r.path, ".."))
		abort();
	_cleanup_free_ char *whole = ref_str(&r), *familiar = ref_familiar(&r);
	check_form(whole, &r);
	check_form(familiar, &r);
	return 0;
}
