/* inspect_container.c: one container in Docker's JSON shape (engine API, ContainerInspect), whole: tools crash on what is
 * missing. Put together from the record, the options it was made with, its config.json, and what its monitor's files say. */
#include <stdio.h>

#include "cdi.h"
#include "inspect_network.h"
#include "volumes_impl.h"

#define SHM_DEFAULT     (64 << 20)
#define HEALTH_FILE_MAX (1u << 20) /* five logs of 4096 bytes, each byte six in JSON, and more */

/* All that is known. */
struct facts {
	const struct container_record *c;
	struct run_opts o;
	struct restart_policy restart;
	struct spec spec;
	struct launch launch;
	struct image image; /* zero when the image is gone */
	struct monitor_state m;
	char **monitor_log;
	const char *root;
	struct volume_use *volumes;
	size_t n_volumes;
	struct network_facts network;
};

static void facts_done(struct facts *f)
{
	run_opts_done(&f->o);
	spec_done(&f->spec);
	launch_done(&f->launch);
	image_done(&f->image);
	strv_free(f->monitor_log);
	volume_uses_free(f->volumes, f->n_volumes);
	network_facts_done(&f->network);
}

static int gather(struct engine *en, struct facts *f, struct err *e)
{
	int r = options_parse(f->c->options_json, &f->o, e);

	f->root = en->paths->root;
	if (r >= 0)
		r = restart_parse(f->o.restart, &f->restart, e);
	if (r >= 0)
		r = bundle_read_spec(en, f->c->id, &f->spec, e);
	if (r >= 0)
		r = bundle_read_launch(en, f->c->id, &f->launch, e);
	if (r >= 0)
		r = monitor_inspect(en->paths, f->c->id, &f->m, e);
	if (r >= 0)
		r = monitor_log_read(en->paths, f->c->id, &f->monitor_log, e);
	if (r >= 0)
		r = records_container_volumes(en->records, f->c->id, &f->volumes, &f->n_volumes, e);
	if (r >= 0)
		r = network_facts_get(en, f->c, &f->network, e);
	if (r >= 0) {
		r = image_find(en->store, f->c->image_id, &f->image, e);
		if (r == -ENOENT) /* removed by force: the rest is known without it */
			r = 0;
	}
	return r;
}

/* The monitor's file as it is; before the first start there is none. */
static void add_health(struct doc d, const struct facts *f)
{
	_cleanup_free_ char *path = str_fmt("%s/containers/%s/health.json", f->root, f->c->id), *text = NULL;
	struct json_object *o = NULL;
	size_t len;

	if (!f->launch.health_args)
		return;
	if (!path || file_read(AT_FDCWD, path, HEALTH_FILE_MAX, &text, &len) < 0 ||
	    json_parse(text, len, "health.json", &o, NULL) < 0) {
		struct doc s = doc_sub(d, "Health");
		doc_text(s, "Status", container_health_name(f->c->health ? f->c->health : HEALTH_STARTING));
		doc_int(s, "FailingStreak", 0);
		doc_put(s, "Log", json_object_new_array());
		return;
	}
	doc_put(d, "Health", o);
}

static void add_state(struct doc d, const struct facts *f)
{
	const struct container_record *c = f->c;
	struct doc s = doc_sub(d, "State");
	bool runs = c->state == CS_RUNNING || c->state == CS_PAUSED, rests = c->state == CS_RESTARTING;

	doc_text(s, "Status", container_state_name(c->state));
	doc_bool(s, "Running", runs || rests);
	doc_bool(s, "Paused", c->state == CS_PAUSED);
	doc_bool(s, "Restarting", rests);
	doc_bool(s, "OOMKilled", c->oom_killed);
	doc_bool(s, "Dead", c->state == CS_DEAD);
	doc_int(s, "Pid", runs ? f->m.pid : 0);
	doc_int(s, "ExitCode", runs ? 0 : c->exit_code);
	doc_text(s, "Error", c->error);
	doc_time(s, "StartedAt", c->started_ns);
	doc_time(s, "FinishedAt", runs ? 0 : c->finished_ns);
	add_health(s, f);
}

