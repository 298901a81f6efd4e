/* References: [domain[:port]/]path[:tag][@digest] (distribution's reference grammar). */
#pragma once

#include "codec.h"

struct ref {
	char *domain; /* "127.0.0.1:5000"; "docker.io" for Docker's own */
	char *path;   /* "library/debian" */
	char *tag;    /* "latest" where neither tag nor digest was given; NULL with a digest only */
	char *digest; /* checked, or NULL */
};
/* default_registry: the domain for short names ("nginx"); NULL or "docker.io" also adds "library/". Errors name what of
 * the text is wrong and what would be right. */
int ref_parse(const char *s, const char *default_registry, struct ref *ret, struct err *e);
void ref_done(struct ref *r);
char *ref_str(const struct ref *r);      /* canonical, whole: docker.io/library/debian:12 */
char *ref_familiar(const struct ref *r); /* as docker prints it: debian:12 */
