#include "json.h"

#include "tap.h"

static struct err E;

static int parse(const char *text, struct json_object **ret)
{
	E = (struct err){};
	return json_parse(text, strlen(text), "doc.json", ret, &E);
}

static void refused(const char *text, const char *why)
{
	struct json_object *o = NULL;

	is_int(parse(text, &o), -EINVAL);
	ok(!o);
	has_str(E.msg, "doc.json: ");
	has_str(E.msg, why);
}

TEST(text_that_is_not_json_is_refused)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "empty" },
		{ "{", "ends in the middle" },
		{ "{\"a\":\"b", "ends in the middle" },
		{ "{} {}", "line 1" },
		{ "{}x", "line 1" },
		{ "{\n\n'a':1}", "line 3: expected a value in JSON's own spelling" },
		{ "[NaN]", "own spelling" },
		{ "[-Infinity]", "not JSON" },
		{ "[00]", "can't be written" },
		{ "[-01]", "can't be written" },
		{ "[1.]", "can't be written" },
		{ "[\"a\tb\"]", "control character" },
		{ "[18446744073709551616]", "beyond 64 bits" },
		{ "[-9223372036854775809]", "beyond 64 bits" },
		{ "[100000000000000000000000]", "beyond 64 bits" },
		{ "{\"a\":1,}", "line 1" },
		{ "/* c */ {}", "line 1" },
		{ "{\"a\":\"\xff\xfe\"}", "not JSON" },
		{ "{\"a\":01}", "not JSON" },
		{ "[1,]", "not JSON" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refused(rows[i].text, rows[i].why);
}

TEST(nul_bytes_in_the_text_are_refused)
{
	struct json_object *o = NULL;

	is_int(json_parse("{}\0{}", 5, "doc.json", &o, &E), -EINVAL);
	has_str(E.msg, "NUL byte at offset 2");
}

TEST(text_needs_no_terminator_and_may_end_in_white_space)
{
	_cleanup_json_ struct json_object *o = NULL;
	char text[] = { '{', '"', 'a', '"', ':', '1', '}', ' ', '\n', 'X' };

	is_int(json_parse(text, sizeof text - 1, "doc.json", &o, &E), 0);
}

TEST(a_number_alone_is_a_document)
{
	_cleanup_json_ struct json_object *o = NULL;

	is_int(parse("17", &o), 0);
	is_int(json_object_get_int64(o), 17);
}

TEST(duplicate_keys_are_refused_and_named)
{
	refused("{\"a\":1,\"b\":2,\"a\":3}", "\"a\" stands twice");
	refused("{\"x\":[{\"k\":{}},{\"k\":{\"layers\":1,\"layers\":[]}}]}", "\"layers\" stands twice");
	/* The escape spells the same key. */
	refused("{\"digest\":1,\"di\\u0067est\":2}", "\"digest\" stands twice");
	/* json-c cuts a key at NUL, which makes these two equal. */
	refused("{\"a\":1,\"a\\u0000b\":2}", "stands twice");
	refused("{\"a\":{\"b\":1},\"a\":{\"b\":1,\"c\":2}}", "\"a\" stands twice");
}

TEST(equal_keys_in_different_objects_are_fine)
{
	_cleanup_json_ struct json_object *o = NULL;

	is_int(parse("{\"a\":{\"a\":[{\"a\":1},{\"a\":\"a:b \\\"a\\\":{\"}]},\"b:\":{\"a\":null}}", &o), 0);
}

TEST(depth_is_bounded)
{
	struct json_object *o = NULL;
	char text[20001];

	memset(text, '[', 10000);
	memset(text + 10000, ']', 10000);
	text[20000] = 0;
	is_int(parse(text, &o), -EINVAL);
	has_str(E.msg, "64 deep");
}

/* ---- tables ---- */

struct inner {
	char *type;
	uint32_t n;
};
struct doc {
	char *name;
	bool flag, has_mode;
	uint64_t u64;
	int64_t i64;
	uint32_t u32, mode;
	int32_t i32;
	char **list;
	struct string_map map;
	struct inner in, *opt;
	struct inner *items;
	size_t n_items;
	char custom;
};

