/* seccomp_default: prints the built-in profile, for the capabilities that a container has by default, as config.json's linux.seccomp;
 * with --filter FILE, writes the instructions that it is compiled to there. */
#include <linux/filter.h>
#include <stdio.h>

#include "container.h"

static int fail(const char *what)
{
	fprintf(stderr, "seccomp_default: %s\n", what);
	return 1;
}

static int write_filter(const struct spec *s, const char *path)
{
	struct seccomp_prog p = { 0 };
	struct err e = { 0 };
	int r = container_seccomp_get(s, NULL, &p, &e);

	if (r < 0)
		return fail(e.msg);
	FILE *f = fopen(path, "we");
	r = !f || fwrite(p.filters, sizeof(struct sock_filter), p.n_filters, f) != p.n_filters ? -1 : 0;
	if (f && fclose(f) != 0)
		r = -1;
	seccomp_prog_done(&p);
	return r < 0 ? fail(path) : 0;
}

static int print(const struct spec *s)
{
	struct json_object *linux_ = NULL, *seccomp = NULL;
	_cleanup_json_ struct json_object *config = spec_json(s);

	if (!json_object_object_get_ex(config, "linux", &linux_) || !json_object_object_get_ex(linux_, "seccomp", &seccomp))
		return fail("no linux.seccomp");
	puts(json_object_to_json_string_ext(seccomp, JSON_C_TO_STRING_PLAIN));
	return 0;
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	struct spec s;
	int r;

	if (argc != 1 && !(argc == 3 && streq(argv[1], "--filter")))
		return fail("usage: seccomp_default [--filter FILE]");
	spec_init(&s);
	if (spec_default(&s, &e) < 0 || container_seccomp_default(s.process.caps.bounding, &s.seccomp, &e) < 0)
		return fail(e.msg);
	r = argc == 3 ? write_filter(&s, argv[2]) : print(&s);
	spec_done(&s);
	return r;
}
