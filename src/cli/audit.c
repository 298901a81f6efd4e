/* audit.c: `berth audit`: what stands between a workload and the host, asked from inside by berth-probe and looked at from outside.
 *
 * Of an image: a container is made of it for the purpose, with the probe bound into it read-only, which the probe leaves out of what it
 * tells; it is gone when the probe has ended (--rm), also when this program was killed, as the probe stays no longer than its standard input.
 * Of a container that runs: the probe is copied into a directory of it, executed there as any other command, and takes itself away first. */
#include <sys/ioctl.h>
#include <unistd.h>

#include "audit.h"
#include "cli.h"
#include "output.h"
#include "probe.h"
#include "walls.h"

#define SCHEMA       "berth.audit/1"
#define TIMEOUT_MS   600000u /* an image may have to be fetched, a machine be emulated */
#define END_MS       60000u
#define PLACE        "/.berth-probe"
#define COLUMNS_MAX  200u
#define COLUMNS_ELSE 120u

struct audit_args {
	char *format, *isolation;
	bool is_privileged, is_readonly, use_init;
	char *user, *network, *pull, *platform, *kernel, *userns, *pid_mode, *ipc_mode, *uts_mode, *cgroupns, *memory;
	char **cap_add, **cap_drop, **security_opt, **devices, **volumes, **mounts, **tmpfs, **ulimits, **sysctls, **group_add;
};
#define AT(member) offsetof(struct audit_args, member)
/* From OPTIONS_OF_RUN on they are run's, which is given them as they are. */
#define OPTIONS_OF_RUN 2
const struct opt audit_options[] = {
	{ "format", 'f', OPT_STRING, AT(format), "FORMAT", "json, or a template such as {{range .ways}}{{.name}}{{end}}" },
	{ "isolation", 0, OPT_STRING, AT(isolation), "KIND[,KIND]", "of an image: container, vm or both (default)" },
	{ "privileged", 0, OPT_FLAG, AT(is_privileged), NULL, "with all rights" },
	{ "cap-add", 0, OPT_LIST, AT(cap_add), "CAPABILITY", "with one more capability" },
	{ "cap-drop", 0, OPT_LIST, AT(cap_drop), "CAPABILITY", "without a capability" },
	{ "security-opt", 0, OPT_LIST, AT(security_opt), "OPTION", "such as seccomp=unconfined, no-new-privileges" },
	{ "user", 'u', OPT_STRING, AT(user), "USER[:GROUP]", "as that user" },
	{ "group-add", 0, OPT_LIST, AT(group_add), "GROUP", "one more group of the user" },
	{ "read-only", 0, OPT_FLAG, AT(is_readonly), NULL, "the root file system can't be written" },
	{ "network", 0, OPT_STRING, AT(network), "NETWORK", "on that network" },
	{ "device", 0, OPT_LIST, AT(devices), "DEVICE", "with a device of the host" },
	{ "volume", 'v', OPT_LIST, AT(volumes), "[SOURCE:]PATH[:ro,...]", "with a volume, or a host directory or file" },
	{ "mount", 0, OPT_LIST, AT(mounts), "type=volume|bind|tmpfs,...", "with a mount by named parts" },
	{ "tmpfs", 0, OPT_LIST, AT(tmpfs), "PATH[:OPTIONS]", "with an empty file system in memory" },
	{ "userns", 0, OPT_STRING, AT(userns), "MODE", "user namespace, as run has it" },
	{ "pid", 0, OPT_STRING, AT(pid_mode), "MODE", "processes, as run has it: host, container:NAME" },
	{ "ipc", 0, OPT_STRING, AT(ipc_mode), "MODE", "System V IPC, as run has it" },
	{ "uts", 0, OPT_STRING, AT(uts_mode), "MODE", "host name, as run has it" },
	{ "cgroupns", 0, OPT_STRING, AT(cgroupns), "MODE", "cgroups, as run has it" },
	{ "sysctl", 0, OPT_LIST, AT(sysctls), "NAME=VALUE", "with a kernel setting" },
	{ "ulimit", 0, OPT_LIST, AT(ulimits), "NAME=SOFT[:HARD]", "with another limit of its processes" },
	{ "memory", 'm', OPT_STRING, AT(memory), "SIZE", "with so much memory" },
	{ "init", 0, OPT_FLAG, AT(use_init), NULL, "behind a small init" },
	{ "kernel", 0, OPT_STRING, AT(kernel), "KERNEL", "vm: on that kernel" },
	{ "pull", 0, OPT_STRING, AT(pull), "WHEN", "fetch the image: missing (default), always or never" },
	{ "platform", 0, OPT_STRING, AT(platform), "OS/ARCH", "which platform of the image" },
	{ NULL },
};

/* One way, as it was seen. */
struct seen {
	const char *name, *accelerator;
	struct walls_inside inside;
	struct walls_outside outside;
};
#define WAYS_MAX 2
/* What all ways are gathered in. */
struct audit {
	struct cli *c;
	const char *subject;
	char *self, *probe; /* this program, and the probe's */
	struct walls_host host;
	struct seen seen[WAYS_MAX];
	size_t n_seen;
	struct comparison table;
	struct json_object *ways;
};

static void audit_done(struct audit *a)
{
	free(a->self);
	free(a->probe);
	walls_host_done(&a->host);
	for (size_t i = 0; i < WAYS_MAX; i++) {
		walls_inside_done(&a->seen[i].inside);
		walls_outside_done(&a->seen[i].outside);
	}
	comparison_done(&a->table);
	json_object_put(a->ways);
}

static int no_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

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

