/* seccomp_default: prints the built-in profile, for the capabilities that a container has by default, as config.json's linux.seccomp. */
#include <stdio.h>

#include "container.h"

int main(void)
{
	struct json_object *linux_ = NULL, *seccomp = NULL;
	struct err e = { 0 };
	struct spec s;

	spec_init(&s);
	if (spec_default(&s, &e) < 0 || container_seccomp_default(s.process.caps.bounding, &s.seccomp, &e) < 0) {
		fprintf(stderr, "seccomp_default: %s\n", e.msg);
		return 1;
	}
	_cleanup_json_ struct json_object *config = spec_json(&s);
	spec_done(&s);
	if (!json_object_object_get_ex(config, "linux", &linux_) || !json_object_object_get_ex(linux_, "seccomp", &seccomp))
		return 1;
	puts(json_object_to_json_string_ext(seccomp, JSON_C_TO_STRING_PLAIN));
	return 0;
}
