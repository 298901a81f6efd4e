/* info.c: what this host offers and what Berth holds; the keys that docker has too are named as docker's. */
#include "docker_json.h"
#include "rootless.h"

#include <sys/utsname.h>
#include <unistd.h>

static int count(struct engine *en, struct doc d, struct err *e)
{
	struct container_record *list = NULL;
	struct image_record *images = NULL;
	size_t n = 0, n_images = 0, running = 0, paused = 0;
	int r = engine_list(en, true, &list, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		running += list[i].state == CS_RUNNING;
		paused += list[i].state == CS_PAUSED;
	}
	engine_list_free(list, n);
	r = records_image_list(en->records, &images, &n_images, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_images; i++)
		image_record_done(&images[i]);
	free(images);
	doc_int(d, "Containers", (int64_t)n);
	doc_int(d, "ContainersRunning", (int64_t)running);
	doc_int(d, "ContainersPaused", (int64_t)paused);
	doc_int(d, "ContainersStopped", (int64_t)(n - running - paused));
	doc_int(d, "Images", (int64_t)n_images);
	return 0;
}

static const char *layout_name(enum cgroup_layout l)
{
	static const char *const names[] = {
		[CGROUP_NONE] = "none", [CGROUP_V1] = "v1", [CGROUP_HYBRID] = "hybrid", [CGROUP_V2] = "v2"
	};

	return (size_t)l < ARRAY_SIZE(names) ? names[l] : "unknown";
}

/* Which controllers can limit something here, on v1 or v2. */
static void add_controllers(struct doc d, const struct host *h)
{
	_cleanup_strv_ char **v = NULL;

	for (int c = 0; c < CG_CTRL_COUNT; c++) {
		if ((h->cgroup_v1[c] || (h->cgroup_v2_ctrls & (1u << c))) &&
		    strv_push(&v, cgroup_ctrl_name((enum cgroup_ctrl)c)) < 0)
			*d.failed = true;
	}
	doc_list(d, "CgroupControllers", v);
}

static void add_host(struct doc d, const struct host *h, bool is_rootless)
{
	char words[] = "name=seccomp,profile=default", rootless[] = "name=rootless";
	char name[HOST_NAME_MAX + 1] = "", *walls[] = { words, is_rootless ? rootless : NULL, NULL };
	struct utsname u;

	gethostname(name, sizeof(name) - 1);
	doc_text(d, "Name", name);
	doc_text(d, "OperatingSystem", h->os_name);
	doc_text(d, "OSType", "linux");
	doc_text(d, "Architecture", uname(&u) == 0 ? u.machine : "");
	doc_text(d, "KernelVersion", h->kernel);
	doc_int(d, "NCPU", h->n_cpus);
	doc_int(d, "MemTotal", (int64_t)h->mem_bytes);
	doc_text(d, "CgroupLayout", layout_name(h->cgroup));
	doc_text(d, "CgroupVersion", h->cgroup == CGROUP_V2 ? "2" : "1");
	doc_text(d, "CgroupDriver", h->cgroup == CGROUP_NONE ? "none" : "cgroupfs");
	doc_text(d, "LoggingDriver", "json-file");
	doc_text(d, "DefaultRuntime", "berth");
	doc_list(d, "SecurityOptions", walls);
	doc_bool(d, "Rootless", is_rootless);
	add_controllers(d, h);
	doc_bool(d, "SwapLimit", h->has_swap_accounting);
	doc_int(d, "LandlockAbi", h->landlock_abi);
	doc_bool(d, "KvmNode", h->has_kvm_node);
	doc_bool(d, "HardwareVirtualisation", h->has_hw_virt);
}

static void add_isolations(struct doc d, const struct host *h)
{
	struct doc all = doc_sub(d, "Isolations");

	for (size_t i = 0; isolations[i]; i++) {
		_cleanup_free_ char *note = NULL;
		struct err why = { 0 };
		int r = isolations[i]->available(h, &note, &why);
		doc_text(all, isolations[i]->name, r < 0 ? why.msg : note ? note : "available");
	}
}

int engine_info(struct engine *en, struct json_object **ret, struct err *e)
{
	struct host h = { 0 };
	bool failed = false;
	int r = host_probe(&h, e);

	if (r >= 0)
		r = host_narrow_cgroup(&h, e);
	if (r < 0)
		return r;
	struct doc d = doc_new(&failed);
	doc_text(d, "ServerVersion", berth_version());
	r = count(en, d, e);
	doc_text(d, "BerthRootDir", en->paths->root);
	doc_text(d, "BerthRunDir", en->paths->run);
	doc_text(d, "DockerRootDir", en->paths->root);
	doc_text(d, "Driver", "overlay2");
	add_host(d, &h, rootless_is_inside(en->paths->run));
	add_isolations(d, &h);
	host_done(&h);
	if (r >= 0 && failed)
		r = OUT_OF_MEMORY(e);
	if (r < 0) {
		json_object_put(d.o);
		return r;
	}
	*ret = d.o;
	return 0;
}
