/* image_change: an image's configuration, changed by Dockerfile instructions (commit --change, import --change). */
#pragma once

#include "codec.h"

/* text: "CMD [\"a\"]", "ENV A=b C=d", ...; config: the "config" object of an image's configuration, with docker's names. Of the
 * Dockerfile reference: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR. */
int image_change(struct json_object *config, const char *text, struct err *e);
