/* overlayfs's own attributes. Those called trusted.* only the host's root may set, so that in other user namespaces overlays are mounted with
 * `userxattr` (Linux 5.11) and have them as user.* (Documentation/filesystems/overlayfs.rst, "User xattr"). */
#pragma once

#include "util.h"

/* Which of the two this process uses; read once, so whoever confines itself asks before. */
bool overlay_has_user_xattrs(void);
/* The attribute of a directory that hides what is below: "trusted.overlay.opaque", or "user.overlay.opaque". */
const char *overlay_opaque(void);
