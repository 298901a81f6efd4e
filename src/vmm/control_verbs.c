/* control_verbs: what a line on the control socket may ask for: one table. */
#include <stdio.h>
#include <unistd.h>

#include "control.h"
#include "vmm_impl.h"

struct request {
	char *verb;
	uint32_t version;
	char *kind;             /* snapshot: "full", "diff" */
	bool tracks, has_track; /* snapshot; absent: as it is */
	bool until_kept;        /* snapshot with track: taken back when this connection ends before "keep" */
	bool is_fleeting;       /* snapshot: not fsync'd */
	bool while_connected;   /* pause */
	uint64_t mem_bytes;     /* resize */
};

static const struct field request_fields[] = {
	{ "do", FIELD_STRING, offsetof(struct request, verb), FIELD_REQUIRED },
	{ "version", FIELD_U32, offsetof(struct request, version) },
	{ "kind", FIELD_STRING, offsetof(struct request, kind) },
	{ "track", FIELD_BOOL, offsetof(struct request, tracks), FIELD_HAS, .count_offset = offsetof(struct request, has_track) },
	{ "until_kept", FIELD_BOOL, offsetof(struct request, until_kept) },
	{ "mem_bytes", FIELD_U64, offsetof(struct request, mem_bytes) },
	{ "fleeting", FIELD_BOOL, offsetof(struct request, is_fleeting) },
	{ "while_connected", FIELD_BOOL, offsetof(struct request, while_connected) },
	{ .name = NULL, .flags = FIELD_STRICT },
};

static int add(struct json_object *o, const char *key, struct json_object *v, struct err *e)
{
	return json_add(o, key, v) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}
static int add_number(struct json_object *o, const char *key, uint64_t v, struct err *e)
{
	return add(o, key, json_object_new_uint64(v), e);
}
static int add_string(struct json_object *o, const char *key, const char *v, struct err *e)
{
	return add(o, key, json_object_new_string(v), e);
}

static int add_id(struct json_object *o, const char *key, const uint8_t id[16], struct err *e)
{
	static const char digits[] = "0123456789abcdef";
	char hex[33];

	for (unsigned i = 0; i < 16; i++) {
		hex[2 * i] = digits[id[i] >> 4];
		hex[2 * i + 1] = digits[id[i] & 15];
	}
	hex[32] = '\0';
	return add_string(o, key, hex, e);
}

/* ---- the verbs: each adds to the answer ---- */

struct call {
	struct vmm *vm;
	struct control_env *env;
	const struct request *q;
	const struct control_fds *fds;
	struct json_object *reply;
};

static int do_state(const struct call *c, struct err *e)
{
	struct vmm *vm = c->vm;
	bool is_started;
	int r;

	pthread_mutex_lock(&vm->sync);
	is_started = vm->is_started;
	pthread_mutex_unlock(&vm->sync);
	r = add_number(c->reply, "version", CONTROL_VERSION, e);
	if (r >= 0)
		r = add_string(c->reply, "state", c->env->pauses ? "paused" : "running", e);
	if (r >= 0)
		r = add(c->reply, "started", json_object_new_boolean(is_started), e);
	if (r >= 0)
		r = add_number(c->reply, "mem_bytes", vm->plan->mem_bytes, e);
	if (r >= 0)
		r = add_number(c->reply, "cpus", vm->plan->cpus, e);
	if (r >= 0 && vm->plan->state_fd >= 0)
		r = add_id(c->reply, "restored_from", vm->restore.head.id.b, e);
	if (r >= 0 && vm->track.written)
		r = add_id(c->reply, "diff_base", vm->track.base.b, e);
	return r;
}

static int do_pause(const struct call *c, struct err *e)
{
	(void)e;
	if (!c->env->pauses) {
		vmm_pause(c->vm);
		c->env->pauses = 1;
		c->env->pauser = c->q->while_connected ? c->env->asker : NULL;
	}
	return 0;
}

static int do_resume(const struct call *c, struct err *e)
{
	(void)e;
	if (c->env->pauses) {
		c->env->pauses = 0;
		c->env->pauser = NULL;
		vmm_resume(c->vm);
	}
	return 0;
}

