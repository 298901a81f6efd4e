/* rootless_ids: which ids of the host's a user may use in his user namespace. */
#pragma once

#include "base.h"

#define ROOTLESS_OFF                                                                                            \
	" (are user namespaces off for users without root's rights? See the sysctls user.max_user_namespaces, " \
	"kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns)"

struct spec_idmap;
/* The lines of /etc/subuid or /etc/subgid (subuid(5)) that are user's, by name or number, as ranges that follow each other from 1 on behind own as 0.
 * user NULL: by number alone. *ret: allocated, *ret_n of them, at least one. -EINVAL names a line that is none, -ENOMEM. */
int rootless_ranges(const char *text, const char *user, uint32_t uid, uint32_t own, struct spec_idmap **ret, size_t *ret_n);
/* How many ids each of the two files grants this process's user besides his own. */
int rootless_count_ids(uint64_t *ret_uids, uint64_t *ret_gids, struct err *e);
/* uid_map and gid_map of pid, which has just made its user namespace; setgroups too where there is no range of groups. */
int rootless_write_maps(pid_t pid, struct err *e);
