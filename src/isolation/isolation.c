/* The kinds of wall, in the order in which they are offered. */
#include <string.h>

#include "isolation.h"

const struct isolation_ops *const isolations[] = { &isolation_container, &isolation_vm, NULL };

int isolation_find(const char *name, const struct isolation_ops **ret, struct err *e)
{
	_cleanup_buf_ struct buf known = { 0 };

	for (size_t i = 0; isolations[i]; i++) {
		if (name && streq(isolations[i]->name, name)) {
			*ret = isolations[i];
			return 0;
		}
		buf_fmt(&known, "%s%s", i ? ", " : "", isolations[i]->name);
	}
	return err_set(e, EINVAL, "unknown isolation \"%s\": known are %s", name ? name : "",
		       known.failed ? "container, vm" : known.data);
}

int isolation_seccomp(const struct spec *s, const struct launch *l, struct seccomp_prog *ret, struct err *e)
{
	return l->seccomp_default ? container_seccomp_get_default(s->process.caps.bounding, l->seccomp_cache, ret, e)
				  : container_seccomp_get(s, l->seccomp_cache, ret, e);
}
