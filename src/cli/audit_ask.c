/* audit_ask: brings the probe into a container and hears it, by this program's own verbs: run, cp and exec as a user would call them. */
#include <unistd.h>

#include "audit.h"
#include "audit_impl.h"
#include "probe.h"

#define TIMEOUT_MS 600000u /* an image may have to be fetched, a machine be emulated */
#define LIFE_S     "600"   /* the last resort, whoever is gone */
#define END_MS     60000u
#define PLACE      "/.berth-probe"

/* ---- command lines of berth's own ---- */

static int add_words(char ***argv, const char *const *words, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		r = strv_push(argv, words[i]);
	return r;
}

/* This program and where it works. */
static int begin_argv(const struct audit *a, char ***argv)
{
	const struct paths *p = engine_paths(a->c->engine);
	const char *const words[] = { a->self, "--root", p->root, "--run", p->run };

	return add_words(argv, words, ARRAY_SIZE(words));
}

static int add_option(char ***argv, const struct opt *o, const struct audit_args *args)
{
	const void *member = (const char *)args + o->offset;
	char *const *list = o->type == OPT_LIST ? *(char **const *)member : NULL;
	int r = 0;

	if (o->type == OPT_FLAG)
		return *(const bool *)member ? strv_push_take(argv, str_fmt("--%s", o->name)) : 0;
	if (o->type == OPT_STRING)
		return *(char *const *)member ? strv_push_take(argv, str_fmt("--%s=%s", o->name, *(char *const *)member)) : 0;
	for (; list && *list && r >= 0; list++)
		r = strv_push_take(argv, str_fmt("--%s=%s", o->name, *list));
	return r;
}

int audit_add_options(char ***argv, const struct audit_args *args)
{
	int r = 0;

	for (size_t i = OPTIONS_OF_RUN; audit_options[i].name && r >= 0; i++)
		r = add_option(argv, &audit_options[i], args);
	return r;
}

static int run_argv(const struct audit *a, const struct audit_args *args, const char *isolation, const char *name, char ***argv)
{
	_cleanup_free_ char *mount = str_fmt("type=bind,source=%s,target=" PLACE ",readonly", a->probe);
	const char *const first[] = { "run",  "--rm",      "-i",   "--no-healthcheck", "--log-driver",
				      "none", "--timeout", LIFE_S, "--isolation",      isolation };
	const char *const last[] = { "--name", name, "--entrypoint", PLACE, "--mount", mount, a->subject, "walls", "wait" };
	int r = mount ? begin_argv(a, argv) : -ENOMEM;

	if (r >= 0)
		r = add_words(argv, first, ARRAY_SIZE(first));
	if (r >= 0)
		r = audit_add_options(argv, args);
	return r < 0 ? r : add_words(argv, last, ARRAY_SIZE(last));
}

/* ---- one way ---- */

static const char *accelerator_of(const char *vmm)
{
	_cleanup_free_ char *cpu = NULL;

	if (!*vmm)
		return NULL;
	if (strstr(vmm, "emulated"))
		return "TCG";
	if (file_read(AT_FDCWD, "/proc/cpuinfo", 8u << 20, &cpu, NULL) >= 0 && (strstr(cpu, " vmx") || strstr(cpu, " svm")))
		return "KVM hardware";
	return "KVM paravirtual";
}

static int add_document(struct audit *a, const char *isolation, const char *vmm, const char *text,
			const struct walls_outside *outside, struct err *e)
{
	struct json_object *o = json_object_new_object(), *inside = NULL;
	int r = json_parse(text, strlen(text), "the probe's answer", &inside, e);

	if (r < 0) {
		json_object_put(o);
		return r;
	}
	if (json_add(o, "name", json_object_new_string(isolation)) < 0 ||
	    (*vmm && json_add(o, "vmm", json_object_new_string(vmm)) < 0) || json_add(o, "inside", TAKE_PTR(inside)) < 0 ||
	    json_add(o, "outside", walls_outside_json(outside)) < 0 || json_object_array_add(a->ways, o) < 0) {
		json_object_put(inside);
		json_object_put(o);
		return no_memory(e);
	}
	return 0;
}

