/* Fuzz target: config.json. What is accepted prints to a text that reads back to the same text. */
#include "runtime_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *text_of(const struct spec *s)
{
	_cleanup_json_ struct json_object *o = spec_json(s);
	const char *text = o ? json_object_to_json_string(o) : NULL;

	return text ? strdup(text) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec s, again;
	struct err e = {};

	if (spec_parse((const char *)data, size, &s, &e) < 0) {
		if (e.no <= 0 || !e.msg[0])
			abort();
		return 0;
	}
	_cleanup_free_ char *first = text_of(&s);
	if (!first || spec_parse(first, strlen(first), &again, &e) < 0)
		abort();
	_cleanup_free_ char *second = text_of(&again);
	if (!second || !streq(first, second))
		abort();
	spec_done(&s);
	spec_done(&again);
	return 0;
}