static int do_snapshot(const struct call *c, struct err *e)
{
	const char *kind = c->q->kind ?: "full";
	const struct vmm_snapshot_opts o = { .is_diff = streq(kind, "diff"),
					     .is_fleeting = c->q->is_fleeting,
					     .is_tentative = c->q->until_kept,
					     .track = !c->q->has_track ? VMM_TRACK_AS_IS
						      : c->q->tracks   ? VMM_TRACK_ON
								       : VMM_TRACK_OFF };
	struct vmm_snapshot_info info;
	int r;

	if (!o.is_diff && !streq(kind, "full"))
		return err_set(e, EINVAL, "kind: \"full\" or \"diff\", not \"%s\"", kind);
	if (c->fds->n != 2)
		return err_set(e, EINVAL, "snapshot: %zu descriptors came with it; it takes two: the state file, the memory file",
			       c->fds->n);
	if (o.is_tentative && o.track != VMM_TRACK_ON)
		return err_set(e, EINVAL, "snapshot: until_kept is for one with \"track\":true");
	r = vmm_snapshot(c->vm, &o, c->fds->fd[0], c->fds->fd[1], &info, e);
	if (r >= 0 && o.is_tentative)
		c->env->taker = c->env->asker;
	if (r >= 0)
		r = add_id(c->reply, "id", info.id, e);
	if (r >= 0)
		r = add_number(c->reply, "written_bytes", info.written_bytes, e);
	return r < 0 ? r : add_number(c->reply, "pause_us", info.pause_us, e);
}

static int do_keep(const struct call *c, struct err *e)
{
	if (!c->env->taker || c->env->taker != c->env->asker)
		return err_set(e, EINVAL, "keep: there is no snapshot of this connection's to keep");
	c->env->taker = NULL;
	vmm_snapshot_keep(c->vm);
	return 0;
}

static int do_resize(const struct call *c, struct err *e) { return control_resize(c->vm, c->q->mem_bytes, c->reply, e); }

static int do_stop(const struct call *c, struct err *e)
{
	(void)e;
	vmm_end(c->vm, VMM_STOPPED, "asked for on the control socket");
	return 0;
}

/* ---- metrics ---- */

static const char *const exit_names[VCPU_EXITS] = {
	[0] = "signal",
	[KVM_EXIT_IO] = "io",
	[KVM_EXIT_MMIO] = "mmio",
	[KVM_EXIT_HLT] = "hlt",
	[KVM_EXIT_SHUTDOWN] = "shutdown",
	[KVM_EXIT_INTR] = "interrupt",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "irq-window",
	[KVM_EXIT_SYSTEM_EVENT] = "system-event",
	[VCPU_EXITS - 1] = "other",
};

static int add_exits(struct vmm *vm, struct json_object *to, struct err *e)
{
	int r = 0;

	for (unsigned k = 0; r >= 0 && k < VCPU_EXITS; k++) {
		uint64_t n = 0;

		for (unsigned i = 0; i < vm->n_vcpus; i++)
			n += __atomic_load_n(&vm->vcpus[i].exits[k], __ATOMIC_RELAXED);
		if (exit_names[k])
			r = add_number(to, exit_names[k], n, e);
		else if (n) {
			char number[16];

			snprintf(number, sizeof(number), "kvm-%u", k);
			r = add_number(to, number, n, e);
		}
	}
	return r;
}

static int add_device(const struct virtio_device *d, struct json_object *list, struct err *e)
{
	struct json_object *o = json_object_new_object();
	uint64_t requests = 0, interrupts = 0;
	int r;

	if (!o || json_object_array_add(list, o) < 0) {
		json_object_put(o);
		return err_set(e, ENOMEM, "out of memory");
	}
	for (unsigned i = 0; i < d->n_queues; i++) {
		requests += __atomic_load_n(&d->queues[i].n_popped, __ATOMIC_RELAXED);
		interrupts += __atomic_load_n(&d->queues[i].n_raised, __ATOMIC_RELAXED);
	}
	r = add_string(o, "device", d->ops->name, e);
	if (r >= 0)
		r = add(o, "active", json_object_new_boolean(d->is_active), e);
	if (r >= 0)
		r = add_number(o, "requests", requests, e);
	return r < 0 ? r : add_number(o, "interrupts", interrupts, e);
}

