/* snapshot.json, and which snapshots may go on here. */
#include <stdlib.h>
#include <unistd.h>

#include "snapshot.h"
#include "tap.h"

#define META                                                                                                                \
	"{\"version\":1,\"vmm_version\":1,\"protocol\":1,\"berth\":\"0.1\",\"cpu\":{\"vendor\":\"AuthenticAMD\",\"model\":" \
	"\"X\","                                                                                                            \
	"\"flags\":\"fpu sse avx2 svm\"},\"mem_bytes\":1,\"cpus\":2,\"state_bytes\":1,\"memory_bytes\":2,\"disk_bytes\":3," \
	"\"image_id\":\"sha256:1\",\"labels\":{\"a\":\"b\"}}"

static struct snapshot_meta meta(void)
{
	struct snapshot_meta m;
	struct err e = { 0 };

	if (snapshot_meta_parse(META, strlen(META), &m, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return m;
}

static char *cpuinfo(const char *text)
{
	char path[] = "/tmp/berth-cpuinfo-XXXXXX";
	int fd = mkstemp(path);

	ok(fd >= 0);
	is_int(fd_write_full(fd, text, strlen(text)), 0);
	fd_close(fd);
	return tap_keep(strdup(path));
}

TEST(what_is_written_is_read)
{
	struct snapshot_meta m = meta(), again;
	_cleanup_json_ struct json_object *o = snapshot_meta_json(&m);
	const char *text = json_object_to_json_string(o);
	struct err e = { 0 };

	is_int(snapshot_meta_parse(text, strlen(text), &again, &e), 0);
	is_int(again.cpus, 2);
	is_str(map_get(&again.labels, "a"), "b");
	is_str(again.cpu.flags, "fpu sse avx2 svm");
	snapshot_meta_done(&m);
	snapshot_meta_done(&again);
}

TEST(another_version_of_the_document_is_refused)
{
	struct snapshot_meta m;
	struct err e = { 0 };
	static const char newer[] =
		"{\"version\":2,\"vmm_version\":1,\"protocol\":1,\"cpu\":{\"vendor\":\"a\",\"flags\":\"\"},\"mem_bytes\":1,"
		"\"cpus\":1,\"state_bytes\":1,\"memory_bytes\":1,\"disk_bytes\":0,\"image_id\":\"i\"}";

	is_int(snapshot_meta_parse(newer, sizeof(newer) - 1, &m, &e), -EPROTONOSUPPORT);
	has_str(e.msg, "version 2");
	is_int(snapshot_meta_parse("{", 1, &m, &e), -EINVAL);
}

TEST(the_cpu_is_read_from_the_kernels_words)
{
	char *path =
		cpuinfo("processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: A CPU\nflags\t\t: fpu sse\n\nprocessor\t: 1\n"
			"vendor_id\t: Other\n");
	struct snapshot_cpu c;
	struct err e = { 0 };

	is_int(snapshot_cpu_read(path, &c, &e), 0);
	is_str(c.vendor, "AuthenticAMD");
	is_str(c.model, "A CPU");
	is_str(c.flags, "fpu sse");
	snapshot_cpu_done(&c);
	unlink(path);
	is_int(snapshot_cpu_read("/nowhere", &c, &e), -ENOENT);
}

TEST(a_snapshot_goes_on_where_all_features_are_and_nowhere_else)
{
	struct snapshot_meta m = meta();
	char amd[] = "AuthenticAMD", intel[] = "GenuineIntel", all[] = "svm more fpu avx2 sse", fewer[] = "fpu sse2 avx2";
	struct snapshot_cpu here = { .vendor = amd, .flags = all };
	struct err e = { 0 };

	m.vmm_version = VMM_SNAPSHOT_VERSION;
	is_int(snapshot_fits(&m, &here, &e), 0);
	here.flags = fewer; /* sse2 is not sse */
	is_int(snapshot_fits(&m, &here, &e), -ENOTSUP);
	has_str(e.msg, "lacks: sse, svm");
	here = (struct snapshot_cpu){ .vendor = intel, .flags = all };
	is_int(snapshot_fits(&m, &here, &e), -ENOTSUP);
	has_str(e.msg, "AuthenticAMD");
	m.vmm_version++;
	is_int(snapshot_fits(&m, &here, &e), -EPROTONOSUPPORT);
	has_str(e.msg, "take it anew");
	snapshot_meta_done(&m);
}

TAP_MAIN()