static int add_options(char ***argv, const struct audit_args *args)
{
	int r = 0;

	for (size_t i = OPTIONS_OF_RUN; audit_options[i].name && r >= 0; i++)
		r = add_option(argv, &audit_options[i], args);
	return r;
}

static int run_argv(const struct audit *a, const struct audit_args *args, const char *isolation, const char *name, char ***argv)
{
	_cleanup_free_ char *mount = str_fmt("type=bind,source=%s,target=" PLACE ",readonly", a->probe);
	const char *const first[] = { "run", "--rm", "-i", "--no-healthcheck", "--log-driver", "none", "--isolation", isolation };
	const char *const last[] = { "--name", name, "--entrypoint", PLACE, "--mount", mount, a->subject, "walls", "wait" };
	int r = mount ? begin_argv(a, argv) : -ENOMEM;

	if (r >= 0)
		r = add_words(argv, first, ARRAY_SIZE(first));
	if (r >= 0)
		r = add_options(argv, args);
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

/* The model wants all ways before anything that is said of them. */
static int fill_table(struct audit *a, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < a->n_seen && r >= 0; i++)
		r = comparison_add_way(&a->table, a->seen[i].name, a->seen[i].accelerator);
	for (size_t i = 0; i < a->n_seen && r >= 0; i++) {
		const struct walls_view v = { &a->seen[i].inside, &a->seen[i].outside, &a->host };
		r = walls_add(&a->table, i, &v);
	}
	return r < 0 ? no_memory(e) : 0;
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
	return ask(a, argv, name, true, e);
}

/* container,vm: each once. */
static int audit_ways(struct audit *a, const struct audit_args *args, struct err *e)
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

static int audit_running(struct audit *a, const struct container_record *c, struct err *e)
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

static int check_running(const struct audit_args *args, const struct container_record *c, struct err *e)
{
	_cleanup_strv_ char **given = NULL;

	if (add_options(&given, args) < 0)
		return no_memory(e);
	if (given || args->isolation)
		return err_set(e, EINVAL, "%s is a container, which is looked at as it is: only --format goes with it", c->name);
	if (c->state != CS_RUNNING)
		return err_set(e, EINVAL, "container %s is not running (%s): start it, or name an image", c->name,
			       container_state_name(c->state));
	return 0;
}

/* ---- */

static int print_table(const struct audit *a, struct err *e)
{
	const char *columns = getenv("COLUMNS");
	struct winsize w = { 0 };
	uint64_t n = 0;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col)
		n = w.ws_col;
	else if (!columns || str_to_u64(columns, &n) < 0 || !n)
		n = COLUMNS_ELSE;
	return walls_print(&a->table, STDOUT_FILENO, (size_t)MIN(n, COLUMNS_MAX), e);
}

static int add_values(struct json_object *o, const struct comparison *c)
{
	struct json_object *list = json_object_new_array();

	if (json_add(o, "walls", list) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_walls; i++) {
		const struct wall *w = &c->walls[i];
		struct json_object *one = json_object_new_object(), *values = json_object_new_array();

		if (!one || json_object_array_add(list, one) < 0 || json_add(one, "id", json_object_new_string(w->id)) < 0 ||
		    json_add(one, "title", json_object_new_string(w->title)) < 0 || json_add(one, "values", values) < 0)
			return -ENOMEM;
		for (size_t k = 0; k < c->n_ways; k++)
			if (json_object_array_add(values, w->of_way[k] ? json_object_new_string(w->of_way[k]) : NULL) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int print_document(struct audit *a, const char *format, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	if (json_add(o, "schema", json_object_new_string(SCHEMA)) < 0 ||
	    json_add(o, "subject", json_object_new_string(a->subject)) < 0 ||
	    json_add(o, "berth", json_object_new_string(berth_version())) < 0 ||
	    json_add(o, "ways", json_object_get(a->ways)) < 0 || add_values(o, &a->table) < 0)
		return no_memory(e);
	return document_print(o, format, e);
}

static int prepare(struct audit *a, struct cli *c, struct err *e)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return err_set(e, errno, "/proc/self/exe: %s", strerror(errno));
	self[n] = 0;
	a->c = c;
	a->subject = c->operands[0];
	a->self = strdup(self);
	a->ways = json_object_new_array();
	if (!a->self || !a->ways || comparison_init(&a->table, a->subject, NULL) < 0)
		return no_memory(e);
	int r = paths_sibling(engine_paths(c->engine), PROBE_PROGRAM, &a->probe, e);
	return r < 0 ? r : walls_host_get(&a->host, e);
}

static int run(struct cli *c, const struct audit_args *args, struct err *e)
{
	_cleanup_(container_record_done) struct container_record container = { 0 };
	_cleanup_(audit_done) struct audit a = { 0 };
	struct err none = { 0 };
	int r = prepare(&a, c, e), status;

	if (r < 0)
		return r;
	if (engine_get(c->engine, a.subject, &container, &none) >= 0) {
		r = check_running(args, &container, e);
		status = r < 0 ? r : audit_running(&a, &container, e);
	} else {
		status = audit_ways(&a, args, e);
	}
	if (status < 0 || a.n_seen == 0)
		return status;
	r = fill_table(&a, e);
	if (r >= 0)
		r = args->format ? print_document(&a, args->format, e) : print_table(&a, e);
	return r < 0 ? r : status;
}

int cmd_audit(struct cli *c, struct err *e)
{
	struct audit_args args = { 0 };
	int r = cli_parse(c, &args, 1, 1, e);

	r = r != 0 ? MIN(r, 0) : run(c, &args, e);
	opts_done(audit_options, &args);
	return r;
}
