/* memory.c: instances side by side: what each has in memory, on the disk, and how long it takes to stop one. */
#include "json.h"
#include "measure_impl.h"

enum { SETTLE_MS = 10000, SAME_MS = 2000, SETTLE_STEP_MS = 250, POLL_MS = 20, KIB = 1024 };

struct instance {
	char *name, *dir; /* dir: its own files */
	pid_t pid;
	uint64_t ram_bytes;
	char *image_disk, *kernel; /* of a VM: what all instances read */
	struct pss pss;
};

static void instance_done(struct instance *i)
{
	free(i->name);
	free(i->dir);
	free(i->image_disk);
	free(i->kernel);
}

static int ask_json(struct measure *m, const char *const *words, struct json_object **ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	int r = run_whole(m, NULL, words, &text, e);

	return r < 0 ? r : json_parse(text, strlen(text), words[0], ret, e);
}

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string) ? json_object_get_string(v)
												 : NULL;
}

/* Its process, and the folder of its log, which is its own. */
static int look_at(struct measure *m, size_t way, struct instance *i, struct err *e)
{
	_cleanup_json_ struct json_object *list = NULL, *vm = NULL;
	struct json_object *one, *state, *v;
	const char *log, *end;
	int r = ask_json(m, WORDS("inspect", i->name), &list, e);

	if (r < 0)
		return r;
	one = json_object_is_type(list, json_type_array) ? json_object_array_get_idx(list, 0) : NULL;
	log = one ? text_of(one, "LogPath") : NULL;
	end = log ? strrchr(log, '/') : NULL;
	if (!end || !json_object_object_get_ex(one, "State", &state) || !json_object_object_get_ex(state, "Pid", &v))
		return err_set(e, EIO, "inspect %s: no LogPath or State.Pid", i->name);
	i->pid = json_object_get_int(v);
	i->dir = strndup(log, (size_t)(end - log));
	if (!i->dir)
		return err_set(e, ENOMEM, "out of memory");
	if (i->pid <= 0)
		return err_set(e, ESRCH, "%s has ended by itself", m->ways[way]->name);
	if (!m->ways[way]->is_vm)
		return 0;
	r = ask_json(m, WORDS("vm", "inspect", "--format", "json", i->name), &vm, e);
	if (r < 0)
		return r;
	one = json_object_is_type(vm, json_type_array) ? json_object_array_get_idx(vm, 0) : vm;
	if (json_object_object_get_ex(one, "MemoryBytes", &v))
		i->ram_bytes = json_object_get_uint64(v);
	i->image_disk = text_of(one, "ImageDisk") ? strdup(text_of(one, "ImageDisk")) : NULL;
	i->kernel = text_of(one, "Kernel") ? strdup(text_of(one, "Kernel")) : NULL;
	return i->ram_bytes ? 0 : err_set(e, EIO, "vm inspect %s: no MemoryBytes", i->name);
}

/* Until it has taken the same for a while: what was started for the start alone ends behind it, and a monitor that has nothing to do lets go of what
 * it needs no more. */
static int settle(struct measure *m, struct instance *i, struct err *e)
{
	uint64_t before = 0, since = clock_mono_us(), end = since + SETTLE_MS * 1000;
	int r = 0;

	while (r >= 0 && clock_mono_us() < MIN(end, since + SAME_MS * 1000)) {
		uint64_t now;

		r = stop_is_wanted(m, SETTLE_STEP_MS, e);
		if (r >= 0)
			r = pss_of(i->pid, i->ram_bytes, &i->pss, e);
		now = i->pss.outside_kib + i->pss.inside_kib + i->pss.ram_kib;
		if (now != before || i->pss.is_passing)
			since = clock_mono_us();
		before = now;
	}
	return r;
}