static void add_healthcheck(struct doc d, const struct launch *l)
{
	if (!l->health_args)
		return;
	struct doc s = doc_sub(d, "Healthcheck");
	doc_list(s, "Test", l->health_test);
	doc_int(s, "Interval", (int64_t)l->health_interval_ms * 1000000);
	doc_int(s, "Timeout", (int64_t)l->health_timeout_ms * 1000000);
	doc_int(s, "StartPeriod", (int64_t)l->health_start_period_ms * 1000000);
	doc_int(s, "StartInterval", (int64_t)l->health_start_interval_ms * 1000000);
	doc_int(s, "Retries", l->health_retries);
}

static void add_config(struct doc d, const struct facts *f)
{
	const struct image_config *ic = &f->image.config;
	const struct run_opts *o = &f->o;
	struct doc s = doc_sub(d, "Config");

	doc_text(s, "Hostname", f->spec.hostname);
	doc_text(s, "Domainname", f->spec.domainname);
	doc_text(s, "User", f->spec.process.user.username);
	doc_bool(s, "AttachStdin", o->is_interactive && !o->is_detached);
	doc_bool(s, "AttachStdout", !o->is_detached);
	doc_bool(s, "AttachStderr", !o->is_detached);
	network_inspect_exposed(s, o);
	doc_bool(s, "Tty", f->c->has_tty);
	doc_bool(s, "OpenStdin", f->launch.open_stdin);
	doc_bool(s, "StdinOnce", f->launch.stdin_once);
	doc_list(s, "Env", f->spec.process.env);
	doc_list(s, "Cmd", strv_len(o->command) ? o->command : o->has_entrypoint ? NULL : ic->config.cmd);
	add_healthcheck(s, &f->launch);
	doc_text(s, "Image", f->c->image_ref);
	doc_set(s, "Volumes", ic->config.volumes);
	if (!strv_len(ic->config.volumes))
		doc_null(s, "Volumes");
	doc_text(s, "WorkingDir", f->spec.process.cwd);
	if (o->has_entrypoint && o->entrypoint && *o->entrypoint) {
		char *one[] = { o->entrypoint, NULL };
		doc_list(s, "Entrypoint", one);
	} else {
		doc_list(s, "Entrypoint", o->has_entrypoint ? NULL : ic->config.entrypoint);
	}
	doc_null(s, "OnBuild");
	doc_map(s, "Labels", &f->c->labels);
	secrets_inspect(s, o);
	if (o->timezone)
		doc_text(s, "Timezone", o->timezone);
	if (o->umask)
		doc_text(s, "Umask", o->umask);
	if (o->stop_signal)
		doc_text(s, "StopSignal", o->stop_signal);
	if (o->stop_timeout_s != SPEC_UNSET)
		doc_int(s, "StopTimeout", o->stop_timeout_s);
	if (o->timeout_s > 0)
		doc_int(s, "Timeout", o->timeout_s);
	if (o->health_on_failure)
		doc_text(s, "HealthcheckOnFailureAction", o->health_on_failure);
}

static void add_log_and_restart(struct doc s, const struct facts *f)
{
	struct doc log = doc_sub(s, "LogConfig"), config, restart = doc_sub(s, "RestartPolicy");
	_cleanup_free_ char *size = str_fmt("%llu", (unsigned long long)f->launch.log_max_bytes),
			    *files = str_fmt("%u", f->launch.log_max_files);

	doc_text(log, "Type", f->launch.log_driver ? f->launch.log_driver : "json-file");
	config = doc_sub(log, "Config");
	if (f->launch.log_path) {
		doc_text(config, "max-size", f->launch.log_max_bytes ? size : "-1");
		doc_text(config, "max-file", files);
	}
	doc_text(restart, "Name", restart_name(f->restart.when));
	doc_int(restart, "MaximumRetryCount", f->restart.max);
}

