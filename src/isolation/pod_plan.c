/* pod_plan: the plan of a pod, as the engine has written it. */
#include "isolation.h"

#define PLAN_MAX (1u << 20)

int pod_read_plan(const struct paths *p, const char *pod_id, struct spec *ret, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/pods/%s/config.json", p->root, pod_id), *text = NULL;
	size_t len;
	int r = path ? file_read(AT_FDCWD, path, PLAN_MAX, &text, &len) : -ENOMEM;

	if (r < 0)
		return err_set(e, -r, "plan of pod %.12s: %s", pod_id, strerror(-r));
	r = spec_parse(text, len, ret, e);
	return r < 0 ? err_push(e, r, "%s", path) : 0;
}