/* The second number of statm: resident pages (proc(5)). */
static int add_resident(int statm_fd, struct json_object *to, struct err *e)
{
	char text[128] = "", *resident, *end;
	uint64_t pages;

	if (statm_fd < 0 || pread(statm_fd, text, sizeof(text) - 1, 0) <= 0 || !(resident = strchr(text, ' ')))
		return 0;
	pages = strtoull(resident, &end, 10);
	return end == resident + 1 ? 0 : add_number(to, "resident_bytes", pages * (uint64_t)sysconf(_SC_PAGESIZE), e);
}

static int do_metrics(const struct call *c, struct err *e)
{
	struct json_object *exits = json_object_new_object(), *devices = json_object_new_array();
	int r = add(c->reply, "exits", exits, e), r2 = add(c->reply, "devices", devices, e);

	if (r < 0 || r2 < 0)
		return r < 0 ? r : r2;
	r = add_exits(c->vm, exits, e);
	for (unsigned i = 0; r >= 0 && i < c->vm->n_devices; i++)
		r = add_device(c->vm->devices[i], devices, e);
	if (r >= 0)
		r = control_memory(c->vm, c->reply, e);
	return r < 0 ? r : add_resident(c->env->statm_fd, c->reply, e);
}

/* is_snapshot: takes a kind, track and descriptors; has_size: mem_bytes; the others take nothing. */
static const struct verb {
	const char *name;
	bool is_snapshot, has_size;
	int (*fn)(const struct call *c, struct err *e);
} verbs[] = {
	{ "state", false, false, do_state },      { "pause", false, false, do_pause },     { "resume", false, false, do_resume },
	{ "snapshot", true, false, do_snapshot }, { "keep", false, false, do_keep },       { "resize", false, true, do_resize },
	{ "stop", false, false, do_stop },        { "metrics", false, false, do_metrics },
};

static int obey(struct call *c, struct err *e)
{
	if (c->q->version && c->q->version != CONTROL_VERSION)
		return err_set(e, EPROTO, "version %u: this program speaks %u", c->q->version, CONTROL_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!streq(c->q->verb, verbs[i].name))
			continue;
		if (!verbs[i].is_snapshot &&
		    (c->q->kind || c->q->has_track || c->q->until_kept || c->q->is_fleeting || c->fds->n))
			return err_set(e, EINVAL, "%s: takes no kind, no track and no descriptors", verbs[i].name);
		if (!verbs[i].has_size && c->q->mem_bytes)
			return err_set(e, EINVAL, "%s: takes no mem_bytes", verbs[i].name);
		if (c->q->while_connected && verbs[i].fn != do_pause)
			return err_set(e, EINVAL, "%s: while_connected is for pause", verbs[i].name);
		return verbs[i].fn(c, e);
	}
	return err_set(e, EINVAL, "do: \"%s\": there are state, pause, resume, snapshot, keep, resize, metrics, stop",
		       c->q->verb);
}

static struct json_object *refusal(const struct err *e)
{
	struct json_object *o = json_object_new_object();

	if (o && json_add(o, "ok", json_object_new_boolean(false)) >= 0 &&
	    json_add(o, "error", json_object_new_string(e->msg)) >= 0 && json_add(o, "errno", json_object_new_int(e->no)) >= 0)
		return o;
	json_object_put(o);
	return NULL;
}

struct json_object *control_answer(struct vmm *vm, struct control_env *env, const char *line, size_t n,
				   const struct control_fds *fds)
{
	_cleanup_json_ struct json_object *in = NULL, *reply = json_object_new_object();
	struct request q = { 0 };
	struct call c = { vm, env, &q, fds, reply };
	struct err e = { 0 };
	int r = reply && json_add(reply, "ok", json_object_new_boolean(true)) >= 0 ? json_parse(line, n, "request", &in, &e)
										   : -ENOMEM;

	if (r == -ENOMEM)
		return NULL;
	if (r >= 0)
		r = json_read(in, request_fields, &q, "", &e);
	if (r >= 0)
		r = obey(&c, &e);
	json_free_fields(request_fields, &q);
	return r < 0 ? refusal(&e) : TAKE_PTR(reply);
}
