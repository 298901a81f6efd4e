/* seccomp_profile: a profile file of docker's or podman's form (names, includes, excludes, archMap) or of the OCI's, as a
 * spec_seccomp for this host and these capabilities. */
#pragma once

#include "spec.h"

/* *ret: caller's, freed with the spec. */
int seccomp_profile_read(const char *path, uint64_t caps, struct spec_seccomp **ret, struct err *e);
int seccomp_profile_parse(const char *text, size_t len, const char *what, uint64_t caps, struct spec_seccomp **ret,
			  struct err *e);