/* A virtual machine that has no files of the host's but the probe is served these by a process that it would otherwise not have. */
static int leave_out_server(struct audit *a, const char *name, struct walls_outside *o, struct err *e)
{
	_cleanup_json_ struct json_object *doc = NULL;
	struct json_object *mounts = NULL;
	int r = engine_inspect_container(a->c->engine, name, &doc, e);

	if (r < 0)
		return r;
	if (json_object_object_get_ex(doc, "Mounts", &mounts) && json_object_array_length(mounts) == 1) {
		walls_outside_drop(o, "berth-fs");
		walls_outside_drop(o, "virtiofsd");
	}
	return 0;
}

/* The probe in the container called name has answered with text, and waits. is_bound: it came in by a mount. */
static int add_way(struct audit *a, const char *name, bool is_bound, const char *text, struct err *e)
{
	_cleanup_(container_record_done) struct container_record c = { 0 };
	struct seen *seen = &a->seen[a->n_seen];
	struct monitor_state m = { 0 };
	int r = walls_read(text, strlen(text), &seen->inside, e);

	if (r >= 0)
		r = engine_get(a->c->engine, name, &c, e);
	if (r >= 0)
		r = monitor_inspect(engine_paths(a->c->engine), c.id, &m, e);
	if (r < 0)
		return r;
	bool is_vm = streq0(c.isolation, "vm");
	const pid_t roots[] = { m.monitor_pid, is_vm ? m.pid : 0 };
	r = walls_look(roots, ARRAY_SIZE(roots), is_vm, &a->host, &seen->outside, e);
	if (r >= 0 && is_vm && is_bound)
		r = leave_out_server(a, name, &seen->outside, e);
	if (r < 0)
		return r;
	seen->name = is_vm ? "vm" : "container";
	seen->accelerator = accelerator_of(m.vmm);
	a->n_seen++;
	return add_document(a, seen->name, m.vmm, text, &seen->outside, e);
}

/* 0, or the exit status of the berth that has told why on stderr, or -errno with e. */
static int ask(struct audit *a, char *const *argv, const char *name, bool is_bound, struct err *e)
{
	struct audit_probe p = AUDIT_PROBE_NONE;
	_cleanup_free_ char *text = NULL;
	int r = audit_start(argv, &p, e), status;

	if (r < 0)
		return r;
	r = audit_read(&p, WALLS_TEXT_MAX, TIMEOUT_MS, &text, e);
	if (r >= 0)
		r = add_way(a, name, is_bound, text, e);
	status = audit_end(&p, END_MS);
	return r == -ENODATA && status ? status : r;
}

/* Where the berth that ran it could not see to its end. r is what went wrong before. */
static int remove_left(const struct audit *a, const char *name, int r, struct err *e)
{
	_cleanup_(container_record_done) struct container_record c = { 0 };
	struct err why = { 0 };

	if (engine_get(a->c->engine, name, &c, &why) < 0 || engine_remove(a->c->engine, c.id, true, true, &why) >= 0)
		return r;
	return err_set(e, why.no, "container %s is left: %s", name, why.msg);
}

static int audit_image(struct audit *a, const struct audit_args *args, const char *isolation, struct err *e)
{
	_cleanup_strv_ char **argv = NULL;
	_cleanup_free_ char *name = NULL;
	char id[ID_LEN + 1];
	int r = id_new(id);

	if (r < 0)
		return err_set(e, -r, "random numbers: %s", strerror(-r));
	name = str_fmt("berth-audit-%.12s", id);
	if (!name || run_argv(a, args, isolation, name, &argv) < 0)
		return no_memory(e);
	r = ask(a, argv, name, true, e);
	return r == 0 ? 0 : remove_left(a, name, r, e);
}

