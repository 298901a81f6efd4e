/* Strict JSON: json-c parses, json_scan.c refuses what json-c lets pass.
 *
 * Called by every reader of a document; fuzzed through them. */
#include "json.h"

#include "json_scan.h"

#define JSON_DEPTH 64

/* The text has as many members as it has colons outside of strings. json-c keeps the last of two equal keys without a
 * word, so a tree with fewer members than its text has dropped one. */
static size_t members_in_tree(struct json_object *o)
{
	size_t n = 0;

	if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, v)
		{
			(void)key;
			n += 1 + members_in_tree(v);
		}
	} else if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			n += members_in_tree(json_object_array_get_idx(o, i));
	}
	return n;
}

/* Line number of offset, counted from 1: what a person looks for in an editor. */
static size_t line_of(const char *text, size_t offset)
{
	size_t line = 1;

	for (size_t i = 0; i < offset; i++)
		line += text[i] == '\n';
	return line;
}

int json_parse(const char *text, size_t len, const char *what, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;

	if (len > INT32_MAX)
		return err_set(e, EFBIG, "%s: %zu bytes are too many for a JSON document", what, len);
	if (len == 0)
		return err_set(e, EINVAL, "%s: empty, expected a JSON document", what);
	const char *nul = memchr(text, 0, len);
	if (nul)
		return err_set(e, EINVAL, "%s: not JSON: NUL byte at offset %zu", what, (size_t)(nul - text));

	struct json_tokener *t = json_tokener_new_ex(JSON_DEPTH);
	if (!t)
		return err_set(e, ENOMEM, "%s: out of memory", what);
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(t, text, (int)len);
	enum json_tokener_error je = json_tokener_get_error(t);
	size_t end = json_tokener_get_parse_end(t);
	if (je == json_tokener_continue && !o) {
		/* A number at the top has no end of its own: the NUL tells json-c that nothing follows. */
		o = json_tokener_parse_ex(t, "", 1);
		je = json_tokener_get_error(t);
		end = len;
	}
	json_tokener_free(t);
	if (je == json_tokener_error_size || je == json_tokener_error_depth)
		return err_set(e, EINVAL, "%s: not acceptable as JSON: nested more than %d deep, or too long", what, JSON_DEPTH);
	if (je == json_tokener_continue || je == json_tokener_error_parse_eof)
		return err_set(e, EINVAL, "%s: not JSON: it ends in the middle of a value", what);
	if (je != json_tokener_success)
		return err_set(e, EINVAL, "%s: not JSON: line %zu: %s", what, line_of(text, MIN(end, len)),
			       json_tokener_error_desc(je));
	while (end < len && strchr(" \t\r\n", text[end]))
		end++;
	if (end < len)
		return err_set(e, EINVAL, "%s: not JSON: line %zu: something follows the document", what, line_of(text, end));
	struct json_scan scan;
	if (json_scan(text, len, &scan) < 0)
		return err_set(e, EINVAL, "%s: not JSON: line %zu: %s", what, line_of(text, scan.offset), scan.why);
	if (scan.members != members_in_tree(o)) {
		_cleanup_free_ char *key = json_scan_duplicate(text, len);
		return err_set(e, EINVAL, "%s: the key \"%.80s\" stands twice in one object", what, key ? key : "?");
	}
	*ret = TAKE_PTR(o);
	return 0;
}
