/* Fuzz target: manifest, index and image config, each given the same bytes. What is accepted is of one kind only, has
 * nothing but checked digests, and survives being printed. */
#include "image_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool try_manifest(const char *text, size_t size)
{
	_cleanup_(manifest_done) struct manifest m = {}, again = {};

	if (manifest_parse(text, size, NULL, &m, NULL) < 0)
		return false;
	if (digest_check(m.config.digest, NULL) < 0)
		abort();
	for (size_t i = 0; i < m.n_layers; i++)
		if (digest_check(m.layers[i].digest, NULL) < 0)
			abort();
	_cleanup_free_ char *printed = manifest_print(&m);
	if (!printed || manifest_parse(printed, strlen(printed), m.media_type, &again, NULL) < 0)
		abort();
	return true;
}

static bool try_index(const char *text, size_t size)
{
	_cleanup_(image_index_done) struct image_index x = {}, again = {};

	if (image_index_parse(text, size, NULL, &x, NULL) < 0)
		return false;
	_cleanup_free_ char *printed = image_index_print(&x);
	if (!printed || image_index_parse(printed, strlen(printed), x.media_type, &again, NULL) < 0)
		abort();
	return true;
}

static void try_config(const char *text, size_t size)
{
	_cleanup_(image_config_done) struct image_config c = {}, again = {};
	_cleanup_json_ struct json_object *o = NULL;

	if (image_config_parse(text, size, &c, NULL) < 0)
		return;
	for (size_t i = 0; c.config.labels.keys && c.config.labels.keys[i]; i++)
		if (str_after(c.config.labels.keys[i], "dev.berth."))
			abort();
	o = image_config_json(&c);
	const char *printed = o ? json_object_to_json_string(o) : NULL;
	if (!printed || image_config_parse(printed, strlen(printed), &again, NULL) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	bool is_manifest = try_manifest(text, size), is_index = try_index(text, size);

	if (is_manifest && is_index)
		abort(); /* one text, two meanings */
	try_config(text, size);
	return 0;
}
