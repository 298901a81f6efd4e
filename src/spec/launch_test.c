#include "launch.h"

#include "tap.h"

static struct err E;

#define FULL                                                                                                                    \
	"{\"version\":1,\"id\":\"abc\",\"name\":\"n\",\"isolation\":\"vm\",\"layers\":[\"/a\",\"/b\"],\"upper\":\"/"            \
	"u\",\"work\":\"/w\","                                                                                                  \
	"\"isVolatile\":true,\"autoRemove\":true,\"openStdin\":true,\"stdinOnce\":true,\"logPath\":\"/"                         \
	"l\",\"logMaxBytes\":10485760,"                                                                                         \
	"\"logMaxFiles\":3,\"useInit\":true,\"pidfile\":\"/p\",\"traceBeganUs\":7,\"seccompDefault\":true,\"seccompCache\":\"/" \
	"c\","                                                                                                                  \
	"\"files\":[{\"path\":\"/etc/hosts\",\"content\":\"127.0.0.1 "                                                          \
	"localhost\\n\",\"mode\":420},{\"path\":\"/run/"                                                                        \
	"b\",\"content\":\"AAE=\",\"isBase64\":true,\"mode\":256,\"uid\":7,\"gid\":8}],\"imageDisk\":\"/i\","                   \
	"\"upperDisk\":\"/d\",\"disks\":[{\"path\":\"/q\",\"format\":\"qcow2\",\"isReadonly\":true,\"iops\":5,\"bps\":6},"      \
	"{\"path\":\"/p\",\"format\":\"raw\"}],"                                                                                \
	"\"kernel\":\"/k\",\"initramfs\":\"/"                                                                                   \
	"r\",\"vmCpus\":2,\"vmMemBytes\":268435456,\"vmBackend\":\"qemu\","                                                     \
	"\"hostNetwork\":true,\"hasNetwork\":true,\"secretPaths\":[\"/run/secrets/"                                             \
	"s\"],\"secretEnv\":[\"S\"],\"joins\":[{\"kind\":\"pid\",\"id\":\"x\",\"name\":\"y\"}]}"

TEST(launch_survives_a_round_trip)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct launch l;

	is_int(launch_parse(FULL, strlen(FULL), &l, &E), 0);
	is_int(l.n_disks, 2);
	ok(l.disks[0].is_readonly && l.disks[0].iops == 5 && !l.disks[1].is_readonly);
	is_str(l.disks[1].format, "raw");
	is_str(l.files[0].content, "127.0.0.1 localhost\n");
	o = launch_json(&l);
	is_str(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), FULL);
	launch_done(&l);
}

TEST(a_files_content_is_text_or_bytes)
{
	struct launch_file text = { .content = (char[]){ "AAE=" } }, bytes = { .content = (char[]){ "AAE=" }, .is_base64 = true },
			   wrong = { .content = (char[]){ "AAE" }, .is_base64 = true }, none = { 0 };
	char *got;
	size_t n;

	is_int(launch_file_bytes(&text, &got, &n), 0);
	is_int(n, 4);
	is_str(got, "AAE=");
	free(got);
	is_int(launch_file_bytes(&bytes, &got, &n), 0);
	ok(n == 2 && got[0] == 0 && got[1] == 1 && got[2] == 0);
	free(got);
	is_int(launch_file_bytes(&wrong, &got, &n), -EINVAL);
	is_int(launch_file_bytes(&none, &got, &n), 0);
	is_int(n, 0);
	free(got);
}

TEST(launch_of_another_version_or_with_unknown_keys_is_refused)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "{\"version\":2,\"shape\":\"unknown\"}", "version 2 is newer than this build's 1" },
		{ "{\"version\":0}", "version 0 never existed" },
		{ "{\"id\":\"x\"}", ".version: missing" },
		{ "[]", "expected an object" },
		{ "{\"version\":1,\"id\":\"x\",\"isolation\":\"vm\",\"flag\":true}", ".flag: not a property" },
		{ "{\"version\":1,\"isolation\":\"vm\"}", ".id: missing" },
		{ "{\"version\":1,\"id\":\"x\",\"isolation\":\"vm\",\"disks\":[{\"path\":\"/x\"}]}",
		  ".disks[0].format: missing" },
		{ "{\"version\":1,\"id\":\"../x\",\"isolation\":\"vm\"}", "is not an id" },
		{ "{\"version\":1,\"id\":\"x\",\"isolation\":\"vm\",\"files\":[{\"path\":\"/x\",\"content\":\"\"}]}",
		  ".files[0].mode: missing" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct launch l;
		ok(launch_parse(rows[i].text, strlen(rows[i].text), &l, &E) < 0);
		has_str(E.msg, rows[i].why);
	}
}

TAP_MAIN()
