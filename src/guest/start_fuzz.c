/* Fuzz target: FRAME_START's document. What is read must be writable, and read again. */
#include "guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest_start a, b;
	struct err e = { 0 };
	const char *text;

	if (guest_start_parse((const char *)data, size, &a, &e) < 0) {
		if (e.no <= 0 || !e.msg[0])
			abort(); /* a refusal has to say why */
		return 0;
	}
	_cleanup_json_ struct json_object *o = guest_start_json(&a);
	text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
	if (!text || guest_start_parse(text, strlen(text), &b, &e) < 0 || b.seccomp.n_filters != a.seccomp.n_filters ||
	    b.n_interfaces != a.n_interfaces)
		abort();
	guest_start_done(&b);
	guest_start_done(&a);
	return 0;
}
