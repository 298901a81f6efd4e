/* cdi_plan.c: --gpus, and --device with a name in the place of a path, for a container that is made. */
#include "cdi.h"

#include <stdio.h>
#include <sys/stat.h>

static int names_wanted(const struct run_opts *o, char ***ret, struct err *e)
{
	_cleanup_strv_ char **names = NULL;
	int r = 0;

	for (char **d = o->devices; r >= 0 && d && *d; d++)
		if (cdi_is_name(*d) && strv_push(&names, *d) < 0)
			r = OUT_OF_MEMORY(e);
	for (char **t = o->gpus; r >= 0 && t && *t; t++) {
		_cleanup_(gpu_request_done) struct gpu_request g = { 0 };
		r = gpu_request_parse(*t, &g, e);
		for (char **n = g.names; r >= 0 && n && *n; n++)
			if (strv_push(&names, *n) < 0)
				r = OUT_OF_MEMORY(e);
	}
	if (r >= 0)
		*ret = TAKE_PTR(names);
	return r;
}

/* Hooks look for the container's files where its configuration says that its root is: a directory of its own, on which only it and they
 * see anything. */
static int name_root(struct plan *p, struct err *e)
{
	const struct spec_hooks *h = &p->spec.hooks;

	if (!h->n[HOOK_PRESTART] && !h->n[HOOK_CREATE_RUNTIME] && !h->n[HOOK_CREATE_CONTAINER])
		return 0;
	free(p->spec.root_path);
	p->spec.root_path = str_fmt("%s/rootfs", p->dir);
	if (!p->spec.root_path)
		return OUT_OF_MEMORY(e);
	return mkdir(p->spec.root_path, 0700) < 0 ? err_set(e, errno, "make %s: %s", p->spec.root_path, strerror(errno)) : 0;
}

static int apply_one(struct plan *p, const struct cdi *c, const char *name, bool *applied, struct err *e)
{
	const char *user = p->spec.process.user.username;
	const struct cdi_device *d = NULL;
	const struct cdi_file *f = NULL;
	struct err why = { 0 };
	int r = cdi_find(c, name, &f, &d, e);

	if (r < 0)
		return r;
	/* A file's own edits once, however many of its devices are asked for. */
	if (!applied[f - c->files])
		r = cdi_apply(&f->edits, user, &p->spec, &why);
	applied[f - c->files] = true;
	if (r >= 0)
		r = cdi_apply(&d->edits, user, &p->spec, &why);
	return r < 0 ? err_set(e, -r, "device %s: %s: %s", name, f->path, why.msg) : 0;
}

static int apply(struct plan *p, char *const *names, struct err *e)
{
	static char etc[] = "/etc/cdi", var[] = "/var/run/cdi";
	static char *const defaults[] = { etc, var, NULL };
	_cleanup_(cdi_done) struct cdi c = { 0 };
	_cleanup_free_ bool *applied = NULL;
	int r = cdi_load(p->o->cdi_dirs ? p->o->cdi_dirs : defaults, &c, e);

	if (r < 0)
		return r;
	applied = calloc(c.n + 1, sizeof(*applied));
	if (!applied)
		return OUT_OF_MEMORY(e);
	for (char *const *n = names; r >= 0 && *n; n++)
		r = apply_one(p, &c, *n, applied, e);
	for (char **w = c.wrong; r >= 0 && w && *w; w++)
		fprintf(stderr, "WARNING: %s\n", text_defuse(*w));
	return r < 0 ? r : name_root(p, e);
}

int plan_cdi(struct plan *p, struct err *e)
{
	_cleanup_strv_ char **names = NULL;
	int r = names_wanted(p->o, &names, e);

	return r < 0 || !names ? r : apply(p, names, e);
}

/* ---- inspect ---- */

static struct json_object *request_json(const char *driver, int64_t count, char *const *ids, bool is_gpu, bool *failed)
{
	struct doc d = doc_new(failed);

	doc_text(d, "Driver", driver);
	doc_int(d, "Count", count);
	doc_list(d, "DeviceIDs", ids);
	if (is_gpu) {
		char gpu[] = "gpu", *words[] = { gpu, NULL };
		struct json_object *all = json_object_new_array(), *one = json_from_strv(words);
		if (all && one && json_object_array_add(all, one) == 0)
			one = NULL;
		else
			*failed = true;
		json_object_put(one);
		doc_put(d, "Capabilities", all);
	} else {
		doc_null(d, "Capabilities");
	}
	doc_sub(d, "Options");
	return d.o;
}

void cdi_inspect(struct doc d, const struct run_opts *o)
{
	_cleanup_strv_ char **names = NULL;
	struct json_object *list = json_object_new_array();

	for (char **v = o->devices; v && *v; v++)
		if (cdi_is_name(*v) && strv_push(&names, *v) < 0)
			*d.failed = true;
	if (list && names)
		json_object_array_add(list, request_json("cdi", 0, names, false, d.failed));
	for (char **t = o->gpus; list && t && *t; t++) {
		_cleanup_(gpu_request_done) struct gpu_request g = { 0 };
		if (gpu_request_parse(*t, &g, NULL) >= 0)
			json_object_array_add(list, request_json("", g.count, g.ids, true, d.failed));
	}
	if (list && !json_object_array_length(list)) {
		json_object_put(list);
		doc_null(d, "DeviceRequests");
	} else {
		doc_put(d, "DeviceRequests", list);
	}
}
