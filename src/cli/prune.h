/* prune: removing what nobody uses; shared by container, image, volume and system prune. */
#pragma once

#include "cli.h"

struct prune_args {
	bool all, force, volumes;
};
/* Each prints what it removes, an id a line. */
int prune_containers(struct cli *c, struct err *e);
/* Untagged ones; with all also those that only no container uses. */
int prune_images(struct cli *c, bool all, struct err *e);
/* Those that no container uses and nobody has named; with all also the named. Names are printed below docker's heading. */
int prune_volumes(struct cli *c, bool all, char *const *filters, uint64_t *ret_freed, struct err *e);
