#include "secrets.h"

#include "tap.h"

static struct err E;

#define FULL                                                                   \
	"{\"version\":1,\"files\":[{\"path\":\"/run/secrets/"                  \
	"a\",\"content\":\"AAE=\",\"isBase64\":true,\"mode\":256,\"uid\":7}]," \
	"\"env\":[{\"name\":\"A\",\"value\":\"eA==\"}]}"

TEST(secrets_survive_a_round_trip)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct secrets s;

	is_int(secrets_parse(FULL, strlen(FULL), &s, &E), 0);
	ok(s.n_files == 1 && s.n_env == 1 && s.files[0].uid == 7 && s.files[0].gid == 0 && s.files[0].is_base64);
	is_str(s.env[0].value, "eA==");
	o = secrets_json(&s);
	is_str(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), FULL);
	secrets_done(&s);
	ok(s.n_files == 0 && !s.files);
}

TEST(secrets_of_another_version_or_without_their_parts_are_refused)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "{\"version\":2}", "version 2 is not known" },
		{ "{}", ".version: missing" },
		{ "{\"version\":1,\"env\":[{\"name\":\"A\"}]}", ".env[0].value: missing" },
		{ "{\"version\":1,\"more\":1}", ".more: not a property" },
		{ "{\"version\":1,\"files\":[{\"path\":\"/a\",\"content\":\"AAE=\",\"mode\":256}]}",
		  ".files[0].isBase64: must be true" },
		{ "[", "secrets.json" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct secrets s;
		ok(secrets_parse(rows[i].text, strlen(rows[i].text), &s, &E) < 0);
		has_str(E.msg, rows[i].why);
	}
}

TAP_MAIN()
