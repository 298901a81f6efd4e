/* prune: removing what nobody uses; shared by container, image, volume, network and system prune. */
#pragma once

#include "cli.h"

struct prune_args {
	bool all, force, volumes;
	char **filters;
};
#define PRUNE_FORCE_HELP "don't ask; without a terminal nothing is asked"
/* On a terminal: "this will remove WHAT" and a question. 1 = go on, 0 = the answer was another than yes. */
int prune_asked(const char *what, bool force, struct err *e);
/* Each prints what it removes, an id a line. filters: label, label!, until, which are checked. */
int prune_containers(struct cli *c, char *const *filters, struct err *e);
/* Untagged ones; with all also those that only no container uses. */
int prune_images(struct cli *c, bool all, char *const *filters, struct err *e);
/* Those that no container uses and nobody has named; with all also the named. Names are printed below docker's heading. */
int prune_volumes(struct cli *c, bool all, char *const *filters, uint64_t *ret_freed, struct err *e);
/* Those that nobody is on and that are not always there; printed below docker's heading. filters: label, label!, until, which are
 * checked. */
int prune_networks(struct cli *c, char *const *filters, struct err *e);
/* Those three are KEY=VALUE with a time behind until. */
int prune_check_filters(char *const *filters, struct err *e);