/* Docker has no word for them. */
static void add_disks(struct doc s, const struct facts *f)
{
	struct json_object *list = f->launch.n_disks ? json_object_new_array() : NULL;

	for (size_t k = 0; k < f->launch.n_disks; k++) {
		const struct launch_disk *d = &f->launch.disks[k];
		struct doc one = doc_new(s.failed);
		char name[16];

		vm_given_name(&f->launch, k, name);
		doc_text(one, "Path", d->path);
		doc_text(one, "Format", d->format);
		doc_text(one, "Device", name);
		doc_bool(one, "RW", !d->is_readonly);
		doc_int(one, "IOps", (int64_t)d->iops);
		doc_int(one, "Bps", (int64_t)d->bps);
		json_object_array_add(list, one.o);
	}
	if (list)
		doc_put(s, "Disks", list);
}

static void add_limits(struct doc s, const struct facts *f)
{
	const struct run_opts *o = &f->o;
	const struct spec_resources *r = &f->spec.resources;

	doc_int(s, "CpuShares", r->cpu_shares);
	doc_int(s, "Memory", r->memory_limit);
	doc_int(s, "NanoCpus", (int64_t)(o->cpus * 1e9 + 0.5));
	doc_text(s, "CgroupParent", o->cgroup_parent);
	doc_int(s, "BlkioWeight", r->blkio_weight);
	doc_int(s, "CpuPeriod", o->cpu_period);
	doc_int(s, "CpuQuota", o->cpu_quota);
	doc_text(s, "CpusetCpus", r->cpuset_cpus);
	doc_text(s, "CpusetMems", r->cpuset_mems);
	if (f->launch.vm_mem_bytes)
		doc_int(s, "MemoryMax", (int64_t)MAX(f->launch.vm_mem_bytes, f->launch.vm_mem_max));
	if (f->launch.vm_cpus)
		doc_int(s, "CpusMax", MAX(f->launch.vm_cpus, f->launch.vm_cpus_max));
	if (f->launch.vm_huge_pages)
		doc_bool(s, "HugePages", true);
	doc_int(s, "MemoryReservation", r->memory_reservation);
	doc_int(s, "MemorySwap", r->memory_swap);
	if (r->memory_swappiness == SPEC_UNSET)
		doc_null(s, "MemorySwappiness");
	else
		doc_int(s, "MemorySwappiness", r->memory_swappiness);
	doc_list(s, "DeviceCgroupRules", o->device_cgroup_rules);
	devices_inspect(s, o);
	cdi_inspect(s, o);
	doc_bool(s, "OomKillDisable", r->oom_kill_disable);
	doc_int(s, "PidsLimit", r->pids_limit);
	doc_int(s, "OomScoreAdj", f->spec.process.oom_score_adj);
	doc_int(s, "ShmSize", o->shm_size == SPEC_UNSET ? SHM_DEFAULT : o->shm_size);
	add_disks(s, f);
	if (o->storage_opt) {
		struct doc options = doc_sub(s, "StorageOpt");
		for (char **v = o->storage_opt; *v; v++)
			doc_text(options, "size", str_after(*v, "size=")); /* plan_guest takes no other */
	}
}

static void add_ulimits(struct doc s, const struct facts *f)
{
	struct json_object *list = json_object_new_array();
	const struct spec_process *p = &f->spec.process;

	for (size_t i = 0; i < p->n_rlimits; i++) {
		struct doc one = doc_new(s.failed);
		_cleanup_free_ char *name =
			strdup(str_after(p->rlimits[i].type, "RLIMIT_") ? p->rlimits[i].type + 7 : p->rlimits[i].type);
		for (char *c = name; c && *c; c++)
			*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
		doc_text(one, "Name", name);
		doc_int(one, "Hard", p->rlimits[i].hard == UINT64_MAX ? -1 : (int64_t)p->rlimits[i].hard);
		doc_int(one, "Soft", p->rlimits[i].soft == UINT64_MAX ? -1 : (int64_t)p->rlimits[i].soft);
		json_object_array_add(list, one.o);
	}
	doc_put(s, "Ulimits", list);
}

/* Another container is told by its id, whatever it was called then. */
static void add_mode(struct doc s, const char *key, const struct facts *f, const char *kind, const char *mode)
{
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < f->launch.n_joins && !text; i++)
		if (streq(f->launch.joins[i].kind, kind))
			text = str_fmt("container:%s", f->launch.joins[i].id);
	doc_text(s, key, text ? text : mode);
}

