/* See overlay.h. */
#include "overlay.h"

#include "spawn.h"

bool overlay_has_user_xattrs(void)
{
	static int known; /* 1: yes, -1: no */

	if (known == 0)
		known = in_user_namespace() ? 1 : -1;
	return known > 0;
}

const char *overlay_opaque(void) { return overlay_has_user_xattrs() ? "user.overlay.opaque" : "trusted.overlay.opaque"; }
