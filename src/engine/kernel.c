/* kernel.c: guest kernels as things of the store that containers use: who does, everything known about one, removal. */
#include "docker_json.h"

/* Which of the store's kernels a container is bound to: what it runs on, and what it has asked for; either may be NULL. */
struct bound {
	char *runs, *asked;
};

static void bound_done(struct bound *b)
{
	free(b->runs);
	free(b->asked);
}

static int bound_read(struct engine *en, const struct container_record *c, struct bound *ret, struct err *e)
{
	_cleanup_(bound_done) struct bound b = { NULL };
	struct monitor_state st;
	struct launch l = { 0 };
	int r = 0;

	if (container_is_up(c->state))
		r = monitor_inspect(en->paths, c->id, &st, e);
	if (r < 0)
		return r;
	if (container_is_up(c->state) && st.kernel[0] && !(b.runs = strdup(st.kernel)))
		return OUT_OF_MEMORY(e);
	r = bundle_read_launch(en, c->id, &l, e);
	if (r == -ENOENT) /* only its record is left: it can't be started */
		r = 0;
	b.asked = TAKE_PTR(l.kernel_name);
	launch_done(&l);
	if (r < 0)
		return r;
	*ret = b;
	b = (struct bound){ NULL };
	return 0;
}

/* For each container that is a VM. cb: negative ends it and is returned. */
static int each_bound(struct engine *en, int (*cb)(const struct container_record *c, const struct bound *b, void *arg), void *arg,
		      struct err *e)
{
	struct container_record *list = NULL;
	size_t n = 0;
	int r = engine_list(en, true, &list, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		_cleanup_(bound_done) struct bound b = { NULL };

		if (!list[i].isolation || !streq(list[i].isolation, "vm"))
			continue;
		r = bound_read(en, &list[i], &b, e);
		if (r >= 0 && cb(&list[i], &b, arg) < 0)
			r = OUT_OF_MEMORY(e);
	}
	engine_list_free(list, n);
	return r;
}

static int add_names(const struct container_record *c _unused_, const struct bound *b, void *arg)
{
	char ***names = arg;

	if (b->runs && strv_push(names, b->runs) < 0)
		return -ENOMEM;
	return b->asked ? strv_push(names, b->asked) : 0;
}

int kernel_names_used(struct engine *en, char ***ret, struct err *e)
{
	_cleanup_strv_ char **names = NULL;
	int r = each_bound(en, add_names, &names, e);

	if (r >= 0)
		*ret = TAKE_PTR(names);
	return r;
}

struct search {
	const char *name;
	char **ids, **shown; /* "web (0123456789ab)" */
};

static int add_user(const struct container_record *c, const struct bound *b, void *arg)
{
	struct search *s = arg;
	_cleanup_free_ char *shown = str_fmt("%s (%.12s)", c->name, c->id);

	if (!(b->runs && streq(b->runs, s->name)) && !(b->asked && streq(b->asked, s->name)))
		return 0;
	return shown && strv_push(&s->ids, c->id) == 0 ? strv_push(&s->shown, shown) : -ENOMEM;
}

static void search_done(struct search *s)
{
	strv_free(s->ids);
	strv_free(s->shown);
}

int engine_kernel_users(struct engine *en, const char *name, char ***ret_ids, struct err *e)
{
	_cleanup_(search_done) struct search s = { .name = name };
	int r = each_bound(en, add_user, &s, e);

	if (r >= 0)
		*ret_ids = TAKE_PTR(s.ids);
	return r;
}

/* ---- removal ---- */

static int check_unused(struct engine *en, const struct vm_kernel_info *i, struct err *e)
{
	_cleanup_(search_done) struct search s = { .name = i->name };
	int r = each_bound(en, add_user, &s, e);

	if (r < 0)
		return r;
	if (s.shown)
		return err_set(e, EBUSY, "kernel %s is used by container %s: remove that first, or use --force", i->name,
			       s.shown[0]);
	if (i->is_default)
		return err_set(e, EBUSY,
			       "kernel %s is what VMs boot by default: choose another (berth kernel use), or use --force",
			       i->name);
	return 0;
}

int engine_kernel_remove(struct engine *en, const char *name, bool force, struct err *e)
{
	_cleanup_(vm_kernel_info_done) struct vm_kernel_info i = { NULL };
	int r = vm_kernel_info(en->paths, name, &i, e);

	if (r < 0)
		return r;
	/* Nobody who makes a container may choose it between the look and the removal. */
	r = store_lock(en->store, STORE_EXCLUSIVE, e);
	if (r == -EBUSY)
		return err_set(e, EBUSY, "kernel %s: something is being made right now; try again", name);
	if (r < 0)
		return r;
	r = force ? 0 : check_unused(en, &i, e);
	if (r >= 0)
		r = vm_kernel_remove(en->paths, name, e);
	store_lock(en->store, STORE_UNLOCKED, NULL);
	return r;
}

/* ---- inspect ---- */

int engine_kernel_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e)
{
	static const char *const sources[] = {
		[VM_KERNEL_FETCHED] = "distribution", [VM_KERNEL_HOST] = "host", [VM_KERNEL_BUILT] = "built"
	};
	_cleanup_(vm_kernel_info_done) struct vm_kernel_info i = { NULL };
	_cleanup_strv_ char **users = NULL;
	bool failed = false;
	int r = vm_kernel_info(en->paths, name, &i, e);

	if (r >= 0)
		r = engine_kernel_users(en, name, &users, e);
	if (r < 0)
		return r;
	struct doc d = doc_new(&failed);
	doc_text(d, "Name", i.name);
	doc_text(d, "Version", i.version);
	doc_bool(d, "Default", i.is_default);
	doc_text(d, "Source", sources[i.source]);
	doc_text(d, "Path", i.image);
	doc_text(d, "Format", i.is_elf ? "elf" : "bzImage");
	doc_int(d, "Size", (int64_t)i.bytes);
	doc_time(d, "Created", i.created_ns);
	if (i.modules)
		doc_text(d, "Modules", i.modules);
	else
		doc_null(d, "Modules");
	if (i.source == VM_KERNEL_BUILT) {
		struct doc b = doc_sub(d, "Build");

		doc_text(b, "Key", i.key);
		doc_text(b, "Package", i.package);
		doc_text(b, "Compiler", i.compiler);
	}
	doc_put(d, "UsedBy", json_from_strv(users));
	if (failed) {
		json_object_put(d.o);
		return OUT_OF_MEMORY(e);
	}
	*ret = d.o;
	return 0;
}
