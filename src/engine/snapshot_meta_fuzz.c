/* Fuzz target: snapshot.json. What is read must be writable, and read again. */
#include "snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct snapshot_cpu here = { .vendor = (char[]){ "AuthenticAMD" }, .flags = (char[]){ "fpu sse" } };
	struct snapshot_meta a, b;
	struct err e = { 0 };
	const char *text;

	if (snapshot_meta_parse((const char *)data, size, &a, &e) < 0) {
		if (e.no <= 0 || !e.msg[0])
			abort(); /* a refusal has to say why */
		return 0;
	}
	if (snapshot_fits(&a, &here, &e) < 0 && !e.msg[0])
		abort();
	_cleanup_json_ struct json_object *o = snapshot_meta_json(&a);
	text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
	if (!text || snapshot_meta_parse(text, strlen(text), &b, &e) < 0 || a.cpus != b.cpus)
		abort();
	snapshot_meta_done(&b);
	snapshot_meta_done(&a);
	return 0;
}
