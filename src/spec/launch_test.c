#include "launch.h"

#include "tap.h"

static struct err E;

#define FULL                                                                                                               \
	"{\"version\":1,\"id\":\"abc\",\"name\":\"n\",\"isolation\":\"vm\",\"layers\":[\"/a\",\"/b\"],\"upper\":\"/"       \
	"u\",\"work\":\"/w\","                                                                                             \
	"\"isVolatile\":true,\"autoRemove\":true,\"openStdin\":true,\"stdinOnce\":true,\"logPath\":\"/"                    \
	"l\",\"logMaxBytes\":10485760,"                                                                                    \
	"\"logMaxFiles\":3,\"useInit\":true,\"traceBeganUs\":7,\"seccompDefault\":true,\"seccompCache\":\"/c\","           \
	"\"files\":[{\"path\":\"/etc/hosts\",\"content\":\"127.0.0.1 localhost\\n\",\"mode\":420}],\"imageDisk\":\"/i\","  \
	"\"upperDisk\":\"/d\",\"disks\":[{\"path\":\"/q\",\"format\":\"qcow2\",\"isReadonly\":true,\"iops\":5,\"bps\":6}," \
	"{\"path\":\"/p\",\"format\":\"raw\"}],"                                                                           \
	"\"kernel\":\"/k\",\"initramfs\":\"/"                                                                              \
	"r\",\"vmCpus\":2,\"vmMemBytes\":268435456,\"vmBackend\":\"qemu\","                                                \
	"\"hostNetwork\":true}"

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