/* Docker's three kinds of wishes for one thing: as the options were given, not as they came out. */
static void add_host_config(struct doc d, const struct facts *f)
{
	const struct run_opts *o = &f->o;
	struct doc s = doc_sub(d, "HostConfig"), tmpfs;

	doc_list(s, "Binds", o->volumes);
	doc_text(s, "ContainerIDFile", o->cidfile);
	if (f->spec.annotations.keys)
		doc_map(s, "Annotations", &f->spec.annotations);
	add_log_and_restart(s, f);
	network_inspect_wishes(s, f->network.is_pods ? &f->network.pod_o : o);
	doc_bool(s, "AutoRemove", f->c->auto_remove);
	doc_text(s, "VolumeDriver", "");
	doc_list(s, "VolumesFrom", o->volumes_from);
	doc_list(s, "CapAdd", o->cap_add);
	doc_list(s, "CapDrop", o->cap_drop);
	doc_text(s, "CgroupnsMode", o->cgroupns ? o->cgroupns : "private");
	doc_list(s, "GroupAdd", o->group_add);
	add_mode(s, "IpcMode", f, "ipc", o->ipc_mode ? o->ipc_mode : "private");
	add_mode(s, "PidMode", f, "pid", o->pid_mode && streq(o->pid_mode, "host") ? "host" : "");
	doc_bool(s, "Privileged", o->is_privileged);
	doc_bool(s, "ReadonlyRootfs", f->spec.root_readonly);
	doc_list(s, "SecurityOpt", o->security_opt);
	doc_text(s, "UTSMode", o->uts_mode && streq(o->uts_mode, "host") ? "host" : "");
	doc_text(s, "UsernsMode", o->userns);
	doc_text(s, "Runtime", "berth");
	doc_text(s, "Isolation", f->c->isolation);
	doc_list(s, "MaskedPaths", f->spec.masked_paths);
	doc_list(s, "ReadonlyPaths", f->spec.readonly_paths);
	doc_bool(s, "Init", o->use_init);
	add_limits(s, f);
	add_ulimits(s, f);
	if (!strv_len(o->tmpfs))
		return;
	tmpfs = doc_sub(s, "Tmpfs");
	for (char **t = o->tmpfs; *t; t++) {
		const char *colon = strchr(*t, ':');
		_cleanup_free_ char *path = strndup(*t, colon ? (size_t)(colon - *t) : strlen(*t));
		doc_text(tmpfs, path ? path : *t, colon ? colon + 1 : "");
	}
}

static bool has_option(const struct spec_mount *m, const char *word)
{
	for (char **o = m->options; o && *o; o++) {
		if (streq(*o, word))
			return true;
	}
	return false;
}

static const char *propagation_of(const struct spec_mount *m)
{
	static const char *const kinds[] = { "rprivate", "private", "rshared", "shared", "rslave", "slave" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (has_option(m, kinds[i]))
			return kinds[i];
	}
	return "";
}

/* As -v has it. */
#define MODE_MAX 16
static const char *mode_of(const struct spec_mount *m, char buf[MODE_MAX])
{
	const char *trust = has_option(m, "cached") ? "cached" : has_option(m, "consistent") ? "consistent" : "";

	snprintf(buf, MODE_MAX, "%s%s%s", has_option(m, "ro") ? "ro" : "", has_option(m, "ro") && *trust ? "," : "", trust);
	return buf;
}

static struct json_object *mount_json(const struct facts *f, const struct spec_mount *m, bool is_bind, bool *failed)
{
	const struct volume_use *volume = is_bind ? volume_use_of(f->root, f->volumes, f->n_volumes, m->source) : NULL;
	struct doc one = doc_new(failed);
	char mode[MODE_MAX];

	doc_text(one, "Type", volume ? "volume" : is_bind ? "bind" : "tmpfs");
	if (volume)
		doc_text(one, "Name", volume->name);
	doc_text(one, "Source", is_bind ? m->source : "");
	doc_text(one, "Destination", m->destination);
	if (volume)
		doc_text(one, "Driver", "local");
	doc_text(one, "Mode", mode_of(m, mode));
	doc_bool(one, "RW", !has_option(m, "ro"));
	doc_text(one, "Propagation", is_bind && !volume ? propagation_of(m) : "");
	return one.o;
}

