/* pod_vm.c: what a pod of virtual machine's containers needs beyond a pod: how large its machine is, and which disks and volumes are in it. */
#include "engine_impl.h"
#include "network_wishes.h"

int pod_vm_check(const struct run_opts *o, struct err *e)
{
	const struct {
		const char *option;
		bool is_given;
	} not_yet[] = { { "--pids-limit", o->pids_limit != SPEC_UNSET },
			{ "--network host", network_kind_of(o) == NETWORK_HOST } };

	for (size_t i = 0; i < ARRAY_SIZE(not_yet); i++)
		if (not_yet[i].is_given)
			return err_set(e, EOPNOTSUPP, "%s is not possible for a pod in a virtual machine", not_yet[i].option);
	return 0;
}

int pod_vm_write(struct engine *en, const struct run_opts *o, const char *id, const char *rel, struct err *e)
{
	_cleanup_(launch_done) struct launch l = { .version = LAUNCH_VERSION, .id = strdup(id), .isolation = strdup("vm") };
	_cleanup_json_ struct json_object *json = NULL;
	_cleanup_(vm_boot_done) struct vm_boot b = { NULL };
	int r = l.id && l.isolation ? vm_prepare(en->paths, NULL, &b, e) : OUT_OF_MEMORY(e);

	if (r < 0)
		return r;
	l.kernel = TAKE_PTR(b.kernel);
	l.initramfs = TAKE_PTR(b.initramfs);
	guest_size(o, &l);
	l.vm_mem_max = l.vm_cpus_max = 0; /* it is not updated while it runs */
	json = launch_json(&l);
	return pod_write_json(en, rel, "launch.json", json, e);
}

void engine_pod_disks_free(struct pod_vm_member *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].id);
		free(list[i].image_disk);
		free(list[i].upper_disk);
		spec_done(&list[i].plan);
	}
	free(list);
}

static int disks_of(struct engine *en, const char *id, struct pod_vm_member *ret, struct err *e)
{
	_cleanup_(launch_done) struct launch l = { 0 };
	int r = bundle_read_launch(en, id, &l, e);

	if (r < 0)
		return r;
	ret->id = TAKE_PTR(l.id);
	ret->image_disk = TAKE_PTR(l.image_disk);
	ret->upper_disk = TAKE_PTR(l.upper_disk);
	if (!ret->image_disk || !ret->upper_disk)
		return err_set(e, EINVAL, "container %.12s has no disks", id);
	return bundle_read_spec(en, id, &ret->plan, e);
}

int engine_pod_disks(struct engine *en, const char *id, struct pod_vm_member **ret, size_t *ret_n, struct err *e)
{
	struct container_record *all = NULL;
	struct pod_vm_member *list = NULL;
	size_t n_all = 0, n = 0;
	int r = records_container_list(en->records, true, &all, &n_all, e);

	if (r >= 0 && !(list = calloc(n_all + 1, sizeof(*list))))
		r = OUT_OF_MEMORY(e);
	for (size_t i = n_all; r >= 0 && i-- > 0;)
		if (streq0(all[i].pod_id, id) && all[i].state != CS_REMOVING)
			r = disks_of(en, all[i].id, &list[n++], e);
	engine_list_free(all, n_all);
	if (r < 0) {
		engine_pod_disks_free(list, n);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}