/* It runs once this returns: the probe says so, the user's command answers --ready, or is merely there. */
static int wait_ready(struct measure *m, size_t way, const struct ready *ready, const char *name, bool is_probe, struct err *e)
{
	const struct ready said = { .kind = READY_LOG, .rest = is_probe ? "ready" : ready->rest };
	uint64_t until = clock_mono_us() + patience_ms(m, way) * 1000;
	bool done = !is_probe && !ready->kind;
	int r = 0;

	while (!done && r >= 0) {
		_cleanup_run_ struct run logs = { .pidfd = -1, .out = -1, .err = -1 };

		if (clock_mono_us() > until)
			return err_set(e, ETIMEDOUT, "%s: not ready within %llu seconds", m->ways[way]->name,
				       (unsigned long long)patience_ms(m, way) / 1000);
		if (!is_probe && ready->kind != READY_LOG) {
			done = ready_ask(ready, NULL);
		} else {
			r = run_begin(m, NULL, NULL, WORDS("logs", name), &logs, e);
			if (r >= 0)
				r = run_end(m, &logs, patience_ms(m, way), e);
			done = r >= 0 && ready_ask(&said, &logs);
		}
		if (!done && r >= 0)
			r = stop_is_wanted(m, POLL_MS, e);
	}
	return r;
}

static int begin(struct measure *m, size_t way, struct instance *i, struct err *e)
{
	const bool is_probe = m->kind[way] == KIND_JOB;
	_cleanup_strv_ char **v = NULL;
	struct ready ready = { 0 };
	int r;

	if (is_probe) {
		r = probe_words(m, m->ways[way], "-d", NULL, WORDS("hold"), &v, &i->name, e);
	} else {
		r = ready_parse(m->o->ready, &ready, e);
		if (r >= 0)
			r = run_words(m, m->ways[way], "-d", &v, &i->name, e);
		if (r >= 0)
			r = ready_publish(&ready, &v, e);
		if (r >= 0)
			r = command_words(m, &v, e);
	}
	if (r >= 0)
		r = run_whole(m, m->ways[way], WORDS_OF(v), NULL, e);
	if (r >= 0)
		r = wait_ready(m, way, &ready, i->name, is_probe, e);
	return r < 0 ? r : look_at(m, way, i, e);
}

/* "508KiB / 23GiB", as docker prints it. */
static int inside_of_vm(struct measure *m, const struct instance *i, double *ret_kib, struct err *e)
{
	_cleanup_json_ struct json_object *row = NULL;
	_cleanup_free_ char *first = NULL;
	const char *usage;
	uint64_t bytes;
	int r = ask_json(m, WORDS("stats", "--no-stream", "--format", "json", i->name), &row, e);

	if (r < 0)
		return r;
	usage = text_of(row, "MemUsage");
	first = usage ? strndup(usage, strcspn(usage, " ")) : NULL;
	if (!first || str_to_bytes(first, &bytes) < 0)
		return err_set(e, EIO, "stats %s: MemUsage \"%s\" is no size", i->name, usage ?: "");
	*ret_kib = (double)bytes / KIB;
	return 0;
}

static int count_memory(struct measure *m, size_t way, const struct instance *i, struct err *e)
{
	double inside = (double)i->pss.inside_kib;
	int r = measured(m, way, "memory.outside", (double)i->pss.outside_kib, e);

	if (r >= 0 && m->ways[way]->is_vm)
		r = inside_of_vm(m, i, &inside, e);
	if (r >= 0)
		r = measured(m, way, "memory.inside", inside, e);
	if (r < 0)
		return r;
	if (!m->ways[way]->is_vm)
		return measured_none(m, way, "memory.guest_kernel", "it shares the host's kernel", e);
	return measured(m, way, "memory.guest_kernel", MAX((double)i->pss.ram_kib - inside, 0), e);
}

static int count_disk(struct measure *m, size_t way, const struct instance *i, struct err *e)
{
	_cleanup_json_ struct json_object *list = NULL;
	uint64_t own, shared = 0, part;
	struct json_object *v;
	int r = disk_bytes(i->dir, &own, e);

	/* Without root's rights: what other users of the image have written is closed to us. */
	if (r == -EACCES)
		r = measured_none(m, way, "disk.own", e->msg, e);
	else if (r >= 0)
		r = measured(m, way, "disk.own", (double)own / KIB, e);
	if (r < 0)
		return r;
	if (!m->ways[way]->is_vm) {
		r = ask_json(m, WORDS("image", "inspect", m->o->image), &list, e);
		if (r >= 0 && json_object_object_get_ex(json_object_array_get_idx(list, 0), "Size", &v))
			shared = json_object_get_uint64(v);
	} else {
		const char *const files[] = { i->image_disk, i->kernel };

		for (size_t f = 0; f < ARRAY_SIZE(files) && r >= 0; f++)
			if (files[f] && *files[f] && (r = disk_bytes(files[f], &part, e)) >= 0)
				shared += part;
	}
	return r < 0 ? r : measured(m, way, "disk.shared", (double)shared / KIB, e);
}

