/* Fuzz target: templates of --format. Whatever a user types is rendered, or refused with words. */
#include "template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char document[] =
	"{\"Name\":\"/web\",\"State\":{\"Running\":true,\"ExitCode\":0,\"Health\":null},\"Labels\":{\"a\":\"b\",\"c.d\":\"e\"},"
	"\"Ports\":[{\"IP\":\"::1\",\"Port\":80},{\"IP\":\"\",\"Port\":443}],\"Size\":18446744073709551615,\"Load\":0.5,\"None\":"
	"[]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = size < 4096 ? malloc(size + 1) : NULL;
	_cleanup_json_ struct json_object *doc = json_tokener_parse(document);
	_cleanup_buf_ struct buf out = { 0 };
	struct err e = { 0 };

	if (!text || !doc)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	int r = template_render(text, doc, &out, &e);
	if (r < 0 && (e.no != -r || !e.msg[0]))
		abort();
	return 0;
}
