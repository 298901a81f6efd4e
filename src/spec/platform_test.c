#include "platform.h"
#include "tap.h"

static char linux_[] = "linux", amd64[] = "amd64", arm64[] = "arm64", arm[] = "arm", v6[] = "v6", v7[] = "v7", v8[] = "v8",
	    v3[] = "v3", unknown[] = "unknown";

static int choose(const char *want, struct descriptor *d, size_t n)
{
	struct image_index x = { .manifests = d, .n_manifests = n };
	struct platform p;
	struct err e = {};

	is_int(platform_parse(want, &p, &e), 0);
	return platform_choose(&p, &x, &e);
}

TEST(platform_parses_what_people_write)
{
	struct platform p;
	struct err e = {};

	is_int(platform_parse("linux/arm/v7", &p, &e), 0);
	is_str(p.os, "linux");
	is_str(p.arch, "arm");
	is_str(p.variant, "v7");
	is_int(platform_parse("aarch64", &p, &e), 0);
	is_str(p.os, "linux");
	is_str(p.arch, "arm64");
	is_int(platform_parse("linux/x86_64", &p, &e), 0);
	is_str(p.arch, "amd64");
	is_int(platform_parse(NULL, &p, &e), 0);
	is_str(p.os, "linux");
}

TEST(platform_refuses_nonsense_by_name)
{
	static const char *const bad[] = { "/",         "linux/",
					   "/amd64",    "a/b/c/d",
					   "linux//v7", "linux/amd64-with-a-name-that-is-far-too-long-to-be-any-architecture" };
	struct platform p;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = {};

		is_int(platform_parse(bad[i], &p, &e), -EINVAL);
		has_str(e.msg, "linux/arm64");
	}
}

TEST(platform_of_machines)
{
	struct platform p;

	platform_of_machine("x86_64", &p);
	is_str(p.arch, "amd64");
	is_str(p.variant, "");
	platform_of_machine("armv7l", &p);
	is_str(p.arch, "arm");
	is_str(p.variant, "v7");
	platform_of_machine("sparc64", &p);
	is_str(p.arch, "sparc64");
}

TEST(index_gives_the_image_of_the_asked_platform)
{
	struct descriptor d[] = { { .os = linux_, .architecture = arm64, .variant = v8 },
				  { .os = linux_, .architecture = amd64 },
				  { .os = unknown, .architecture = unknown } };

	is_int(choose("linux/amd64", d, 3), 1);
	is_int(choose("linux/arm64", d, 3), 0);
	is_int(choose("linux/arm64/v8", d, 3), 0);
	is_int(choose("linux/s390x", d, 3), -ENOENT);
	is_int(choose("windows/amd64", d, 3), -ENOENT);
}

TEST(index_gives_the_newest_variant_that_runs_here)
{
	struct descriptor d[] = { { .os = linux_, .architecture = arm, .variant = v6 },
				  { .os = linux_, .architecture = arm, .variant = v7 } };

	is_int(choose("linux/arm/v7", d, 2), 1);
	is_int(choose("linux/arm/v8", d, 2), 1);
	is_int(choose("linux/arm/v6", d, 2), 0);
	is_int(choose("linux/arm/v5", d, 2), -ENOENT);
}

TEST(index_plain_image_is_preferred_when_no_variant_is_asked)
{
	struct descriptor d[] = { { .os = linux_, .architecture = amd64, .variant = v3 },
				  { .os = linux_, .architecture = amd64 } };

	is_int(choose("linux/amd64", d, 2), 1);
}

TEST(index_error_names_what_there_is)
{
	struct descriptor d[] = { { .os = linux_, .architecture = arm, .variant = v7 },
				  { .os = unknown, .architecture = unknown } };
	struct image_index x = { .manifests = d, .n_manifests = 2 };
	struct platform p;
	struct err e = {};

	platform_parse("linux/amd64", &p, &e);
	is_int(platform_choose(&p, &x, &e), -ENOENT);
	has_str(e.msg, "linux/amd64");
	has_str(e.msg, "linux/arm/v7");
	ok(!strstr(e.msg, "unknown"));
}

TAP_MAIN()
