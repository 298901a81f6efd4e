/* Which of an index's images fits: "os/arch[/variant]" as Go and the OCI image spec name them. */
#pragma once

#include "image_spec.h"

struct platform {
	char os[32], arch[32], variant[16]; /* variant "" = any, the best that fits first */
};
/* text: "linux/arm64", "linux/arm/v7", "arm64" (os linux), or NULL = this host's. -EINVAL. */
int platform_parse(const char *text, struct platform *ret, struct err *e);
/* Go's name of a machine as uname(2) gives it. Unknown ones are passed through. */
void platform_of_machine(const char *machine, struct platform *ret);
/* Position of the manifest to take; -ENOENT, e lists what there is. */
int platform_choose(const struct platform *want, const struct image_index *index, struct err *e);
/* Whether an image that says so of itself is one that want asks for; what it does not say fits. */
bool platform_fits(const struct platform *want, const struct image_config *c);
char *platform_str(const struct platform *p); /* caller frees */
