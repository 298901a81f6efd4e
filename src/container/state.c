/* state: the container's state as others are told it (OCI 1.2 runtime, "State"): hooks on stdin, the agent of a seccomp listener.
 * Called by hooks.c and seccomp_notify.c. */
#include "setup.h"

static struct json_object *annotations_json(const struct string_map *m)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	for (size_t i = 0; o && m->keys && m->keys[i]; i++)
		if (json_add(o, m->keys[i], json_object_new_string(m->values[i])) < 0)
			return NULL;
	return TAKE_PTR(o);
}

const char *state_version(const struct container_args *a) { return a->spec->oci_version ? a->spec->oci_version : "1.2.0"; }

struct json_object *state_json(const struct container_args *a, const char *status, pid_t pid)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	int r = o ? 0 : -ENOMEM;

	if (r == 0)
		r = json_add(o, "ociVersion", json_object_new_string(state_version(a)));
	if (r == 0)
		r = json_add(o, "id", json_object_new_string(a->id));
	if (r == 0)
		r = json_add(o, "status", json_object_new_string(status));
	if (r == 0 && pid > 0)
		r = json_add(o, "pid", json_object_new_int(pid));
	if (r == 0)
		r = json_add(o, "bundle", json_object_new_string(a->bundle ? a->bundle : ""));
	if (r == 0 && a->spec->annotations.keys)
		r = json_add(o, "annotations", annotations_json(&a->spec->annotations));
	return r == 0 ? TAKE_PTR(o) : NULL;
}