/* container,vm: each once. */
int audit_ways(struct audit *a, const struct audit_args *args, struct err *e)
{
	_cleanup_strv_ char **kinds = strv_split(args->isolation ? args->isolation : "container,vm", ',');
	int status = 0;

	if (!kinds)
		return no_memory(e);
	for (char **k = kinds; *k; k++)
		if (!streq(*k, "container") && !streq(*k, "vm"))
			return err_set(e, EINVAL, "--isolation: \"%s\" is not container, vm or container,vm", args->isolation);
	if (strv_len(kinds) > WAYS_MAX || (strv_len(kinds) == 2 && streq(kinds[0], kinds[1])))
		return err_set(e, EINVAL, "--isolation: \"%s\" names one twice", args->isolation);
	for (char **k = kinds; *k; k++) {
		int r = audit_image(a, args, *k, e);
		if (r < 0)
			return err_push(e, r, "%s as %s", a->subject, *k);
		status = r ? r : status;
		if (r && streq(*k, "container")) /* what it lacks a VM would lack too; the reverse is not so */
			break;
	}
	return status;
}

/* ---- a container that runs ---- */

/* Copies the probe there; the exit status of cp. Its words are not shown: another place may do. */
static int copy_probe(const struct audit *a, const char *name, const char *path, struct err *e)
{
	_cleanup_strv_ char **argv = NULL;
	_cleanup_free_ char *to = str_fmt("%s:%s", name, path), *said = NULL;
	const char *const words[] = { "cp", a->probe, to };

	if (!to || begin_argv(a, &argv) < 0 || add_words(&argv, words, ARRAY_SIZE(words)) < 0)
		return no_memory(e);
	return spawn_output(argv, 4096, &said, e);
}

/* As root, whatever user the probe was: what it could not take away itself. */
static int remove_probe(const struct audit *a, const char *name, const char *path, struct err *e)
{
	_cleanup_strv_ char **argv = NULL;
	_cleanup_free_ char *said = NULL;
	const char *const words[] = { "exec", "--user", "0:0", name, path, "remove" };
	int r;

	if (begin_argv(a, &argv) < 0 || add_words(&argv, words, ARRAY_SIZE(words)) < 0)
		return no_memory(e);
	r = spawn_output(argv, 4096, &said, e);
	return r < 0 ? err_push(e, r, "%s is left in container %s", path, name) : 0;
}

static int exec_probe(struct audit *a, const char *name, const char *path, struct err *e)
{
	_cleanup_strv_ char **argv = NULL;
	_cleanup_json_ struct json_object *last = NULL;
	struct json_object *inside, *removed;
	const char *const words[] = { "exec", "-i", name, path, "walls", "remove", "wait" };
	struct err left = { 0 };
	bool is_removed = false;
	int r;

	if (begin_argv(a, &argv) < 0 || add_words(&argv, words, ARRAY_SIZE(words)) < 0)
		return no_memory(e);
	r = ask(a, argv, name, false, e);
	if (r == 0 && json_object_array_length(a->ways) > 0) {
		last = json_object_get(json_object_array_get_idx(a->ways, json_object_array_length(a->ways) - 1));
		is_removed = json_object_object_get_ex(last, "inside", &inside) &&
			     json_object_object_get_ex(inside, "removed", &removed) && json_object_get_boolean(removed);
	}
	if (!is_removed && remove_probe(a, name, path, &left) < 0 && r == 0)
		return err_set(e, left.no, "%s", left.msg);
	return r;
}

/* In memory first, and where a read-only root has no say. */
static const char *const places[] = { "/dev", "/tmp", "/run", "/" };

int audit_running(struct audit *a, const struct container_record *c, struct err *e)
{
	struct err first = { 0 };
	char id[ID_LEN + 1];
	int r = id_new(id);

	if (r < 0)
		return err_set(e, -r, "random numbers: %s", strerror(-r));
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *path = str_fmt("%s/.berth-probe-%.12s", streq(places[i], "/") ? "" : places[i], id);
		struct err why = { 0 };

		if (!path)
			return no_memory(e);
		r = copy_probe(a, c->id, path, &why);
		if (r >= 0)
			return exec_probe(a, c->id, path, e);
		if (!first.no)
			first = why;
	}
	return err_set(e, first.no ? first.no : EROFS, "container %s has no directory that the probe can be copied to: %s",
		       c->name, first.msg);
}
