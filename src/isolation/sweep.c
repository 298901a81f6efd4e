/* sweep: after a crash. Processes are tied to their monitor (PDEATHSIG) and mounts to them, so what can be left of a container
 * or of a VMM is its cgroup, and in it a process that has been moved or was just being born. */
#include "sweep.h"

#define CONFIG_MAX (8u << 20)

/* Where its cgroup is: config.json says so while it is there. */
static char *cgroup_path_of(const struct paths *p, const char *id)
{
	_cleanup_free_ char *path = str_fmt("%s/containers/%s/config.json", p->root, id), *text = NULL;
	struct spec spec;
	size_t len;
	char *found = NULL;

	if (!path)
		return NULL;
	spec_init(&spec);
	if (file_read(AT_FDCWD, path, CONFIG_MAX, &text, &len) == 0 && spec_parse(text, len, &spec, NULL) == 0 &&
	    spec.cgroups_path && *spec.cgroups_path)
		found = strdup(spec.cgroups_path);
	spec_done(&spec);
	return found ? found : str_fmt("/berth/%s", id);
}

int sweep_cgroup(const struct host *h, const struct paths *p, const char *id, struct err *e)
{
	_cleanup_free_ char *path = cgroup_path_of(p, id);
	struct cgroup *cg;
	int r;

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	r = cgroup_open(h, path, &cg, e);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : cgroup_remove(cg, e);
}