static int read_letter(struct json_object *v, void *member, const char *path, struct err *e)
{
	if (!json_object_is_type(v, json_type_string) || json_object_get_string_len(v) != 1)
		return json_expected(v, path, "one letter", e);
	*(char *)member = *json_object_get_string(v);
	return 0;
}

static struct json_object *print_letter(const void *member)
{
	return *(const char *)member ? json_object_new_string_len(member, 1) : NULL;
}

static void inner_init(void *item) { ((struct inner *)item)->n = 7; }

static const struct field inner_fields[] = {
	{ "type", FIELD_STRING, offsetof(struct inner, type), FIELD_REQUIRED },
	{ "n", FIELD_U32, offsetof(struct inner, n) },
	{ NULL, .flags = FIELD_STRICT },
};
static const struct field doc_fields[] = {
	{ "name", FIELD_STRING, offsetof(struct doc, name) },
	{ "flag", FIELD_BOOL, offsetof(struct doc, flag), FIELD_OMIT_EMPTY },
	{ "u64", FIELD_U64, offsetof(struct doc, u64), FIELD_OMIT_EMPTY },
	{ "i64", FIELD_I64, offsetof(struct doc, i64) },
	{ "u32", FIELD_U32, offsetof(struct doc, u32), FIELD_OMIT_EMPTY },
	{ "i32", FIELD_I32, offsetof(struct doc, i32), FIELD_OMIT_EMPTY },
	{ "mode", FIELD_U32, offsetof(struct doc, mode), FIELD_HAS, .count_offset = offsetof(struct doc, has_mode) },
	{ "list", FIELD_STRV, offsetof(struct doc, list) },
	{ "map", FIELD_MAP, offsetof(struct doc, map), FIELD_OMIT_EMPTY },
	{ "in", FIELD_OBJECT, offsetof(struct doc, in), 0, inner_fields },
	{ "opt", FIELD_OBJECT_PTR, offsetof(struct doc, opt), 0, inner_fields, sizeof(struct inner) },
	{ "items", FIELD_ARRAY, offsetof(struct doc, items), 0, inner_fields, sizeof(struct inner), offsetof(struct doc, n_items),
	  .init = inner_init },
	{ "custom", FIELD_CUSTOM, offsetof(struct doc, custom), .parse = read_letter, .print = print_letter },
	{ NULL },
};

static int read_doc(const char *text, struct doc *d)
{
	_cleanup_json_ struct json_object *o = NULL;

	*d = (struct doc){};
	is_int(parse(text, &o), 0);
	return json_read(o, doc_fields, d, ".linux", &E);
}

TEST(every_type_survives_a_round_trip)
{
	static const char *const text =
		"{\"name\":\"a\\nb\",\"flag\":true,\"u64\":18446744073709551615,\"i64\":-9223372036854775807,\"u32\":4294967295,"
		"\"i32\":-2147483648,\"mode\":0,\"list\":[\"x\",\"\"],\"map\":{\"k\":\"v\",\"\":\"e\"},\"in\":{\"type\":\"t\","
		"\"n\":1},"
		"\"opt\":{\"type\":\"o\",\"n\":2},\"items\":[{\"type\":\"i\",\"n\":3},{\"type\":\"j\",\"n\":7}],\"custom\":"
		"\"c\"}";
	_cleanup_json_ struct json_object *o = NULL;
	struct doc d;

	is_int(read_doc(text, &d), 0);
	ok(d.u64 == UINT64_MAX);
	ok(d.has_mode);
	is_int(d.n_items, 2);
	o = json_write(doc_fields, &d);
	is_str(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), text);
	json_free_fields(doc_fields, &d);
	ok(!d.name && !d.list && !d.items && d.n_items == 0 && !d.opt && !d.map.keys && !d.has_mode);
}