/* The user's: binds, volumes, and tmpfs that stand for --mount (docker lists --tmpfs in HostConfig only). */
static void add_mounts(struct doc d, const struct facts *f)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < f->spec.n_mounts; i++) {
		const struct spec_mount *m = &f->spec.mounts[i];
		bool is_bind = has_option(m, "bind") || has_option(m, "rbind");
		if (streq0(f->o.ipc_mode, "host") && streq(m->destination, "/dev/shm") && streq0(m->source, "/dev/shm"))
			continue; /* --ipc's */
		if (is_bind || streq0(m->source, "user"))
			json_object_array_add(list, mount_json(f, m, is_bind, d.failed));
	}
	doc_put(d, "Mounts", list);
}

static void add_head(struct doc d, const struct facts *f)
{
	char *const *args = f->spec.process.args;
	_cleanup_free_ char *name = str_fmt("/%s", f->c->name);

	doc_text(d, "Id", f->c->id);
	doc_time(d, "Created", f->c->created_ns);
	doc_text(d, "Path", args ? args[0] : "");
	doc_put(d, "Args", args && args[0] ? json_from_strv(args + 1) : json_object_new_array());
	add_state(d, f);
	doc_text(d, "Image", f->c->image_id);
	doc_text(d, "Name", name);
	doc_text(d, "Isolation", f->c->isolation);
	if (f->c->pod_id)
		doc_text(d, "Pod", f->c->pod_id);
	if (f->m.vmm[0] && (f->c->state == CS_RUNNING || f->c->state == CS_PAUSED)) {
		doc_text(d, "Vmm", f->m.vmm);
		doc_text(d, "Kernel", f->m.kernel[0] ? f->m.kernel : f->launch.kernel);
	}
	if (f->launch.pidfile)
		doc_text(d, "PidFile", f->launch.pidfile);
	doc_int(d, "RestartCount", f->c->restart_count);
	doc_text(d, "Driver", "overlay2");
	doc_text(d, "Platform", "linux");
	doc_text(d, "LogPath", f->launch.log_path);
	doc_list(d, "MonitorLog", f->monitor_log);
	doc_text(d, "MountLabel", "");
	doc_text(d, "ProcessLabel", f->spec.process.selinux_label);
	doc_text(d, "AppArmorProfile", f->spec.process.apparmor_profile);
	doc_null(d, "ExecIDs");
}

/* Where things lie on the host, as far as they do. */
static void add_paths(struct doc d, const struct facts *f)
{
	struct doc driver = doc_sub(d, "GraphDriver"), data;

	/* These three are no files of the host: they are written into a private tmpfs at each start. */
	doc_text(d, "ResolvConfPath", "");
	doc_text(d, "HostnamePath", "");
	doc_text(d, "HostsPath", "");
	doc_text(driver, "Name", "overlay2");
	data = doc_sub(driver, "Data");
	doc_text(data, "UpperDir", f->launch.upper);
	doc_text(data, "WorkDir", f->launch.work);
	if (f->launch.upper_disk)
		doc_text(data, "UpperDisk", f->launch.upper_disk);
}

int engine_inspect_container(struct engine *en, const char *name, struct json_object **ret, struct err *e)
{
	struct container_record c;
	struct facts f = { .c = &c };
	bool failed = false;
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	run_opts_init(&f.o);
	spec_init(&f.spec);
	r = gather(en, &f, e);
	if (r >= 0) {
		struct doc d = doc_new(&failed);
		add_head(d, &f);
		add_paths(d, &f);
		add_host_config(d, &f);
		add_mounts(d, &f);
		add_config(d, &f);
		network_inspect(d, &f.o, &f.network);
		if (failed) {
			json_object_put(d.o);
			r = OUT_OF_MEMORY(e);
		} else {
			*ret = d.o;
		}
	}
	facts_done(&f);
	container_record_done(&c);
	return r;
}
