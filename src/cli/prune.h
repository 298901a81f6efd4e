/* prune: removing what nobody uses; shared by container, image and system prune. */
#pragma once

#include "cli.h"

struct prune_args {
	bool all, force;
};
/* Each prints what it removes, an id a line. */
int prune_containers(struct cli *c, struct err *e);
/* Untagged ones; with all also those that only no container uses. */
int prune_images(struct cli *c, bool all, struct err *e);