TEST(errors_name_the_whole_path_and_what_was_found)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "{\"items\":[{\"type\":\"a\"},{\"type\":5}]}", ".linux.items[1].type: expected a string, found 5" },
		{ "{\"name\":[]}", ".linux.name: expected a string, found an array" },
		{ "{\"name\":\"a\\u0000b\"}", ".linux.name: the string holds a NUL character" },
		{ "{\"flag\":1}", ".linux.flag: expected true or false, found 1" },
		{ "{\"u64\":-1}", ".linux.u64: expected a whole number from 0 to 18446744073709551615, found -1" },
		{ "{\"u64\":1.5}", ".linux.u64: expected a whole number from 0 to 18446744073709551615, found 1.5" },
		{ "{\"i64\":9223372036854775808}", ".linux.i64: expected a whole number of 64 bits, found 9223372036854775808" },
		{ "{\"u32\":4294967296}", ".linux.u32: expected a whole number from 0 to 4294967295, found 4294967296" },
		{ "{\"i32\":2147483648}",
		  ".linux.i32: expected a whole number from -2147483648 to 2147483647, found 2147483648" },
		{ "{\"u32\":\"7\"}", ".linux.u32: expected a whole number from 0 to 4294967295, found \"7\"" },
		{ "{\"list\":[\"a\",7]}", ".linux.list[1]: expected a string, found 7" },
		{ "{\"list\":[null]}", ".linux.list[0]: expected a string, found null" },
		{ "{\"list\":{}}", ".linux.list: expected an array of strings, found an object" },
		{ "{\"map\":{\"a\":7}}", ".linux.map[\"a\"]: expected a string, found 7" },
		{ "{\"map\":[]}", ".linux.map: expected an object of strings, found an array" },
		{ "{\"in\":{}}", ".linux.in.type: missing" },
		{ "{\"in\":{\"type\":null}}", ".linux.in.type: missing" },
		{ "{\"in\":7}", ".linux.in: expected an object, found 7" },
		{ "{\"opt\":[]}", ".linux.opt: expected an object, found an array" },
		{ "{\"in\":{\"type\":\"t\",\"other\":1}}", ".linux.in.other: not a property" },
		{ "{\"items\":{}}", ".linux.items: expected an array, found an object" },
		{ "{\"items\":[[]]}", ".linux.items[0]: expected an object, found an array" },
		{ "{\"custom\":\"cc\"}", ".linux.custom: expected one letter, found \"cc\"" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct doc d;
		int r = read_doc(rows[i].text, &d);
		if (r >= 0)
			TAP_FAIL("accepted: %s", rows[i].text);
		has_str(E.msg, rows[i].error);
		json_free_fields(doc_fields, &d);
	}
}

TEST(null_counts_as_absent_and_unknown_keys_are_ignored)
{
	struct doc d;

	is_int(read_doc("{\"name\":null,\"list\":null,\"in\":null,\"opt\":null,\"items\":null,\"u64\":null,\"other\":{\"x\":1}}",
			&d),
	       0);
	ok(!d.name && !d.list && !d.opt && !d.items);
}

TEST(reading_over_defaults_frees_them)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct doc d = { .name = strdup("old"), .n_items = 1, .items = calloc(1, sizeof(struct inner)) };

	d.items[0].type = strdup("old");
	ok(strv_push(&d.list, "old") == 0 && map_set(&d.map, "old", "old") == 0);
	is_int(parse("{\"name\":\"new\",\"items\":[],\"list\":[],\"map\":{\"n\":\"1\"}}", &o), 0);
	is_int(json_read(o, doc_fields, &d, "", &E), 0);
	is_str(d.name, "new");
	is_int(d.n_items, 0);
	ok(d.list && !d.list[0]);
	ok(!map_get(&d.map, "old"));
	json_free_fields(doc_fields, &d);
}

TEST(a_map_keeps_one_value_a_key)
{
	struct string_map m = {};

	ok(!map_get(&m, "a"));
	is_int(map_set(&m, "a", "1"), 0);
	is_int(map_set(&m, "b", "2"), 0);
	is_int(map_set(&m, "a", "3"), 0);
	is_str(map_get(&m, "a"), "3");
	is_str(map_get(&m, "b"), "2");
	is_int(strv_len(m.keys), 2);
	map_done(&m);
	ok(!m.keys && !m.values);
}

TAP_MAIN()