static int stop(struct measure *m, size_t way, const struct instance *i, struct err *e)
{
	_cleanup_run_ struct run run = { .pidfd = -1, .out = -1, .err = -1 };
	int r = run_begin(m, NULL, NULL, WORDS("stop", i->name), &run, e);

	if (r >= 0)
		r = run_end(m, &run, patience_ms(m, way), e);
	if (r >= 0 && run.status != 0)
		r = run_failed(&run, "stop", e);
	if (r >= 0)
		r = measured(m, way, "stop", (double)(run.ended_us - run.began_us) / 1000, e);
	return r < 0 ? r : remove_container(m, i->name, e);
}

static double total_kib(const struct instance *list, size_t n)
{
	uint64_t kib = 0;

	for (size_t i = 0; i < n; i++)
		kib += list[i].pss.outside_kib + list[i].pss.inside_kib + list[i].pss.ram_kib;
	return (double)kib;
}

/* With so many there, all anew: what they share, each has a smaller part of. */
static int weigh(struct measure *m, struct instance *list, size_t n, double *ret_kib, struct err *e)
{
	int r = settle(m, &list[n - 1], e);

	for (size_t i = 0; i + 1 < n && r >= 0; i++)
		r = pss_of(list[i].pid, list[i].ram_bytes, &list[i].pss, e);
	*ret_kib = total_kib(list, n);
	return r;
}

/* How many fit: the first takes what it takes alone, each further one what the last has added. */
static int count_density(struct measure *m, size_t way, double first_kib, double more_kib, struct err *e)
{
	double given = (double)(m->o->density_bytes ?: m->memory_bytes) / KIB;

	if (more_kib <= 0)
		return measured_none(m, way, "density", "a further instance took no more memory that could be seen", e);
	return measured(m, way, "density", given < first_kib ? 0 : (double)(uint64_t)(1 + (given - first_kib) / more_kib), e);
}

static int side_by_side(struct measure *m, size_t way, struct instance *list, struct err *e)
{
	const size_t most = (size_t)m->o->instances;
	double before = 0, now = 0, first = 0;
	int r = 0;

	for (size_t n = 1; n <= most && r >= 0; n++) {
		progress(m, "memory: %s: instance %zu of %zu", m->ways[way]->name, n, most);
		r = begin(m, way, &list[n - 1], e);
		if (r >= 0)
			r = weigh(m, list, n, &now, e);
		if (r >= 0 && n == 1)
			first = now;
		if (r >= 0 && n > 1)
			r = measured(m, way, "memory.marginal", now - before, e);
		if (r >= 0 && n > 1)
			r = count_density(m, way, first, now - before, e);
		before = now;
	}
	for (size_t i = 0; i < most && r >= 0; i++) {
		r = count_memory(m, way, &list[i], e);
		if (r >= 0)
			r = count_disk(m, way, &list[i], e);
		if (r >= 0)
			r = stop(m, way, &list[i], e);
	}
	return r;
}

int measure_memory(struct measure *m, struct err *e)
{
	int r = 0;

	for (size_t w = 0; w < m->n_ways && r >= 0; w++) {
		struct instance *list;

		if (!m->ways[w]->isolation)
			continue;
		list = calloc((size_t)m->o->instances, sizeof(*list));
		if (!list)
			return err_set(e, ENOMEM, "out of memory");
		r = side_by_side(m, w, list, e);
		for (int64_t i = 0; i < m->o->instances; i++)
			instance_done(&list[i]);
		free(list);
	}
	return r;
}
